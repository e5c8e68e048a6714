//! What a queued mail has to carry: the payload that the outbox keeps sealed until it is sent.
//!
//! It holds the one usable token or code, so it exists in the clear only in memory; `Debug` never shows it.

#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// The content of one queued message. The tag `kind` is stored with it, so that an older row is still understood later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Payload {
    /// Someone was invited to an organization (JP05).
    Invitation(InvitationMail),
    /// Someone wants to choose a new password: the secret is the token of a link (PF08).
    PasswordReset(SecretMail),
    /// Someone says that an address is theirs: the secret is the token of a link.
    EmailVerification(SecretMail),
    /// Someone confirms a session: the secret is a short code (JH03).
    StepUp(SecretMail),
    /// Something about an account changed, and its owner should know (ab_20).
    SecurityNotice(NoticeMail),
    /// Ownership of an organization changes hands, or may: told to both sides.
    Ownership(OwnershipMail),
}

/// A mail to the owner of an account that carries a secret and nothing else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretMail {
    /// The token of the link, or the code. It stands nowhere else in a usable form (ab_19).
    pub secret: String,
    /// The address as it was typed; the mail goes there.
    pub email: String,
    /// From then on the secret is refused.
    #[serde(with = "unix_micros")]
    pub expire_time: DateTime<Utc>,
    /// Language of the mail as a BCP 47 tag. A language without templates falls back to English.
    pub locale: String,
}

/// A mail that says what changed about an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeMail {
    /// What changed.
    pub notice: Notice,
    /// The address as it was typed; the mail goes there.
    pub email: String,
    /// When it changed.
    #[serde(with = "unix_micros")]
    pub time: DateTime<Utc>,
    /// Language of the mail as a BCP 47 tag. A language without templates falls back to English.
    pub locale: String,
}

/// What changed about an account. Its word is what templates tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The person has chosen a new password, knowing the old one.
    PasswordChanged,
    /// The person has chosen a new password by a link in a mail.
    PasswordReset,
    /// The person has asked for another address to take this one's place; the mail goes to this one.
    EmailChangeRequested,
    /// Another address has taken this one's place; the mail goes to this one.
    EmailChanged,
    /// A second factor was set up.
    MfaEnabled,
    /// The second factor was removed.
    MfaRemoved,
    /// New recovery codes have taken the place of the old ones.
    RecoveryCodesReplaced,
    /// A recovery code was used in place of the second factor.
    RecoveryCodeUsed,
    /// An identity at a provider was linked.
    IdentityLinked,
    /// An identity at a provider was taken away.
    IdentityUnlinked,
    /// Somebody has the password, and has shown many wrong codes.
    WrongCodes,
    /// The person has asked for the deletion of the account.
    DeletionScheduled,
}

impl Notice {
    /// Every notice there is.
    pub const ALL: [Self; 12] = [
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::EmailChangeRequested,
        Self::EmailChanged,
        Self::MfaEnabled,
        Self::MfaRemoved,
        Self::RecoveryCodesReplaced,
        Self::RecoveryCodeUsed,
        Self::IdentityLinked,
        Self::IdentityUnlinked,
        Self::WrongCodes,
        Self::DeletionScheduled,
    ];

    /// The notice's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::EmailChangeRequested => "email_change_requested",
            Self::EmailChanged => "email_changed",
            Self::MfaEnabled => "mfa_enabled",
            Self::MfaRemoved => "mfa_removed",
            Self::RecoveryCodesReplaced => "recovery_codes_replaced",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::IdentityLinked => "identity_linked",
            Self::IdentityUnlinked => "identity_unlinked",
            Self::WrongCodes => "wrong_codes",
            Self::DeletionScheduled => "deletion_scheduled",
        }
    }
}

/// How long a notice is worth sending: after a longer outage it would only puzzle.
const NOTICE_TIME: TimeDelta = TimeDelta::days(7);

fn notice_end(time: DateTime<Utc>) -> DateTime<Utc> {
    time.checked_add_signed(NOTICE_TIME).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// What happens to the ownership of an organization, as the reader is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnershipNews {
    /// The reader owns the organization now.
    Received,
    /// The reader has handed it over.
    HandedOver,
    /// The reader is asked to take it over.
    Nominated,
    /// The reader has asked somebody to take it over.
    Offered,
    /// The transfer was called off.
    Cancelled,
}

impl OwnershipNews {
    /// Every news there is.
    pub const ALL: [Self; 5] = [Self::Received, Self::HandedOver, Self::Nominated, Self::Offered, Self::Cancelled];

