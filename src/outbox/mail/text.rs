//! Makes text that people typed harmless before a template sees it (ab_26), so that no template, not even an operator's, can forget to.
//!
//! Two dangers are left after HTML escaping. Control characters could end a header or turn the reading direction around; they
//! are refused, because the store should have refused the name. And mail programs make links of their own out of whatever looks
//! like an address, in HTML as in plain text: an organization called "evil.example/win" would become a link in a mail that
//! its victim trusts. [`defang`] breaks these.

use std::fmt::Write;

use unicode_normalization::char::is_combining_mark;

/// U+202F NARROW NO-BREAK SPACE. A space ends an address for every program that looks for one, and no browser accepts it in a host
/// name. Invisible characters (U+200B, U+2060, U+00AD) are worse than nothing: UTS #46 ignores them, so the link would work.
const BREAK: char = '\u{202f}';

/// Where text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} contains a control character")]
pub(crate) struct ControlCharacter {
    /// The field of the mail.
    pub(crate) field: &'static str,
}

/// Whether a character has no place in one line of text: controls (Cc), line and paragraph separators, and the explicit
/// direction controls of UAX #9 2.1 and 2.2 (embeddings, overrides, isolates), which can make a text read as another.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Refuses text that is not one line.
///
/// # Errors
/// [`ControlCharacter`] with the name of the field.
pub(crate) fn one_line<'a>(field: &'static str, text: &'a str) -> Result<&'a str, ControlCharacter> {
    if text.contains(is_control) { Err(ControlCharacter { field }) } else { Ok(text) }
}

/// Text of several lines with `\n` as the only control character; `\r\n` is accepted and becomes `\n`.
///
/// # Errors
/// [`ControlCharacter`] with the name of the field.
pub(crate) fn lines(field: &'static str, text: &str) -> Result<String, ControlCharacter> {
    let text = text.replace("\r\n", "\n");
    for line in text.split('\n') {
        one_line(field, line)?;
    }
    Ok(text)
}

/// Breaks everything that a mail program could take for a link: a narrow space goes after each dot, colon, slash or `@` that a
/// word follows directly. "J. R. Smith & Co." and "Ops / On-call" stay as they are, "evil.example" gains a hairline gap.
#[must_use]
pub(crate) fn defang(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        out.push(c);
        // The last four are what IDNA reads as a dot: ideographic, fullwidth, halfwidth, and the one-dot leader.
        let separates = matches!(c, '.' | ':' | '/' | '\\' | '@' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' | '\u{2024}');
        if separates && characters.peek().is_some_and(|next| !next.is_whitespace()) {
            out.push(BREAK);
        }
    }
    out
}

/// Characters of one text in a subject at the most, its ellipsis included: names of 200 would leave nothing of the sentence around them (ab_55).
const SHORT: usize = 60;

/// A text cut to what a subject has room for, with an ellipsis where something is missing. What people see as one character stays whole, as long as it is not longer than a name.
#[must_use]
pub(crate) fn shorten(text: &str) -> String {
    if text.chars().count() <= SHORT {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().take(SHORT).collect();
    // A cut is between two characters where neither holds on to the other: marks and joiners do, and a joiner holds what follows.
    let joins =
        |c: char| is_combining_mark(c) || matches!(c, '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let whole = |pair: &[char]| matches!(pair, [last, next] if !joins(*next) && *last != '\u{200d}');
    let cut = characters.windows(2).rposition(whole).map_or(SHORT - 1, |last| last + 1);
    let kept: String = characters.into_iter().take(cut).collect();
    format!("{}\u{2026}", kept.trim_end())
}

/// An address to be shown. A plain one stays as it is, to be read and copied; one with anything unusual before the `@`
/// (`www.evil.example/x@y.example` is a valid address) is broken like a name.
#[must_use]
pub(crate) fn shown_address(address: &str) -> String {
    let plain = address.rsplit_once('@').is_some_and(|(local, domain)| {
        local.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '+' | '-'))
            && domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'))
    });
    if plain { address.to_owned() } else { defang(address) }
}

/// Escapes a value for a quoted HTML attribute or element content, and leaves `/` alone, so that a link stays readable in the source.
#[must_use]
pub(crate) fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

