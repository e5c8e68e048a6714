//! Why a check was answered with no.

use crate::domain::{access_model::AccessModel, member::DenyReason};

/// Why a check was answered with no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    /// The user may do nothing there. That they are no member, or one of the two does not exist: the answer does not tell which.
    Denied(DenyReason),
    /// The roles do not hold the permission.
    NotGranted,
    /// The access model has no such permission: it is misspelt, or of another product.
    Unknown,
}

impl Denial {
    /// Of a permission that somebody's roles do not hold.
    pub(super) fn of_missing(model: &AccessModel, permission: &str) -> Self {
        match model.permission(permission) {
            Some(_) => Denial::NotGranted,
            None => Denial::Unknown,
        }
    }
}
