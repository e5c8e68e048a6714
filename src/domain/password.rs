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
/// Pieces of the password that zxcvbn may look up, readings times pieces of one reading: four readings of 64 characters. It reads a
/// password once for every way to take its signs for letters, which are 1152 for the dearest, and looks up every piece of each. A
/// password of many such signs is therefore judged by its beginning.
const MAX_LOOKUPS: usize = 4 * pieces(ESTIMATED_CHARACTERS);
/// Characters that are looked at in any case. Nobody guesses this many that are random.
const LEAST_ESTIMATED: usize = 12;
/// The signs that zxcvbn takes for letters, by letter, and how many more readings each of them makes at the most. Those that stand for
/// two letters make two.
const SIGNS: [&[(char, usize)]; 12] = [
    &[('4', 1), ('@', 1)],
    &[('8', 1)],
    &[('(', 1), ('{', 1), ('[', 1), ('<', 1)],
    &[('3', 1)],
    &[('6', 1), ('9', 1)],
    &[('1', 1), ('!', 1), ('|', 1)],
    &[('1', 2), ('|', 2), ('7', 2)],
    &[('0', 1)],
    &[('$', 1), ('5', 1)],
    &[('+', 1), ('7', 1)],
    &[('%', 1)],
    &[('2', 1)],
];
/// 10^8 guesses or more: what zxcvbn's authors call safely unguessable where passwords are hashed slowly.
const ALONE_LOWEST_SCORE: Score = Score::Three;
/// 10^6 guesses or more: enough where a second factor is always asked for. Even eight random characters are no more than 10^8.
const LOWEST_SCORE: Score = Score::Two;
/// Words that an attacker of this product would try.
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
        Self { min_length: min_length.clamp(SHORTEST_MIN_LENGTH, 64) }
    }

    /// The fewest characters it accepts.
    #[must_use]
    pub const fn min_length(&self) -> usize {
        self.min_length
    }

    /// Whether a password has a form that may be chosen: its length and its characters. Takes microseconds, so that it can be asked of
    /// anybody's.
    ///
    /// # Errors
    /// A description for the person, without the password.
    pub fn check_form(&self, password: &str) -> Result<(), String> {
        let too_long = || format!("must have at most {MAX_LENGTH} characters");
        if password.len() > MAX_OCTETS {
            return Err(too_long());
        }
        let normal = normalize(password);
        if normal.chars().any(char::is_control) {
            return Err("must not contain control characters".to_owned());
        }
        match normal.chars().count() {
            n if n < self.min_length => Err(format!("must have at least {} characters", self.min_length)),
            n if n > MAX_LENGTH => Err(too_long()),
            _ => Ok(()),
        }
    }

    /// Whether a password is hard enough to guess. `context` are words that belong to the person: addresses, names, username,
    /// organization.
    ///
    /// Takes up to 10 milliseconds of processor time, whatever the password: too long for a thread that serves others, and for whoever
    /// has not shown a right to it (ab_31).
    ///
    /// # Errors
    /// A description for the person, without the password.
    pub fn check_strength(&self, password: &str, context: &[&str]) -> Result<(), String> {
        let normal = normalize(password);
        let words = context_words(context);
        if is_made_of(&normal, &words) {
            return Err("must not be made of the person's own names or addresses".to_owned());
        }
        let estimated = estimated(&normal);
        let inputs: Vec<&str> = words.iter().map(String::as_str).collect();
        let lowest = if self.min_length < ALONE_MIN_LENGTH { LOWEST_SCORE } else { ALONE_LOWEST_SCORE };
        if zxcvbn(&estimated, &inputs).score() < lowest {
            return Err("is too easy to guess: common passwords, names, dates, repetitions and keyboard runs are known to attackers".to_owned());
        }
        Ok(())
    }
}

/// Pieces of a text of that many characters.
const fn pieces(characters: usize) -> usize {
    characters * (characters + 1) / 2
}

/// What the estimate looks at: as much of the beginning as is looked up within [`MAX_LOOKUPS`].
fn estimated(normal: &str) -> Zeroizing<String> {
    let mut beginning = Zeroizing::new(String::with_capacity(normal.len()));
    for (before, character) in normal.chars().take(ESTIMATED_CHARACTERS).enumerate() {
        beginning.push(character);
        if before >= LEAST_ESTIMATED && readings(&beginning) * pieces(before + 1) > MAX_LOOKUPS {
            beginning.pop();
            break;
        }
    }
    beginning
}

/// In how many ways signs can be taken for letters, at the most.
fn readings(text: &str) -> usize {
    let present = |letter: &&[(char, usize)]| -> usize {
        let readings = letter.iter().filter(|(sign, _)| text.contains(*sign)).map(|(_, more)| more);
        readings.sum::<usize>().max(1)
    };
    SIGNS.iter().map(present).product()
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
        let whole = text.nfkc().flat_map(char::to_lowercase).take(ESTIMATED_CHARACTERS).collect::<String>();
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

    const CONTEXT: [&str; 4] = ["ada.lovelace@analytical.example", "Ada", "Lovelace", "Analytical Engines"];

    fn both(policy: PasswordPolicy, password: &str, context: &[&str]) -> Result<(), String> {
        policy.check_form(password)?;
        policy.check_strength(password, context)
    }

    fn check(password: &str) -> Result<(), String> {
        both(PasswordPolicy::default(), password, &CONTEXT)
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
        assert_eq!(check("babbage difference mills"), Ok(()));
        assert!(
            PasswordPolicy::default()
                .check_strength("babbage difference mills", &["Babbage", "Difference Mills"])
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
        assert_eq!(both(policy, "zt7kq9wm", &[]), Ok(()));
        assert!(policy.check_form("e\u{301}e\u{301}e\u{301}e\u{301}").is_err_and(|why| why.contains("at least 8")));
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

    /// ab_31: zxcvbn reads a password once for each way to take its signs for letters.
    #[test]
    fn of_signs_that_stand_for_letters_only_so_many_are_looked_at() {
        let every_sign = "4@8({[<369!1|70$5+%2";
        assert_eq!(readings(every_sign), 2 * 4 * 2 * 3 * 6 * 2 * 2);
        assert_eq!(readings("correct horse battery staple"), 1);
        let longest: String = every_sign.chars().cycle().take(256).collect();
        let looked_at = estimated(&longest);
        assert_eq!(looked_at.chars().count(), LEAST_ESTIMATED);
        assert_eq!(check(&longest), Ok(()), "random signs are strong");
        for ordinary in ["correct horse battery staple", "p4ssw0rd p4ssw0rd p4ssw0rd p4ssw0rd", "9f2kq0zxm1vw7tyb"] {
            assert_eq!(*estimated(ordinary), ordinary);
        }
        for bad in ["p4$$w0rdp4$$w0rd", "p4ssw0rd12345678", "l0v3l0v3l0v3l0v3", "(4((4((4((4((4(("] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
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
            let _ = both(PasswordPolicy::new(8), &password, &[&context, &password]);
        }

        #[test]
        fn normalizing_twice_changes_nothing(password in any::<String>()) {
            let once = normalize(&password);
            prop_assert_eq!(&*normalize(&once), &*once);
        }
    }
}
