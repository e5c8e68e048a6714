//! Whether a service may still do what it has begun: an invitation, or a transfer of ownership, that waits for somebody's answer (ab_35).

use uuid::Uuid;

use crate::domain::{confinement::reaches, scope::Scopes};
use crate::store::{Issuer, ServiceAccount, ServiceKey, Transfer};

/// The scopes of which an invitation needed one, where that was not kept: those of CreateInvitation and, for a founder, of CreateOrganization.
const INVITING: [&str; 2] = ["invitations.write", "organizations.write"];
/// The same of a transfer.
const TRANSFERRING: [&str; 1] = ["ownership.write"];

/// The service account and the key that something was begun with, as both are now.
pub(crate) type Service = (ServiceAccount, Option<ServiceKey>);

/// Whether the service that sent an invitation, or made a join link, may still do so; `None`: there is no such account.
pub(crate) fn may_still_invite(issuer: &Issuer, service: Option<&Service>) -> bool {
    is_authorized(service, issuer.organization_id, issuer.scopes.as_ref(), &INVITING)
}

/// Whether the service that started a transfer may still do so; `None`: there is no such account.
pub(crate) fn may_still_transfer(transfer: &Transfer, service: Option<&Service>) -> bool {
    is_authorized(service, transfer.organization_id, transfer.actor_scopes.as_ref(), &TRANSFERRING)
}

/// The account is in use and reaches the organization, the key has not been revoked, and the account has the scopes that the call needed. That a key has expired since takes nothing away: it was planned, and so is
/// how keys are exchanged.
fn is_authorized(service: Option<&Service>, organization: Uuid, needed: Option<&Scopes>, before: &[&str]) -> bool {
    service.is_some_and(|(account, key)| {
        let revoked = key.as_ref().is_some_and(|key| key.revoke_time.is_some());
        let reached = reaches(account.organizations.as_ref(), organization);
        !account.disabled && reached && !revoked && account.scopes.still_cover(needed, before)
    })
}
