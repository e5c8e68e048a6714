//! Join links: how far one is, and who may make one, take it back and join by it.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    access_model::{AccessModel, RoleSet},
    authority::{Authority, Owners, Situation, decide_addition, decide_invite},
    email::{EmailAddress, EmailDomain},
    error::{Reason, Refusal},
    invitation::standing,
    member::{Action, MemberState},
};

/// How long a link is good for whose creator names no time.
pub const LIFETIME: Duration = Duration::days(7);

/// What somebody can do whom a link does not let in.
const ANOTHER: &str = "ask for a new link or an invitation";

/// Links of one organization by which people can join, at the most.
pub const MOST_OPEN: u64 = 50;

/// The domains of addresses that may join by a link; none means all. Rest as a list of strings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailDomains(BTreeSet<String>);

impl EmailDomains {
    /// The domains, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether an address may join. A subdomain is a domain of its own: whoever gives one away does not give the other.
    pub fn admit(&self, address: &EmailAddress) -> bool {
        self.0.is_empty() || self.0.contains(address.domain())
    }
}

impl FromIterator<EmailDomain> for EmailDomains {
    fn from_iter<I: IntoIterator<Item = EmailDomain>>(domains: I) -> Self {
        Self(domains.into_iter().map(EmailDomain::into_string).collect())
    }
}

/// How far a link is at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinLinkStatus {
    /// People can join by it.
    Open,
    /// As many people as it is for have joined.
    UsedUp,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl JoinLinkStatus {
    /// Its name in a refusal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::UsedUp => "USED_UP",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
        }
    }
}

/// The facts about a link that decisions rest on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinLink {
    /// The roles that it gives.
    pub roles: RoleSet,
    /// The domains of addresses that may join.
    pub email_domains: EmailDomains,
    /// How many people join by it at the most; `None`: any number.
    pub max_uses: Option<i32>,
    /// How many have.
    pub use_count: i32,
    /// From when on nobody does any more.
    pub expire_time: DateTime<Utc>,
    /// Whether it was taken back.
    pub revoked: bool,
}

impl JoinLink {
    /// How far it is now.
    pub fn status(&self, now: DateTime<Utc>) -> JoinLinkStatus {
        match self {
            _ if self.revoked => JoinLinkStatus::Revoked,
            _ if self.max_uses.is_some_and(|most| self.use_count >= most) => JoinLinkStatus::UsedUp,
            _ if now >= self.expire_time => JoinLinkStatus::Expired,
            _ => JoinLinkStatus::Open,
        }
    }

    /// Whether people can join by it now.
    ///
    /// # Errors
    /// `JOIN_LINK_NOT_OPEN`.
    pub fn open(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        match self.status(now) {
            JoinLinkStatus::Open => Ok(()),
            status => Err(Refusal::new(Reason::JoinLinkNotOpen).with("state", status.as_str()).with("hint", ANOTHER)),
        }
    }
}

/// The roles that a new link gives: what an invitation by the same caller could give, but never the owner role, which would be anybody's who gets hold of the link.
///
/// # Errors
/// Those of [`decide_invite`]; `ROLE_NOT_INVITABLE` for the owner role; `TOO_MANY_JOIN_LINKS`.
pub fn decide_create(situation: &Situation<'_>, requested: &RoleSet, open: u64) -> Result<RoleSet, Refusal> {
    let roles = decide_invite(situation, requested)?;
    let owner = situation.model.owner_role();
    if roles.contains(owner) {
        return Err(Refusal::new(Reason::RoleNotInvitable)
            .with("role", owner.as_str())
            .with("hint", "invite the person by their address"));
    }
    if open >= MOST_OPEN {
        return Err(Refusal::new(Reason::TooManyJoinLinks)
            .with("limit", MOST_OPEN.to_string())
            .with("hint", "revoke a link first"));
    }
    Ok(roles)
}

/// Whether a link may be taken back: by whoever may change a holder of its roles. One that is over otherwise can be, so that it stays over.
///
/// # Errors
/// `PERMISSION_REQUIRED`, `MEMBER_NOT_MANAGEABLE`, `JOIN_LINK_NOT_OPEN` where it was taken back already.
pub fn decide_revoke(situation: &Situation<'_>, link: &JoinLink) -> Result<(), Refusal> {
    situation.require(Action::RevokeInvitation.permission())?;
    situation.require_manages(&link.roles)?;
    match link.revoked {
        true => Err(Refusal::new(Reason::JoinLinkNotOpen)
            .with("state", JoinLinkStatus::Revoked.as_str())
            .with("hint", "nothing is left to take back")),
        false => Ok(()),
    }
}

