//! E-mail addresses: what was typed, and the one key by which two spellings are the same address.
//!
//! The key (ab_27) folds what mail systems treat as one mailbox in practice and nothing else: letter case, the two ways
//! Unicode writes an accent, and the two ways a domain is written (IDN and punycode). Plus tags and dots stay, since only the
//! receiving system knows what they mean. Letters of different scripts that look alike stay different too: folding them would let
//! the holder of one mailbox answer for another's account. Both halves are made here, so that no database's idea of
//! `lower()` or collation matters.

use std::fmt;

use email_address::{EmailAddress as Syntax, Options};
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use super::text;

/// RFC 5321 section 4.5.3.1.3: a path of 256 octets with its two angle brackets.
const LONGEST: usize = 254;
/// RFC 5321 section 4.5.3.1.1.
const LONGEST_LOCAL_PART: usize = 64;

/// An address that mail can be sent to. Two addresses are equal when their keys are.
#[derive(Clone)]
pub struct EmailAddress {
    typed: String,
    key: String,
}

impl EmailAddress {
    /// Reads an address such as `ada@example.com`: no display name, no quoted local part, no domain literal, no comments
    /// and a domain with at least one dot.
    ///
    /// # Errors
    /// A description for the caller, without the address itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let typed = text.trim();
        if typed.len() > LONGEST {
            return Err(format!("must have at most {LONGEST} octets"));
        }
        if typed.chars().any(|c| text::is_hidden(c) || c.is_whitespace()) {
            return Err("must not contain white space, control or invisible characters".to_owned());
        }
        let (local, domain) = typed.rsplit_once('@').ok_or_else(|| "must have the form name@example.com".to_owned())?;
        if local.len() > LONGEST_LOCAL_PART {
            return Err(format!("must have at most {LONGEST_LOCAL_PART} octets before the @"));
        }
        if local.contains(['"', '\\', '@', '(', ')', '<', '>', ',', ';', ':', '[', ']']) {
            return Err("must not have a quoted part, a comment or a display name".to_owned());
        }
        let domain = ascii_domain(domain)?;
        let key_local = fold(local);
        // Both forms: a few characters, such as the Greek question mark, are something else once normalized.
        for local in [local, &key_local] {
            if local.len() + 1 + domain.len() > LONGEST {
                return Err(format!("must have at most {LONGEST} octets"));
            }
            check_syntax(local, &domain)?;
        }
        Ok(Self { typed: typed.to_owned(), key: format!("{key_local}@{domain}") })
    }

    /// The address as it was typed, without surrounding white space: what mail goes to and what is shown.
    #[must_use]
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// The one form of all spellings of this address: what is unique and looked up. Parsing a key gives the same key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The domain in the one form of all its spellings.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.key.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// What mail to this address is counted under: the key without a tag (`ada+x@example.com` is `ada@example.com`), since most mail systems put the two into one mailbox. To count too
    /// strictly harms nobody; to tell people apart, it is not good.
    #[must_use]
    pub fn mailbox_key(&self) -> String {
        let (local, domain) = self.key.rsplit_once('@').unwrap_or((&self.key, ""));
        match local.split_once('+') {
            Some((untagged, _)) if !untagged.is_empty() => format!("{untagged}@{domain}"),
            _ => self.key.clone(),
        }
    }

    /// The address for the SMTP envelope: the local part as typed, the domain in A-labels, which every mail server takes. With
    /// an ASCII local part it needs no SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn envelope(&self) -> String {
        format!("{}@{}", self.local_part(), self.domain())
    }

    /// The part before the `@`, as typed.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.typed.rsplit_once('@').map_or(self.typed.as_str(), |(local, _)| local)
    }
}

/// A domain that addresses have, in the one form of all its spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailDomain(String);

impl EmailDomain {
    /// Reads a domain such as `example.com`, as it stands behind the `@` of an address.
    ///
    /// # Errors
    /// A description for the caller.
    pub fn parse(text: &str) -> Result<Self, String> {
        ascii_domain(text).map(Self).map_err(|_| "must be a domain such as example.com".to_owned())
    }

