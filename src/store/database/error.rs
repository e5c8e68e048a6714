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

impl StoreError {
    /// What a failure of the library means for whoever called.
    pub(crate) fn of(error: &DbErr) -> Self {
        let text = plain(error);
        match error {
            DbErr::ConnectionAcquire(_) => StoreError::Unavailable(text),
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => classify(cause, text),
            _ => StoreError::Defect(text),
        }
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        Self::of(&error)
    }
}

impl From<SqlxError> for StoreError {
    fn from(error: SqlxError) -> Self {
        classify(&error, error.to_string())
    }
}

fn classify(error: &SqlxError, text: String) -> StoreError {
    match error {
        SqlxError::Database(database) if database.is_unique_violation() => StoreError::Duplicate(text),
        SqlxError::Database(database) => match database.code().as_deref().map(Cause::of) {
            Some(Cause::Busy) => StoreError::Busy(text),
            Some(Cause::Unavailable) => StoreError::Unavailable(text),
            _ => StoreError::Defect(text),
        },
        SqlxError::Io(_) | SqlxError::PoolTimedOut | SqlxError::PoolClosed | SqlxError::WorkerCrashed => {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Defect(text),
    }
}

enum Cause {
    Busy,
    Unavailable,
    Other,
}

impl Cause {
    /// By SQLSTATE on PostgreSQL, which has five characters, and by result code on SQLite, a number.
    fn of(code: &str) -> Self {
        match code.len() {
            5 => Self::of_postgres(code),
            _ => Self::of_sqlite(code.parse().unwrap_or_default()),
        }
    }

    fn of_postgres(code: &str) -> Self {
        match code {
            // serialization_failure, deadlock_detected, lock_not_available
            "40001" | "40P01" | "55P03" => Self::Busy,
            // admin_shutdown, crash_shutdown, cannot_connect_now, io_error, read_only_sql_transaction (a standby)
            "57P01" | "57P02" | "57P03" | "58030" | "25006" => Self::Unavailable,
            // connection exceptions; insufficient resources: disk, memory, connections
            _ if code.starts_with("08") || code.starts_with("53") => Self::Unavailable,
            _ => Self::Other,
        }
    }

    /// Extended codes carry the primary one in their lowest eight bits (sqlite.org/rescode.html).
    fn of_sqlite(code: u32) -> Self {
        match code & 0xff {
            // SQLITE_BUSY, _LOCKED
            5 | 6 => Self::Busy,
            // SQLITE_NOMEM, _READONLY, _IOERR, _FULL, _CANTOPEN
            7 | 8 | 10 | 13 | 14 => Self::Unavailable,
            _ => Self::Other,
        }
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
