//! The roster: members and pending invitations in one list, by name.

mod page;
mod profile;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QuerySelect,
    QueryTrait, RelationDef, Select,
    sea_query::{Expr, ExprTrait, IntoCondition, SimpleExpr},
};
use uuid::Uuid;

pub(crate) use profile::Profile;

use super::{
    Cursor, Invitation, Member, MemberActivity, Organization, Result, User, View,
    entities::{invitations, members, role_holders, users},
    members::holds_one_of,
    page::not_by_index,
};
use crate::domain::{
    access_model::{RoleId, RoleSet},
    invitation::InvitationState,
    member::MemberState,
};

/// A row of the roster.
#[derive(Debug, Clone)]
pub(crate) enum RosterRow {
    /// Somebody who belongs, or belonged.
    Member(Member, Profile),
    /// Somebody whose invitation is pending, in time or not.
    Invited(Invitation),
}

impl RosterRow {
    /// The member's user; `None` for an invitation.
    pub(crate) fn user_id(&self) -> Option<Uuid> {
        match self {
            RosterRow::Member(member, _) => Some(member.user_id),
            RosterRow::Invited(_) => None,
        }
    }

    /// The roles that it holds, or would give.
    pub(crate) fn roles(&self) -> &RoleSet {
        match self {
            RosterRow::Member(member, _) => &member.roles,
            RosterRow::Invited(invitation) => &invitation.roles,
        }
    }

    /// The member's user, or the invitation.
    pub(crate) fn id(&self) -> Uuid {
        self.place().1
    }

    /// The row's place in the list.
    pub(crate) fn cursor(&self, order: RosterOrder) -> Cursor {
        match order {
            RosterOrder::Name => Cursor { key: self.place().0.to_owned(), id: self.id() },
            RosterOrder::Joined => Cursor::at(self.create_time(), self.id()),
        }
    }

    /// When the member joined, or was invited.
    fn create_time(&self) -> DateTime<Utc> {
        match self {
            RosterRow::Member(member, _) => member.create_time,
            RosterRow::Invited(invitation) => invitation.create_time,
        }
    }

    /// Which of two comes first.
    fn compare(&self, other: &Self, order: RosterOrder) -> Ordering {
        match order {
            RosterOrder::Name => self.place().cmp(&other.place()),
            RosterOrder::Joined => (other.create_time(), other.id()).cmp(&(self.create_time(), self.id())),
        }
    }

    fn place(&self) -> (&[u8], Uuid) {
        match self {
            RosterRow::Member(member, _) => (&member.sort_key, member.user_id),
            RosterRow::Invited(invitation) => (&invitation.sort_key, invitation.id),
        }
    }
}

/// The order of a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RosterOrder {
    /// By name.
    #[default]
    Name,
    /// Whoever joined, or was invited, last comes first.
    Joined,
}

/// Which rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct RosterFilter {
    /// Members in these states; none at all leaves members out.
    pub(crate) states: Vec<MemberState>,
    /// Which pending invitations are rows.
    pub(crate) invited: Option<InvitedRows>,
    /// Only holders of one of these roles; none at all means everybody.
    pub(crate) roles: Vec<RoleId>,
    /// Only this address.
    pub(crate) email_key: Option<String>,
    /// In which order they come.
    pub(crate) order: RosterOrder,
    /// Only these users and invitations; none at all means everybody.
    pub(crate) only: Vec<Uuid>,
}

/// Which pending invitations are rows of a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvitedRows {
    /// All.
    All,
    /// Those that can be accepted.
    InTime,
    /// Those that have expired.
    Expired,
}

/// Which page of a roster.
#[derive(Debug)]
pub(crate) struct RosterQuery<'a> {
    /// The organization, at the revision that the page has to be of.
    pub(crate) organization: &'a Organization,
    /// Whose holders are counted.
    pub(crate) owner_role: &'a str,
    /// Which rows.
    pub(crate) filter: RosterFilter,
    /// Behind this place.
    pub(crate) after: Option<&'a Cursor>,
    /// Rows at the most.
    pub(crate) limit: u64,
    /// What has expired by now.
    pub(crate) now: DateTime<Utc>,
    /// Whether counters are shown.
    pub(crate) with_counters: bool,
    /// What is found out about transfers of ownership, if anything.
    pub(crate) transfer: Option<AskedTransfer>,
}

