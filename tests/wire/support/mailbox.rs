//! A mail server for tests: accepts mail over real SMTP, keeps it, and fails in the ways that mail servers fail (ab_03).
//!
//! It is strict where a lax server would hide a fault of the sender: line ends, order of commands, and the extensions that 8-bit
//! text needs (RFC 5321, 6152, 6531). What it objects to is in [`Mailbox::complaints`].

mod session;

use session::{Envelope, Session};

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail_parser::MessageParser;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long [`Mailbox::wait_for`] waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// A way to fail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// 421 instead of a greeting: the server takes no mail now.
    Unavailable,
    /// 450 for this recipient: greylisted, come again.
    Greylist(String),
    /// 550 for this recipient: there is no such mailbox.
    Reject(String),
    /// 550 for every message after its final dot: the content is refused.
    RejectContent,
    /// No answer from this command on, while the connection stays open.
    Hang(Stage),
    /// The message is kept and the connection closed without an answer to the final dot.
    CutAfterDot,
    /// Every answer takes this long.
    Slow(Duration),
}

/// Where in a session something happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Greeting,
    Recipient,
    FinalDot,
}

/// One message as it arrived for one or more recipients.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// MAIL FROM.
    pub(crate) sender: String,
    /// RCPT TO, in order, as written.
    pub(crate) recipients: Vec<String>,
    /// The message without dot stuffing, with its CRLFs.
    pub(crate) raw: Vec<u8>,
    /// Without angle brackets; empty if there is none.
    pub(crate) message_id: String,
    pub(crate) subject: String,
    /// The decoded text/plain part.
    pub(crate) text: String,
    /// The decoded text/html part.
    pub(crate) html: String,
}

impl Mail {
    fn parse(envelope: Envelope, raw: Vec<u8>) -> Self {
        let parsed = MessageParser::default().parse(&raw).unwrap_or_default();
        let part = |found: Option<std::borrow::Cow<'_, str>>| found.unwrap_or_default().into_owned();
        Self {
            message_id: parsed.message_id().unwrap_or_default().to_owned(),
            subject: parsed.subject().unwrap_or_default().to_owned(),
            text: part(parsed.body_text(0)),
            html: part(parsed.body_html(0)),
            sender: envelope.sender.unwrap_or_default(),
            recipients: envelope.recipients,
            raw,
        }
    }

    /// A header as it stands in the message, unfolded but not decoded.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.raw).replace("\r\n ", " ").replace("\r\n\t", " ");
        let head = text.split("\r\n\r\n").next()?;
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }

    /// The invitation's token, out of the link in the text part.
    pub(crate) fn invitation_token(&self) -> String {
        self.token("rin_")
    }

    /// The token with this prefix, out of the link in the text part.
    pub(crate) fn token(&self, prefix: &str) -> String {
        self.find_token(prefix).unwrap_or_else(|| panic!("no {prefix} token in {:?}", self.text))
    }

    fn find_token(&self, prefix: &str) -> Option<String> {
        let start = self.text.find(prefix)?;
        let of_token = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        Some(self.text[start..].chars().take_while(of_token).collect())
    }

    /// The short code, which stands on a line of its own in the text part.
    pub(crate) fn code(&self) -> String {
        self.find_code().unwrap_or_else(|| panic!("no code in {:?}", self.text))
    }

    fn find_code(&self) -> Option<String> {
        let is_code = |line: &&str| line.len() == 8 && line.chars().all(|c| c.is_ascii_digit());
        self.text.lines().map(str::trim).find(is_code).map(str::to_owned)
    }
}

/// The mail server. Clones are the same server; it ends with the last of them.
#[derive(Clone)]
pub(crate) struct Mailbox(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    /// Moves with each message that arrives.
    arrived: watch::Sender<usize>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    mails: Vec<Mail>,
    /// The fault and how often it still happens; `None`: until healed.
    faults: Vec<(Fault, Option<usize>)>,
    complaints: Vec<String>,
    connections: usize,
    recipients: Vec<String>,
}

