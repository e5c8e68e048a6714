//! What every use case has in common: who calls and by which rule, the proof of their right, the one way of a mutation, pages, errors.

pub(crate) mod access;
pub(crate) mod authentication;
pub(crate) mod caller;
pub(crate) mod context;
pub(crate) mod directory;
pub(crate) mod error;
pub(crate) mod models;
pub(crate) mod mutation;
pub(crate) mod paging;
pub(crate) mod rule;
pub(crate) mod service_authorization;
