//! The real program as a process of its own, for what only a process shows: signals, exit codes, logs.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};

/// How long a process may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_roster");

/// Becomes the program of its arguments. When its input ends without a line, as it does when the test's own process is killed, the program is killed too:
/// nothing is left behind.
const GUARDED: &str = r#"
exec 3<&0 </dev/null
{ read -r line <&3 || kill -KILL $$; } >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"#;

/// A running `roster`. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    guard: ChildStdin,
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
        Self::launch::<&str, S>(&[], arguments, environment)
    }

    /// The same by words in front of the program that start it, such as `env NAME=value`. They have to become the program, in the same process.
    pub(crate) fn launch<L: AsRef<str>, S: AsRef<str>>(
        launcher: &[L],
        arguments: &[S],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARDED, "roster"])
            .args(launcher.iter().map(AsRef::as_ref))
            .arg(PROGRAM)
            .args(arguments.iter().map(AsRef::as_ref))
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let guard = child.stdin.take().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, guard, stdout: collect(stdout), stderr: collect(stderr) }
    }

    /// Starts `roster serve` and waits until it says where.
    pub(crate) async fn serve(flags: &[String], environment: &[(&str, &str)]) -> (Self, Addresses) {
        let arguments: Vec<&str> = std::iter::once("serve").chain(flags.iter().map(String::as_str)).collect();
        let process = Self::start(&arguments, environment);
        let addresses = process.serving().await;
        (process, addresses)
    }

    /// The same in a process that may have so many descriptors open.
    pub(crate) async fn serve_limited(flags: &[String], descriptors: u32) -> (Self, Addresses) {
        let limit = format!("ulimit -n {descriptors}; exec \"$@\"");
        let arguments: Vec<&str> = std::iter::once("serve").chain(flags.iter().map(String::as_str)).collect();
        let process = Self::launch(&["/bin/sh", "-c", &limit, "limited"], &arguments, &[]);
        let addresses = process.serving().await;
        (process, addresses)
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
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
        self.signal("TERM");
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.id());
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
        self.dismiss_guard();
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

    /// Before the process's number can become another one's.
    fn dismiss_guard(&mut self) {
        // A guard that is gone needs no word.
        let _ = writeln!(self.guard);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.dismiss_guard();
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