/// What joining rests on besides the link: facts of now, not of when it was made.
#[derive(Debug, Clone, Copy)]
pub struct Joining<'a> {
    /// The organization's access model.
    pub model: &'a AccessModel,
    /// The organization's kind, where it has one.
    pub organization_kind: Option<&'a str>,
    /// By whose right the link was made; `None`: a member who is no longer an active one.
    pub creator: Option<Authority<'a>>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// The roles that people get who join by a link now.
///
/// # Errors
/// `JOIN_LINK_NOT_OPEN`; `INVITER_NO_LONGER_AUTHORIZED` where the creator could not give these roles now; those of [`decide_invite`] where the model does not allow them to anybody.
pub fn decide_offer(joining: &Joining<'_>, link: &JoinLink) -> Result<RoleSet, Refusal> {
    link.open(joining.now)?;
    // No link gives the owner role, so no decision asks how many there are.
    let owners = Owners { active: 0 };
    standing(joining.model, joining.organization_kind, joining.creator, owners, &link.roles, ANOTHER)
}

/// The roles that a person gets by joining. Somebody who was removed does not come back by a link that others were given: only somebody who invites them means them.
///
/// # Errors
/// Those of [`decide_offer`] and [`decide_addition`]; `REMOVED_MEMBER`, `EMAIL_DOMAIN_NOT_ALLOWED`.
pub fn decide_join(
    joining: &Joining<'_>,
    link: &JoinLink,
    address: &EmailAddress,
    existing: Option<MemberState>,
) -> Result<RoleSet, Refusal> {
    // First: whoever belongs already is told so, whatever became of the link.
    decide_addition(joining.model, existing)?;
    let roles = decide_offer(joining, link)?;
    if existing == Some(MemberState::Removed) {
        return Err(Refusal::new(Reason::RemovedMember).with("hint", "ask for an invitation"));
    }
    if !link.email_domains.admit(address) {
        let domains: Vec<&str> = link.email_domains.iter().collect();
        return Err(Refusal::new(Reason::EmailDomainNotAllowed)
            .with("email_domains", domains.join(", "))
            .with("hint", "join with an account of one of these domains, or ask for an invitation"));
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> JoinLink {
        JoinLink {
            roles: RoleSet::default(),
            email_domains: EmailDomains::default(),
            max_uses: Some(2),
            use_count: 0,
            expire_time: DateTime::UNIX_EPOCH + Duration::days(1),
            revoked: false,
        }
    }

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    #[test]
    fn a_link_is_open_until_one_of_three_things_happens() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(link().status(now), JoinLinkStatus::Open);
        // The instant of expiry is too late, as with invitations.
        assert_eq!(link().status(now + Duration::days(1)), JoinLinkStatus::Expired);
        assert_eq!(link().status(now + Duration::days(1) - Duration::microseconds(1)), JoinLinkStatus::Open);
        assert_eq!(JoinLink { use_count: 1, ..link() }.status(now), JoinLinkStatus::Open);
        assert_eq!(JoinLink { use_count: 2, ..link() }.status(now), JoinLinkStatus::UsedUp);
        assert_eq!(JoinLink { use_count: 9, max_uses: None, ..link() }.status(now), JoinLinkStatus::Open);
        assert_eq!(JoinLink { revoked: true, use_count: 2, ..link() }.status(now), JoinLinkStatus::Revoked);
        let refusal = JoinLink { use_count: 2, ..link() }.open(now).unwrap_err();
        assert_eq!((refusal.reason, &refusal.metadata[0].1[..]), (Reason::JoinLinkNotOpen, "USED_UP"));
    }

    #[test]
    fn domains_are_compared_whole() {
        let domains: EmailDomains =
            ["Example.com", "bücher.example"].iter().map(|domain| EmailDomain::parse(domain).unwrap()).collect();
        for good in ["a@example.com", "a@EXAMPLE.com", "a@xn--bcher-kva.example", "a@Bücher.example"] {
            assert!(domains.admit(&address(good)), "{good}");
        }
        for bad in ["a@sub.example.com", "a@notexample.com", "a@example.com.evil.example", "example.com@evil.example"] {
            assert!(!domains.admit(&address(bad)), "{bad}");
        }
        assert!(EmailDomains::default().admit(&address("a@anywhere.example")));
    }
}
