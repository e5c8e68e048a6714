//! Organizations, and the lock that every write in one begins with.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel, JoinType,
    Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, RelationDef, Select, SelectTwoModel,
    sea_query::{Expr, ExprTrait, IntoColumnRef, LockType, Query, SelectStatement, SimpleExpr},
};
use uuid::Uuid;

use super::{
    Cursor, Member, Organization, OwnRoles, Result, StoreError, Tx, View, access_models,
    entities::{members, organizations, role_holders, users},
    page,
};
use crate::domain::{member::MemberState, organization::OrganizationState, user::UserState};

/// Organizations that are looked at to find one in which somebody sees somebody.
const SHARED: u64 = 100;

impl<C: ConnectionTrait> View<C> {
    /// One organization.
    pub(crate) async fn organization(&self, id: Uuid) -> Result<Option<Organization>> {
        Ok(organizations::Entity::find_by_id(id).one(&self.0).await?)
    }

    /// Which of these organizations there are.
    pub(crate) async fn organizations_among(&self, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        Ok(organizations::Entity::find()
            .select_only()
            .column(organizations::Column::Id)
            .filter(organizations::Column::Id.is_in(ids.iter().copied()))
            .into_tuple()
            .all(&self.0)
            .await?)
    }

    /// One organization and a user's membership in it, by one statement: what a permission check reads.
    pub(crate) async fn organization_and_member(
        &self,
        organization: Uuid,
        user: Uuid,
    ) -> Result<Option<(Organization, Option<Member>)>> {
        Ok(organizations::Entity::find_by_id(organization)
            .join(JoinType::LeftJoin, membership_of(user))
            .select_also(members::Entity)
            .one(&self.0)
            .await?)
    }

    /// The access models of the organizations that a user belongs to.
    pub(crate) async fn access_models_of(&self, user: Uuid) -> Result<BTreeSet<String>> {
        let organization: RelationDef = members::Entity::belongs_to(organizations::Entity)
            .from(members::Column::OrganizationId)
            .to(organizations::Column::Id)
            .into();
        let found: Vec<String> = members::Entity::find()
            .select_only()
            .column(organizations::Column::AccessModel)
            .distinct()
            .join(JoinType::InnerJoin, organization)
            .filter(members::Column::UserId.eq(user))
            .filter(members::Column::State.ne(MemberState::Removed))
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(found.into_iter().collect())
    }

    /// One organization, and the membership in it of the user who asks, where it is a user.
    pub(crate) async fn entrance(
        &self,
        organization: Uuid,
        user: Option<Uuid>,
    ) -> Result<Option<(Organization, Option<Member>)>> {
        match user {
            Some(user) => self.organization_and_member(organization, user).await,
            None => {
                let found = self.organization(organization).await?;
                Ok(found.map(|organization| (organization, None)))
            }
        }
    }

    /// The organizations that two users belong to, each with the membership of the first; a hundred at the most.
    pub(crate) async fn shared_organizations(&self, user: Uuid, other: Uuid) -> Result<Vec<(Organization, Member)>> {
        let theirs = Query::select()
            .expr(Expr::val(1))
            .from_as(members::Entity, "theirs")
            .and_where(Expr::col(("theirs", members::Column::UserId)).eq(other))
            .and_where(Expr::col(("theirs", members::Column::State)).ne(MemberState::Removed))
            .and_where(
                Expr::col(("theirs", members::Column::OrganizationId))
                    .equals((organizations::Entity, organizations::Column::Id)),
            )
            .take();
        let found = organizations::Entity::find()
            .join(JoinType::InnerJoin, membership_of(user))
            .select_also(members::Entity)
            .filter(Expr::exists(theirs))
            .limit(SHARED)
            .all(&self.0)
            .await?;
        Ok(found.into_iter().filter_map(|(organization, member)| Some((organization, member?))).collect())
    }

    /// Many memberships at once, by two statements.
    pub(crate) async fn seats(
        &self,
        pairs: &BTreeSet<(Uuid, Uuid)>,
    ) -> Result<BTreeMap<(Uuid, Uuid), (Organization, Option<Member>)>> {
        let ids: BTreeSet<Uuid> = pairs.iter().map(|(organization, _)| *organization).collect();
        let organizations: BTreeMap<Uuid, Organization> = organizations::Entity::find()
            .filter(organizations::Column::Id.is_in(ids))
            .all(&self.0)
            .await?
            .into_iter()
            .map(|organization| (organization.id, organization))
            .collect();
        let any = pairs.iter().fold(Condition::any(), |any, (organization, user)| {
            any.add(
                Condition::all()
                    .add(members::Column::OrganizationId.eq(*organization))
                    .add(members::Column::UserId.eq(*user)),
            )
        });
        let found = members::Entity::find()
            .filter(any)
            .filter(Expr::exists(active_users((members::Entity, members::Column::UserId))))
            .all(&self.0)
            .await?;
        Ok(found
            .into_iter()
            .filter_map(|member| {
                let organization = organizations.get(&member.organization_id)?.clone();
                Some(((member.organization_id, member.user_id), (organization, Some(member))))
            })
            .collect())
    }

