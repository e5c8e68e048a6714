//! The audit log: the events of an organization, an account and the installation as people read them, and whether their record is whole.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{
            access,
            context::Ctx,
            directory::Freshness,
            error::Result,
            paging::{Page, PageRequest},
        },
    },
    domain::{
        audit::{self, Anchor, Break, Verification},
        error::Reason,
        stream::{CHAIN_START, INSTALLATION},
    },
    store::{Cursor, EventFilter, EventRecord, Names, Seal, User, event_hash},
};

/// Entries of one batch of an export, and entries that a verification holds at a time.
const BATCH: u64 = 200;

/// One change, with names.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The event.
    pub(crate) event: EventRecord,
    /// Who did it.
    pub(crate) actor_name: Option<String>,
    /// The user it was done to.
    pub(crate) subject_user_id: Option<Uuid>,
    /// The name of what it was done to.
    pub(crate) subject_name: Option<String>,
    /// What was there before.
    pub(crate) before: Option<Value>,
    /// What is there since.
    pub(crate) after: Option<Value>,
}

/// Which entries.
#[derive(Debug)]
pub(crate) struct List {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// The filter.
    pub(crate) filter: EventFilter,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// Entries of an organization, newest first.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn list(app: &App, ctx: &Ctx, query: List) -> Result<Page<Entry>> {
    let access = access::enter(app, ctx, query.organization_id).await?;
    entries(app, access.organization.id, &query.filter, &query.page).await
}

/// Entries of the installation, newest first: who made and widened keys (ab_37).
///
/// # Errors
/// The database's.
pub(crate) async fn list_installation(app: &App, query: ListOfInstallation) -> Result<Page<Entry>> {
    entries(app, INSTALLATION, &query.filter, &query.page).await
}

/// Entries of an account, newest first.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn list_user(app: &App, ctx: &Ctx, query: ListOfUser) -> Result<Page<Entry>> {
    let user = existing(app, ctx, query.user_id).await?;
    entries(app, user, &query.filter, &query.page).await
}

/// The id of a user who exists, and about whom the caller may ask.
async fn existing(app: &App, ctx: &Ctx, user: Uuid) -> Result<Uuid> {
    ctx.require_self(user)?;
    app.store.read().user(user).await?.ok_or(Reason::UserNotFound)?;
    Ok(user)
}

async fn entries(app: &App, stream: Uuid, filter: &EventFilter, page: &PageRequest) -> Result<Page<Entry>> {
    let view = app.store.read();
    let below = page.after().map(revision_of);
    let rows = view.events_page(stream, filter, below, page.limit()).await?;
    let total = page.total(view.events_count(stream, filter)).await?;
    let names = view.names_in(&rows).await?;
    let page = page.page(rows, total, |row| by_revision(row.revision));
    Ok(page.map(|event| entry(event, &names)).await)
}

/// The next batch of an export, in order; none at its end. The caller's right is looked up for each batch.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn export(app: &App, ctx: &Ctx, organization: Uuid, after: i64) -> Result<Vec<Entry>> {
    app.directory.confirm(Freshness::Full).await?;
    let access = access::enter(app, ctx, organization).await?;
    let view = app.store.read();
    let rows = view.events_after(access.organization.id, after, BATCH).await?;
    let names = view.names_in(&rows).await?;
    Ok(rows.into_iter().map(|event| entry(event, &names)).collect())
}

/// Which entries of the installation.
#[derive(Debug)]
pub(crate) struct ListOfInstallation {
    /// The filter.
    pub(crate) filter: EventFilter,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// Which entries of an account.
#[derive(Debug)]
pub(crate) struct ListOfUser {
    /// The user.
    pub(crate) user_id: Uuid,
    /// The filter.
    pub(crate) filter: EventFilter,
    /// Which page.
    pub(crate) page: PageRequest,
}

/// Asks whether the record of an account is whole.
#[derive(Debug)]
pub(crate) struct VerifyUser {
    /// The user.
    pub(crate) user_id: Uuid,
    /// An entry that the caller has kept outside.
    pub(crate) known: Option<Anchor>,
}

/// Asks whether the record is whole.
#[derive(Debug)]
pub(crate) struct Verify {
    /// The organization.
    pub(crate) organization_id: Uuid,
    /// An entry that the caller has kept outside.
    pub(crate) known: Option<Anchor>,
}

/// What a verification found.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The organization, the user, or the nil id of the installation.
    pub(crate) stream_id: Uuid,
    /// The last whole entry.
    pub(crate) last: Anchor,
    /// The revision of the entry that the head was sealed at; 0 where it has no seal, or one whose key is not in the list any more.
    pub(crate) sealed: i64,
    /// Where the record is broken first; `None`: it is whole.
    pub(crate) broken: Option<Break>,
}

/// Recomputes the chain of an organization, a batch at a time. What is recorded meanwhile is left to the next verification.
///
/// # Errors
/// Those of [`access::enter`].
pub(crate) async fn verify(app: &App, ctx: &Ctx, question: Verify) -> Result<Verified> {
    // The newest entry first: whatever is there now, the organization's row, which is read after it, knows of.
    let newest = app.store.read().newest_event(question.organization_id).await?;
    // Not by what is in memory, and over before the walk begins: a long one must not keep a transaction open.
    let organization = {
        let now = app.store.snapshot().await?;
        access::enter_at(app, ctx, &now, question.organization_id).await?.organization
    };
    let end = Anchor { revision: organization.revision, hash: organization.chain_hash };
    let head = Head { stream_id: organization.id, end, seal: organization.chain_seal, newest };
    walk(app, &head, question.known).await
}

