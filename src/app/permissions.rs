//! Permission checks.

pub(crate) mod access_models;
pub(crate) mod denial;
pub(crate) mod effective_models;
pub(crate) mod explanation;

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{began, interruption},
            context::Ctx,
            directory::{KnownOrganization, Seat},
            error::Result,
        },
        permissions::{
            denial::Denial,
            explanation::{Explanation, explain},
        },
    },
    domain::{
        access_model::{PermissionId, RoleId, RoleSet},
        error::Reason,
        member::{self, DenyReason, MembershipFacts},
        mfa, session,
    },
    store::{Member, Organization, Session},
};

/// What somebody needs who is told of roles that they do not hold: the permission of ListRoles.
const READING_ROLES: &str = "members.read";

/// One question: may this user do this in this organization?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The user.
    pub(crate) user_id: Uuid,
    /// The permission.
    pub(crate) permission: PermissionId,
    /// Whether the answer says why.
    pub(crate) explain: bool,
}

/// The answer to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Why not; `None`: allowed.
    pub(crate) denial: Option<Denial>,
    /// The revision that the answer holds for; 0 where the user is no member.
    pub(crate) revision: i64,
}

/// What a user may do in an organization.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effective {
    /// The permissions, sorted.
    pub(crate) permissions: Vec<String>,
    /// The roles that they come from.
    pub(crate) roles: RoleSet,
    /// The revision that the answer holds for; 0 where the user is no member.
    pub(crate) revision: i64,
    /// Why there are no permissions; `None` where the roles decide.
    pub(crate) denial: Option<Denial>,
}

impl Effective {
    fn of_nobody() -> Self {
        Self { denial: Some(Denial::Denied(DenyReason::NotAMember)), ..Self::default() }
    }
}

/// Checks one permission by what is committed now, and by the caller's session, where there is one.
///
/// # Errors
/// `USER_NOT_FOUND` for a user who asks about another.
pub(crate) async fn check(app: &App, ctx: &Ctx, question: Check) -> Result<(Decision, Option<Explanation>)> {
    ctx.require_self(question.user_id)?;
    let seat = seat(app, ctx, question.organization_id, question.user_id).await?;
    let lacking = without_factor(app, seat.iter()).await?;
    let permission = question.permission.as_str();
    let decision = decide(ctx.session(), seat.as_ref(), &lacking, permission);
    let explanation = question.explain.then(|| {
        let seat = seat.as_ref();
        let facts = seat.and_then(|seat| {
            let member = seat.member.as_ref()?;
            Some(facts(ctx.session(), &seat.organization.organization, member, &lacking))
        });
        explain(permission, seat, facts, seat.and_then(|seat| giving(ctx, seat, permission)))
    });
    Ok((decision, explanation))
}

/// A user's place in an organization; nobody has one where the caller's key does not reach (ab_48).
async fn seat(app: &App, ctx: &Ctx, organization: Uuid, user: Uuid) -> Result<Option<Seat>> {
    match ctx.caller.reaches(organization) {
        true => app.directory.seat(app, ctx.freshness, organization, user).await,
        false => Ok(None),
    }
}

/// The roles of the organization that give a permission, where the caller may read its roles: a service that acts for nobody, or a member who may.
fn giving(ctx: &Ctx, seat: &Seat, permission: &str) -> Option<Vec<RoleId>> {
    let (known, member) = (&seat.organization, seat.member.as_ref()?);
    let allowed = ctx.caller.is_service_alone() || known.model.allows(&member.roles, READING_ROLES);
    allowed.then(|| known.model.roles_with(permission, known.organization.kind.as_deref()))
}

/// Checks many. Each membership is read once, however many of the questions are about it.
///
/// # Errors
/// `USER_NOT_FOUND` for a user who asks about another.
pub(crate) async fn check_batch(app: &App, ctx: &Ctx, questions: Vec<Check>) -> Result<Vec<Decision>> {
    if let Some(caller) = ctx.caller.user_id()
        && questions.iter().any(|one| one.user_id != caller)
    {
        return Err(Reason::UserNotFound.into());
    }
    let reached = questions.iter().filter(|one| ctx.caller.reaches(one.organization_id));
    let pairs: BTreeSet<(Uuid, Uuid)> = reached.map(|one| (one.organization_id, one.user_id)).collect();
    let seats = app.directory.seats(app, ctx.freshness, pairs).await?;
    let lacking = without_factor(app, seats.values()).await?;
    let decided = questions.iter().map(|one| {
        let seat = seats.get(&(one.organization_id, one.user_id));
        decide(ctx.session(), seat, &lacking, one.permission.as_str())
    });
    Ok(decided.collect())
}

