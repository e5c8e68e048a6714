//! How often somebody may answer wrongly.

use std::time::Duration;

use clap::Args;

use super::values::duration;

/// Attempts to sign in.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Attempts")]
pub struct SignInConfig {
    /// Wrong passwords in a row for one account before the next attempt has to wait.
    #[arg(long, env = "ROSTER_SIGN_IN_FAILURES", default_value_t = 10, value_name = "NUMBER")]
    pub sign_in_failures: u32,
    /// The first wait; each further wrong password doubles it.
    #[arg(long, env = "ROSTER_SIGN_IN_DELAY", default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub sign_in_delay: Duration,
    /// The longest wait.
    #[arg(long, env = "ROSTER_SIGN_IN_LONGEST_DELAY", default_value = "1h", value_parser = duration, value_name = "DURATION")]
    pub sign_in_longest_delay: Duration,
    /// Wrong passwords and codes an hour from one part of the network (an address of IPv4, a /64 of IPv6), as services report it in `roster-client-ip`.
    #[arg(long, env = "ROSTER_SIGN_IN_NETWORK_FAILURES", default_value_t = 100, value_name = "NUMBER")]
    pub sign_in_network_failures: u32,
    /// Wrong passwords and codes an hour that one service account passes on. Where people call without a service, one address that they connect from; lower it to the
    /// number above if that is not a proxy's.
    #[arg(long, env = "ROSTER_SIGN_IN_CALLER_FAILURES", default_value_t = 10_000, value_name = "NUMBER")]
    pub sign_in_caller_failures: u32,
}
