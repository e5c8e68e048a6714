//! The proof that a caller may do in an organization what the method's rule asks.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
            rule::Rule,
        },
    },
    domain::{
        access_model::{AccessModel, RoleId, RoleSet},
        authority::{Authority, Owners, Situation},
        error::{Reason, Refusal},
        member::{DenyReason, MembershipFacts, deny_reason},
        mfa,
        session::{self, Began, Interruption},
    },
    store::{Member, Organization, Session, Snapshot, Tx},
};

/// The permission that shows the roster, and the scope that shows it to services.
const ROSTER_READ: &str = "members.read";

/// The proof. Made here and nowhere else, after the rule of the called method has been checked; what it shows is that organization only.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// The organization. Under [`lock`], locked and as it is now.
    pub(crate) organization: Organization,
    /// Its access model.
    pub(crate) model: Arc<AccessModel>,
    /// The caller's own membership; `None` where a service acts for no user.
    membership: Option<Member>,
}

impl Access {
    /// The proof for an organization that this very transaction has created.
    pub(crate) fn of_new(organization: Organization, model: Arc<AccessModel>) -> Self {
        Self { organization, model, membership: None }
    }

    /// Makes the decision's frame: the model, the caller's right, and how many owners there are.
    pub(crate) fn situation<'a>(&'a self, ctx: &Ctx, owners: Owners) -> Situation<'a> {
        Situation {
            model: &self.model,
            organization_kind: self.organization.kind.as_deref(),
            authority: self.authority(ctx),
            owners,
        }
    }

    /// Takes the caller's own membership as it was just written, where it was theirs.
    pub(crate) fn refresh_member(&mut self, written: &Member) {
        if let Some(membership) = self.membership.as_mut().filter(|membership| membership.user_id == written.user_id) {
            *membership = written.clone();
        }
    }

    /// Refuses a caller without a second factor where the organization asks for one.
    ///
    /// # Errors
    /// `MFA_REQUIRED`, with the method that begins to set one up.
    pub(crate) fn require_factor(&self, ctx: &Ctx) -> Result<()> {
        match self.deny_reason(ctx) {
            Some(DenyReason::MfaRequired) => {
                Err(Refusal::new(Reason::MfaRequired).with("method", mfa::ENROLLING).into())
            }
            _ => Ok(()),
        }
    }

    /// Why the caller may not act here; `None` for a service that acts for no user.
    fn deny_reason(&self, ctx: &Ctx) -> Option<DenyReason> {
        let caller = ctx.caller.user.as_ref()?;
        let membership = self.membership.as_ref();
        deny_reason(MembershipFacts {
            organization: self.organization.state,
            member: membership.map(|member| member.state),
            session_outdated: membership
                .zip(ctx.session())
                .is_some_and(|(member, session)| session::outdated(began(session), interruption(member))),
            // Only of the caller, whom authentication has read: it costs nothing.
            factor_missing: !caller.user.mfa_enabled && mfa::enforced(&self.model, self.organization.mfa_required),
        })
    }

    /// The roles that give a permission here.
    pub(crate) fn roles_with(&self, permission: &str) -> Vec<RoleId> {
        self.model.roles_with(permission, self.organization.kind.as_deref())
    }

    /// Whether the caller may do here what another permission guards, which is also the name of the scope that a service needs for it.
    pub(crate) fn also_allows(&self, ctx: &Ctx, permission: &str) -> bool {
        let service = ctx.caller.service.is_none() || ctx.caller.has_scope(permission);
        let member = self.membership.as_ref();
        service && member.is_none_or(|member| self.model.allows(&member.roles, permission))
    }

    /// Whether the caller sees who the members are.
    fn shows_roster(&self, ctx: &Ctx) -> bool {
        let usable = self.organization.state.usable().is_ok() && self.require_factor(ctx).is_ok();
        usable && self.also_allows(ctx, ROSTER_READ)
    }

    /// Refuses a caller who could not call another method here, as far as its rule goes: for a call that also answers what that one would.
    ///
    /// # Errors
    /// `SCOPE_REQUIRED`, `PERMISSION_REQUIRED`.
    pub(crate) fn require_call(&self, ctx: &Ctx, method: &str) -> Result<()> {
        let rule = Rule::of(method).ok_or_else(|| Error::Internal(format!("there is no method {method}")))?;
        match (&ctx.caller.service, &self.membership) {
            (Some(service), _) if !service.scopes.allow(rule.scope) => {
                Err(Refusal::new(Reason::ScopeRequired).with("scope", rule.scope).into())
            }
            (_, Some(member)) if !self.model.allows(&member.roles, rule.permission) => {
                Err(Refusal::new(Reason::PermissionRequired).with("permission", rule.permission).into())
            }
            _ => Ok(()),
        }
    }

    fn authority<'a>(&'a self, ctx: &Ctx) -> Authority<'a> {
        ctx.authority(self.membership.as_ref())
    }
}

