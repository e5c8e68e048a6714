//! Ratios of what Roster's calls cost to what they cannot cost less than, on this machine and in one run: `cargo bench --bench ratios`.
//!
//! Absolute figures drift by a factor of two on shared machines. So each figure is a ratio of two things that are measured in turn, several times, and its median is told. It prints one line
//! for each, `ratio NAME value goal`, and writes them with all slices to `target/ratios.json`. Names behind `--` run only those; `--quick` makes everything smaller.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that fails is told by a panic"
)]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock of the machine")]

mod load;
mod machine;
#[path = "../../tests/wire/support/place.rs"]
mod place;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/wire/support/postgres.rs"]
mod postgres;
mod ratios;
mod site;

use std::{fs, time::Duration};

use serde_json::json;

use crate::{
    ratios::Ratio,
    site::{Database, Site},
};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// How long a slice is.
    pub(crate) slice: Duration,
    /// Slices of each of the two.
    pub(crate) slices: usize,
    /// Members of the large organization.
    pub(crate) members: usize,
    /// Members who are asked about in turn.
    pub(crate) asked: usize,
    /// Rights that are taken away and asked for elsewhere.
    pub(crate) rounds: usize,
}

const FULL: Effort =
    Effort { slice: Duration::from_secs(3), slices: 5, members: 1_000_000, asked: 20_000, rounds: 100_000 };
const QUICK: Effort =
    Effort { slice: Duration::from_millis(700), slices: 5, members: 20_000, asked: 5_000, rounds: 300 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let effort = if arguments.iter().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ratios = runtime.block_on(async {
        let mut ratios: Vec<Ratio> = Vec::new();
        for database in [Database::Postgres, Database::Sqlite] {
            let site = Site::open(database, effort).await;
            ratios.extend(ratios::measure(&site, effort, &names).await);
            site.close().await;
        }
        postgres::stop_shared().await;
        ratios
    });
    let written: Vec<_> = ratios.iter().map(|ratio| json!({ "name": ratio.name, "database": ratio.database, "value": ratio.value, "goal": ratio.goal, "unit": ratio.unit, "a": ratio.a, "b": ratio.b })).collect();
    fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/target/ratios.json"), json!({ "ratios": written }).to_string())
        .unwrap();
}