    /// The domain.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Without letter case and normalized, in this order. The Greek final sigma is written as the other one, since which of the two
/// stands for a capital depends on the letters around it.
fn fold(local: &str) -> String {
    local.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).nfc().collect()
}

/// The grammar of RFC 5321, where any non-ASCII character is as good as a letter (RFC 6531 section 3.3). The parser wants
/// alphabetic ones only, which several Indic vowel signs are not, so it is shown an `x` for each of them.
fn check_syntax(local: &str, domain: &str) -> Result<(), String> {
    let shown = format!("{}@{domain}", local.replace(|c: char| !c.is_ascii(), "x"));
    let options = Options::default().with_required_tld().without_domain_literal().without_display_text();
    Syntax::parse_with_options(&shown, options).map(drop).map_err(|_| "is not an e-mail address".to_owned())
}

/// The domain in A-labels and lower case (RFC 5891, UTS 46 without transitional processing).
fn ascii_domain(domain: &str) -> Result<String, String> {
    let wrong = || "must have a domain such as example.com after the @".to_owned();
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .map_err(|_| wrong())?;
    let (_, top) = ascii.rsplit_once('.').ok_or_else(wrong)?;
    // A top-level domain is never all digits (RFC 3696 section 2), so this is an IP address without its brackets.
    if top.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    Ok(ascii.into_owned())
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for EmailAddress {}

impl std::hash::Hash for EmailAddress {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress({:?})", self.typed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> String {
        EmailAddress::parse(text).unwrap_or_else(|why| panic!("{text:?}: {why}")).key().to_owned()
    }

    #[test]
    fn ab_27_one_address_has_one_key() {
        for (one, other) in [
            ("A@example.com", "a@EXAMPLE.com"),
            ("zo\u{eb}@example.com", "ZOE\u{308}@example.com"),
            ("a@b\u{fc}cher.example", "a@xn--bcher-kva.example"),
            ("a@bu\u{308}cher.example", "a@XN--BCHER-KVA.EXAMPLE"),
            ("ΣΟΦΟΣ@example.com", "σοφος@example.com"),
            ("σοφοσ@example.com", "σοφος@example.com"),
            ("\u{212A}elvin@example.com", "kelvin@example.com"),
            ("संपर्क@डाटामेल.भारत", "संपर्क@xn--c2bd4bq1db8d.xn--h2brj9c"),
            ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
            (" a@example.com\n", "a@example.com"),
        ] {
            assert_eq!(key(one), key(other), "{one:?} {other:?}");
            assert_eq!(EmailAddress::parse(one), EmailAddress::parse(other));
        }
    }

    #[test]
    fn ab_27_different_addresses_have_different_keys() {
        for (one, other) in [
            ("a+x@example.com", "a@example.com"),
            ("a.b@example.com", "ab@example.com"),
            ("a@example.com", "a@example.org"),
            ("p\u{430}ul@example.com", "paul@example.com"),
            ("a@\u{440}\u{430}\u{443}.example", "a@pay.example"),
            ("stra\u{df}e@example.com", "strasse@example.com"),
            ("a@stra\u{df}e.example", "a@strasse.example"),
            ("\u{131}@example.com", "i@example.com"),
        ] {
            assert_ne!(key(one), key(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn ab_27_mail_goes_to_what_was_typed() {
        let address = EmailAddress::parse(" Ada.Lovelace+Roster@B\u{fc}cher.Example ").unwrap();
        assert_eq!(address.typed(), "Ada.Lovelace+Roster@B\u{fc}cher.Example");
        assert_eq!(address.key(), "ada.lovelace+roster@xn--bcher-kva.example");
        assert_eq!(address.local_part(), "Ada.Lovelace+Roster");
        assert_eq!(key("ZOE\u{308}@example.com"), "zo\u{eb}@example.com");
        assert_eq!(address.envelope(), "Ada.Lovelace+Roster@xn--bcher-kva.example");
    }

    #[test]
    fn ab_26_and_syntax_what_is_not_an_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("a@{}.example", vec!["a".repeat(60); 5].join("."));
        let long_label = format!("a@{}.example", "a".repeat(64));
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@example.com",
            "a@localhost",
            "a@example.com.",
            "a@.example.com",
            "a@example..com",
            "a@-example.com",
            "a@exa_mple.com",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "a b@example.com",
            "\"a b\"@example.com",
            "\"a\"@example.com",
            "Ada <ada@example.com>",
            "<ada@example.com>",
            "ada@example.com, eve@example.com",
            "ada(comment)@example.com",
            "a@b@example.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a@example.com\r\nBcc: eve@example.com",
            "a\r@example.com",
            "a\u{0}@example.com",
            "a\u{200B}@example.com",
            "\u{645}\u{200C}\u{645}@example.com",
            "\u{202E}a@example.com",
            "a@exam\u{AD}ple.com",
            "a\u{A0}b@example.com",
            "a\u{37E}b@example.com",
            "a@xn--a.example",
            "a@xn--.example",
            &long_local,
            &long,
            &long_label,
        ] {
            let read = EmailAddress::parse(bad);
            assert!(read.is_err(), "{bad:?} is read as {read:?}");
        }
    }

    #[test]
    fn the_limits_of_rfc_5321_are_the_limits() {
        assert!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(64))).is_ok());
        let domain = format!("{}.{}.{}.example", "a".repeat(63), "b".repeat(63), "c".repeat(53));
        let at_limit = format!("{}@{domain}", "a".repeat(254 - 1 - domain.len()));
        assert_eq!(at_limit.len(), 254);
        assert!(EmailAddress::parse(&at_limit).is_ok());
        assert!(EmailAddress::parse(&format!("a{at_limit}")).is_err());
    }

    #[test]
    fn the_octets_are_also_counted_with_the_domain_in_a_labels() {
        let local = "a".repeat(64);
        assert!(EmailAddress::parse(&format!("{local}@{}example", "\u{e9}.".repeat(20))).is_ok());
        assert!(EmailAddress::parse(&format!("{local}@{}example", "\u{e9}.".repeat(24))).is_err());
    }

    #[test]
    fn ab_27_folding_does_not_depend_on_the_form_of_any_letter() {
        for c in (char::MIN..'\u{20000}').map(String::from) {
            let folded = fold(&c);
            assert_eq!(fold(&folded), folded, "{c:?}");
            assert_eq!(fold(&c.nfd().collect::<String>()), folded, "{c:?}");
            assert_eq!(fold(&c.nfc().collect::<String>()), folded, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in any::<String>()) {
            let _ = EmailAddress::parse(&text);
            let _ = EmailAddress::parse(&format!("{text}@example.com"));
            let _ = EmailAddress::parse(&format!("a@{text}.example"));
        }

        #[test]
        fn a_key_is_its_own_key(local in "[^\\pC\\s\"\\\\@(),:;<>\\[\\].]{1,12}", domain in "[a-zA-Z0-9äßçı\u{430}中]{1,12}", top in "[a-zA-Zé]{2,6}") {
            if let Ok(address) = EmailAddress::parse(&format!("{local}@{domain}.{top}")) {
                let again = EmailAddress::parse(address.key());
                prop_assert_eq!(again.as_ref().map(EmailAddress::key), Ok(address.key()));
            }
        }

        #[test]
        fn case_and_form_do_not_matter(local in "[a-zà-öø-þα-ω0-9+_.-]{1,12}", domain in "[a-zà-ö]{1,12}") {
            let typed = format!("{local}@{domain}.example");
            let loud: String = typed.nfd().flat_map(char::to_uppercase).collect();
            // One letter has no capital of its own: ß becomes SS.
            if !typed.contains('ß') && let Ok(address) = EmailAddress::parse(&typed) {
                prop_assert_eq!(EmailAddress::parse(&loud).map(|a| a.key().to_owned()), Ok(address.key().to_owned()));
            }
        }

        #[test]
        fn what_passes_is_one_line_with_one_at(text in "\\PC{0,20}@\\PC{1,20}\\.[a-z]{2,3}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert_eq!(address.typed().matches('@').count(), 1);
                prop_assert!(!address.typed().chars().any(|c| c.is_control() || c.is_whitespace()));
                let (_, domain) = address.key().rsplit_once('@').unwrap();
                prop_assert!(domain.is_ascii() && domain.contains('.'));
                prop_assert!(address.typed().len() <= 254 && address.key().len() <= 254);
            }
        }
    }
}
