//! What members did, as services report it: which of it counts, and what it adds up to.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// How long the id of a report is kept, in days: a report that is repeated later counts twice.
pub const REMEMBERED_DAYS: i64 = 30;

/// A member: the organization and the user.
pub type MemberKey = (Uuid, Uuid);

/// What a service reports that a member did once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The id that the service gave it.
    pub id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// The user.
    pub user_id: Uuid,
    /// When it was done.
    pub time: DateTime<Utc>,
    /// What was done, by id; `None`: the member was active, and nothing is listed.
    pub action: Option<String>,
    /// The same for people.
    pub summary: Option<String>,
    /// Counters, and by how much they grow.
    pub counters: Vec<(String, i64)>,
}

impl Report {
    /// Who did it, and where.
    pub fn member(&self) -> MemberKey {
        (self.organization_id, self.user_id)
    }
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportOutcome {
    /// It counts.
    Accepted,
    /// One of this id was taken before.
    Duplicate,
    /// The user neither is nor was a member.
    NotAMember,
}

/// The ids to remember: those of reports about members.
pub fn acceptable(reports: &[Report], members: &BTreeSet<MemberKey>) -> BTreeSet<Uuid> {
    reports.iter().filter(|report| members.contains(&report.member())).map(|report| report.id).collect()
}

/// What becomes of each report, in order. `fresh` are the acceptable ids that had not been taken before: the first report of each counts.
pub fn outcomes(reports: &[Report], members: &BTreeSet<MemberKey>, mut fresh: BTreeSet<Uuid>) -> Vec<ReportOutcome> {
    let outcome = |report: &Report| match members.contains(&report.member()) {
        false => ReportOutcome::NotAMember,
        true if fresh.remove(&report.id) => ReportOutcome::Accepted,
        true => ReportOutcome::Duplicate,
    };
    reports.iter().map(outcome).collect()
}

/// What several reports add up to: one row for each member and each counter, in the order in which everybody writes them, so that no two writers wait for
/// each other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// When each member was last active.
    pub last_active: BTreeMap<MemberKey, DateTime<Utc>>,
    /// By how much each counter grows.
    pub counters: BTreeMap<(Uuid, Uuid, String), i64>,
}

impl Tally {
    /// Adds up.
    pub fn of<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Self {
        let mut tally = Self::default();
        for report in reports {
            let last = tally.last_active.entry(report.member()).or_insert(report.time);
            *last = (*last).max(report.time);
            for (name, increment) in &report.counters {
                let counter = (report.organization_id, report.user_id, name.clone());
                let sum = tally.counters.entry(counter).or_insert(0);
                *sum = sum.saturating_add(*increment);
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: u128, user: u128, seconds: i64, counters: &[(&str, i64)]) -> Report {
        Report {
            id: Uuid::from_u128(id),
            organization_id: Uuid::nil(),
            user_id: Uuid::from_u128(user),
            time: DateTime::from_timestamp(seconds, 0).unwrap(),
            action: None,
            summary: None,
            counters: counters.iter().map(|(name, by)| ((*name).to_owned(), *by)).collect(),
        }
    }

    #[test]
    fn the_first_report_of_an_id_counts_and_strangers_are_not_remembered() {
        let reports = [report(1, 7, 0, &[]), report(2, 8, 0, &[]), report(1, 7, 5, &[]), report(3, 7, 0, &[])];
        let members: BTreeSet<MemberKey> = [(Uuid::nil(), Uuid::from_u128(7))].into();
        let ids = acceptable(&reports, &members);
        assert_eq!(ids, [1, 3].map(Uuid::from_u128).into());
        // The store says that 3 was taken before.
        let fresh = [Uuid::from_u128(1)].into();
        use ReportOutcome::*;
        assert_eq!(outcomes(&reports, &members, fresh), [Accepted, NotAMember, Duplicate, Duplicate]);
    }

    #[test]
    fn reports_of_one_member_add_up_to_one_row_each() {
        let reports = [
            report(1, 7, 20, &[("imports", 2), ("audits", 1)]),
            report(2, 7, 10, &[("imports", 3), ("imports", 1)]),
            report(3, 8, 5, &[("imports", i64::MAX), ("imports", 1)]),
        ];
        let tally = Tally::of(&reports);
        let sums: Vec<i64> = tally.counters.values().copied().collect();
        assert_eq!(sums, [1, 6, i64::MAX]);
        let last: Vec<i64> = tally.last_active.values().map(DateTime::timestamp).collect();
        assert_eq!(last, [20, 5]);
    }
}
