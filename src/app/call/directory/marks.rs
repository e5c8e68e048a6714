//! What the log has told of changes since entries were loaded.

use std::collections::HashMap;

use uuid::Uuid;

use super::entries::{Entry, Key, Value};
use crate::{
    app::call::models,
    domain::stream::{INSTALLATION, StreamKind},
    store::EventRecord,
};

/// Changes that are remembered one by one. With more, everything that was loaded before counts as changed.
const MOST: usize = 200_000;
/// Events of the installation that change what is in other streams, too.
const EVERYTHING: [&str; 2] = ["installation.restored", models::PUT];

/// When what was changed last, counted in steps of the log. An entry is good that was loaded after every change of what it was read from.
#[derive(Debug, Default)]
pub(super) struct Marks {
    applied: u64,
    /// What was loaded before this counts as changed.
    floor: u64,
    /// Organizations, users and the installation.
    streams: HashMap<Uuid, u64>,
}

impl Marks {
    /// How many steps of the log have been applied.
    pub(super) fn applied(&self) -> u64 {
        self.applied
    }

    /// Whether nothing has changed that the entry was read from. A membership is looked at together with its organization.
    pub(super) fn good(&self, key: &Key, entry: &Entry) -> bool {
        let stream = |id: &Uuid| self.streams.get(id).is_none_or(|changed| *changed <= entry.loaded);
        entry.loaded >= self.floor
            && match (key, &entry.value) {
                (Key::Service(_), _) => stream(&INSTALLATION),
                (Key::Session(_), Value::Session(holder)) => stream(&holder.user.id),
                (Key::User(id) | Key::Organization(id), _) => stream(id),
                (Key::Member(..), _) => true,
                (Key::Session(_), _) => false,
            }
    }

    /// Takes a step of the log.
    pub(super) fn apply(&mut self, events: &[EventRecord]) {
        self.applied += 1;
        for event in events {
            self.streams.insert(event.stream_id, self.applied);
            // What `after-restore` has ended is told by this one event, and whose rights another access model changes by that one.
            if event.stream == StreamKind::Installation && EVERYTHING.contains(&event.kind.as_str()) {
                self.floor = self.applied;
            }
        }
        if self.streams.len() > MOST {
            self.forget();
        }
    }

    /// Everything that was loaded until now counts as changed.
    pub(super) fn forget(&mut self) {
        *self = Self { applied: self.applied + 1, floor: self.applied + 1, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::*;
    use crate::{
        domain::scope::Scopes,
        platform::clock::Stopwatch,
        store::{KeyHolder, ServiceAccount, ServiceKey},
    };

    const USER: Uuid = Uuid::from_u128(2);

    fn event(stream: StreamKind, stream_id: Uuid, kind: &str) -> EventRecord {
        EventRecord {
            stream_id,
            revision: 1,
            stream,
            kind: kind.to_owned(),
            actor_user_id: None,
            actor_service_account_id: None,
            subject_id: None,
            data: "{}".to_owned(),
            hash: Vec::new(),
            create_time: DateTime::UNIX_EPOCH,
        }
    }

    /// Whether what was loaded after so many steps is good by now.
    fn good(marks: &Marks, key: Key, loaded: u64) -> bool {
        let holder = KeyHolder {
            key: ServiceKey {
                id: Uuid::nil(),
                service_account_id: Uuid::nil(),
                token_digest: Vec::new(),
                hint: String::new(),
                create_time: DateTime::UNIX_EPOCH,
                expire_time: None,
                revoke_time: None,
            },
            account: ServiceAccount {
                id: Uuid::nil(),
                display_name: String::new(),
                scopes: Scopes::default(),
                disabled: false,
                create_time: DateTime::UNIX_EPOCH,
                organizations: None,
            },
        };
        marks.good(&key, &Entry { value: Value::ServiceKey(Arc::new(holder)), loaded, kept: Stopwatch::start() })
    }

    #[test]
    fn what_was_loaded_before_a_change_is_not_good_after_it() {
        let mut marks = Marks::default();
        assert!(good(&marks, Key::User(USER), 0));
        // A load that begins now and ends after the next step has missed what the step tells.
        let begun = marks.applied();
        marks.apply(&[event(StreamKind::User, USER, "user.suspended")]);
        assert!(!good(&marks, Key::User(USER), begun));
        assert!(good(&marks, Key::User(USER), marks.applied()));
        assert!(good(&marks, Key::Organization(Uuid::from_u128(1)), begun));
    }

    #[test]
    fn keys_are_good_until_something_happens_to_any() {
        let mut marks = Marks::default();
        let key = Key::Service([0; 32]);
        marks.apply(&[event(StreamKind::User, USER, "user.suspended")]);
        assert!(good(&marks, key, 0));
        marks.apply(&[event(StreamKind::Installation, INSTALLATION, "service_key.revoked")]);
        assert!(!good(&marks, key, 1) && good(&marks, key, 2));
        marks.apply(&[event(StreamKind::Installation, INSTALLATION, "installation.restored")]);
        assert!(!good(&marks, Key::User(Uuid::from_u128(9)), 2) && good(&marks, key, 3));
    }

    #[test]
    fn with_too_many_changes_everything_counts_as_changed() {
        let mut marks = Marks::default();
        let many: Vec<EventRecord> = (10..10 + MOST as u128 + 1)
            .map(|id| event(StreamKind::User, Uuid::from_u128(id), "user.updated"))
            .collect();
        marks.apply(&many);
        assert!(marks.streams.is_empty());
        let key = Key::User(USER);
        assert!(!good(&marks, key, 0) && good(&marks, key, marks.applied()));
    }
}
