//! What Roster holds of a person, given to them part by part.

use uuid::Uuid;

use crate::{
    app::{
        App,
        audit::{self, Entry},
        call::{
            context::Ctx,
            error::{Error, Result},
            paging::{Page, PageRequest},
        },
        credentials::{identities, mfa},
        invitations::lists::{Waiting, waiting},
        organizations::{
            activity::{self, ListedActivity},
            memberships::{self, Membership, MembershipOrder},
        },
        sessions, users,
    },
    store::{Cursor, EventFilter, InvitationRow, LinkedIdentity, MfaFactor, Session, User},
};

/// Records of a page.
const PAGE: i32 = 200;

/// The parts of an export, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Account,
    Memberships,
    AcceptedInvitations,
    WaitingInvitations,
    Sessions,
    Identities,
    MfaFactors,
    Activity,
    AuditEntries,
}

impl Part {
    fn next(self) -> Option<Self> {
        match self {
            Part::Account => Some(Part::Memberships),
            Part::Memberships => Some(Part::AcceptedInvitations),
            Part::AcceptedInvitations => Some(Part::WaitingInvitations),
            Part::WaitingInvitations => Some(Part::Sessions),
            Part::Sessions => Some(Part::Identities),
            Part::Identities => Some(Part::MfaFactors),
            Part::MfaFactors => Some(Part::Activity),
            Part::Activity => Some(Part::AuditEntries),
            Part::AuditEntries => None,
        }
    }
}

/// A place in an export.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    part: Part,
    /// Asks for the page that follows; empty at the beginning of a part.
    page_token: String,
}

impl Default for Place {
    fn default() -> Self {
        Self { part: Part::Account, page_token: String::new() }
    }
}

/// One thing that Roster holds of a person.
#[derive(Debug)]
pub(crate) enum Record {
    /// The account.
    User(User),
    /// A membership that has not ended.
    Membership(Membership),
    /// An invitation that they have accepted.
    Invitation(InvitationRow),
    /// An invitation that waits for them.
    UserInvitation(Waiting),
    /// A session that has not ended.
    Session(Session),
    /// Who they are at a provider.
    Identity(LinkedIdentity),
    /// A second factor.
    MfaFactor(MfaFactor),
    /// What they did, and how they signed in.
    Activity(ListedActivity),
    /// A change of their account.
    AuditEntry(Entry),
}

/// The records at a place, and the place behind them; none behind the last. Each part is read by the use case that answers for it alone, so that an export shows what those show.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn read(app: &App, ctx: &Ctx, user_id: Uuid, place: Place) -> Result<(Vec<Record>, Option<Place>)> {
    let user = users::get(app, ctx, user_id).await?;
    let page = page(&place.page_token)?;
    let one = |records: Vec<Record>| (records, String::new());
    let (records, page_token) = match place.part {
        Part::Account => one(vec![Record::User(user)]),
        Part::Memberships => {
            let query = memberships::List { user_id, order: MembershipOrder::Id, include_invitations: false, page };
            told(memberships::list(app, ctx, query).await?.0, Record::Membership)
        }
        Part::AcceptedInvitations => {
            let accepted = app.store.read().invitations_of(user_id, None).await?;
            let row = |invitation| InvitationRow { invitation, delivery_state: None, known_user_id: Some(user_id) };
            one(accepted.into_iter().map(row).map(Record::Invitation).collect())
        }
        Part::WaitingInvitations => match user.email_verify_time {
            // An address that nobody has shown to be theirs could have been typed to see what waits for it.
            None => one(Vec::new()),
            Some(_) => {
                let rows = waiting(app, ctx, &user, page.after(), page.limit()).await?;
                told(page.page(rows, None, |one| Cursor::by_id(one.invitation.id)), Record::UserInvitation)
            }
        },
        Part::Sessions => told(sessions::list(app, ctx, sessions::List { user_id, page }).await?, Record::Session),
        Part::Identities => {
            let identities = identities::list(app, ctx, user_id).await?;
            one(identities.into_iter().map(Record::Identity).collect())
        }
        Part::MfaFactors => {
            let found = mfa::list(app, ctx, user_id).await?;
            one(found.factors.into_iter().map(Record::MfaFactor).collect())
        }
        Part::Activity => {
            let query = activity::List {
                organization_id: None,
                user_id: Some(user_id),
                kinds: Vec::new(),
                actions: Vec::new(),
                from: None,
                until: None,
                page,
            };
            told(activity::list(app, ctx, query).await?, Record::Activity)
        }
        Part::AuditEntries => {
            let query = audit::ListOfUser { user_id, filter: EventFilter::default(), page };
            told(audit::list_user(app, ctx, query).await?, Record::AuditEntry)
        }
    };
    let next = match page_token.is_empty() {
        false => Some(Place { part: place.part, page_token }),
        true => place.part.next().map(|part| Place { part, page_token }),
    };
    Ok((records, next))
}

fn told<T>(page: Page<T>, record: impl FnMut(T) -> Record) -> (Vec<Record>, String) {
    (page.items.into_iter().map(record).collect(), page.next_page_token)
}

fn page(token: &str) -> Result<PageRequest> {
    let page = PageRequest::parse(PAGE, token, false, [0; 8]);
    page.map_err(|wrong| Error::Internal(format!("an export lost its place: {wrong:?}")))
}
