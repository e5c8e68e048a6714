//! A person.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::{attributes::Attributes, user::UserState};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) email_verify_time: Option<DateTime<Utc>>,
    pub(crate) given_name: String,
    pub(crate) family_name: String,
    pub(crate) locale: Option<String>,
    pub(crate) password_hash: Option<String>,
    pub(crate) last_sign_in_time: Option<DateTime<Utc>>,
    pub(crate) last_active_time: Option<DateTime<Utc>>,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) update_time: DateTime<Utc>,
    pub(crate) state: UserState,
    pub(crate) display_name: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) revision: i64,
    pub(crate) delete_time: Option<DateTime<Utc>>,
    pub(crate) mfa_enabled: bool,
    pub(crate) phone_number: Option<String>,
    pub(crate) state_before_deletion: Option<UserState>,
    pub(crate) proof_time: Option<DateTime<Utc>>,
    pub(crate) sign_in_count: i64,
    pub(crate) scheduled_delete_time: Option<DateTime<Utc>>,
    pub(crate) erase_time: Option<DateTime<Utc>>,
    pub(crate) attributes: Option<Attributes>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
