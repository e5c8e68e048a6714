//! What can go wrong with a database, in the terms that a caller can act on.

use sea_orm::{DbErr, RuntimeErr, SqlxError};

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another transaction got in the way; the whole transaction may be tried again.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// A row with this key exists.
    #[error("a row with this key exists: {0}")]
    Duplicate(String),
    /// The database does not answer. The outcome of a commit that failed like this is unknown.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// Anything else: a defect.
    #[error("{0}")]
    Defect(String),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        let text = plain(&error);
        match &error {
            DbErr::ConnectionAcquire(_) => StoreError::Unavailable(text),
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => classify(cause, text),
            _ => StoreError::Defect(text),
        }
    }
}

impl From<SqlxError> for StoreError {
    fn from(error: SqlxError) -> Self {
        classify(&error, error.to_string())
    }
}

/// By SQLSTATE on PostgreSQL, by result code on SQLite.
fn classify(error: &SqlxError, text: String) -> StoreError {
    match error {
        SqlxError::Database(database) if database.is_unique_violation() => StoreError::Duplicate(text),
        SqlxError::Database(database) => match database.code().as_deref() {
            // serialization_failure, deadlock_detected, lock_not_available; SQLITE_BUSY, _LOCKED, _BUSY_RECOVERY, _BUSY_SNAPSHOT
            Some("40001" | "40P01" | "55P03" | "5" | "6" | "261" | "517") => StoreError::Busy(text),
            // connection exceptions, admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections; SQLITE_IOERR, _FULL, _CANTOPEN
            Some(code)
                if code.starts_with("08")
                    || matches!(code, "57P01" | "57P02" | "57P03" | "53300" | "10" | "13" | "14") =>
            {
                StoreError::Unavailable(text)
            }
            _ => StoreError::Defect(text),
        },
        SqlxError::Io(_) | SqlxError::PoolTimedOut | SqlxError::PoolClosed | SqlxError::WorkerCrashed => {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Defect(text),
    }
}

/// The message without details: PostgreSQL's detail line prints the key's value, which may be an address.
fn plain(error: &DbErr) -> String {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => match &**cause {
            SqlxError::Database(database) => database.message().to_owned(),
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}
