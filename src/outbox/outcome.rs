//! How an attempt to hand a message over ends.

/// The message is in somebody else's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// What the server said, often with its queue id; or the path of the file.
    pub(crate) reply: String,
}

/// The message was not taken. The text says at which step and why; it may quote a server, and so the recipient's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// It may be taken later: a 4xx reply, a broken or slow connection, or a fault in our configuration that an operator will mend.
    #[error("{0}")]
    Transient(String),
    /// It never will be: a 5xx reply to this message.
    #[error("{0}")]
    Permanent(String),
}
