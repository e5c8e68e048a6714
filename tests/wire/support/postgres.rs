//! A temporary PostgreSQL for the time of one test process: started at its first use, a database per test, gone afterwards.
//!
//! The server belongs to a watcher, a small shell process that reads a pipe of ours. When this process ends, in whatever way,
//! the pipe ends with it, and the watcher stops the server and removes its folder: nothing is left behind even by SIGKILL.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use roster_migrations::Migrator;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, Statement};
use sea_orm_migration::MigratorTrait;
use tokio::sync::{Mutex, OnceCell};

use super::place::passing;

/// How long the server may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// The superuser of the temporary server.
const USER: &str = "roster";
/// The migrated database that each test's database is a copy of.
const TEMPLATE: &str = "roster_template";

/// $1 the folder of the programs, $2 the folder to work in and to remove, the rest are the server's arguments.
const WATCHER: &str = r#"
programs=$1 folder=$2
shift 2
cd "$folder" || exit 1
up() { "$programs/postgres" -D "$folder/data" "$@" >>"$folder/log" 2>&1 </dev/null & server=$!; }
# More than once: a shell's background process ignores SIGQUIT until it installs a handler of its own.
down() { (while kill -QUIT "$server" 2>/dev/null; do sleep 0.1; done) & wait "$server" 2>/dev/null; wait; }
# Not scram, nor a password that is kept for it: its thousands of rounds are a tenth of a second for each connection of an unoptimized build, and
# milliseconds for the server.
"$programs/initdb" -D "$folder/data" -U roster --pwfile="$folder/password" --auth=md5 \
    --encoding=UTF8 --locale=C --no-sync >>"$folder/log" 2>&1 </dev/null || echo "FATAL: initdb failed" >>"$folder/log"
up "$@"
while read -r command; do
    case $command in
        crash) down ;;
        start) up "$@" ;;
    esac
done
down
cd / && rm -rf "$folder"
"#;

/// Finds the folder with `initdb` and `postgres`.
///
/// `PATH` comes first, then the places where packages put them, the newest version first.
pub(crate) fn locate() -> Result<PathBuf, String> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    for parent in ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut installed: Vec<PathBuf> =
            entries.filter(|path| path.to_string_lossy().contains("postgresql")).collect();
        installed.sort_by_key(|path| std::cmp::Reverse(version_of(path)));
        folders.extend(installed.into_iter().map(|path| path.join("bin")));
    }
    folders
        .into_iter()
        .find(|folder| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file()))
        .ok_or_else(|| {
            "initdb and postgres are neither in PATH nor in /usr/lib/postgresql/*/bin; install the server package of \
             PostgreSQL (apt-get install postgresql, dnf install postgresql-server, brew install postgresql)"
                .to_owned()
        })
}

/// The number at the end of `/usr/lib/postgresql/15` or `/opt/homebrew/opt/postgresql@17`.
fn version_of(path: &Path) -> u32 {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let digits = name.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

/// How much of what it acknowledges the server has kept when it, or its machine, is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Durability {
    /// No fsync: for tests that ask what happens, not how fast.
    Fast,
    /// What is acknowledged is written, though not to the disk: a process that is killed has kept it. For tests that kill it.
    Written,
    /// As in production: for measurements.
    Full,
}

/// A running temporary server.
pub(crate) struct Cluster {
    watcher: Mutex<(Child, Option<ChildStdin>)>,
    folder: PathBuf,
    port: u16,
    password: String,
    admin: DatabaseConnection,
    /// How a database is copied, at the end of a `CREATE DATABASE`.
    strategy: &'static str,
    databases: AtomicU32,
}

/// One test's database.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    pub(crate) name: String,
    pub(crate) url: String,
}

static SHARED: OnceCell<Result<Cluster, String>> = OnceCell::const_new();

/// The server that the tests of this process share.
pub(crate) async fn shared() -> Result<&'static Cluster, String> {
    SHARED.get_or_init(|| Cluster::start(Durability::Fast)).await.as_ref().map_err(Clone::clone)
}

/// Stops the shared server, if there is one, and waits until it is gone.
pub(crate) async fn stop_shared() {
    if let Some(Ok(cluster)) = SHARED.get() {
        cluster.stop().await;
    }
}

