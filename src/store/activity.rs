//! What members did, and how often. None of it is a change of the organization: no lock, no revision, no event.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, Order, PaginatorTrait, QueryFilter,
    QuerySelect, Select, TryInsertResult,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use uuid::Uuid;

use super::{
    Activity, Cursor, Result, Store, Tx, User, View,
    entities::{activities, activity_reports, member_activity, member_counters, members, users},
    page,
};
use crate::domain::activity::{MemberKey, Tally};

/// Rows of one statement: SQLite takes 32,766 values in one, PostgreSQL 65,535.
const ROWS: usize = 1000;

/// Members who are looked up by one statement.
const PAIRS_AT_ONCE: usize = 100;

/// Which activities.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActivityFilter {
    /// Only in this organization.
    pub(crate) organization_id: Option<Uuid>,
    /// Only of this user.
    pub(crate) user_id: Option<Uuid>,
    /// Only these actions; empty means all.
    pub(crate) actions: Vec<String>,
    /// Only from this time on.
    pub(crate) from: Option<DateTime<Utc>>,
    /// Only before this time.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// What services have reported of one member.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemberActivity {
    /// When they were last active in the organization.
    pub(crate) last_active_time: Option<DateTime<Utc>>,
    /// The counters, by name.
    pub(crate) counters: BTreeMap<String, i64>,
}

impl<C: ConnectionTrait> View<C> {
    /// Those of the pairs that are members, removed ones included.
    pub(crate) async fn members_among(&self, pairs: &BTreeSet<MemberKey>) -> Result<BTreeSet<MemberKey>> {
        let mut users: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for (organization, user) in pairs {
            users.entry(*organization).or_default().push(*user);
        }
        let any = users.into_iter().fold(Condition::any(), |any, (organization, users)| {
            any.add(
                Condition::all()
                    .add(members::Column::OrganizationId.eq(organization))
                    .add(members::Column::UserId.is_in(users)),
            )
        });
        let found: Vec<MemberKey> = members::Entity::find()
            .select_only()
            .columns([members::Column::OrganizationId, members::Column::UserId])
            .filter(any)
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(found.into_iter().collect())
    }

