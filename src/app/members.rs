//! The roster of an organization, and the roles of its members.

pub(crate) mod holders;
mod organization_actions;
pub(crate) mod preview;
pub(crate) mod profiles;
mod search;
pub(crate) mod states;

use serde_json::json;
use uuid::Uuid;

pub(crate) use self::organization_actions::OrganizationActions;
use crate::{
    app::{
        App,
        call::{
            access::{self, Access, Asked},
            context::Ctx,
            error::{Error, Result},
            mutation::Mutation,
            paging::{Page, PageRequest},
            rule::Rule,
        },
        ownership, require_etag,
    },
    domain::{
        access_model::{PermissionId, RoleSet},
        actions::{Row, allowed_actions},
        authority::{Owners, RoleChange, decide_role_change},
        error::Reason,
        invitation::InvitationStatus,
        member::{Action, MemberState, RowState},
        search::Search,
        user::UserState,
    },
    store::{Member, MemberActivity, RosterFacts, RosterFilter, RosterQuery, RosterRow, Tx, User},
};

/// A row of the roster, as this caller sees it.
#[derive(Debug)]
pub(crate) struct RosterEntry {
    /// The row.
    pub(crate) row: RosterRow,
    /// What it is.
    pub(crate) state: RowState,
    /// The access model's word for that.
    pub(crate) status_label: String,
    /// The names of its roles.
    pub(crate) role_names: Vec<String>,
    /// What the caller may do to it now.
    pub(crate) allowed_actions: Vec<Action>,
    /// What services have reported of the member; counters only for callers who may read activity (JS14).
    pub(crate) activity: MemberActivity,
}

/// The permission that shows what members do, and the scope that shows it to services.
const ACTIVITY_READ: &str = "activity.read";

/// The scope that a service key needs for an action: that of its method.
fn scope_of(action: Action) -> &'static str {
    let method = match action {
        Action::ResendInvitation => "/roster.v1.InvitationService/ResendInvitation",
        Action::RevokeInvitation => "/roster.v1.InvitationService/RevokeInvitation",
        Action::SetRoles => "/roster.v1.MemberService/SetMemberRoles",
        Action::Update => "/roster.v1.MemberService/UpdateMember",
        Action::Suspend => "/roster.v1.MemberService/SuspendMember",
        Action::Activate => "/roster.v1.MemberService/ActivateMember",
        Action::Remove => "/roster.v1.MemberService/RemoveMember",
        Action::Restore => "/roster.v1.MemberService/RestoreMember",
        Action::TransferOwnership => "/roster.v1.OwnershipService/TransferOwnership",
    };
    // No key has the scope of a method that is not there.
    Rule::of(method).map_or("", |rule| rule.scope)
}

/// The method that lists invitations, also those that the model keeps out of the roster.
const LIST_INVITATIONS: &str = "/roster.v1.InvitationService/ListInvitations";

/// What the rows of a page have in common.
struct RosterPage<'a> {
    app: &'a App,
    ctx: &'a Ctx,
    access: &'a Access,
    facts: RosterFacts,
    /// What may be done to the members so far: most of a page are alike to the rules, which are asked once for all of those.
    decided: Vec<(Alike, Vec<Action>)>,
}

/// How many kinds of members a page tells apart.
const MOST_ALIKE: usize = 32;

/// What the rules look at in a member who is not the caller.
#[derive(PartialEq, Eq)]
struct Alike {
    roles: RoleSet,
    state: MemberState,
    account: UserState,
    belongs_elsewhere: bool,
}

impl<'a> RosterPage<'a> {
    fn of(app: &'a App, ctx: &'a Ctx, access: &'a Access, facts: RosterFacts) -> Self {
        Self { app, ctx, access, facts, decided: Vec::new() }
    }

    fn entry(&mut self, row: RosterRow) -> RosterEntry {
        let state = match &row {
            RosterRow::Member(member, _) => RowState::Member(member.state),
            RosterRow::Invited(invitation) => match invitation.status(self.ctx.now) {
                InvitationStatus::Expired => RowState::InvitationExpired,
                _ => RowState::Invited,
            },
        };
        RosterEntry {
            status_label: self.access.model.label(state).to_owned(),
            role_names: self.access.model.role_names(row.roles()),
            state,
            allowed_actions: self.allowed_actions(&row),
            activity: row.user_id().and_then(|user| self.facts.activity.remove(&user)).unwrap_or_default(),
            row,
        }
    }

    fn allowed_actions(&mut self, row: &RosterRow) -> Vec<Action> {
        let RosterRow::Member(member, profile) = row else { return self.decide_actions(row) };
        if self.ctx.caller.user_id() == Some(member.user_id) {
            return self.decide_actions(row);
        }
        let alike = Alike {
            roles: member.roles.clone(),
            state: member.state,
            account: profile.state,
            belongs_elsewhere: self.facts.elsewhere.contains(&member.user_id),
        };
        if let Some((_, actions)) = self.decided.iter().find(|(known, _)| *known == alike) {
            return actions.clone();
        }
        let actions = self.decide_actions(row);
        // Where hardly two are alike, looking for one costs more than asking.
        if self.decided.len() < MOST_ALIKE {
            self.decided.push((alike, actions.clone()));
        }
        actions
    }

