//! A secret that is used once.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::challenge::Purpose;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "challenges")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) session_id: Option<Uuid>,
    pub(crate) purpose: Purpose,
    pub(crate) digest: Option<Vec<u8>>,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) attempts: i32,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) expire_time: DateTime<Utc>,
    pub(crate) consume_time: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
