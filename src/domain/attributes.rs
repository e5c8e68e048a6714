//! Attributes: what products keep with an organization or a user that Roster does not know, such as the id that a customer has in another system.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::text::one_line;

/// Attributes of one resource at the most.
pub const MOST: usize = 20;
/// Characters of a name at the most.
pub const LONGEST_NAME: usize = 64;
/// Characters of a value at the most.
pub const LONGEST_VALUE: usize = 256;

/// Attributes by name. Rest as a JSON object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// Checks names and values: at most [`MOST`], each name of lower case letters, digits and `.`, `_`, `-`, each value one line.
    ///
    /// # Errors
    /// A description for the caller.
    pub fn parse<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<Self, String> {
        let mut attributes = BTreeMap::new();
        for (name, value) in entries {
            let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
            if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(known) {
                return Err(format!(
                    "must have names of 1 to {LONGEST_NAME} lower case letters, digits, '.', '_' and '-'"
                ));
            }
            let value = one_line(value, LONGEST_VALUE).map_err(|flaw| format!("has a value that {flaw}: {name}"))?;
            attributes.insert(name.clone(), value);
        }
        match attributes.len() {
            0..=MOST => Ok(Self(attributes)),
            _ => Err(format!("must have at most {MOST} items")),
        }
    }

    /// These as they rest: where there are none, nothing does.
    #[must_use]
    pub fn stored(&self) -> Option<Self> {
        (!self.0.is_empty()).then(|| self.clone())
    }

    /// Octets that they take.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len() + 64).sum()
    }
}

impl IntoIterator for Attributes {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(entries: &[(&str, &str)]) -> Result<Attributes, String> {
        let entries: BTreeMap<String, String> =
            entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Attributes::parse(&entries)
    }

    #[test]
    fn attributes_have_short_names_and_one_line_of_value() {
        let read = parsed(&[("crm.id", " 4711 "), ("plan", "gold")]).unwrap();
        assert_eq!(
            read.into_iter().collect::<Vec<_>>(),
            [("crm.id".into(), "4711".into()), ("plan".into(), "gold".into())]
        );
        assert_eq!(parsed(&[]).unwrap().stored(), None);
        let long = "x".repeat(LONGEST_VALUE + 1);
        for wrong in
            [("", "x"), ("Plan", "x"), ("a b", "x"), ("ä", "x"), ("plan", ""), ("plan", "a\nb"), ("plan", &long)]
        {
            assert!(parsed(&[wrong]).is_err(), "{wrong:?}");
        }
        let names: Vec<String> = (0..=MOST).map(|number| format!("n{number}")).collect();
        let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        assert!(parsed(&all[..MOST]).is_ok() && parsed(&all).is_err());
    }
}
