//! The services of operators: service accounts and deliveries.

mod deliveries;
mod service_accounts;
