//! The wire tests: everything is done over gRPC as a calling service would do it, with a real database and a real mail server.
//!
//! Each test runs on SQLite and on PostgreSQL, in a world of its own (`support::world`). Without PostgreSQL on this machine its
//! half is ignored and the runner says so; `ROSTER_TEST_REQUIRE_POSTGRES=1` makes that a failure. `ROSTER_TEST_ROUNDS=1000` is the
//! long form of the race tests.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this is test code, where a panic is a verdict, and it measures real time"
)]

mod acceptance;
mod access_matrix;
mod activity;
mod addresses;
mod attempts;
mod audit;
mod bad_input;
mod before_and_after;
mod claims;
mod climbing;
mod clocks;
mod contacts;
mod conventions;
mod credentials;
mod custom_roles;
mod custom_roles_load;
mod database_faults;
mod deliveries;
mod disk;
mod emails;
mod enumeration;
mod first_start;
mod harness;
mod idempotency;
mod identities;
mod import_command;
mod imports;
mod instants;
mod invitations;
mod invitations_together;
mod kill;
mod lifecycle;
mod mail_budgets;
mod members;
mod mfa;
mod mfa_bounds;
mod migrations;
mod model_files;
mod models_over_the_wire;
mod organizations;
mod outbox_faults;
mod outdated;
mod ownership;
mod paging;
mod permissions;
mod planted;
mod races;
mod races_acceptance;
mod races_members;
mod races_ownership;
mod races_requests;
mod races_tokens;
mod real_provider;
mod recovery;
mod repeatable;
mod restored_backups;
mod rights_before_locks;
mod rollback;
mod safety_accounts;
mod safety_callers;
mod safety_kit;
mod safety_load;
mod safety_otlp;
mod safety_process;
mod safety_reads;
mod safety_text;
mod safety_tokens;
mod scale;
mod service_accounts;
mod sessions;
mod sign_in_history;
mod snapshots;
mod step_up;
#[expect(dead_code, reason = "the kit is larger than what the tests of one day use")]
mod support;
mod surface;
mod telemetry;
mod tour;
mod transport;
mod upkeep;
mod user_states;
mod users;
mod what_others_see;
mod withdrawn;

fn main() -> std::process::ExitCode {
    if std::env::var_os(support::grpcurl::SWITCH).is_some() {
        return support::grpcurl::main();
    }
    support::runner::main()
}
