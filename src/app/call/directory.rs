//! The directory: what authentication and checks read, in memory, and as exact as the database.
//!
//! An entry is loaded when it is asked for, and is good until the log tells of a change of what it was read from. A call first makes sure that the log has been read since it arrived
//! ([`Directory::confirm`]); what is then still there is as good as if the database had been asked. Nothing is kept of what is not there.

mod confirmation;
mod marks;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};

use opentelemetry::{global, metrics::Counter};
use quick_cache::{Weighter, sync::Cache};
use uuid::Uuid;

use self::{confirmation::Confirmation, marks::Marks};
use crate::{
    app::{App, call::error::Result},
    domain::access_model::AccessModel,
    store::{KeyHolder, Member, Organization, SessionHolder, Store, User},
};

/// Entries that room is made for at first; what bounds the directory are its bytes.
const EXPECTED_ENTRIES: usize = 10_000;
/// Bytes that an entry takes beside what its value says: the key, what the cache notes of it, and its allocation.
const ENTRY: usize = 160;

/// An organization, and what its roles may do.
#[derive(Debug)]
pub(crate) struct KnownOrganization {
    /// The organization.
    pub(crate) organization: Organization,
    /// Its access model, its own roles laid over it.
    pub(crate) model: Arc<AccessModel>,
}

/// A user's place in an organization.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    /// The organization.
    pub(crate) organization: Arc<KnownOrganization>,
    /// The membership; `None` for who has none, or whose account is out of use.
    pub(crate) member: Option<Arc<Member>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// The digest of a service key's token.
    ServiceKey([u8; 32]),
    /// The digest of a session's token.
    Session([u8; 32]),
    User(Uuid),
    Organization(Uuid),
    Member(Uuid, Uuid),
}

#[derive(Debug, Clone)]
enum Value {
    ServiceKey(Arc<KeyHolder>),
    Session(Arc<SessionHolder>),
    User(Arc<User>),
    Organization(Arc<KnownOrganization>),
    Member(Arc<Member>),
}

#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    /// How far the log had been applied when loading it began: whatever is applied later may be a change that the load has missed.
    loaded: u64,
}

/// What the entry of a value takes, about, in bytes.
#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, _key: &Key, entry: &Entry) -> u64 {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let user = |user: &User| {
            size_of::<User>()
                + user.email.len() * 2
                + user.given_name.len()
                + user.family_name.len()
                + text(&user.display_name)
        };
        let value = match &entry.value {
            Value::ServiceKey(holder) => size_of::<KeyHolder>() + holder.account.display_name.len() + 512,
            Value::Session(holder) => {
                size_of::<SessionHolder>() + user(&holder.user) + text(&holder.session.user_agent)
            }
            Value::User(found) => user(found),
            // Models with own roles are bounded where they are kept.
            Value::Organization(known) => size_of::<KnownOrganization>() + known.organization.display_name.len(),
            Value::Member(member) => size_of::<Member>() + member.sort_key.len() + 64,
        };
        (ENTRY + value) as u64
    }
}

/// What has been read, and how far the log has been.
struct Kept {
    cache: Cache<Key, Entry, Bytes>,
    marks: RwLock<Marks>,
    hits: Counter<u64>,
    loads: Counter<u64>,
}

impl Kept {
    fn new(bytes: u64) -> Self {
        let counter = |name: &'static str, description: &'static str| {
            global::meter("roster").u64_counter(name).with_description(description).build()
        };
        Self {
            cache: Cache::with_weighter(EXPECTED_ENTRIES, bytes, Bytes),
            marks: RwLock::default(),
            hits: counter("roster.directory.hits", "What authentication and checks found in memory."),
            loads: counter(
                "roster.directory.loads",
                "What they read from the database, because it was not there or had changed.",
            ),
        }
    }

    /// The values of these keys, if all are there and good at one moment.
    fn find<const N: usize>(&self, keys: [Key; N]) -> Option<[Value; N]> {
        let entries = keys.map(|key| self.cache.get(&key).map(|entry| (key, entry)));
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        let good = entries.iter().flatten().filter(|(key, entry)| marks.good(key, entry)).count();
        drop(marks);
        if good < N {
            return None;
        }
        self.hits.add(N as u64, &[]);
        let mut values = entries.into_iter().flatten().map(|(_, entry)| entry.value);
        let values: Vec<Value> = values.by_ref().collect();
        values.try_into().ok()
    }

    /// How far the log has been applied: to be asked before something is loaded.
    fn applied(&self) -> u64 {
        self.loads.add(1, &[]);
        self.marks.read().unwrap_or_else(PoisonError::into_inner).applied()
    }

    fn keep(&self, key: Key, value: Value, loaded: u64) {
        self.cache.insert(key, Entry { value, loaded });
    }

