//! Contacts: people who get notifications of an organization, and do not sign in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The notifications that a contact gets, such as `maintenance` and `billing`, by id. What they mean is the product's to say. Rests as a list of strings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotificationRoles(BTreeSet<String>);

impl NotificationRoles {
    /// The ids, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromIterator<String> for NotificationRoles {
    fn from_iter<I: IntoIterator<Item = String>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}
