//! The roster, searched by the beginning of a name or an address, or in the order of activity: by what is derived of the log.

use std::collections::HashMap;

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access::{self, Access},
            context::Ctx,
            error::Result,
            paging::Page,
        },
        members::{List, moved},
        search::{activity::bring_up, catch_up, in_order},
    },
    domain::{
        member::MemberState,
        search::{INVITED, Search, activity_list},
    },
    store::{Derived, FoundRow, RosterFacts, RosterRow, SearchQuery},
};

/// A list that is derived of the log, and what of it is asked for.
pub(super) struct DerivedList {
    derived: Derived,
    id: Uuid,
    search: Search,
}

impl DerivedList {
    /// The one that a query asks for; `None`: the rows themselves answer it.
    pub(super) fn of(query: &List) -> Option<Self> {
        if let Some(search) = &query.search {
            return Some(Self { derived: Derived::Terms, id: query.organization_id, search: search.clone() });
        }
        // Whoever has an address is one, in any order.
        (query.by_activity && query.filter.email_key.is_none()).then(|| Self {
            derived: Derived::Activity,
            id: activity_list(query.organization_id),
            search: Search::of_all_times(),
        })
    }
}

/// The rows of a page that are found in a derived list, by what they are found by, and the organization as it was at their moment.
pub(super) async fn read(
    app: &App,
    ctx: &Ctx,
    query: &List,
    list: &DerivedList,
) -> Result<(Access, Page<RosterRow>, RosterFacts)> {
    match list.derived {
        Derived::Terms => catch_up(app, Derived::Terms).await?,
        Derived::Activity => bring_up(app).await?,
    }
    // At one moment: what is found, and what it is.
    let view = app.store.snapshot().await?;
    let access = access::enter_at(app, ctx, &view, query.organization_id).await?;
    let mut asked = query.asked(ctx, &access);
    let (roles, states) = (asked.filter.roles.clone(), asked.filter.states.clone());
    let facets = states.into_iter().map(MemberState::as_str).chain(asked.filter.invited.map(|_| INVITED));
    let terms = SearchQuery {
        list: list.id,
        facets: facets.collect(),
        search: &list.search,
        roles: (query.organization_id, &roles),
    };
    let found = view.search_page(&terms, query.page.after(), query.page.limit()).await?;
    let total = query.page.total(view.search_count(&terms)).await?;
    let found = query.page.page(found, total, FoundRow::cursor);
    asked.filter.only = found.items.iter().map(|row| row.id).collect();
    asked.after = None;
    if found.items.is_empty() {
        (asked.filter.states, asked.filter.invited) = (Vec::new(), None);
    }
    let (rows, facts) = view.roster_page(&asked).await?.ok_or_else(moved)?;
    let rows: HashMap<Uuid, RosterRow> = rows.into_iter().map(|row| (row.id(), row)).collect();
    Ok((access, in_order(found, rows), facts))
}