/// What is found out about transfers of an organization's ownership.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedTransfer {
    /// Whether a service asks, which hands over for any owner, suspended or not. A member who asks is the owner.
    pub(crate) by_service: bool,
    /// Whether a transfer waits for its nominee, and keeps others from beginning.
    pub(crate) waits: bool,
}

impl<'a> RosterQuery<'a> {
    /// One member, in whatever state.
    pub(crate) fn of_user(
        organization: &'a Organization,
        owner_role: &'a str,
        user: Uuid,
        with_counters: bool,
        transfer: Option<AskedTransfer>,
        now: DateTime<Utc>,
    ) -> Self {
        let states = vec![MemberState::Active, MemberState::Suspended, MemberState::Removed];
        let filter = RosterFilter { states, only: vec![user], ..RosterFilter::default() };
        Self { organization, owner_role, filter, after: None, limit: 1, now, with_counters, transfer }
    }
}

/// What is shown of roster rows beside what stands in them.
#[derive(Debug, Default)]
pub(crate) struct RosterFacts {
    /// How many active owners the organization has.
    pub(crate) owners: u64,
    /// Whether a transfer of ownership could begin now, as far as the organization goes. Asked only where the caller could be the one to begin it.
    pub(crate) transferable: bool,
    /// Which of the members belong to other organizations too.
    pub(crate) elsewhere: BTreeSet<Uuid>,
    /// What services have reported of the members.
    pub(crate) activity: BTreeMap<Uuid, MemberActivity>,
}

impl<C: ConnectionTrait> View<C> {
    /// How many rows the filter leaves.
    pub(crate) async fn roster_count(&self, asked: &RosterQuery<'_>) -> Result<u64> {
        let (organization, filter) = (asked.organization.id, &asked.filter);
        let mut count = 0;
        if !filter.states.is_empty() {
            let query = member_rows(organization, filter, &filter.states);
            count += match filter.roles.is_empty() {
                true => query.count(&self.0).await?,
                // Whoever holds two of the roles is one.
                false => {
                    let query = holding(query, organization, filter, &filter.roles, &filter.states);
                    query.select_only().column(members::Column::UserId).distinct().count(&self.0).await?
                }
            };
        }
        if let Some(which) = filter.invited {
            count += invited_rows(asked, which).count(&self.0).await?;
        }
        Ok(count)
    }

    /// One member with their user.
    pub(crate) async fn member_row(&self, organization: Uuid, user: Uuid) -> Result<Option<(Member, User)>> {
        let found = members::Entity::find_by_id((organization, user))
            .join(JoinType::InnerJoin, user_of_member())
            .select_also(users::Entity)
            .one(&self.0)
            .await?;
        Ok(found.and_then(|(member, user)| Some((member, user?))))
    }

    /// The account with an address, and what it is in an organization, by one statement.
    pub(crate) async fn person(&self, organization: Uuid, email_key: &str) -> Result<Option<(User, Option<Member>)>> {
        let membership: RelationDef =
            users::Entity::belongs_to(members::Entity).from(users::Column::Id).to(members::Column::UserId).into();
        let here = membership.on_condition(move |_user, member| {
            Expr::col((member, members::Column::OrganizationId)).eq(organization).into_condition()
        });
        Ok(users::Entity::find()
            .filter(users::Column::EmailKey.eq(email_key))
            .join(JoinType::LeftJoin, here)
            .select_also(members::Entity)
            .one(&self.0)
            .await?)
    }
}

fn holder_of_member() -> RelationDef {
    members::Entity::belongs_to(role_holders::Entity)
        .from((members::Column::OrganizationId, members::Column::UserId))
        .to((role_holders::Column::OrganizationId, role_holders::Column::UserId))
        .into()
}

fn user_of_member() -> RelationDef {
    members::Entity::belongs_to(users::Entity).from(members::Column::UserId).to(users::Column::Id).into()
}

