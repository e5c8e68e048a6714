//! The worker against a real database and a mail server that misbehaves on request.

mod leases;

use std::{collections::BTreeMap, sync::Mutex};

use chrono::{DateTime, TimeDelta};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::*;
use crate::{
    domain::{
        brand::{Brand, COLOR, Links},
        delivery::DeliveryState,
        link::LinkTemplate,
        mail::{InvitationMail, Payload, StoredMail},
    },
    outbox::{
        Branding,
        file::MailDirectory,
        mail::{Sender, templates::Renderer},
        smtp::{
            SmtpRelay,
            sink::{Act, Script, Sink},
        },
        transport::Transport,
    },
    store::{Message, StoreSettings},
};

const TOKEN: &str = "canary-token-0123456789";

/// A database, keys and a clock, in a directory that goes with it.
struct Bench {
    directory: tempfile::TempDir,
    store: Arc<Store>,
    keyring: Arc<Keyring>,
    entropy: Entropy,
    clock: Clock,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = StoreSettings {
            url: format!("sqlite://{}", directory.path().join("roster.db").display()).into(),
            max_connections: 4,
        };
        let store = Store::connect(&settings).await.unwrap();
        store.migrate().await.unwrap();
        let entropy = Entropy::system();
        let keyring = Keyring::parse(&Keyring::generate(&entropy)).unwrap();
        let clock = Clock::manual(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        Self { directory, store: Arc::new(store), keyring: Arc::new(keyring), entropy, clock }
    }

    fn invitation(&self) -> InvitationMail {
        InvitationMail {
            token: TOKEN.into(),
            inviter_name: Some("Ada".into()),
            inviter_email: None,
            organization_name: "Example".into(),
            role_names: vec!["Admin".into()],
            invitee_email: "bob@example.org".into(),
            expire_time: self.clock.now() + TimeDelta::days(30),
            locale: "en".into(),
            message: None,
        }
    }

    fn message(&self, mail: InvitationMail) -> Message {
        let now = self.clock.now();
        let id = self.entropy.uuid(now);
        let payload = Payload::Invitation(mail);
        Message {
            id,
            kind: payload.kind().into(),
            organization_id: None,
            recipient: payload.recipient().into(),
            state: DeliveryState::Queued,
            sealed: Some(self.keyring.seal(
                &self.entropy,
                id.as_bytes(),
                &StoredMail { brand: None, payload: payload.clone() }.to_bytes().unwrap(),
            )),
            attempts: 0,
            available_time: now,
            fence: 0,
            last_error: None,
            create_time: now,
            queue_time: now,
            settle_time: None,
            recipient_key: None,
        }
    }

