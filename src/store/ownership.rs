//! Transfers of ownership.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Order, PaginatorTrait, QueryFilter,
    Select,
};
use uuid::Uuid;

use super::{Cursor, Result, Transfer, Tx, View, entities::ownership_transfers, page};
use crate::domain::ownership::TransferState;

impl<C: ConnectionTrait> View<C> {
    /// One transfer of an organization.
    pub(crate) async fn transfer(&self, organization: Uuid, id: Uuid) -> Result<Option<Transfer>> {
        Ok(of(organization).filter(ownership_transfers::Column::Id.eq(id)).one(&self.0).await?)
    }

    /// The transfer that waits for its nominee, in time.
    pub(crate) async fn pending_transfer(&self, organization: Uuid, now: DateTime<Utc>) -> Result<Option<Transfer>> {
        Ok(of(organization)
            .filter(ownership_transfers::Column::State.eq(TransferState::Pending))
            .filter(ownership_transfers::Column::ExpireTime.gt(now))
            .one(&self.0)
            .await?)
    }

    /// An organization's transfers, newest first.
    pub(crate) async fn transfers_page(
        &self,
        organization: Uuid,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<Transfer>> {
        let query = page::by_id(of(organization), ownership_transfers::Column::Id, Order::Desc, after, limit);
        self.page(query).await
    }

    /// How many transfers an organization has seen.
    pub(crate) async fn transfers_count(&self, organization: Uuid) -> Result<u64> {
        Ok(of(organization).count(&self.0).await?)
    }
}

impl Tx {
    /// Adds a transfer. Needs the organization's lock.
    pub(crate) async fn insert_transfer(&mut self, transfer: Transfer) -> Result<()> {
        ownership_transfers::Entity::insert(transfer.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Stores a transfer's new state. Needs the organization's lock.
    pub(crate) async fn update_transfer(&mut self, transfer: Transfer) -> Result<()> {
        transfer.into_active_model().reset_all().update(&self.view.0).await?;
        Ok(())
    }
}

fn of(organization: Uuid) -> Select<ownership_transfers::Entity> {
    ownership_transfers::Entity::find().filter(ownership_transfers::Column::OrganizationId.eq(organization))
}
