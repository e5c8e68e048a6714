//! How long accounts last that are to go.

use std::time::Duration;

use clap::Args;

use super::values::duration;

/// Accounts.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Accounts")]
pub struct AccountConfig {
    /// How long after a person has asked for it their account is deleted. Until then they can take it back.
    #[arg(long, env = "ROSTER_DELETION_DELAY", default_value = "14d", value_parser = duration, value_name = "DURATION")]
    pub deletion_delay: Duration,
    /// How long a deleted account holds its password, its second factor and its telephone number. Until then UndeleteUser brings it back with them.
    #[arg(long, env = "ROSTER_DELETED_RETENTION", default_value = "30d", value_parser = duration, value_name = "DURATION")]
    pub deleted_retention: Duration,
}
