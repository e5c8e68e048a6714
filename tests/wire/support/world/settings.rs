//! What a server of the tests is started with.

use std::collections::BTreeMap;

use clap::Parser;
use roster::config::{Cli, Command, ServeConfig};
use roster::platform::{Clock, Entropy, Keyring};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;

use super::super::mailbox::Mailbox;
use super::super::postgres::{self, TestDatabase};

/// What differs from the defaults. Hashing is made cheap, since no test is about the strength of the hash.
pub(super) fn settings(database_url: &str, mailbox: &Mailbox) -> BTreeMap<String, String> {
    let settings = [
        ("listen", "127.0.0.1:0"),
        ("http-listen", "127.0.0.1:0"),
        ("database-url", database_url),
        ("secret-key", &Keyring::generate(&Entropy::system())),
        ("smtp-url", &mailbox.url()),
        ("invitation-url", "https://app.example.com/invitations/{token}"),
        ("password-reset-url", "https://app.example.com/password-reset/{token}"),
        ("email-verification-url", "https://app.example.com/email-verification/{token}"),
        ("outbox-poll-interval", "100ms"),
        ("argon2-memory-kib", "64"),
        ("argon2-iterations", "1"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

pub(super) fn flags(settings: &BTreeMap<String, String>) -> Vec<String> {
    settings.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

pub(super) fn configuration(settings: &BTreeMap<String, String>) -> Result<ServeConfig, String> {
    let arguments = ["roster".to_owned(), "serve".to_owned()].into_iter().chain(flags(settings));
    let command = Cli::try_parse_from(arguments).and_then(Cli::into_command).map_err(|error| error.to_string())?;
    let Command::Serve(config) = command else {
        return Err("this is not `serve`".to_owned());
    };
    config.validate().map_err(|problems| problems.join("\n"))?;
    Ok(*config)
}

/// A database of PostgreSQL with an operator, whose key comes with it, made as `roster admin bootstrap-key` makes it. The databases of the worlds are copies of it.
pub(super) async fn founded() -> Result<(&'static TestDatabase, &'static String), String> {
    static FOUNDED: OnceCell<Result<(TestDatabase, String), String>> = OnceCell::const_new();
    let found = async || {
        let database = postgres::shared().await?.create_database().await?;
        let mailbox = Mailbox::start().await.map_err(|error| error.to_string())?;
        let config = configuration(&settings(&database.url, &mailbox))?.database;
        let key = roster::server::bootstrap_key(&config, &Clock::system(), &Entropy::system()).await;
        let key = key.map_err(|error| error.to_string())?;
        Ok((database, key.expose_secret().to_owned()))
    };
    let founded = FOUNDED.get_or_init(found).await.as_ref().map_err(Clone::clone)?;
    Ok((&founded.0, &founded.1))
}
