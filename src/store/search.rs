//! What rows of lists are found by: the terms of each, in order.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, Order, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select, Set,
    sea_query::{Expr, ExprTrait, LockType, OnConflict, Query},
};
use uuid::Uuid;

use super::{
    Cursor, Invitation, Member, Organization, Result, SearchTerm, Tx, View,
    entities::{invitations, members, organizations, search_progress, search_terms},
    members::{holders_of, holds_one_of},
    page::not_by_index,
};
use crate::domain::{
    access_model::RoleId,
    search::{INVITED, Search},
};

/// What is made of the log, each with how far it has got. The number is that of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derived {
    /// What rows are found by.
    Terms = 1,
    /// When members were last active.
    Activity = 2,
}

impl Derived {
    const fn row(self) -> i32 {
        self as i32
    }
}

/// Terms that are written by one statement: PostgreSQL takes 65,535 values at a time, and SQLite 32,766.
const AT_ONCE: usize = 5000;

/// Holders of roles who are looked at one by one, at the most.
const FEW: u64 = 500;

/// Rows whose terms are read or taken away by one statement.
const ROWS_AT_ONCE: usize = 100;

/// What is searched.
#[derive(Debug, Clone)]
pub(crate) struct SearchQuery<'a> {
    /// The list.
    pub(crate) list: Uuid,
    /// What of it.
    pub(crate) facets: Vec<&'static str>,
    /// For what.
    pub(crate) search: &'a Search,
    /// Only members who hold one of these roles in this organization; none at all means everybody.
    pub(crate) roles: (Uuid, &'a [RoleId]),
}

/// A row that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundRow {
    /// The row.
    pub(crate) id: Uuid,
    /// The first of its terms that the search asks for: the row's place.
    pub(crate) term: Vec<u8>,
}

impl FoundRow {
    /// The row's place in what was found.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { key: self.term.clone(), id: self.id }
    }
}

impl<C: ConnectionTrait> View<C> {
    /// How far it has been brought up to the log.
    pub(crate) async fn search_progress(&self, derived: Derived) -> Result<String> {
        let row = search_progress::Entity::find_by_id(derived.row()).one(&self.0).await?;
        Ok(row.map(|row| row.cursor).unwrap_or_default())
    }

    /// The rows that a search finds, by the first term of each that it asks for: read in order by an index, so that a page costs the same however many are found.
    pub(crate) async fn search_page(
        &self,
        query: &SearchQuery<'_>,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<FoundRow>> {
        let mut found = Vec::new();
        let few = self.few_holders(query).await?;
        // One by one, or the index would not have them in order.
        for facet in &query.facets {
            if let Some(holders) = few.as_ref().filter(|_| *facet != INVITED) {
                let mut rows = self.terms_of(query, facet, holders).await?;
                rows.retain(|row| after.is_none_or(|cursor| (&row.term, row.id) > (&cursor.key, cursor.id)));
                found.extend(rows);
                continue;
            }
            let rows = asked(query, facet)
                .filter(Condition::all().add_option(
                    after.map(|cursor| cursor.behind(search_terms::Column::Term, search_terms::Column::RowId)),
                ))
                .order_by(search_terms::Column::Term, Order::Asc)
                .order_by(search_terms::Column::RowId, Order::Asc)
                .limit(limit)
                .all(&self.0)
                .await?;
            found.extend(rows.into_iter().map(|row| FoundRow { id: row.row_id, term: row.term }));
        }
        found.sort_by(|one, other| (&one.term, one.id).cmp(&(&other.term, other.id)));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// How many rows a search finds.
    pub(crate) async fn search_count(&self, query: &SearchQuery<'_>) -> Result<u64> {
        let mut count = 0;
        let few = self.few_holders(query).await?;
        for facet in &query.facets {
            count += match few.as_ref().filter(|_| *facet != INVITED) {
                Some(holders) => self.terms_of(query, facet, holders).await?.len() as u64,
                None => asked(query, facet).count(&self.0).await?,
            };
        }
        Ok(count)
    }

    /// Who holds one of the roles that a search asks for, where those are few: then they are looked at, in place of everything that the search would find. `None`: no roles, or many holders.
    async fn few_holders(&self, query: &SearchQuery<'_>) -> Result<Option<Vec<Uuid>>> {
        let (organization, roles) = query.roles;
        if roles.is_empty() {
            return Ok(None);
        }
        let holders = holders_of(organization, roles).limit(FEW + 1).into_tuple().all(&self.0).await?;
        Ok(Some(holders).filter(|holders: &Vec<Uuid>| holders.len() as u64 <= FEW))
    }

    /// The first term that a search asks for of each of these rows that has one.
    async fn terms_of(&self, query: &SearchQuery<'_>, facet: &str, rows: &[Uuid]) -> Result<Vec<FoundRow>> {
        use search_terms::Column;

        let mut found = BTreeMap::new();
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let terms = search_terms::Entity::find()
                .filter(Column::RowId.is_in(rows.iter().copied()))
                .filter(not_by_index(Column::ListId).eq(query.list))
                .filter(not_by_index(Column::Facet).eq(facet))
                .filter(Column::Term.gte(query.search.from.clone()))
                .filter(Column::Term.lt(query.search.until.clone()))
                .order_by(Column::Term, Order::Desc)
                .all(&self.0)
                .await?;
            // The last one stays, which is the first in order.
            found.extend(terms.into_iter().map(|row| (row.row_id, row.term)));
        }
        Ok(found.into_iter().map(|(id, term)| FoundRow { id, term }).collect())
    }

