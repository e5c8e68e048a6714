//! Attempts to sign in, and how they end.

use crate::domain::text_enum::text_enum;

text_enum! {
    /// How an attempt to sign in ended.
    SignInOutcome {
        /// A session began.
        Succeeded = "succeeded",
        /// It was refused: the password was wrong, or the account may not sign in.
        Failed = "failed",
    }
}
