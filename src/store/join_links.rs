//! Join links.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, Order, PaginatorTrait,
    QueryFilter, QueryOrder, Select,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{Cursor, JoinLink, Result, Tx, View, entities::join_links, page};

impl<C: ConnectionTrait> View<C> {
    /// One link of an organization.
    pub(crate) async fn join_link(&self, organization: Uuid, id: Uuid) -> Result<Option<JoinLink>> {
        Ok(join_links::Entity::find_by_id(id)
            .filter(join_links::Column::OrganizationId.eq(organization))
            .one(&self.0)
            .await?)
    }

    /// The link that a token's digest belongs to, of whichever organization.
    pub(crate) async fn join_link_by_token(&self, digest: &[u8]) -> Result<Option<JoinLink>> {
        Ok(join_links::Entity::find().filter(join_links::Column::TokenDigest.eq(digest)).one(&self.0).await?)
    }

    /// Links of an organization, newest first. `open_at`: only those by which people can join at that time.
    pub(crate) async fn join_links_page(
        &self,
        organization: Uuid,
        open_at: Option<DateTime<Utc>>,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<JoinLink>> {
        let query = filtered(organization, open_at);
        self.page(page::by_id(query, join_links::Column::Id, Order::Desc, after, limit)).await
    }

    /// Every link by which people can join at a time, by organization.
    pub(crate) async fn open_join_links(&self, now: DateTime<Utc>) -> Result<Vec<JoinLink>> {
        let query = open(join_links::Entity::find(), now);
        Ok(query
            .order_by_asc(join_links::Column::OrganizationId)
            .order_by_asc(join_links::Column::Id)
            .all(&self.0)
            .await?)
    }

    /// How many links the filter leaves.
    pub(crate) async fn join_links_count(&self, organization: Uuid, open_at: Option<DateTime<Utc>>) -> Result<u64> {
        Ok(filtered(organization, open_at).count(&self.0).await?)
    }
}

impl Tx {
    /// Adds a link.
    pub(crate) async fn insert_join_link(&mut self, link: JoinLink) -> Result<()> {
        join_links::Entity::insert(link.into_active_model()).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    /// Stores a link's new state.
    pub(crate) async fn update_join_link(&mut self, link: JoinLink) -> Result<()> {
        link.into_active_model().reset_all().update(&self.view.0).await?;
        Ok(())
    }
}

fn filtered(organization: Uuid, open_at: Option<DateTime<Utc>>) -> Select<join_links::Entity> {
    use join_links::Column;

    let query = join_links::Entity::find().filter(Column::OrganizationId.eq(organization));
    match open_at {
        Some(time) => open(query, time),
        None => query,
    }
}

fn open(query: Select<join_links::Entity>, time: DateTime<Utc>) -> Select<join_links::Entity> {
    use join_links::Column;

    let left =
        Condition::any().add(Column::MaxUses.is_null()).add(Expr::col(Column::UseCount).lt(Expr::col(Column::MaxUses)));
    query.filter(Column::RevokeTime.is_null()).filter(Column::ExpireTime.gt(time)).filter(left)
}
