//! Whether the settings fit together. Everything wrong is reported at once, each with the name of its variable and never with a secret's value.

#[cfg(test)]
mod tests;

use std::time::Duration;

use secrecy::ExposeSecret;
use url::Url;

use super::groups::{
    DatabaseConfig, GrpcConfig, HttpConfig, KeyConfig, MailConfig, OidcConfig, OutboxConfig, PasswordConfig,
    ProcessConfig, SessionConfig,
};
use super::{AccountConfig, SignInConfig};
use super::{MigrateConfig, ServeConfig, WorkerConfig};
use crate::{domain::link::LinkTemplate, platform::Keyring};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn unless(&mut self, fine: bool, problem: impl Into<String>) {
        if !fine {
            self.0.push(problem.into());
        }
    }

    fn range<T: PartialOrd + std::fmt::Debug>(&mut self, name: &str, value: T, lowest: T, highest: T) {
        self.unless(
            value >= lowest && value <= highest,
            format!("{name} is {value:?}; it must be from {lowest:?} to {highest:?}"),
        );
    }

    fn result(self) -> Result<(), Vec<String>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

impl ServeConfig {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// Everything that is wrong, a sentence for each.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Problems::default();
        self.grpc.check(&mut problems);
        self.http.check(&self.grpc, &mut problems);
        self.database.check(&mut problems);
        self.keys.check(&self.database, &mut problems);
        self.mail.check(&mut problems);
        self.outbox.check(&mut problems);
        self.passwords.check(&mut problems);
        self.sessions.check(&mut problems);
        self.sign_in.check(&mut problems);
        self.accounts.check(&mut problems);
        self.oidc.check(&mut problems);
        self.process.check(&mut problems);
        problems.result()
    }
}

impl WorkerConfig {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// Everything that is wrong, a sentence for each.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Problems::default();
        self.database.check(&mut problems);
        self.keys.check(&self.database, &mut problems);
        self.mail.check(&mut problems);
        self.outbox.check(&mut problems);
        self.process.check(&mut problems);
        problems.result()
    }
}

impl MigrateConfig {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// Everything that is wrong, a sentence for each.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Problems::default();
        self.database.check(&mut problems);
        problems.result()
    }
}

impl GrpcConfig {
    fn check(&self, problems: &mut Problems) {
        problems
            .unless(self.tls_cert.is_some() || self.tls_key.is_none(), "ROSTER_TLS_KEY is set without ROSTER_TLS_CERT");
        problems
            .unless(self.tls_key.is_some() || self.tls_cert.is_none(), "ROSTER_TLS_CERT is set without ROSTER_TLS_KEY");
        problems.unless(
            self.tls_client_ca.is_none() || self.tls_cert.is_some(),
            "ROSTER_TLS_CLIENT_CA is set without ROSTER_TLS_CERT",
        );
        problems.unless(
            self.listen.ip().is_loopback() || self.tls_cert.is_some() || self.insecure,
            format!(
                "ROSTER_LISTEN is {}, which others can reach, and there is no TLS: set ROSTER_TLS_CERT and ROSTER_TLS_KEY, or ROSTER_INSECURE=true where \
                 the network encrypts by itself",
                self.listen
            ),
        );
        problems.range("ROSTER_MAX_MESSAGE_BYTES", self.max_message_bytes, 4096, 64 * 1024 * 1024);
        problems.range("ROSTER_MAX_STREAMS", self.max_streams, 1, 100_000);
        problems.range("ROSTER_MAX_CONCURRENT_REQUESTS", self.max_concurrent_requests, 1, 1_000_000);
        problems.range("ROSTER_MAX_CONNECTIONS", self.max_connections, 2, 1_000_000);
        problems.range(
            "ROSTER_HANDSHAKE_TIMEOUT",
            self.handshake_timeout,
            Duration::from_millis(100),
            Duration::from_secs(120),
        );
        problems.range(
            "ROSTER_MESSAGE_TIMEOUT",
            self.message_timeout,
            Duration::from_millis(100),
            Duration::from_secs(120),
        );
        problems.range(
            "ROSTER_REQUEST_TIMEOUT",
            self.request_timeout,
            Duration::from_millis(100),
            Duration::from_secs(600),
        );
        problems.range("ROSTER_MAX_CONNECTION_AGE", self.max_connection_age, Duration::from_secs(1), 365 * DAY);
    }
}

