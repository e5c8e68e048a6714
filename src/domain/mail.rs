//! What a queued mail has to carry: the payload that the outbox keeps sealed until it is sent.
//!
//! It holds the one usable token of an invitation, so it exists in the clear only in memory; `Debug` never shows the token.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// The content of one queued message. The tag `kind` is stored with it, so that an older row is still understood later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Payload {
    /// Someone was invited to an organization (JP05).
    Invitation(InvitationMail),
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
        Self {
            line: error.line(),
            column: error.column(),
        }
    }
}

impl Payload {
    /// The value of the outbox row's `kind` column.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Invitation(_) => "invitation",
        }
    }

    /// The address to which the mail goes.
    #[must_use]
    pub fn recipient(&self) -> &str {
        match self {
            Self::Invitation(mail) => &mail.invitee_email,
        }
    }

    /// From then on the mail is of no use to its reader and is not sent any more.
    #[must_use]
    pub const fn expire_time(&self) -> DateTime<Utc> {
        match self {
            Self::Invitation(mail) => mail.expire_time,
        }
    }

    /// The token inside, for those who have to keep it out of a log or an error text.
    #[must_use]
    pub fn token(&self) -> &str {
        match self {
            Self::Invitation(mail) => &mail.token,
        }
    }

    /// The payload as JSON, to be sealed. The bytes are erased when they are dropped.
    ///
    /// # Errors
    /// Only when a value has no JSON form, which no value of these types lacks.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, PayloadError> {
        Ok(Zeroizing::new(serde_json::to_vec(self)?))
    }

    /// Reads what [`Payload::to_bytes`] wrote. Unknown fields are ignored, so that a newer replica may add one.
    ///
    /// # Errors
    /// [`PayloadError`] when the bytes are not such a payload.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PayloadError> {
        Ok(serde_json::from_slice(bytes)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Payload {
        Payload::Invitation(InvitationMail {
            token: "s3cret-token".into(),
            inviter_name: Some("Ada".into()),
            inviter_email: None,
            organization_name: "Example".into(),
            role_names: vec!["Admin".into()],
            invitee_email: "Bob@Example.com".into(),
            expire_time: DateTime::from_timestamp_micros(1_795_000_000_123_456).unwrap_or_default(),
            locale: "en".into(),
            message: Some("Hi\nthere".into()),
        })
    }

    #[test]
    fn a_payload_comes_back_as_it_was_written() {
        let bytes = sample().to_bytes().map(|bytes| bytes.to_vec());
        assert_eq!(bytes.and_then(|bytes| Payload::from_bytes(&bytes)), Ok(sample()));
    }

    #[test]
    fn the_stored_form_is_the_one_that_rows_already_have() {
        let stored = br#"{"kind":"invitation","token":"t","inviter_name":null,"inviter_email":null,"organization_name":"o",
            "role_names":[],"invitee_email":"a@b.c","expire_time":1,"locale":"en","message":null,"of_a_newer_release":true}"#;
        let read = Payload::from_bytes(stored);
        assert!(
            matches!(&read, Ok(payload) if payload.token() == "t" && payload.expire_time().timestamp_micros() == 1),
            "{read:?}"
        );
    }

    #[test]
    fn ab_19_neither_debug_nor_an_error_shows_the_token() {
        assert!(!format!("{:?}", sample()).contains("s3cret"));
        let broken = br#"{"kind":"invitation","token":["s3cret-token"]}"#;
        let error = Payload::from_bytes(broken);
        assert!(error.is_err());
        assert!(!format!("{error:?}").contains("s3cret"));
    }
}
