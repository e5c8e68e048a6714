//! The order to stop, and the tasks that must end before the process does.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One order to stop for the whole process. Clones share it.
///
/// Whatever runs on its own is started with [`Shutdown::spawn`], watches [`Shutdown::requested`], and ends by itself; [`Shutdown::drain`] waits for all of
/// it, but not for ever: a stream that a client keeps open must not keep the process alive.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Nobody has asked to stop yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody to stop. Asking again changes nothing.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Whether somebody has asked to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until somebody asks to stop. Safe to drop and to call again.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// The bare token, for what takes one: cancelling it is [`Shutdown::request`].
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a task that [`Shutdown::drain`] waits for. It is not aborted: it has to watch [`Shutdown::requested`].
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Waits until every task has ended, at most for `limit`. Answers whether they all did; those that did not go on running until the process ends.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }

    /// Requests the stop when the process gets SIGTERM or SIGINT (elsewhere than on Unix: Ctrl-C). A second signal ends the process at once, with status 1:
    /// whoever presses Ctrl-C twice means it.
    ///
    /// # Errors
    /// When the operating system does not let us listen.
    pub fn listen_for_signals(&self) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "stopping: no new calls, finishing those at work");
            shutdown.request();
            let name = signals.next().await;
            tracing::warn!(signal = name, "stopping at once: asked a second time");
            std::process::exit(1);
        });
        Ok(())
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_see_the_request_and_drain_waits_for_them() {
        let shutdown = Shutdown::new();
        let task = shutdown.spawn({
            let shutdown = shutdown.clone();
            async move {
                shutdown.requested().await;
                tokio::time::sleep(Duration::from_millis(30)).await;
                "ended"
            }
        });
        assert!(!shutdown.is_requested());
        assert!(!shutdown.drain(Duration::from_millis(10)).await, "the task still runs");
        shutdown.request();
        shutdown.request();
        assert!(shutdown.is_requested());
        assert!(shutdown.drain(Duration::from_secs(5)).await);
        assert!(task.is_finished());
        assert_eq!(task.await.unwrap(), "ended");
    }

    #[tokio::test]
    async fn a_task_that_never_ends_does_not_hold_the_process() {
        let shutdown = Shutdown::new();
        shutdown.spawn(std::future::pending::<()>());
        shutdown.request();
        assert!(!shutdown.drain(Duration::from_millis(20)).await);
    }

    #[tokio::test]
    async fn the_token_and_the_handle_are_one() {
        let shutdown = Shutdown::new();
        shutdown.token().cancel();
        shutdown.requested().await;
        assert!(shutdown.drain(Duration::from_secs(5)).await, "nothing was started");
    }
}
