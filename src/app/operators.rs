//! What operators do: service accounts, the first key, deliveries, and what follows a restored backup.

pub(crate) mod bootstrap;
pub(crate) mod deliveries;
pub(crate) mod restore;
pub(crate) mod service_accounts;
