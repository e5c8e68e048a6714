//! What callers take for granted: every method held against the contract, lists, request ids, and the tours of the documents.

pub(crate) mod access_matrix;
pub(crate) mod bad_input;
pub(crate) mod before_and_after;
pub(crate) mod conventions;
pub(crate) mod idempotency;
pub(crate) mod instants;
pub(crate) mod models;
pub(crate) mod paging;
pub(crate) mod recorded;
pub(crate) mod repeatable;
mod statements;
pub(crate) mod surface;
pub(crate) mod tour;
mod unchanged;
