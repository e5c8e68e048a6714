//! Ids of roles and permissions, and the set of roles that a member holds.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares an id: an opaque text. Whether it exists is the access model's to say.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

id! {
    /// The id of a role, such as `admin`.
    RoleId
}

id! {
    /// The id of a permission, such as `members.invite`.
    PermissionId
}

/// The roles of one member, in the order of their ids (JH02). Rests as a list of strings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleSet(BTreeSet<RoleId>);

impl RoleSet {
    /// The set without any role.
    pub fn new() -> Self {
        Self::default()
    }

    /// The roles, by id.
    pub fn iter(&self) -> impl Iterator<Item = &RoleId> {
        self.0.iter()
    }

    /// How many roles there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the role is one of them.
    pub fn contains(&self, role: &RoleId) -> bool {
        self.0.contains(role)
    }

    /// The same set with one role more.
    #[must_use]
    pub fn with(&self, role: &RoleId) -> Self {
        let mut roles = self.clone();
        roles.0.insert(role.clone());
        roles
    }

    /// The same set without one role.
    #[must_use]
    pub fn without(&self, role: &RoleId) -> Self {
        let mut roles = self.clone();
        roles.0.remove(role);
        roles
    }

    /// The ids as plain texts.
    pub fn to_strings(&self) -> Vec<String> {
        self.iter().map(|role| role.as_str().to_owned()).collect()
    }
}

impl<R: Into<RoleId>> FromIterator<R> for RoleSet {
    fn from_iter<I: IntoIterator<Item = R>>(roles: I) -> Self {
        Self(roles.into_iter().map(Into::into).collect())
    }
}
