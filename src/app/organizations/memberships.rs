//! The organizations that a user belongs to: what a switcher between them shows.

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::Result,
            paging::{Page, PageRequest},
        },
        invitations::lists::{Waiting, waiting},
    },
    domain::{error::Reason, text::sort_key},
    store::{Cursor, Member, Organization, User},
};

/// Invitations that are told beside memberships at the most.
const INVITATIONS: u64 = 50;

/// The order of memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MembershipOrder {
    /// By the organization's id.
    Id,
    /// By the organization's name, as people are listed by theirs, and then by id.
    DisplayName,
}

/// Whose memberships.
#[derive(Debug)]
pub(crate) struct List {
    /// The user.
    pub(crate) user_id: Uuid,
    /// Their order.
    pub(crate) order: MembershipOrder,
    /// Whether the first page tells of waiting invitations.
    pub(crate) include_invitations: bool,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// One organization that a user belongs to.
#[derive(Debug)]
pub(crate) struct Membership {
    /// The organization.
    pub(crate) organization: Organization,
    /// The membership.
    pub(crate) member: Member,
    /// The names of its roles.
    pub(crate) role_names: Vec<String>,
}

/// A page of memberships, and the invitations that wait.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<(Page<Membership>, Vec<Waiting>)> {
    ctx.require_self(query.user_id)?;
    let view = app.store.read();
    let user = view.user(query.user_id).await?.ok_or(Reason::UserNotFound)?;
    let found = match query.order {
        MembershipOrder::Id => view.memberships_page(user.id, query.page.after(), query.page.limit()).await?,
        MembershipOrder::DisplayName => by_name(app, &user, &query.page).await?,
    };
    let total = query.page.total(view.memberships_count(user.id)).await?;
    let mut rows = Vec::new();
    for (organization, member) in found {
        let Some(member) = member else { continue };
        let role_names = app.model_of(&organization)?.role_names(&member.roles);
        rows.push(Membership { organization, member, role_names });
    }
    let page = query.page.page(rows, total, |row| place(query.order, &row.organization));
    let wanted = query.include_invitations && query.page.after().is_none() && user.email_verify_time.is_some();
    let invitations = match wanted {
        true => waiting(app, ctx, &user, None, INVITATIONS).await?,
        false => Vec::new(),
    };
    Ok((page, invitations))
}

fn place(order: MembershipOrder, organization: &Organization) -> Cursor {
    match order {
        MembershipOrder::Id => Cursor::by_id(organization.id),
        MembershipOrder::DisplayName => Cursor { key: sort_key(&organization.display_name), id: organization.id },
    }
}

/// The names of all of a user's organizations are put in order here, as no index has them by user; of the page alone, the rows are read.
async fn by_name(app: &App, user: &User, page: &PageRequest) -> Result<Vec<(Organization, Option<Member>)>> {
    let view = app.store.read();
    let names = view.membership_names(user.id).await?;
    let mut places: Vec<(Vec<u8>, Uuid)> = names.into_iter().map(|(id, name)| (sort_key(&name), id)).collect();
    if let Some(after) = page.after() {
        places.retain(|(key, id)| (key.as_slice(), *id) > (after.key.as_slice(), after.id));
    }
    places.sort_unstable();
    places.truncate(usize::try_from(page.limit()).unwrap_or(usize::MAX));
    let ids: Vec<Uuid> = places.iter().map(|(_, id)| *id).collect();
    let mut rows = view.memberships_in(user.id, &ids).await?;
    rows.sort_by_cached_key(|(organization, _)| (sort_key(&organization.display_name), organization.id));
    Ok(rows)
}
