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
        search::in_order,
    },
    domain::{
        member::MemberState,
        search::{INVITED, Search},
    },
    store::{FoundRow, RosterFacts, RosterRow, SearchQuery},
};

/// The rows of a page that a search finds in a list of the organization, by what they are found by, and the organization as it was at their moment.
pub(super) async fn read(
    app: &App,
    ctx: &Ctx,
    query: &List,
    list: Uuid,
    search: &Search,
) -> Result<(Access, Page<RosterRow>, RosterFacts)> {
    // At one moment: what is found, and what it is.
    let view = app.store.snapshot().await?;
    let access = access::enter_at(app, ctx, &view, query.organization_id).await?;
    let mut asked = query.asked(ctx, &access);
    let (roles, states) = (asked.filter.roles.clone(), asked.filter.states.clone());
    let facets = states.into_iter().map(MemberState::as_str).chain(asked.filter.invited.map(|_| INVITED));
    let terms = SearchQuery { list, facets: facets.collect(), search, roles: (query.organization_id, &roles) };
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
