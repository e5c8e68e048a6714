//! What is kept in memory.

use clap::Args;

/// What authentication and checks read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Directory")]
pub struct DirectoryConfig {
    /// How many bytes of keys, sessions, users, organizations and memberships are kept in memory, for authentication and checks. They are as exact as the database: an answer never rests on
    /// what was changed before its call arrived. 0 keeps nothing, and asks the database each time.
    #[arg(long, env = "ROSTER_DIRECTORY_BYTES", default_value_t = 33_554_432, value_name = "BYTES")]
    pub directory_bytes: u64,
}