    /// The active holders of a role whose accounts are in use, counted to two: no rule asks whether there are three. Under the organization's lock it stays what it is: an account goes out of use
    /// under the locks of its organizations.
    pub(crate) async fn count_active_holders(&self, organization: Uuid, role: &str) -> Result<u64> {
        let row = self.0.query_one(&active_holder_count(organization, role)).await?;
        let count: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(u64::try_from(count.unwrap_or(0)).unwrap_or(0))
    }

    /// Whether anybody who has not been removed holds a role.
    pub(crate) async fn is_held(&self, organization: Uuid, role: &str) -> Result<bool> {
        let holder = role_holders::Entity::find()
            .filter(role_holders::Column::OrganizationId.eq(organization))
            .filter(role_holders::Column::Role.eq(role))
            .filter(role_holders::Column::State.ne(MemberState::Removed))
            .limit(1);
        Ok(holder.one(&self.0).await?.is_some())
    }

    /// The active holders of a role whose accounts are out of use.
    pub(crate) async fn count_idle_holders(&self, organization: Uuid, role: &str) -> Result<u64> {
        let in_use = Expr::exists(active_users((role_holders::Entity, role_holders::Column::UserId)));
        Ok(active_holders(organization, role).filter(in_use.not()).count(&self.0).await?)
    }

    /// Organizations, oldest first.
    pub(crate) async fn organizations_page(&self, after: Option<&Cursor>, limit: u64) -> Result<Vec<Organization>> {
        let query = page::by_id(organizations::Entity::find(), organizations::Column::Id, Order::Asc, after, limit);
        self.page(query).await
    }

    /// How many organizations there are.
    pub(crate) async fn organizations_count(&self) -> Result<u64> {
        Ok(organizations::Entity::find().count(&self.0).await?)
    }

    /// The access models that organizations are under.
    pub(crate) async fn access_models_in_use(&self) -> Result<Vec<String>> {
        Ok(organizations::Entity::find()
            .select_only()
            .column(organizations::Column::AccessModel)
            .distinct()
            .into_tuple()
            .all(&self.0)
            .await?)
    }

