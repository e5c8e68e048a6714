//! Secrets that are used once: what each is for, how long it lasts, and how often it may be guessed at.

use chrono::{DateTime, Duration, Utc};

use crate::domain::{
    error::{Reason, Refusal},
    text_enum::text_enum,
};

text_enum! {
    /// What a secret is good for. One that is good for one thing is good for nothing else.
    Purpose {
        /// Choosing a new password by a link in a mail.
        PasswordReset = "password_reset",
        /// Showing by a link in a mail that an address is the person's, and making it theirs.
        EmailVerification = "email_verification",
        /// Confirming a session by a short code in a mail, before inviting people (JH03).
        StepUpInviteMembers = "step_up_invite_members",
        /// Completing a sign-in whose password was right (ab_23).
        SignIn = "sign_in",
        /// Confirming a second factor that is being set up.
        MfaEnrollment = "mfa_enrollment",
        /// Nothing any more: an ID token that has been used, and is remembered until its time is over (ab_28).
        IdToken = "id_token",
    }
}

/// How many wrong codes end a secret that is answered by one. With eight digits, or six that change every 30 seconds, five guesses are nothing.
pub const MAX_ATTEMPTS: i32 = 5;

/// How many messages of a kind somebody can have sent to one account in [`REQUEST_WINDOW`]: enough for a user who lost one, too few to fill a mailbox.
pub const MAX_REQUESTS: u64 = 5;

/// The time that [`MAX_REQUESTS`] is about.
pub const REQUEST_WINDOW: Duration = Duration::hours(1);

/// What ends with the sessions of a user: what one of them has begun, and its holder could finish afterwards.
pub const ENDED_WITH_SESSIONS: [Purpose; 3] = [Purpose::SignIn, Purpose::EmailVerification, Purpose::MfaEnrollment];

/// Digits of a short code in a mail.
pub const CODE_DIGITS: usize = 8;

/// How long a session counts as confirmed after a second step.
pub const STEP_UP_TIME: Duration = Duration::minutes(10);

impl Purpose {
    /// How long the secret can be used. Short where a person is waiting for it, longer where a mail may be (OWASP Forgot Password Cheat Sheet: "expire
    /// after an appropriate period").
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::PasswordReset => Duration::hours(1),
            Self::EmailVerification => Duration::hours(24),
            Self::StepUpInviteMembers | Self::MfaEnrollment => Duration::minutes(10),
            Self::SignIn => Duration::minutes(5),
            // The token says by itself how long.
            Self::IdToken => Duration::zero(),
        }
    }
}

/// Whether a secret can still be used: until the instant of its expiry, which is too late. What is wrong with one that cannot is not told: whoever holds it by
/// right asks for another.
///
/// # Errors
/// `CHALLENGE_INVALID`.
pub fn open(expire: DateTime<Utc>, consumed: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), Refusal> {
    match consumed.is_none() && now < expire {
        true => Ok(()),
        false => Err(Reason::ChallengeInvalid.into()),
    }
}

/// A short code out of random bytes: eight digits, zeros in front included. 64 bits over 10^8 values are even to one part in 10^11.
#[must_use]
pub fn short_code(bytes: [u8; 8]) -> String {
    format!("{:0width$}", u64::from_be_bytes(bytes) % 100_000_000, width = CODE_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_good_once_and_until_its_time() {
        let start = DateTime::<Utc>::UNIX_EPOCH;
        let end = start + Purpose::SignIn.lifetime();
        let tick = Duration::microseconds(1);
        assert_eq!(open(end, None, end - tick), Ok(()));
        assert_eq!(open(end, None, end), Err(Reason::ChallengeInvalid.into()));
        assert_eq!(open(end, Some(start), start), Err(Reason::ChallengeInvalid.into()));
    }

    #[test]
    fn a_short_code_has_its_zeros() {
        assert_eq!(short_code([0; 8]), "00000000");
        assert_eq!(short_code(100_000_007_u64.to_be_bytes()), "00000007");
        assert_eq!(short_code([0xff; 8]).len(), CODE_DIGITS);
    }
}
