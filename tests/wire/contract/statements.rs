//! How many statements each method sends to PostgreSQL, held by a file: fewer is a change of the file, more is a failure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use roster::http::probe;
use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;

use crate::support::callers::{House, Scopes, Stage, Who};
use crate::support::contents::Watcher;
use crate::support::dynamic::Contract;
use crate::support::process::{Addresses, Process};
use crate::support::tenant::Seat;
use crate::support::world::World;

/// Who calls each method: a service, and a person. The columns of the file.
const CALLERS: [(&str, Who); 2] =
    [("service", Who::Key(Scopes::Operator)), ("person", Who::Session(House::Home, Seat::Owner))];

/// What the file begins with.
const HEAD: &str = "\
# Statements that a call sends to PostgreSQL, BEGIN and COMMIT among them, when what authentication reads is in memory. The reading of the log that confirms it is not counted: calls share it.
# A test holds every number: `UPDATE_GOLDEN=1 cargo test --test wire statements` writes them anew. `-` is a caller who is refused.
";

/// The sum of the statements of a method's calls so far.
async fn sent(addresses: &Addresses, path: &str) -> f64 {
    let (_, page) = probe(addresses.http, "/metrics", Duration::from_secs(5)).await.unwrap();
    let label = format!("rpc_method=\"{path}\"");
    let of_method = |line: &&str| line.starts_with("roster_call_statements_sum{") && line.contains(&label);
    page.lines().find(of_method).map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Rows are put back behind the server: it reads everything anew once it sees the event of a restored backup.
const FORGET: &str = "INSERT INTO events (organization_id, revision, stream, kind, data, hash, create_time) \
    SELECT '00000000-0000-0000-0000-000000000000', 1000000, 'installation', 'installation.restored', '{}', '', now()";

/// Every method that a caller may call sends as many statements as the file says.
#[wire_test(postgres)]
async fn no_call_sends_more_statements_than_it_did(world: World) {
    let contract = Contract::load();
    let mut stage = Stage::set(&world, &contract).await;
    world.stop().await;
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    world.answered_by(&addresses);
    let watcher = Watcher::of(&world).await;
    let kept = watcher.keep().await;
    let methods = contract.methods();
    let reads = ["MemberService/ListMembers", "PermissionService/CheckPermission"];
    let warming: Vec<_> = methods.iter().filter(|method| reads.contains(&method.name().as_str())).collect();
    let mut table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for method in &methods {
        for (_, who) in CALLERS {
            world.database().execute_unprepared(FORGET).await.unwrap();
            for read in &warming {
                let message = stage.request(who, read, true).await;
                // A person asks about nobody else's permissions.
                let _ = read.call(world.channel(), stage.credentials(who, read), &message).await;
            }
            let message = stage.request(who, method, true).await;
            let credentials = stage.credentials(who, method);
            let before = sent(&addresses, &method.path()).await;
            let answer = method.call(world.channel(), credentials, &message).await;
            let statements = sent(&addresses, &method.path()).await - before;
            let cell = if answer.is_ok() { statements.to_string() } else { "-".to_owned() };
            table.entry(method.name()).or_default().push(cell);
            let after = watcher.look().await;
            watcher.put_back(&kept, &after).await;
        }
    }
    process.stop().await;

    let mut now = format!("{HEAD}\n{:58}{}\n", "method", CALLERS.map(|(name, _)| format!("{name:>8}")).concat());
    for (method, cells) in &table {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>8}")).collect();
        let _ = writeln!(now, "{method:58}{}", cells.concat());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/statements.txt");
    #[expect(clippy::disallowed_methods, reason = "a test's own switch is no setting of the service")]
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    let different: Vec<String> = now
        .lines()
        .filter(|line| !golden.lines().any(|known| known == *line))
        .map(|line| format!("now:    {line}"))
        .collect();
    assert!(
        now == golden,
        "other numbers of statements than tests/golden/statements.txt has:\n{}",
        different.join("\n")
    );
}
