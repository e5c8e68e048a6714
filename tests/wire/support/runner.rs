//! Registers the wire tests and runs each of them once per database.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use super::world::World;
use super::{postgres, real_provider, schedule};

/// How long one test may take before it counts as hanging. Long forms of race tests get more, see [`rounds`].
const PATIENCE: Duration = Duration::from_secs(480);

/// The tests that need an identity provider that is not ours.
const NEEDS_PROVIDER: &str = "services::credentials::real_provider";

/// How long messages may take to leave the outbox once a test's body is through.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// One database that a test runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

pub(crate) const BOTH: &[Database] = &[Database::Sqlite, Database::Postgres];
pub(crate) const SQLITE_ONLY: &[Database] = &[Database::Sqlite];
pub(crate) const POSTGRES_ONLY: &[Database] = &[Database::Postgres];

/// What a test is called with.
pub(crate) enum Body {
    /// On each of the databases, with a world of its own.
    World(&'static [Database], fn(World) -> BoxFuture<'static, ()>),
    /// Once, without a server.
    Once(fn() -> BoxFuture<'static, ()>),
}

/// One registered test; `#[wire_test]` makes them.
pub(crate) struct WireTest {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) body: Body,
}

inventory::collect!(WireTest);

/// How many rounds a race test runs: 10, or what `ROSTER_TEST_ROUNDS` says (1,000 in the long form).
pub(crate) fn rounds() -> usize {
    std::env::var("ROSTER_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// Runs what the command line asks for.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Some((name, _)) =
        std::env::vars().find(|(name, _)| name.starts_with("ROSTER_") && !name.starts_with("ROSTER_TEST_"))
    {
        // Every server of every test would read it.
        say(&format!("{name} is set in the environment; unset it, the tests choose their own settings"));
        return ExitCode::FAILURE;
    }
    install_panic_hook();
    let runtime: &'static Runtime = Box::leak(Box::new(Runtime::new().expect("starting tokio")));

    let missing = postgres::locate().err();
    let without_provider = real_provider::missing();
    let required = std::env::var_os("ROSTER_TEST_REQUIRE_POSTGRES").is_some_and(|value| value != "0");
    let tally: &'static Tally = Box::leak(Box::default());
    let (mut trials, mut alone) = (Vec::new(), Vec::new());
    for test in inventory::iter::<WireTest> {
        let trials = if schedule::ALONE.contains(&test.name) { &mut alone } else { &mut trials };
        let module = test.module.split_once("::").map_or("", |(_, inner)| inner);
        let Body::World(databases, body) = test.body else {
            let Body::Once(body) = test.body else { unreachable!() };
            let name = format!("once::{module}::{}", test.name);
            let called = name.clone();
            let run = move || tally.once.count(test.name, tally.timed(called, || runtime.block_on(guard(body()))));
            trials.push(Trial::test(name, run));
            continue;
        };
        for &database in databases {
            let name = format!("{}::{module}::{}", database.name(), test.name);
            let ignored = database == Database::Postgres && missing.is_some() && !required
                || module == NEEDS_PROVIDER && without_provider.is_some();
            let called = name.clone();
            let run = move || {
                let outcome = tally.timed(called, || runtime.block_on(in_world(database, body)));
                tally.of(database).count(test.name, outcome)
            };
            trials.push(Trial::test(name, run).with_ignored_flag(ignored));
        }
    }
    let passed = schedule::run(&arguments, trials, alone);
    runtime.block_on(postgres::stop_shared());
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    report(tally, missing.as_deref(), required);
    tally.say_slowest();
    if let Some(why) = without_provider {
        say(&format!("The tests at an identity provider that is not ours were ignored: {why}"));
    }
    let stray = STRAY_PANICS.load(Ordering::SeqCst);
    if stray > 0 {
        // A task of the server panicked while no test was looking: an outage for whoever shared the process.
        say(&format!("FAILED: {stray} panics outside of the tests' own tasks, see above"));
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::from(!passed))
}

fn report(tally: &Tally, missing: Option<&str>, required: bool) {
    for (name, counts) in [("sqlite", &tally.sqlite), ("postgres", &tally.postgres), ("once", &tally.once)] {
        let [passed, failed] = [&counts.passed, &counts.failed].map(|count| count.load(Ordering::SeqCst));
        say(&format!("{name}: {passed} passed, {failed} failed"));
        let promises = counts.promises.lock().unwrap_or_else(PoisonError::into_inner);
        if !promises.is_empty() {
            let kept = promises.values().filter(|kept| **kept).count();
            say(&format!("{name}: {kept} of the promises in docs/claims.md shown, {} broken", promises.len() - kept));
        }
    }
    if let Some(why) = missing {
        let what = if required { "failed" } else { "were ignored" };
        say(&format!("The tests on PostgreSQL {what}: {why}"));
    }
}

#[expect(clippy::print_stdout, reason = "a test runner talks to whoever started it")]
fn say(line: &str) {
    println!("{line}");
}

/// Runs one test in a world of its own; what the world finds wrong afterwards fails the test too.
async fn in_world(database: Database, body: fn(World) -> BoxFuture<'static, ()>) -> Result<(), String> {
    let world = World::start(database).await.map_err(|why| format!("the test could not start: {why}"))?;
    let outcome = guard(body(world.clone())).await;
    let problems = guard(Box::pin(world.finish(outcome.is_ok(), SETTLE_PATIENCE))).await?;
    outcome?;
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Runs a future in a task, so that it uses all threads, and turns a panic or a hang into an error.
async fn guard<T: Send + 'static>(future: BoxFuture<'static, T>) -> Result<T, String> {
    let caught = AssertUnwindSafe(future).catch_unwind().map(|outcome| outcome.map_err(describe_panic));
    let mut task = tokio::spawn(TEST_TASK.scope((), caught));
    // The long forms share the machine with each other.
    let patience = PATIENCE.max(Duration::from_secs(5 * rounds() as u64));
    match tokio::time::timeout(patience, &mut task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(broken)) => Err(format!("the test's task ended: {broken}")),
        Err(_) => {
            task.abort();
            Err(format!("the test hangs: no end after {} seconds", patience.as_secs()))
        }
    }
}

