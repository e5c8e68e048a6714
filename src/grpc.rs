//! The edge: the only place that knows tonic and prost.
//!
//! A call passes [`layers::trace`] (its span), [`layers::buffer_request`] (its whole message), [`layers::authenticate`] (who calls, and whether they may call this method at all) and then the method of [`Edge`],
//! which parses the request with all its violations at once, runs the use case, and converts the outcome. A method has no branch in it.

mod audit;
mod credentials;
mod events;
mod invitations;
mod layers;
mod members;
mod operators;
mod organizations;
mod permissions;
mod sessions;
mod users;
mod wire;

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

pub use layers::descriptor::DESCRIPTOR_SET;

#[cfg(test)]
pub(crate) use layers::authenticate::Admitted;
pub(crate) use layers::{
    around::AroundLayer, authenticate::Authenticate, buffer_request::BufferRequest, deadline::Deadline, peer::Peer,
    trace::Trace,
};
pub(crate) use wire::edge::Edge;
