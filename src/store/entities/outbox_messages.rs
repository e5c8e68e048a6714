//! A message on its way out.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::delivery::DeliveryState;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox_messages")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) organization_id: Option<Uuid>,
    pub(crate) recipient: String,
    pub(crate) state: DeliveryState,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) attempts: i32,
    pub(crate) available_time: DateTime<Utc>,
    pub(crate) fence: i64,
    pub(crate) last_error: Option<String>,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) queue_time: DateTime<Utc>,
    pub(crate) settle_time: Option<DateTime<Utc>>,
    pub(crate) recipient_key: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