/// Members in one of these states, whatever they hold.
fn member_rows(organization: Uuid, filter: &RosterFilter, states: &[MemberState]) -> Select<members::Entity> {
    let query = members::Entity::find().filter(within(members::Column::OrganizationId, organization, filter));
    let query = match (filter.only.is_empty(), filter.roles.is_empty()) {
        // Whoever is named is found by the key.
        (false, _) => {
            query.filter(not_by_index((members::Entity, members::Column::State)).is_in(states.iter().copied()))
        }
        (true, true) => query.filter(members::Column::State.is_in(states.iter().copied())),
        (true, false) => query,
    };
    let some = (!filter.only.is_empty()).then(|| members::Column::UserId.is_in(filter.only.iter().copied()));
    let address = filter.email_key.as_ref().map(|key| {
        let of_address = users::Entity::find().select_only().column(users::Column::Id);
        let of_address = of_address.filter(users::Column::EmailKey.eq(key.as_str())).into_query();
        Expr::col((members::Entity, members::Column::UserId)).eq(Expr::SubQuery(None, Box::new(of_address.into())))
    });
    query.filter(Condition::all().add_option(some).add_option(address))
}

/// That a row is the organization's. Whoever is named by address, and several who are named by id, are found by user; one by id is by the key.
fn within(column: impl ColumnTrait, organization: Uuid, filter: &RosterFilter) -> SimpleExpr {
    match filter.email_key.is_some() || filter.only.len() > 1 {
        true => not_by_index(column.as_column_ref()).eq(organization),
        false => column.eq(organization),
    }
}

/// Those who hold one of these roles, read from [`role_holders`], which has what a member's row has to be found and put in order by.
fn holding(
    query: Select<members::Entity>,
    organization: Uuid,
    filter: &RosterFilter,
    roles: &[RoleId],
    states: &[MemberState],
) -> Select<members::Entity> {
    query
        .join(JoinType::InnerJoin, holder_of_member())
        .filter(within(role_holders::Column::OrganizationId, organization, filter))
        .filter(role_holders::Column::Role.is_in(roles.iter().map(RoleId::as_str)))
        .filter(role_holders::Column::State.is_in(states.iter().copied()))
}

/// The same in an order that [`role_holders`] does not have: each member is looked up in it.
fn held_by(
    query: Select<members::Entity>,
    organization: Uuid,
    filter: &RosterFilter,
    states: &[MemberState],
) -> Select<members::Entity> {
    let query = query.filter(members::Column::State.is_in(states.iter().copied()));
    if filter.roles.is_empty() {
        return query;
    }
    let holder = holds_one_of(organization, &filter.roles, (members::Entity, members::Column::UserId));
    query.filter(Expr::exists(holder))
}

fn invited_rows(asked: &RosterQuery<'_>, which: InvitedRows) -> Select<invitations::Entity> {
    let filter = &asked.filter;
    let expiry = match which {
        InvitedRows::All => None,
        InvitedRows::InTime => Some(invitations::Column::ExpireTime.gt(asked.now)),
        InvitedRows::Expired => Some(invitations::Column::ExpireTime.lte(asked.now)),
    };
    let mut query = invitations::Entity::find()
        .filter(invitations::Column::OrganizationId.eq(asked.organization.id))
        .filter(Condition::all().add_option(expiry))
        .filter(invitations::Column::State.eq(InvitationState::Pending));
    if !filter.roles.is_empty() {
        // Roles rest as a JSON list, and no character of an id needs escaping in it or in LIKE but the underscore, which at worst matches more.
        let holds = |role: &RoleId| invitations::Column::Roles.like(format!("%\"{}\"%", role.as_str()));
        query = query.filter(filter.roles.iter().map(holds).fold(Condition::any(), Condition::add));
    }
    if let Some(key) = &filter.email_key {
        query = query.filter(invitations::Column::EmailKey.eq(key.as_str()));
    }
    if !filter.only.is_empty() {
        query = query.filter(invitations::Column::Id.is_in(filter.only.iter().copied()));
    }
    query
}
