//! The settings, in groups that several commands share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use secrecy::{ExposeSecret, SecretString};

use super::values::{SecretFile, duration};
use crate::domain::{id_token::Provider, text::Locale};
use crate::platform::hashing::{HashParams, default_threads};

/// The gRPC listener and its limits.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "gRPC")]
pub struct GrpcConfig {
    /// Where gRPC is served.
    #[arg(long, env = "ROSTER_LISTEN", default_value = "127.0.0.1:50051", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The server's certificate chain (PEM). Unset: plain text, on loopback only.
    #[arg(long, env = "ROSTER_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[arg(long, env = "ROSTER_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// The certificates (PEM) that sign those of clients. Set: every client needs one.
    #[arg(long, env = "ROSTER_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Serve plain text beyond loopback: for a network that encrypts by itself, such as a service mesh.
    #[arg(long, env = "ROSTER_INSECURE", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub insecure: bool,
    /// Describe the services to clients that ask (gRPC reflection v1 and v1alpha).
    #[arg(long, env = "ROSTER_REFLECTION", default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub reflection: bool,
    /// Serve gRPC-Web to browsers as well.
    #[arg(long, env = "ROSTER_GRPC_WEB", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub grpc_web: bool,
    /// The largest request, in bytes.
    #[arg(long, env = "ROSTER_MAX_MESSAGE_BYTES", default_value_t = 262_144, value_name = "BYTES")]
    pub max_message_bytes: usize,
    /// The most calls at once on one connection.
    #[arg(long, env = "ROSTER_MAX_STREAMS", default_value_t = 256, value_name = "NUMBER")]
    pub max_streams: u32,
    /// The most connections at once, fewer where the process may not open so many files. One address (IPv6: 64 bits of it) has no more of them than are left to the others, so half of them
    /// where it is alone, as a proxy is. Further ones are closed at once.
    #[arg(long, env = "ROSTER_MAX_CONNECTIONS", default_value_t = 1024, value_name = "NUMBER")]
    pub max_connections: usize,
    /// How long a connection may take to say what it speaks: for the handshake of TLS and the beginning of HTTP/2.
    #[arg(long, env = "ROSTER_HANDSHAKE_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub handshake_timeout: Duration,
    /// How long the message of a call may take to arrive. Streams are exempt.
    #[arg(long, env = "ROSTER_MESSAGE_TIMEOUT", default_value = "2s", value_parser = duration, value_name = "DURATION")]
    pub message_timeout: Duration,
    /// The most calls at work at once in the process. Further ones are refused at once with RESOURCE_EXHAUSTED, and so are those of a connection that has more of them than are left to the others.
    #[arg(long, env = "ROSTER_MAX_CONCURRENT_REQUESTS", default_value_t = 1024, value_name = "NUMBER")]
    pub max_concurrent_requests: usize,
    /// How long a call may take that names no shorter deadline. Streams are exempt.
    #[arg(long, env = "ROSTER_REQUEST_TIMEOUT", default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub request_timeout: Duration,
    /// After this time a connection is asked to go and come back, so that clients spread over new replicas.
    #[arg(long, env = "ROSTER_MAX_CONNECTION_AGE", default_value = "30m", value_parser = duration, value_name = "DURATION")]
    pub max_connection_age: Duration,
}

/// The HTTP listener.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub struct HttpConfig {
    /// Where `/livez`, `/readyz` and `/metrics` are served, in plain text and without a question: for the orchestrator, not for the internet.
    #[arg(long, env = "ROSTER_HTTP_LISTEN", default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    pub http_listen: SocketAddr,
}

/// The database.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseConfig {
    /// The directory of what Roster keeps by itself: the SQLite file, generated keys, mail that is not sent.
    #[arg(long, env = "ROSTER_DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The database: `postgres://user:password@host/name`, or `sqlite://path`. Unset: `roster.db` in the data directory.
    #[arg(long, env = "ROSTER_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<SecretString>,
    /// A file that holds the database URL.
    #[arg(long, env = "ROSTER_DATABASE_URL_FILE", conflicts_with = "database_url", value_name = "FILE")]
    pub database_url_file: Option<SecretFile>,
    /// The most connections to PostgreSQL, or readers of the SQLite file. Of those to PostgreSQL a quarter, and never less than one, is for what is read most; one more reads the log.
    #[arg(long, env = "ROSTER_DATABASE_MAX_CONNECTIONS", default_value_t = 10, value_name = "NUMBER")]
    pub database_max_connections: u32,
}

