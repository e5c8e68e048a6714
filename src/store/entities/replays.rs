//! The sealed answer of a mutation, for its replay.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "replays")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) caller: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) method: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) request_id: Uuid,
    pub(crate) sealed: Vec<u8>,
    pub(crate) expire_time: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
