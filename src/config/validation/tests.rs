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
