//! What the log has told of changes since entries were loaded.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Entry, Key, Value};
use crate::{
    domain::stream::{INSTALLATION, StreamKind},
    store::EventRecord,
};

/// Changes that are remembered one by one. With more, everything that was loaded before counts as changed.
const MOST: usize = 200_000;

/// When what was changed last, counted in steps of the log. An entry is good that was loaded after every change of what it was read from.
#[derive(Debug, Default)]
pub(super) struct Marks {
    applied: u64,
    /// What was loaded before this counts as changed.
    floor: u64,
    /// Organizations, users and the installation.
    streams: HashMap<Uuid, u64>,
    /// Single memberships.
    members: HashMap<(Uuid, Uuid), u64>,
    /// All memberships of an organization at once.
    rosters: HashMap<Uuid, u64>,
}

impl Marks {
    /// How many steps of the log have been applied.
    pub(super) fn applied(&self) -> u64 {
        self.applied
    }

    /// Whether nothing has changed that the entry was read from.
    pub(super) fn good(&self, key: &Key, entry: &Entry) -> bool {
        let unchanged = |changed: Option<&u64>| changed.is_none_or(|changed| *changed <= entry.loaded);
        let stream = |id: &Uuid| unchanged(self.streams.get(id));
        entry.loaded >= self.floor
            && match (key, &entry.value) {
                (Key::ServiceKey(_), _) => stream(&INSTALLATION),
                (Key::Session(_), Value::Session(holder)) => stream(&holder.user.id),
                (Key::User(id) | Key::Organization(id), _) => stream(id),
                (Key::Member(organization, user), _) => {
                    stream(user)
                        && unchanged(self.members.get(&(*organization, *user)))
                        && unchanged(self.rosters.get(organization))
                }
                (Key::Session(_), _) => false,
            }
    }

    /// Takes a step of the log.
    pub(super) fn apply(&mut self, events: &[EventRecord]) {
        self.applied += 1;
        for event in events {
            self.streams.insert(event.stream_id, self.applied);
            match event.stream {
                StreamKind::Organization => self.apply_to_members(event),
                // What `after-restore` has ended is told by this one event.
                StreamKind::Installation if event.kind == "installation.restored" => self.floor = self.applied,
                StreamKind::Installation | StreamKind::User => {}
            }
        }
        if self.streams.len() + self.members.len() + self.rosters.len() > MOST {
            self.forget();
        }
    }

    /// Everything that was loaded until now counts as changed.
    pub(super) fn forget(&mut self) {
        *self = Self { applied: self.applied + 1, floor: self.applied + 1, ..Self::default() };
    }