    /// The word that templates know it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::HandedOver => "handed_over",
            Self::Nominated => "nominated",
            Self::Offered => "offered",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a mail about ownership says. It carries no secret: who is asked to confirm does so signed in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OwnershipMail {
    /// What happens.
    pub news: OwnershipNews,
    /// The reader's address; the mail goes there.
    pub email: String,
    /// Display name of the organization.
    pub organization_name: String,
    /// Display name of the other side.
    pub other_name: String,
    /// When it happened.
    #[serde(with = "unix_micros")]
    pub time: DateTime<Utc>,
    /// Until when a nominee can confirm.
    #[serde(with = "unix_micros")]
    pub expire_time: DateTime<Utc>,
    /// Language of the mail.
    pub locale: String,
}

/// What an invitation mail says. Names are one line of text; who renders them decides how they are made harmless (ab_26).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationMail {
    /// The secret that the link carries. It stands nowhere else in a usable form (ab_19).
    pub token: String,
    /// Display name of the inviter; `None` when a service account invited.
    pub inviter_name: Option<String>,
    /// Address of the inviter; `None` when it is not to be shown.
    pub inviter_email: Option<String>,
    /// Display name of the organization.
    pub organization_name: String,
    /// Titles of the roles, in the order in which they are to be read.
    pub role_names: Vec<String>,
    /// The invited address as it was typed (ab_27); the mail goes there.
    pub invitee_email: String,
    /// From then on the link is refused.
    #[serde(with = "unix_micros")]
    pub expire_time: DateTime<Utc>,
    /// Language of the mail as a BCP 47 tag, such as `en` or `de-CH`. A language without templates falls back to English.
    pub locale: String,
    /// A few words of the inviter; may have several lines, separated by `\n`.
    pub message: Option<String>,
}

/// A stored payload that cannot be read. It says where, never what: the text may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored payload of the message is not understood (line {line}, column {column})")]
pub struct PayloadError {
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for PayloadError {
    fn from(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

impl Payload {
    /// The value of the outbox row's `kind` column.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Invitation(_) => "invitation",
            Self::PasswordReset(_) => "password_reset",
            Self::EmailVerification(_) => "email_verification",
            Self::StepUp(_) => "step_up",
            Self::SecurityNotice(_) => "security_notice",
            Self::Ownership(_) => "ownership",
        }
    }

    /// The address to which the mail goes.
    #[must_use]
    pub fn recipient(&self) -> &str {
        match self {
            Self::Invitation(mail) => &mail.invitee_email,
            Self::PasswordReset(mail) | Self::EmailVerification(mail) | Self::StepUp(mail) => &mail.email,
            Self::SecurityNotice(mail) => &mail.email,
            Self::Ownership(mail) => &mail.email,
        }
    }

    /// From then on the mail is of no use to its reader and is not sent any more.
    #[must_use]
    pub fn expire_time(&self) -> DateTime<Utc> {
        match self {
            Self::Invitation(mail) => mail.expire_time,
            Self::PasswordReset(mail) | Self::EmailVerification(mail) | Self::StepUp(mail) => mail.expire_time,
            Self::SecurityNotice(mail) => notice_end(mail.time),
            Self::Ownership(mail) => notice_end(mail.time),
        }
    }

    /// The token or code inside, for those who have to keep it out of a log or an error text.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Invitation(mail) => Some(&mail.token),
            Self::PasswordReset(mail) | Self::EmailVerification(mail) | Self::StepUp(mail) => Some(&mail.secret),
            Self::SecurityNotice(_) | Self::Ownership(_) => None,
        }
    }
}

/// A payload as the outbox keeps it: with the brand that it is sent under, which a later rule or setting does not change any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMail {
    /// The access model whose brand it has; `None`: the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// What it says.
    #[serde(flatten)]
    pub payload: Payload,
}

impl StoredMail {
    /// The mail as JSON, to be sealed. The bytes are erased when they are dropped.
    ///
    /// # Errors
    /// Only when a value has no JSON form, which no value of these types lacks.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
        Ok(Zeroizing::new(serde_json::to_vec(self)?))
    }

    /// Reads what [`StoredMail::to_bytes`] wrote. Unknown fields are ignored, so that a newer replica may add one.
    ///
    /// # Errors
    /// [`PayloadError`] when the bytes are not such a mail.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PayloadError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

impl Drop for SecretMail {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl std::fmt::Debug for SecretMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretMail")
            .field("expire_time", &self.expire_time)
            .field("locale", &self.locale)
            .finish_non_exhaustive()
    }
}

impl Drop for InvitationMail {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

impl std::fmt::Debug for InvitationMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InvitationMail")
            .field("organization_name", &self.organization_name)
            .field("role_names", &self.role_names)
            .field("expire_time", &self.expire_time)
            .field("locale", &self.locale)
            .finish_non_exhaustive()
    }
}

/// Times as microseconds since 1970, exact and without chrono's serde feature.
mod unix_micros {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.timestamp_micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        DateTime::from_timestamp_micros(i64::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("time out of range"))
    }
}
