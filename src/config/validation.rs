//! Whether the settings fit together. Everything wrong is reported at once, each with the name of its variable and never with a secret's value.

use std::time::Duration;

use secrecy::ExposeSecret;
use url::Url;

use super::SignInConfig;
use super::groups::{
    DatabaseConfig, GrpcConfig, HttpConfig, KeyConfig, MailConfig, OidcConfig, OutboxConfig, PasswordConfig,
    ProcessConfig, SessionConfig,
};
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;
    use crate::platform::Entropy;

    fn problems(arguments: &[&str]) -> Vec<String> {
        let cli = Cli::try_parse_from([&["roster", "serve"], arguments].concat()).unwrap();
        let Some(Command::Serve(config)) = cli.command else { panic!("another command") };
        config.validate().err().unwrap_or_default()
    }

    /// Exactly one problem, which names these.
    fn one(arguments: &[&str], names: &[&str]) {
        let found = problems(arguments);
        assert_eq!(found.len(), 1, "{arguments:?}: {found:?}");
        assert!(names.iter().all(|name| found[0].contains(name)), "{arguments:?}: {found:?}");
    }

    #[test]
    fn the_defaults_run_on_a_laptop() {
        assert_eq!(problems(&[]), Vec::<String>::new());
        assert_eq!(
            Cli::try_parse_from(["roster", "worker"])
                .map(|cli| matches!(cli.command, Some(Command::Worker(c)) if c.validate().is_ok()))
                .ok(),
            Some(true)
        );
        assert_eq!(
            Cli::try_parse_from(["roster", "migrate"])
                .map(|cli| matches!(cli.command, Some(Command::Migrate(c)) if c.validate().is_ok()))
                .ok(),
            Some(true)
        );
    }

    #[test]
    fn plain_text_stays_on_loopback() {
        one(&["--listen", "0.0.0.0:50051"], &["ROSTER_LISTEN", "ROSTER_INSECURE"]);
        one(&["--listen", "[::]:50051"], &["ROSTER_LISTEN"]);
        assert!(problems(&["--listen", "[::1]:50051"]).is_empty());
        assert!(problems(&["--listen", "0.0.0.0:50051", "--insecure"]).is_empty());
        assert!(problems(&["--listen", "0.0.0.0:50051", "--tls-cert", "c.pem", "--tls-key", "k.pem"]).is_empty());
    }

    #[test]
    fn tls_needs_both_halves() {
        one(&["--tls-key", "k.pem"], &["ROSTER_TLS_KEY", "without ROSTER_TLS_CERT"]);
        one(&["--tls-cert", "c.pem"], &["ROSTER_TLS_CERT", "without ROSTER_TLS_KEY"]);
        one(&["--tls-client-ca", "ca.pem"], &["ROSTER_TLS_CLIENT_CA"]);
    }

    #[test]
    fn postgres_needs_a_key_of_its_own() {
        let key = Keyring::generate(&Entropy::system());
        one(&["--database-url", "postgres://db/roster"], &["ROSTER_SECRET_KEY"]);
        assert!(problems(&["--database-url", "postgresql://db/roster", "--secret-key", &key]).is_empty());
        assert!(problems(&["--database-url", "sqlite://x.db"]).is_empty());
        one(&["--secret-key", "short"], &["ROSTER_SECRET_KEY: key 1"]);
        one(&["--database-url", "mysql://user:hidden@db/roster"], &["ROSTER_DATABASE_URL"]);
        assert!(!problems(&["--database-url", "mysql://user:hidden@db/roster"])[0].contains("hidden"));
    }

    #[test]
    fn links_carry_the_token_once() {
        one(&["--invitation-url", "https://app.example/join"], &["ROSTER_INVITATION_URL", "{token}"]);
        one(&["--invitation-url", "https://app.example/{token}/{token}"], &["ROSTER_INVITATION_URL"]);
        one(&["--invitation-url", "javascript:{token}"], &["ROSTER_INVITATION_URL", "http"]);
        one(&["--invitation-url", "app/{token}"], &["ROSTER_INVITATION_URL"]);
        assert!(problems(&["--invitation-url", "https://app.example/join?t={token}#top"]).is_empty());
    }

    #[test]
    fn the_mail_server_has_a_url() {
        for url in ["smtp://mail.example", "smtp://u:p@mail.example", "smtps://u:p@mail.example"] {
            assert_eq!(problems(&["--smtp-url", url]), Vec::<String>::new(), "{url}");
        }
        one(&["--smtp-url", "https://mail.example"], &["neither smtp:// nor smtps://"]);
        one(&["--smtp-url", "mail.example"], &["ROSTER_SMTP_URL"]);
    }

    #[test]
    fn the_sender_looks_like_an_address() {
        for wrong in ["Roster", "Roster <>", "Roster <roster@>", "@example.com", "Roster <a@b", "a@b\r\nBcc: c@d"] {
            one(&["--mail-from", wrong], &["ROSTER_MAIL_FROM"]);
        }
        assert!(problems(&["--mail-from", "roster@example.com"]).is_empty());
    }

    #[test]
    fn identity_providers_are_named_with_a_client() {
        let issuers = |text: &'static str| ["--oidc-issuers", text];
        assert!(
            problems(&issuers("https://accounts.google.com=1.apps.googleusercontent.com https://id.example/t=a"))
                .is_empty()
        );
        one(&issuers("http://id.example=a"), &["ROSTER_OIDC_ISSUERS", "http://id.example", "https"]);
        one(&issuers("https://id.example"), &["ROSTER_OIDC_ISSUERS", "ISSUER=CLIENT_ID"]);
        assert_eq!(problems(&issuers("a b=c")).len(), 2);
    }

    #[test]
    fn ranges_are_held() {
        for (flag, value, name) in [
            ("--max-message-bytes", "10", "ROSTER_MAX_MESSAGE_BYTES"),
            ("--max-streams", "0", "ROSTER_MAX_STREAMS"),
            ("--max-concurrent-requests", "0", "ROSTER_MAX_CONCURRENT_REQUESTS"),
            ("--request-timeout", "0s", "ROSTER_REQUEST_TIMEOUT"),
            ("--max-connection-age", "0s", "ROSTER_MAX_CONNECTION_AGE"),
            ("--database-max-connections", "0", "ROSTER_DATABASE_MAX_CONNECTIONS"),
            ("--outbox-poll-interval", "0ms", "ROSTER_OUTBOX_POLL_INTERVAL"),
            ("--outbox-slots", "0", "ROSTER_OUTBOX_SLOTS"),
            ("--outbox-give-up-after", "31d", "ROSTER_OUTBOX_GIVE_UP_AFTER"),
            ("--password-min-length", "7", "ROSTER_PASSWORD_MIN_LENGTH"),
            ("--argon2-memory-kib", "8", "ROSTER_ARGON2_MEMORY_KIB"),
            ("--argon2-iterations", "0", "ROSTER_ARGON2_ITERATIONS"),
            ("--argon2-iterations", "60", "ROSTER_ARGON2_MEMORY_KIB times"),
            ("--argon2-parallelism", "9", "ROSTER_ARGON2_PARALLELISM"),
            ("--hashing-threads", "0", "ROSTER_HASHING_THREADS"),
            ("--hashing-queue", "0", "ROSTER_HASHING_QUEUE"),
            ("--session-idle", "31d", "ROSTER_SESSION_IDLE is longer"),
            ("--session-lifetime", "366d", "ROSTER_SESSION_LIFETIME"),
            ("--drain-timeout", "0s", "ROSTER_DRAIN_TIMEOUT"),
            ("--http-listen", "127.0.0.1:50051", "ROSTER_HTTP_LISTEN"),
        ] {
            one(&[flag, value], &[name]);
        }
        assert!(problems(&["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]).is_empty());
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let found = problems(&[
            "--tls-key",
            "k.pem",
            "--listen",
            "0.0.0.0:1",
            "--max-streams",
            "0",
            "--database-url",
            "postgres://db/roster",
            "--invitation-url",
            "x",
        ]);
        assert_eq!(found.len(), 5, "{found:?}");
    }
}
