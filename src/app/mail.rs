//! Mail that use cases send: put into the outbox, within budgets.

pub(crate) mod budgets;
pub(crate) mod queue;
