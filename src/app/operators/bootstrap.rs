//! The first start: an operator's key, so that there is a caller at all.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::{
    app::{
        App,
        call::error::Result,
        operators::service_accounts::{facts, key_facts, new_key},
    },
    domain::{
        error::{Reason, Refusal},
        scope::{self, Scopes},
        token::Token,
    },
    platform::entropy::Entropy,
    store::{Actor, Event, ServiceAccount, Store, Tx},
};

/// Whether there is any service account.
///
/// # Errors
/// The database's.
pub(crate) async fn has_accounts(app: &App) -> Result<bool> {
    Ok(!app.store.read().service_accounts_page(None, 1).await?.is_empty())
}

/// Creates the operator's service account with a key, where there is no service account yet. On the embedded database, whose writing transactions exclude each
/// other: two processes that start at once make one operator.
///
/// # Errors
/// The database's.
pub(crate) async fn first_key(app: &App, now: DateTime<Utc>) -> Result<Option<Token>> {
    let mut tx = app.store.begin().await?;
    if !tx.service_accounts_page(None, 1).await?.is_empty() {
        return Ok(None);
    }
    let token = operator(&mut tx, &app.entropy, now).await?;
    tx.commit().await?;
    Ok(Some(token))
}

/// Creates another operator with a key, whatever there is: for an operator who has lost every key and can reach the database.
///
/// # Errors
/// The database's.
pub(crate) async fn another_key(store: &Store, entropy: &Entropy, now: DateTime<Utc>) -> Result<Token> {
    let mut tx = store.begin().await?;
    let token = operator(&mut tx, entropy, now).await?;
    tx.commit().await?;
    Ok(token)
}

async fn operator(tx: &mut Tx, entropy: &Entropy, now: DateTime<Utc>) -> Result<Token> {
    let scopes =
        Scopes::parse([scope::OPERATOR]).map_err(|unknown| Refusal::new(Reason::Internal).with("scope", unknown))?;
    let account = ServiceAccount {
        id: entropy.uuid(now),
        display_name: "Operator".to_owned(),
        scopes,
        disabled: false,
        create_time: now,
        organizations: None,
    };
    let (key, token) = new_key(entropy, account.id, None, now);
    tx.insert_service_account(account.clone()).await?;
    tx.insert_service_key(key.clone()).await?;
    // By nobody who has called: by the first start, or from the command line.
    let made =
        [("service_account.created", account.id, facts(&account)), ("service_key.created", key.id, key_facts(&key))];
    for (kind, subject, after) in made {
        let data = json!({ "after": after });
        let event = Event { kind: kind.into(), actor: Actor::default(), subject: Some(subject), data, time: now };
        tx.record_installation(event).await?;
    }
    Ok(token)
}
