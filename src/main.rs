//! The program: reads the command line and does what it says.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use roster::{
    admin::{self, Done},
    config::{Cli, Command, HealthcheckArgs, ModelsArgs, ModelsCommand, TelemetryConfig, settings_markdown},
    domain::access_model::{AccessModel, DocumentError, Models, difference},
    http,
    platform::{clock::Clock, entropy::Entropy, shutdown::Shutdown, telemetry::Telemetry},
    server::{self, Platform, Server, StartError},
};
use secrecy::ExposeSecret;

/// What a command answers: nothing, or a sentence for whoever called it.
type Answer = Result<(), String>;

/// The exit status of an import of which some lines were refused. 1 is a failure, and 2 a command line that is not understood.
const SOME_REFUSED: u8 = 3;

fn main() -> ExitCode {
    let command = Cli::read().and_then(Cli::into_command).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    match runtime.block_on(run(command)) {
        Ok(Done::All) => ExitCode::SUCCESS,
        Ok(Done::SomeRefused) => ExitCode::from(SOME_REFUSED),
        Err(sentence) => fail(&sentence),
    }
}

fn fail(sentence: &str) -> ExitCode {
    // Where not even standard error takes it, the exit status has to do.
    let _ = writeln!(std::io::stderr(), "roster: {sentence}");
    ExitCode::FAILURE
}

fn say(text: &str) -> Answer {
    writeln!(std::io::stdout(), "{text}").map_err(|error| error.to_string())
}

async fn run(command: Command) -> Result<Done, String> {
    let answer = match command {
        Command::Serve(config) => {
            let telemetry = config.telemetry.clone();
            run_server(&telemetry, |platform, shutdown| Server::start(*config, platform, shutdown)).await
        }
        Command::Worker(config) => {
            let telemetry = config.telemetry.clone();
            run_server(&telemetry, |platform, shutdown| Server::start_worker(*config, platform, shutdown)).await
        }
        Command::Migrate(config) => {
            let telemetry = telemetry(&config.telemetry)?;
            let migrated = server::migrate(&config).await.map_err(|error| error.to_string());
            stop_telemetry(telemetry).await;
            migrated
        }
        Command::Admin(arguments) => return admin::run(&arguments, &mut std::io::stdout()).await,
        Command::Healthcheck(arguments) => healthcheck(&arguments).await,
        Command::Models(arguments) => models(&arguments),
        Command::Config => say(&settings_markdown()),
    };
    answer.map(|()| Done::All)
}

fn telemetry(config: &TelemetryConfig) -> Result<Telemetry, String> {
    Telemetry::init(&config.settings()).map_err(|error| error.to_string())
}

async fn stop_telemetry(telemetry: Telemetry) {
    if let Err(error) = telemetry.shutdown().await {
        tracing::warn!(%error, "what was measured last may not have been exported");
    }
}

async fn run_server<F: Future<Output = Result<Server, StartError>>>(
    config: &TelemetryConfig,
    start: impl FnOnce(Platform, Shutdown) -> F,
) -> Answer {
    let telemetry = telemetry(config)?;
    let shutdown = Shutdown::new();
    shutdown.listen_for_signals().map_err(|error| error.to_string())?;
    let platform = Platform { clock: Clock::system(), entropy: Entropy::system(), metrics: telemetry.metrics() };
    let outcome = match start(platform, shutdown).await {
        Ok(server) => {
            announce(&server)?;
            server.until_stopped().await;
            server.stop().await;
            Ok(())
        }
        Err(StartError::Stopped) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    stop_telemetry(telemetry).await;
    outcome
}

fn announce(server: &Server) -> Answer {
    let address = |address: Option<SocketAddr>| address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    tracing::info!(grpc = address(server.grpc_address()), http = %server.http_address(), "serving");
    match server.operator_key() {
        // Where standard output is no terminal, whoever runs the process keeps it, as a container's log is kept (ab_42).
        Some(key) if std::io::stdout().is_terminal() => {
            say(&format!("operator key, shown once and kept in the data directory: {}", key.expose_secret()))
        }
        _ => Ok(()),
    }
}

async fn healthcheck(arguments: &HealthcheckArgs) -> Answer {
    match http::probe(arguments.target(), "/readyz", arguments.timeout).await {
        Ok((200, _)) => Ok(()),
        Ok((status, text)) => Err(format!("{status}: {}", text.trim())),
        Err(error) => Err(error.to_string()),
    }
}

fn models(arguments: &ModelsArgs) -> Answer {
    match &arguments.command {
        ModelsCommand::Check { file } => {
            let model = document(file)?;
            say(&format!("{}: fine, {} roles", model.id(), model.roles().len()))
        }
        ModelsCommand::Test { models } => {
            let shipped = Models::shipped().map_err(all_lines)?;
            let every = || shipped.iter().map(|model| model.id().to_owned()).collect();
            for name in if models.is_empty() { every() } else { models.clone() } {
                let model = named_model(&name)?;
                say(&format!("{}: {} tests hold", model.id(), model.assertions()))?;
            }
            Ok(())
        }
        ModelsCommand::Diff { from, to } => {
            let (from, to) = (named_model(from)?, named_model(to)?);
            for line in difference(&from, &to) {
                say(&line)?;
            }
            Ok(())
        }
    }
}

/// A shipped model by its id, or the document of this path.
fn named_model(name: &str) -> Result<Arc<AccessModel>, String> {
    match Models::shipped().map_err(all_lines)?.get(name) {
        Some(model) => Ok(model.clone()),
        None => document(Path::new(name)).map(Arc::new),
    }
}

fn document(file: &Path) -> Result<AccessModel, String> {
    let source = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    AccessModel::parse(&source).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("{}: {error}", file.display())).collect();
        lines.join("\n")
    })
}

fn all_lines(errors: Vec<DocumentError>) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
