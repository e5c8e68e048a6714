//! The roster: members and pending invitations in one list, by name.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QuerySelect, RelationDef, Select,
    SelectTwoModel,
    sea_query::{Expr, ExprTrait, IntoCondition},
};
use uuid::Uuid;

use super::{
    Cursor, Invitation, Member, MemberActivity, Result, User, View,
    entities::{invitations, members, role_holders, users},
    page,
};
use crate::domain::{access_model::RoleId, invitation::InvitationState, member::MemberState};

/// A row of the roster.
#[derive(Debug, Clone)]
pub(crate) enum RosterRow {
    /// Somebody who belongs, or belonged.
    Member(Member, User),
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

    /// The row's place in the list.
    pub(crate) fn cursor(&self) -> Cursor {
        let (key, id) = match self {
            RosterRow::Member(member, _) => (&member.sort_key, member.user_id),
            RosterRow::Invited(invitation) => (&invitation.sort_key, invitation.id),
        };
        Cursor { key: key.clone(), id }
    }
}

/// Which rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct RosterFilter {
    /// Members in these states; none at all leaves members out.
    pub(crate) states: Vec<MemberState>,
    /// Whether pending invitations are rows.
    pub(crate) invited: bool,
    /// Only holders of this role.
    pub(crate) role: Option<RoleId>,
    /// Only this address.
    pub(crate) email_key: Option<String>,
}

/// What is shown of roster rows beside what stands in them.
#[derive(Debug, Default)]
pub(crate) struct RosterFacts {
    /// How many active owners the organization has.
    pub(crate) owners: u64,
    /// Which of the members belong to other organizations too.
    pub(crate) elsewhere: BTreeSet<Uuid>,
    /// What services have reported of the members.
    pub(crate) activity: BTreeMap<Uuid, MemberActivity>,
}

impl<C: ConnectionTrait> View<C> {
    /// What is shown of these members' rows beside what stands in them; the activity's counters only where they are asked for.
    pub(crate) async fn roster_facts(
        &self,
        organization: Uuid,
        owner_role: &str,
        members: &[Uuid],
        with_counters: bool,
    ) -> Result<RosterFacts> {
        Ok(RosterFacts {
            owners: self.count_active_holders(organization, owner_role).await?,
            elsewhere: self.who_belong_elsewhere(organization, members).await?,
            activity: self.member_activity(organization, members, with_counters).await?,
        })
    }

    /// A page of the roster. Members in each state, and the invited, are read in order by an index and merged, so a page costs the same however
    /// long the list is (JS19).
    pub(crate) async fn roster_page(
        &self,
        organization: Uuid,
        filter: &RosterFilter,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<RosterRow>> {
        let mut rows = Vec::new();
        for state in &filter.states {
            let query = member_rows(organization, filter, &[*state]);
            let query = query.select_also(users::Entity);
            let query = match filter.role {
                Some(_) => {
                    page::by_key(query, role_holders::Column::SortKey, role_holders::Column::UserId, after, limit)
                }
                None => page::by_key(query, members::Column::SortKey, members::Column::UserId, after, limit),
            };
            let found = self.page_of::<SelectTwoModel<Member, User>>(query).await?;
            rows.extend(found.into_iter().filter_map(|(member, user)| Some(RosterRow::Member(member, user?))));
        }
        if filter.invited {
            let query = invited_rows(organization, filter);
            let query = page::by_key(query, invitations::Column::SortKey, invitations::Column::Id, after, limit);
            let found = self.page(query).await?;
            rows.extend(found.into_iter().map(RosterRow::Invited));
        }
        rows.sort_by_cached_key(|row| {
            let cursor = row.cursor();
            (cursor.key, cursor.id)
        });
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(rows)
    }

    /// How many rows the filter leaves.
    pub(crate) async fn roster_count(&self, organization: Uuid, filter: &RosterFilter) -> Result<u64> {
        let mut count = 0;
        if !filter.states.is_empty() {
            count += member_rows(organization, filter, &filter.states).count(&self.0).await?;
        }
        if filter.invited {
            count += invited_rows(organization, filter).count(&self.0).await?;
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

/// Members in one of these states. Holders of a role are read from [`role_holders`], which has what a member's row has to be found and put in order by.
fn member_rows(organization: Uuid, filter: &RosterFilter, states: &[MemberState]) -> Select<members::Entity> {
    let mut query = members::Entity::find()
        .join(JoinType::InnerJoin, user_of_member())
        .filter(members::Column::OrganizationId.eq(organization));
    query = match &filter.role {
        Some(role) => query
            .join(JoinType::InnerJoin, holder_of_member())
            .filter(role_holders::Column::OrganizationId.eq(organization))
            .filter(role_holders::Column::Role.eq(role.as_str()))
            .filter(role_holders::Column::State.is_in(states.iter().copied())),
        None => query.filter(members::Column::State.is_in(states.iter().copied())),
    };
    match &filter.email_key {
        Some(key) => query.filter(users::Column::EmailKey.eq(key.as_str())),
        None => query,
    }
}

fn invited_rows(organization: Uuid, filter: &RosterFilter) -> Select<invitations::Entity> {
    let mut query = invitations::Entity::find()
        .filter(invitations::Column::OrganizationId.eq(organization))
        .filter(invitations::Column::State.eq(InvitationState::Pending));
    if let Some(role) = &filter.role {
        // Roles rest as a JSON list, and no character of an id needs escaping in it or in LIKE but the underscore, which at worst matches more.
        query = query.filter(invitations::Column::Roles.like(format!("%\"{}\"%", role.as_str())));
    }
    if let Some(key) = &filter.email_key {
        query = query.filter(invitations::Column::EmailKey.eq(key.as_str()));
    }
    query
}
