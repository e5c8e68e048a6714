//! Why a check was answered as it was.

use std::fmt::Write as _;

use crate::{
    app::{call::directory::Seat, permissions::denial::Denial},
    domain::{
        access_model::{RoleId, RoleSet},
        member::{self, DenyReason, MembershipFacts},
    },
};

/// Why a check was answered as it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Explanation {
    /// In one sentence, for people.
    pub(crate) summary: String,
    /// The roles that the user holds.
    pub(crate) roles: RoleSet,
    /// Those of them that give the permission.
    pub(crate) granting: Vec<RoleId>,
    /// Every role that gives it, where the caller may know.
    pub(crate) giving: Vec<RoleId>,
    /// Everything that keeps the user from it, in the order in which it counts.
    pub(crate) obstacles: Vec<Denial>,
}

/// Explains what follows from a seat. `giving` are the roles of the organization that give the permission.
pub(super) fn explain(
    permission: &str,
    seat: Option<&Seat>,
    facts: Option<MembershipFacts>,
    giving: Option<Vec<RoleId>>,
) -> Explanation {
    let (Some(Seat { organization: known, member: Some(member) }), Some(facts)) = (seat, facts) else {
        return nobody();
    };
    let mut obstacles: Vec<Denial> = member::obstacles(facts).map(Denial::Denied).collect();
    if obstacles.contains(&Denial::Denied(DenyReason::NotAMember)) {
        return nobody();
    }
    let granting = known.model.granting(&member.roles, permission);
    if granting.is_empty() {
        obstacles.push(Denial::of_missing(&known.model, permission));
    }
    let giving = giving.unwrap_or_default();
    let mut summary = match obstacles.is_empty() {
        true => "ALLOW".to_owned(),
        false => "DENY".to_owned(),
    };
    let _ = match (granting.as_slice(), member.roles.is_empty()) {
        ([], true) => write!(summary, ": the member holds no role"),
        ([], false) => {
            let does = if member.roles.len() == 1 { "does" } else { "do" };
            write!(summary, ": {} {does} not give {permission}", named(member.roles.iter()))
        }
        (granting, _) => write!(summary, ": {permission} comes with {}", named(granting)),
    };
    if granting.is_empty() && !giving.is_empty() {
        let _ = write!(summary, ", which {} would", named(&giving));
    }
    if obstacles.contains(&Denial::Unknown) {
        let _ = write!(summary, "; the access model {} has no such permission", known.model.id());
    }
    for obstacle in &obstacles {
        summary.push_str(said(*obstacle));
    }
    summary.push('.');
    Explanation { summary, roles: member.roles.clone(), granting, giving, obstacles }
}

fn nobody() -> Explanation {
    Explanation {
        summary: "DENY: the user is no member of the organization, or one of the two does not exist.".to_owned(),
        obstacles: vec![Denial::Denied(DenyReason::NotAMember)],
        ..Explanation::default()
    }
}

fn named<'a>(roles: impl IntoIterator<Item = &'a RoleId>) -> String {
    let roles: Vec<&str> = roles.into_iter().map(RoleId::as_str).collect();
    let noun = if roles.len() == 1 { "the role" } else { "the roles" };
    format!("{noun} {}", roles.join(", "))
}

fn said(obstacle: Denial) -> &'static str {
    match obstacle {
        Denial::NotGranted | Denial::Unknown | Denial::Denied(DenyReason::NotAMember) => "",
        Denial::Denied(DenyReason::SessionOutdated) => {
            "; the session is from before the member was removed or suspended: they sign in again"
        }
        Denial::Denied(DenyReason::MemberSuspended) => "; the member is suspended",
        Denial::Denied(DenyReason::MfaRequired) => "; the organization asks for a second factor, and the user has none",
        Denial::Denied(DenyReason::OrganizationSuspended) => "; the organization is suspended",
    }
}
