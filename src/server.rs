//! Puts the parts together and keeps them running: the only place that knows all of them.

mod clocks;
mod connections;
mod data_dir;
mod error;
mod listener;
mod mail;
mod parts;
#[cfg(test)]
mod tests;
mod tls;
mod upkeep;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::error::StartError;
use crate::{
    app::operators::{
        bootstrap,
        restore::{self, Restored},
    },
    config::{AfterRestoreArgs, DatabaseConfig, KeyConfig, MigrateConfig, OutboxConfig, ServeConfig, WorkerConfig},
    http::{self, HttpState, Readiness},
    outbox::Mailer,
    platform::{clock::Clock, entropy::Entropy, shutdown::Shutdown, telemetry::Metrics},
    server::parts::Parts,
};

/// How long the database's connections may take to close.
const CLOSE_END: Duration = Duration::from_secs(2);
/// How long a page that is being served may take to end.
const PAGES_END: Duration = Duration::from_secs(1);

/// Where a server gets time and randomness, and what its measurements are shown from.
#[derive(Clone, Debug)]
pub struct Platform {
    /// The source of time.
    pub clock: Clock,
    /// The source of randomness.
    pub entropy: Entropy,
    /// Shown at `/metrics`.
    pub metrics: Metrics,
}

/// A running server: gRPC, the small HTTP listener, and the outbox worker.
#[derive(Debug)]
pub struct Server {
    grpc_address: Option<SocketAddr>,
    http_address: SocketAddr,
    operator_key: Option<SecretString>,
    readiness: Readiness,
    shutdown: Shutdown,
    drain: Duration,
    parts: Parts,
    pages: JoinHandle<std::io::Result<()>>,
    pages_stop: CancellationToken,
}

impl Server {
    /// Starts serving, and answers when the first call is welcome.
    ///
    /// The HTTP listener is up first, and a PostgreSQL that is not there yet is waited for until `shutdown` is requested.
    ///
    /// # Errors
    /// [`StartError`], with everything that is wrong with the settings.
    pub async fn start(config: ServeConfig, platform: Platform, shutdown: Shutdown) -> Result<Self, StartError> {
        config.validate().map_err(StartError::Settings)?;
        let brands = Arc::new(mail::brands(&config.mail)?);
        let mailer = mail::mailer(&config.mail, &brands, &config.database.data_dir, &platform)?;
        let drain = config.process.drain_timeout;
        let mut server =
            Self::open(config.http.http_listen, &config.database, &config.keys, drain, &platform, &shutdown).await?;
        let app = server.parts.app(&config, brands, &platform)?;
        parts::require_models(&app).await?;
        server.operator_key = data_dir::first_key(&app, &config.database).await?;
        let (listener, address) = bind(config.grpc.listen).await?;
        server.grpc_address = Some(address);
        upkeep::watch_directory(app.clone(), &shutdown);
        upkeep::look_after_accounts(app.clone(), &shutdown);
        upkeep::keep_searchable(app.clone(), &shutdown);
        listener::serve(app, &config, listener, &server.readiness, &shutdown)?;
        server.run_worker(mailer, &config.outbox, &platform);
        server.watch_over(&platform).await;
        Ok(server)
    }

    /// Starts delivering mail only.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_worker(
        config: WorkerConfig,
        platform: Platform,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        config.validate().map_err(StartError::Settings)?;
        let mailer = mail::mailer(&config.mail, &mail::brands(&config.mail)?, &config.database.data_dir, &platform)?;
        let drain = config.process.drain_timeout;
        let server =
            Self::open(config.http.http_listen, &config.database, &config.keys, drain, &platform, &shutdown).await?;
        server.run_worker(mailer, &config.outbox, &platform);
        server.watch_over(&platform).await;
        Ok(server)
    }

    async fn open(
        address: SocketAddr,
        database: &DatabaseConfig,
        keys: &KeyConfig,
        drain: Duration,
        platform: &Platform,
        shutdown: &Shutdown,
    ) -> Result<Self, StartError> {
        let readiness = Readiness::new();
        let (listener, http_address) = bind(address).await?;
        let state = HttpState { readiness: readiness.clone(), metrics: platform.metrics.clone() };
        let pages_stop = CancellationToken::new();
        let pages = tokio::spawn(http::serve(listener, state, pages_stop.clone().cancelled_owned()));
        let parts = tokio::select! {
            parts = Parts::open_patiently(database, keys, &platform.entropy) => parts?,
            () = shutdown.requested() => return Err(StartError::Stopped),
        };
        clocks::watch(&parts.store, &platform.clock, shutdown).await;
        Ok(Self {
            grpc_address: None,
            http_address,
            operator_key: None,
            readiness,
            shutdown: shutdown.clone(),
            drain,
            parts,
            pages,
            pages_stop,
        })
    }

    fn run_worker(&self, mailer: Mailer, outbox: &OutboxConfig, platform: &Platform) {
        let worker = self.parts.worker(mailer, outbox, self.drain, platform);
        self.shutdown.spawn(worker.run(self.shutdown.token()));
    }

    async fn watch_over(&self, platform: &Platform) {
        upkeep::start(&self.parts, platform, &self.readiness, &self.shutdown).await;
    }

    /// Where gRPC is served.
    #[must_use]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc_address
    }

    /// Where the HTTP pages are served.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// The operator's key, where this start created it. It stands in the data directory.
    #[must_use]
    pub fn operator_key(&self) -> Option<&SecretString> {
        self.operator_key.as_ref()
    }

    /// Waits until somebody asks to stop.
    pub async fn until_stopped(&self) {
        self.shutdown.requested().await;
    }

    /// Stops: no new calls, then the calls and deliveries at work get the drain time, then everything is closed.
    pub async fn stop(self) {
        self.shutdown.request();
        if !self.shutdown.drain(self.drain).await {
            tracing::warn!("stopped before everything at work had ended");
        }
        // A call that the drain time was too short for may hold a connection for ever.
        let _ = tokio::time::timeout(CLOSE_END, self.parts.store.close()).await;
        self.pages_stop.cancel();
        // Whatever the listener has to say, and whoever has sent it half a request, the process ends now.
        let _ = tokio::time::timeout(PAGES_END, self.pages).await;
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    // The port may have been left to the operating system.
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Brings the database to this program's schema.
///
/// # Errors
/// [`StartError`].
pub async fn migrate(config: &MigrateConfig) -> Result<(), StartError> {
    config.validate().map_err(StartError::Settings)?;
    let store = parts::connect(&config.database).await?;
    store.migrate().await?;
    store.close().await;
    Ok(())
}

/// Creates an operator key directly in the database, for when there is none.
///
/// # Errors
/// [`StartError`].
pub async fn bootstrap_key(
    database: &DatabaseConfig,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<SecretString, StartError> {
    let store = parts::connect(database).await?;
    parts::require_schema(&store).await?;
    let token = bootstrap::another_key(&store, entropy, clock.now()).await?;
    store.close().await;
    Ok(SecretString::from(token.expose()))
}

/// Ends in a restored database what had been taken away since its backup, before it is served.
///
/// # Errors
/// [`StartError`].
pub(crate) async fn after_restore(
    arguments: &AfterRestoreArgs,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Restored, StartError> {
    let store = parts::connect(&arguments.database).await?;
    parts::require_schema(&store).await?;
    let restored = restore::after_restore(&store, entropy, clock.now(), arguments.revoke_invitations).await?;
    store.close().await;
    Ok(restored)
}
