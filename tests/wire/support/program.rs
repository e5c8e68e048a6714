//! One installation of the program, whose processes come and go: it can be killed at any moment, as a machine or an orchestrator would kill it, and started again.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use roster::config::OPERATOR_KEY_FILE;
use roster::http;
use roster::platform::{Entropy, Keyring};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};

use super::process::{Process, run};

/// How long the program may take to start.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// One installation of the program: settings, a data directory and a port that stay the same from one run to the next.
pub(crate) struct Program {
    settings: BTreeMap<String, String>,
    folder: TempDir,
    address: SocketAddr,
    /// Words in front of the program: what starts it, such as `env NAME=value`. It ends as the program, in the same process.
    launcher: Vec<String>,
    running: Option<Process>,
    /// What the processes that have ended wrote.
    past: String,
}

impl Program {
    /// An installation that has never run. `settings` are flags without their dashes; by default the database is a file in the data directory, hashing
    /// is cheap, and the secret key is a new one.
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("roster-program-").tempdir().unwrap();
        let address = free_address();
        let mut all: BTreeMap<String, String> = [
            ("listen", address.to_string()),
            ("http-listen", free_address().to_string()),
            ("data-dir", folder.path().join("data").display().to_string()),
            ("secret-key", Keyring::generate(&Entropy::system())),
            ("argon2-memory-kib", "64".to_owned()),
            ("argon2-iterations", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self { settings: all, folder, address, launcher: Vec::new(), running: None, past: String::new() }
    }

    /// Has it started by other words from now on; by none: as it is.
    pub(crate) fn launch_by(&mut self, words: &[String]) {
        self.launcher = words.to_vec();
    }

    /// Starts the program and waits until it takes connections; answers with how long that took.
    pub(crate) async fn start(&mut self) -> Duration {
        let started = Instant::now();
        let flags = self.settings.iter().map(|(name, value)| format!("--{name}={value}"));
        let arguments: Vec<String> = std::iter::once("serve".to_owned()).chain(flags).collect();
        self.running = Some(Process::launch(&self.launcher, &arguments, &[]));
        while TcpStream::connect(self.address).await.is_err() {
            assert!(started.elapsed() < START_PATIENCE, "roster does not start: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        started.elapsed()
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) async fn kill(&mut self) {
        self.end("KILL").await;
    }

    /// Asks the program to stop, as an orchestrator would, waits until it is gone, and answers with how long that took.
    pub(crate) async fn terminate(&mut self) -> Duration {
        let asked = Instant::now();
        self.end("TERM").await;
        asked.elapsed()
    }

    async fn end(&mut self, signal: &str) {
        if let Some(process) = self.running.take() {
            process.signal(signal);
            self.past += &process.ended().await.stderr;
        }
    }

    /// A connection that is made with the first call, and made again when the program has been away.
    pub(crate) fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy()
    }

    /// Where it serves gRPC.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether calls are welcome, as `/readyz` says; a program that does not answer has none.
    pub(crate) async fn ready(&self) -> bool {
        let address = self.settings["http-listen"].parse().unwrap();
        let answer = http::probe(address, "/readyz", Duration::from_secs(5)).await;
        answer.is_ok_and(|(status, _)| status == 200)
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        self.running.as_ref().expect("the program runs")
    }

    /// The database's URL.
    pub(crate) fn database_url(&self) -> String {
        let file = || format!("sqlite://{}", self.data_dir().join("roster.db").display());
        self.settings.get("database-url").cloned().unwrap_or_else(file)
    }

    /// The operator's key that a start of this installation left, which none does on PostgreSQL.
    pub(crate) fn kept_operator_key(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.data_dir().join(OPERATOR_KEY_FILE)).ok()?;
        Some(text.trim().to_owned())
    }

    /// An operator's key: the one that was left, or one that is made in the database.
    pub(crate) async fn operator_key(&self) -> String {
        if let Some(key) = self.kept_operator_key() {
            return key;
        }
        let made = run(&["admin", "bootstrap-key", &format!("--database-url={}", self.database_url())], &[]).await;
        assert_eq!(made.code, Some(0), "{made:?}");
        made.stdout.trim().to_owned()
    }

    /// What the program has logged, in all runs.
    pub(crate) fn log(&self) -> String {
        let now = self.running.as_ref().map(Process::log).unwrap_or_default();
        format!("{}{now}", self.past)
    }

    /// Where its files are.
    pub(crate) fn data_dir(&self) -> &Path {
        Path::new(&self.settings["data-dir"])
    }
}

/// An address that is free and lies outside of the range that outgoing connections take theirs from: while the program is down, no client can come to
/// sit on its port, or connect to itself there.
fn free_address() -> SocketAddr {
    loop {
        let [high, low] = Entropy::system().bytes();
        let port = 10_000 + u16::from_be_bytes([high, low]) % 20_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
