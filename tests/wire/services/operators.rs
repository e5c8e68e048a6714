//! What operators use: service accounts and deliveries.

pub(crate) mod audit;
pub(crate) mod deliveries;
pub(crate) mod service_accounts;
