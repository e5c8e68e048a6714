//! What happened in a stream, chained by hash.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::stream::StreamKind;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub(crate) struct Model {
    /// The organization, or the nil id of the installation. The column kept the name that the version before writes.
    #[sea_orm(primary_key, auto_increment = false, column_name = "organization_id")]
    pub(crate) stream_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) revision: i64,
    pub(crate) stream: StreamKind,
    pub(crate) kind: String,
    pub(crate) actor_user_id: Option<Uuid>,
    pub(crate) actor_service_account_id: Option<Uuid>,
    pub(crate) subject_id: Option<Uuid>,
    pub(crate) data: String,
    pub(crate) hash: Vec<u8>,
    pub(crate) create_time: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
