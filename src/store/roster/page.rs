//! A page of the roster.

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DbErr, FromQueryResult, JoinType, QueryResult, QueryTrait, TryGetable,
    sea_query::{Expr, ExprTrait, Query, SelectStatement, UnionType},
};
use uuid::Uuid;

use super::{
    AskedTransfer, InvitedRows, Profile, RosterFacts, RosterOrder, RosterQuery, RosterRow, held_by, holding,
    invited_rows, member_rows,
};
use crate::{
    domain::{access_model::RoleId, member::MemberState},
    platform::in_steps,
    store::{
        Invitation, Member, MemberActivity, Result, View,
        entities::{invitations, member_activity, members, organizations, role_holders, users},
        members::belongs_elsewhere,
        organizations::active_holder_count,
        page,
    },
};

/// A member of a page, as the statement finds it.
struct FoundMember {
    /// The organization's revision.
    revision: i64,
    owners: u64,
    /// `None` in the one row of a page that has none.
    row: Option<(Member, Profile)>,
    elsewhere: bool,
    last_active_time: Option<DateTime<Utc>>,
}

/// What is selected of a member, in the order in which it is read.
const MEMBER: [members::Column; 13] = [
    members::Column::OrganizationId,
    members::Column::UserId,
    members::Column::State,
    members::Column::Roles,
    members::Column::SortKey,
    members::Column::InvitationId,
    members::Column::InvitationSentTime,
    members::Column::InvitationAcceptedTime,
    members::Column::ChangedRevision,
    members::Column::CreateTime,
    members::Column::UpdateTime,
    members::Column::AdmitTime,
    members::Column::InterruptedAfterSignIn,
];

/// The columns of a row one after the other. To find each of a page's by name takes longer than PostgreSQL takes to read it.
struct Columns<'a> {
    row: &'a QueryResult,
    next: usize,
}

impl Columns<'_> {
    fn next<T: TryGetable>(&mut self) -> std::result::Result<T, DbErr> {
        let value = self.row.try_get_by_index(self.next)?;
        self.next += 1;
        Ok(value)
    }
}

impl FoundMember {
    /// Reads a row of [`members_statement`].
    fn read(row: &QueryResult, members: bool) -> std::result::Result<Self, DbErr> {
        let mut columns = Columns { row, next: 0 };
        let revision = columns.next()?;
        let owners: i64 = columns.next()?;
        let owners = u64::try_from(owners).unwrap_or(0);
        let nobody = Self { revision, owners, row: None, elsewhere: false, last_active_time: None };
        if !members {
            return Ok(nobody);
        }
        let Some(organization_id) = columns.next()? else { return Ok(nobody) };
        let member = Member {
            organization_id,
            user_id: columns.next()?,
            state: columns.next()?,
            roles: columns.next()?,
            sort_key: columns.next()?,
            invitation_id: columns.next()?,
            invitation_sent_time: columns.next()?,
            invitation_accepted_time: columns.next()?,
            changed_revision: columns.next()?,
            create_time: columns.next()?,
            update_time: columns.next()?,
            admit_time: columns.next()?,
            interrupted_after_sign_in: columns.next()?,
        };
        let profile = Profile {
            user_id: columns.next()?,
            state: columns.next()?,
            email: columns.next()?,
            username: columns.next()?,
            given_name: columns.next()?,
            family_name: columns.next()?,
            display_name: columns.next()?,
            last_sign_in_time: columns.next()?,
            last_active_time: columns.next()?,
            mfa_enabled: columns.next()?,
        };
        Ok(Self {
            row: Some((member, profile)),
            elsewhere: columns.next()?,
            last_active_time: columns.next()?,
            ..nobody
        })
    }
}

