//! A user's second factor.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::mfa::FactorKind;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mfa_factors")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) kind: FactorKind,
    pub(crate) sealed_secret: Vec<u8>,
    pub(crate) last_step: Option<i64>,
    pub(crate) failures: i32,
    pub(crate) failures_since: DateTime<Utc>,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) last_used_time: Option<DateTime<Utc>>,
    pub(crate) failures_in_row: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