    fn decide_actions(&self, row: &RosterRow) -> Vec<Action> {
        let Self { app, ctx, access, facts, .. } = self;
        // Whatever the rules say, no method changes anything in an organization that is out of use.
        if access.organization.state.usable().is_err() {
            return Vec::new();
        }
        let in_scope = |action: Action| {
            let service = ctx.caller.service.as_ref();
            let transferable = facts.transferable || action != Action::TransferOwnership;
            transferable && service.is_none_or(|service| service.scopes.allow(scope_of(action)))
        };
        let situation = access.situation(ctx, Owners { active: facts.owners });
        match row {
            RosterRow::Member(member, profile) => {
                let row = Row::Member {
                    target: member.target(profile.state),
                    belongs_elsewhere: facts.elsewhere.contains(&member.user_id),
                };
                allowed_actions(&situation, in_scope, &row, ctx.now)
            }
            RosterRow::Invited(invitation) => {
                let (sent, last) = (invitation.send_count, invitation.sent_time);
                let budget = &app.mail_budgets.budget;
                let resent = budget.require_resend(situation.authority, sent, last, ctx.now).is_ok();
                let in_scope = |action: Action| in_scope(action) && (resent || action != Action::ResendInvitation);
                allowed_actions(&situation, in_scope, &Row::Invitation(&invitation.facts()), ctx.now)
            }
        }
    }
}

/// Shows a member as the caller sees them after a change. What the caller may do next follows from what they have just done, perhaps to themselves.
pub(super) async fn changed_entry(
    app: &App,
    ctx: &Ctx,
    tx: &Tx,
    access: &mut Access,
    member: Member,
    user: User,
) -> Result<(RosterEntry, i64)> {
    access.refresh_member(&member);
    let (owner_role, with_counters) = shown(ctx, access);
    let transfer = ownership::asked(ctx, access);
    let query =
        RosterQuery::of_user(&access.organization, owner_role, member.user_id, with_counters, transfer, ctx.now);
    let found = tx.roster_page(&query).await?;
    let (_, facts) = found.ok_or_else(|| Error::Internal("an organization moved under its lock".to_owned()))?;
    let entry = RosterPage::of(app, ctx, access, facts).entry(RosterRow::Member(member, user.into()));
    Ok((entry, access.organization.revision))
}

/// Which rows of the roster.
#[derive(Debug)]
pub(crate) struct List {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The filter.
    pub(crate) filter: RosterFilter,
    /// Only those whose roles give this permission.
    pub(crate) permission: Option<PermissionId>,
    /// Only those whose name or address begins like this, in the order of what they are found by.
    pub(crate) search: Option<Search>,
    /// Whether whoever was active last comes first, in place of the filter's order.
    pub(crate) by_activity: bool,
    /// Whether pending invitations are rows also where the model keeps them out.
    pub(crate) include_invitations: bool,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// A page of the roster.
#[derive(Debug)]
pub(crate) struct Roster {
    /// The rows.
    pub(crate) page: Page<RosterEntry>,
    /// What the caller may do in the organization.
    pub(crate) actions: OrganizationActions,
    /// The organization's revision that the page was read at.
    pub(crate) revision: i64,
}

/// A page of the roster, and what the caller may do beside it.
///
/// # Errors
/// Those of [`access::enter`]; `PERMISSION_REQUIRED` and `SCOPE_REQUIRED` where the caller asks for invitations that the model keeps out of the roster, and may not read them.
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<Roster> {
    let (access, page, facts) = read(app, ctx, &query).await?;
    let actions = OrganizationActions::of(ctx, &access, &facts);
    let mut roster_page = RosterPage::of(app, ctx, &access, facts);
    let page = page.map(|row| roster_page.entry(row)).await;
    Ok(Roster { page, actions, revision: access.organization.revision })
}

/// The rows of a page, and the organization as it was at their moment.
pub(super) async fn read(app: &App, ctx: &Ctx, query: &List) -> Result<(Access, Page<RosterRow>, RosterFacts)> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    if query.include_invitations {
        access.require_call(ctx, LIST_INVITATIONS)?;
    }
    if let Some(list) = search::DerivedList::of(query) {
        return search::read(app, ctx, query, &list).await;
    }
    // What is counted is counted at the moment of the page.
    if !query.page.counts()
        && let Some((rows, facts)) = app.store.planned_once().roster_page(&query.asked(ctx, &access)).await?
    {
        return Ok((access, query.page.page(rows, None, |row| row.cursor(query.filter.order)), facts));
    }
    // It has changed since the caller was let in: once more, at one moment.
    let view = app.store.snapshot().await?;
    let access = access::enter_at(app, ctx, &view, query.organization_id).await?;
    let asked = query.asked(ctx, &access);
    let (rows, facts) = view.roster_page(&asked).await?.ok_or_else(moved)?;
    let total = query.page.total(view.roster_count(&asked)).await?;
    Ok((access, query.page.page(rows, total, |row| row.cursor(query.filter.order)), facts))
}

