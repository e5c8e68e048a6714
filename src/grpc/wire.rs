//! From messages to commands and back: fields and their violations, masks, pages, times, and the one mapping of errors to statuses.

pub(crate) mod convert;
pub(crate) mod edge;
pub(crate) mod fields;
pub(crate) mod mask;
pub(crate) mod pieces;
pub(crate) mod requests;
mod responses;
pub(crate) mod status;
