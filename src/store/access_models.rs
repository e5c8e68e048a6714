//! Access models that operators have put in place, and where a model is in use.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, IntoActiveModel, JoinType,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, RelationDef, Select,
    sea_query::{Expr, ExprTrait, SelectStatement, SimpleExpr},
};
use uuid::Uuid;

use super::{
    OwnRoles, Result, StoredModel, Tx, View,
    entities::{access_models, invitations, members, organizations, ownership_transfers, role_holders},
};
use crate::domain::{
    access_model::{CUSTOM_PREFIX, CustomRoles, Holders, Invited, Owned, RoleSet, Usage},
    invitation::InvitationState,
    member::MemberState,
    ownership::TransferState,
};

/// How long the change of a model waits for the changes of organizations that are under way. All that come later wait behind it.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '2s'";

/// A member under an access model, with what decides about their rights.
#[derive(Debug, Clone)]
pub(crate) struct HeldRoles {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The user.
    pub(crate) user_id: Uuid,
    /// The organization's own roles, where the member holds one of them.
    pub(crate) custom_roles: CustomRoles,
    /// The roles that the member holds.
    pub(crate) roles: RoleSet,
}

#[derive(FromQueryResult)]
struct HoldersRow {
    kind: Option<String>,
    own: Option<OwnRoles>,
    roles: RoleSet,
    members: i64,
    organizations: i64,
}

#[derive(FromQueryResult)]
struct HeldRow {
    organization_id: Uuid,
    user_id: Uuid,
    own: Option<OwnRoles>,
    roles: RoleSet,
}

impl<C: ConnectionTrait> View<C> {
    /// The revision of the installation's stream that tells of the last change of any access model; 0 where there was none.
    pub(crate) async fn models_revision(&self) -> Result<i64> {
        let row = self.0.query_one(&last_revision()).await?;
        let last: Option<Option<i64>> = row.map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(last.flatten().unwrap_or_default())
    }

    /// The access models that were put in place, each as it was put last.
    pub(crate) async fn stored_models(&self) -> Result<Vec<StoredModel>> {
        let newest = access_models::Entity::find()
            .select_only()
            .column_as(access_models::Column::Revision.max(), "revision")
            .group_by(access_models::Column::Id)
            .into_query();
        let found = access_models::Entity::find().filter(access_models::Column::Revision.in_subquery(newest));
        Ok(found.all(&self.0).await?)
    }

    /// Where an access model is in use, held against the owner role of another one.
    pub(crate) async fn model_usage(&self, model: &str, owner_role: &str, other_owner_role: &str) -> Result<Usage> {
        let kinds: Vec<(Option<String>, i64)> = organizations::Entity::find()
            .select_only()
            .column(organizations::Column::Kind)
            .column_as(organizations::Column::Id.count(), "organizations")
            .filter(organizations::Column::AccessModel.eq(model))
            .group_by(organizations::Column::Kind)
            .into_tuple()
            .all(&self.0)
            .await?;
        let kinds: BTreeMap<_, _> = kinds.into_iter().map(|(kind, count)| (kind, number(count))).collect();
        let transfers = ownership_transfers::Entity::find()
            .join(JoinType::InnerJoin, under(ownership_transfers::Entity, ownership_transfers::Column::OrganizationId))
            .filter(organizations::Column::AccessModel.eq(model))
            .filter(ownership_transfers::Column::State.eq(TransferState::Pending));
        Ok(Usage {
            kinds,
            holders: self.holders(model).await?,
            invited: self.invited(model).await?,
            owned: Owned {
                by_nobody: self.owned_by_nobody(model, owner_role, other_owner_role).await?,
                by_several: self.owned_by_several(model, other_owner_role).await?,
            },
            transfers: transfers.count(&self.0).await?,
        })
    }

    async fn holders(&self, model: &str) -> Result<Vec<Holders>> {
        let groups = members_under(model)
            .select_only()
            .column(organizations::Column::Kind)
            .expr_as(custom_roles_where_held(), "own")
            .column(members::Column::Roles)
            .column_as(members::Column::UserId.count(), "members")
            .expr_as(Expr::col((members::Entity, members::Column::OrganizationId)).count_distinct(), "organizations")
            .group_by(organizations::Column::Kind)
            .group_by(custom_roles_where_held())
            .group_by(members::Column::Roles)
            .into_model::<HoldersRow>()
            .all(&self.0)
            .await?;
        let group = |row: HoldersRow| {
            Ok(Holders {
                organization_kind: row.kind,
                custom_roles: custom_roles(row.own)?,
                roles: row.roles,
                members: number(row.members),
                organizations: number(row.organizations),
            })
        };
        groups.into_iter().map(group).collect()
    }

    async fn invited(&self, model: &str) -> Result<Vec<Invited>> {
        let groups: Vec<(Option<String>, RoleSet, i64)> = invitations::Entity::find()
            .join(JoinType::InnerJoin, under(invitations::Entity, invitations::Column::OrganizationId))
            .filter(organizations::Column::AccessModel.eq(model))
            .filter(invitations::Column::State.eq(InvitationState::Pending))
            .select_only()
            .column(organizations::Column::Kind)
            .column(invitations::Column::Roles)
            .column_as(invitations::Column::Id.count(), "invitations")
            .group_by(organizations::Column::Kind)
            .group_by(invitations::Column::Roles)
            .into_tuple()
            .all(&self.0)
            .await?;
        let group =
            |(organization_kind, roles, count)| Invited { organization_kind, roles, invitations: number(count) };
        Ok(groups.into_iter().map(group).collect())
    }

