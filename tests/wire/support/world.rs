//! Everything that one test has to itself: a database, a mailbox, a clock that stands still until it is moved, and a server.

mod settings;

use settings::{configuration, flags, founded, settings};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roster::platform::{Clock, Entropy, Shutdown, Telemetry};
use roster::server::{Platform, Server};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use super::mailbox::Mailbox;
use super::pb;
use super::place::passing;
use super::postgres::{self, TestDatabase};
use super::process::Addresses;
use super::runner::Database;
use super::sqlite;

/// How long a server may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// The world of one test. Clones are the same world.
#[derive(Clone)]
pub(crate) struct World {
    /// Starts at the real time, so that certificates and the like make sense, and moves only when told to.
    pub(crate) clock: Clock,
    /// Where all mail of this world goes.
    pub(crate) mailbox: Mailbox,
    inner: Arc<Inner>,
}

struct Inner {
    /// What the servers are started with: flag name without dashes, value.
    settings: BTreeMap<String, String>,
    folder: TempDir,
    postgres: Option<TestDatabase>,
    connection: DatabaseConnection,
    operator_key: String,
    first: Mutex<Replica>,
    replicas: Mutex<Vec<Replica>>,
    leaves_behind: Mutex<Option<String>>,
}

/// One server of a world. Clones are the same server.
#[derive(Clone)]
pub(crate) struct Replica {
    channel: Channel,
    grpc_address: SocketAddr,
    http_address: SocketAddr,
    server: Arc<tokio::sync::Mutex<Option<Server>>>,
}

impl World {
    /// Makes the database and starts everything.
    pub(crate) async fn start(database: Database) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("roster-world-")
            .tempdir_in(passing())
            .map_err(|error| error.to_string())?;
        let mailbox = Mailbox::start().await.map_err(|error| error.to_string())?;
        let clock = Clock::manual(Clock::system().now());
        let file = folder.path().join("roster.db");
        let (postgres, made) = match database {
            Database::Sqlite => {
                sqlite::create_database(&file).await?;
                (None, None)
            }
            Database::Postgres => {
                let (template, key) = founded().await?;
                (Some(postgres::shared().await?.copy(&template.name).await?), Some(key))
            }
        };
        let url = match &postgres {
            Some(database) => database.url.clone(),
            None => format!("sqlite://{}", file.display()),
        };
        let settings = settings(&url, &mailbox);

