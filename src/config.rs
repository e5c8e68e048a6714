//! The command line, and every setting of the program.
//!
//! A setting has a flag, an environment variable, a default that runs on a laptop, and a comment that is its documentation: `--help` shows it and
//! [`settings_markdown`] makes the table of docs/settings.md of it. Secrets can also be read from a file, named by the variable with `_FILE` at its end.
//!
//! Parsing checks each value by itself; [`ServeConfig::validate`] checks that they fit together and reports everything wrong at once.

mod accounts;
mod admin;
mod directory;
mod documentation;
mod groups;
mod sign_in;
mod telemetry;
mod validation;
mod values;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource};

pub use accounts::AccountConfig;
pub use admin::{AdminArgs, AdminCommand, AfterRestoreArgs, ImportArgs, OPERATOR_KEY_FILE};
pub use directory::DirectoryConfig;
pub use documentation::{SettingDoc, settings, settings_markdown};
pub use groups::{
    DatabaseConfig, GrpcConfig, HttpConfig, KeyConfig, MailConfig, ModelsConfig, OidcConfig, OutboxConfig,
    PasswordConfig, ProcessConfig, SessionConfig,
};
pub use sign_in::SignInConfig;
pub use telemetry::TelemetryConfig;
pub use values::{SecretFile, duration};

/// Identity and team management as a gRPC service.
#[derive(Debug, Parser)]
#[command(name = "roster", version, about)]
pub struct Cli {
    /// What to do; nothing said: `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve gRPC and deliver mail, in one process (the default).
    Serve(Box<ServeConfig>),
    /// Only deliver mail from the outbox.
    Worker(Box<WorkerConfig>),
    /// Bring the database to this version's schema and stop.
    Migrate(Box<MigrateConfig>),
    /// Operate a running server.
    Admin(Box<AdminArgs>),
    /// Ask a running server whether it is ready; the exit status is the answer.
    Healthcheck(HealthcheckArgs),
    /// Work with access models.
    Models(ModelsArgs),
    /// Print every setting with its default, as Markdown.
    Config,
}

impl Cli {
    /// Reads the command line of the process.
    ///
    /// # Errors
    /// It is not understood, or there is a key in it.
    pub fn read() -> Result<Self, clap::Error> {
        Self::read_from(std::env::args_os())
    }

    fn read_from(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let admin = matches.subcommand_matches("admin");
        if admin.and_then(|admin| admin.value_source("key")) == Some(ValueSource::CommandLine) {
            let message = "a key on the command line is seen by every user of the machine, and now has to be revoked: give it by ROSTER_OPERATOR_KEY or --key-file";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        Self::from_arg_matches(&matches)
    }

    /// What to do. Without a subcommand it is `serve`, with the settings of the environment.
    ///
    /// # Errors
    /// When a variable of the environment has a value that cannot be read.
    pub fn into_command(self) -> Result<Command, clap::Error> {
        match self.command {
            Some(command) => Ok(command),
            None => Ok(Command::Serve(Box::new(ServeConfig::from_environment()?))),
        }
    }
}

/// Settings of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeConfig {
    /// The gRPC listener.
    #[command(flatten)]
    pub grpc: GrpcConfig,
    /// The HTTP listener.
    #[command(flatten)]
    pub http: HttpConfig,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// The keys.
    #[command(flatten)]
    pub keys: KeyConfig,
    /// Mail.
    #[command(flatten)]
    pub mail: MailConfig,
    /// The outbox.
    #[command(flatten)]
    pub outbox: OutboxConfig,
    /// The directory.
    #[command(flatten)]
    pub directory: DirectoryConfig,
    /// Access models.
    #[command(flatten)]
    pub models: ModelsConfig,
    /// Passwords.
    #[command(flatten)]
    pub passwords: PasswordConfig,
    /// Sessions.
    #[command(flatten)]
    pub sessions: SessionConfig,
    /// Attempts to sign in.
    #[command(flatten)]
    pub sign_in: SignInConfig,
    /// Accounts.
    #[command(flatten)]
    pub accounts: AccountConfig,
    /// Identity providers.
    #[command(flatten)]
    pub oidc: OidcConfig,
    /// Logs, traces, metrics.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,
    /// Stopping.
    #[command(flatten)]
    pub process: ProcessConfig,
}

impl ServeConfig {
    /// The settings as the environment alone gives them.
    ///
    /// # Errors
    /// When a variable has a value that cannot be read.
    pub fn from_environment() -> Result<Self, clap::Error> {
        #[derive(Parser)]
        struct Alone {
            #[command(flatten)]
            config: ServeConfig,
        }
        Ok(Alone::try_parse_from(["roster"])?.config)
    }
}

/// Settings of `worker`.
#[derive(Clone, Debug, Args)]
pub struct WorkerConfig {
    /// The HTTP listener.
    #[command(flatten)]
    pub http: HttpConfig,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// The keys.
    #[command(flatten)]
    pub keys: KeyConfig,
    /// Mail.
    #[command(flatten)]
    pub mail: MailConfig,
    /// The outbox.
    #[command(flatten)]
    pub outbox: OutboxConfig,
    /// Logs, traces, metrics.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,
    /// Stopping.
    #[command(flatten)]
    pub process: ProcessConfig,
}