    /// An event says which membership it changes, or changes none; of what is not known to, every membership of the organization counts as changed.
    fn apply_to_members(&mut self, event: &EventRecord) {
        let organization = event.stream_id;
        let (subject, _) = event.kind.split_once('.').unwrap_or_default();
        let member = match (subject, event.kind.as_str()) {
            (_, "invitation.accepted") => event.actor_user_id,
            ("organization" | "contact" | "invitation", _) => return,
            ("member", _) => event.subject_id,
            _ => None,
        };
        match member {
            Some(user) => self.members.insert((organization, user), self.applied),
            None => self.rosters.insert(organization, self.applied),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::*;
    use crate::store::Member;

    const ORGANIZATION: Uuid = Uuid::from_u128(1);
    const USER: Uuid = Uuid::from_u128(2);
    const OTHER: Uuid = Uuid::from_u128(3);

    fn event(stream: StreamKind, stream_id: Uuid, kind: &str, subject_id: Option<Uuid>) -> EventRecord {
        EventRecord {
            stream_id,
            revision: 1,
            stream,
            kind: kind.to_owned(),
            actor_user_id: Some(OTHER),
            actor_service_account_id: None,
            subject_id,
            data: "{}".to_owned(),
            hash: Vec::new(),
            create_time: DateTime::UNIX_EPOCH,
        }
    }

    fn of_organization(kind: &str, subject: Uuid) -> EventRecord {
        event(StreamKind::Organization, ORGANIZATION, kind, Some(subject))
    }

    fn member() -> Value {
        Value::Member(Arc::new(Member {
            organization_id: ORGANIZATION,
            user_id: USER,
            state: crate::domain::member::MemberState::Active,
            roles: crate::domain::access_model::RoleSet::default(),
            sort_key: Vec::new(),
            invitation_id: None,
            invitation_sent_time: None,
            invitation_accepted_time: None,
            changed_revision: 1,
            create_time: DateTime::UNIX_EPOCH,
            update_time: DateTime::UNIX_EPOCH,
            admit_time: None,
            interrupted_after_sign_in: None,
        }))
    }

    /// Whether a membership that was loaded after so many steps is good by now.
    fn member_good(marks: &Marks, loaded: u64) -> bool {
        marks.good(&Key::Member(ORGANIZATION, USER), &Entry { value: member(), loaded })
    }

    fn good(marks: &Marks, key: Key, loaded: u64) -> bool {
        marks.good(&key, &Entry { value: member(), loaded })
    }

    #[test]
    fn what_was_loaded_before_a_change_is_not_good_after_it() {
        let mut marks = Marks::default();
        assert!(member_good(&marks, 0));
        // A load that begins now and ends after the next step has missed what the step tells.
        let begun = marks.applied();
        marks.apply(&[of_organization("member.suspended", USER)]);
        assert!(!member_good(&marks, begun));
        assert!(member_good(&marks, marks.applied()));
        let begun = marks.applied();
        marks.apply(&[event(StreamKind::User, USER, "user.suspended", Some(USER))]);
        assert!(!member_good(&marks, begun));
        assert!(!good(&marks, Key::User(USER), begun));
    }

    #[test]
    fn a_change_of_one_member_leaves_the_others() {
        let mut marks = Marks::default();
        marks.apply(&[of_organization("member.roles_set", OTHER), of_organization("invitation.accepted", USER)]);
        assert!(member_good(&marks, 0));
        assert!(!good(&marks, Key::Member(ORGANIZATION, OTHER), 0));
        assert!(!good(&marks, Key::Organization(ORGANIZATION), 0));
        for kind in ["organization.updated", "contact.created", "invitation.revoked"] {
            marks.apply(&[of_organization(kind, USER)]);
            assert!(member_good(&marks, 0), "{kind}");
        }
        for kind in ["ownership.transferred", "role.deleted", "something.new", "nothing"] {
            let begun = marks.applied();
            marks.apply(&[of_organization(kind, OTHER)]);
            assert!(!member_good(&marks, begun), "{kind}");
        }
    }

    #[test]
    fn keys_are_good_until_something_happens_to_any() {
        let mut marks = Marks::default();
        let key = Key::ServiceKey([0; 32]);
        marks.apply(&[of_organization("member.suspended", USER)]);
        assert!(good(&marks, key, 0));
        marks.apply(&[event(StreamKind::Installation, INSTALLATION, "service_key.revoked", None)]);
        assert!(!good(&marks, key, 1) && good(&marks, key, 2));
        marks.apply(&[event(StreamKind::Installation, INSTALLATION, "installation.restored", None)]);
        assert!(!member_good(&marks, 2) && member_good(&marks, 3));
    }

    #[test]
    fn with_too_many_changes_everything_counts_as_changed() {
        let mut marks = Marks::default();
        let many: Vec<EventRecord> = (10..10 + MOST as u128 + 1)
            .map(|id| event(StreamKind::User, Uuid::from_u128(id), "user.updated", None))
            .collect();
        marks.apply(&many);
        assert!(marks.streams.is_empty());
        assert!(!member_good(&marks, 0) && member_good(&marks, marks.applied()));
    }
}
