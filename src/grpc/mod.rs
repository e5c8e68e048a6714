//! The edge: the only place that knows tonic and prost.
//!
//! A call passes [`trace`] (its span), [`arrival`] (its whole message), [`authenticate`] (who calls, and whether they may call this method at all) and then the method of [`Edge`],
//! which parses the request with all its violations at once, runs the use case, and converts the outcome. A method has no branch in it.

mod access_models;
mod activity;
mod arrival;
mod audit;
mod authenticate;
mod contacts;
mod convert;
mod credentials;
mod deadline;
mod delivery;
mod descriptor;
mod edge;
mod fields;
mod invitation_batches;
mod invitations;
mod mask;
mod member_changes;
mod members;
mod organizations;
mod ownership;
mod paged;
mod peer;
mod permissions;
mod roles;
mod service_accounts;
mod sessions;
mod sign_ins;
mod status;
mod trace;
mod user_changes;
mod user_imports;
mod users;

/// The contract: messages, clients and servers generated from `proto/`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    reason = "generated from the contract, whose comments are its documentation"
)]
pub mod pb {
    tonic::include_proto!("roster.v1");
}

pub use descriptor::DESCRIPTOR_SET;

pub(crate) use arrival::ArrivalLayer;
pub(crate) use authenticate::AuthenticateLayer;
pub(crate) use deadline::DeadlineLayer;
pub(crate) use descriptor::Rules;
pub(crate) use edge::Edge;
pub(crate) use peer::Peer;
pub(crate) use trace::TraceLayer;