impl List {
    fn asked<'a>(&'a self, ctx: &Ctx, access: &'a Access) -> RosterQuery<'a> {
        let (owner_role, with_counters) = shown(ctx, access);
        let mut filter = self.filter.clone();
        filter.invited = filter.invited.filter(|_| self.include_invitations || access.model.invitations().in_roster);
        if let Some(permission) = &self.permission {
            filter.roles = access.roles_with(permission.as_str());
            // Where no role gives it, nobody has it.
            filter.states.retain(|_| !filter.roles.is_empty());
        }
        // Who asks for holders of a permission is shown no counters.
        let with_counters = with_counters && self.permission.is_none();
        let (after, limit) = (self.page.after(), self.page.limit());
        let now = ctx.now;
        let transfer = ownership::asked(ctx, access);
        RosterQuery {
            organization: &access.organization,
            owner_role,
            filter,
            after,
            limit,
            now,
            with_counters,
            transfer,
        }
    }
}

/// Whose holders are counted, and whether counters are shown.
fn shown<'a>(ctx: &Ctx, access: &'a Access) -> (&'a str, bool) {
    let counters = access.also_allows(ctx, ACTIVITY_READ);
    (access.model.owner_role().as_str(), counters)
}

/// One member.
///
/// # Errors
/// `MEMBER_NOT_FOUND`.
pub(crate) async fn get(app: &App, ctx: &Ctx, organization: Uuid, user: Uuid) -> Result<RosterEntry> {
    let access = access::enter(app, ctx, organization).await?;
    let (owner_role, with_counters) = shown(ctx, &access);
    let transfer = ownership::asked(ctx, &access);
    let query = RosterQuery::of_user(&access.organization, owner_role, user, with_counters, transfer, ctx.now);
    let (access, (rows, facts)) = match app.store.planned_once().roster_page(&query).await? {
        Some(found) => (access, found),
        // It has changed since the caller was let in: once more, at one moment.
        None => {
            let view = app.store.snapshot().await?;
            let access = access::enter_at(app, ctx, &view, organization).await?;
            let (owner_role, with_counters) = shown(ctx, &access);
            let transfer = ownership::asked(ctx, &access);
            let query = RosterQuery::of_user(&access.organization, owner_role, user, with_counters, transfer, ctx.now);
            let found = view.roster_page(&query).await?;
            (access, found.ok_or_else(moved)?)
        }
    };
    let row = rows.into_iter().next().ok_or(Reason::MemberNotFound)?;
    Ok(RosterPage::of(app, ctx, &access, facts).entry(row))
}

/// A snapshot is of one moment: it shows an organization at one revision.
fn moved() -> Error {
    Error::Internal("an organization moved within a snapshot".to_owned())
}

/// Changes a member's roles.
#[derive(Debug)]
pub(crate) struct ChangeRoles {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The member's user.
    pub(crate) user_id: Uuid,
    /// How they change.
    pub(crate) change: RoleChange,
    /// The state that the change is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and nothing is changed.
    pub(crate) validate_only: bool,
}

impl Mutation for ChangeRoles {
    type Outcome = (RosterEntry, i64);

    fn organization(&self) -> Option<(Uuid, Asked)> {
        Some((self.organization_id, Asked::Permission))
    }

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut access = self.lock(app, ctx, tx).await?;
        let found = tx.member_row(self.organization_id, self.user_id).await?;
        let (mut member, user) = found.ok_or(Reason::MemberNotFound)?;
        require_etag(&self.etag, member.changed_revision)?;
        let owners = access::owners_where_it_matters(tx, &access, &[&member.roles, self.change.named()]).await?;
        let roles = decide_role_change(&access.situation(ctx, owners), &member.target(user.state), &self.change)?;
        if roles == member.roles {
            return changed_entry(app, ctx, tx, &mut access, member, user).await;
        }

        let before = std::mem::replace(&mut member.roles, roles);
        member.changed_revision = access.organization.next_revision();
        member.update_time = ctx.now;
        tx.update_member(member.clone()).await?;
        let data = json!({ "before": before, "after": member.roles });
        ctx.record(tx, &mut access.organization, "member.roles_set", Some(member.user_id), data).await?;
        ownership::call_off_impossible(app, ctx, tx, &mut access.organization, &access.model).await?;
        changed_entry(app, ctx, tx, &mut access, member, user).await
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// The rows that a list shows where the request does not say.
pub(crate) const SHOWN_BY_DEFAULT: [RowState; 4] = [
    RowState::Member(MemberState::Active),
    RowState::Member(MemberState::Suspended),
    RowState::Invited,
    RowState::InvitationExpired,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_a_method_with_a_scope() {
        for action in Action::ALL {
            assert!(!scope_of(*action).is_empty(), "{action:?}");
        }
    }
}