/// Settings of `migrate`.
#[derive(Clone, Debug, Args)]
pub struct MigrateConfig {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// Logs, traces, metrics.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,
}

/// Settings of `healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// The HTTP listener to ask.
    #[command(flatten)]
    pub http: HttpConfig,
    /// How long to wait for the answer.
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
}

impl HealthcheckArgs {
    /// Where to ask: a listener on all addresses is asked on loopback.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        let listen = self.http.http_listen;
        let address = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(address, listen.port())
    }
}

/// Settings of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ModelsCommand,
}

/// What can be done with access models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Check a document and name the line or field that is wrong.
    Check {
        /// The document.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Run the tests of documents, and say how many there are. A document whose tests do not hold is loaded by no server.
    Test {
        /// Documents, or ids of shipped models; none means all shipped ones.
        #[arg(value_name = "MODEL")]
        models: Vec<String>,
    },
    /// Say what the second model decides otherwise than the first.
    Diff {
        /// A document, or the id of a shipped model.
        #[arg(value_name = "FROM")]
        from: String,
        /// Another one.
        #[arg(value_name = "TO")]
        to: String,
    },
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, clap::Error> {
        Cli::try_parse_from([&["roster"], arguments].concat())?.into_command()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_said_means_serve() {
        assert!(matches!(parse(&[]).unwrap(), Command::Serve(_)));
        assert!(matches!(parse(&["serve"]).unwrap(), Command::Serve(_)));
        assert!(matches!(parse(&["worker"]).unwrap(), Command::Worker(_)));
        assert!(matches!(parse(&["migrate", "--database-url", "postgres://db/roster"]).unwrap(), Command::Migrate(_)));
        assert!(parse(&["dance"]).is_err());
    }

    #[test]
    fn a_healthcheck_asks_on_loopback() {
        for (listen, target) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:1", "[::1]:1"), ("10.1.2.3:5", "10.1.2.3:5")]
        {
            let Command::Healthcheck(arguments) = parse(&["healthcheck", "--http-listen", listen]).unwrap() else {
                panic!("another command")
            };
            assert_eq!(arguments.target().to_string(), target);
            assert_eq!(arguments.timeout, Duration::from_secs(2));
        }
    }

    #[test]
    fn the_operator_key_may_lie_in_the_data_directory() {
        let data = tempfile::tempdir().unwrap();
        let directory = data.path().to_str().unwrap();
        let admin = |arguments: &[&str]| match parse(
            &[&["admin", "--data-dir", directory], arguments, &["bootstrap-key"]].concat(),
        )
        .unwrap()
        {
            Command::Admin(admin) => admin.operator_key(),
            _ => panic!("another command"),
        };
        assert!(admin(&[]).unwrap_err().contains("ROSTER_OPERATOR_KEY"));
        std::fs::write(data.path().join(OPERATOR_KEY_FILE), "left\n").unwrap();
        assert_eq!(admin(&[]).unwrap().expose_secret(), "left");
        let file = data.path().join("given");
        std::fs::write(&file, "given\n").unwrap();
        let given = admin(&["--key-file", file.to_str().unwrap()]);
        assert_eq!(given.unwrap().expose_secret(), "given");
    }

    #[test]
    fn a_key_on_the_command_line_is_refused() {
        for arguments in [&["--key", "rsk_secret"][..], &["--key=rsk_secret"]] {
            let error = Cli::read_from([&["roster", "admin"], arguments, &["organizations"]].concat()).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("ROSTER_OPERATOR_KEY") && !text.contains("rsk_secret"), "{text}");
        }
        assert!(Cli::read_from(["roster", "admin", "organizations"]).is_ok());
    }

    #[test]
    fn models_check_takes_a_file() {
        let Command::Models(ModelsArgs { command: ModelsCommand::Check { file } }) =
            parse(&["models", "check", "mine.toml"]).unwrap()
        else {
            panic!("another command")
        };
        assert_eq!(file, PathBuf::from("mine.toml"));
    }

    #[test]
    fn a_secret_comes_from_its_variable_or_its_file_and_not_from_both() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("url");
        std::fs::write(&path, "postgres://user:hidden@db/roster\n").unwrap();
        let path = path.to_str().unwrap();
        let Command::Migrate(config) = parse(&["migrate", "--database-url-file", path]).unwrap() else {
            panic!("another command")
        };
        assert!(config.database.is_postgres());
        assert_eq!(config.database.url().expose_secret(), "postgres://user:hidden@db/roster");
        assert!(!format!("{config:?}").contains("hidden"));
        assert!(parse(&["migrate", "--database-url-file", path, "--database-url", "sqlite://x"]).is_err());
        let error = parse(&["migrate", "--database-url-file", "/no/such/file"]).unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }

    #[test]
    fn the_database_is_a_file_in_the_data_directory() {
        let Command::Serve(config) = parse(&["serve", "--data-dir", "/var/50% off?"]).unwrap() else {
            panic!("another command")
        };
        assert_eq!(config.database.url().expose_secret(), "sqlite:///var/50%25 off%3F/roster.db");
        assert!(!config.database.is_postgres());
    }
}
