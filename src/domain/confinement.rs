//! The organizations that the keys of a service account are confined to (ab_48).

use std::collections::BTreeSet;

use uuid::Uuid;

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

#[cfg(test)]
mod tests {
    use super::*;

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