/// Makes foreign text (a server's reply, an operating system's error) fit for one line of a record: no control characters, at most
/// 500 characters, and none of `secrets` in it.
#[must_use]
pub(crate) fn tidy(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[redacted]");
    }
    text.chars().take(500).map(|c| if is_control(c) { ' ' } else { c }).collect()
}

/// Takes addresses out of a text that is about to be logged.
#[must_use]
pub(crate) fn without_addresses(text: &str) -> String {
    text.split(' ').map(|word| if word.contains('@') { "[address]" } else { word }).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ab_26_control_and_direction_characters_are_refused() {
        for bad in [
            "a\r\nBcc: x@y.z",
            "a\nb",
            "a\0",
            "a\u{7f}",
            "a\u{85}b",
            "\u{202e}gnp.exe",
            "\u{2066}x",
            "a\u{2028}b",
            "a\tb",
        ] {
            assert_eq!(one_line("organization", bad), Err(ControlCharacter { field: "organization" }), "{bad:?}");
        }
        assert_eq!(one_line("organization", "Ülm & Söhne \u{5d0}\u{5d1} 👩‍💻"), Ok("Ülm & Söhne \u{5d0}\u{5d1} 👩‍💻"));
        assert_eq!(lines("message", "a\r\nb\nc"), Ok("a\nb\nc".to_owned()));
        assert!(lines("message", "a\rb").is_err());
    }

    #[test]
    fn ab_26_no_link_is_left_in_a_name() {
        for name in [
            "http://evil.example/x",
            "evil.example",
            "www.evil.example",
            "a@evil.example",
            "mailto:a@b.example",
            "//evil.example",
            "evil。example",
            "evil．example",
            "javascript:alert(1)",
            "1.2.3.4",
            "\\\\host\\share",
            "evil.example.",
        ] {
            let shown = defang(name);
            let words: Vec<&str> = shown.split(char::is_whitespace).collect();
            for word in words {
                let inner = word.trim_end_matches(|c: char| !c.is_alphanumeric());
                assert!(!inner.contains(['.', ':', '/', '@', '\\', '。', '．']), "{name:?} leaves {word:?}");
            }
        }
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in
            ["Ada Lovelace", "St. Mary's Hospital", "Smith & Co.", "Ops / On-call", "O'Neil-Zhang", "Team: Blue"]
        {
            assert_eq!(defang(name), name);
        }
        assert_eq!(shown_address("ada.l+x@mail.example.com"), "ada.l+x@mail.example.com");
        assert_ne!(shown_address("www.evil.example/x@y.example"), "www.evil.example/x@y.example");
    }

    #[test]
    fn ab_55_long_names_are_cut_between_characters() {
        assert_eq!(shorten("Ada Lovelace"), "Ada Lovelace");
        assert_eq!(shorten(&"x".repeat(60)), "x".repeat(60));
        assert_eq!(shorten(&"x".repeat(61)), format!("{}\u{2026}", "x".repeat(59)));
        // An accent of its own, a family of four, a skin tone: whole or gone.
        for one in ["e\u{301}", "👨\u{200d}👩\u{200d}👧\u{200d}👦", "👍\u{1f3fd}"] {
            for before in 0..12 {
                let cut = shorten(&format!("{}{}", "x".repeat(before), one.repeat(60)));
                assert!(cut.chars().count() <= 60, "{cut}");
                let cut = cut.trim_start_matches('x').trim_end_matches('\u{2026}');
                assert_eq!(cut, one.repeat(cut.matches(one).count()));
            }
        }
        assert_eq!(shorten(&format!("e{}", "\u{301}".repeat(200))).chars().count(), 60);
    }

    #[test]
    fn foreign_text_is_cut_and_cleaned() {
        assert_eq!(tidy("550 no\r\nsuch tok-1 user", &["tok-1", ""]), "550 no  such [redacted] user");
        assert_eq!(tidy(&"x".repeat(2000), &[]).len(), 500);
        assert_eq!(without_addresses("550 <Bob@x.example>: no such user"), "550 [address] no such user");
    }
}
