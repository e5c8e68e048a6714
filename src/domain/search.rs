//! Searching by the beginning of a name or an address: what a row is found by, and what a search asks for.
//!
//! Made here and not by the database, so that both find the same. Accents and case make no difference: `mul` finds Müller.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use uuid::Uuid;

/// The list of all users.
pub const USERS: Uuid = Uuid::from_u128(1);
/// The list of all organizations. Rosters are lists by the ids of their organizations.
pub const ORGANIZATIONS: Uuid = Uuid::from_u128(2);

/// What these two are searched for. Members are by their state.
pub const ALL: &str = "all";
/// The pending invitations of a roster.
pub const INVITED: &str = "invited";

/// What the ids of two lists of an organization differ by.
const ACTIVITY: u128 = 0x5c1f_0e7a_93d4_4b86_a2b7_6d1e_0f38_c954;

/// The list of a roster in the order of when its members were last active. It has an id of its own, because the terms of a row in a list are replaced together, and these change much more often than names.
#[must_use]
pub const fn activity_list(organization: Uuid) -> Uuid {
    Uuid::from_u128(organization.as_u128() ^ ACTIVITY)
}

/// The term of a time: the later, the earlier in the order of terms.
#[must_use]
pub fn newest_first(time: DateTime<Utc>) -> Vec<u8> {
    (u64::MAX - u64::try_from(time.timestamp_micros()).unwrap_or_default()).to_be_bytes().to_vec()
}

/// Octets of a term at the most. What of a name or an address is longer is found by as much.
const TERM: usize = 96;

/// The longest text that is searched for, in characters.
pub const LONGEST: usize = 64;

/// Terms of a row at the most: a name of many words is found by the first of them.
const MOST: usize = 16;

/// A text as it is compared: decomposed (NFKD) without accents, lowercased, and cut at a whole character.
fn fold(text: &str) -> String {
    let mut folded = String::new();
    for c in text.trim().nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        if folded.len() + c.len_utf8() > TERM {
            break;
        }
        folded.push(c);
    }
    folded
}

/// The terms that a row is found by: each of these texts, and each word in them.
#[must_use]
pub fn terms<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<Vec<u8>> {
    let mut terms = BTreeSet::new();
    for text in texts {
        // An address is one word, and is found from its beginning only.
        let words = text.split_whitespace().filter(|_| !text.contains('@'));
        for term in std::iter::once(text).chain(words).map(fold).filter(|term| !term.is_empty()) {
            if terms.len() < MOST {
                terms.insert(term.into_bytes());
            }
        }
    }
    terms
}

/// What is searched for: terms from `from` on and before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The first term that begins like this.
    pub from: Vec<u8>,
    /// Behind the last one.
    pub until: Vec<u8>,
}

impl Search {
    /// All that [`newest_first`] makes.
    #[must_use]
    pub fn of_all_times() -> Self {
        Self { from: Vec::new(), until: vec![0xff; 9] }
    }

    /// Terms that begin with a text.
    ///
    /// # Errors
    /// A description for the caller.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > LONGEST {
            return Err(format!("must have at most {LONGEST} characters"));
        }
        let from = fold(text).into_bytes();
        if from.is_empty() {
            return Err("must have a letter or another sign that names have".to_owned());
        }
        // No text in UTF-8 has this octet.
        let until = [from.as_slice(), &[0xff]].concat();
        Ok(Self { from, until })
    }

    /// Whether it asks for a term.
    #[must_use]
    pub fn finds(&self, term: &[u8]) -> bool {
        self.from.as_slice() <= term && term < self.until.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, texts: &[&str]) -> bool {
        let search = Search::parse(text).unwrap();
        terms(texts.iter().copied()).iter().any(|term| search.finds(term))
    }

    #[test]
    fn a_row_is_found_by_the_beginning_of_any_word_whatever_its_case_and_accents() {
        let person = ["Zoë Müller-Lüdenscheidt", "Zoe.M@Bücher.example"];
        for text in ["z", "ZOË", "zoe mül", "mul", "Müller-L", "zoe.m", "zoe.m@bucher.example", " müller "] {
            assert!(found(text, &person), "{text}");
        }
        for text in ["oe", "lüdenscheidt", "bücher", "example", "zoe x", "müllers"] {
            assert!(!found(text, &person), "{text}");
        }
        assert!(found("山", &["山田 太郎"]) && found("太", &["山田 太郎"]));
    }

    #[test]
    fn terms_and_searches_are_bounded() {
        let long = "x".repeat(500);
        assert!(terms([long.as_str()]).iter().all(|term| term.len() <= TERM));
        let many: Vec<String> = (0..100).map(|number| format!("w{number}")).collect();
        assert_eq!(terms([many.join(" ").as_str()]).len(), MOST);
        assert!(Search::parse(&"y".repeat(LONGEST + 1)).is_err());
        for nothing in ["", "  ", "\u{301}"] {
            assert!(Search::parse(nothing).is_err(), "{nothing:?}");
        }
    }
}
