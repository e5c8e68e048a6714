//! Hands messages to a mail server, over a few connections that are kept between messages.
//!
//! What counts as final: a 5xx reply to this sender, this recipient or this message. Everything else may pass: 4xx, a refused, slow or
//! broken connection, and a 5xx while connecting or signing in, which is our configuration's fault and not the message's. A
//! connection that breaks after the final dot leaves open whether the message was taken; it is sent again, with the same
//! Message-ID (ab_03).

#[cfg(test)]
pub(super) mod sink;
pub(super) mod stream;
pub(super) mod url;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use lettre::transport::smtp::{
    Error as LettreError,
    authentication::Mechanism,
    client::AsyncSmtpConnection,
    commands::{Data, Mail, Rcpt},
    extension::{Extension, MailBodyParameter, MailParameter},
    response::Response,
};
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::{
    outbox::{
        mail::Email,
        outcome::{Accepted, DeliveryError},
        smtp::{
            stream::{dial, tls_config},
            url::{SmtpUrl, SmtpUrlError},
        },
    },
    platform::Clock,
};

/// An idle connection is closed after that; servers wait longer (RFC 5321 4.5.3.2.7: 5 minutes).
const MAX_IDLE: Duration = Duration::from_secs(30);
/// A connection is closed after so many messages, so that they spread over the addresses of a relay.
const MAX_MESSAGES: u32 = 100;
/// Nobody waits longer for a goodbye.
const QUIT_LIMIT: Duration = Duration::from_secs(1);

/// A mail server and the open connections to it.
#[derive(Debug)]
pub(crate) struct SmtpRelay {
    url: SmtpUrl,
    tls: Arc<ClientConfig>,
    clock: Clock,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    smtp: AsyncSmtpConnection,
    messages: u32,
    last_used: DateTime<Utc>,
}

/// Why a transaction failed, and whether the connection had been used before and broke before the server saw anything of this message.
struct Failure {
    error: DeliveryError,
    stale: bool,
}

impl SmtpRelay {
    /// Reads the address (see the table in this module's `smtp_url`) and `extra_roots`, PEM certificates that are trusted besides the
    /// public ones. Connects to nothing yet: the server may come up after us.
    ///
    /// # Errors
    /// [`SmtpUrlError`] when the address or a certificate is not understood.
    pub(crate) fn new(url: &str, extra_roots: Option<&[u8]>, clock: Clock) -> Result<Self, SmtpUrlError> {
        Ok(Self { url: SmtpUrl::parse(url)?, tls: tls_config(extra_roots)?, clock, idle: Mutex::default() })
    }

    pub(super) async fn deliver(&self, email: &Email) -> Result<Accepted, DeliveryError> {
        if let Some(mut connection) = self.take_idle() {
            match self.transact(&mut connection, email).await {
                Ok(accepted) => return Ok(self.keep(connection, accepted)),
                // The server closed it while it was idle; nothing is wrong with the message or the server.
                Err(failure) if failure.stale => {}
                Err(failure) => return Err(self.part(connection, failure).await),
            }
        }
        let mut connection = self.connect().await?;
        match self.transact(&mut connection, email).await {
            Ok(accepted) => Ok(self.keep(connection, accepted)),
            Err(failure) => Err(self.part(connection, failure).await),
        }
    }