    /// The memberships of these users, removed ones too.
    pub(crate) async fn memberships_of(&self, users: &BTreeSet<Uuid>) -> Result<Vec<Member>> {
        self.page(members::Entity::find().filter(members::Column::UserId.is_in(users.iter().copied()))).await
    }

    /// These invitations.
    pub(crate) async fn invitations_by_id(&self, ids: &BTreeSet<Uuid>) -> Result<Vec<Invitation>> {
        self.page(invitations::Entity::find().filter(invitations::Column::Id.is_in(ids.iter().copied()))).await
    }

    /// These organizations.
    pub(crate) async fn organizations_by_id(&self, ids: &BTreeSet<Uuid>) -> Result<Vec<Organization>> {
        self.page(organizations::Entity::find().filter(organizations::Column::Id.is_in(ids.iter().copied()))).await
    }
}

/// The first term that a search asks for of each row that has one.
fn asked(query: &SearchQuery<'_>, facet: &str) -> Select<search_terms::Entity> {
    use search_terms::Column;

    let earlier = Query::select()
        .expr(Expr::val(1))
        .from_as(search_terms::Entity, "earlier")
        .and_where(Expr::col(("earlier", Column::RowId)).equals((search_terms::Entity, Column::RowId)))
        .and_where(not_by_index(("earlier", Column::ListId)).eq(query.list))
        .and_where(Expr::col(("earlier", Column::Term)).gte(query.search.from.clone()))
        .and_where(Expr::col(("earlier", Column::Term)).lt(Expr::col((search_terms::Entity, Column::Term))))
        .take();
    // Whom an invitation would give roles is looked at where it is read.
    let row = (search_terms::Entity, Column::RowId);
    let (organization, roles) = query.roles;
    let held = (!roles.is_empty() && facet != INVITED).then(|| Expr::exists(holds_one_of(organization, roles, row)));
    search_terms::Entity::find()
        .filter(Column::ListId.eq(query.list))
        .filter(Column::Facet.eq(facet))
        .filter(Column::Term.gte(query.search.from.clone()))
        .filter(Column::Term.lt(query.search.until.clone()))
        .filter(Expr::exists(earlier).not())
        .filter(Condition::all().add_option(held))
}

impl Tx {
    /// Locks the progress and reads it.
    ///
    /// The race that its lock prevents: two replicas bring the terms up to the same events at once, and insert the same rows.
    pub(crate) async fn lock_search_progress(&mut self, derived: Derived) -> Result<String> {
        let first = search_progress::ActiveModel { id: Set(derived.row()), cursor: Set(String::new()) };
        let made = OnConflict::column(search_progress::Column::Id).do_nothing().to_owned();
        search_progress::Entity::insert(first).on_conflict(made).exec_without_returning(&self.view.0).await?;
        let row =
            search_progress::Entity::find_by_id(derived.row()).lock(LockType::NoKeyUpdate).one(&self.view.0).await?;
        Ok(row.map(|row| row.cursor).unwrap_or_default())
    }

    /// Notes how far it has been brought up to the log. Needs the progress's lock.
    pub(crate) async fn set_search_progress(&mut self, derived: Derived, cursor: String) -> Result<()> {
        search_progress::Entity::update_many()
            .col_expr(search_progress::Column::Cursor, Expr::value(cursor))
            .filter(search_progress::Column::Id.eq(derived.row()))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }

    /// Gives rows of lists, by list and row, these terms in place of those before.
    pub(crate) async fn replace_search_terms(
        &mut self,
        rows: &BTreeSet<(Uuid, Uuid)>,
        terms: BTreeSet<SearchTerm>,
    ) -> Result<()> {
        for rows in rows.iter().collect::<Vec<_>>().chunks(ROWS_AT_ONCE) {
            // Each by the index. For a list of pairs, SQLite would look at all terms there are.
            let one = |(list, row): &&(Uuid, Uuid)| {
                Condition::all().add(search_terms::Column::RowId.eq(*row)).add(search_terms::Column::ListId.eq(*list))
            };
            let these = rows.iter().map(one).fold(Condition::any(), Condition::add);
            search_terms::Entity::delete_many().filter(these).exec(&self.view.0).await?;
        }
        let terms: Vec<_> = terms.into_iter().map(IntoActiveModel::into_active_model).collect();
        for terms in terms.chunks(AT_ONCE) {
            search_terms::Entity::insert_many(terms.to_vec()).exec_without_returning(&self.view.0).await?;
        }
        Ok(())
    }

    /// Takes away what rows are found by, in all lists.
    pub(crate) async fn delete_search_terms(&mut self, rows: Vec<Uuid>) -> Result<()> {
        search_terms::Entity::delete_many().filter(search_terms::Column::RowId.is_in(rows)).exec(&self.view.0).await?;
        Ok(())
    }
}
