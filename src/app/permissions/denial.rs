//! Why a check was answered with no.

use crate::domain::member::DenyReason;

/// Why a check was answered with no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// The user may do nothing there. That they are no member, or one of the two does not exist: the answer does not tell which.
    Denied(DenyReason),
    /// The roles do not hold the permission.
    NotGranted,
}
