//! What makes a password acceptable: NIST SP 800-63B-4 section 3.1.1.2, and what is hashed.
//!
//! Length and a block list, no composition rules and no expiry. The standard asks for at least 15 characters where the password is
//! the only factor and at least 8 where a second factor is always asked for. Whether a second factor will be there is not known when
//! an invited person chooses a password, so [`ALONE_MIN_LENGTH`] is the default, and an operator whose every organization requires a
//! second factor may go down to [`SHORTEST_MIN_LENGTH`].
//!
//! The block list is zxcvbn: its dictionaries of common passwords, names and words, keyboard runs, dates and repetitions, together
//! with the words that an attacker would try on this person first.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

/// The fewest characters any policy may ask for (SP 800-63B-4: with a second factor).
pub const SHORTEST_MIN_LENGTH: usize = 8;
/// The fewest characters where the password may be the only factor (SP 800-63B-4), and the default.
pub const ALONE_MIN_LENGTH: usize = 15;
/// The most characters that are accepted; the standard wants 64 or more. Nothing is ever cut off.
pub const MAX_LENGTH: usize = 256;

/// More octets than 256 characters can have before or after normalization are not worth normalizing.
const MAX_OCTETS: usize = 4 * 1024;
/// Characters that the estimate looks at: its time grows with the square of the length. A weak beginning this long is refused
/// whatever follows.
const ESTIMATED_CHARACTERS: usize = 64;
/// 10^8 guesses or more: what zxcvbn's authors call safely unguessable where passwords are hashed slowly.
const ALONE_LOWEST_SCORE: Score = Score::Three;
/// 10^6 guesses or more: enough where a second factor is always asked for. Even eight random characters are no more than 10^8.
const LOWEST_SCORE: Score = Score::Two;
/// Words that are in the mind of whoever attacks this product.
const PRODUCT_WORDS: [&str; 1] = ["roster"];

/// The rule for new passwords. Existing ones are verified without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PasswordPolicy {
    min_length: usize,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self::new(ALONE_MIN_LENGTH)
    }
}

impl PasswordPolicy {
    /// A policy that asks for `min_length` characters; held within [`SHORTEST_MIN_LENGTH`] and 64, which everybody must be
    /// allowed to use.
    #[must_use]
    pub fn new(min_length: usize) -> Self {
        Self {
            min_length: min_length.clamp(SHORTEST_MIN_LENGTH, 64),
        }
    }

    /// The fewest characters it accepts.
    #[must_use]
    pub const fn min_length(&self) -> usize {
        self.min_length
    }

    /// Whether a password may be chosen. `context` are words that belong to the person: addresses, names, username, organization.
    ///
    /// Takes up to 10 milliseconds of processor time for the longest passwords, too long for a thread that serves others.
    ///
    /// # Errors
    /// A description for the person, without the password.
    pub fn check(&self, password: &str, context: &[&str]) -> Result<(), String> {
        let too_long = || format!("must have at most {MAX_LENGTH} characters");
        if password.len() > MAX_OCTETS {
            return Err(too_long());
        }
        let normal = normalize(password);
        if normal.chars().any(char::is_control) {
            return Err("must not contain control characters".to_owned());
        }
        match normal.chars().count() {
            n if n < self.min_length => {
                return Err(format!("must have at least {} characters", self.min_length));
            }
            n if n > MAX_LENGTH => return Err(too_long()),
            _ => {}
        }
        let words = context_words(context);
        if is_made_of(&normal, &words) {
            return Err("must not be made of the person's own names or addresses".to_owned());
        }
        let mut estimated = Zeroizing::new(String::with_capacity(normal.len()));
        estimated.extend(normal.chars().take(ESTIMATED_CHARACTERS));
        let inputs: Vec<&str> = words.iter().map(String::as_str).collect();
        let lowest = if self.min_length < ALONE_MIN_LENGTH {
            LOWEST_SCORE
        } else {
            ALONE_LOWEST_SCORE
        };
        if zxcvbn(&estimated, &inputs).score() < lowest {
            return Err("is too easy to guess: common passwords, names, dates, repetitions and keyboard runs are known to attackers".to_owned());
        }
        Ok(())
    }
}

/// The form of a password that is hashed and verified: NFKC, so that the same keys pressed on two systems give the same
/// octets (SP 800-63B-4 section 3.1.1.2). Nothing is trimmed and case matters.
#[must_use]
pub fn normalize(password: &str) -> Zeroizing<String> {
    // Measured first: growing would leave pieces of the password behind in freed memory.
    let length = password.nfkc().map(char::len_utf8).sum();
    let mut normal = Zeroizing::new(String::with_capacity(length));
    normal.extend(password.nfkc());
    normal
}

/// The context and its parts (`ada.lovelace@example.com`: also `ada`, `lovelace`, `example`), lowercased, three characters or more.
fn context_words(context: &[&str]) -> Vec<String> {
    let mut words = Vec::new();
    for text in context.iter().copied().chain(PRODUCT_WORDS) {
        let whole = text
            .nfkc()
            .flat_map(char::to_lowercase)
            .take(ESTIMATED_CHARACTERS)
            .collect::<String>();
        let parts = whole.split(|c: char| !c.is_alphanumeric()).map(str::to_owned);
        let joined = whole.chars().filter(|c| c.is_alphanumeric()).collect();
        words.extend(parts.chain([joined, whole.clone()]));
    }
    words.retain(|word| word.chars().count() >= 3);
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    words
}

