//! Invitations: how far one is, and who may send, resend, revoke and accept it.

#[cfg(test)]
mod tests;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::access_model::{AccessModel, OpenPerAddress, RoleSet};
use crate::domain::authority::{Authority, Owners, Situation, decide_addition, decide_invite};
use crate::domain::error::{Reason, Refusal};
use crate::domain::member::{Action, MemberState};
use crate::domain::text_enum::text_enum;

text_enum! {
    /// What became of an invitation. That it has expired is never stored: it follows from the time at use.
    InvitationState {
        /// Waits for the invited person.
        Pending = "pending",
        /// Was accepted.
        Accepted = "accepted",
        /// Was declined by the invited person.
        Declined = "declined",
        /// Was taken back, or replaced by another one.
        Revoked = "revoked",
    }
}

/// How far an invitation is at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvitationStatus {
    /// Can be accepted.
    Pending,
    /// Was accepted.
    Accepted,
    /// Was declined by the invited person.
    Declined,
    /// Was taken back, or replaced by another one.
    Revoked,
    /// Was not accepted in time.
    Expired,
}

/// The facts about an invitation that decisions rest on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The canonical key of the invited address.
    pub email_key: String,
    /// The roles that it gives.
    pub roles: RoleSet,
    /// What became of it.
    pub state: InvitationState,
    /// From when on it can no longer be accepted.
    pub expire_time: DateTime<Utc>,
}

impl Invitation {
    /// A new invitation.
    pub fn issue(model: &AccessModel, email_key: String, roles: RoleSet, now: DateTime<Utc>) -> Self {
        Self { email_key, roles, state: InvitationState::Pending, expire_time: expire_time(model, now) }
    }

    /// How far it is now.
    pub fn status(&self, now: DateTime<Utc>) -> InvitationStatus {
        match self.state {
            InvitationState::Pending if now >= self.expire_time => InvitationStatus::Expired,
            InvitationState::Pending => InvitationStatus::Pending,
            InvitationState::Accepted => InvitationStatus::Accepted,
            InvitationState::Declined => InvitationStatus::Declined,
            InvitationState::Revoked => InvitationStatus::Revoked,
        }
    }

    /// Whether the invited person can still answer: until the instant of expiry, which is too late (JS06).
    ///
    /// # Errors
    /// `INVITATION_ALREADY_USED`, `INVITATION_DECLINED`, `INVITATION_REVOKED`, `INVITATION_EXPIRED`.
    pub fn open(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        self.unsettled(&INVITED)?;
        if now >= self.expire_time {
            return Err(Refusal::new(Reason::InvitationExpired)
                .with("expire_time", self.expire_time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
                .with("hint", "ask for a new invitation"));
        }
        Ok(())
    }

    /// Whether it has not been answered or taken back. An expired one has not: it can be resent and revoked.
    fn unsettled(&self, hints: &Hints) -> Result<(), Refusal> {
        let refused = |reason, hint| Err(Refusal::new(reason).with("hint", hint));
        match self.state {
            InvitationState::Pending => Ok(()),
            InvitationState::Accepted => refused(Reason::InvitationAlreadyUsed, hints.used),
            InvitationState::Declined => refused(Reason::InvitationDeclined, hints.over),
            InvitationState::Revoked => refused(Reason::InvitationRevoked, hints.over),
        }
    }
}

/// What a refused caller can do instead, where the invitation was accepted and where it is over.
struct Hints {
    used: &'static str,
    over: &'static str,
}

/// Of the invited person.
const INVITED: Hints =
    Hints { used: "sign in with the account that has accepted it", over: "ask for a new invitation" };

/// Of those who send an invitation again.
const SENDING: Hints = Hints { used: "change or remove the member instead", over: "invite the person again" };

/// Of those who take an invitation back.
const REVOKING: Hints = Hints { used: "change or remove the member instead", over: "nothing is left to take back" };

/// What brings an invitation back to life whose sender may no longer give its roles.
const SEND_AGAIN: &str = "ask somebody who may give these roles to send it again";

/// When an invitation that is sent, or sent again, at this time expires.
pub fn expire_time(model: &AccessModel, now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_add_signed(model.invitations().ttl).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Whether the inviter has to confirm with a second step first (JH03). A service acting for no user has no person to ask.
///
/// # Errors
/// `STEP_UP_REQUIRED`, with the method that begins one and the purpose to name to it.
pub fn require_step_up(situation: &Situation<'_>, stepped_up: bool) -> Result<(), Refusal> {
    match situation.authority {
        Authority::Member { .. } if situation.model.invitations().step_up && !stepped_up => {
            Err(Refusal::new(Reason::StepUpRequired)
                .with("method", "roster.v1.SessionService/StartStepUp")
                .with("purpose", "STEP_UP_PURPOSE_INVITE_MEMBERS"))
        }
        _ => Ok(()),
    }
}

/// How a new invitation stands to the earlier ones of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It is added; the earlier ones stay as they are.
    Add,
    /// It is added, and every pending one of the address is revoked in the same commit.
    Replace,
}

/// Whether an address may be invited, given its earlier invitations to the organization. An expired one is in nobody's way.
///
/// # Errors
/// `INVITATION_PENDING` (JP04).
pub fn decide_opening<'i>(
    model: &AccessModel,
    earlier: impl IntoIterator<Item = &'i Invitation>,
    now: DateTime<Utc>,
) -> Result<Opening, Refusal> {
    let mut opening = Opening::Add;
    for invitation in earlier {
        match (model.invitations().open_per_address, invitation.status(now)) {
            (OpenPerAddress::One, InvitationStatus::Pending) => {
                return Err(
                    Refusal::new(Reason::InvitationPending).with("hint", "resend or revoke the pending invitation")
                );
            }
            (OpenPerAddress::One | OpenPerAddress::Replace, InvitationStatus::Pending | InvitationStatus::Expired) => {
                opening = Opening::Replace;
            }
            _ => {}
        }
    }
    Ok(opening)
}

