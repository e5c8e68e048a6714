//! Invitations.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel, JoinType,
    Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, RelationDef, Select, SelectModel, SelectTwoModel,
};
use uuid::Uuid;

use super::{
    Cursor, Invitation, Member, Organization, Result, ServiceAccount, ServiceKey, Tx, View,
    entities::{invitations, organizations, outbox_messages, users},
    page,
};
use crate::domain::{
    access_model::{RoleId, RoleSet},
    delivery::DeliveryState,
    invitation::InvitationState,
    organization::OrganizationState,
    scope::Scopes,
};

/// An invitation with what belongs to it elsewhere.
#[derive(Debug, Clone, FromQueryResult)]
pub(crate) struct InvitationRow {
    /// The invitation.
    #[sea_orm(nested)]
    pub(crate) invitation: Invitation,
    /// How far its newest message is.
    pub(crate) delivery_state: Option<DeliveryState>,
    /// The account with the invited address, if there is one.
    pub(crate) known_user_id: Option<Uuid>,
}

/// By what an invitation is somebody's.
#[derive(Debug)]
pub(crate) enum InvitationKey {
    /// The digest of its token.
    Token([u8; 32]),
    /// Its id, and the key of the address that it has to go to.
    Address(Uuid, String),
}

/// By whose right an invitation or a join link stands.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The user.
    pub(crate) user_id: Option<Uuid>,
    /// The service account, where it was called by one.
    pub(crate) service_account_id: Option<Uuid>,
    /// The key; `None` also where the call was of a version that did not keep it.
    pub(crate) service_key_id: Option<Uuid>,
    /// The scopes that the call needed; likewise.
    pub(crate) scopes: Option<Scopes>,
}

/// What there is of an issuer now.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    /// The user's membership; `None` without one, and where their account is out of use.
    pub(crate) member: Option<Member>,
    /// The service account, and the key.
    pub(crate) service: Option<(ServiceAccount, Option<ServiceKey>)>,
}

/// Which invitations.
#[derive(Debug, Clone, Default)]
pub(crate) struct InvitationFilter {
    /// Only these states as they rest; empty means all.
    pub(crate) states: Vec<InvitationState>,
    /// Whether those that have run out are among the pending ones that `states` asks for.
    pub(crate) expired: bool,
    /// Only this address.
    pub(crate) email_key: Option<String>,
}

impl<C: ConnectionTrait> View<C> {
    /// How many pending invitations of an organization would give a role, in time or not: one that has expired can be sent again.
    pub(crate) async fn count_pending_with(&self, organization: Uuid, role: &RoleId) -> Result<u64> {
        let found: Vec<RoleSet> = invitations::Entity::find()
            .select_only()
            .column(invitations::Column::Roles)
            .filter(invitations::Column::OrganizationId.eq(organization))
            .filter(invitations::Column::State.eq(InvitationState::Pending))
            // An underscore of the id matches any character here, which the comparison below makes good.
            .filter(invitations::Column::Roles.like(format!("%\"{}\"%", role.as_str())))
            .into_tuple()
            .all(&self.0)
            .await?;
        Ok(found.iter().filter(|roles| roles.contains(role)).count() as u64)
    }

    /// One invitation of an organization, with its delivery and its account.
    pub(crate) async fn invitation_row(&self, organization: Uuid, id: Uuid) -> Result<Option<InvitationRow>> {
        Ok(rows()
            .filter(invitations::Column::Id.eq(id))
            .filter(invitations::Column::OrganizationId.eq(organization))
            .into_model()
            .one(&self.0)
            .await?)
    }

    /// The invitation that somebody has, of whichever organization.
    pub(crate) async fn invitation_by(&self, key: &InvitationKey) -> Result<Option<Invitation>> {
        let found = match key {
            InvitationKey::Token(digest) => {
                invitations::Entity::find().filter(invitations::Column::TokenDigest.eq(digest.as_slice()))
            }
            InvitationKey::Address(id, email_key) => {
                invitations::Entity::find_by_id(*id).filter(invitations::Column::EmailKey.eq(email_key.as_str()))
            }
        };
        Ok(found.one(&self.0).await?)
    }

    /// An issuer, as they are now.
    pub(crate) async fn sender(&self, issuer: &Issuer) -> Result<Sender> {
        // A membership, and not a member's row: somebody whose account is out of use has none.
        let membership = match issuer.user_id {
            Some(user) => self.organization_and_member(issuer.organization_id, user).await?,
            None => None,
        };
        let service = match issuer.service_account_id {
            Some(account) => self.service_by_key(account, issuer.service_key_id).await?,
            None => None,
        };
        Ok(Sender { member: membership.and_then(|(_, member)| member), service })
    }

    /// The pending invitations of an organization to an address, in time or not.
    pub(crate) async fn pending_invitations(&self, organization: Uuid, email_key: &str) -> Result<Vec<Invitation>> {
        Ok(invitations::Entity::find()
            .filter(invitations::Column::OrganizationId.eq(organization))
            .filter(invitations::Column::EmailKey.eq(email_key))
            .filter(invitations::Column::State.eq(InvitationState::Pending))
            .order_by_asc(invitations::Column::Id)
            .all(&self.0)
            .await?)
    }

