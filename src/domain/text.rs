//! Names, usernames, locales: one-line text that people type and that other people see.
//!
//! Everything here is checked once, at the edge, so that what is stored can go into a mail header, a log line, a terminal or a
//! database of either kind without another look (ab_26). Texts are kept in Unicode normalization form C, so that the same name
//! typed on two machines is the same bytes.

use std::fmt;

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory, NoncharacterCodePoint},
};
use unicode_normalization::UnicodeNormalization;

/// Characters that Unicode counts as visible and that show nothing: a braille cell without dots, a filler, a null notehead.
const BLANK: [char; 3] = ['\u{2800}', '\u{16FE4}', '\u{1D159}'];

/// The longest sort key in bytes, see [`sort_key`].
pub const SORT_KEY_BYTES: usize = 128;

/// What makes a text unfit for one visible line, or `None`.
///
/// The answer names the kind of character and never repeats the text. ZERO WIDTH JOINER and NON-JOINER pass between two
/// letters of the scripts whose spelling needs them (Arabic to Myanmar, as in RFC 5892 appendix A.1 and A.2, simplified).
#[must_use]
pub fn flaw(text: &str) -> Option<&'static str> {
    let mut before: Option<char> = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c.is_control() {
            return Some("contains a control character or a line break");
        }
        let joins = matches!(c, '\u{200C}' | '\u{200D}')
            && before.is_some_and(needs_joiners)
            && characters.peek().copied().is_some_and(needs_joiners);
        if is_hidden(c) && !joins {
            return Some("contains an invisible or direction-changing character");
        }
        before = Some(c);
    }
    None
}

/// Whether a character is invisible, changes the direction of the text, or is shown by no two fonts alike. A name with one of these can look exactly like another name, or rearrange the
/// text around it.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c)
        || BLANK.contains(&c)
}

fn needs_joiners(c: char) -> bool {
    ('\u{0620}'..='\u{109F}').contains(&c) && !is_hidden(c)
}

/// Reads one line of visible text: normalized (NFC), trimmed, 1 to `longest` characters (Unicode code points).
///
/// # Errors
/// A description for the caller, without the text itself.
pub fn one_line(text: &str, longest: usize) -> Result<String, String> {
    // Ten code points of NFD for one of NFC is more than any script needs; the bound keeps normalization cheap.
    if text.len() > longest.saturating_mul(40) {
        return Err(format!("must have at most {longest} characters"));
    }
    let normal: String = text.trim().nfc().collect();
    if let Some(flaw) = flaw(&normal) {
        return Err(flaw.to_owned());
    }
    match normal.chars().count() {
        0 => Err("must not be empty".to_owned()),
        n if n > longest => Err(format!("must have at most {longest} characters")),
        _ => Ok(normal),
    }
}

/// The bytes by which a text is ordered: the same on both databases, whose own orders of text differ.
///
/// Compatibility decomposed (NFKD), lowercased, at most [`SORT_KEY_BYTES`] bytes and never half a character; to be compared
/// byte by byte, with a unique column behind it.
#[must_use]
pub fn sort_key(text: &str) -> Vec<u8> {
    let mut key = String::with_capacity(SORT_KEY_BYTES);
    for c in text.trim().nfkd().flat_map(char::to_lowercase) {
        if key.len() + c.len_utf8() > SORT_KEY_BYTES {
            break;
        }
        key.push(c);
    }
    key.into_bytes()
}

