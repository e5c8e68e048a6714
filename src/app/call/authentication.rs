//! Who calls: reads the credentials of a call.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            caller::{Caller, ServiceCaller, UserCaller},
            directory::Freshness,
            error::Result,
        },
    },
    domain::{
        error::{Reason, Refusal},
        scope,
        token::{Token, TokenKind},
        user::UserState,
    },
    store::{Session, SessionHolder, User},
};

/// How old the note of a session's last use may be: noting every use would make every read a write.
const TOUCH_INTERVAL: Duration = Duration::minutes(1);

/// What a call carries to say who calls.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// A service key or a session.
    pub(crate) bearer: Option<SecretString>,
    /// The session of the user for whom a service calls.
    pub(crate) on_behalf_of: Option<SecretString>,
    /// The user as whom a service with the scope `act_as_user` calls.
    pub(crate) actor: Option<Uuid>,
    /// The user who has asked a service for what it does by its own right.
    pub(crate) requested_by: Option<Uuid>,
}

impl Credentials {
    /// Whether a user is named beside the bearer.
    fn names_user(&self) -> bool {
        self.on_behalf_of.is_some() || self.actor.is_some() || self.requested_by.is_some()
    }
}

/// Finds out who calls. Without any credential it is nobody; with one that is not valid it is an error, also where none is needed.
///
/// # Errors
/// `CREDENTIALS_INVALID`, `SCOPE_REQUIRED`.
pub(crate) async fn authenticate(
    app: &App,
    credentials: &Credentials,
    freshness: Freshness,
    now: DateTime<Utc>,
) -> Result<Caller> {
    let Some(bearer) = &credentials.bearer else {
        return match credentials.names_user() {
            false => Ok(Caller::default()),
            // A user is named, and nobody vouches for it.
            _ => Err(Reason::CredentialsInvalid.into()),
        };
    };
    app.directory.confirm(freshness).await?;
    match TokenKind::of(bearer.expose_secret()) {
        Some(TokenKind::ServiceKey) => {
            let service = service(app, bearer, now).await?;
            let user = on_behalf_of(app, credentials, &service, now).await?;
            let named = match credentials.requested_by {
                Some(id) => Some(active_user(app, id).await?.id),
                None => None,
            };
            // Whoever calls for a user is that user.
            match (&user, named) {
                (Some(_), Some(_)) => Err(Reason::CredentialsInvalid.into()),
                _ => Ok(Caller { service: Some(service), user, named }),
            }
        }
        Some(TokenKind::Session) if !credentials.names_user() => {
            Ok(Caller { service: None, user: Some(session_caller(app, bearer, now).await?), named: None })
        }
        _ => Err(Reason::CredentialsInvalid.into()),
    }
}

/// The live session of a token, if it is one. Counts as a use of it.
///
/// # Errors
/// The database's.
pub(crate) async fn live_session(app: &App, token: &str, now: DateTime<Utc>) -> Result<Option<SessionHolder>> {
    let Some(token) = Token::parse(TokenKind::Session, token) else {
        return Ok(None);
    };
    let digest = token.digest();
    let mut found = app.directory.session(&app.store, digest, false).await?;
    // It may have been used elsewhere: before it is refused or noted as used, it is read anew.
    if found.as_ref().is_none_or(|holder| !live(app, holder, now) || due(&holder.session, now)) {
        found = app.directory.session(&app.store, digest, true).await?;
    }
    let Some(holder) = found.filter(|holder| live(app, holder, now)) else {
        return Ok(None);
    };
    let mut holder = Arc::unwrap_or_clone(holder);
    let session = &mut holder.session;
    if due(session, now) {
        match app.store.touch_session(session.id, session.user_id, now).await {
            Ok(()) => {
                session.last_used_time = now;
                app.active.note(session.user_id);
            }
            // The next use notes it; a call that could be answered is not refused for it.
            Err(error) => tracing::warn!(%error, "could not note the use of a session"),
        }
    }
    Ok(Some(holder))
}

fn live(app: &App, holder: &SessionHolder, now: DateTime<Utc>) -> bool {
    let session = &holder.session;
    let live = app.sessions.live(session.last_used_time, session.expire_time, session.revoke_time, now);
    live && holder.user.state == UserState::Active
}

/// Whether the use of a session has to be noted.
fn due(session: &Session, now: DateTime<Utc>) -> bool {
    now - session.last_used_time >= TOUCH_INTERVAL
}

async fn service(app: &App, bearer: &SecretString, now: DateTime<Utc>) -> Result<ServiceCaller> {
    let invalid = || Refusal::new(Reason::CredentialsInvalid);
    let token = Token::parse(TokenKind::ServiceKey, bearer.expose_secret()).ok_or_else(invalid)?;
    let holder = app.directory.service_key(&app.store, token.digest()).await?.ok_or_else(invalid)?;
    let over = holder.key.expire_time.is_some_and(|end| now >= end);
    if holder.key.revoke_time.is_some() || holder.account.disabled || over {
        return Err(invalid().into());
    }
    Ok(ServiceCaller {
        account_id: holder.account.id,
        key_id: holder.key.id,
        scopes: holder.account.scopes.clone(),
        key_expire_time: holder.key.expire_time,
        confinement: holder.account.organizations.clone(),
    })
}

async fn session_caller(app: &App, token: &SecretString, now: DateTime<Utc>) -> Result<UserCaller> {
    let holder = live_session(app, token.expose_secret(), now).await?.ok_or(Reason::CredentialsInvalid)?;
    Ok(UserCaller { user: holder.user, session: Some(holder.session) })
}

async fn active_user(app: &App, id: Uuid) -> Result<Arc<User>> {
    let user = app.directory.user(&app.store, id).await?;
    Ok(user.filter(|user| user.state == UserState::Active).ok_or(Reason::CredentialsInvalid)?)
}

async fn on_behalf_of(
    app: &App,
    credentials: &Credentials,
    service: &ServiceCaller,
    now: DateTime<Utc>,
) -> Result<Option<UserCaller>> {
    match (&credentials.on_behalf_of, credentials.actor) {
        (None, None) => Ok(None),
        (Some(token), None) => Ok(Some(session_caller(app, token, now).await?)),
        (None, Some(_)) if !service.scopes.allow(scope::ACT_AS_USER) => {
            Err(Refusal::new(Reason::ScopeRequired).with("scope", scope::ACT_AS_USER).into())
        }
        (None, Some(id)) => {
            let user = active_user(app, id).await?;
            Ok(Some(UserCaller { user: Arc::unwrap_or_clone(user), session: None }))
        }
        // Two users for one call.
        (Some(_), Some(_)) => Err(Reason::CredentialsInvalid.into()),
    }
}