impl HttpConfig {
    fn check(&self, grpc: &GrpcConfig, problems: &mut Problems) {
        let shared = self.http_listen.port() == grpc.listen.port() && grpc.listen.port() != 0;
        problems.unless(!shared, "ROSTER_HTTP_LISTEN has the port of ROSTER_LISTEN");
    }
}

impl DatabaseConfig {
    fn check(&self, problems: &mut Problems) {
        let url = self.url();
        problems.unless(
            self.is_postgres() || url.expose_secret().starts_with("sqlite:"),
            "ROSTER_DATABASE_URL is neither postgres:// nor sqlite://",
        );
        problems.range("ROSTER_DATABASE_MAX_CONNECTIONS", self.database_max_connections, 1, 10_000);
    }
}

impl KeyConfig {
    fn check(&self, database: &DatabaseConfig, problems: &mut Problems) {
        match self.secret_key() {
            Some(keys) => {
                if let Err(error) = Keyring::parse(keys.expose_secret()) {
                    problems.0.push(format!("ROSTER_SECRET_KEY: {error}"));
                }
            }
            None => problems.unless(
                !database.is_postgres(),
                "ROSTER_SECRET_KEY is not set; with PostgreSQL it must be, because every replica needs the same one",
            ),
        }
    }
}

impl MailConfig {
    fn check(&self, problems: &mut Problems) {
        if let Some(url) = self.smtp_url() {
            check_smtp_url(url.expose_secret(), problems);
        }
        problems.unless(
            is_sender(&self.mail_from),
            "ROSTER_MAIL_FROM is not an address: expected `Name <user@domain>` or `user@domain`",
        );
        check_link("ROSTER_INVITATION_URL", &self.invitation_url, problems);
        check_link("ROSTER_JOIN_LINK_URL", &self.join_link_url, problems);
        check_link("ROSTER_PASSWORD_RESET_URL", &self.password_reset_url, problems);
        check_link("ROSTER_EMAIL_VERIFICATION_URL", &self.email_verification_url, problems);
        problems.range("ROSTER_INVITATION_RESEND_INTERVAL", self.invitation_resend_interval, Duration::ZERO, DAY);
        problems.range("ROSTER_INVITATION_MAX_SENDS", self.invitation_max_sends, 1, 1_000_000);
        problems.range(
            "ROSTER_INVITATION_MAILS_PER_ORGANIZATION",
            self.invitation_mails_per_organization,
            1,
            100_000_000,
        );
        problems.range("ROSTER_INVITATION_MAILS_PER_ADDRESS", self.invitation_mails_per_address, 1, 1_000_000);
    }
}

/// A first look, as at the sender: what mail makes of the URL is checked when it is set up, before anything is touched.
fn check_smtp_url(text: &str, problems: &mut Problems) {
    let url = Url::parse(text).ok();
    problems.unless(url.as_ref().is_some_and(Url::has_host), "ROSTER_SMTP_URL is not a URL with a host");
    problems.unless(
        url.is_none_or(|url| matches!(url.scheme(), "smtp" | "smtps")),
        "ROSTER_SMTP_URL is neither smtp:// nor smtps://",
    );
}

/// A first look; the whole grammar is checked when mail is set up.
fn is_sender(text: &str) -> bool {
    let address = match text.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>'),
        None => Some(text),
    };
    let parts = address.and_then(|address| address.split_once('@'));
    parts.is_some_and(|(user, domain)| !user.is_empty() && !domain.is_empty()) && !text.chars().any(char::is_control)
}

fn check_link(name: &str, template: &str, problems: &mut Problems) {
    problems.unless(
        LinkTemplate::parse(template).is_some(),
        format!("{name} is not an absolute http or https address with {{token}} once in its path, query or fragment"),
    );
}

