//! The command line of `roster admin`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use secrecy::SecretString;
use uuid::Uuid;

use super::{DatabaseConfig, SecretFile, duration};

/// Settings of `admin`.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// The server to talk to.
    #[arg(long, env = "ROSTER_ENDPOINT", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    pub endpoint: String,
    /// The operator key, by its variable alone: every user of the machine can read a command line. Unset: the one that the first start left in the data directory.
    #[arg(long, env = "ROSTER_OPERATOR_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<SecretString>,
    /// A file that holds the operator key.
    #[arg(long, env = "ROSTER_OPERATOR_KEY_FILE", conflicts_with = "key", value_name = "FILE")]
    pub key_file: Option<SecretFile>,
    /// The certificates (PEM) that the server's is checked against. Unset: those of the well-known authorities.
    #[arg(long, env = "ROSTER_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// The data directory of a server on this machine, for its operator key.
    #[arg(long, env = "ROSTER_DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: AdminCommand,
}

impl AdminArgs {
    /// The operator key: given, or from the file given, or as the first start left it in the data directory.
    ///
    /// # Errors
    /// A sentence for the operator when there is none.
    pub fn operator_key(&self) -> Result<SecretString, String> {
        match (&self.key, &self.key_file) {
            (Some(key), _) => Ok(key.clone()),
            (None, Some(file)) => Ok(file.secret().clone()),
            (None, None) => {
                let path = self.data_dir.join(OPERATOR_KEY_FILE);
                let left = path.to_string_lossy().parse::<SecretFile>();
                left.map(|file| file.secret().clone())
                    .map_err(|error| format!("no operator key: set ROSTER_OPERATOR_KEY, or make one by `roster admin bootstrap-key`; {}: {error}", path.display()))
            }
        }
    }
}

/// The file of the data directory in which the first start leaves the operator key.
pub const OPERATOR_KEY_FILE: &str = "operator-key";

/// What an operator can do.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// List the organizations: id, state, access model, name.
    Organizations,
    /// List the service accounts: id, state, scopes, name.
    ServiceAccounts,
    /// Create a service account with a key, and print the key.
    CreateKey {
        /// The name of the service account.
        #[arg(value_name = "NAME")]
        name: String,
        /// What the key may do, such as `permissions.check`.
        #[arg(long = "scope", required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
        /// The id of an organization that the key is confined to; may come several times. Without any, the key reaches all.
        #[arg(long = "organization", value_name = "ID")]
        organizations: Vec<String>,
    },
    /// Revoke a key.
    RevokeKey {
        /// The service account's id.
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// The key's id.
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// List the outbox, newest first: id, state, attempts, recipient, last error.
    Messages {
        /// Only those that were given up.
        #[arg(long)]
        failed: bool,
    },
    /// Queue failed messages again.
    RetryMessages {
        /// Their ids.
        #[arg(required = true, value_name = "MESSAGE")]
        messages: Vec<String>,
    },
    /// Verify the records of changes: id, INTACT or BROKEN, whole entries, and the last whole entry's hash and how many are sealed, or the broken entry and its flaw. Then compare members,
    /// service accounts and keys with what the records say: id, DIFFERS, whose row, what is recorded, what is there.
    Verify {
        /// Only these organizations; none means all.
        #[arg(value_name = "ORGANIZATION")]
        organizations: Vec<String>,
    },
    /// Put an access model in place: what it decides otherwise, whose rights change, and how many members' they are. Every server decides by it from the next call on.
    PutModel {
        /// The document.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Only tell what would come of it.
        #[arg(long)]
        validate_only: bool,
    },
    /// Bring people in from another system, out of a file of JSON Lines. Started again with the same file, it goes on where it ended. Ends with 0 where
    /// everybody has come, with 3 where lines were refused, and with 1 where it could not go on.
    Import(ImportArgs),
    /// Create an operator key directly in the database: for when there is none, or all are lost.
    BootstrapKey(Box<DatabaseConfig>),
    /// After a backup was restored, and before it is served: end all sessions, links, codes and kept answers directly in the database, and list what may have been
    /// taken away since the backup: open invitations, transfers of ownership that wait, and keys, oldest first.
    AfterRestore(Box<AfterRestoreArgs>),
}

/// What `admin after-restore` is told.
#[derive(Debug, Args)]
pub struct AfterRestoreArgs {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// Also revoke every open invitation: those that were revoked or declined since the backup are open again. And every join link by which people can join.
    #[arg(long)]
    pub revoke_invitations: bool,
}

/// What `admin import` is told.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file, with a person on each line: an object with the fields of `UserToImport`. `-`: standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The name of the import, a UUID: to go on with a file that has been corrected since, or with standard input. Left out: it follows from the file's content.
    #[arg(long, value_name = "UUID")]
    pub import_id: Option<Uuid>,
    /// Only tell what would be refused. What two lines of different batches both want is not seen.
    #[arg(long)]
    pub validate_only: bool,
    /// Where the refused lines are told, as JSON Lines. Left out: on standard output.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where is told which line has which account, as JSON Lines.
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// How many people are sent and committed at a time.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=500), value_name = "NUMBER")]
    pub batch_size: u16,
    /// How long a batch is repeated while the server is away or busy.
    #[arg(long, default_value = "2m", value_parser = duration, value_name = "DURATION")]
    pub retry_for: Duration,
}
