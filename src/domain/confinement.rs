//! The organizations that the keys of a service account are confined to (ab_48).

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::domain::{
    error::{Reason, Refusal},
    scope::{OPERATOR, Scopes},
};

/// One organization or more. An account without a confinement reaches all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement(BTreeSet<Uuid>);

impl Confinement {
    /// The confinement to these organizations; `None` where there are none.
    pub fn to(organizations: impl IntoIterator<Item = Uuid>) -> Option<Self> {
        let organizations: BTreeSet<Uuid> = organizations.into_iter().collect();
        (!organizations.is_empty()).then_some(Self(organizations))
    }

    /// The organizations, by id.
    pub fn iter(&self) -> impl Iterator<Item = Uuid> {
        self.0.iter().copied()
    }

    /// Whether it contains an organization.
    pub fn contains(&self, organization: Uuid) -> bool {
        self.0.contains(&organization)
    }
}

/// Whether somebody with this confinement, or without any, reaches an organization.
pub fn reaches(confinement: Option<&Confinement>, organization: Uuid) -> bool {
    confinement.is_none_or(|confinement| confinement.contains(organization))
}

/// Whether a change lets keys reach an organization that they did not reach before.
pub fn widens(present: Option<&Confinement>, wanted: Option<&Confinement>) -> bool {
    match (present, wanted) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(present), Some(wanted)) => wanted.iter().any(|organization| !present.contains(organization)),
    }
}

/// Whether a change would take a confinement off altogether. None is allowed to: a list that becomes empty by an edit would open everything.
pub fn is_lifted(present: Option<&Confinement>, wanted: Option<&Confinement>) -> bool {
    present.is_some() && wanted.is_none()
}

/// Refuses to confine an account that may do everything: half of that is in no organization.
///
/// # Errors
/// `SCOPE_NOT_GRANTABLE`.
pub fn require_confinable(scopes: &Scopes, confinement: Option<&Confinement>) -> Result<(), Refusal> {
    match confinement.is_some() && scopes.allow(OPERATOR) {
        true => Err(Refusal::new(Reason::ScopeNotGrantable)
            .with("scope", OPERATOR)
            .with("hint", "a confined account has scopes one by one")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confinement_is_widened_by_what_it_did_not_name() {
        let [here, there] = [1, 2].map(|id| Confinement::to([Uuid::from_u128(id)]));
        let both = Confinement::to([1, 2].map(Uuid::from_u128));
        for (present, wanted, wider, lifted) in [
            (&None, &None, false, false),
            (&None, &here, false, false),
            (&both, &here, false, false),
            (&here, &here, false, false),
            (&here, &there, true, false),
            (&here, &both, true, false),
            (&here, &None, true, true),
        ] {
            let (present, wanted) = (present.as_ref(), wanted.as_ref());
            assert_eq!(
                (widens(present, wanted), is_lifted(present, wanted)),
                (wider, lifted),
                "{present:?} {wanted:?}"
            );
        }
        let operator = Scopes::parse([OPERATOR]).unwrap();
        assert_eq!(require_confinable(&operator, None), Ok(()));
        assert_eq!(require_confinable(&operator, here.as_ref()).unwrap_err().reason, Reason::ScopeNotGrantable);
        assert_eq!(require_confinable(&Scopes::parse(["users.read"]).unwrap(), here.as_ref()), Ok(()));
    }

    #[test]
    fn a_confinement_is_to_what_it_names() {
        let [here, there] = [1, 2].map(Uuid::from_u128);
        assert_eq!(Confinement::to([]), None);
        let confinement = Confinement::to([here, here]);
        assert!(reaches(confinement.as_ref(), here) && !reaches(confinement.as_ref(), there));
        assert!(reaches(None, there));
        assert_eq!(confinement.unwrap().iter().collect::<Vec<_>>(), [here]);
    }
}