impl OutboxConfig {
    fn check(&self, problems: &mut Problems) {
        problems.range(
            "ROSTER_OUTBOX_POLL_INTERVAL",
            self.outbox_poll_interval,
            Duration::from_millis(10),
            Duration::from_secs(3600),
        );
        problems.range("ROSTER_OUTBOX_SLOTS", self.outbox_slots, 1, 1000);
        problems.range("ROSTER_OUTBOX_LEASE", self.outbox_lease, Duration::from_secs(1), Duration::from_secs(3600));
        problems.range("ROSTER_OUTBOX_GIVE_UP_AFTER", self.outbox_give_up_after, Duration::from_secs(1), 30 * DAY);
    }
}

impl PasswordConfig {
    fn check(&self, problems: &mut Problems) {
        problems.range("ROSTER_PASSWORD_MIN_LENGTH", self.password_min_length, 8, 64);
        // At most what verification accepts of a stored hash, or nobody could sign in again.
        problems.range("ROSTER_ARGON2_MEMORY_KIB", self.argon2_memory_kib, 64, 256 * 1024);
        problems.range("ROSTER_ARGON2_ITERATIONS", self.argon2_iterations, 1, 64);
        problems.range("ROSTER_ARGON2_PARALLELISM", self.argon2_parallelism, 1, 8);
        let work = u64::from(self.argon2_memory_kib) * u64::from(self.argon2_iterations);
        problems.unless(work <= 1024 * 1024, "ROSTER_ARGON2_MEMORY_KIB times ROSTER_ARGON2_ITERATIONS is more than 1048576: a sign-in would take seconds");
        problems.range("ROSTER_HASHING_THREADS", self.hashing_threads(), 1, 1024);
        problems.range("ROSTER_HASHING_QUEUE", self.hashing_queue, 1, 100_000);
    }
}

impl SessionConfig {
    fn check(&self, problems: &mut Problems) {
        problems.range("ROSTER_SESSION_IDLE", self.session_idle, Duration::from_secs(1), 365 * DAY);
        problems.range("ROSTER_SESSION_LIFETIME", self.session_lifetime, Duration::from_secs(1), 365 * DAY);
        problems.unless(
            self.session_idle <= self.session_lifetime,
            "ROSTER_SESSION_IDLE is longer than ROSTER_SESSION_LIFETIME",
        );
    }
}

impl SignInConfig {
    fn check(&self, problems: &mut Problems) {
        problems.range("ROSTER_SIGN_IN_FAILURES", self.sign_in_failures, 1, 1_000_000);
        let delays = [
            ("ROSTER_SIGN_IN_DELAY", self.sign_in_delay),
            ("ROSTER_SIGN_IN_LONGEST_DELAY", self.sign_in_longest_delay),
        ];
        for (name, delay) in delays {
            problems.range(name, delay, Duration::from_secs(1), DAY);
        }
        problems.unless(
            self.sign_in_delay <= self.sign_in_longest_delay,
            "ROSTER_SIGN_IN_DELAY is longer than ROSTER_SIGN_IN_LONGEST_DELAY",
        );
        problems.range("ROSTER_SIGN_IN_NETWORK_FAILURES", self.sign_in_network_failures, 1, 1_000_000);
        problems.range("ROSTER_SIGN_IN_CALLER_FAILURES", self.sign_in_caller_failures, 1, 100_000_000);
    }
}

impl AccountConfig {
    fn check(&self, problems: &mut Problems) {
        problems.range("ROSTER_DELETION_DELAY", self.deletion_delay, Duration::ZERO, 365 * DAY);
        problems.range("ROSTER_DELETED_RETENTION", self.deleted_retention, Duration::ZERO, 3650 * DAY);
    }
}

impl OidcConfig {
    fn check(&self, problems: &mut Problems) {
        for wrong in self.providers().err().unwrap_or_default() {
            problems.0.push(format!("ROSTER_OIDC_ISSUERS: {wrong}"));
        }
    }
}

impl ProcessConfig {
    fn check(&self, problems: &mut Problems) {
        problems.range(
            "ROSTER_DRAIN_TIMEOUT",
            self.drain_timeout,
            Duration::from_millis(100),
            Duration::from_secs(3600),
        );
    }
}