/// Admits a caller to read in an organization.
///
/// # Errors
/// `ORGANIZATION_NOT_FOUND` where there is none or the caller is no member, `PERMISSION_REQUIRED`, `ORGANIZATION_SUSPENDED` for members.
pub(crate) async fn enter(app: &App, ctx: &Ctx, organization: Uuid) -> Result<Access> {
    let seat = app.directory.entrance(app, ctx.freshness, organization, ctx.caller.user_id()).await?;
    let found = seat.map(|seat| {
        let member = seat.member.as_deref().cloned();
        (seat.organization.organization.clone(), member)
    });
    let_in(app, ctx, found)
}

/// As [`enter`], by what was committed at the moment of a snapshot: the organization's revision is then that of everything else which is read from it.
///
/// # Errors
/// Those of [`enter`].
pub(crate) async fn enter_at(app: &App, ctx: &Ctx, moment: &Snapshot, organization: Uuid) -> Result<Access> {
    let found = moment.entrance(organization, ctx.caller.user_id()).await?;
    let_in(app, ctx, found)
}

fn let_in(app: &App, ctx: &Ctx, found: Option<(Organization, Option<Member>)>) -> Result<Access> {
    let (organization, membership) = found.ok_or(Reason::OrganizationNotFound)?;
    let access = admit(app, ctx, organization, membership)?;
    if !ctx.caller.is_service_alone() {
        access.organization.state.usable()?;
    }
    Ok(access)
}

/// Admits a caller to read about a user in an organization: a member about themselves without the method's permission, anybody else with it.
///
/// # Errors
/// Those of [`enter`].
pub(crate) async fn enter_about(app: &App, ctx: &Ctx, organization: Uuid, user: Uuid) -> Result<Access> {
    if ctx.caller.user.as_ref().is_none_or(|caller| caller.user.id != user) {
        return enter(app, ctx, organization).await;
    }
    let found = app.store.read().organization_and_member(organization, user).await?;
    let (organization, membership) = found.ok_or(Reason::OrganizationNotFound)?;
    let access = admit_anyhow(app, ctx, organization, membership)?;
    access.require_factor(ctx)?;
    access.organization.state.usable()?;
    ctx.require_self(user)?;
    Ok(access)
}

/// Admits a member who may act, whatever their permissions, and services: to what says no more than that there is the organization.
///
/// # Errors
/// Those of [`enter`] but `PERMISSION_REQUIRED` for a permission.
pub(crate) async fn enter_as_member(app: &App, ctx: &Ctx, organization: Uuid) -> Result<Access> {
    let seat = app.directory.entrance(app, ctx.freshness, organization, ctx.caller.user_id()).await?;
    let seat = seat.ok_or(Reason::OrganizationNotFound)?;
    let member = seat.member.as_deref().cloned();
    let access = admit_anyhow(app, ctx, seat.organization.organization.clone(), member)?;
    if !ctx.caller.is_service_alone() {
        access.organization.state.usable()?;
    }
    Ok(access)
}

/// Refuses a caller who names a colleague where only the person themselves may call: one whom they see in a roster, so that the answer tells them nothing. Of anybody else the use case answers that
/// there is no such user.
///
/// # Errors
/// `SELF_ONLY`.
pub(crate) async fn require_no_colleague(app: &App, ctx: &Ctx) -> Result<()> {
    let only_self = !ctx.rule.self_field.is_empty() && ctx.rule.permission.is_empty();
    let (Some(caller), Some(named)) = (ctx.caller.user_id(), ctx.named.user) else { return Ok(()) };
    if !only_self || caller == named {
        return Ok(());
    }
    for (organization, member) in app.store.read().shared_organizations(caller, named).await? {
        let access = admit_anyhow(app, ctx, organization, Some(member));
        if access.is_ok_and(|access| access.shows_roster(ctx)) {
            return Err(Reason::SelfOnly.into());
        }
    }
    Ok(())
}

/// What a change of an organization asks of a user who calls. A service that acts for no user has shown its scope already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The permission of the method.
    Permission,
    /// The same, also where the organization is suspended: for what ends or begins a suspension.
    PermissionInAnyState,
    /// To be an active member, for what every member may do about themselves. No permission, nor a second factor where the organization asks for one: giving something up, as leaving and
    /// calling a transfer off, takes none. What gives something asks by [`Access::require_factor`].
    Membership,
}