impl Mailbox {
    /// Starts a server on a free port of the loopback interface.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Shared {
            address: listener.local_addr()?,
            state: Mutex::default(),
            arrived: watch::Sender::new(0),
            listener: Mutex::default(),
        };
        let mailbox = Self(Arc::new(shared));
        mailbox.listen(listener);
        Ok(mailbox)
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Where it is, for `ROSTER_SMTP_URL`.
    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.0.address)
    }

    /// Fails in this way until [`Mailbox::heal`].
    pub(crate) fn inject(&self, fault: Fault) {
        self.0.state().faults.push((fault, None));
    }

    /// Fails in this way the next `times` times that it applies.
    pub(crate) fn inject_times(&self, fault: Fault, times: usize) {
        self.0.state().faults.push((fault, Some(times)));
    }

    /// Closes the port, so that connections are refused, until [`Mailbox::heal`].
    pub(crate) async fn refuse(&self) {
        let listener = lock(&self.0.listener).take();
        if let Some(listener) = listener {
            listener.abort();
            // The port is closed when the task is gone, not when it is told to go.
            let _ = listener.await;
        }
    }

    /// Works again. Sessions that hang go on hanging; they are the client's to give up.
    pub(crate) async fn heal(&self) {
        self.0.state().faults.clear();
        if lock(&self.0.listener).is_none() {
            self.listen(TcpListener::bind(self.0.address).await.expect("the mailbox's port has been taken"));
        }
    }

    /// Everything that has arrived, oldest first.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.0.state().mails.clone()
    }

    /// What has arrived for one address, oldest first. The address counts as it is written in the envelope.
    pub(crate) fn mails_for(&self, address: &str) -> Vec<Mail> {
        let state = self.0.state();
        state.mails.iter().filter(|mail| mail.recipients.iter().any(|to| to == address)).cloned().collect()
    }

    /// Waits until at least `count` messages have arrived for an address, and answers with all of them. Two messages that were
    /// under way together arrive in any order: who looks for one of them waits for its token or its code.
    pub(crate) async fn wait_for(&self, address: &str, count: usize) -> Vec<Mail> {
        self.wait_until(address, count, || self.mails_for(address)).await
    }

    /// The tokens with this prefix that have arrived for an address, oldest first.
    pub(crate) fn tokens(&self, address: &str, prefix: &str) -> Vec<String> {
        let mails = self.mails_for(address);
        mails.iter().filter_map(|mail| mail.find_token(prefix)).collect()
    }

    /// Waits until `count` messages with such a token have arrived for an address, and answers with the last one's. Other messages
    /// do not count.
    pub(crate) async fn wait_for_token(&self, address: &str, prefix: &str, count: usize) -> String {
        let mut tokens = self.wait_until(address, count, || self.tokens(address, prefix)).await;
        tokens.swap_remove(count - 1)
    }

    /// The short codes that have arrived for an address, oldest first.
    pub(crate) fn codes(&self, address: &str) -> Vec<String> {
        self.mails_for(address).iter().filter_map(Mail::find_code).collect()
    }

    /// Waits until `count` messages with a short code have arrived for an address, and answers with the last one's.
    pub(crate) async fn wait_for_code(&self, address: &str, count: usize) -> String {
        let mut codes = self.wait_until(address, count, || self.codes(address)).await;
        codes.swap_remove(count - 1)
    }

    async fn wait_until<T>(&self, address: &str, count: usize, look: impl Fn() -> Vec<T>) -> Vec<T> {
        let mut arrived = self.0.arrived.subscribe();
        let enough = arrived.wait_for(|_| look().len() >= count);
        let in_time = tokio::time::timeout(PATIENCE, enough).await.is_ok();
        let found = look();
        if !in_time {
            let others: Vec<String> = self.mails().into_iter().flat_map(|mail| mail.recipients).collect();
            panic!("{} of {count} messages for {address} in {PATIENCE:?}; arrived: {others:?}", found.len());
        }
        found
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.0.state().connections
    }

    /// How often mail for an address has been tried, whatever the answer.
    pub(crate) fn attempts(&self, address: &str) -> usize {
        self.0.state().recipients.iter().filter(|to| *to == address).count()
    }

    /// What clients have done that the standards forbid.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.0.state().complaints.clone()
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::downgrade(&self.0);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(shared) = shared.upgrade() else { return };
                shared.state().connections += 1;
                // A client that goes away in the middle is no fault of ours.
                tokio::spawn(async move { Session::new(stream, shared).run().await });
            }
        });
        *lock(&self.0.listener) = Some(task);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(listener) = lock(&self.listener).take() {
            listener.abort();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The first fault that applies here; it counts as having happened.
    fn fault<T>(&self, applies: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let mut state = self.state();
        let (at, found) = state.faults.iter().enumerate().find_map(|(at, (fault, _))| Some((at, applies(fault)?)))?;
        match &mut state.faults[at].1 {
            None => {}
            Some(left) if *left > 1 => *left -= 1,
            Some(_) => drop(state.faults.remove(at)),
        }
        Some(found)
    }

    fn has(&self, wanted: &Fault) -> bool {
        self.fault(|fault| (fault == wanted).then_some(())).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
