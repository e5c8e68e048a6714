//! An invitation of an address to an organization.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::{access_model::RoleSet, invitation::InvitationState, scope::Scopes};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invitations")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) roles: RoleSet,
    pub(crate) state: InvitationState,
    pub(crate) token_digest: Vec<u8>,
    pub(crate) inviter_user_id: Option<Uuid>,
    pub(crate) inviter_service_account_id: Option<Uuid>,
    pub(crate) personal_message: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) send_count: i32,
    pub(crate) message_id: Uuid,
    pub(crate) sort_key: Vec<u8>,
    pub(crate) changed_revision: i64,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) sent_time: DateTime<Utc>,
    pub(crate) expire_time: DateTime<Utc>,
    pub(crate) accept_time: Option<DateTime<Utc>>,
    pub(crate) accepted_user_id: Option<Uuid>,
    pub(crate) signup_completed: bool,
    pub(crate) given_name: String,
    pub(crate) family_name: String,
    pub(crate) inviter_service_key_id: Option<Uuid>,
    pub(crate) inviter_scopes: Option<Scopes>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
