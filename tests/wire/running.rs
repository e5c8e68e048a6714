//! The program as its operators run it: start and stop, connections, databases and mail servers that fail, migrations, load.

pub(crate) mod brands;
pub(crate) mod clocks;
pub(crate) mod database_faults;
pub(crate) mod disk;
pub(crate) mod first_start;
pub(crate) mod following;
pub(crate) mod harness;
pub(crate) mod import_command;
pub(crate) mod kill;
pub(crate) mod lifecycle;
pub(crate) mod migrations;
pub(crate) mod model_files;
pub(crate) mod outbox_faults;
pub(crate) mod restored_backups;
pub(crate) mod rollback;
pub(crate) mod scale;
pub(crate) mod snapshots;
pub(crate) mod telemetry;
pub(crate) mod transport;
pub(crate) mod upkeep;
