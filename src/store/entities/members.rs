//! A user's membership in an organization.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::{access_model::RoleSet, member::MemberState};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "members")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) organization_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) user_id: Uuid,
    pub(crate) state: MemberState,
    pub(crate) roles: RoleSet,
    pub(crate) sort_key: Vec<u8>,
    pub(crate) invitation_id: Option<Uuid>,
    pub(crate) invitation_sent_time: Option<DateTime<Utc>>,
    pub(crate) invitation_accepted_time: Option<DateTime<Utc>>,
    pub(crate) changed_revision: i64,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) update_time: DateTime<Utc>,
    pub(crate) admit_time: Option<DateTime<Utc>>,
    pub(crate) interrupted_after_sign_in: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