/// When the invitation expires after being sent again: it gets its full time again (JS06). Resending is inviting: the caller must be able
/// to give the roles, and answers for them from then on in the first inviter's place.
///
/// # Errors
/// Those of [`decide_invite`] for its roles; `INVITATION_ALREADY_USED`, `INVITATION_DECLINED`, `INVITATION_REVOKED`.
pub fn decide_resend(
    situation: &Situation<'_>,
    invitation: &Invitation,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, Refusal> {
    decide_invite(situation, &invitation.roles)?;
    invitation.unsettled(&SENDING)?;
    Ok(expire_time(situation.model, now))
}

/// Whether an invitation may be revoked. The caller must be able to change a holder of its roles.
///
/// # Errors
/// `PERMISSION_REQUIRED`, `MEMBER_NOT_MANAGEABLE`, `INVITATION_ALREADY_USED`, `INVITATION_DECLINED`, `INVITATION_REVOKED`.
pub fn decide_revoke(situation: &Situation<'_>, invitation: &Invitation) -> Result<(), Refusal> {
    situation.require(Action::RevokeInvitation.permission())?;
    situation.require_manages(&invitation.roles)?;
    invitation.unsettled(&REVOKING)
}

/// The state of an invitation that the invited person declines.
///
/// # Errors
/// Those of [`Invitation::open`].
pub fn decide_decline(invitation: &Invitation, now: DateTime<Utc>) -> Result<InvitationState, Refusal> {
    invitation.open(now)?;
    Ok(InvitationState::Declined)
}

/// What the acceptance of an invitation rests on besides the invitation: facts of now, not of when it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Acceptance<'a> {
    /// The organization's access model.
    pub model: &'a AccessModel,
    /// The organization's kind, where it has one.
    pub organization_kind: Option<&'a str>,
    /// By whose right the invitation was last sent; `None`: a member who is no longer an active one.
    pub inviter: Option<Authority<'a>>,
    /// What the accepting person already is in the organization.
    pub existing: Option<MemberState>,
    /// The organization's owners.
    pub owners: Owners,
    /// The time.
    pub now: DateTime<Utc>,
}

/// The roles that the person gets by accepting. That it is the invited person is for the caller to make sure.
///
/// # Errors
/// Those of [`Invitation::open`] and [`decide_addition`]; `INVITER_NO_LONGER_AUTHORIZED` where the inviter could not give these roles now;
/// those of [`decide_invite`] where the model does not allow them to anybody.
pub fn decide_accept(acceptance: &Acceptance<'_>, invitation: &Invitation) -> Result<RoleSet, Refusal> {
    invitation.open(acceptance.now)?;
    decide_addition(acceptance.model, acceptance.existing)?;
    standing(
        acceptance.model,
        acceptance.organization_kind,
        acceptance.inviter,
        acceptance.owners,
        &invitation.roles,
        SEND_AGAIN,
    )
}

/// The roles that whoever has offered them could give now; `None`: a member who is no longer an active one. `hint` says what helps where they could not.
///
/// # Errors
/// `INVITER_NO_LONGER_AUTHORIZED`; those of [`decide_invite`] where the model does not allow them to anybody.
pub(super) fn standing(
    model: &AccessModel,
    organization_kind: Option<&str>,
    inviter: Option<Authority<'_>>,
    owners: Owners,
    roles: &RoleSet,
    hint: &'static str,
) -> Result<RoleSet, Refusal> {
    let authority = inviter.ok_or_else(|| Refusal::new(Reason::InviterNoLongerAuthorized).with("hint", hint))?;
    let situation = Situation { model, organization_kind, authority, owners };
    decide_invite(&situation, roles).map_err(|refusal| match refusal.reason {
        Reason::PermissionRequired | Reason::RoleNotGrantable => {
            Refusal { reason: Reason::InviterNoLongerAuthorized, ..refusal }.with("hint", hint)
        }
        _ => refusal,
    })
}