/// Refuses a user who may not change an organization, by what is committed now and without a lock: a caller without the right holds up nobody and waits for nobody (ab_50). A caller who passes
/// is asked again by [`lock`].
///
/// # Errors
/// Those of [`lock`].
pub(crate) async fn require(app: &App, ctx: &Ctx, organization: Uuid, asked: Asked) -> Result<()> {
    let Some(caller) = ctx.caller.user_id() else {
        return Ok(());
    };
    let seat =
        app.directory.seat(app, ctx.freshness, organization, caller).await?.ok_or(Reason::OrganizationNotFound)?;
    let member = seat.member.map(Arc::unwrap_or_clone);
    admit_to_change(app, ctx, seat.organization.organization.clone(), member, asked).map(drop)
}

/// Locks an organization and admits a caller to change it, by the membership that they have under the lock.
///
/// # Errors
/// `ORGANIZATION_NOT_FOUND` where there is none or the caller is no member, `PERMISSION_REQUIRED`, also for a suspended member; `ORGANIZATION_SUSPENDED`, for services too.
pub(crate) async fn lock(app: &App, ctx: &Ctx, tx: &mut Tx, organization: Uuid, asked: Asked) -> Result<Access> {
    let (organization, membership) = locked(ctx, tx, organization).await?;
    admit_to_change(app, ctx, organization, membership, asked)
}

fn admit_to_change(
    app: &App,
    ctx: &Ctx,
    organization: Organization,
    membership: Option<Member>,
    asked: Asked,
) -> Result<Access> {
    let access = match asked {
        Asked::Membership => admit_anyhow(app, ctx, organization, membership)?,
        Asked::Permission | Asked::PermissionInAnyState => admit(app, ctx, organization, membership)?,
    };
    if asked != Asked::PermissionInAnyState {
        access.organization.state.usable()?;
    }
    Ok(access)
}

async fn locked(ctx: &Ctx, tx: &mut Tx, organization: Uuid) -> Result<(Organization, Option<Member>)> {
    let organization = tx.lock_organization(organization).await?.ok_or(Reason::OrganizationNotFound)?;
    // Only now: read before the lock, it could be a role that was taken away while we waited.
    let membership = match &ctx.caller.user {
        Some(caller) => tx.organization_and_member(organization.id, caller.user.id).await?,
        None => None,
    };
    Ok((organization, membership.and_then(|(_, member)| member)))
}

fn admit(app: &App, ctx: &Ctx, organization: Organization, membership: Option<Member>) -> Result<Access> {
    let access = admit_anyhow(app, ctx, organization, membership)?;
    let permission = ctx.rule.permission;
    access.require_factor(ctx)?;
    match &access.membership {
        Some(member) if !access.model.allows(&member.roles, permission) => {
            Err(Refusal::new(Reason::PermissionRequired).with("permission", permission).into())
        }
        _ => {
            ctx.prove_in(access.organization.id);
            Ok(access)
        }
    }
}

/// Admits a member who may act, with or without the permission.
fn admit_anyhow(app: &App, ctx: &Ctx, organization: Organization, membership: Option<Member>) -> Result<Access> {
    if !ctx.caller.reaches(organization.id) {
        return Err(Reason::OrganizationNotFound.into());
    }
    let access = Access { model: app.model_of(&organization)?, organization, membership };
    match access.deny_reason(ctx) {
        Some(DenyReason::NotAMember) => Err(Reason::OrganizationNotFound.into()),
        Some(DenyReason::SessionOutdated) => Err(session_outdated()),
        Some(DenyReason::MemberSuspended) => Err(Refusal::new(Reason::PermissionRequired)
            .with("permission", ctx.rule.permission)
            .with("state", "SUSPENDED")
            .into()),
        // Asked for where it counts: giving something up takes no factor, and some calls are about the suspension.
        Some(DenyReason::MfaRequired | DenyReason::OrganizationSuspended) | None => Ok(access),
    }
}

/// The refusal of a session from before its user's membership was interrupted (ab_24).
pub(crate) fn session_outdated() -> Error {
    Refusal::new(Reason::SessionOutdated).with("hint", "sign in again").into()
}

/// When a session began.
pub(crate) fn began(session: &Session) -> Began {
    Began { sign_in: session.sign_in_number, time: session.create_time }
}

/// When a membership was interrupted last.
pub(crate) fn interruption(member: &Member) -> Interruption {
    Interruption { after_sign_in: member.interrupted_after_sign_in, time: member.admit_time }
}

/// How many active owners an organization has, where the roles in question make it matter; otherwise nobody counts.
pub(crate) async fn owners_where_it_matters(tx: &Tx, access: &Access, roles: &[&RoleSet]) -> Result<Owners> {
    let role = access.model.owner_role();
    let active = if roles.iter().any(|roles| roles.contains(role)) {
        tx.count_active_holders(access.organization.id, role.as_str()).await?
    } else {
        // No decision about roles without the owner role asks for it.
        0
    };
    Ok(Owners { active })
}
