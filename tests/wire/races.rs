//! Calls that meet: the same or opposite calls at once, over two servers on one database. Each fails with its lock taken out.

pub(crate) mod acceptance;
pub(crate) mod accounts;
pub(crate) mod join_links;
pub(crate) mod members;
pub(crate) mod ownership;
pub(crate) mod requests;
pub(crate) mod tokens;