impl<C: ConnectionTrait> View<C> {
    /// A page of the roster with what is shown beside its rows, by one statement, and another where pending invitations are rows and for counters. Members in each state, and the invited, are
    /// read in order by an index and merged, so a page costs the same however long the list is (JS19).
    ///
    /// `None` where the organization is not at this revision any more: then two statements do not tell of one moment.
    pub(crate) async fn roster_page(&self, query: &RosterQuery<'_>) -> Result<Option<(Vec<RosterRow>, RosterFacts)>> {
        let mut facts = RosterFacts::default();
        let organization = query.organization;
        let members = self.roster_members(query).await?;
        if members.first().is_none_or(|first| first.revision != organization.revision) {
            return Ok(None);
        }
        let mut rows = Vec::new();
        for found in members {
            facts.owners = found.owners;
            let Some((member, profile)) = found.row else { continue };
            if found.elsewhere {
                facts.elsewhere.insert(member.user_id);
            }
            let activity = MemberActivity { last_active_time: found.last_active_time, ..MemberActivity::default() };
            facts.activity.insert(member.user_id, activity);
            rows.push(RosterRow::Member(member, profile));
        }
        if let Some(which) = query.filter.invited {
            let Some(invited) = self.roster_invited(query, which).await? else { return Ok(None) };
            rows.extend(invited.into_iter().map(RosterRow::Invited));
        }
        rows.sort_by(|one, other| one.compare(other, query.filter.order));
        // Whoever holds two of the roles is found by both.
        rows.dedup_by(|one, next| one.place() == next.place());
        rows.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
        facts.transferable = self.transferable(query, facts.owners).await?;
        if query.with_counters {
            let members: Vec<Uuid> = rows.iter().filter_map(RosterRow::user_id).collect();
            for (user, counters) in self.member_counters(organization.id, &members).await? {
                facts.activity.entry(user).or_default().counters = counters;
            }
        }
        Ok(Some((rows, facts)))
    }

    async fn transferable(&self, asked: &RosterQuery<'_>, owners: u64) -> Result<bool> {
        let Some(AskedTransfer { by_service, waits }) = asked.transfer else { return Ok(false) };
        let organization = asked.organization.id;
        let owned = !by_service || owners > 0 || self.is_held(organization, asked.owner_role).await?;
        Ok(owned && !(waits && self.pending_transfer(organization, asked.now).await?.is_some()))
    }

    async fn roster_members(&self, asked: &RosterQuery<'_>) -> Result<Vec<FoundMember>> {
        let found = self.0.query_all(&members_statement(asked)).await?;
        let members = !asked.filter.states.is_empty();
        let rows = in_steps(found, move |row| FoundMember::read(&row, members)).await;
        Ok(rows.into_iter().collect::<std::result::Result<_, _>>()?)
    }

    /// The pending invitations of a page; `None` where the organization is not at this revision any more.
    async fn roster_invited(&self, asked: &RosterQuery<'_>, which: InvitedRows) -> Result<Option<Vec<Invitation>>> {
        let organization = asked.organization;
        let query = invited_rows(asked, which);
        let id = invitations::Column::Id;
        let query = match asked.filter.order {
            RosterOrder::Name => page::by_key(query, invitations::Column::SortKey, id, asked.after, asked.limit),
            RosterOrder::Joined => page::by_time(query, invitations::Column::CreateTime, id, asked.after, asked.limit),
        };
        let query = Query::select()
            .expr_as(Expr::col(("here", organizations::Column::Revision)), "here_revision")
            .expr(Expr::cust("found.*"))
            .from_as(organizations::Entity, "here")
            .join_subquery(JoinType::LeftJoin, query.into_query(), "found", Expr::val(true))
            .and_where(Expr::col(("here", organizations::Column::Id)).eq(organization.id))
            .take();
        let found = self.0.query_all(&query).await?;
        let at: Option<i64> = found.first().map(|row| row.try_get("", "here_revision")).transpose()?;
        if at != Some(organization.revision) {
            return Ok(None);
        }
        let rows = in_steps(found, |row| Invitation::from_query_result_optional(&row, "")).await;
        Ok(Some(rows.into_iter().filter_map(std::result::Result::transpose).collect::<std::result::Result<_, _>>()?))
    }
}