/// Whether nothing but those words, digits and punctuation make up the password. zxcvbn takes several unusual words for
/// strong, even when all of them are on the person's business card.
fn is_made_of(password: &str, words: &[String]) -> bool {
    let mut rest = Zeroizing::new(password.chars().flat_map(char::to_lowercase).collect::<String>());
    for word in words {
        rest = Zeroizing::new(rest.replace(word.as_str(), " "));
    }
    let letters_left = rest.chars().filter(|c| c.is_alphabetic()).count();
    letters_left == 0 && password.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONTEXT: [&str; 4] = [
        "ada.lovelace@analytical.example",
        "Ada",
        "Lovelace",
        "Analytical Engines",
    ];

    fn check(password: &str) -> Result<(), String> {
        PasswordPolicy::default().check(password, &CONTEXT)
    }

    #[test]
    fn long_and_unusual_is_enough() {
        for good in [
            "correct horse battery staple",
            "purple tricycle under the moon",
            "9f2kq0zxm1vw7tyb",
            "Тихий вечер у реки зимой",
            "kühler Wein im Schatten",
            "静かな夜に星を数えて眠る子供たち",
            "   many   spaces in   here are fine   ",
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn easy_ones_are_refused() {
        for bad in [
            "passwordpassword",
            "password1234567",
            "qwertyuiopasdfgh",
            "aaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "123456789012345678",
            "abcdefghijklmnopqrstuvwxyz",
            "letmeinletmeinletmein",
            "                    ",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_belongs_to_the_person_is_refused() {
        for bad in [
            "ada.lovelace@analytical.example",
            "AdaLovelace2026!!",
            "lovelace-ada-1815",
            "rosterrosterroster",
            "Analytical Engines 1843",
            "ada lovelace roster",
            "ANALYTICAL.ADA.EXAMPLE.1",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        // The same text is no secret of somebody else's.
        assert_eq!(
            PasswordPolicy::default().check("babbage difference mills", &CONTEXT),
            Ok(())
        );
        assert!(
            PasswordPolicy::default()
                .check("babbage difference mills", &["Babbage", "Difference Mills"])
                .is_err()
        );
    }

    #[test]
    fn length_is_counted_in_code_points_after_normalization() {
        let policy = PasswordPolicy::new(8);
        let fifteen = "zt7\u{e9}kq\u{1F980}wm2\u{f6}vx9p";
        assert_eq!(fifteen.chars().count(), 15);
        assert_eq!(check(fifteen), Ok(()));
        let decomposed: String = fifteen.nfd().collect();
        assert_eq!(check(&decomposed), Ok(()));
        assert!(check(&fifteen[..fifteen.len() - 1]).is_err());
        assert_eq!(policy.check("zt7kq9wm", &[]), Ok(()));
        assert!(
            policy
                .check("e\u{301}e\u{301}e\u{301}e\u{301}", &[])
                .is_err_and(|why| why.contains("at least 8"))
        );
        assert_eq!(PasswordPolicy::new(1).min_length(), 8);
        assert_eq!(PasswordPolicy::new(1000).min_length(), 64);
    }

    #[test]
    fn the_longest_accepted_is_256_characters() {
        let words = "vivid otter plays chess while rain ";
        let long: String = words.chars().cycle().take(256).collect();
        assert_eq!(check(&long), Ok(()));
        assert!(check(&format!("{long}x")).is_err_and(|why| why.contains("at most 256")));
        assert!(check(&"x".repeat(50_000_000)).is_err());
    }

    #[test]
    fn control_characters_are_refused() {
        for bad in [
            "vivid otter\0plays chess",
            "vivid otter plays chess\n",
            "vivid\u{85}otter plays chess",
            "vivid\totter plays chess",
        ] {
            assert!(check(bad).is_err_and(|why| why.contains("control")), "{bad:?}");
        }
    }

    #[test]
    fn the_same_keys_on_two_systems_are_one_password() {
        assert_eq!(*normalize("Zo\u{eb}"), *normalize("Zoe\u{308}"));
        assert_eq!(*normalize("\u{FF21}\u{A0}b"), "A b");
        assert_ne!(*normalize("a"), *normalize("A"));
        assert_ne!(*normalize("a "), *normalize("a"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_panics_and_no_answer_repeats_the_password(password in any::<String>(), context in any::<String>()) {
            if let Err(why) = check(&password) {
                prop_assert!(password.chars().count() < 8 || !why.contains(&password));
            }
            let _ = PasswordPolicy::new(8).check(&password, &[&context, &password]);
        }

        #[test]
        fn normalizing_twice_changes_nothing(password in any::<String>()) {
            let once = normalize(&password);
            prop_assert_eq!(&*normalize(&once), &*once);
        }
    }
}
