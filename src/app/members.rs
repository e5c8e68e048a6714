//! The roster of an organization, and the roles of its members.

use serde_json::json;
use uuid::Uuid;

use super::{
    App,
    access::{self, Access},
    context::Ctx,
    error::Result,
    invitations::facts,
    mutation::Mutation,
    paging::{Page, PageRequest},
    require_etag,
    service_accounts::by_id,
};
use crate::{
    domain::{
        access_model::RoleSet,
        actions::{Row, allowed_actions},
        error::Reason,
        member::{Action, MemberState},
        roster::{Owners, Target, decide_set_roles},
    },
    store::{Event, Member, MemberActivity, Organization, RosterFilter, RosterRow, Tx, User},
};

/// A row of the roster, as this caller sees it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The row.
    pub(crate) row: RosterRow,
    /// The access model's word for its state.
    pub(crate) status_label: String,
    /// What the caller may do to it now.
    pub(crate) allowed_actions: Vec<Action>,
    /// What services have reported of the member; counters only for callers who may read activity (JS14).
    pub(crate) activity: MemberActivity,
}

/// The permission that shows what members do, and the scope that shows it to services.
const ACTIVITY_READ: &str = "activity.read";

/// The facts that decisions rest on.
fn target(member: &Member) -> Target<'_> {
    Target {
        user_id: member.user_id,
        roles: &member.roles,
        state: member.state,
    }
}

/// The scope that a service key needs for the method behind an action; `None` where no method of this version does it.
fn scope_of(action: Action) -> Option<&'static str> {
    match action {
        Action::ResendInvitation | Action::RevokeInvitation => Some("invitations.write"),
        Action::SetRoles => Some("members.write"),
        Action::Update
        | Action::Suspend
        | Action::Activate
        | Action::Remove
        | Action::Restore
        | Action::TransferOwnership => None,
    }
}

fn see(ctx: &Ctx, access: &Access, owners: Owners, row: RosterRow) -> Seen {
    let label = match &row {
        RosterRow::Member(member, _) => access.model.label(member.state).to_owned(),
        RosterRow::Invited(_) => access.model.labels().invited.clone(),
    };
    let in_scope = |action: Action| match (scope_of(action), &ctx.caller.service) {
        (None, _) => false,
        (Some(scope), Some(service)) => service.scopes.allow(scope),
        (Some(_), None) => true,
    };
    let situation = access.situation(ctx, owners);
    let actions = match &row {
        // Whatever the rules say, no method changes anything in a suspended organization.
        _ if access.organization.state.usable().is_err() => Vec::new(),
        RosterRow::Member(member, _) => allowed_actions(&situation, in_scope, &Row::Member(target(member)), ctx.now),
        RosterRow::Invited(invitation) => {
            allowed_actions(&situation, in_scope, &Row::Invitation(&facts(invitation)), ctx.now)
        }
    };
    Seen {
        row,
        status_label: label,
        allowed_actions: actions,
        activity: MemberActivity::default(),
    }
}

/// A member's row after a change, as the caller of the change sees it.
pub(super) async fn see_changed(
    ctx: &Ctx,
    tx: &Tx,
    access: &Access,
    owners: Owners,
    member: Member,
    user: User,
) -> Result<Seen> {
    let id = user.id;
    let counters = access.also_allows(ctx, ACTIVITY_READ);
    let mut activity = tx.member_activity(access.organization.id, &[id], counters).await?;
    let mut seen = see(ctx, access, owners, RosterRow::Member(member, user));
    seen.activity = activity.remove(&id).unwrap_or_default();
    Ok(seen)
}

/// Adds to rows what services have reported of their members.
async fn with_activity(app: &App, ctx: &Ctx, access: &Access, rows: Vec<Seen>) -> Result<Vec<Seen>> {
    let id = |seen: &Seen| match &seen.row {
        RosterRow::Member(member, _) => Some(member.user_id),
        RosterRow::Invited(_) => None,
    };
    let members: Vec<Uuid> = rows.iter().filter_map(id).collect();
    let counters = access.also_allows(ctx, ACTIVITY_READ);
    let view = app.store.read();
    let mut activity = view.member_activity(access.organization.id, &members, counters).await?;
    let add = |mut seen: Seen| {
        seen.activity = id(&seen).and_then(|id| activity.remove(&id)).unwrap_or_default();
        seen
    };
    Ok(rows.into_iter().map(add).collect())
}

