//! Why a use case did not do what it was asked for.

use crate::{
    domain::error::{Reason, Refusal, Violation},
    platform::{hashing::HashError, keyring::KeyringError},
    store::StoreError,
};

/// What a use case's functions answer.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a use case did not do what it was asked for. In every case nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A rule refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Fields of the request break their constraints.
    #[error("the request breaks constraints of its fields")]
    Invalid(Vec<Violation>),
    /// Concurrent writes kept getting in the way.
    #[error("{0}")]
    Busy(String),
    /// The database does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// Too many are asking at once.
    #[error("the server sheds load")]
    Overloaded,
    /// Something is wrong with this program or its installation.
    #[error("{0}")]
    Internal(String),
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Error::Refused(reason.into())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Busy(_) => Error::Busy(text),
            StoreError::Unavailable(_) => Error::Unavailable(text),
            StoreError::Duplicate(_) | StoreError::Defect(_) => Error::Internal(text),
        }
    }
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Error::Overloaded,
            // Only a password that somebody has chosen can be, and that is a violation of its field.
            failed @ (HashError::Failed(_) | HashError::Unacceptable(_)) => Error::Internal(failed.to_string()),
        }
    }
}

impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        Error::Internal(format!("a stored secret cannot be opened: {error}"))
    }
}

impl Error {
    /// One violated field.
    pub(crate) fn violation(field: &str, description: impl Into<String>) -> Self {
        Error::Invalid(vec![Violation { field: field.to_owned(), description: description.into() }])
    }

    /// Whether the whole transaction may be tried again at once.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Error::Busy(_))
    }
}