/// Declares one kind of checked one-line text.
macro_rules! one_line_text {
    ($(#[$doc:meta])* $name:ident, $longest:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The most characters (Unicode code points after normalization) it may have.
            pub const LONGEST: usize = $longest;

            /// Normalizes, trims and checks a text.
            ///
            /// # Errors
            /// A description for the caller, without the text itself.
            pub fn parse(text: &str) -> Result<Self, String> {
                one_line(text, Self::LONGEST).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, owned.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }
    };
}

one_line_text! {
    /// A given or family name.
    PersonName, 100
}
one_line_text! {
    /// The name of an organization.
    OrganizationName, 120
}
one_line_text! {
    /// The name of a service account.
    ServiceAccountName, 120
}
one_line_text! {
    /// How a person, a role, a key or another thing is called where it is shown.
    DisplayName, 200
}

/// A name to sign in with: 3 to 64 of `a-z 0-9 . _ -`, the first a letter or digit, kept in lower case.
///
/// It has no `@`, so that no username is ever an e-mail address, and only ASCII, so that no username looks like another (PF09).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Username(String);

impl Username {
    /// Reads a username; capital letters are taken as their small ones.
    ///
    /// # Errors
    /// A description for the caller, without the text itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let key = text.trim().to_ascii_lowercase();
        let letter_or_digit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !(3..=64).contains(&key.len()) {
            return Err("must have 3 to 64 characters".to_owned());
        }
        if !key.chars().all(|c| letter_or_digit(c) || matches!(c, '.' | '_' | '-')) {
            return Err("may only have the letters a to z, digits, dots, underscores and hyphens".to_owned());
        }
        if !key.starts_with(letter_or_digit) {
            return Err("must start with a letter or a digit".to_owned());
        }
        Ok(Self(key))
    }

    /// The username in lower case: what is stored, compared and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A language for messages: language, optional script, optional region of BCP 47 (RFC 5646), as in `en`, `pt-BR`, `zh-Hant-TW`.
///
/// Kept in the recommended case (RFC 5646 section 2.1.1). Whether the subtags are registered is not checked: a locale without
/// a translation falls back.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Locale(String);

impl Locale {
    /// Reads a language tag in any case.
    ///
    /// # Errors
    /// A description for the caller.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "must be a language tag such as \"en\", \"pt-BR\" or \"zh-Hant-TW\"".to_owned();
        let mut subtags = text.trim().split('-').peekable();
        let is_alpha = |s: &str| s.bytes().all(|b| b.is_ascii_alphabetic());

        let language = subtags.next().filter(|s| matches!(s.len(), 2 | 3) && is_alpha(s)).ok_or_else(wrong)?;
        let mut tag = language.to_ascii_lowercase();
        if let Some(script) = subtags.next_if(|s| s.len() == 4 && is_alpha(s)) {
            let (first, rest) = script.split_at_checked(1).ok_or_else(wrong)?;
            tag.push('-');
            tag.push_str(&first.to_ascii_uppercase());
            tag.push_str(&rest.to_ascii_lowercase());
        }
        let is_region =
            |s: &str| (s.len() == 2 && is_alpha(s)) || (s.len() == 3 && s.bytes().all(|b| b.is_ascii_digit()));
        if let Some(region) = subtags.next_if(|s| is_region(s)) {
            tag.push('-');
            tag.push_str(&region.to_ascii_uppercase());
        }
        if subtags.next().is_some() {
            return Err(wrong());
        }
        Ok(Self(tag))
    }

    /// The tag in its recommended case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language alone: `pt` for `pt-BR`.
    #[must_use]
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ab_26_names_with_hidden_characters_are_refused() {
        for bad in [
            "Eve\r\nBcc: x@example.com",
            "Eve\n",
            "E\u{0}ve",
            "a\tb",
            "\u{202E}evE",
            "Eve\u{200B}",
            "E\u{AD}ve",
            "\u{2066}Eve\u{2069}",
            "a\u{2028}b",
            "\u{FEFF}Eve",
            "a\u{200D}b",
            "\u{200D}",
            "\u{3164}",
            "a\u{85}b",
            "tag\u{E0041}",
            "a\u{2800}b",
            "a\u{E000}b",
            "a\u{2FFFE}b",
        ] {
            // Trimming may take white space from the ends, never a hidden character out of the middle.
            match PersonName::parse(bad) {
                Ok(name) => assert_eq!(name.as_str(), bad.trim(), "{bad:?}"),
                Err(why) => assert!(why.contains("character") || why.contains("empty"), "{bad:?}: {why}"),
            }
            assert_eq!(PersonName::parse(bad).is_ok(), bad == "Eve\n", "{bad:?}");
        }
    }

    #[test]
    fn ab_26_the_answer_tells_a_line_break_from_a_hidden_character() {
        assert!(PersonName::parse("a\nb").is_err_and(|why| why.contains("line break")));
        assert!(PersonName::parse("a\u{200B}b").is_err_and(|why| why.contains("invisible")));
    }

    #[test]
    fn names_of_the_world_are_accepted() {
        for good in [
            "Zoë",
            "O'Brien",
            "李 小龍",
            "محمد",
            "می\u{200C}خواهم",
            "क्\u{200D}ष",
            "Jean-Luc",
            "Ñandú",
            "<b>Ada</b>",
            "Æ",
        ] {
            assert!(PersonName::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn names_are_normalized_trimmed_and_counted() {
        assert_eq!(PersonName::parse("  Zoe\u{308} ").unwrap().as_str(), "Zo\u{eb}");
        assert_eq!(PersonName::parse(&"\u{e9}".repeat(100)).unwrap().as_str().chars().count(), 100);
        assert!(PersonName::parse(&"e\u{301}".repeat(100)).is_ok());
        assert!(PersonName::parse(&"e".repeat(101)).is_err());
        assert!(PersonName::parse(" \u{3000} ").is_err());
        assert!(PersonName::parse(&"x".repeat(10_000_000)).is_err());
    }

    #[test]
    fn pf09_usernames_have_one_form() {
        assert_eq!(Username::parse(" Ada.Lovelace ").unwrap().as_str(), "ada.lovelace");
        for bad in
            ["ab", "a b c", "ada@example.com", "\u{430}da", "ümit", ".ada", "-ada", "a\u{200B}da", &"a".repeat(65), ""]
        {
            assert!(Username::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn locales_have_one_form() {
        for (typed, kept) in
            [("EN", "en"), ("pt-br", "pt-BR"), ("ZH-hANT-tw", "zh-Hant-TW"), ("es-419", "es-419"), ("gsw", "gsw")]
        {
            let locale = Locale::parse(typed).unwrap();
            assert_eq!(locale.as_str(), kept);
            assert_eq!(locale.language(), kept.split('-').next().unwrap());
        }
        for bad in ["", "e", "english", "en_US", "en-", "-en", "en-US-x-y", "en-US-US", "é-DE", "../en"] {
            assert!(Locale::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sort_keys_put_capitals_and_forms_together() {
        assert_eq!(sort_key("Zo\u{eb}"), sort_key("ZOE\u{308}"));
        assert_eq!(sort_key("ﬁ"), b"fi");
        assert_eq!(sort_key(&"日".repeat(100)).len(), 126);
        assert!(sort_key("adam") < sort_key("Berta"));
        assert!(sort_key("berta") > sort_key("Adam"));
    }

    proptest! {
        #[test]
        fn one_line_is_idempotent(text in "\\PC{0,60}") {
            if let Ok(once) = one_line(&text, 60) {
                prop_assert_eq!(one_line(&once, 60), Ok(once));
            }
        }

        #[test]
        fn nothing_panics_and_nothing_hidden_passes(text in any::<String>()) {
            if let Ok(name) = PersonName::parse(&text) {
                prop_assert!(!name.as_str().chars().any(char::is_control));
                prop_assert!(name.as_str().chars().count() <= PersonName::LONGEST);
            }
            let _ = Username::parse(&text);
            let _ = Locale::parse(&text);
        }

        #[test]
        fn sort_key_is_short_valid_and_ignores_case(text in any::<String>()) {
            let key = sort_key(&text);
            prop_assert!(key.len() <= SORT_KEY_BYTES);
            let again = String::from_utf8(key.clone()).unwrap();
            prop_assert_eq!(sort_key(&again).len() <= key.len(), true);
        }

        #[test]
        fn sort_key_ignores_the_case_of_ascii(text in "[a-zA-Z ]{0,200}") {
            prop_assert_eq!(sort_key(&text), sort_key(&text.to_ascii_uppercase()));
        }
    }
}
