//! After a backup was restored: what it brought back that had been taken away since, ended or listed (ab_41).

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::call::error::Result,
    domain::{error::Reason, invitation::InvitationState},
    platform::entropy::Entropy,
    store::{Actor, Event, Invitation, JoinLink, Organization, ServiceAccount, ServiceKey, Store, Transfer, Tx},
};

/// What was ended, and what an operator has to look at.
#[derive(Debug)]
pub(crate) struct Restored {
    /// The name of the time that begins now.
    pub(crate) epoch: Uuid,
    /// Sessions that were ended.
    pub(crate) sessions: u64,
    /// Links, codes and half-finished sign-ins that were ended.
    pub(crate) challenges: u64,
    /// Kept answers that were forgotten.
    pub(crate) answers: u64,
    /// Invitations whose links work, or worked until now: some may have been revoked, declined or accepted since the backup.
    pub(crate) invitations: Vec<Invitation>,
    /// Join links by which people can join, or could until now: some may have been revoked since the backup.
    pub(crate) join_links: Vec<JoinLink>,
    /// Transfers of ownership that may be confirmed: some may have been called off since the backup.
    pub(crate) transfers: Vec<Transfer>,
    /// Keys that work, oldest first: some may have been revoked since the backup.
    pub(crate) keys: Vec<(ServiceKey, ServiceAccount)>,
}

/// Ends what nobody can tell from what was taken away since the backup, and begins another epoch, in one transaction. Works directly in the database, so that it is done before
/// anybody may call.
///
/// # Errors
/// The database's; then nothing has changed.
pub(crate) async fn after_restore(
    store: &Store,
    entropy: &Entropy,
    now: DateTime<Utc>,
    revoke_invitations: bool,
) -> Result<Restored> {
    let mut tx = store.begin().await?;
    // Random, and not the next number: two copies that are restored from one backup would count alike.
    let epoch = entropy.uuid(now);
    tx.begin_epoch(epoch, now).await?;
    tx.restamp_events().await?;
    let restored = Restored {
        epoch,
        sessions: tx.revoke_all_sessions(now).await?,
        challenges: tx.end_all_challenges(now).await?,
        answers: tx.forget_all_replays().await?,
        invitations: tx.open_invitations(now).await?,
        join_links: tx.open_join_links(now).await?,
        transfers: tx.open_transfers(now).await?,
        keys: tx.working_keys(now).await?,
    };
    if revoke_invitations {
        revoke(&mut tx, &restored.invitations, now).await?;
        revoke_links(&mut tx, &restored.join_links, now).await?;
    }
    let data = json!({ "after": { "epoch": epoch, "sessions": restored.sessions } });
    let event = Event { kind: "installation.restored".into(), actor: Actor::default(), subject: None, data, time: now };
    tx.record_installation(event).await?;
    tx.commit().await?;
    Ok(restored)
}

/// Revokes invitations, which come organization by organization. Each is recorded as any other is that is revoked, by nobody.
async fn revoke(tx: &mut Tx, invitations: &[Invitation], now: DateTime<Utc>) -> Result<()> {
    let mut locked: Option<Organization> = None;
    for invitation in invitations {
        let mut organization = match locked.take().filter(|one| one.id == invitation.organization_id) {
            Some(organization) => organization,
            None => {
                let found = tx.lock_organization(invitation.organization_id).await?;
                found.ok_or(Reason::OrganizationNotFound)?
            }
        };
        tx.cancel_message(invitation.message_id, now).await?;
        let revoked = Invitation {
            state: InvitationState::Revoked,
            changed_revision: organization.next_revision(),
            ..invitation.clone()
        };
        tx.update_invitation(revoked).await?;
        let event = Event {
            kind: "invitation.revoked".into(),
            actor: Actor::default(),
            subject: Some(invitation.id),
            data: json!({
                "before": { "state": invitation.state.as_str() },
                "after": { "state": InvitationState::Revoked.as_str(), "email": invitation.email, "restored": true },
            }),
            time: now,
        };
        tx.record(&mut organization, event).await?;
        locked = Some(organization);
    }
    Ok(())
}

/// Revokes join links, which come organization by organization, likewise.
async fn revoke_links(tx: &mut Tx, links: &[JoinLink], now: DateTime<Utc>) -> Result<()> {
    for link in links {
        let found = tx.lock_organization(link.organization_id).await?;
        let mut organization = found.ok_or(Reason::OrganizationNotFound)?;
        let revoked =
            JoinLink { revoke_time: Some(now), changed_revision: organization.next_revision(), ..link.clone() };
        tx.update_join_link(revoked).await?;
        let event = Event {
            kind: "join_link.revoked".into(),
            actor: Actor::default(),
            subject: Some(link.id),
            data: json!({ "after": { "revoke_time": now, "restored": true } }),
            time: now,
        };
        tx.record(&mut organization, event).await?;
    }
    Ok(())
}
