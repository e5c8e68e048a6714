//! The wire tests: everything is done over gRPC as a calling service would do it, with a real database and a real mail server.
//!
//! Each test runs on SQLite and on PostgreSQL, in a world of its own (`support::world`). Without PostgreSQL on this machine its
//! half is ignored and the runner says so; `ROSTER_TEST_REQUIRE_POSTGRES=1` makes that a failure. `ROSTER_TEST_ROUNDS=1000` is the
//! long form of the race tests.

// The futures of the longest tests hold those of the steps that they are made of, each within the other, deeper than 128.
#![recursion_limit = "256"]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this is test code, where a panic is a verdict, and it measures real time"
)]

mod claims;
mod contract;
mod races;
mod running;
mod safety;
mod services;
#[expect(dead_code, reason = "the kit is larger than what the tests of one day use")]
mod support;

fn main() -> std::process::ExitCode {
    if std::env::var_os(support::grpcurl::SWITCH).is_some() {
        return support::grpcurl::main();
    }
    support::runner::main()
}
