//! The database itself: opened, written to safely, watched and compared; and how values rest in it.

pub(super) mod columns;
pub(super) mod commit_mark;
pub(super) mod connect;
pub(super) mod error;
pub(super) mod signal;
pub(super) mod skew;
pub(super) mod writer;