/// Which rows of the roster.
#[derive(Debug)]
pub(crate) struct List {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The filter.
    pub(crate) filter: RosterFilter,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// A page of the roster, and the organization's revision that it was read at.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn list(app: &App, ctx: &Ctx, mut query: List) -> Result<(Page<Seen>, i64)> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    query.filter.invited &= access.model.invitations().in_roster;
    let view = app.store.read();
    let id = access.organization.id;
    let rows = view
        .roster_page(id, &query.filter, query.page.after(), query.page.limit())
        .await?;
    let total = match query.page.count {
        true => Some(view.roster_count(id, &query.filter).await?),
        false => None,
    };
    let owners = Owners {
        active: view
            .count_active_holders(id, access.model.owner_role().as_str())
            .await?,
    };
    let page = query.page.page(rows, total, RosterRow::cursor);
    let revision = access.organization.revision;
    let mut page = page.map(|row| see(ctx, &access, owners, row));
    page.items = with_activity(app, ctx, &access, page.items).await?;
    Ok((page, revision))
}

/// One member.
///
/// # Errors
/// `MEMBER_NOT_FOUND`.
pub(crate) async fn get(app: &App, ctx: &Ctx, organization: Uuid, user: Uuid) -> Result<Seen> {
    let access = access::enter(app, ctx, organization).await?;
    let view = app.store.read();
    let found = view.member_row(access.organization.id, user).await?;
    let (member, user) = found.ok_or(Reason::MemberNotFound)?;
    let owners = Owners {
        active: view
            .count_active_holders(access.organization.id, access.model.owner_role().as_str())
            .await?,
    };
    let seen = see(ctx, &access, owners, RosterRow::Member(member, user));
    let seen = with_activity(app, ctx, &access, vec![seen]).await?.pop();
    Ok(seen.ok_or(Reason::MemberNotFound)?)
}

/// Whose memberships.
#[derive(Debug)]
pub(crate) struct ListOfUser {
    /// The user.
    pub(crate) user_id: Uuid,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// The organizations that a user belongs to, by organization id.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn list_of_user(app: &App, ctx: &Ctx, query: ListOfUser) -> Result<Page<(Organization, Member)>> {
    ctx.require_self(query.user_id)?;
    let view = app.store.read();
    view.user(query.user_id).await?.ok_or(Reason::UserNotFound)?;
    let rows = view
        .memberships_page(query.user_id, query.page.after(), query.page.limit())
        .await?;
    let rows = rows
        .into_iter()
        .filter_map(|(organization, member)| Some((organization, member?)))
        .collect();
    Ok(query.page.page(rows, None, |(organization, _)| by_id(organization.id)))
}

/// Replaces a member's roles.
#[derive(Debug)]
pub(crate) struct SetRoles {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The member's user.
    pub(crate) user_id: Uuid,
    /// The roles to hold; none gives the default role.
    pub(crate) roles: RoleSet,
    /// The state that the change is based on.
    pub(crate) etag: String,
}

impl Mutation for SetRoles {
    type Outcome = (Seen, i64);

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let mut access = access::lock(app, ctx, tx, self.organization_id).await?;
        let found = tx.member_row(self.organization_id, self.user_id).await?;
        let (mut member, user) = found.ok_or(Reason::MemberNotFound)?;
        require_etag(&self.etag, member.changed_revision)?;
        let owners = access::owners_where_it_matters(tx, &access, &[&member.roles, &self.roles]).await?;
        let roles = decide_set_roles(&access.situation(ctx, owners), &target(&member), &self.roles)?;

        let before = std::mem::replace(&mut member.roles, roles);
        member.changed_revision = access.organization.revision + 1;
        member.update_time = ctx.now;
        tx.update_member(member.clone()).await?;
        let event = Event {
            kind: "member.roles_set",
            actor: ctx.actor(),
            subject: Some(member.user_id),
            data: json!({ "before": before, "after": member.roles }),
            time: ctx.now,
        };
        tx.record(&mut access.organization, event).await?;
        // What the caller may do next follows from what they have just done, perhaps to themselves.
        let owners = Owners {
            active: tx
                .count_active_holders(self.organization_id, access.model.owner_role().as_str())
                .await?,
        };
        access.refresh_seat(&member);
        let revision = access.organization.revision;
        let seen = see_changed(ctx, tx, &access, owners, member, user).await?;
        Ok((seen, revision))
    }
}

/// The states of members that a list shows where the request does not say.
pub(crate) const SHOWN_BY_DEFAULT: [MemberState; 2] = [MemberState::Active, MemberState::Suspended];
