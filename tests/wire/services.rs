//! What each service does, one file for each part of it.

pub(crate) mod credentials;
pub(crate) mod events;
pub(crate) mod invitations;
pub(crate) mod members;
pub(crate) mod operators;
pub(crate) mod organizations;
pub(crate) mod permissions;
pub(crate) mod sessions;
pub(crate) mod users;
