//! The keys of the trusted issuers: fetched when they are first needed, kept for a while, and fetched again when they have changed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration as Wait,
};

use chrono::{DateTime, Duration, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
        },
    },
    domain::{
        error::{Reason, Refusal},
        id_token::{self, Claimed, Flaw, Identity, KeySet, Provider},
    },
    platform::https::{Fetcher, Reach},
};

/// How long an issuer has for each of its two documents.
pub(crate) const FETCH_TIME: Wait = Wait::from_secs(5);
/// How long keys are kept where the issuer does not say, and within which limits it may.
const KEPT: Duration = Duration::hours(1);
const KEPT_LEAST: Duration = Duration::minutes(5);
const KEPT_MOST: Duration = Duration::days(1);
/// How much longer keys go on working while the issuer cannot be reached.
const SPARE: Duration = Duration::days(1);
/// How often an issuer is asked at the most, whatever tokens name: made-up keys must not make us hammer it.
const PAUSE: Duration = Duration::seconds(30);

/// What is allowed besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProviderPolicy {
    /// The issuers' own hosts may be inside.
    pub(crate) internal: bool,
    /// ID tokens are taken from services only.
    pub(crate) services_only: bool,
}

/// The trusted issuers, each with what is known of its keys.
pub(crate) struct Providers {
    fetcher: Fetcher,
    policy: ProviderPolicy,
    known: HashMap<String, KnownProvider>,
}

struct KnownProvider {
    provider: Provider,
    state: Mutex<State>,
    /// Held while fetching: of many who need new keys at once, one fetches and the others wait for it.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    keys: Option<Keys>,
    asked: Option<DateTime<Utc>>,
}

#[derive(Clone)]
struct Keys {
    set: KeySet,
    fresh_until: DateTime<Utc>,
}

impl State {
    /// The keys, where there is no reason to ask for newer ones.
    fn fresh(&self, key_id: Option<&str>, now: DateTime<Utc>) -> Option<KeySet> {
        let keys = self.keys.as_ref()?;
        (now < keys.fresh_until && keys.set.knows(key_id)).then(|| keys.set.clone())
    }

    /// The keys, where there can be no newer ones for now.
    fn spare(&self, now: DateTime<Utc>) -> Option<KeySet> {
        let keys = self.keys.as_ref()?;
        (now < keys.fresh_until + SPARE).then(|| keys.set.clone())
    }
}

impl Providers {
    /// These issuers.
    pub(crate) fn new(providers: Vec<Provider>, fetcher: Fetcher, policy: ProviderPolicy) -> Self {
        let known = providers.into_iter().map(|provider| {
            let issuer = provider.issuer.clone();
            let known = KnownProvider { provider, state: Mutex::default(), fetching: tokio::sync::Mutex::default() };
            (issuer, known)
        });
        Self { known: known.collect(), fetcher, policy }
    }

    async fn keys(&self, known: &KnownProvider, key_id: Option<&str>, now: DateTime<Utc>) -> Result<KeySet> {
        if let Some(keys) = known.read().fresh(key_id, now) {
            return Ok(keys);
        }
        let _one = known.fetching.lock().await;
        let state = known.read();
        // Somebody else may have fetched while we waited.
        if let Some(keys) = state.fresh(key_id, now) {
            return Ok(keys);
        }
        let pausing = state.asked.map(|asked| asked + PAUSE - now).filter(|left| *left > Duration::zero());
        if let Some(left) = pausing {
            return state.spare(now).ok_or_else(|| unavailable(left));
        }
        known.write(|state| state.asked = Some(now));
        match self.fetch(&known.provider, now).await {
            Ok(keys) => {
                let set = keys.set.clone();
                known.write(|state| state.keys = Some(keys));
                Ok(set)
            }
            Err(cause) => {
                tracing::warn!(
                    issuer = known.provider.issuer,
                    cause,
                    "the keys of an identity provider could not be fetched"
                );
                state.spare(now).ok_or_else(|| unavailable(PAUSE))
            }
        }
    }

    async fn fetch(&self, provider: &Provider, now: DateTime<Utc>) -> std::result::Result<Keys, String> {
        let discovery = provider.discovery_url().ok_or("the issuer is no URL")?;
        let document = self.fetcher.get(&discovery, self.reach(true)).await;
        let document = document.map_err(|error| format!("discovery: {error}"))?;
        let keys = provider.keys_url(&document.body)?;
        // The document may name any host; only the issuer's own may be inside (ab_29).
        let own = keys.host() == discovery.host() && keys.port_or_known_default() == discovery.port_or_known_default();
        let document = self.fetcher.get(&keys, self.reach(own)).await;
        let document = document.map_err(|error| format!("keys: {error}"))?;
        let said = document.max_age.and_then(|age| Duration::from_std(age).ok());
        Ok(Keys {
            set: KeySet::parse(&document.body)?,
            fresh_until: now + said.unwrap_or(KEPT).clamp(KEPT_LEAST, KEPT_MOST),
        })
    }

    fn reach(&self, own: bool) -> Reach {
        match own && self.policy.internal {
            true => Reach::Internal,
            false => Reach::Public,
        }
    }
}

impl KnownProvider {
    fn read(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn unavailable(left: Duration) -> Error {
    Refusal::new(Reason::IdentityProviderUnavailable)
        .with("retry_after_seconds", left.num_seconds().max(1).to_string())
        .into()
}

/// An ID token as somebody shows it, with the nonce that it has to answer to.
#[derive(Debug)]
pub(crate) struct ShownToken {
    /// The token.
    pub(crate) id_token: SecretString,
    /// The nonce.
    pub(crate) nonce: SecretString,
}

impl App {
    /// Who somebody is, by an ID token of a trusted issuer. Looked at before any transaction: it may take a fetch.
    ///
    /// # Errors
    /// `SERVICE_REQUIRED`, `ID_TOKEN_INVALID` with the flaw, `IDENTITY_PROVIDER_UNAVAILABLE`.
    pub(crate) async fn identify(&self, ctx: &Ctx, shown: &ShownToken) -> Result<Identity> {
        if self.providers.policy.services_only && ctx.caller.service.is_none() {
            return Err(Refusal::new(Reason::ServiceRequired)
                .with("hint", "call from the application's server, with its service key as the bearer credential")
                .into());
        }
        let invalid = |flaw: Flaw| Refusal::new(Reason::IdTokenInvalid).with("flaw", flaw.as_str());
        let token = shown.id_token.expose_secret();
        let claimed = Claimed::read(token).map_err(invalid)?;
        let known = self.providers.known.get(&claimed.issuer);
        let known = known.ok_or_else(|| invalid(Flaw::Issuer))?;
        let keys = self.providers.keys(known, claimed.key_id.as_deref(), ctx.now).await?;
        let nonce = shown.nonce.expose_secret();
        Ok(id_token::verify(token, &claimed, &known.provider, &keys, nonce, ctx.now).map_err(invalid)?)
    }
}
