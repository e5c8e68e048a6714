//! Slugs: names of organizations that addresses of pages are made of.

use chrono::Duration;

/// How long a slug that an organization has given up leads to it, and is nobody else's.
pub const RELEASE: Duration = Duration::days(90);

/// Former slugs that an organization holds at the most: nobody keeps names from others by changing their own again and again.
pub const MOST_FORMER: u64 = 10;

/// Characters of a slug.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=63;

/// A slug: 3 to 63 lower case letters, digits and hyphens, with a letter or digit at both ends, as a label of a host name (RFC 1123, 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug(String);

impl Slug {
    /// Checks a slug.
    ///
    /// # Errors
    /// A description for the caller.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !LENGTH.contains(&text.chars().count()) || !text.chars().all(known) {
            return Err("must be 3 to 63 lower case letters, digits and hyphens".to_owned());
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err("must begin and end with a letter or a digit".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_labels_of_host_names() {
        for slug in ["abc", "a-b", "4711", "acme-engines-2", &"x".repeat(63)] {
            assert_eq!(Slug::parse(slug).unwrap().as_str(), slug);
        }
        for wrong in ["", "ab", "-ab", "ab-", "a_b", "Abc", "a b", "äbc", "a.b", &"x".repeat(64)] {
            assert!(Slug::parse(wrong).is_err(), "{wrong}");
        }
    }
}
