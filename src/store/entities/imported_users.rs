//! An account that an import has created.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "imported_users")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) import_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) address_digest: Vec<u8>,
    pub(crate) place: i64,
    pub(crate) user_id: Uuid,
    pub(crate) create_time: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
