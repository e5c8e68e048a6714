//! The directory: what authentication and checks read, in memory, and as exact as the database.
//!
//! An entry is loaded when it is asked for, and is good until the log tells of a change of what it was read from. A call first makes sure that the log has been read since it arrived
//! ([`Directory::confirm`]); what is then still there is as good as if the database had been asked. Nothing is kept of what is not there.

mod confirmation;
mod entries;
mod kept;
mod marks;
mod metrics;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use uuid::Uuid;

pub(crate) use self::entries::KnownOrganization;
use self::{
    confirmation::Confirmation,
    entries::{Key, Value},
    kept::Kept,
};
use crate::{
    app::{
        App,
        call::{error::Result, models::LoadedModels},
    },
    store::{KeyHolder, Member, Organization, SessionHolder, Store, User},
};

/// What an answer has to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Freshness {
    /// Everything that was committed before the call arrived.
    #[default]
    Full,
    /// What made this revision of the organization that is asked about. Everything else: as for [`Freshness::Recent`].
    Revision(i64),
    /// Everything that was committed until a second before the call arrived.
    Recent,
}

/// A user's place in an organization.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    /// The organization.
    pub(crate) organization: Arc<KnownOrganization>,
    /// The membership; `None` for who has none, or whose account is out of use.
    pub(crate) member: Option<Arc<Member>>,
}

/// The directory of one process; every call asks the database where it is switched off.
pub(crate) struct Directory {
    on: Option<(Arc<Kept>, Confirmation)>,
    store: Arc<Store>,
    models: Arc<LoadedModels>,
}

impl Directory {
    /// Keeps up to so many bytes; with 0 it is switched off.
    pub(crate) fn new(store: &Arc<Store>, models: &Arc<LoadedModels>, bytes: u64) -> Self {
        let (store, models) = (store.clone(), models.clone());
        let on = (bytes > 0).then(|| {
            let kept = Arc::new(Kept::new(bytes));
            let confirmation = Confirmation::new(store.clone(), models.clone(), kept.clone());
            (kept, confirmation)
        });
        Self { on, store, models }
    }

    fn kept(&self) -> Option<&Kept> {
        self.on.as_ref().map(|(kept, _)| kept.as_ref())
    }

    /// Notes for operators how large it is, and how old what it knows.
    pub(crate) fn measure(&self) {
        if let Some((kept, confirmation)) = &self.on {
            kept.measure(confirmation.age());
        }
    }

    /// Makes sure that whatever was committed before now counts in what is found afterwards, or what was a second ago.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn confirm(&self, freshness: Freshness) -> Result<()> {
        match (&self.on, freshness) {
            (Some((_, confirmation)), Freshness::Full) => confirmation.wait().await,
            (Some((_, confirmation)), Freshness::Revision(_) | Freshness::Recent) => confirmation.wait_recent().await,
            (None, _) => Ok(self.models.catch_up(&self.store).await?),
        }
    }

    /// The key that a token's digest belongs to, valid or not.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn service_key(&self, store: &Store, digest: [u8; 32]) -> Result<Option<Arc<KeyHolder>>> {
        let key = Key::Service(digest);
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
            // Every change of a membership moves the organization's revision: the two are of one state where both were read at the same one. An organization that was read for somebody else may be
            // ahead of what the log has told so far.
            [Value::Organization(organization), Value::Member(member, revision)]
                if organization.organization.revision == revision =>
            {
                Some(Seat { organization, member: Some(member) })
            }
            _ => None,
        }
    }

    /// The same, as fresh as the call asks for.
    async fn fresh_seat(&self, freshness: Freshness, organization: Uuid, user: Uuid) -> Result<Option<Seat>> {
        let known = self.known_seat(organization, user);
        match freshness {
            Freshness::Full | Freshness::Recent => Ok(known),
            Freshness::Revision(least)
                if known.as_ref().is_some_and(|seat| seat.organization.organization.revision >= least) =>
            {
                Ok(known)
            }
            Freshness::Revision(_) => {
                self.confirm(Freshness::Full).await?;
                Ok(self.known_seat(organization, user))
            }
        }
    }

    /// A user's place in an organization; `None` where there is no such organization.
    ///
    /// # Errors
    /// The database's; internal where the organization's access model is not loaded.
    pub(crate) async fn seat(
        &self,
        app: &App,
        freshness: Freshness,
        organization: Uuid,
        user: Uuid,
    ) -> Result<Option<Seat>> {
        if let Some(seat) = self.fresh_seat(freshness, organization, user).await? {
            return Ok(Some(seat));
        }
        let loading = self.loading();
        let found = app.store.read().organization_and_member(organization, user).await?;
        found.map(|(organization, member)| self.seat_of(app, organization, member, loading)).transpose()
    }

    /// An organization, and the place in it of the user who asks, where it is a user; `None` where there is no such organization.
    ///
    /// # Errors
    /// As [`Self::seat`].
    pub(crate) async fn entrance(
        &self,
        app: &App,
        freshness: Freshness,
        organization: Uuid,
        user: Option<Uuid>,
    ) -> Result<Option<Seat>> {
        if let Some(user) = user {
            return self.seat(app, freshness, organization, user).await;
        }
        if let Some([Value::Organization(organization)]) =
            self.kept().and_then(|kept| kept.find([Key::Organization(organization)]))
        {
            return Ok(Some(Seat { organization, member: None }));
        }
        let loading = self.loading();
        let found = app.store.read().entrance(organization, None).await?;
        found.map(|(organization, member)| self.seat_of(app, organization, member, loading)).transpose()
    }

    /// Places of users in organizations, those that are not in memory read at one moment: an answer has to be that of the revision beside it.
    ///
    /// # Errors
    /// As [`Self::seat`].
    pub(crate) async fn seats(
        &self,
        app: &App,
        freshness: Freshness,
        pairs: BTreeSet<(Uuid, Uuid)>,
    ) -> Result<BTreeMap<(Uuid, Uuid), Seat>> {
        let mut seats = BTreeMap::new();
        let mut missing = BTreeSet::new();
        for pair in pairs {
            match self.fresh_seat(freshness, pair.0, pair.1).await? {
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
        let (id, revision) = (organization.id, organization.revision);
        let organization = Arc::new(KnownOrganization { organization, model });
        let member = member.map(Arc::new);
        self.keep(Key::Organization(id), Some(Value::Organization(organization.clone())), applied);
        if let Some(member) = &member {
            self.keep(Key::Member(id, member.user_id), Some(Value::Member(member.clone(), revision)), applied);
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
