//! Makes the parts from the settings.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    app::{
        App,
        call::{directory::Directory, models::LoadedModels},
        credentials::{
            attempts::Attempts,
            providers::{FETCH_TIME, ProviderPolicy, Providers},
        },
        mail::budgets::Budgets,
        permissions::effective_models::EffectiveModels,
        search::activity::Active,
    },
    config::{DatabaseConfig, KeyConfig, OidcConfig, OutboxConfig, ServeConfig},
    domain::{
        access_model::Models, attempts::AttemptPolicy, brand::Brands, deletion::DeletionPolicy,
        mail_budget::MailBudget, password::PasswordPolicy, session::SessionPolicy,
    },
    outbox::{Mailer, Settings, Worker},
    platform::{entropy::Entropy, hashing::Hasher, https::Fetcher, keyring::Keyring},
    server::{Platform, StartError, data_dir},
    store::{SchemaState, Seals, Store, StoreSettings},
};

/// The first and the longest wait for a database that does not answer.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Time that the worker keeps for giving its leases back, of the drain time.
const RELEASE_TIME: Duration = Duration::from_secs(4);

/// What both the server and the worker stand on.
pub(super) struct Parts {
    pub(super) store: Arc<Store>,
    pub(super) keyring: Arc<Keyring>,
    data_dir: PathBuf,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Parts").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

/// Opens the database.
pub(super) async fn connect(config: &DatabaseConfig) -> Result<Store, StartError> {
    if !config.is_postgres() {
        data_dir::ensure(&config.data_dir)?;
    }
    let settings = StoreSettings { url: config.url(), max_connections: config.database_max_connections };
    Ok(Store::connect(&settings).await?)
}

/// Makes sure that the schema is this program's. The embedded database is migrated at once; a shared one by `roster migrate`, once for all replicas.
pub(super) async fn require_schema(store: &Store) -> Result<(), StartError> {
    match store.schema_state().await? {
        SchemaState::Behind if store.embedded() => Ok(store.migrate().await?),
        SchemaState::Behind => Err(StartError::SchemaBehind),
        SchemaState::Current => Ok(()),
        SchemaState::Ahead => {
            tracing::warn!("the database's schema is newer than this program, as it is during a rolling upgrade");
            Ok(())
        }
    }
}

impl Parts {
    /// Opens what the settings name, and tries until the database answers.
    pub(super) async fn open_patiently(
        database: &DatabaseConfig,
        keys: &KeyConfig,
        entropy: &Entropy,
    ) -> Result<Self, StartError> {
        let mut wait = FIRST_WAIT;
        loop {
            match Self::open(database, keys, entropy).await {
                Err(StartError::DatabaseUnavailable(cause)) => {
                    tracing::warn!(cause, "waiting for the database");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                opened => return opened,
            }
        }
    }

    async fn open(database: &DatabaseConfig, keys: &KeyConfig, entropy: &Entropy) -> Result<Self, StartError> {
        data_dir::ensure(&database.data_dir)?;
        let keyring = data_dir::keyring(keys.secret_key(), &database.data_dir, entropy)?;
        let keyring = Arc::new(keyring);
        let store = connect(database).await?.sealing(Seals::with(keyring.clone()));
        require_schema(&store).await?;
        Ok(Self { store: Arc::new(store), keyring, data_dir: database.data_dir.clone() })
    }

    /// The use cases.
    pub(super) fn app(
        &self,
        config: &ServeConfig,
        brands: Arc<Brands>,
        platform: &Platform,
    ) -> Result<Arc<App>, StartError> {
        let hasher = Hasher::start(
            config.passwords.hash_params(),
            config.passwords.hashing_threads(),
            config.passwords.hashing_queue,
        )
        .map_err(|error| StartError::Installation(error.to_string()))?;
        let long = |duration: Duration| {
            chrono::Duration::from_std(duration).map_err(|error| StartError::Installation(error.to_string()))
        };
        let models = Arc::new(LoadedModels::of(models(config.models.access_models_dir.as_deref())?));
        Ok(Arc::new(App {
            store: self.store.clone(),
            directory: Directory::new(&self.store, &models, config.directory.directory_bytes),
            models,
            effective_models: EffectiveModels::new(),
            keyring: self.keyring.clone(),
            hasher,
            entropy: platform.entropy.clone(),
            clock: platform.clock.clone(),
            attempts: Attempts::new(AttemptPolicy {
                free: config.sign_in.sign_in_failures,
                delay: long(config.sign_in.sign_in_delay)?,
                longest_delay: long(config.sign_in.sign_in_longest_delay)?,
                from_network: config.sign_in.sign_in_network_failures,
                by_caller: config.sign_in.sign_in_caller_failures,
            }),
            passwords: PasswordPolicy::new(config.passwords.password_min_length),
            sessions: SessionPolicy {
                idle: long(config.sessions.session_idle)?,
                lifetime: long(config.sessions.session_lifetime)?,
            },
            deletion: DeletionPolicy {
                delay: long(config.accounts.deletion_delay)?,
                retention: long(config.accounts.deleted_retention)?,
            },
            active: Active::default(),
            brands,
            mfa_issuer: config.sessions.mfa_issuer.clone(),
            mail_budgets: Budgets::new(MailBudget {
                resend_interval: long(config.mail.invitation_resend_interval)?,
                sends: config.mail.invitation_max_sends,
                organization: config.mail.invitation_mails_per_organization,
                address: config.mail.invitation_mails_per_address,
            }),
            default_locale: config.mail.mail_locale.clone(),
            providers: providers(&config.oidc)?,
        }))
    }

    /// The outbox worker.
    pub(super) fn worker(&self, mailer: Mailer, outbox: &OutboxConfig, drain: Duration, platform: &Platform) -> Worker {
        let settings = Settings {
            slots: outbox.outbox_slots,
            lease: outbox.outbox_lease,
            heartbeat: outbox.outbox_lease / 4,
            poll_interval: outbox.outbox_poll_interval,
            give_up_after: outbox.outbox_give_up_after,
            drain: drain.saturating_sub(RELEASE_TIME),
            ..Settings::default()
        };
        Worker::new(
            self.store.clone(),
            self.keyring.clone(),
            platform.clock.clone(),
            platform.entropy.clone(),
            mailer,
            settings,
        )
    }
}

/// The identity providers.
fn providers(config: &OidcConfig) -> Result<Providers, StartError> {
    let wrong = |cause: String| StartError::Installation(format!("ROSTER_OIDC_CA: {cause}"));
    let roots = config.oidc_ca.as_deref().map(fs::read).transpose();
    let roots = roots.map_err(|error| wrong(error.to_string()))?;
    let fetcher = Fetcher::new(roots.as_deref(), FETCH_TIME).map_err(wrong)?;
    let trusted = config.providers().map_err(StartError::Settings)?;
    let policy = ProviderPolicy { internal: config.oidc_internal, services_only: config.oidc_require_service };
    Ok(Providers::new(trusted, fetcher, policy))
}

/// The shipped access models, and those of the operator's directory in their stead or beside them.
fn models(directory: Option<&Path>) -> Result<Models, StartError> {
    let mut documents = Vec::new();
    if let Some(directory) = directory {
        let wrong = |error: std::io::Error| StartError::Installation(format!("{}: {error}", directory.display()));
        for entry in fs::read_dir(directory).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                documents.push((path.display().to_string(), fs::read_to_string(&path).map_err(wrong)?));
            }
        }
        documents.sort();
    }
    Models::with_documents(&documents).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        StartError::Installation(format!("access models:\n  {}", lines.join("\n  ")))
    })
}

/// Loads the access models that operators have put in place, and refuses to start where organizations are under one that is not loaded: every check in them would fail.
pub(super) async fn require_models(app: &App) -> Result<(), StartError> {
    app.models.load(&app.store).await?;
    for id in app.store.read().access_models_in_use().await? {
        if app.models.get(&id).is_none() {
            return Err(StartError::Installation(format!(
                "organizations are under the access model {id}, which is not loaded: add its document to ROSTER_ACCESS_MODELS_DIR"
            )));
        }
    }
    Ok(())
}
