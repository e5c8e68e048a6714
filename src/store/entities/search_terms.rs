//! A term that a row of a list is found by.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, DeriveEntityModel)]
#[sea_orm(table_name = "search_terms")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) list_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) facet: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) term: Vec<u8>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) row_id: Uuid,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
