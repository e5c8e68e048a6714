//! Why the program does not start.

use std::net::SocketAddr;

use crate::{app::call::error::Error, store::StoreError};

/// Why the program does not start, as a sentence for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings do not fit together.
    #[error("the settings do not fit together:\n  {}", .0.join("\n  "))]
    Settings(Vec<String>),
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// Something of the installation is not as it has to be.
    #[error("{0}")]
    Installation(String),
    /// The database does not answer.
    #[error("{0}")]
    DatabaseUnavailable(String),
    /// The database's schema is older than this program.
    #[error("the database's schema is older than this program: run `roster migrate` first")]
    SchemaBehind,
    /// Somebody asked to stop before the start was through.
    #[error("asked to stop while starting")]
    Stopped,
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Busy(_) => StartError::DatabaseUnavailable(error.to_string()),
            StoreError::Duplicate(_) | StoreError::Defect(_) => {
                StartError::Installation(format!("the database: {error}"))
            }
        }
    }
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy(cause) | Error::Unavailable(cause) => StartError::DatabaseUnavailable(cause),
            other => StartError::Installation(other.to_string()),
        }
    }
}
