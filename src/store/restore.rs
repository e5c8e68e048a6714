//! What a restored backup brings back, and what is done about it: over all users and organizations at once.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::{
    Invitation, Result, ServiceAccount, ServiceKey, Transfer, Tx, View,
    entities::{
        challenges, installation, invitations, ownership_transfers, replays, service_accounts, service_keys, sessions,
    },
};
use crate::domain::{invitation::InvitationState, ownership::TransferState};

/// The id of the one row.
const ONLY: i16 = 1;

impl<C: ConnectionTrait> View<C> {
    /// Every invitation whose link works, by organization.
    pub(crate) async fn open_invitations(&self, now: DateTime<Utc>) -> Result<Vec<Invitation>> {
        Ok(invitations::Entity::find()
            .filter(invitations::Column::State.eq(InvitationState::Pending))
            .filter(invitations::Column::ExpireTime.gt(now))
            .order_by_asc(invitations::Column::OrganizationId)
            .order_by_asc(invitations::Column::Id)
            .all(&self.0)
            .await?)
    }

    /// Every transfer of ownership that its nominee may confirm, by organization.
    pub(crate) async fn open_transfers(&self, now: DateTime<Utc>) -> Result<Vec<Transfer>> {
        Ok(ownership_transfers::Entity::find()
            .filter(ownership_transfers::Column::State.eq(TransferState::Pending))
            .filter(ownership_transfers::Column::ExpireTime.gt(now))
            .order_by_asc(ownership_transfers::Column::OrganizationId)
            .order_by_asc(ownership_transfers::Column::Id)
            .all(&self.0)
            .await?)
    }

    /// Every key that works, oldest first, with its account.
    pub(crate) async fn working_keys(&self, now: DateTime<Utc>) -> Result<Vec<(ServiceKey, ServiceAccount)>> {
        let accounts =
            service_accounts::Entity::find().filter(service_accounts::Column::Disabled.eq(false)).all(&self.0).await?;
        let keys = service_keys::Entity::find()
            .filter(service_keys::Column::RevokeTime.is_null())
            .order_by_asc(service_keys::Column::CreateTime)
            .order_by_asc(service_keys::Column::Id)
            .all(&self.0)
            .await?;
        let account = |id| accounts.iter().find(|account| account.id == id).cloned();
        Ok(keys
            .into_iter()
            .filter(|key| key.expire_time.is_none_or(|time| time > now))
            .filter_map(|key| Some((account(key.service_account_id)?, key)))
            .map(|(account, key)| (key, account))
            .collect())
    }
}

impl Tx {
    /// Revokes every session of everybody. Answers with how many.
    pub(crate) async fn revoke_all_sessions(&mut self, now: DateTime<Utc>) -> Result<u64> {
        let revoked = sessions::Entity::update_many()
            .col_expr(sessions::Column::RevokeTime, Expr::value(now))
            .filter(sessions::Column::RevokeTime.is_null())
            .exec(&self.view.0)
            .await?;
        Ok(revoked.rows_affected)
    }

    /// Ends every secret that somebody could still use, and erases what it held. Answers with how many.
    pub(crate) async fn end_all_challenges(&mut self, now: DateTime<Utc>) -> Result<u64> {
        let ended = challenges::Entity::update_many()
            .col_expr(challenges::Column::ConsumeTime, Expr::value(now))
            .col_expr(challenges::Column::Sealed, Expr::value(None::<Vec<u8>>))
            .filter(challenges::Column::ConsumeTime.is_null())
            .exec(&self.view.0)
            .await?;
        Ok(ended.rows_affected)
    }

    /// Forgets every kept answer. Answers with how many.
    pub(crate) async fn forget_all_replays(&mut self) -> Result<u64> {
        Ok(replays::Entity::delete_many().exec(&self.view.0).await?.rows_affected)
    }

    /// Begins an epoch.
    pub(crate) async fn begin_epoch(&mut self, epoch: Uuid, now: DateTime<Utc>) -> Result<()> {
        let row = installation::Model { id: ONLY, epoch, restore_time: now };
        installation::Entity::insert(row.into_active_model())
            .on_conflict(
                OnConflict::column(installation::Column::Id)
                    .update_columns([installation::Column::Epoch, installation::Column::RestoreTime])
                    .to_owned(),
            )
            .exec_without_returning(&self.view.0)
            .await?;
        Ok(())
    }
}