impl DatabaseConfig {
    /// The URL of the database, whichever way it was given.
    #[must_use]
    pub fn url(&self) -> SecretString {
        match (&self.database_url, &self.database_url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => file.secret().clone(),
            (None, None) => {
                let path = self.data_dir.join("roster.db");
                // What has a meaning in a URL.
                let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
                format!("sqlite://{path}").into()
            }
        }
    }

    /// Whether the database is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        let url = self.url();
        ["postgres://", "postgresql://"].iter().any(|scheme| url.expose_secret().starts_with(scheme))
    }
}

/// The keys of the deployment.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Keys")]
pub struct KeyConfig {
    /// The keys that seal what must be read back: base64 of 32 bytes, several separated by commas, the first one seals. Unset: generated into the data
    /// directory; on PostgreSQL it must be given.
    #[arg(long, env = "ROSTER_SECRET_KEY", hide_env_values = true, value_name = "KEYS")]
    pub secret_key: Option<SecretString>,
    /// A file that holds the keys.
    #[arg(long, env = "ROSTER_SECRET_KEY_FILE", conflicts_with = "secret_key", value_name = "FILE")]
    pub secret_key_file: Option<SecretFile>,
}

impl KeyConfig {
    /// The keys, whichever way they were given.
    #[must_use]
    pub fn secret_key(&self) -> Option<&SecretString> {
        self.secret_key.as_ref().or(self.secret_key_file.as_ref().map(SecretFile::secret))
    }
}

/// Mail.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Mail")]
pub struct MailConfig {
    /// The mail server: `smtps://user:password@host`; `smtp://user:password@host` with STARTTLS; `smtp://host` with STARTTLS where it is
    /// offered; `smtp://host?tls=none` without. Unset: each message becomes a file in `mail` of the data directory.
    #[arg(long, env = "ROSTER_SMTP_URL", hide_env_values = true, value_name = "URL")]
    pub smtp_url: Option<SecretString>,
    /// A file that holds the URL of the mail server.
    #[arg(long, env = "ROSTER_SMTP_URL_FILE", conflicts_with = "smtp_url", value_name = "FILE")]
    pub smtp_url_file: Option<SecretFile>,
    /// The sender of every message.
    #[arg(long, env = "ROSTER_MAIL_FROM", default_value = "Roster <roster@example.com>", value_name = "ADDRESS")]
    pub mail_from: String,
    /// The page on which an invitation is accepted; `{token}` stands for the token.
    #[arg(
        long,
        env = "ROSTER_INVITATION_URL",
        default_value = "http://localhost:3000/invitations/{token}",
        value_name = "TEMPLATE"
    )]
    pub invitation_url: String,
    /// The page on which people join an organization by a join link; `{token}` stands for the token.
    #[arg(
        long,
        env = "ROSTER_JOIN_LINK_URL",
        default_value = "http://localhost:3000/join/{token}",
        value_name = "TEMPLATE"
    )]
    pub join_link_url: String,
    /// The page on which a new password is chosen; `{token}` stands for the token.
    #[arg(
        long,
        env = "ROSTER_PASSWORD_RESET_URL",
        default_value = "http://localhost:3000/password-reset/{token}",
        value_name = "TEMPLATE"
    )]
    pub password_reset_url: String,
    /// The page on which an e-mail address is confirmed; `{token}` stands for the token.
    #[arg(
        long,
        env = "ROSTER_EMAIL_VERIFICATION_URL",
        default_value = "http://localhost:3000/email-verification/{token}",
        value_name = "TEMPLATE"
    )]
    pub email_verification_url: String,
    /// The least time between two sends of one invitation. Operators' keys are exempt from this and the next three.
    #[arg(long, env = "ROSTER_INVITATION_RESEND_INTERVAL", default_value = "1m", value_parser = duration, value_name = "DURATION")]
    pub invitation_resend_interval: Duration,
    /// How often one invitation is sent in all; then it is revoked, and the person invited again.
    #[arg(long, env = "ROSTER_INVITATION_MAX_SENDS", default_value_t = 10, value_name = "NUMBER")]
    pub invitation_max_sends: i32,
    /// The most invitation mails of one organization within 24 hours.
    #[arg(long, env = "ROSTER_INVITATION_MAILS_PER_ORGANIZATION", default_value_t = 2000, value_name = "NUMBER")]
    pub invitation_mails_per_organization: u64,
    /// The most mails to one address within an hour that others cause, of all organizations together: invitations, and news about ownership. An address with a tag (`ada+x@`) counts as the
    /// one without.
    #[arg(long, env = "ROSTER_INVITATION_MAILS_PER_ADDRESS", default_value_t = 10, value_name = "NUMBER")]
    pub invitation_mails_per_address: u64,
    /// The language of mail where nobody has named one: neither the invitation, nor the account that it goes to, nor the organization, nor the inviter.
    #[arg(long, env = "ROSTER_MAIL_LOCALE", default_value = "en", value_parser = Locale::parse, value_name = "LOCALE")]
    pub mail_locale: Locale,
    /// A directory of mail templates that replace the built-in ones of the same name. Unset: all are built in.
    #[arg(long, env = "ROSTER_MAIL_TEMPLATES_DIR", value_name = "DIR")]
    pub mail_templates_dir: Option<PathBuf>,
    /// A directory of brands: how the mails of a product look, and where they lead. `acme.toml` is that of the access model `acme`. Unset: all mails are the server's.
    #[arg(long, env = "ROSTER_BRANDS_DIR", value_name = "DIRECTORY")]
    pub brands_dir: Option<PathBuf>,
}