impl Cluster {
    /// Makes and starts a server with a migrated template database.
    pub(crate) async fn start(durability: Durability) -> Result<Self, String> {
        let programs = locate()?;
        let password = random_word();
        let port = free_port()?;
        let (folder, watcher, pipe) = watch(&programs, &password, port, durability)?;
        // From here on the watcher removes the folder, also when something below fails and the pipe is dropped.
        wait_until_ready(&folder, 0).await?;
        let admin = connect(&url(port, &password, "postgres")).await?;
        let strategy = strategy(&admin).await?;
        let watcher = Mutex::new((watcher, Some(pipe)));
        let cluster = Self { watcher, folder, port, password, admin, strategy, databases: AtomicU32::new(0) };
        cluster.make_template().await?;
        Ok(cluster)
    }

    async fn make_template(&self) -> Result<(), String> {
        self.execute(&format!("CREATE DATABASE {TEMPLATE}")).await?;
        let template = connect(&self.url(TEMPLATE)).await?;
        Migrator::up(&template, None).await.map_err(|error| format!("migrating the template: {error}"))?;
        // PostgreSQL copies no database that somebody is connected to.
        template.close().await.map_err(|error| error.to_string())
    }

    /// Makes an empty, migrated database.
    pub(crate) async fn create_database(&self) -> Result<TestDatabase, String> {
        self.copy(TEMPLATE).await
    }

