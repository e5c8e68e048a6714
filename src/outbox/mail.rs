//! Builds the RFC 5322 message that goes over the wire or into a file.
//!
//! Nothing that a person typed reaches a header or an SMTP command with a control character in it: texts and addresses are
//! checked before lettre sees them, both parts are always quoted-printable, and the finished bytes are checked once more for a CR or LF
//! that stands alone. The last is what keeps RUSTSEC-2026-0561 (lettre before 0.11.24 does not stuff a dot after a bare line
//! ending, so a body could end the message and speak SMTP) out of reach.

pub(super) mod samples;
pub(super) mod templates;
pub(super) mod text;
pub(super) mod values;

use chrono::{DateTime, Utc};
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};
use uuid::Uuid;

use crate::outbox::mail::{
    templates::Rendered,
    text::{ControlCharacter, one_line},
};

/// RFC 5322 2.1.1: no line is longer, its CRLF not counted.
const MAX_LINE_BYTES: usize = 998;
/// A subject is cut there; mail programs show less. Only what an operator's template writes is as long: names are cut before ([`crate::outbox::mail::text::shorten`]).
const MAX_SUBJECT_CHARACTERS: usize = 200;

/// The configured sender cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a sender like `Roster <roster@example.com>` with an ASCII local part")]
pub(crate) struct SenderError(String);

/// A message could not be built, and will not be able to be later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    /// A text has a character in it that has no place in a mail.
    #[error(transparent)]
    Text(#[from] ControlCharacter),
    /// The recipient is not an address that a mail can be sent to.
    #[error("the recipient is not a usable mail address: {0}")]
    Recipient(String),
    /// The parts do not make a message.
    #[error("the message cannot be built: {0}")]
    Malformed(String),
}

/// Who mails come from.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    mailbox: Mailbox,
}

/// A message that is ready to be handed over.
#[derive(Clone)]
pub(crate) struct Email {
    /// Id of the outbox row; the left part of the Message-ID.
    pub(crate) id: Uuid,
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
}

impl Sender {
    /// Reads `Roster <roster@example.com>` or a bare address.
    ///
    /// # Errors
    /// [`SenderError`] when it is neither, or its local part is not ASCII (every mail would need SMTPUTF8 then).
    pub(crate) fn parse(text: &str) -> Result<Self, SenderError> {
        let refused = || SenderError(text.to_owned());
        one_line("sender", text).map_err(|_| refused())?;
        let mailbox: Mailbox = text.parse().map_err(|_| refused())?;
        let email = wire_address(mailbox.email.as_ref()).map_err(|_| refused())?;
        let ascii = AsRef::<str>::as_ref(&email).is_ascii();
        if ascii { Ok(Self { mailbox: Mailbox::new(mailbox.name, email) }) } else { Err(refused()) }
    }

    /// Makes a message of rendered words. The same `id` gives the same Message-ID, so that a mail that is sent a second
    /// time can be told for what it is; `date` is the time of this attempt.
    ///
    /// # Errors
    /// [`ComposeError`] when an address or text cannot stand in a message.
    pub(crate) fn compose(
        &self,
        id: Uuid,
        recipient: &str,
        words: &Rendered,
        date: DateTime<Utc>,
    ) -> Result<Email, ComposeError> {
        one_line("subject", &words.subject)?;
        let to = wire_address(one_line("recipient", recipient)?)?;
        let envelope = Envelope::new(Some(self.mailbox.email.clone()), vec![to.clone()]).map_err(malformed)?;
        let parts = MultiPart::alternative()
            // Fixed, because the one that lettre makes up is random; an id that only this mail has cannot end a part early.
            .boundary(format!("=_{}", id.simple()))
            .singlepart(part(ContentType::TEXT_PLAIN, &words.text)?)
            .singlepart(part(ContentType::TEXT_HTML, &words.html)?);
        let message = Message::builder()
            .from(self.mailbox.clone())
            .to(Mailbox::new(None, to))
            .subject(words.subject.chars().take(MAX_SUBJECT_CHARACTERS).collect::<String>())
            .date(date.into())
            .message_id(Some(format!("<{id}@{}>", self.mailbox.email.domain())))
            // RFC 3834 5.2 and its Exchange counterpart: no out-of-office replies to a machine.
            .raw_header(fixed_header("Auto-Submitted", "auto-generated"))
            .raw_header(fixed_header("X-Auto-Response-Suppress", "All"))
            .envelope(envelope.clone())
            .multipart(parts)
            .map_err(malformed)?;
        let bytes = message.formatted();
        check_lines(&bytes)?;
        Ok(Email { id, envelope, bytes })
    }
}

impl Email {
    /// The message as it is transmitted, before dot-stuffing.
    #[must_use]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// An address as it goes over the wire: as typed, except that an internationalized domain takes its ASCII form where
/// that spares the server SMTPUTF8 (RFC 6531 3.2), which a local part beyond ASCII needs in any case.
fn wire_address(text: &str) -> Result<Address, ComposeError> {
    let refused = |reason: &str| ComposeError::Recipient(reason.to_owned());
    let (local, domain) = text.rsplit_once('@').ok_or_else(|| refused("no @"))?;
    let domain = if local.is_ascii() && !domain.is_ascii() {
        idna::domain_to_ascii(domain).map_err(|_| refused("its domain has no ASCII form"))?
    } else {
        domain.to_owned()
    };
    // Beyond ASCII any character may stand in a local part (RFC 6531 3.3); lettre wants letters, which combining accents and many vowel signs are not.
    let shown = local.replace(|c: char| !c.is_ascii(), "x");
    Address::new(shown, &domain).map_err(|error| refused(&error.to_string()))?;
    Ok(Address::new_dangerous(local, domain))
}

fn part(content_type: ContentType, text: &str) -> Result<SinglePart, ComposeError> {
    // A lone CR would survive as a line ending of its own kind.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let body =
        Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable).map_err(|_| malformed("encoding"))?;
    Ok(SinglePart::builder().header(content_type).body(body))
}

fn fixed_header(name: &'static str, value: &'static str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn malformed(reason: impl std::fmt::Display) -> ComposeError {
    ComposeError::Malformed(reason.to_string())
}

/// Every line ends with CRLF, neither stands alone, and no line is too long (RFC 5322 2.3).
fn check_lines(bytes: &[u8]) -> Result<(), ComposeError> {
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let content = line.strip_suffix(b"\r\n").unwrap_or(line);
        if content.contains(&b'\r') || content.contains(&b'\n') {
            return Err(malformed("a carriage return or line feed stands alone"));
        }
        if content.len() > MAX_LINE_BYTES {
            return Err(malformed("a line is longer than 998 bytes"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