/// The same for an account.
///
/// # Errors
/// `USER_NOT_FOUND`.
pub(crate) async fn verify_user(app: &App, ctx: &Ctx, question: VerifyUser) -> Result<Verified> {
    let user = existing(app, ctx, question.user_id).await?;
    verify_stream(app, user, question.known).await
}

/// The same for the installation.
///
/// # Errors
/// The database's.
pub(crate) async fn verify_installation(app: &App, known: Option<Anchor>) -> Result<Verified> {
    verify_stream(app, INSTALLATION, known).await
}

async fn verify_stream(app: &App, stream: Uuid, known: Option<Anchor>) -> Result<Verified> {
    let newest = app.store.read().newest_event(stream).await?;
    let head = app.store.read().stream_head(stream).await?;
    let end = Anchor { revision: head.revision, hash: head.chain_hash };
    walk(app, &Head { stream_id: stream, end, seal: head.chain_seal, newest }, known).await
}

/// What a stream's head says, and the newest entry there is.
struct Head {
    stream_id: Uuid,
    end: Anchor,
    seal: Option<Vec<u8>>,
    newest: i64,
}

async fn walk(app: &App, head: &Head, known: Option<Anchor>) -> Result<Verified> {
    let seal = head.seal.as_deref().and_then(Seal::read);
    let mut verification = Verification::begin(CHAIN_START.to_vec(), known, seal.map(|seal| seal.revision));
    let mut sealed = 0;
    let broken = match first_break(app, head, seal, &mut verification, &mut sealed).await? {
        None if seal.is_none() && seal_was_taken_away(app, head).await? => Some(verification.without_seal()),
        broken => broken,
    };
    Ok(Verified { stream_id: head.stream_id, last: verification.verified().clone(), sealed, broken })
}

/// Whether a head without a seal had one: all have been sealed since the installation's is.
async fn seal_was_taken_away(app: &App, head: &Head) -> Result<bool> {
    let begun = head.end.revision > 0 && head.stream_id != INSTALLATION;
    Ok(begun && app.store.read().stream_head(INSTALLATION).await?.chain_seal.is_some())
}

async fn first_break(
    app: &App,
    head: &Head,
    seal: Option<Seal<'_>>,
    verification: &mut Verification,
    sealed: &mut i64,
) -> Result<Option<Break>> {
    loop {
        let after = verification.verified().revision;
        let mut rows = app.store.read().events_after(head.stream_id, after, BATCH).await?;
        rows.retain(|row| row.revision <= head.end.revision);
        if rows.is_empty() {
            return Ok(verification.finish(&head.end, head.newest).err());
        }
        for row in rows {
            let computed = event_hash(&verification.verified().hash, &row);
            let entry = audit::Entry {
                revision: row.revision,
                kind: &row.kind,
                data: &row.data,
                stored: &row.hash,
                computed: &computed,
            };
            if let Err(broken) = verification.take(&entry) {
                return Ok(Some(broken));
            }
            // A seal of a key that is not in the list any more says nothing.
            if let Some(seal) = seal.filter(|_| verification.at_seal())
                && let Ok(holds) = seal.holds(&app.keyring, head.stream_id, &row.hash)
            {
                if let Err(broken) = verification.take_seal(holds) {
                    return Ok(Some(broken));
                }
                *sealed = seal.revision;
            }
        }
    }
}

fn entry(event: EventRecord, names: &Names) -> Entry {
    let user_name = |id: Uuid| names.users.get(&id).map(User::effective_display_name);
    let actor_name = match (event.actor_user_id, event.actor_service_account_id) {
        (Some(user), _) => user_name(user),
        (None, Some(service)) => names.service_accounts.get(&service).cloned(),
        (None, None) => None,
    };
    let subject_user_id = match event.kind.as_str() {
        "invitation.accepted" => event.actor_user_id,
        _ => event.subject_id.filter(|id| names.users.contains_key(id)),
    };
    let (before, after) = sides(&event.data);
    let text = |side: &Option<Value>, name: &str| Some(side.as_ref()?.get(name)?.as_str()?.to_owned());
    let named = |side: &Option<Value>| {
        // A key is called as its account is, with what it is recognized by.
        let account =
            text(side, "service_account_id").and_then(|id| names.service_accounts.get(&id.parse().ok()?).cloned());
        let key = account.zip(text(side, "hint")).map(|(account, hint)| format!("{account} ({hint})"));
        text(side, "display_name").or(key).or_else(|| text(side, "access_model"))
    };
    let known = event.subject_id.and_then(|id| {
        let called = || names.invitations.get(&id).or_else(|| names.service_accounts.get(&id)).cloned();
        user_name(id).or_else(called)
    });
    // What has no row of its own, or none any more, is called as it was when it was there.
    let subject_name = known.or_else(|| named(&after)).or_else(|| named(&before));
    Entry { event, actor_name, subject_user_id, subject_name, before, after }
}

/// What was there before, and what is there since. An event that tells of one side only tells what is there since.
pub(crate) fn sides(data: &str) -> (Option<Value>, Option<Value>) {
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    let side = |name: &str| data.get(name).filter(|value| !value.is_null()).cloned();
    match (side("before"), side("after")) {
        (None, None) => (None, data.as_object().filter(|object| !object.is_empty()).map(|_| data.clone())),
        sides => sides,
    }
}

/// The place in a list that is sorted by revision.
fn by_revision(revision: i64) -> Cursor {
    Cursor { key: Vec::new(), id: Uuid::from_u64_pair(0, u64::try_from(revision).unwrap_or(0)) }
}

fn revision_of(cursor: &Cursor) -> i64 {
    i64::try_from(cursor.id.as_u64_pair().1).unwrap_or(i64::MAX)
}
