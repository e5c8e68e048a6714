//! Slugs of organizations, present and former: in one table, whose key decides between two who take the same.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Result, Tx, View,
    entities::organization_slugs::{Column, Entity, Model},
};

impl<C: ConnectionTrait> View<C> {
    /// The organization that a slug leads to.
    pub(crate) async fn organization_of_slug(&self, slug: &str, now: DateTime<Utc>) -> Result<Option<Uuid>> {
        let held = Condition::any().add(Column::ReleaseTime.is_null()).add(Column::ReleaseTime.gt(now));
        let found = Entity::find_by_id(slug).filter(held).one(&self.0).await?;
        Ok(found.map(|row| row.organization_id))
    }
}

impl Tx {
    /// Gives an organization a slug, which may be a former one of its own. Needs its lock.
    ///
    /// # Errors
    /// `StoreError::Duplicate` where another organization has it, or had it lately.
    pub(crate) async fn take_slug(&mut self, slug: &str, organization_id: Uuid, now: DateTime<Utc>) -> Result<()> {
        let free = Condition::any().add(Column::OrganizationId.eq(organization_id)).add(Column::ReleaseTime.lte(now));
        Entity::delete_many().filter(Column::Slug.eq(slug)).filter(free).exec(&self.view.0).await?;
        let row = Model { slug: slug.to_owned(), organization_id, release_time: None };
        Entity::insert(row.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Lets a slug of an organization lead to it until a time, and be free then; of more than so many former ones, the oldest are free at once. Needs its lock.
    pub(crate) async fn give_up_slug(
        &mut self,
        slug: &str,
        organization: Uuid,
        until: DateTime<Utc>,
        most: u64,
    ) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::ReleaseTime, Expr::value(until))
            .filter(Column::Slug.eq(slug))
            .filter(Column::OrganizationId.eq(organization))
            .exec(&self.view.0)
            .await?;
        let oldest: Vec<String> = Entity::find()
            .select_only()
            .column(Column::Slug)
            .filter(Column::OrganizationId.eq(organization))
            .filter(Column::ReleaseTime.is_not_null())
            .order_by_desc(Column::ReleaseTime)
            .order_by_desc(Column::Slug)
            .offset(most)
            .limit(most)
            .into_tuple()
            .all(&self.view.0)
            .await?;
        if !oldest.is_empty() {
            Entity::delete_many().filter(Column::Slug.is_in(oldest)).exec(&self.view.0).await?;
        }
        Ok(())
    }
}