    /// A user's memberships with their organizations, by organization id; removed ones left out.
    pub(crate) async fn memberships_page(
        &self,
        user: Uuid,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<(Organization, Option<Member>)>> {
        let query = page::by_id(
            belonging(user).select_also(members::Entity),
            members::Column::OrganizationId,
            Order::Asc,
            after,
            limit,
        );
        self.page_of::<SelectTwoModel<Organization, Member>>(query).await
    }

    /// The organizations that a user belongs to by id, with their names alone.
    pub(crate) async fn membership_names(&self, user: Uuid) -> Result<Vec<(Uuid, String)>> {
        Ok(belonging(user)
            .select_only()
            .column(organizations::Column::Id)
            .column(organizations::Column::DisplayName)
            .into_tuple()
            .all(&self.0)
            .await?)
    }

    /// A user's memberships in these organizations, of those that they belong to.
    pub(crate) async fn memberships_in(
        &self,
        user: Uuid,
        organizations: &[Uuid],
    ) -> Result<Vec<(Organization, Option<Member>)>> {
        let query = belonging(user)
            .filter(organizations::Column::Id.is_in(organizations.iter().copied()))
            .select_also(members::Entity);
        Ok(query.all(&self.0).await?)
    }

    /// How many organizations a user belongs to.
    pub(crate) async fn memberships_count(&self, user: Uuid) -> Result<u64> {
        Ok(belonging(user).count(&self.0).await?)
    }
}

/// The organizations that a user belongs to, deleted ones left out.
fn belonging(user: Uuid) -> Select<organizations::Entity> {
    organizations::Entity::find()
        .join(JoinType::InnerJoin, membership_of(user))
        .filter(members::Column::State.ne(MemberState::Removed))
        .filter(organizations::Column::State.ne(OrganizationState::Deleted))
}

fn active_user(user: Uuid) -> SelectStatement {
    users::Entity::find()
        .select_only()
        .column(users::Column::Id)
        .filter(users::Column::Id.eq(user))
        .filter(users::Column::State.eq(UserState::Active))
        .into_query()
}

/// The users whose accounts are in use, to look members up among.
fn active_users(user_column: impl IntoColumnRef) -> SelectStatement {
    users::Entity::find()
        .select_only()
        .column(users::Column::Id)
        .filter(users::Column::State.eq(UserState::Active))
        .filter(Expr::col((users::Entity, users::Column::Id)).equals(user_column))
        .into_query()
}

/// The join from an organization to one user's membership in it.
fn membership_of(user: Uuid) -> RelationDef {
    let join: RelationDef = organizations::Entity::belongs_to(members::Entity)
        .from(organizations::Column::Id)
        .to(members::Column::OrganizationId)
        .into();
    join.on_condition(move |_organization, member| {
        Condition::all()
            .add(Expr::col((member, members::Column::UserId)).eq(user))
            // Whose account is not in use has no membership anywhere.
            .add(Expr::exists(active_user(user)))
    })
}

impl Tx {
    /// Locks an organization and reads it: the first statement of every write in an organization.
    ///
    /// The race it prevents: two owners demote each other at once, each counts the other as the remaining owner, and none remains. Whoever comes
    /// second waits here, and decides on what the first has committed. `FOR NO KEY UPDATE` and not `FOR UPDATE`: the latter conflicts with the key
    /// share locks that inserts of child rows take, and deadlocks with them. On SQLite the IMMEDIATE transaction is the lock.
    pub(crate) async fn lock_organization(&mut self, id: Uuid) -> Result<Option<Organization>> {
        let models = SimpleExpr::from(access_models::last_revision());
        let locked =
            organizations::Entity::find_by_id(id).expr_as(models, "models_revision").lock(LockType::NoKeyUpdate);
        let Some(row) = self.view.0.query_one(&locked.into_query()).await? else { return Ok(None) };
        self.models_revision = Some(row.try_get::<Option<i64>>("", "models_revision")?.unwrap_or_default());
        Ok(Some(Organization::from_query_result(&row, "")?))
    }

    /// The revision of the access models that hold until the transaction ends, because [`Tx::lock_all_organizations`] waits for it; `None` before it has locked or added an organization.
    pub(crate) fn held_models_revision(&self) -> Option<i64> {
        self.models_revision
    }

    /// Adds an organization.
    pub(crate) async fn insert_organization(&mut self, organization: Organization) -> Result<()> {
        let mut insert = organizations::Entity::insert(organization.into_active_model()).into_query();
        let models = SimpleExpr::from(access_models::last_revision());
        insert.returning(Query::returning().expr(models));
        let row = self.view.0.query_one(&insert).await?;
        let row = row.ok_or_else(|| StoreError::Defect("an insert answered nothing".to_owned()))?;
        self.models_revision = Some(row.try_get_by_index::<Option<i64>>(0)?.unwrap_or_default());
        Ok(())
    }

    /// Stores the roles that an organization has made for itself.
    pub(crate) async fn update_custom_roles(&mut self, organization: Uuid, roles: Option<OwnRoles>) -> Result<()> {
        organizations::Entity::update_many()
            .col_expr(organizations::Column::CustomRoles, Expr::value(roles))
            .filter(organizations::Column::Id.eq(organization))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }

    /// Stores an organization's settings and state.
    pub(crate) async fn update_organization(&mut self, organization: Organization) -> Result<()> {
        organization.into_active_model().reset_all().update(&self.view.0).await?;
        Ok(())
    }
}

/// The statement behind [`View::count_active_holders`].
///
/// It is read in the order of an index: of two rows in any order PostgreSQL hopes to come across soon when it reads the whole table.
pub(super) fn active_holder_count(organization: Uuid, role: &str) -> SelectStatement {
    let in_use = Expr::exists(active_users((role_holders::Entity, role_holders::Column::UserId)));
    let two = active_holders(organization, role)
        .select_only()
        .column(role_holders::Column::UserId)
        .filter(in_use)
        .order_by(role_holders::Column::SortKey, Order::Asc)
        .order_by(role_holders::Column::UserId, Order::Asc)
        .limit(2)
        .into_query();
    Query::select().expr(Expr::cust("COUNT(*)")).from_subquery(two, "few").take()
}

fn active_holders(organization: Uuid, role: &str) -> Select<role_holders::Entity> {
    role_holders::Entity::find()
        .filter(role_holders::Column::OrganizationId.eq(organization))
        .filter(role_holders::Column::Role.eq(role))
        .filter(role_holders::Column::State.eq(MemberState::Active))
}
