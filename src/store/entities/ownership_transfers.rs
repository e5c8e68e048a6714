//! A transfer of ownership.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::{ownership::TransferState, scope::Scopes};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ownership_transfers")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) owner_user_id: Uuid,
    pub(crate) nominee_user_id: Uuid,
    pub(crate) state: TransferState,
    pub(crate) actor_user_id: Option<Uuid>,
    pub(crate) actor_service_account_id: Option<Uuid>,
    pub(crate) changed_revision: i64,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) expire_time: DateTime<Utc>,
    pub(crate) settle_time: Option<DateTime<Utc>>,
    pub(crate) actor_service_key_id: Option<Uuid>,
    pub(crate) actor_scopes: Option<Scopes>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
