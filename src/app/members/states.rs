//! What ends, interrupts and restores a membership: suspend, activate, remove, restore, leave.

use serde_json::json;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{self, Access, Asked},
            context::Ctx,
            error::Result,
            mutation::Mutation,
        },
        members::{RosterEntry, changed_entry},
        ownership, require_etag,
    },
    domain::{
        access_model::RoleSet,
        authority::{self, Situation, Target},
        error::{Reason, Refusal},
        member::MemberState,
        organization::OrganizationState,
        text::sort_key,
    },
    store::{Member, Tx, User},
};

/// What is done to a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Suspends it.
    Suspend,
    /// Ends a suspension.
    Activate,
    /// Removes the member.
    Remove,
    /// Takes a removal back.
    Restore,
    /// Ends the caller's own.
    Leave,
}

impl Change {
    fn event(self) -> &'static str {
        match self {
            Change::Suspend => "member.suspended",
            Change::Activate => "member.activated",
            Change::Remove => "member.removed",
            Change::Restore => "member.restored",
            Change::Leave => "member.left",
        }
    }

    /// The state and the roles afterwards, by the rules of [`authority`].
    fn decide(self, situation: &Situation<'_>, target: &Target<'_>) -> Result<(MemberState, RoleSet)> {
        let kept = |state: MemberState| (state, target.roles.clone());
        let decided = match self {
            Change::Suspend => authority::decide_suspend(situation, target).map(kept),
            Change::Activate => authority::decide_activate(situation, target).map(kept),
            Change::Remove => authority::decide_remove(situation, target).map(kept),
            Change::Leave => authority::decide_leave(situation, target).map(kept),
            Change::Restore => authority::decide_restore(situation, target).map(|roles| (MemberState::Active, roles)),
        };
        Ok(decided?)
    }
}

/// Changes the state of a member.
#[derive(Debug)]
pub(crate) struct ChangeMemberState {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The member's user; `None`: the caller.
    pub(crate) user_id: Option<Uuid>,
    /// What is done.
    pub(crate) change: Change,
    /// The state that the change is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and nothing is changed.
    pub(crate) validate_only: bool,
}

impl ChangeMemberState {
    fn asked(&self) -> Asked {
        match self.change {
            Change::Leave => Asked::Membership,
            _ => Asked::Permission,
        }
    }

    async fn store(
        &self,
        ctx: &Ctx,
        tx: &mut Tx,
        access: &mut Access,
        member: &Member,
        before: MemberState,
    ) -> Result<()> {
        tx.update_member(member.clone()).await?;
        let data = json!({
            "before": { "state": before.as_str() },
            "after": { "state": member.state.as_str() },
            "roles": member.roles,
        });
        ctx.record(tx, &mut access.organization, self.change.event(), Some(member.user_id), data).await
    }
}

impl Mutation for ChangeMemberState {
    type Outcome = (RosterEntry, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, self.asked()))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let caller = ctx.caller.user.as_ref().map(|caller| caller.user.id);
        let user_id = self.user_id.or(caller).ok_or_else(|| {
            Refusal::new(Reason::MemberNotManageable).with("hint", "only the member can leave; others are removed")
        })?;
        // Looked at first: a caller locks no user of another organization (ab_50).
        tx.member(self.organization_id, user_id).await?.ok_or(Reason::MemberNotFound)?;
        // The person before the organization, as everywhere: a sign-in at this moment either is ended below or sees what happened here (ab_08).
        let user = tx.lock_user(user_id).await?;
        let mut access = self.lock(app, ctx, tx).await?;
        let member = tx.member(self.organization_id, user_id).await?;
        let (mut member, user) = member.zip(user).ok_or(Reason::MemberNotFound)?;
        require_etag(&self.etag, member.changed_revision)?;
        let owners = access::owners_where_it_matters(tx, &access, &[&member.roles]).await?;
        let (state, roles) = self.change.decide(&access.situation(ctx, owners), &member.target(user.state))?;

        let before = std::mem::replace(&mut member.state, state);
        member.roles = roles;
        member.changed_revision = access.organization.next_revision();
        member.update_time = ctx.now;
        if state != MemberState::Suspended {
            // Under the person's lock, as a sign-in: every session so far is from before this (ab_57). Of a suspension, its end counts.
            member.interrupted_after_sign_in = Some(user.sign_in_count);
        }
        if state == MemberState::Active {
            member.admit_time = Some(ctx.now);
            // A removed user may have changed their name since.
            member.sort_key = sort_key(&user.effective_display_name());
        }
        self.store(ctx, tx, &mut access, &member, before).await?;
        ownership::call_off_impossible(app, ctx, tx, &mut access.organization, &access.model).await?;
        if state != MemberState::Active {
            end_sessions_of_nobodys_member(ctx, tx, &user).await?;
        }
        changed_entry(app, ctx, tx, &mut access, member, user).await
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// Ends the sessions of a person who is an active member nowhere any more (CP10, JP12). Of others, the sessions go on for the organizations that are left.
pub(crate) async fn end_sessions_of_nobodys_member(ctx: &Ctx, tx: &mut Tx, user: &User) -> Result<()> {
    let memberships = tx.memberships(user.id).await?;
    // A deleted organization is nowhere to belong.
    let somewhere = memberships.iter().any(|(organization, member)| {
        organization.state != OrganizationState::Deleted && member.state == MemberState::Active
    });
    if !somewhere {
        ctx.end_sessions(tx, user.id, None).await?;
    }
    Ok(())
}
