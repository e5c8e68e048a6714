//! A user's session.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) token_digest: Vec<u8>,
    pub(crate) ip_address: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) last_used_time: DateTime<Utc>,
    pub(crate) expire_time: DateTime<Utc>,
    pub(crate) revoke_time: Option<DateTime<Utc>>,
    pub(crate) step_up_expire_time: Option<DateTime<Utc>>,
    pub(crate) sign_in_number: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
