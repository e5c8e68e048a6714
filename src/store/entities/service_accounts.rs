//! A service that calls Roster.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::{confinement::Confinement, scope::Scopes};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "service_accounts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) display_name: String,
    pub(crate) scopes: Scopes,
    pub(crate) disabled: bool,
    pub(crate) create_time: DateTime<Utc>,
    pub(crate) organizations: Option<Confinement>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