    /// The invitations of an address that can be accepted at this time, with their organizations, of those that are in use; newest first.
    pub(crate) async fn waiting_invitations_page(
        &self,
        email_key: &str,
        now: DateTime<Utc>,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<(Invitation, Organization)>> {
        let query = page::by_id(
            waiting(email_key, now).select_also(organizations::Entity),
            invitations::Column::Id,
            Order::Desc,
            after,
            limit,
        );
        let found = self.page_of::<SelectTwoModel<Invitation, Organization>>(query).await?;
        Ok(found.into_iter().filter_map(|(invitation, organization)| Some((invitation, organization?))).collect())
    }

    /// How many invitations of an address can be accepted at this time, to organizations that are in use.
    pub(crate) async fn waiting_invitations_count(&self, email_key: &str, now: DateTime<Utc>) -> Result<u64> {
        Ok(waiting(email_key, now).count(&self.0).await?)
    }

    /// Whether an address has an invitation to any organization in use that can be accepted at this time.
    pub(crate) async fn is_invited(&self, email_key: &str, now: DateTime<Utc>) -> Result<bool> {
        Ok(waiting(email_key, now).one(&self.0).await?.is_some())
    }

    /// Invitations of an organization, newest first.
    pub(crate) async fn invitations_page(
        &self,
        organization: Uuid,
        filter: &InvitationFilter,
        now: DateTime<Utc>,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<InvitationRow>> {
        let query = page::by_id(
            filtered(rows(), organization, filter, now),
            invitations::Column::Id,
            Order::Desc,
            after,
            limit,
        );
        self.page_of::<SelectModel<InvitationRow>>(query).await
    }

    /// How many invitations the filter leaves.
    pub(crate) async fn invitations_count(
        &self,
        organization: Uuid,
        filter: &InvitationFilter,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        Ok(filtered(invitations::Entity::find(), organization, filter, now).count(&self.0).await?)
    }
}

impl Tx {
    /// Adds an invitation.
    pub(crate) async fn insert_invitation(&mut self, invitation: Invitation) -> Result<()> {
        invitations::Entity::insert(invitation.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Stores an invitation's new state.
    pub(crate) async fn update_invitation(&mut self, invitation: Invitation) -> Result<()> {
        invitation.into_active_model().reset_all().update(&self.view.0).await?;
        Ok(())
    }
}

/// The invitations of an address that can be accepted at a time, to organizations that are in use.
fn waiting(email_key: &str, now: DateTime<Utc>) -> Select<invitations::Entity> {
    let organization: RelationDef = invitations::Entity::belongs_to(organizations::Entity)
        .from(invitations::Column::OrganizationId)
        .to(organizations::Column::Id)
        .into();
    invitations::Entity::find()
        .join(JoinType::InnerJoin, organization)
        .filter(invitations::Column::EmailKey.eq(email_key))
        .filter(invitations::Column::State.eq(InvitationState::Pending))
        .filter(invitations::Column::ExpireTime.gt(now))
        .filter(organizations::Column::State.eq(OrganizationState::Active))
}

fn rows() -> Select<invitations::Entity> {
    let message: RelationDef = invitations::Entity::belongs_to(outbox_messages::Entity)
        .from(invitations::Column::MessageId)
        .to(outbox_messages::Column::Id)
        .into();
    let account: RelationDef = invitations::Entity::belongs_to(users::Entity)
        .from(invitations::Column::EmailKey)
        .to(users::Column::EmailKey)
        .into();
    invitations::Entity::find()
        .join(JoinType::LeftJoin, message)
        .join(JoinType::LeftJoin, account)
        .column_as(outbox_messages::Column::State, "delivery_state")
        .column_as(users::Column::Id, "known_user_id")
}

fn filtered(
    query: Select<invitations::Entity>,
    organization: Uuid,
    filter: &InvitationFilter,
    now: DateTime<Utc>,
) -> Select<invitations::Entity> {
    use invitations::Column;

    let mut query = query.filter(Column::OrganizationId.eq(organization));
    if let Some(key) = &filter.email_key {
        query = query.filter(Column::EmailKey.eq(key.as_str()));
    }
    if filter.states.is_empty() && !filter.expired {
        return query;
    }
    // Nothing is ever stored as expired: it is pending, and its time has run out.
    let mut any = Condition::any();
    for state in &filter.states {
        let mut one = Condition::all().add(Column::State.eq(*state));
        if *state == InvitationState::Pending {
            one = one.add(Column::ExpireTime.gt(now));
        }
        any = any.add(one);
    }
    if filter.expired {
        any =
            any.add(Condition::all().add(Column::State.eq(InvitationState::Pending)).add(Column::ExpireTime.lte(now)));
    }
    query.filter(any)
}
