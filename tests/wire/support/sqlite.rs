//! A migrated SQLite file without a row, made once for the time of one test process, of which each world's file is a copy.
//!
//! That a server migrates an empty file by itself is what `first_start` and the tests of processes show.

use std::path::Path;

use roster_migrations::Migrator;
use sea_orm::ConnectionTrait;
use sea_orm_migration::MigratorTrait;
use tokio::sync::OnceCell;

use super::postgres::connect;

static MIGRATED: OnceCell<Result<Vec<u8>, String>> = OnceCell::const_new();

/// Puts an empty, migrated database where there is none yet.
pub(crate) async fn create_database(file: &Path) -> Result<(), String> {
    let migrated = MIGRATED.get_or_init(migrate).await.as_ref().map_err(Clone::clone)?;
    std::fs::write(file, migrated).map_err(|error| format!("{}: {error}", file.display()))
}

async fn migrate() -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("migrated.db");
    let database = connect(&format!("sqlite://{}?mode=rwc", file.display())).await?;
    let text = |error: sea_orm::DbErr| format!("migrating the file: {error}");
    // As a server leaves it; the switch costs each world a write to the disk otherwise.
    database.execute_unprepared("PRAGMA journal_mode = WAL").await.map_err(text)?;
    Migrator::up(&database, None).await.map_err(text)?;
    // The last connection that closes moves everything into the file itself.
    database.close().await.map_err(text)?;
    std::fs::read(&file).map_err(|error| error.to_string())
}