    /// Activities, newest first.
    pub(crate) async fn activities_page(
        &self,
        filter: &ActivityFilter,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<Activity>> {
        let query = page::by_id(filtered(filter), activities::Column::Id, Order::Desc, after, limit);
        self.page(query).await
    }

    /// How many activities the filter leaves.
    pub(crate) async fn activities_count(&self, filter: &ActivityFilter) -> Result<u64> {
        Ok(filtered(filter).count(&self.0).await?)
    }

    /// When services reported these members to be active last; of those without a report, nothing.
    pub(crate) async fn reported_times(
        &self,
        pairs: &BTreeSet<MemberKey>,
    ) -> Result<BTreeMap<MemberKey, DateTime<Utc>>> {
        use member_activity::Column;

        let mut found = BTreeMap::new();
        for pairs in pairs.iter().collect::<Vec<_>>().chunks(PAIRS_AT_ONCE) {
            // Each by the key. For a list of pairs, SQLite would look at all there are.
            let one = |(organization, user): &&MemberKey| {
                Condition::all().add(Column::OrganizationId.eq(*organization)).add(Column::UserId.eq(*user))
            };
            let these = pairs.iter().map(one).fold(Condition::any(), Condition::add);
            let rows = member_activity::Entity::find().filter(these).all(&self.0).await?;
            found.extend(rows.into_iter().map(|row| ((row.organization_id, row.user_id), row.last_active_time)));
        }
        Ok(found)
    }

    /// The counters of these members, by name.
    pub(crate) async fn member_counters(
        &self,
        organization: Uuid,
        users: &[Uuid],
    ) -> Result<BTreeMap<Uuid, BTreeMap<String, i64>>> {
        let mut found: BTreeMap<Uuid, BTreeMap<String, i64>> = BTreeMap::new();
        let counters = member_counters::Entity::find()
            .filter(member_counters::Column::OrganizationId.eq(organization))
            .filter(member_counters::Column::UserId.is_in(users.iter().copied()))
            .all(&self.0)
            .await?;
        for row in counters {
            found.entry(row.user_id).or_default().insert(row.name, row.value);
        }
        Ok(found)
    }

    /// Users, by id. Rows of accounts stay when an account is deleted.
    pub(crate) async fn users_named(&self, ids: BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, User>> {
        let found = users::Entity::find().filter(users::Column::Id.is_in(ids)).all(&self.0).await?;
        Ok(found.into_iter().map(|user| (user.id, user)).collect())
    }
}

fn filtered(filter: &ActivityFilter) -> Select<activities::Entity> {
    use activities::Column;

    let actions = (!filter.actions.is_empty()).then(|| Column::Action.is_in(filter.actions.iter().map(String::as_str)));
    activities::Entity::find().filter(
        Condition::all()
            .add_option(filter.organization_id.map(|id| Column::OrganizationId.eq(id)))
            .add_option(filter.user_id.map(|id| Column::UserId.eq(id)))
            .add_option(actions)
            .add_option(filter.from.map(|from| Column::CreateTime.gte(from)))
            .add_option(filter.until.map(|until| Column::CreateTime.lt(until))),
    )
}

impl Tx {
    /// Remembers the ids of a service's reports, and answers with those that had not been remembered before.
    ///
    /// The race it prevents: the same report reaches two replicas at once, and both count it. The second insert waits for the first to be committed, and then
    /// finds its id taken. The ids come in their order, so that two batches with the same ids wait for each other in one direction only.
    pub(crate) async fn take_reports(
        &mut self,
        service_account: Uuid,
        ids: &BTreeSet<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<BTreeSet<Uuid>> {
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let rows = ids.iter().map(|id| {
            activity_reports::Model { service_account_id: service_account, report_id: *id, create_time: now }
                .into_active_model()
        });
        let key = [activity_reports::Column::ServiceAccountId, activity_reports::Column::ReportId];
        let inserted = activity_reports::Entity::insert_many(rows)
            .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
            .try_insert()
            .exec_with_returning_many(&self.view.0)
            .await?;
        Ok(match inserted {
            TryInsertResult::Inserted(rows) => rows.into_iter().map(|row| row.report_id).collect(),
            TryInsertResult::Empty | TryInsertResult::Conflicted => BTreeSet::new(),
        })
    }

    /// Adds activities.
    pub(crate) async fn insert_activities(&mut self, rows: Vec<Activity>) -> Result<()> {
        for rows in rows.chunks(ROWS) {
            let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
            activities::Entity::insert_many(rows).exec_without_returning(&self.view.0).await?;
        }
        Ok(())
    }

    /// Moves counters, and the times of last activity, which only move forward.
    pub(crate) async fn add_activity(&mut self, tally: &Tally) -> Result<()> {
        let active: Vec<_> = tally.last_active.iter().collect();
        for rows in active.chunks(ROWS) {
            let rows = rows.iter().map(|((organization, user), time)| {
                member_activity::Model { organization_id: *organization, user_id: *user, last_active_time: **time }
                    .into_active_model()
            });
            let later = Expr::col((member_activity::Entity, member_activity::Column::LastActiveTime))
                .lt(Expr::col(("excluded", member_activity::Column::LastActiveTime)));
            let forward =
                OnConflict::columns([member_activity::Column::OrganizationId, member_activity::Column::UserId])
                    .update_column(member_activity::Column::LastActiveTime)
                    .action_and_where(later)
                    .to_owned();
            member_activity::Entity::insert_many(rows)
                .on_conflict(forward)
                .try_insert()
                .exec_without_returning(&self.view.0)
                .await?;
        }
        let counters: Vec<_> = tally.counters.iter().collect();
        for rows in counters.chunks(ROWS) {
            let rows = rows.iter().map(|((organization, user, name), by)| {
                member_counters::Model {
                    organization_id: *organization,
                    user_id: *user,
                    name: name.clone(),
                    value: **by,
                }
                .into_active_model()
            });
            let value = member_counters::Column::Value;
            let sum = Expr::col((member_counters::Entity, value)).add(Expr::col(("excluded", value)));
            let add = OnConflict::columns([
                member_counters::Column::OrganizationId,
                member_counters::Column::UserId,
                member_counters::Column::Name,
            ])
            .value(value, sum)
            .to_owned();
            member_counters::Entity::insert_many(rows).on_conflict(add).exec_without_returning(&self.view.0).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Forgets the ids of reports from before a time.
    pub(crate) async fn forget_reports(&self, before: DateTime<Utc>) -> Result<u64> {
        let forgotten = activity_reports::Entity::delete_many()
            .filter(activity_reports::Column::CreateTime.lt(before))
            .exec(&self.write)
            .await?;
        Ok(forgotten.rows_affected)
    }
}
