//! Members of an organization. `role_holders` is `members.roles` the other way round; both are written here and nowhere else.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, RelationDef, Select, Set,
    sea_query::{Expr, ExprTrait, IntoColumnRef, SelectStatement},
};
use uuid::Uuid;

use super::{
    Member, Organization, Result, Tx, View,
    entities::{members, organizations, role_holders, users},
};
use crate::domain::{access_model::RoleId, member::MemberState, organization::OrganizationState};

impl<C: ConnectionTrait> View<C> {
    /// How many members hold a role, suspended ones included.
    pub(crate) async fn count_holders(&self, organization: Uuid, role: &str) -> Result<u64> {
        Ok(role_holders::Entity::find()
            .filter(role_holders::Column::OrganizationId.eq(organization))
            .filter(role_holders::Column::Role.eq(role))
            .count(&self.0)
            .await?)
    }

    /// One member, removed or not.
    pub(crate) async fn member(&self, organization: Uuid, user: Uuid) -> Result<Option<Member>> {
        Ok(members::Entity::find_by_id((organization, user)).one(&self.0).await?)
    }

    /// All memberships of a user with their organizations, by organization id: removed ones too, and those in deleted organizations.
    pub(crate) async fn memberships(&self, user: Uuid) -> Result<Vec<(Organization, Member)>> {
        let found = members::Entity::find()
            .join(JoinType::InnerJoin, organization_of_member())
            .select_also(organizations::Entity)
            .filter(members::Column::UserId.eq(user))
            .order_by_asc(members::Column::OrganizationId)
            .all(&self.0)
            .await?;
        Ok(found.into_iter().filter_map(|(member, organization)| Some((organization?, member))).collect())
    }

    /// Which of these users belong to other organizations too, deleted ones aside.
    pub(crate) async fn who_belong_elsewhere(
        &self,
        organization: Uuid,
        users_asked: &[Uuid],
    ) -> Result<BTreeSet<Uuid>> {
        let user = (users::Entity, users::Column::Id);
        let found: Vec<Uuid> = users::Entity::find()
            .select_only()
            .column(users::Column::Id)
            .filter(users::Column::Id.is_in(users_asked.iter().copied()))
            .filter(Expr::exists(belongs_elsewhere(organization, user)))
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(found.into_iter().collect())
    }
}

/// The statement that finds a membership of a user in another organization, deleted ones aside.
pub(super) fn belongs_elsewhere(organization: Uuid, user: impl IntoColumnRef) -> SelectStatement {
    members::Entity::find()
        .select_only()
        .column(members::Column::UserId)
        .join(JoinType::InnerJoin, organization_of_member())
        .filter(Expr::col((members::Entity, members::Column::UserId)).equals(user))
        .filter(members::Column::OrganizationId.ne(organization))
        .filter(members::Column::State.ne(MemberState::Removed))
        .filter(organizations::Column::State.ne(OrganizationState::Deleted))
        .into_query()
}

/// The users who hold one of these roles.
pub(super) fn holders_of(organization: Uuid, roles: &[RoleId]) -> Select<role_holders::Entity> {
    role_holders::Entity::find()
        .select_only()
        .column(role_holders::Column::UserId)
        .filter(role_holders::Column::OrganizationId.eq(organization))
        .filter(role_holders::Column::Role.is_in(roles.iter().map(RoleId::as_str)))
}

/// The statement that finds a user among the holders of one of these roles.
pub(super) fn holds_one_of(organization: Uuid, roles: &[RoleId], user: impl IntoColumnRef) -> SelectStatement {
    holders_of(organization, roles)
        .filter(Expr::col((role_holders::Entity, role_holders::Column::UserId)).equals(user))
        .into_query()
}

fn organization_of_member() -> RelationDef {
    members::Entity::belongs_to(organizations::Entity)
        .from(members::Column::OrganizationId)
        .to(organizations::Column::Id)
        .into()
}

impl Tx {
    /// Adds a member.
    pub(crate) async fn insert_member(&mut self, member: Member) -> Result<()> {
        let holders = holders(&member);
        members::Entity::insert(member.into_active_model()).exec_without_returning(&self.view.0).await?;
        self.insert_holders(holders).await
    }

    /// Stores a member's new state or roles.
    pub(crate) async fn update_member(&mut self, member: Member) -> Result<()> {
        let holders = holders(&member);
        role_holders::Entity::delete_many()
            .filter(role_holders::Column::OrganizationId.eq(member.organization_id))
            .filter(role_holders::Column::UserId.eq(member.user_id))
            .exec(&self.view.0)
            .await?;
        member.into_active_model().reset_all().update(&self.view.0).await?;
        self.insert_holders(holders).await
    }

    async fn insert_holders(&mut self, holders: Vec<role_holders::ActiveModel>) -> Result<()> {
        if holders.is_empty() {
            return Ok(());
        }
        role_holders::Entity::insert_many(holders).exec_without_returning(&self.view.0).await?;
        Ok(())
    }
}

/// A removed member holds no role; the roles on their row are what they held.
fn holders(member: &Member) -> Vec<role_holders::ActiveModel> {
    if member.state == MemberState::Removed {
        return Vec::new();
    }
    let holder = |role: &str| role_holders::ActiveModel {
        organization_id: Set(member.organization_id),
        role: Set(role.to_owned()),
        user_id: Set(member.user_id),
        state: Set(member.state),
        sort_key: Set(member.sort_key.clone()),
    };
    member.roles.iter().map(|role| holder(role.as_str())).collect()
}
