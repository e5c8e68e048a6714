//! A key of a service account.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "service_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) service_account_id: Uuid,
    pub(crate) token_digest: Vec<u8>,
    pub(crate) hint: String,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) expire_time: Option<DateTime<Utc>>,
    pub(crate) revoke_time: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