impl MailConfig {
    /// The URL of the mail server, whichever way it was given.
    #[must_use]
    pub fn smtp_url(&self) -> Option<&SecretString> {
        self.smtp_url.as_ref().or(self.smtp_url_file.as_ref().map(SecretFile::secret))
    }
}

/// The outbox.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Outbox")]
pub struct OutboxConfig {
    /// How often the outbox is looked through for what is due. What this process queues itself is noticed at once.
    #[arg(long, env = "ROSTER_OUTBOX_POLL_INTERVAL", default_value = "1s", value_parser = duration, value_name = "DURATION")]
    pub outbox_poll_interval: Duration,
    /// How many messages are delivered at once.
    #[arg(long, env = "ROSTER_OUTBOX_SLOTS", default_value_t = 4, value_name = "NUMBER")]
    pub outbox_slots: usize,
    /// How long a message stays with a process that gives no sign of life: the longest that it waits when its process dies. Running deliveries give
    /// a sign four times as often.
    #[arg(long, env = "ROSTER_OUTBOX_LEASE", default_value = "60s", value_parser = duration, value_name = "DURATION")]
    pub outbox_lease: Duration,
    /// How long a message is tried again before it counts as failed.
    #[arg(long, env = "ROSTER_OUTBOX_GIVE_UP_AFTER", default_value = "2d", value_parser = duration, value_name = "DURATION")]
    pub outbox_give_up_after: Duration,
}

/// Access models.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Access models")]
pub struct ModelsConfig {
    /// A directory of access models, loaded and checked at the start. Unset: the shipped ones.
    #[arg(long, env = "ROSTER_ACCESS_MODELS_DIR", value_name = "DIR")]
    pub access_models_dir: Option<PathBuf>,
}

