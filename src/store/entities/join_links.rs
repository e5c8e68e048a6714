//! A link by which people join an organization.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::{access_model::RoleSet, join_link::EmailDomains, scope::Scopes};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "join_links")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) display_name: Option<String>,
    pub(crate) roles: RoleSet,
    pub(crate) email_domains: EmailDomains,
    pub(crate) token_digest: Vec<u8>,
    pub(crate) max_uses: Option<i32>,
    pub(crate) use_count: i32,
    pub(crate) creator_user_id: Option<Uuid>,
    pub(crate) creator_service_account_id: Option<Uuid>,
    pub(crate) creator_service_key_id: Option<Uuid>,
    pub(crate) creator_scopes: Option<Scopes>,
    pub(crate) changed_revision: i64,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) expire_time: DateTime<Utc>,
    pub(crate) revoke_time: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