        let (first, operator_key) = Replica::start(&settings, &folder, &clock).await?;
        let operator_key =
            made.cloned().or(operator_key).ok_or("the first start on an empty file made no operator key")?;
        let inner = Inner {
            connection: postgres::connect(&url).await?,
            first: Mutex::new(first.clone()),
            replicas: Mutex::new(vec![first]),
            leaves_behind: Mutex::default(),
            settings,
            folder,
            postgres,
            operator_key,
        };
        Ok(Self { clock, mailbox, inner: Arc::new(inner) })
    }

    /// A raw connection to the database, for what no RPC tells. It bypasses all rules.
    pub(crate) fn database(&self) -> &DatabaseConnection {
        &self.inner.connection
    }

    /// The number that a query such as `SELECT COUNT(*) AS n FROM users` answers with, out of its column `n`.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        let statement = Statement::from_string(self.database().get_database_backend(), query);
        let row = self.database().query_one_raw(statement).await.unwrap().unwrap();
        row.try_get("", "n").unwrap()
    }

    /// The value of a flag that the servers of this world are started with.
    pub(crate) fn flag(&self, name: &str) -> String {
        let start = format!("--{name}=");
        let flags = self.flags();
        flags.iter().find_map(|flag| flag.strip_prefix(&start)).unwrap().to_owned()
    }

    /// The database's file; `None` on PostgreSQL.
    pub(crate) fn sqlite_file(&self) -> Option<PathBuf> {
        self.flag("database-url").strip_prefix("sqlite://").map(PathBuf::from)
    }

    /// A folder of this world's own, gone with it.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.inner.folder.path()
    }

    /// The server's address for gRPC.
    pub(crate) fn grpc_address(&self) -> SocketAddr {
        self.first().grpc_address
    }

    /// The server's address for health and metrics over HTTP.
    pub(crate) fn http_address(&self) -> SocketAddr {
        self.first().http_address
    }

    /// A connection to the server, shared by everything in this test.
    pub(crate) fn channel(&self) -> Channel {
        self.first().channel
    }

    /// The key of the operator, whom the first start made, or on PostgreSQL `bootstrap-key`.
    pub(crate) fn operator_key(&self) -> &str {
        &self.inner.operator_key
    }

    /// The message as a call of the operator.
    pub(crate) fn as_operator<T>(&self, message: T) -> Request<T> {
        with_credential(&self.inner.operator_key, message)
    }

    /// The message as a call of a signed-in user.
    pub(crate) fn as_session<T>(&self, session: &str, message: T) -> Request<T> {
        with_credential(session, message)
    }

    /// The message as a call of a service.
    pub(crate) fn as_service<T>(&self, key: &str, message: T) -> Request<T> {
        with_credential(key, message)
    }

    /// The message as a call that a service makes for a signed-in user.
    pub(crate) fn on_behalf_of<T>(&self, key: &str, session: &str, message: T) -> Request<T> {
        let mut request = self.as_service(key, message);
        request.metadata_mut().insert("roster-on-behalf-of", metadata(session));
        request
    }

    /// Another server on the same database, with the same secret key, mailbox and clock; it takes its share of the mail too.
    pub(crate) async fn second_server(&self) -> Replica {
        self.server_with(&[]).await
    }

    /// Another server with other settings: flags without their dashes.
    pub(crate) async fn server_with(&self, settings: &[(&str, &str)]) -> Replica {
        self.start_server(settings, &self.clock).await
    }

    /// Another server whose clock is ahead of the world's by so much, and moves with it.
    pub(crate) async fn server_ahead(&self, by: Duration, settings: &[(&str, &str)]) -> Replica {
        let by = chrono::TimeDelta::from_std(by).unwrap();
        self.start_server(settings, &self.clock.set_ahead(by)).await
    }

    async fn start_server(&self, settings: &[(&str, &str)], clock: &Clock) -> Replica {
        let mut all = self.inner.settings.clone();
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (replica, _) = Replica::start(&all, &self.inner.folder, clock).await.unwrap();
        lock(&self.inner.replicas).push(replica.clone());
        replica
    }

    /// Stops the server and starts one with other settings in its place.
    pub(crate) async fn restart_with(&self, settings: &[(&str, &str)]) {
        self.first().stop().await;
        let replica = self.server_with(settings).await;
        *lock(&self.inner.first) = replica;
    }

    /// Stops the server, for a test whose servers are processes of their own.
    pub(crate) async fn stop(&self) {
        self.first().stop().await;
    }

    /// Has a process answer the clients of this world, in place of the server that was stopped.
    pub(crate) fn answered_by(&self, addresses: &Addresses) {
        let (grpc_address, http_address) = (addresses.grpc(), addresses.http);
        *lock(&self.inner.first) =
            Replica { channel: addresses.channel(), grpc_address, http_address, server: Arc::default() };
    }

    /// The flags that the servers of this world are started with, for a server in a process of its own.
    pub(crate) fn flags(&self) -> Vec<String> {
        flags(&self.inner.settings)
    }

    /// Without this, messages that are still queued at the end fail the test.
    pub(crate) fn leaves_messages_behind(&self, reason: &str) {
        *lock(&self.inner.leaves_behind) = Some(reason.to_owned());
    }

    /// Ends the world: everything is stopped and removed. Answers with what is wrong with what the test left behind; messages get
    /// some patience to leave the outbox, unless the test has failed anyway.
    pub(crate) async fn finish(self, passed: bool, patience: Duration) -> Vec<String> {
        let mut problems = Vec::new();
        if passed && lock(&self.inner.leaves_behind).is_none() {
            problems.extend(self.unsettled_messages(patience).await);
        }
        let replicas = std::mem::take(&mut *lock(&self.inner.replicas));
        for replica in replicas {
            if tokio::time::timeout(STOP_PATIENCE, replica.stop()).await.is_err() {
                problems.push(format!("the server does not stop within {STOP_PATIENCE:?}"));
            }
        }
        problems.extend(self.mailbox.complaints().into_iter().map(|what| format!("the mail server objects: {what}")));
        let _ = self.inner.connection.clone().close().await;
        if let Some(database) = &self.inner.postgres {
            let dropped = async { postgres::shared().await?.drop_database(database).await };
            problems.extend(dropped.await.err());
        }
        problems
    }

    /// Messages that nobody has sent, given up or cancelled.
    async fn unsettled_messages(&self, patience: Duration) -> Vec<String> {
        const QUEUED: &str = "SELECT kind, recipient, attempts, last_error FROM outbox_messages WHERE state = 'queued' ORDER BY recipient";
        let settled = tokio::time::timeout(patience, async {
            while self.count("SELECT COUNT(*) AS n FROM outbox_messages WHERE state = 'queued'").await > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if settled.await.is_ok() {
            return Vec::new();
        }
        let statement = Statement::from_string(self.database().get_database_backend(), QUEUED);
        let rows = self.database().query_all_raw(statement).await.unwrap();
        let describe = |row: sea_orm::QueryResult| {
            let (kind, recipient): (String, String) =
                (row.try_get("", "kind").unwrap(), row.try_get("", "recipient").unwrap());
            let (attempts, error): (i32, Option<String>) =
                (row.try_get("", "attempts").unwrap(), row.try_get("", "last_error").unwrap());
            format!(
                "left in the outbox: {kind} to {recipient}, {attempts} attempts, {}",
                error.as_deref().unwrap_or("no error")
            )
        };
        rows.into_iter().map(describe).collect()
    }

    pub(crate) fn first(&self) -> Replica {
        lock(&self.inner.first).clone()
    }
}

impl Replica {
    async fn start(
        settings: &BTreeMap<String, String>,
        folder: &TempDir,
        clock: &Clock,
    ) -> Result<(Self, Option<String>), String> {
        let mut settings = settings.clone();
        let data =
            tempfile::Builder::new().prefix("data-").tempdir_in(folder.path()).map_err(|error| error.to_string())?;
        // The folder of the world removes it.
        settings.entry("data-dir".to_owned()).or_insert(data.keep().display().to_string());
        let config = configuration(&settings)?;
        let telemetry = Telemetry::for_tests().map_err(|error| error.to_string())?;
        let platform = Platform { clock: clock.clone(), entropy: Entropy::system(), metrics: telemetry.metrics() };
        let server = Server::start(config, platform, Shutdown::new()).await.map_err(|error| error.to_string())?;
        let operator_key = server.operator_key().map(|key| key.expose_secret().to_owned());
        let grpc_address = server.grpc_address().ok_or("the server has no gRPC address")?;
        let channel =
            Endpoint::from_shared(format!("http://{grpc_address}")).map_err(|error| error.to_string())?.connect_lazy();
        let http_address = server.http_address();
        let server = Arc::new(tokio::sync::Mutex::new(Some(server)));
        Ok((Self { channel, grpc_address, http_address, server }, operator_key))
    }

    /// A connection to this server.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// This server's address for health and metrics over HTTP.
    pub(crate) fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Stops this server as SIGTERM would. Stopping it again does nothing.
    pub(crate) async fn stop(&self) {
        if let Some(server) = self.server.lock().await.take() {
            server.stop().await;
        }
    }
}

/// The clients of all services, for a world's first server and for each replica.
macro_rules! clients {
    ($($service:ident: $module:ident, $client:ident;)*) => {
        impl Replica {
            $(pub(crate) fn $service(&self) -> pb::$module::$client<Channel> {
                pb::$module::$client::new(self.channel())
            })*
        }

        impl World {
            $(pub(crate) fn $service(&self) -> pb::$module::$client<Channel> {
                self.first().$service()
            })*
        }
    };
}

clients! {
    access_models: access_model_service_client, AccessModelServiceClient;
    activity: activity_service_client, ActivityServiceClient;
    audit: audit_service_client, AuditServiceClient;
    events: event_service_client, EventServiceClient;
    contacts: contact_service_client, ContactServiceClient;
    credentials: credential_service_client, CredentialServiceClient;
    deliveries: delivery_service_client, DeliveryServiceClient;
    invitations: invitation_service_client, InvitationServiceClient;
    join_links: join_link_service_client, JoinLinkServiceClient;
    members: member_service_client, MemberServiceClient;
    organizations: organization_service_client, OrganizationServiceClient;
    ownership: ownership_service_client, OwnershipServiceClient;
    permissions: permission_service_client, PermissionServiceClient;
    roles: role_service_client, RoleServiceClient;
    service_accounts: service_account_service_client, ServiceAccountServiceClient;
    sessions: session_service_client, SessionServiceClient;
    users: user_service_client, UserServiceClient;
}

/// The message with `authorization: Bearer <credential>`.
fn with_credential<T>(credential: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", metadata(&format!("Bearer {credential}")));
    request
}

fn metadata(text: &str) -> MetadataValue<Ascii> {
    text.parse().expect("metadata is printable ASCII")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An id as SQL: SQLite keeps the sixteen octets.
pub(crate) fn literal(world: &World, id: &str) -> String {
    match world.database().get_database_backend() {
        sea_orm::DbBackend::Postgres => format!("'{id}'"),
        _ => format!("X'{}'", id.replace('-', "")),
    }
}
