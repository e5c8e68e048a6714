//! Keeps what rows are found by up to the log: a follower of Roster's own events.
//!
//! Who writes a name does nothing for those who search; the terms are made of what the events tell of, later and for many at once. Each search first makes sure that what was committed before it has
//! been looked at, so that it finds what its caller has just written.

pub(crate) mod activity;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            error::Result,
            paging::{Page, PageRequest},
        },
        events::EventCursor,
    },
    domain::{
        invitation::InvitationState,
        search::{ALL, INVITED, ORGANIZATIONS, Search, USERS, terms},
        stream::StreamKind,
        user::full_name,
    },
    platform::clock::Stopwatch,
    store::{Derived, EventRecord, FoundRow, LogStep, Member, SearchQuery, SearchTerm, Tx},
};

/// Events that are looked at in one transaction.
const BATCH: usize = 500;
/// How long a search waits for what is behind: after an import, or an upgrade, it answers by what there is by then.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes sure that what is derived tells of what was committed by now, or of as much as can be made sure of in two seconds.
///
/// # Errors
/// The database's.
pub(crate) async fn catch_up(app: &App, derived: Derived) -> Result<()> {
    let begun = Stopwatch::start();
    while begun.elapsed() < PATIENCE {
        if advance(app, derived).await? {
            return Ok(());
        }
    }
    tracing::warn!(?derived, "what is searched is behind what was written");
    Ok(())
}

/// A page of what a search finds among all users or all organizations, by what it is found by. What has gone since it was found is left out.
///
/// # Errors
/// The database's.
pub(crate) async fn find<T>(
    app: &App,
    list: Uuid,
    search: &Search,
    page: &PageRequest,
    load: impl AsyncFnOnce(&[Uuid]) -> Result<Vec<(Uuid, T)>>,
) -> Result<Page<T>> {
    catch_up(app, Derived::Terms).await?;
    let view = app.store.read();
    let query = SearchQuery { list, facets: vec![ALL], search, roles: (list, &[]) };
    let found = view.search_page(&query, page.after(), page.limit()).await?;
    let total = page.total(view.search_count(&query)).await?;
    let found = page.page(found, total, FoundRow::cursor);
    let ids: Vec<Uuid> = found.items.iter().map(|row| row.id).collect();
    let rows = load(&ids).await?.into_iter().collect();
    Ok(in_order(found, rows))
}

/// The rows of a page in the order in which they were found.
pub(crate) fn in_order<T>(found: Page<FoundRow>, mut rows: HashMap<Uuid, T>) -> Page<T> {
    Page {
        items: found.items.iter().filter_map(|row| rows.remove(&row.id)).collect(),
        next_page_token: found.next_page_token,
        total_size: found.total_size,
    }
}

/// Looks at the next events, in one transaction. Answers whether there were no more.
async fn advance(app: &App, derived: Derived) -> Result<bool> {
    // Before the transaction, which would hold one connection while it waits for another.
    let progress = app.store.read().search_progress(derived).await?;
    let step = read(app, &progress).await?;
    // Most often there is nothing, and then nothing is locked.
    if step.up_to_date && step.events.is_empty() {
        return Ok(true);
    }
    let mut tx = app.store.begin().await?;
    if tx.lock_search_progress(derived).await? != progress {
        // Somebody else has looked at them meanwhile.
        return Ok(false);
    }
    let touched = Touched::by(&step.events);
    match derived {
        Derived::Terms => apply(&mut tx, &touched).await?,
        Derived::Activity => activity::apply(&mut tx, &touched).await?,
    }
    let cursor = EventCursor { epoch: step.epoch, place: step.place };
    tx.set_search_progress(derived, cursor.write()).await?;
    tx.commit().await?;
    Ok(step.up_to_date)
}

/// The next events behind what has been looked at; from the beginning, where the log is another one by now.
async fn read(app: &App, progress: &str) -> Result<LogStep> {
    if let Some(EventCursor { epoch, place }) = EventCursor::read(progress) {
        let step = app.store.read_log(&place, BATCH).await?;
        if step.known && step.epoch == epoch {
            return Ok(step);
        }
    }
    Ok(app.store.read_log(&app.store.log_start(), BATCH).await?)
}

/// What events tell of.
#[derive(Default)]
struct Touched {
    users: BTreeSet<Uuid>,
    members: BTreeSet<(Uuid, Uuid)>,
    invitations: BTreeSet<Uuid>,
    organizations: BTreeSet<Uuid>,
}

impl Touched {
    fn by(events: &[EventRecord]) -> Self {
        let mut touched = Self::default();
        for event in events {
            let (family, _) = event.kind.split_once('.').unwrap_or_default();
            let of = event.stream_id;
            match (event.stream, family) {
                (StreamKind::User, _) => drop(touched.users.insert(of)),
                (StreamKind::Organization, "organization") => drop(touched.organizations.insert(of)),
                (StreamKind::Organization, "member") => {
                    touched.members.extend(event.subject_id.map(|user| (of, user)));
                }
                (StreamKind::Organization, "invitation") => {
                    touched.invitations.extend(event.subject_id);
                    // Who accepts becomes a member.
                    touched.members.extend(event.actor_user_id.map(|user| (of, user)));
                }
                _ => {}
            }
        }
        touched
    }
}

/// Gives everything that events tell of the terms that it has now.
async fn apply(tx: &mut Tx, touched: &Touched) -> Result<()> {
    let (mut rows, mut found_by) = (BTreeSet::new(), BTreeSet::new());
    let mut give = |list_id: Uuid, row_id: Uuid, facet: Option<&str>, texts: &[&str]| {
        rows.insert((list_id, row_id));
        let Some(facet) = facet else { return };
        let term = |term| SearchTerm { list_id, facet: facet.to_owned(), term, row_id };
        found_by.extend(terms(texts.iter().copied()).into_iter().map(term));
    };
    let people: BTreeSet<Uuid> =
        touched.users.iter().copied().chain(touched.members.iter().map(|(_, user)| *user)).collect();
    let mut memberships: HashMap<Uuid, Vec<Member>> = HashMap::new();
    for member in tx.memberships_of(&people).await? {
        memberships.entry(member.user_id).or_default().push(member);
    }
    for user in tx.users_by_id(&people.iter().copied().collect::<Vec<_>>()).await? {
        let name = user.effective_display_name();
        let texts = [
            name.as_str(),
            &user.given_name,
            &user.family_name,
            &user.email,
            user.username.as_deref().unwrap_or_default(),
        ];
        let everywhere = touched.users.contains(&user.id);
        if everywhere {
            give(USERS, user.id, Some(ALL), &texts);
        }
        for member in memberships.remove(&user.id).unwrap_or_default() {
            if everywhere || touched.members.contains(&(member.organization_id, user.id)) {
                give(member.organization_id, user.id, Some(member.state.as_str()), &texts);
            }
        }
    }
    for invitation in tx.invitations_by_id(&touched.invitations).await? {
        let pending = (invitation.state == InvitationState::Pending).then_some(INVITED);
        let texts = [invitation.given_name.as_str(), &invitation.family_name, &invitation.email];
        let name = full_name(&invitation.given_name, &invitation.family_name);
        give(invitation.organization_id, invitation.id, pending, &[&[name.as_str()], texts.as_slice()].concat());
    }
    for organization in tx.organizations_by_id(&touched.organizations).await? {
        give(ORGANIZATIONS, organization.id, Some(ALL), &[&organization.display_name]);
    }
    tx.replace_search_terms(&rows, found_by).await?;
    Ok(())
}