/// Passwords.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Passwords")]
pub struct PasswordConfig {
    /// The fewest characters of a new password: 15 where it may be the only factor, at least 8 where a second one is always asked for (NIST SP 800-63B-4).
    #[arg(long, env = "ROSTER_PASSWORD_MIN_LENGTH", default_value_t = 15, value_name = "NUMBER")]
    pub password_min_length: usize,
    /// Memory of one argon2id hash, in KiB. Each hashing thread holds as much for ever.
    #[arg(long, env = "ROSTER_ARGON2_MEMORY_KIB", default_value_t = 19_456, value_name = "KIB")]
    pub argon2_memory_kib: u32,
    /// Passes of one argon2id hash over its memory.
    #[arg(long, env = "ROSTER_ARGON2_ITERATIONS", default_value_t = 2, value_name = "NUMBER")]
    pub argon2_iterations: u32,
    /// Lanes of one argon2id hash. They are computed one after the other.
    #[arg(long, env = "ROSTER_ARGON2_PARALLELISM", default_value_t = 1, value_name = "NUMBER")]
    pub argon2_parallelism: u32,
    /// How many passwords are hashed at once. Unset: half of the processor cores, at least one, so that sign-ins cannot slow other calls.
    #[arg(long, env = "ROSTER_HASHING_THREADS", value_name = "NUMBER")]
    pub hashing_threads: Option<usize>,
    /// How many passwords may wait to be hashed. Further sign-ins are refused at once with RESOURCE_EXHAUSTED.
    #[arg(long, env = "ROSTER_HASHING_QUEUE", default_value_t = 32, value_name = "NUMBER")]
    pub hashing_queue: usize,
}

impl PasswordConfig {
    /// The cost of a hash.
    #[must_use]
    pub fn hash_params(&self) -> HashParams {
        HashParams {
            memory_kib: self.argon2_memory_kib,
            iterations: self.argon2_iterations,
            parallelism: self.argon2_parallelism,
        }
    }

    /// How many threads hash.
    #[must_use]
    pub fn hashing_threads(&self) -> usize {
        self.hashing_threads.unwrap_or_else(default_threads)
    }
}

/// Sessions.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sessions")]
pub struct SessionConfig {
    /// A session ends when it was not used for this long.
    #[arg(long, env = "ROSTER_SESSION_IDLE", default_value = "7d", value_parser = duration, value_name = "DURATION")]
    pub session_idle: Duration,
    /// A session ends after this time, however much it is used.
    #[arg(long, env = "ROSTER_SESSION_LIFETIME", default_value = "30d", value_parser = duration, value_name = "DURATION")]
    pub session_lifetime: Duration,
    /// Where second factors are good: the name that authenticator apps show beside the person's address.
    #[arg(long, env = "ROSTER_MFA_ISSUER", default_value = "Roster", value_name = "NAME")]
    pub mfa_issuer: String,
}

/// Identity providers.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "OpenID Connect")]
pub struct OidcConfig {
    /// The identity providers that people may sign in with, separated by spaces, each `ISSUER=CLIENT_ID`; the same issuer again adds another client.
    /// Unset: none.
    #[arg(long, env = "ROSTER_OIDC_ISSUERS", value_name = "ISSUER=CLIENT_ID ...")]
    pub oidc_issuers: Option<String>,
    /// Certificates (PEM) that providers' are checked against besides those of the well-known authorities.
    #[arg(long, env = "ROSTER_OIDC_CA", value_name = "FILE")]
    pub oidc_ca: Option<PathBuf>,
    /// Whether providers may be inside: the host of an issuer may have a private or a loopback address.
    #[arg(long, env = "ROSTER_OIDC_INTERNAL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub oidc_internal: bool,
    /// Whether ID tokens are taken from services only: signing in, signing up and linking by one then need a service key among the call's credentials. Somebody who finds an ID token that
    /// is not used yet reads its nonce in it, and could show both.
    #[arg(long, env = "ROSTER_OIDC_REQUIRE_SERVICE", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    pub oidc_require_service: bool,
}

impl OidcConfig {
    /// The trusted issuers.
    ///
    /// # Errors
    /// A sentence for each entry that is none.
    pub fn providers(&self) -> Result<Vec<Provider>, Vec<String>> {
        Provider::parse_all(self.oidc_issuers.as_deref().unwrap_or_default())
    }
}

/// Stopping.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Process")]
pub struct ProcessConfig {
    /// How long calls and deliveries may go on after the order to stop. Less than the orchestrator's patience (30 s in Kubernetes).
    #[arg(long, env = "ROSTER_DRAIN_TIMEOUT", default_value = "25s", value_parser = duration, value_name = "DURATION")]
    pub drain_timeout: Duration,
}
