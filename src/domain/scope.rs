//! Scopes: what the keys of a service account may do.

use std::collections::BTreeSet;

/// The scope that stands for every other one, also for those of later versions.
pub const OPERATOR: &str = "operator";

/// The scope that lets a key act as any user it names.
pub const ACT_AS_USER: &str = "act_as_user";

/// The scope that lets a caller get an invitation's link in the answer.
pub const INVITATION_LINK: &str = "invitations.link";

/// Every scope there is. The scope of each method stands in the contract beside it.
pub const ALL: &[&str] = &[
    OPERATOR,
    ACT_AS_USER,
    INVITATION_LINK,
    "access_models.read",
    "access_models.write",
    "activity.read",
    "activity.write",
    "audit.read",
    "contacts.read",
    "contacts.write",
    "credentials.read",
    "credentials.write",
    "invitations.read",
    "invitations.write",
    "members.read",
    "members.write",
    "messages.read",
    "messages.write",
    "organizations.delete",
    "organizations.read",
    "organizations.suspend",
    "organizations.write",
    "ownership.read",
    "ownership.write",
    "permissions.check",
    "roles.read",
    "roles.write",
    "service_accounts.read",
    "service_accounts.write",
    "sessions.read",
    "sessions.step_up",
    "sessions.verify",
    "sessions.write",
    "users.delete",
    "users.erase",
    "users.export",
    "users.import",
    "users.read",
    "users.suspend",
    "users.write",
];

/// The scopes of one service account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// The scopes of these names.
    ///
    /// # Errors
    /// The first name that is no scope.
    pub fn parse<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        match names.iter().find(|name| !ALL.contains(&name.as_str())) {
            Some(unknown) => Err(unknown.clone()),
            None => Ok(Self(names)),
        }
    }

    /// Whether a key with these scopes may do what `scope` stands for.
    pub fn allow(&self, scope: &str) -> bool {
        self.0.contains(OPERATOR) || self.0.contains(scope)
    }

    /// The first scope of `wanted` that these do not allow, if any: nobody passes on what they lack.
    pub fn missing<'a>(&self, wanted: &'a Scopes) -> Option<&'a str> {
        wanted.iter().find(|scope| !self.allow(scope))
    }

    /// Whether whoever has these scopes, and a key, may still do what a call once needed: what it needed was kept with it, or, by an earlier version, was not. Then it was one of
    /// `before`.
    pub fn still_cover(&self, needed: Option<&Scopes>, before: &[&str]) -> bool {
        match needed {
            Some(needed) => self.missing(needed).is_none(),
            None => before.iter().any(|scope| self.allow(scope)),
        }
    }

    /// The scopes' names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_scope_stands_for_every_other() {
        let operator = Scopes::parse([OPERATOR]).unwrap();
        assert!(ALL.iter().all(|scope| operator.allow(scope)));
    }

    #[test]
    fn nobody_passes_on_what_they_lack() {
        let held = Scopes::parse(["users.read"]).unwrap();
        assert_eq!(held.missing(&Scopes::parse(["users.read", "users.write"]).unwrap()), Some("users.write"));
        assert_eq!(held.missing(&Scopes::parse([OPERATOR]).unwrap()), Some(OPERATOR));
        assert_eq!(held.missing(&held), None);
    }

    #[test]
    fn what_a_call_needed_is_still_covered_or_not() {
        let held = Scopes::parse(["invitations.write"]).unwrap();
        let as_user = Scopes::parse(["invitations.write", ACT_AS_USER]).unwrap();
        assert!(held.still_cover(Some(&held), &[]));
        assert!(!held.still_cover(Some(&as_user), &["invitations.write"]));
        assert!(held.still_cover(None, &["organizations.write", "invitations.write"]));
        assert!(!held.still_cover(None, &["ownership.write"]));
        assert!(Scopes::parse([OPERATOR]).unwrap().still_cover(Some(&as_user), &[]));
    }

    #[test]
    fn an_unknown_scope_is_named() {
        assert_eq!(Scopes::parse(["users.read", "everything"]), Err("everything".to_owned()));
    }
}
