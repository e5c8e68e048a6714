//! A tenant.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::{
    domain::{attributes::Attributes, organization::OrganizationState},
    store::database::columns::OwnRoles,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "organizations")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) display_name: String,
    pub(crate) access_model: String,
    pub(crate) kind: Option<String>,
    pub(crate) state: OrganizationState,
    pub(crate) revision: i64,
    pub(crate) changed_revision: i64,
    pub(crate) chain_hash: Vec<u8>,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) update_time: DateTime<Utc>,
    pub(crate) custom_roles: Option<OwnRoles>,
    pub(crate) delete_time: Option<DateTime<Utc>>,
    pub(crate) mfa_required: bool,
    pub(crate) state_before_deletion: Option<OrganizationState>,
    pub(crate) chain_seal: Option<Vec<u8>>,
    pub(crate) locale: Option<String>,
    pub(crate) attributes: Option<Attributes>,
    pub(crate) slug: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