    async fn queue(&self, message: Message) -> Uuid {
        let id = message.id;
        let mut tx = self.store.begin().await.unwrap();
        tx.insert_message(message).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn queue_invitation(&self) -> Uuid {
        self.queue(self.message(self.invitation())).await
    }

    async fn row(&self, id: Uuid) -> Message {
        self.store.read().message(id).await.unwrap().unwrap()
    }

    /// Waits, in real time, until the row is as wanted.
    async fn wait(&self, id: Uuid, wanted: impl Fn(&Message) -> bool) -> Message {
        for _ in 0..500 {
            let row = self.row(id).await;
            if wanted(&row) {
                return row;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the row stayed {:?}", self.row(id).await)
    }

    async fn wait_for(&self, id: Uuid, state: DeliveryState) -> Message {
        self.wait(id, |row| row.state == state).await
    }

    fn start(&self, transport: Transport, settings: Settings) -> (CancellationToken, JoinHandle<()>) {
        let link = LinkTemplate::parse("https://app.example.com/accept?token={token}").unwrap();
        let links = Links {
            invitation: link.clone(),
            join: link.clone(),
            password_reset: link.clone(),
            email_verification: link,
        };
        let brand = Brand {
            name: None,
            sender: "Roster <roster@example.com>".to_owned(),
            color: COLOR.to_owned(),
            logo_url: None,
            links,
            templates_dir: None,
        };
        let renderer = Renderer::new(&brand, &[]).unwrap();
        let sender = Sender::parse(&brand.sender).unwrap();
        let server = Branding { renderer, sender };
        let mailer = Mailer { server, products: BTreeMap::new(), transport };
        let worker = Worker::new(
            Arc::clone(&self.store),
            Arc::clone(&self.keyring),
            self.clock.clone(),
            self.entropy.clone(),
            mailer,
            settings,
        );
        let stop = CancellationToken::new();
        (stop.clone(), tokio::spawn(worker.run(stop)))
    }

    fn smtp(&self, sink: &Sink) -> Transport {
        Transport::Smtp(Box::new(SmtpRelay::new(&sink.url(""), None, self.clock.clone()).unwrap()))
    }
}

fn quick() -> Settings {
    Settings { poll_interval: Duration::from_millis(50), drain: Duration::from_millis(200), ..Settings::default() }
}

fn message_ids(sink: &Sink) -> Vec<String> {
    let id = |message: &String| {
        message.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap_or_default().to_owned()
    };
    sink.with(|seen| seen.messages.iter().map(id).collect())
}

#[tokio::test]
async fn a_queued_message_is_sent_at_once_and_erased() {
    let bench = Bench::new().await;
    let files = MailDirectory::in_data_directory(bench.directory.path());
    let (stop, worker) =
        bench.start(Transport::Files(files.clone()), Settings { poll_interval: Duration::from_secs(600), ..quick() });
    sleep(Duration::from_millis(50)).await;
    let id = bench.queue_invitation().await;
    let row = bench.wait_for(id, DeliveryState::Sent).await;
    assert_eq!((row.attempts, row.sealed, row.last_error), (1, None, None));
    let mail = std::fs::read_to_string(bench.directory.path().join("mail").join(format!("{id}.eml"))).unwrap();
    assert!(
        mail.contains(&format!("Message-ID: <{id}@example.com>\r\n")) && mail.contains("To: bob@example.org\r\n"),
        "{mail}"
    );
    stop.cancel();
    timeout(Duration::from_secs(1), worker).await.unwrap().unwrap();
}

#[tokio::test]
async fn ab_03_greylisted_mail_is_tried_again_when_it_is_due_under_the_same_id() {
    let bench = Bench::new().await;
    let greylists = Script { rcpt: Act::Say("450 4.7.1 come back"), ..Script::default() };
    let sink = Sink::start(vec![greylists, Script::default()]).await;
    let _worker = bench.start(bench.smtp(&sink), quick());
    let id = bench.queue_invitation().await;
    let row = bench.wait(id, |row| row.last_error.is_some()).await;
    assert_eq!((row.state, row.attempts), (DeliveryState::Queued, 1));
    assert!(row.last_error.unwrap().contains("450"));
    let wait = row.available_time - bench.clock.now();
    assert!(wait >= TimeDelta::seconds(15) && wait <= TimeDelta::seconds(30), "{wait}");

    sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.row(id).await.attempts, 1, "it is not due yet");
    bench.clock.advance(Duration::from_secs(30));
    let row = bench.wait_for(id, DeliveryState::Sent).await;
    assert_eq!(row.attempts, 2);
    assert_eq!(message_ids(&sink), [format!("<{id}@example.com>")]);
}

#[tokio::test]
async fn ab_03_a_cut_after_the_final_dot_is_sent_again_once() {
    let bench = Bench::new().await;
    let sink = Sink::start(vec![Script { end: Act::Cut, ..Script::default() }, Script::default()]).await;
    let _worker = bench.start(bench.smtp(&sink), quick());
    let id = bench.queue_invitation().await;
    bench.wait(id, |row| row.last_error.is_some()).await;
    bench.clock.advance(Duration::from_secs(30));
    bench.wait_for(id, DeliveryState::Sent).await;
    bench.clock.advance(Duration::from_secs(7200));
    sleep(Duration::from_millis(200)).await;
    assert_eq!(message_ids(&sink), vec![format!("<{id}@example.com>"); 2]);
}

#[tokio::test]
async fn ab_03_a_refusal_is_final_and_its_reason_is_kept() {
    let bench = Bench::new().await;
    let sink = Sink::start(vec![Script {
        end: Act::Say("550 5.7.1 spam: canary-token-0123456789 is in it"),
        ..Script::default()
    }])
    .await;
    let _worker = bench.start(bench.smtp(&sink), quick());
    let id = bench.queue_invitation().await;
    let row = bench.wait_for(id, DeliveryState::Failed).await;
    let reason = row.last_error.unwrap();
    assert!(reason.contains("550") && reason.contains("spam") && !reason.contains(TOKEN), "{reason}");
}

#[tokio::test]
async fn ab_03_poison_blocks_nobody() {
    let bench = Bench::new().await;
    let files = Transport::Files(MailDirectory::in_data_directory(bench.directory.path()));
    let mut bad = Vec::new();
    let mut message = bench.message(bench.invitation());
    message.sealed = Some(b"not sealed".to_vec());
    bad.push(message);
    let mut message = bench.message(bench.invitation());
    message.sealed = Some(bench.keyring.seal(&bench.entropy, message.id.as_bytes(), b"{\"kind\":\"invitation\"}"));
    bad.push(message);
    let mut message = bench.message(bench.invitation());
    message.sealed = bench.message(bench.invitation()).sealed;
    bad.push(message);
    let mut mail = bench.invitation();
    mail.organization_name = "a\r\nBcc: eve@example.com".into();
    bad.push(bench.message(mail));
    let mut mail = bench.invitation();
    mail.invitee_email = "not an address".into();
    bad.push(bench.message(mail));
    let mut mail = bench.invitation();
    mail.expire_time = bench.clock.now();
    bad.push(bench.message(mail));

    let mut ids = Vec::new();
    for message in bad {
        ids.push(bench.queue(message).await);
    }
    let good = bench.queue_invitation().await;
    let _worker = bench.start(files, Settings { slots: 1, ..quick() });
    bench.wait_for(good, DeliveryState::Sent).await;
    for (number, id) in ids.into_iter().enumerate() {
        let row = bench.wait_for(id, DeliveryState::Failed).await;
        assert!(row.last_error.is_some_and(|reason| !reason.contains(TOKEN)), "case {number}");
        assert_eq!(row.attempts, 1, "case {number}");
    }
}

#[tokio::test]
async fn a_message_goes_to_the_sealed_address_and_not_to_the_rows() {
    let bench = Bench::new().await;
    let sink = Sink::start(vec![Script::default()]).await;
    let mut message = bench.message(bench.invitation());
    message.recipient = "eve@example.com".into();
    let id = bench.queue(message).await;
    let _worker = bench.start(bench.smtp(&sink), quick());
    bench.wait_for(id, DeliveryState::Sent).await;
    sink.with(|seen| assert!(seen.commands.contains(&"RCPT TO:<bob@example.org>".into()), "{:?}", seen.commands));
}

#[tokio::test]
async fn ab_03_an_old_message_is_given_up_but_not_at_its_first_failure() {
    let bench = Bench::new().await;
    let sink = Sink::start(vec![Script { rcpt: Act::Say("450 later"), ..Script::default() }]).await;
    let old = |attempts, days| {
        let mut message = bench.message(bench.invitation());
        message.attempts = attempts;
        message.create_time = bench.clock.now() - TimeDelta::days(30);
        message.queue_time = bench.clock.now() - TimeDelta::days(days);
        message
    };
    let given_up = bench.queue(old(7, 3)).await;
    let after_an_outage = bench.queue(old(0, 3)).await;
    let queued_again = bench.queue(old(50, 2)).await;
    let _worker = bench.start(bench.smtp(&sink), quick());
    bench.wait_for(given_up, DeliveryState::Failed).await;
    for id in [after_an_outage, queued_again] {
        let row = bench.wait(id, |row| row.last_error.is_some()).await;
        assert_eq!(row.state, DeliveryState::Queued);
        assert!(row.available_time > bench.clock.now());
    }
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn ab_19_logs_name_the_message_and_neither_address_nor_token() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let bench = Bench::new().await;
    let chatty = Script { rcpt: Act::Say("450 4.7.1 <bob@example.org>: canary-token-0123456789"), ..Script::default() };
    let refuses =
        Script { rcpt: Act::Say("550 5.1.1 <bob@example.org>: canary-token-0123456789"), ..Script::default() };
    let sink =
        Sink::start(vec![chatty, refuses, Script { end: Act::Say("250 ok bob@example.org"), ..Script::default() }])
            .await;
    let _worker = bench.start(bench.smtp(&sink), quick());
    // Another test may have met the worker's span for the first time in the instant in which this subscriber came: tracing then took it for one that
    // nobody listens to.
    tracing::callsite::rebuild_interest_cache();
    let first = bench.queue_invitation().await;
    bench.wait(first, |row| row.last_error.is_some()).await;
    let second = bench.queue_invitation().await;
    bench.wait_for(second, DeliveryState::Failed).await;
    bench.clock.advance(Duration::from_secs(30));
    bench.wait_for(first, DeliveryState::Sent).await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<&str> = text.lines().filter(|line| line.contains("outbox")).collect();
    for expected in ["will be tried again", "cannot be delivered", "mail sent", &first.to_string()] {
        assert!(ours.iter().any(|line| line.contains(expected)), "{expected} is missing in {ours:#?}");
    }
    let told: Vec<&&str> =
        ours.iter().filter(|line| line.contains(TOKEN) || line.contains("bob@example.org")).collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn the_window_of_attempts_is_more_than_a_day() {
    let settings = Settings::default();
    assert!(settings.give_up_after >= Duration::from_secs(24 * 3600));
    assert!(settings.heartbeat * 3 < settings.lease, "two missed heartbeats lose no lease");
}
