//! What a call passes before its method: its span, its whole message, who calls and by which rule, and its deadline.

pub(crate) mod around;
pub(crate) mod authenticate;
pub(crate) mod buffer_request;
pub(crate) mod deadline;
pub(crate) mod descriptor;
pub(crate) mod peer;
pub(crate) mod trace;