    async fn owned_by_nobody(&self, model: &str, owner_role: &str, other_owner_role: &str) -> Result<u64> {
        if owner_role == other_owner_role {
            return Ok(0);
        }
        let held_by_somebody = |role: &str| {
            let holders = role_holders::Entity::find()
                .select_only()
                .column(role_holders::Column::UserId)
                .filter(role_holders::Column::Role.eq(role))
                .filter(role_holders::Column::State.eq(MemberState::Active))
                .filter(
                    Expr::col((role_holders::Entity, role_holders::Column::OrganizationId))
                        .equals((organizations::Entity, organizations::Column::Id)),
                );
            Expr::exists(holders.into_query())
        };
        Ok(organizations::Entity::find()
            .filter(organizations::Column::AccessModel.eq(model))
            .filter(held_by_somebody(owner_role))
            .filter(held_by_somebody(other_owner_role).not())
            .count(&self.0)
            .await?)
    }

    async fn owned_by_several(&self, model: &str, owner_role: &str) -> Result<u64> {
        Ok(role_holders::Entity::find()
            .join(JoinType::InnerJoin, under(role_holders::Entity, role_holders::Column::OrganizationId))
            .filter(organizations::Column::AccessModel.eq(model))
            .filter(role_holders::Column::Role.eq(owner_role))
            .filter(role_holders::Column::State.ne(MemberState::Removed))
            .select_only()
            .column(role_holders::Column::OrganizationId)
            .group_by(role_holders::Column::OrganizationId)
            .having(role_holders::Column::UserId.count().gt(1))
            .count(&self.0)
            .await?)
    }

    /// Members under an access model who hold exactly one of these sets of roles, by organization and user.
    pub(crate) async fn members_with_roles(
        &self,
        model: &str,
        roles: &BTreeSet<RoleSet>,
        after: Option<(Uuid, Uuid)>,
        limit: u64,
    ) -> Result<Vec<HeldRoles>> {
        let behind = after.map(|(organization, user)| {
            let later = members::Column::OrganizationId.eq(organization).and(members::Column::UserId.gt(user));
            Condition::any().add(members::Column::OrganizationId.gt(organization)).add(later)
        });
        let found = members_under(model)
            .select_only()
            .column(members::Column::OrganizationId)
            .column(members::Column::UserId)
            .expr_as(custom_roles_where_held(), "own")
            .column(members::Column::Roles)
            .filter(members::Column::Roles.is_in(roles.iter().cloned()))
            .filter(behind.unwrap_or_else(Condition::all))
            .order_by_asc(members::Column::OrganizationId)
            .order_by_asc(members::Column::UserId)
            .limit(limit)
            .into_model::<HeldRow>()
            .all(&self.0)
            .await?;
        let member = |row: HeldRow| {
            Ok(HeldRoles {
                organization_id: row.organization_id,
                user_id: row.user_id,
                custom_roles: custom_roles(row.own)?,
                roles: row.roles,
            })
        };
        found.into_iter().map(member).collect()
    }
}

impl Tx {
    /// Waits until nobody changes any organization, and keeps them as they are until the transaction ends. They can be read.
    ///
    /// The race that it prevents: somebody is given a role while an access model without it is put in place, and each sees what was before the other. Every change of an organization locks its row,
    /// and on PostgreSQL its table in a mode that this one excludes; on SQLite the transaction is the only one that writes.
    pub(crate) async fn lock_all_organizations(&mut self) -> Result<()> {
        if self.view.backend() == DbBackend::Postgres {
            self.view.0.execute_unprepared(LOCK_WAIT).await?;
            self.view.0.execute_unprepared("LOCK TABLE organizations IN EXCLUSIVE MODE").await?;
        }
        Ok(())
    }

    /// Puts a version of an access model in place.
    pub(crate) async fn insert_access_model(&mut self, model: StoredModel) -> Result<()> {
        access_models::Entity::insert(model.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }
}

/// The statement behind [`View::models_revision`].
pub(super) fn last_revision() -> SelectStatement {
    access_models::Entity::find().select_only().expr(access_models::Column::Revision.max()).into_query()
}

fn custom_roles(own: Option<OwnRoles>) -> Result<CustomRoles> {
    Ok(own.map(|own| own.read()).transpose()?.unwrap_or_default())
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

/// Members of organizations that are under a model, removed ones left out.
fn members_under(model: &str) -> Select<members::Entity> {
    members::Entity::find()
        .join(JoinType::InnerJoin, under(members::Entity, members::Column::OrganizationId))
        .filter(organizations::Column::AccessModel.eq(model))
        .filter(members::Column::State.ne(MemberState::Removed))
}

/// The join from something in an organization to the organization.
fn under<E: EntityTrait>(_entity: E, organization_id: E::Column) -> RelationDef {
    E::belongs_to(organizations::Entity).from(organization_id).to(organizations::Column::Id).into()
}

/// The organization's own roles of a member who holds one of them: of nobody else do they decide the rights. Without parameters: PostgreSQL does not take two of them for the same, and what is
/// selected has to be what is grouped by.
fn custom_roles_where_held() -> SimpleExpr {
    Expr::cust(format!(
        r#"CASE WHEN "members"."roles" LIKE '%"{CUSTOM_PREFIX}%' THEN "organizations"."custom_roles" END"#
    ))
}
