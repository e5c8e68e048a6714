//! Where messages are handed over: an SMTP server, or files in a directory.

use super::{
    file::MailDirectory,
    mail::Email,
    outcome::{Accepted, DeliveryError},
    smtp::SmtpRelay,
};

/// Who takes the messages.
#[derive(Debug)]
pub(crate) enum Transport {
    /// A mail server.
    Smtp(Box<SmtpRelay>),
    /// A directory of `.eml` files, for development and tests.
    Files(MailDirectory),
}

impl Transport {
    /// Hands one message over.
    ///
    /// # Errors
    /// [`DeliveryError`]; after a transient one the message may nevertheless have been taken (a connection cut after the final dot).
    pub(crate) async fn deliver(&self, email: &Email) -> Result<Accepted, DeliveryError> {
        match self {
            Self::Smtp(relay) => relay.deliver(email).await,
            Self::Files(directory) => directory.deliver(email).await,
        }
    }

    /// Says goodbye to connections that have been idle for too long; call it every few seconds.
    pub(crate) async fn close_idle(&self) {
        if let Self::Smtp(relay) = self {
            relay.close_idle().await;
        }
    }

    /// Says goodbye to all idle connections, before the process ends.
    pub(crate) async fn close(&self) {
        if let Self::Smtp(relay) = self {
            relay.close().await;
        }
    }
}
