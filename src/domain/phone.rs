//! Telephone numbers, by which people reach each other. Roster never calls one.

use std::fmt;

/// A telephone number in international form: `+` and 7 to 15 digits, of which the first is not 0 (ITU-T E.164, section 6). What people put between the digits to read
/// them better (spaces, hyphens, dots, parentheses) is left out, so that one number has one spelling. Whether it is in use is not checked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Reads a number as it is typed.
    ///
    /// # Errors
    /// A description for the caller.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "must be a telephone number in international form, such as \"+44 20 7946 0018\"".to_owned();
        let digits = text.trim().strip_prefix('+').ok_or_else(wrong)?;
        let kept: String = digits.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
        let valid =
            (7..=15).contains(&kept.len()) && kept.bytes().all(|b| b.is_ascii_digit()) && !kept.starts_with('0');
        valid.then(|| Self(format!("+{kept}"))).ok_or_else(wrong)
    }

    /// The number: `+` and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_number_has_one_spelling() {
        for typed in ["+442079460018", " +44 20 7946 0018 ", "+44-20-7946-0018", "+44 (20) 7946.0018"] {
            assert_eq!(PhoneNumber::parse(typed).unwrap().as_str(), "+442079460018");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in [
            "",
            "+",
            "442079460018",
            "+123456",
            "+1234567890123456",
            "+0442079460",
            "+44 20 7946 x18",
            "+44\n2079460018",
            "+４４２０７９４６",
            "++442079460018",
        ] {
            assert!(PhoneNumber::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_as_itself(text in "\\+[1-9 ().-][0-9 ().-]{0,25}") {
            if let Ok(number) = PhoneNumber::parse(&text) {
                prop_assert_eq!(PhoneNumber::parse(number.as_str()).unwrap(), number.clone());
                prop_assert!(number.as_str().len() <= 16);
            }
        }
    }
}