tokio::task_local! {
    /// Marks the task of a test, whose panics are reported with the test and not by the hook.
    static TEST_TASK: ();
}

thread_local! {
    /// Where the last panic of a test on this thread happened, and what it said.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics that no test has caught: in tasks of the server, mostly.
static STRAY_PANICS: AtomicUsize = AtomicUsize::new(0);

fn install_panic_hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if TEST_TASK.try_with(|()| ()).is_ok() {
            LAST_PANIC.set(Some(panic.to_string()));
        } else {
            STRAY_PANICS.fetch_add(1, Ordering::SeqCst);
            usual(panic);
        }
    }));
}

/// To be called on the thread of the panic, directly after it.
fn describe_panic(_payload: Box<dyn Any + Send>) -> String {
    LAST_PANIC.take().unwrap_or_else(|| "a panic without a message".to_owned())
}

/// The promises that a test is named by: `jp_01_..` is named by one, `jp_15_.._and_jp_16_..` by two.
fn promises_of(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let is_promise = |pair: &&[&str]| {
        ["jp", "js", "jh", "cp", "pf"].contains(&pair[0])
            && pair[1].len() == 2
            && pair[1].bytes().all(|b| b.is_ascii_digit())
    };
    words.windows(2).filter(is_promise).map(|pair| pair.concat()).collect()
}

#[derive(Default)]
struct Counts {
    passed: AtomicUsize,
    failed: AtomicUsize,
    /// Whether every test of a promise has passed, by the promise.
    promises: Mutex<BTreeMap<String, bool>>,
}

impl Counts {
    fn count(&self, name: &str, outcome: Result<(), String>) -> Result<(), Failed> {
        let mut promises = self.promises.lock().unwrap_or_else(PoisonError::into_inner);
        for promise in promises_of(name) {
            *promises.entry(promise).or_insert(true) &= outcome.is_ok();
        }
        drop(promises);
        let counter = if outcome.is_ok() { &self.passed } else { &self.failed };
        counter.fetch_add(1, Ordering::SeqCst);
        outcome.map_err(Failed::from)
    }
}

#[derive(Default)]
struct Tally {
    sqlite: Counts,
    postgres: Counts,
    once: Counts,
    /// How long each test took.
    times: Mutex<Vec<(Duration, String)>>,
}

impl Tally {
    fn timed<T>(&self, name: String, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let outcome = run();
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push((start.elapsed(), name));
        outcome
    }

    /// Says which tests took longest, as many as `ROSTER_TEST_SLOWEST` asks for.
    fn say_slowest(&self) {
        let wanted = std::env::var("ROSTER_TEST_SLOWEST").ok();
        let wanted = wanted.and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.sort();
        for (took, name) in times.iter().rev().take(wanted) {
            say(&format!("{:7.2} s {name}", took.as_secs_f64()));
        }
    }

    const fn of(&self, database: Database) -> &Counts {
        match database {
            Database::Sqlite => &self.sqlite,
            Database::Postgres => &self.postgres,
        }
    }
}
