//! What the worker and each of its deliveries work with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    outbox::{
        backoff::Backoff,
        mail::{Sender, templates::Renderer},
        metrics::Metrics,
        transport::Transport,
    },
    platform::{Clock, Entropy, Keyring},
    store::Store,
};

/// How the worker behaves. `Default` is what production uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Deliveries at a time; a slow server holds these and nothing else.
    pub(crate) slots: usize,
    /// How long a claim lasts without a heartbeat: the longest that a message waits after its worker died.
    pub(crate) lease: Duration,
    /// How often a running delivery extends its lease.
    pub(crate) heartbeat: Duration,
    /// How often the table is looked at when nothing says that there is something new.
    pub(crate) poll_interval: Duration,
    /// When a failed delivery is tried again.
    pub(crate) backoff: Backoff,
    /// A message of this age that fails once more is given up, though not before its eighth attempt. At least a day (RFC 5321 4.5.4.1 says 4 to 5).
    pub(crate) give_up_after: Duration,
    /// What running deliveries have to finish when the process is asked to stop.
    pub(crate) drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: 8,
            lease: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
            poll_interval: Duration::from_secs(5),
            backoff: Backoff { base: Duration::from_secs(30), cap: Duration::from_secs(3600) },
            give_up_after: Duration::from_secs(3 * 24 * 3600),
            drain: Duration::from_secs(20),
        }
    }
}

/// How the mails of a brand come to be.
#[derive(Debug)]
pub(crate) struct Branding {
    /// Puts them into words.
    pub(crate) renderer: Renderer,
    /// Makes messages of the words.
    pub(crate) sender: Sender,
}

/// How a payload becomes a mail in somebody's hands.
#[derive(Debug)]
pub(crate) struct Mailer {
    /// By the server's brand.
    pub(crate) server: Branding,
    /// By those of products, by access model.
    pub(crate) products: BTreeMap<String, Branding>,
    /// Hands it over.
    pub(crate) transport: Transport,
}

impl Mailer {
    /// How a mail comes to be that was stored under a brand. One that is not there any more is the server's.
    pub(super) fn branding(&self, brand: Option<&str>) -> &Branding {
        brand.and_then(|brand| self.products.get(brand)).unwrap_or(&self.server)
    }
}

/// What every delivery needs.
pub(super) struct Context {
    pub(super) store: Arc<Store>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) mailer: Mailer,
    pub(super) settings: Settings,
    pub(super) metrics: Metrics,
}
