//! Holds a history of answers against the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::pb::Event;

/// How old an answer may be that is asked for at `minimize_latency`.
const RECENT: Duration = Duration::from_secs(1);

/// Somebody whose rights change: an admin at first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Subject {
    pub(super) organization_id: String,
    pub(super) user_id: String,
}

/// What an answer had to know of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Full,
    AtLeast(i64),
    Recent,
    /// It was no question but a change.
    Change,
    /// It was one, unless the subject had these roles already.
    Roles,
}

/// An answer: to whom it was about, when it was asked for and came, at which revision, and whether the subject may.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) subject: Subject,
    pub(super) asked: Asked,
    pub(super) begin: Instant,
    pub(super) end: Instant,
    pub(super) revision: i64,
    pub(super) allowed: Option<bool>,
}

/// Who may at which revision, as the log has it.
pub(super) struct Truth(BTreeMap<Subject, BTreeMap<i64, bool>>);

impl Truth {
    /// `subjects` are active admins before anything that counts.
    pub(super) fn read(subjects: &[Subject], events: &[Event]) -> Self {
        let mut rights: BTreeMap<Subject, (bool, bool, BTreeMap<i64, bool>)> =
            subjects.iter().map(|subject| (subject.clone(), (true, true, BTreeMap::from([(0, true)])))).collect();
        for event in events {
            let subject = Subject { organization_id: event.organization_id.clone(), user_id: event.subject_id.clone() };
            let Some((admin, active, history)) = rights.get_mut(&subject) else { continue };
            match event.kind.as_str() {
                "member.suspended" => *active = false,
                "member.activated" => *active = true,
                "member.roles_set" => {
                    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                    *admin = data["after"].to_string().contains("\"admin\"");
                }
                _ => {}
            }
            history.insert(event.revision, *admin && *active);
        }
        Self(rights.into_iter().map(|(subject, (.., history))| (subject, history)).collect())
    }

    fn allows(&self, subject: &Subject, revision: i64) -> bool {
        *self.0[subject].range(..=revision).next_back().unwrap().1
    }
}

/// The largest revision that anybody had been told of before a moment: (moment, largest until then), by moment.
struct Told(Vec<(Instant, i64)>);

impl Told {
    fn of<'a>(answers: impl Iterator<Item = &'a Answer>) -> Self {
        let mut told: Vec<(Instant, i64)> = answers.map(|answer| (answer.end, answer.revision)).collect();
        told.sort_unstable();
        let mut largest = 0;
        for (_, revision) in &mut told {
            largest = largest.max(*revision);
            *revision = largest;
        }
        Self(told)
    }

    fn before(&self, moment: Instant) -> i64 {
        let count = self.0.partition_point(|(end, _)| *end < moment);
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

/// Holds every answer against the log and against each other.
pub(super) fn hold(answers: &[Answer], truth: &Truth) {
    let mut by_organization: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
    for answer in answers {
        by_organization.entry(&answer.subject.organization_id).or_default().push(answer);
    }
    for answers in by_organization.into_values() {
        let told = Told::of(answers.iter().copied());
        let changed = Told::of(answers.iter().copied().filter(|answer| answer.allowed.is_none()));
        for answer in answers {
            if let Some(allowed) = answer.allowed {
                assert_eq!(allowed, truth.allows(&answer.subject, answer.revision), "{answer:?}");
            }
            let least = match answer.asked {
                Asked::Full | Asked::Roles => told.before(answer.begin),
                Asked::Change => told.before(answer.begin) + 1,
                Asked::AtLeast(revision) => revision,
                Asked::Recent => answer.begin.checked_sub(RECENT).map_or(0, |moment| changed.before(moment)),
            };
            assert!(answer.revision >= least, "{answer:?}, and {least} was known before");
        }
    }
}