/// Lists what a user may do in an organization.
///
/// # Errors
/// `USER_NOT_FOUND` for a user who asks about another.
pub(crate) async fn list_effective(app: &App, ctx: &Ctx, organization: Uuid, user: Uuid) -> Result<Effective> {
    ctx.require_self(user)?;
    let seat = seat(app, ctx, organization, user).await?;
    let lacking = without_factor(app, seat.iter()).await?;
    let Some(Seat { organization: known, member: Some(member) }) = seat else {
        return Ok(Effective::of_nobody());
    };
    let (organization, model) = (&known.organization, &known.model);
    let deny_reason = standing(ctx.session(), organization, &member, &lacking);
    if deny_reason == Some(DenyReason::NotAMember) {
        return Ok(Effective::of_nobody());
    }
    let permissions = match deny_reason {
        None => model.permissions_of(&member.roles).into_iter().map(|id| id.as_str().to_owned()).collect(),
        Some(_) => Vec::new(),
    };
    Ok(Effective {
        permissions,
        roles: member.roles.clone(),
        revision: organization.revision,
        denial: deny_reason.map(Denial::Denied),
    })
}

/// What a session is good for in an organization.
#[derive(Debug)]
pub(crate) struct SessionRights {
    /// What keeps the session's user from acting there with it, whatever their roles.
    pub(crate) deny_reason: Option<DenyReason>,
    /// The answers for the permissions that were asked for, in their order.
    pub(crate) decisions: Vec<(PermissionId, Decision)>,
    /// The user's roles there.
    pub(crate) roles: RoleSet,
    /// The revision that the answer holds for; 0 where the user is no member.
    pub(crate) revision: i64,
}

/// What a session is good for in an organization, as far as these permissions go.
///
/// # Errors
/// The database's.
pub(super) async fn session_rights(
    app: &App,
    ctx: &Ctx,
    session: &Session,
    organization: Uuid,
    permissions: Vec<PermissionId>,
) -> Result<SessionRights> {
    let seat = seat(app, ctx, organization, session.user_id).await?;
    let lacking = without_factor(app, seat.iter()).await?;
    let decide = |permission: PermissionId| {
        let decision = decide(Some(session), seat.as_ref(), &lacking, permission.as_str());
        (permission, decision)
    };
    let decisions = permissions.into_iter().map(decide).collect();
    Ok(match &seat {
        Some(Seat { organization: known, member: Some(member) }) => SessionRights {
            deny_reason: standing(Some(session), &known.organization, member, &lacking),
            decisions,
            roles: member.roles.clone(),
            revision: known.organization.revision,
        },
        _ => SessionRights { deny_reason: Some(DenyReason::NotAMember), decisions, roles: RoleSet::new(), revision: 0 },
    })
}

/// A membership, by organization and user.
type SeatKey = (Uuid, Uuid);

/// The memberships whose organization asks for a second factor and whose user has none. Only organizations that ask cost a look at the users.
async fn without_factor<'s>(app: &App, seats: impl IntoIterator<Item = &'s Seat>) -> Result<BTreeSet<SeatKey>> {
    let asking = |known: &KnownOrganization| mfa::enforced(&known.model, known.organization.mfa_required);
    let asked = seats.into_iter().filter(|seat| asking(&seat.organization));
    let mut asked: BTreeSet<SeatKey> =
        asked.filter_map(|seat| Some((seat.organization.organization.id, seat.member.as_ref()?.user_id))).collect();
    if asked.is_empty() {
        return Ok(asked);
    }
    let users = app.directory.users(&app.store, asked.iter().map(|(_, user)| *user).collect()).await?;
    asked.retain(|(_, user)| !users.get(user).is_some_and(|user| user.mfa_enabled));
    Ok(asked)
}

fn decide(session: Option<&Session>, seat: Option<&Seat>, lacking: &BTreeSet<SeatKey>, permission: &str) -> Decision {
    let Some(Seat { organization: known, member: Some(member) }) = seat else {
        return Decision { denial: Some(Denial::Denied(DenyReason::NotAMember)), revision: 0 };
    };
    let (organization, model) = (&known.organization, &known.model);
    let denial = standing(session, organization, member, lacking)
        .map(Denial::Denied)
        .or_else(|| (!model.allows(&member.roles, permission)).then(|| Denial::of_missing(model, permission)));
    let revision = match denial {
        Some(Denial::Denied(DenyReason::NotAMember)) => 0,
        _ => organization.revision,
    };
    Decision { denial, revision }
}

/// What keeps a member from doing anything at all. A session counts where it is the member's own: a service without one asks about the user.
fn standing(
    session: Option<&Session>,
    organization: &Organization,
    member: &Member,
    lacking: &BTreeSet<SeatKey>,
) -> Option<DenyReason> {
    member::deny_reason(facts(session, organization, member, lacking))
}

fn facts(
    session: Option<&Session>,
    organization: &Organization,
    member: &Member,
    lacking: &BTreeSet<SeatKey>,
) -> MembershipFacts {
    let session = session.filter(|session| session.user_id == member.user_id);
    MembershipFacts {
        organization: organization.state,
        member: Some(member.state),
        session_outdated: session.is_some_and(|session| session::outdated(began(session), interruption(member))),
        factor_missing: lacking.contains(&(organization.id, member.user_id)),
    }
}
