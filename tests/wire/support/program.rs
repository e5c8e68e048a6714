//! The real program as a process of its own, for what only a process shows: signals, exit codes, logs.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};

/// How long a process may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `roster`. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None`: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts `roster` with these arguments and, of the environment, with these variables alone.
    pub(crate) fn start<S: AsRef<str>>(arguments: &[S], environment: &[(&str, &str)]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_roster"));
        program.args(arguments.iter().map(AsRef::as_ref));
        Self::spawn(program, environment)
    }

    fn spawn(mut program: Command, environment: &[(&str, &str)]) -> Self {
        let mut child = program
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdout: collect(stdout), stderr: collect(stderr) }
    }

    /// Starts `roster serve` and waits until it says where.
    pub(crate) async fn serve(flags: &[String], environment: &[(&str, &str)]) -> (Self, Addresses) {
        let arguments: Vec<String> = std::iter::once("serve".to_owned()).chain(flags.iter().cloned()).collect();
        let process = Self::start(&arguments, environment);
        let addresses = process.serving().await;
        (process, addresses)
    }

    /// The same in a process that may have so many descriptors open.
    pub(crate) async fn serve_limited(flags: &[String], descriptors: u32) -> (Self, Addresses) {
        let mut shell = Command::new("/bin/sh");
        let limit = format!("ulimit -n {descriptors}; exec \"$@\"");
        shell.args(["-c", &limit, "limited", env!("CARGO_BIN_EXE_roster"), "serve"]).args(flags);
        let process = Self::spawn(shell, &[]);
        let addresses = process.serving().await;
        (process, addresses)
    }

    /// Seconds of processor time that it has used so far.
    pub(crate) fn seconds_of_work(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may hold anything: utime and stime are the 12th and the 13th, in hundredths.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
        ticks / 100.0
    }

    /// Waits until the log says where it serves.
    pub(crate) async fn serving(&self) -> Addresses {
        let line = self.logged("\"message\":\"serving\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        Addresses {
            grpc: line["grpc"].as_str().and_then(|text| text.parse().ok()),
            http: line["http"].as_str().unwrap().parse().unwrap(),
        }
    }

    /// Waits for a line of the log with this text in it.
    pub(crate) async fn logged(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            // The last line may be half written.
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(line) = whole.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(start.elapsed() < PATIENCE, "the process does not log {text:?}, but:\n{log}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Everything on standard error so far: the log.
    pub(crate) fn log(&self) -> String {
        text(&self.stderr)
    }

    /// Everything on standard output so far.
    pub(crate) fn said(&self) -> String {
        text(&self.stdout)
    }

    /// Asks the process to stop, as an orchestrator does.
    pub(crate) fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(mut self) -> Ended {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "the process does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        // The pipes are read to their end a moment later.
        while Arc::strong_count(&self.stdout) > 1 || Arc::strong_count(&self.stderr) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ended { code: status.code(), stdout: self.said(), stderr: self.log() }
    }

    /// Stops the process and waits; it has to end well.
    pub(crate) async fn stop(self) -> Ended {
        self.terminate();
        let ended = self.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a process serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    grpc: Option<SocketAddr>,
    pub(crate) http: SocketAddr,
}

impl Addresses {
    /// Where gRPC is served; a worker serves none.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc.unwrap()
    }

    /// A connection for gRPC, made at the first call.
    pub(crate) fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc())).unwrap();
        endpoint.connect_lazy()
    }
}

/// Runs `roster` with these arguments to its end.
pub(crate) async fn run<S: AsRef<str>>(arguments: &[S], environment: &[(&str, &str)]) -> Ended {
    Process::start(arguments, environment).ended().await
}

fn collect(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&kept);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..length]);
        }
    });
    kept
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