    fn change(&self, change: impl FnOnce(&mut Marks)) {
        change(&mut self.marks.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The directory of one process; every call asks the database where it is switched off.
pub(crate) struct Directory(Option<(Arc<Kept>, Confirmation)>);

impl Directory {
    /// Keeps up to so many bytes; with 0 it is switched off.
    pub(crate) fn new(store: &Arc<Store>, bytes: u64) -> Self {
        Self((bytes > 0).then(|| {
            let kept = Arc::new(Kept::new(bytes));
            let confirmation = Confirmation::start(store.clone(), kept.clone());
            (kept, confirmation)
        }))
    }

    fn kept(&self) -> Option<&Kept> {
        self.0.as_ref().map(|(kept, _)| kept.as_ref())
    }

    /// Makes sure that whatever was committed before now counts in what is found afterwards.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn confirm(&self) -> Result<()> {
        match &self.0 {
            Some((_, confirmation)) => confirmation.wait().await,
            None => Ok(()),
        }
    }

    /// The key that a token's digest belongs to, valid or not.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn service_key(&self, store: &Store, digest: [u8; 32]) -> Result<Option<Arc<KeyHolder>>> {
        let key = Key::ServiceKey(digest);
        if let Some([Value::ServiceKey(holder)]) = self.kept().and_then(|kept| kept.find([key])) {
            return Ok(Some(holder));
        }
        let applied = self.kept().map(Kept::applied);
        let found = store.read().key_by_token(&digest).await?.map(Arc::new);
        self.keep(key, found.clone().map(Value::ServiceKey), applied);
        Ok(found)
    }

    /// The session that a token's digest belongs to, live or not, and its user. `anew` asks the database: what is kept does not know that a session was used elsewhere.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn session(
        &self,
        store: &Store,
        digest: [u8; 32],
        anew: bool,
    ) -> Result<Option<Arc<SessionHolder>>> {
        let key = Key::Session(digest);
        let kept = self.kept().filter(|_| !anew);
        if let Some([Value::Session(holder)]) = kept.and_then(|kept| kept.find([key])) {
            return Ok(Some(holder));
        }
        let applied = self.kept().map(Kept::applied);
        let found = store.read().session_by_token(&digest).await?.map(Arc::new);
        self.keep(key, found.clone().map(Value::Session), applied);
        Ok(found)
    }

    /// A user.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn user(&self, store: &Store, id: Uuid) -> Result<Option<Arc<User>>> {
        let key = Key::User(id);
        if let Some([Value::User(user)]) = self.kept().and_then(|kept| kept.find([key])) {
            return Ok(Some(user));
        }
        let applied = self.kept().map(Kept::applied);
        let found = store.read().user(id).await?.map(Arc::new);
        self.keep(key, found.clone().map(Value::User), applied);
        Ok(found)
    }

    /// A user's place in an organization, if it is in memory.
    pub(crate) fn known_seat(&self, organization: Uuid, user: Uuid) -> Option<Seat> {
        let keys = [Key::Organization(organization), Key::Member(organization, user)];
        match self.kept()?.find(keys)? {
            [Value::Organization(organization), Value::Member(member)] => {
                Some(Seat { organization, member: Some(member) })
            }
            _ => None,
        }
    }

    /// A user's place in an organization; `None` where there is no such organization.
    ///
    /// # Errors
    /// The database's; internal where the organization's access model is not loaded.
    pub(crate) async fn seat(&self, app: &App, organization: Uuid, user: Uuid) -> Result<Option<Seat>> {
        if let Some(seat) = self.known_seat(organization, user) {
            return Ok(Some(seat));
        }
        let loading = self.loading();
        let found = app.store.read().organization_and_member(organization, user).await?;
        found.map(|(organization, member)| self.seat_of(app, organization, member, loading)).transpose()
    }

    /// Places of users in organizations, those that are not in memory read at one moment: an answer has to be that of the revision beside it.
    ///
    /// # Errors
    /// As [`Self::seat`].
    pub(crate) async fn seats(&self, app: &App, pairs: BTreeSet<(Uuid, Uuid)>) -> Result<BTreeMap<(Uuid, Uuid), Seat>> {
        let mut seats = BTreeMap::new();
        let mut missing = BTreeSet::new();
        for pair in pairs {
            match self.known_seat(pair.0, pair.1) {
                Some(seat) => drop(seats.insert(pair, seat)),
                None => drop(missing.insert(pair)),
            }
        }
        if !missing.is_empty() {
            let loading = self.loading();
            for (pair, (organization, member)) in app.store.snapshot().await?.seats(&missing).await? {
                seats.insert(pair, self.seat_of(app, organization, member, loading)?);
            }
        }
        Ok(seats)
    }

    /// Users who exist, those that are not in memory by one statement.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn users(&self, store: &Store, ids: BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, Arc<User>>> {
        let mut users = BTreeMap::new();
        let mut missing = Vec::new();
        for id in ids {
            match self.kept().and_then(|kept| kept.find([Key::User(id)])) {
                Some([Value::User(user)]) => drop(users.insert(id, user)),
                _ => missing.push(id),
            }
        }
        if !missing.is_empty() {
            let applied = self.kept().map(Kept::applied);
            for user in store.read().users_by_id(&missing).await? {
                let (id, user) = (user.id, Arc::new(user));
                self.keep(Key::User(id), Some(Value::User(user.clone())), applied);
                users.insert(id, user);
            }
        }
        Ok(users)
    }

    /// What [`Self::seat_of`] has to be told of the moment before something was loaded.
    pub(crate) fn loading(&self) -> Loading {
        Loading(self.kept().map(Kept::applied))
    }

    /// Keeps a place that was just read, by one statement or at one moment.
    ///
    /// # Errors
    /// Internal where the organization's access model is not loaded.
    pub(crate) fn seat_of(
        &self,
        app: &App,
        organization: Organization,
        member: Option<Member>,
        Loading(applied): Loading,
    ) -> Result<Seat> {
        let model = app.model_of(&organization)?;
        let id = organization.id;
        let organization = Arc::new(KnownOrganization { organization, model });
        let member = member.map(Arc::new);
        self.keep(Key::Organization(id), Some(Value::Organization(organization.clone())), applied);
        if let Some(member) = &member {
            self.keep(Key::Member(id, member.user_id), Some(Value::Member(member.clone())), applied);
        }
        Ok(Seat { organization, member })
    }

    fn keep(&self, key: Key, value: Option<Value>, applied: Option<u64>) {
        if let (Some(kept), Some(value), Some(applied)) = (self.kept(), value, applied) {
            kept.keep(key, value, applied);
        }
    }
}

/// How far the log had been applied before something was loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loading(Option<u64>);
