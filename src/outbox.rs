//! Sends what the outbox table holds: claim, render, deliver, settle. The only place that knows lettre and minijinja.
//!
//! [`Worker`] takes due rows from the store, opens their sealed payload, has [`Renderer`] put it into words, [`Sender`] make a
//! message of it and [`Transport`] hand it over, and records the outcome. A row is delivered at least once: when a process
//! dies between the server's acceptance and the record of it, the row is sent again, under the same Message-ID (ab_01).
//!
//! lettre's feature `tracing` has to stay off: it logs every line of an SMTP session, tokens and passwords included.

mod backoff;
mod context;
mod delivery;
mod file;
mod mail;
mod metrics;
mod outcome;
mod smtp;
mod transport;
mod worker;

pub(crate) use crate::outbox::{
    context::{Branding, Mailer, Settings},
    file::MailDirectory,
    mail::{Sender, templates::Renderer},
    smtp::SmtpRelay,
    transport::Transport,
    worker::Worker,
};