/// The members of a page in each of the states, each with what is shown beside it, and one row without a member where there is none.
///
/// Each table is entered by an index for the few rows of the page, whatever the organization is like: it is for [`Store::planned_once`](crate::store::Store::planned_once).
fn members_statement(asked: &RosterQuery<'_>) -> SelectStatement {
    let RosterQuery { filter, after, limit, owner_role, .. } = asked;
    let organization = asked.organization.id;
    let list = |(states, role): (&[MemberState], Option<&RoleId>)| {
        let query = member_rows(organization, filter, states);
        let query = match role {
            // In an order of its own, PostgreSQL may look for the few through all.
            _ if !filter.only.is_empty() => query,
            _ if filter.order == RosterOrder::Joined => {
                let query = held_by(query, organization, filter, states);
                page::by_time(query, members::Column::CreateTime, members::Column::UserId, *after, *limit)
            }
            Some(role) => {
                let query = holding(query, organization, filter, std::slice::from_ref(role), states);
                page::by_key(query, role_holders::Column::SortKey, role_holders::Column::UserId, *after, *limit)
            }
            None => page::by_key(query, members::Column::SortKey, members::Column::UserId, *after, *limit),
        };
        // Around each, because SQLite takes no order inside of a union.
        Query::select().expr(Expr::cust("*")).from_subquery(query.into_query(), "one").take()
    };
    // Whoever names rows has looked at their roles.
    let by_role = !filter.roles.is_empty() && filter.only.is_empty() && filter.order != RosterOrder::Joined;
    let roles: Vec<Option<&RoleId>> = match by_role {
        false => vec![None],
        true => filter.roles.iter().map(Some).collect(),
    };
    // One by one, or an index would not have them in order. Rows that are named need none.
    let states: Vec<&[MemberState]> = match filter.only.is_empty() || filter.states.is_empty() {
        true => filter.states.chunks(1).collect(),
        false => vec![&filter.states],
    };
    let lists = states.iter().flat_map(|states| roles.iter().map(move |role| (*states, *role)));
    let mut lists = lists.map(list);
    let mut query = Query::select()
        .expr_as(Expr::col(("here", organizations::Column::Revision)), "here_revision")
        .expr_as(Expr::SubQuery(None, Box::new(active_holder_count(organization, owner_role).into())), "here_owners")
        .from_as(organizations::Entity, "here")
        .and_where(Expr::col(("here", organizations::Column::Id)).eq(organization))
        .take();
    if let Some(mut union) = lists.next() {
        for next in lists {
            union.union(UnionType::All, next);
        }
        let member = |column: members::Column| Expr::col(("found", column));
        // With a limit, or PostgreSQL may find it cheaper to list everybody who belongs elsewhere.
        let elsewhere = belongs_elsewhere(organization, ("found", members::Column::UserId)).limit(1).take();
        query
            .exprs(MEMBER.map(member))
            .exprs(Profile::COLUMNS.map(|column| Expr::col(("account", column))))
            .expr_as(Expr::exists(elsewhere), "here_elsewhere")
            .expr_as(Expr::col(("activity", member_activity::Column::LastActiveTime)), "here_last_active_time")
            .join_subquery(JoinType::LeftJoin, union, "found", Expr::val(true))
            .join_as(
                JoinType::LeftJoin,
                users::Entity,
                "account",
                Expr::col(("account", users::Column::Id)).eq(member(members::Column::UserId)),
            )
            .join_as(
                JoinType::LeftJoin,
                member_activity::Entity,
                "activity",
                Expr::col(("activity", member_activity::Column::OrganizationId))
                    .eq(organization)
                    .and(Expr::col(("activity", member_activity::Column::UserId)).eq(member(members::Column::UserId))),
            );
    }
    query
}
