//! Second factors: what kinds there are, where one is asked for, and the codes that stand in for one.

use chrono::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::digest::sha256;
use crate::domain::{access_model::AccessModel, text_enum::text_enum, totp::base32};

text_enum! {
    /// A kind of second factor.
    FactorKind {
        /// An authenticator app with time-based codes.
        Totp = "totp",
    }
}

/// The method that sets one up, for a user who is refused without one.
pub const ENROLLING: &str = "roster.v1.CredentialService/BeginMfaEnrollment";

/// How many recovery codes a person gets.
pub const RECOVERY_CODES: usize = 10;
/// Random bytes of a recovery code: 120 bits, so that it may be stored under a fast hash (NIST SP 800-63B-4, section 3.1.2.2: 112 or more).
pub const RECOVERY_CODE_LEN: usize = 15;
/// Characters of a group of a recovery code.
const GROUP: usize = 6;

/// How many wrong codes an account takes in [`FAILURE_WINDOW`], whichever way they come in: three codes of a million are right at any time.
pub const MAX_FAILURES: i32 = 10;
/// How many wrong codes in a row an account takes: after them, nobody gets in by its second factor until a new password has been chosen by a link, since whoever shows codes has the
/// present one. With three of a million codes right at any time, guessing gets as far as one in three thousand.
pub const MAX_FAILURES_IN_ROW: i32 = 100;
/// After how many wrong codes in a row the owner is told: fewer come of a clock that is wrong, or of the wrong app.
pub const TELL_AFTER: i32 = 20;
/// The time that [`MAX_FAILURES`] is about.
pub const FAILURE_WINDOW: Duration = Duration::hours(1);

/// Whether a second factor is asked for in an organization: by its access model, or by itself. An organization may tighten what its model says, and never loosen it.
#[must_use]
pub fn enforced(model: &AccessModel, organization_requires: bool) -> bool {
    model.mfa_required() || organization_requires
}

/// A recovery code, to be shown once: `abcdef-ghijkl-mnopqr-stuvwx`.
#[must_use]
pub fn recovery_code(bytes: [u8; RECOVERY_CODE_LEN]) -> Zeroizing<String> {
    let plain = base32(&bytes);
    let mut shown = Zeroizing::new(String::with_capacity(plain.len() + plain.len() / GROUP));
    for (place, character) in plain.chars().enumerate() {
        if place > 0 && place % GROUP == 0 {
            shown.push('-');
        }
        shown.push(character.to_ascii_lowercase());
    }
    shown
}

/// What is stored of a recovery code. Case, hyphens and spaces do not count. It is bound to its user, so that one person's code is not looked for among everybody's.
#[must_use]
pub fn recovery_digest(user: Uuid, typed: &str) -> Vec<u8> {
    let mut bytes = Zeroizing::new(user.as_bytes().to_vec());
    let counts = typed.chars().filter(|c| !matches!(c, '-' | ' '));
    bytes.extend(counts.flat_map(char::to_lowercase).collect::<String>().bytes());
    sha256(&bytes).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_read_however_it_is_typed() {
        let code = recovery_code([0x5a; RECOVERY_CODE_LEN]);
        assert_eq!(code.len(), 27);
        let user = Uuid::from_u128(7);
        let stored = recovery_digest(user, &code);
        for typed in [code.to_uppercase(), code.replace('-', " "), code.replace('-', "")] {
            assert_eq!(recovery_digest(user, &typed), stored);
        }
        assert_ne!(recovery_digest(user, &code[1..]), stored);
        assert_ne!(recovery_digest(Uuid::from_u128(8), &code), stored);
    }
}
