//! The order of rosters by when members were last active: made of the log as what is searched is, and of what this process has seen people do.
//!
//! Whoever uses a session, or of whom a service reports, is noted in memory, and put in order with all others who were: a few seconds later, or when somebody asks for the order. Whoever is noted when a process
//! dies, or a moment before their activity is committed, keeps their place until they are active again; the times themselves are in their rows.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::{Mutex, PoisonError},
};

use uuid::Uuid;

use super::{Touched, catch_up};
use crate::{
    app::{App, call::error::Result},
    domain::{
        invitation::InvitationState,
        member::MemberState,
        search::{INVITED, activity_list, newest_first},
    },
    store::{Derived, SearchTerm, Tx},
};

/// People who are put in order in one transaction.
const BATCH: usize = 500;

/// People who are noted at the most: of more, the order tells when they are active the next time.
const MOST: usize = 100_000;

/// Who was active since the order was made last, as far as this process knows.
#[derive(Debug, Default)]
pub(crate) struct Active(Mutex<BTreeSet<Uuid>>);

impl Active {
    /// Notes that somebody was.
    pub(crate) fn note(&self, user: Uuid) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < MOST {
            noted.insert(user);
        }
    }

    fn take(&self) -> BTreeSet<Uuid> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes the order tell of what was committed by now, and of whom this process has seen.
///
/// # Errors
/// The database's.
pub(crate) async fn bring_up(app: &App) -> Result<()> {
    catch_up(app, Derived::Activity).await?;
    let active: Vec<Uuid> = app.active.take().into_iter().collect();
    for users in active.chunks(BATCH) {
        if let Err(error) = place(app, users).await {
            active.iter().for_each(|user| app.active.note(*user));
            return Err(error);
        }
    }
    Ok(())
}

async fn place(app: &App, users: &[Uuid]) -> Result<()> {
    let mut tx = app.store.begin().await?;
    // Whoever follows the log writes the same rows.
    tx.lock_search_progress(Derived::Activity).await?;
    put_in_order(&mut tx, &users.iter().copied().collect(), |_, state| state != MemberState::Removed).await?;
    Ok(tx.commit().await?)
}

/// Puts the members and invitations that events tell of in order.
pub(super) async fn apply(tx: &mut Tx, touched: &Touched) -> Result<()> {
    let users = touched.members.iter().map(|(_, user)| *user).collect();
    put_in_order(tx, &users, |member, _| touched.members.contains(&member)).await?;
    let (mut rows, mut terms) = (BTreeSet::new(), BTreeSet::new());
    for invitation in tx.invitations_by_id(&touched.invitations).await? {
        let list_id = activity_list(invitation.organization_id);
        rows.insert((list_id, invitation.id));
        if invitation.state == InvitationState::Pending {
            let term = newest_first(invitation.create_time);
            terms.insert(SearchTerm { list_id, facet: INVITED.to_owned(), term, row_id: invitation.id });
        }
    }
    Ok(tx.replace_search_terms(&rows, terms).await?)
}

/// Gives memberships of these users their places: by when the member was last active, or else joined.
async fn put_in_order(
    tx: &mut Tx,
    users: &BTreeSet<Uuid>,
    which: impl Fn((Uuid, Uuid), MemberState) -> bool,
) -> Result<()> {
    let mut members = tx.memberships_of(users).await?;
    members.retain(|member| which((member.organization_id, member.user_id), member.state));
    let reported = tx.reported_times(&members.iter().map(|one| (one.organization_id, one.user_id)).collect()).await?;
    let accounts = tx.users_by_id(&users.iter().copied().collect::<Vec<_>>()).await?;
    let active: HashMap<Uuid, _> = accounts.into_iter().map(|user| (user.id, user.last_active_time)).collect();
    let (mut rows, mut terms) = (BTreeSet::new(), BTreeSet::new());
    for member in members {
        let list_id = activity_list(member.organization_id);
        let times = [
            active.get(&member.user_id).copied().flatten(),
            reported.get(&(member.organization_id, member.user_id)).copied(),
        ];
        let time = times.into_iter().flatten().max().unwrap_or(member.create_time);
        rows.insert((list_id, member.user_id));
        let facet = member.state.as_str().to_owned();
        terms.insert(SearchTerm { list_id, facet, term: newest_first(time), row_id: member.user_id });
    }
    Ok(tx.replace_search_terms(&rows, terms).await?)
}
