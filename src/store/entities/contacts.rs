//! Somebody who gets notifications and never signs in.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::contact::NotificationRoles;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contacts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) display_name: String,
    pub(crate) notification_roles: NotificationRoles,
    pub(crate) sort_key: Vec<u8>,
    pub(crate) changed_revision: i64,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) update_time: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
