//! Service accounts and their keys.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
            mutation::Mutation,
            paging::{Page, PageRequest},
        },
        require_state,
    },
    domain::{
        confinement::{Confinement, is_lifted, require_confinable, widens},
        digest::sha256,
        error::{Reason, Refusal},
        scope::Scopes,
        text::ServiceAccountName,
        token::{Token, TokenKind},
    },
    platform::entropy::Entropy,
    store::{Cursor, ServiceAccount, ServiceKey, Tx},
};

/// Characters of a key that are kept to recognize it by: the prefix and four more, of forty-three.
const HINT: usize = 8;

/// Makes a key. What is stored cannot be turned back into it.
pub(crate) fn new_key(
    entropy: &Entropy,
    account: Uuid,
    expire_time: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> (ServiceKey, Token) {
    let token = Token::new(TokenKind::ServiceKey, entropy.bytes());
    let key = ServiceKey {
        id: entropy.uuid(now),
        service_account_id: account,
        token_digest: token.digest().to_vec(),
        hint: token.expose().chars().take(HINT).collect(),
        create_time: now,
        expire_time,
        revoke_time: None,
    };
    (key, token)
}

/// Nobody passes on what they lack: neither to a new account, nor by a key of an account that may do more. Nor do they take away from those who may do more:
/// a key that manages service accounts would be enough to shut every operator out.
fn require_grantable(ctx: &Ctx, wanted: &Scopes) -> Result<()> {
    let held = ctx.caller.service.as_ref().map(|service| &service.scopes);
    match held.map_or_else(|| wanted.iter().next(), |held| held.missing(wanted)) {
        Some(scope) => Err(Refusal::new(Reason::ScopeNotGrantable).with("scope", scope).into()),
        None => Ok(()),
    }
}

/// From when on the key that calls is refused; `None` means never.
fn key_end(ctx: &Ctx) -> Option<DateTime<Utc>> {
    ctx.caller.service.as_ref().and_then(|service| service.key_expire_time)
}

/// Nobody makes a key that outlives their own: what was given for a time would go on for ever.
fn refuse_outliving(ctx: &Ctx, wanted: Option<DateTime<Utc>>, hint: &str) -> Result<()> {
    match key_end(ctx) {
        Some(end) if wanted.is_none_or(|wanted| wanted > end) => Err(Refusal::new(Reason::ServiceKeyOutlivesCaller)
            .with("expire_time", end.to_rfc3339_opts(SecondsFormat::AutoSi, true))
            .with("hint", hint)
            .into()),
        _ => Ok(()),
    }
}

/// Creates a service account.
#[derive(Debug)]
pub(crate) struct Create {
    /// The name that people see.
    pub(crate) display_name: ServiceAccountName,
    /// What its keys may do.
    pub(crate) scopes: Scopes,
    /// The organizations that they are confined to.
    pub(crate) confinement: Option<Confinement>,
    /// Whether everything is checked and nothing is created.
    pub(crate) validate_only: bool,
}

impl Mutation for Create {
    type Outcome = ServiceAccount;

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<ServiceAccount> {
        require_grantable(ctx, &self.scopes)?;
        require_confinable(&self.scopes, self.confinement.as_ref())?;
        require_existing(tx, self.confinement.as_ref()).await?;
        let account = ServiceAccount {
            id: app.entropy.uuid(ctx.now),
            display_name: self.display_name.as_str().to_owned(),
            scopes: self.scopes.clone(),
            disabled: false,
            create_time: ctx.now,
            organizations: self.confinement.clone(),
        };
        tx.insert_service_account(account.clone()).await?;
        let data = json!({ "after": facts(&account) });
        ctx.record_installation(tx, "service_account.created", account.id, data).await?;
        Ok(account)
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// Changes a service account.
#[derive(Debug)]
pub(crate) struct Update {
    /// The service account.
    pub(crate) service_account_id: Uuid,
    /// The new name, where it changes.
    pub(crate) display_name: Option<ServiceAccountName>,
    /// What its keys may do from now on, where it changes.
    pub(crate) scopes: Option<Scopes>,
    /// The organizations that its keys are confined to from now on, where that changes.
    pub(crate) confinement: Option<Option<Confinement>>,
    /// The state that the change is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and nothing is changed.
    pub(crate) validate_only: bool,
}

impl Mutation for Update {
    type Outcome = ServiceAccount;

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<ServiceAccount> {
        let mut account = locked(tx, self.service_account_id).await?;
        // Of the scopes that it has, too: a weaker caller does not rename or weaken a stronger account.
        require_grantable(ctx, &account.scopes)?;
        require_state(&self.etag, etag(&account))?;
        let mut changed = account.clone();
        if let Some(scopes) = &self.scopes {
            require_grantable(ctx, scopes)?;
            changed.scopes = scopes.clone();
        }
        if let Some(confinement) = &self.confinement {
            if is_lifted(account.organizations.as_ref(), confinement.as_ref()) {
                return Err(Error::violation(
                    "service_account.organization_ids",
                    "must not become empty: disable the account, or make another one",
                ));
            }
            require_existing(tx, confinement.as_ref()).await?;
            changed.organizations = confinement.clone();
        }
        require_confinable(&changed.scopes, changed.organizations.as_ref())?;
        refuse_widening_beyond(ctx, tx, &account, &changed).await?;
        if let Some(name) = &self.display_name {
            changed.display_name = name.as_str().to_owned();
        }
        let (before, after) = (facts(&account), facts(&changed));
        account = changed;
        if after == before {
            return Ok(account);
        }
        tx.update_service_account(account.clone()).await?;
        let data = json!({ "before": before, "after": after });
        ctx.record_installation(tx, "service_account.updated", account.id, data).await?;
        Ok(account)
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// What does not exist confines nobody to anything.
async fn require_existing(tx: &Tx, confinement: Option<&Confinement>) -> Result<()> {
    let Some(confinement) = confinement else { return Ok(()) };
    let ids: Vec<Uuid> = confinement.iter().collect();
    let existing = tx.organizations_among(&ids).await?;
    match ids.iter().find(|id| !existing.contains(id)) {
        Some(missing) => {
            Err(Refusal::new(Reason::OrganizationNotFound).with("organization_id", missing.to_string()).into())
        }
        None => Ok(()),
    }
}

/// A key that expires gives nothing to keys that outlive it, neither scopes nor organizations: they would go on with it after its end, as one that it had made for itself.
async fn refuse_widening_beyond(ctx: &Ctx, tx: &Tx, account: &ServiceAccount, changed: &ServiceAccount) -> Result<()> {
    let wider = account.scopes.missing(&changed.scopes).is_some()
        || widens(account.organizations.as_ref(), changed.organizations.as_ref());
    if !wider || key_end(ctx).is_none() {
        return Ok(());
    }
    for key in tx.standing_keys(account.id).await? {
        refuse_outliving(
            ctx,
            key.expire_time,
            "call with a key that lasts longer, or revoke those of the account first",
        )?;
    }
    Ok(())
}

/// Disables a service account.
#[derive(Debug)]
pub(crate) struct Disable {
    /// The service account.
    pub(crate) service_account_id: Uuid,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

impl Mutation for Disable {
    type Outcome = ServiceAccount;

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<ServiceAccount> {
        let mut account = locked(tx, self.service_account_id).await?;
        require_grantable(ctx, &account.scopes)?;
        require_state(&self.etag, etag(&account))?;
        if std::mem::replace(&mut account.disabled, true) {
            return Ok(account);
        }
        tx.update_service_account(account.clone()).await?;
        let data = json!({ "before": { "disabled": false }, "after": { "disabled": true } });
        ctx.record_installation(tx, "service_account.disabled", account.id, data).await?;
        Ok(account)
    }
}

/// Creates a key.
#[derive(Debug)]
pub(crate) struct CreateKey {
    /// The service account.
    pub(crate) service_account_id: Uuid,
    /// From when on the key is refused.
    pub(crate) expire_time: Option<DateTime<Utc>>,
    /// Whether everything is checked and nothing is created.
    pub(crate) validate_only: bool,
}

impl Mutation for CreateKey {
    /// The key's record; the key itself, but for one that is not kept.
    type Outcome = (ServiceKey, Option<Token>);

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let account = locked(tx, self.service_account_id).await?;
        if account.disabled {
            return Err(Reason::ServiceAccountDisabled.into());
        }
        require_grantable(ctx, &account.scopes)?;
        refuse_outliving(ctx, self.expire_time, "let the key expire by then, or call with one that lasts longer")?;
        let (key, token) = new_key(&app.entropy, account.id, self.expire_time, ctx.now);
        tx.insert_service_key(key.clone()).await?;
        let data = json!({ "after": key_facts(&key) });
        ctx.record_installation(tx, "service_key.created", key.id, data).await?;
        Ok((key, Some(token).filter(|_| !self.validate_only)))
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// Revokes a key.
#[derive(Debug)]
pub(crate) struct RevokeKey {
    /// The service account.
    pub(crate) service_account_id: Uuid,
    /// The key.
    pub(crate) service_key_id: Uuid,
}

impl Mutation for RevokeKey {
    type Outcome = ServiceKey;

    async fn apply(&self, _app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<ServiceKey> {
        let account = locked(tx, self.service_account_id).await?;
        require_grantable(ctx, &account.scopes)?;
        let found = tx.service_key(account.id, self.service_key_id).await?;
        let mut key = found.ok_or(Reason::ServiceKeyNotFound)?;
        // Revoking twice leaves the first time.
        if key.revoke_time.is_some() {
            return Ok(key);
        }
        key.revoke_time = Some(ctx.now);
        tx.update_service_key(key.clone()).await?;
        let data = json!({ "before": key_facts(&key), "after": null });
        ctx.record_installation(tx, "service_key.revoked", key.id, data).await?;
        Ok(key)
    }
}

/// What an event says of a service account.
pub(crate) fn facts(account: &ServiceAccount) -> Value {
    let scopes: Vec<&str> = account.scopes.iter().collect();
    let organizations: Option<Vec<Uuid>> =
        account.organizations.as_ref().map(|confinement| confinement.iter().collect());
    json!({
        "display_name": account.display_name,
        "scopes": scopes,
        "disabled": account.disabled,
        "organization_ids": organizations,
    })
}

/// What an event says of a key: whose it is, how it begins, and when it ends.
pub(crate) fn key_facts(key: &ServiceKey) -> Value {
    json!({
        "service_account_id": key.service_account_id,
        "hint": key.hint,
        "expire_time": key.expire_time,
    })
}

/// Names the state of a service account: a digest of all that can change about it, since it has no revision.
pub(crate) fn etag(account: &ServiceAccount) -> String {
    let state = facts(account).to_string();
    URL_SAFE_NO_PAD.encode(sha256(state.as_bytes()))
}

async fn locked(tx: &mut Tx, id: Uuid) -> Result<ServiceAccount> {
    let account = tx.lock_service_account(id).await?;
    Ok(account.ok_or(Reason::ServiceAccountNotFound)?)
}

/// Service accounts, oldest first.
///
/// # Errors
/// The database's.
pub(crate) async fn list(app: &App, _ctx: &Ctx, page: PageRequest) -> Result<Page<ServiceAccount>> {
    let view = app.store.read();
    let rows = view.service_accounts_page(page.after(), page.limit()).await?;
    let total = page.total(view.service_accounts_count()).await?;
    Ok(page.page(rows, total, |row| Cursor::by_id(row.id)))
}

/// Which keys.
#[derive(Debug)]
pub(crate) struct ListKeys {
    /// The service account.
    pub(crate) service_account_id: Uuid,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// The keys of a service account, oldest first.
///
/// # Errors
/// `SERVICE_ACCOUNT_NOT_FOUND`.
pub(crate) async fn list_keys(app: &App, _ctx: &Ctx, query: ListKeys) -> Result<Page<ServiceKey>> {
    let view = app.store.read();
    let account = view.service_account(query.service_account_id).await?.ok_or(Reason::ServiceAccountNotFound)?;
    let rows = view.service_keys_page(account.id, query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.service_keys_count(account.id)).await?;
    Ok(query.page.page(rows, total, |row| Cursor::by_id(row.id)))
}