    async fn connect(&self) -> Result<Connection, DeliveryError> {
        let limit = self.url.timeouts.connect;
        let place = format!("{}:{}", self.url.host, self.url.port);
        let trouble =
            |step: &str, reason: &dyn std::fmt::Display| DeliveryError::Transient(format!("{step} {place}: {reason}"));
        let stream = dial(&self.url, &self.tls).await.map_err(|error| trouble("connecting to", &error))?;
        let mut smtp = timed(limit, AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.url.ehlo))
            .await
            .map_err(|error| trouble("greeting", &error))?;
        if let Some(credentials) = &self.url.credentials {
            timed(limit, smtp.auth(&[Mechanism::Plain, Mechanism::Login], credentials))
                .await
                .map_err(|error| trouble("signing in to", &error))?;
        }
        Ok(Connection { smtp, messages: 0, last_used: self.clock.now() })
    }

    /// One message: MAIL, RCPT, DATA, the message.
    async fn transact(&self, connection: &mut Connection, email: &Email) -> Result<Accepted, Failure> {
        let reused = connection.messages > 0;
        let smtp = &mut connection.smtp;
        let limits = self.url.timeouts;
        let recipients = email.envelope.to();
        let mut parameters = Vec::new();
        if recipients.iter().any(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
            if !smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                let reason = "the mail server does not take internationalized addresses (SMTPUTF8)";
                return Err(DeliveryError::Permanent(reason.into()).into());
            }
            parameters.push(MailParameter::SmtpUtfEight);
            if !email.bytes.is_ascii() && smtp.server_info().supports_feature(Extension::EightBitMime) {
                parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
            }
        }
        let mail = Mail::new(email.envelope.from().cloned(), parameters);
        if let Err(error) = timed(limits.command, smtp.command(mail)).await {
            return Err(Failure { stale: reused && error.connection_is_gone(), error: error.judge("MAIL FROM") });
        }
        for recipient in recipients {
            timed(limits.command, smtp.command(Rcpt::new(recipient.clone(), Vec::new())))
                .await
                .map_err(|error| error.judge("RCPT TO"))?;
        }
        let go_ahead = timed(limits.command, smtp.command(Data)).await.map_err(|error| error.judge("DATA"))?;
        if !go_ahead.has_code(354) {
            return Err(DeliveryError::Transient(format!("DATA: unexpected reply {}", go_ahead.code())).into());
        }
        let reply = timed(limits.message, smtp.message(&email.bytes)).await.map_err(|error| error.judge("message"))?;
        Ok(Accepted { reply: one_text(&reply) })
    }

    fn take_idle(&self) -> Option<Connection> {
        let now = self.clock.now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop_if(|connection| connection.is_fresh(now))
    }

    fn keep(&self, mut connection: Connection, accepted: Accepted) -> Accepted {
        connection.messages += 1;
        connection.last_used = self.clock.now();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        accepted
    }

    /// After a refusal the connection would still do, but a fresh one is the simpler way to a known state.
    async fn part(&self, connection: Connection, failure: Failure) -> DeliveryError {
        connection.quit().await;
        failure.error
    }

    pub(super) async fn close_idle(&self) {
        let now = self.clock.now();
        self.close_where(|connection| !connection.is_fresh(now)).await;
    }

    pub(super) async fn close(&self) {
        self.close_where(|_| true).await;
    }

    async fn close_where(&self, old: impl Fn(&Connection) -> bool) {
        let closing: Vec<Connection> = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.extract_if(.., |connection| old(connection)).collect()
        };
        futures_util::future::join_all(closing.into_iter().map(Connection::quit)).await;
    }
}

impl Connection {
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.messages < MAX_MESSAGES && (now - self.last_used).to_std().is_ok_and(|idle| idle < MAX_IDLE)
    }

    async fn quit(mut self) {
        // Whether the server hears it does not matter.
        let _ = timeout(QUIT_LIMIT, self.smtp.abort()).await;
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("messages", &self.messages)
            .field("last_used", &self.last_used)
            .finish_non_exhaustive()
    }
}

impl From<DeliveryError> for Failure {
    fn from(error: DeliveryError) -> Self {
        Self { error, stale: false }
    }
}

/// What went wrong in one step.
#[derive(Debug)]
enum StepError {
    Timeout(Duration),
    Smtp(LettreError),
}

impl StepError {
    /// The server closed the connection, or says that it is about to (421).
    fn connection_is_gone(&self) -> bool {
        match self {
            Self::Timeout(_) => false,
            Self::Smtp(error) => error.status().is_none_or(|code| u16::from(code) == 421),
        }
    }

    /// Final or passing? In an answer to the message itself, the first digit says it (RFC 5321 4.2.1), unless it is about
    /// our signing in (RFC 4954 6).
    fn judge(self, step: &str) -> DeliveryError {
        let text = format!("{step}: {self}");
        match self {
            Self::Smtp(error)
                if error.is_permanent() && !matches!(error.status().map(u16::from), Some(530 | 534 | 535 | 538)) =>
            {
                DeliveryError::Permanent(text)
            }
            _ => DeliveryError::Transient(text),
        }
    }
}

impl std::fmt::Display for StepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout(limit) => write!(f, "no reply within {} s", limit.as_secs()),
            Self::Smtp(error) => error.fmt(f),
        }
    }
}

async fn timed<T>(limit: Duration, step: impl Future<Output = Result<T, LettreError>>) -> Result<T, StepError> {
    match timeout(limit, step).await {
        Ok(result) => result.map_err(StepError::Smtp),
        Err(_) => Err(StepError::Timeout(limit)),
    }
}

fn one_text(reply: &Response) -> String {
    format!("{} {}", reply.code(), reply.message().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests;