    /// Makes a database that is like another one, to which nobody may be connected.
    pub(crate) async fn copy(&self, template: &str) -> Result<TestDatabase, String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let Self { strategy, .. } = self;
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE {template} {strategy}")).await?;
        Ok(TestDatabase { url: self.url(&name), name })
    }

    /// Drops a database and whoever is still connected to it.
    pub(crate) async fn drop_database(&self, database: &TestDatabase) -> Result<(), String> {
        self.execute(&format!("DROP DATABASE {} WITH (FORCE)", database.name)).await
    }

    /// Kills the server as a crash would, keeping its data; [`Cluster::resume`] starts it again.
    pub(crate) async fn crash(&self) -> Result<(), String> {
        self.tell("crash").await?;
        self.wait_until_gone().await
    }

    /// Starts a server that was crashed, and waits until it takes connections.
    pub(crate) async fn resume(&self) -> Result<(), String> {
        let log = fs::metadata(self.folder.join("log")).map_or(0, |log| log.len());
        self.tell("start").await?;
        wait_until_ready(&self.folder, log).await
    }

    /// Stops the server for good, removes its folder, and returns when both are done.
    pub(crate) async fn stop(&self) {
        let mut watcher = self.watcher.lock().await;
        drop(watcher.1.take());
        // The watcher ends by itself; there is nothing to do about it when it does not.
        let _ = tokio::task::block_in_place(|| watcher.0.wait());
    }

    /// Where a database of this server is.
    pub(crate) fn url(&self, database: &str) -> String {
        url(self.port, &self.password, database)
    }

    async fn tell(&self, command: &str) -> Result<(), String> {
        let mut watcher = self.watcher.lock().await;
        let pipe = watcher.1.as_mut().ok_or("the server has been stopped")?;
        writeln!(pipe, "{command}").map_err(|error| format!("the watcher of PostgreSQL is gone: {error}"))
    }

    async fn wait_until_gone(&self) -> Result<(), String> {
        let start = Instant::now();
        while self.folder.join("data/postmaster.pid").exists() {
            if start.elapsed() > START_PATIENCE {
                return Err("PostgreSQL does not stop".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn execute(&self, statement: &str) -> Result<(), String> {
        let done = self.admin.execute_unprepared(statement).await;
        done.map(drop).map_err(|error| format!("{statement}: {error}"))
    }
}

/// The user and group to run the server as, when we are root, as which PostgreSQL refuses to run.
fn unprivileged(ours: &Path) -> Result<Option<(u32, u32)>, String> {
    if fs::metadata(ours).map_err(|error| error.to_string())?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let find = |wanted: &str| {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(wanted)).then_some(fields))?;
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some((user, group))
    };
    let found = find("postgres").or_else(|| find("nobody"));
    found.map(Some).ok_or_else(|| "there is neither a user postgres nor nobody to run PostgreSQL as".to_owned())
}

/// Makes the folder and starts the watcher, which makes the data and starts the server.
fn watch(
    programs: &Path,
    password: &str,
    port: u16,
    durability: Durability,
) -> Result<(PathBuf, Child, ChildStdin), String> {
    let text = |error: std::io::Error| format!("starting PostgreSQL: {error}");
    let place = match durability {
        Durability::Full => std::env::temp_dir(),
        Durability::Fast | Durability::Written => passing().to_owned(),
    };
    let folder = tempfile::Builder::new().prefix("roster-postgres-").tempdir_in(place).map_err(text)?;
    let secret = folder.path().join("password");
    fs::write(&secret, password).map_err(text)?;

    let mut shell = Command::new("/bin/sh");
    if let Some((user, group)) = unprivileged(folder.path())? {
        chown(folder.path(), Some(user), Some(group))
            .and_then(|()| chown(&secret, Some(user), Some(group)))
            .map_err(text)?;
        shell.uid(user).gid(group);
    }
    shell.args(["-c", WATCHER, "watch-postgres"]).arg(programs).arg(folder.path());
    shell.args(["-c", &format!("port={port}"), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    shell.args(["-c", "max_connections=400", "-c", "shared_buffers=64MB", "-c", "timezone=UTC"]);
    if durability != Durability::Full {
        shell.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
    }
    if durability == Durability::Fast {
        shell.args(["-c", "synchronous_commit=off"]);
    }
    // A group of its own: Ctrl-C in a terminal reaches us, and through the pipe's end the watcher, but not the server directly.
    shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut watcher = shell.spawn().map_err(text)?;
    let pipe = watcher.stdin.take().ok_or("the watcher has no input")?;
    Ok((folder.keep(), watcher, pipe))
}

/// The eighth line of `postmaster.pid` is the server's state; there may be no `pg_isready`.
/// `log` is how much of the log is about an earlier run.
async fn wait_until_ready(folder: &Path, log: u64) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let state = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
        if state.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
            return Ok(());
        }
        let said = fs::read(folder.join("log")).unwrap_or_default();
        let said = String::from_utf8_lossy(said.get(usize::try_from(log).unwrap_or(0)..).unwrap_or_default());
        if state.is_empty() && said.contains("FATAL:") || start.elapsed() > START_PATIENCE {
            let lines: Vec<&str> = said.lines().collect();
            return Err(format!(
                "PostgreSQL does not start: {}",
                lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join(" | ")
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// From 15 on, PostgreSQL copies a database page by page through its log unless it is told to copy the files, which takes a third of the time
/// where nothing waits for the disk. Before 15 it knew nothing else.
async fn strategy(admin: &DatabaseConnection) -> Result<&'static str, String> {
    let query = "SELECT current_setting('server_version_num')::int AS n";
    let statement = Statement::from_string(admin.get_database_backend(), query);
    let text = |error: sea_orm::DbErr| error.to_string();
    let row = admin.query_one_raw(statement).await.map_err(text)?;
    let version: i32 = row.ok_or("PostgreSQL has no version")?.try_get("", "n").map_err(text)?;
    Ok(if version < 150_000 { "" } else { "STRATEGY file_copy" })
}

/// A connection for the harness itself: one, that is not logged.
pub(crate) async fn connect(url: &str) -> Result<DatabaseConnection, String> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(4).sqlx_logging(false);
    sea_orm::Database::connect(options).await.map_err(|error| error.to_string())
}

fn url(port: u16, password: &str, database: &str) -> String {
    format!("postgres://{USER}:{password}@127.0.0.1:{port}/{database}")
}

/// Free now; somebody may take it before the server does, which then says so in its log.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| error.to_string())
}

/// Something that other users of this machine do not know: std's hash keys are from the system's random source.
fn random_word() -> String {
    use std::hash::BuildHasher;
    let word = || std::hash::RandomState::new().hash_one(());
    format!("{:016x}{:016x}", word(), word())
}
