//! What is kept, and how much room it takes.

use std::{sync::Arc, time::Duration};

use quick_cache::Weighter;
use uuid::Uuid;

use crate::{
    domain::{access_model::AccessModel, attributes::Attributes},
    platform::clock::Stopwatch,
    store::{KeyHolder, Member, Organization, SessionHolder, User},
};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The digest of a service key's token.
    Service([u8; 32]),
    /// The digest of a session's token.
    Session([u8; 32]),
    User(Uuid),
    Organization(Uuid),
    Member(Uuid, Uuid),
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    ServiceKey(Arc<KeyHolder>),
    Session(Arc<SessionHolder>),
    User(Arc<User>),
    Organization(Arc<KnownOrganization>),
    /// With the revision of the organization when the membership was read.
    Member(Arc<Member>, i64),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// How far the log had been applied when loading it began: whatever is applied later may be a change that the load has missed.
    pub(super) loaded: u64,
    /// Since when it has been kept.
    pub(super) kept: Stopwatch,
}

/// How long keys, sessions and users are kept without being read anew. The version before ended sessions without an event: while it is being replaced, what it ends is gone after this time.
const LONGEST: Duration = Duration::from_secs(60);

impl Entry {
    /// Whether it has been kept for as long as one of its kind may be.
    pub(super) fn outlived(&self) -> bool {
        match self.value {
            Value::ServiceKey(_) | Value::Session(_) | Value::User(_) => self.kept.elapsed() >= LONGEST,
            Value::Organization(_) | Value::Member(..) => false,
        }
    }
}

/// What the entry of a value takes, about, in bytes.
#[derive(Clone)]
pub(super) struct Bytes;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, _key: &Key, entry: &Entry) -> u64 {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let attributes = |kept: &Option<Attributes>| kept.as_ref().map_or(0, Attributes::size);
        let user = |user: &User| {
            size_of::<User>()
                + user.email.len() * 2
                + user.given_name.len()
                + user.family_name.len()
                + text(&user.display_name)
                + attributes(&user.attributes)
        };
        let value = match &entry.value {
            Value::ServiceKey(holder) => size_of::<KeyHolder>() + holder.account.display_name.len() + 512,
            Value::Session(holder) => {
                size_of::<SessionHolder>() + user(&holder.user) + text(&holder.session.user_agent)
            }
            Value::User(found) => user(found),
            // Models with own roles are bounded where they are kept.
            Value::Organization(known) => {
                let organization = &known.organization;
                size_of::<KnownOrganization>() + organization.display_name.len() + attributes(&organization.attributes)
            }
            Value::Member(member, _) => size_of::<Member>() + member.sort_key.len() + 64,
        };
        (ENTRY + value) as u64
    }
}
