//! ab_01: the program is killed again and again while clients create invitations and its worker delivers them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use roster::domain::token::{Token, TokenKind};
use roster::platform::{Clock, Entropy};
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::support::ledger::Ledger;
use crate::support::mailbox::{Fault, Mail};
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::invitation_service_client::InvitationServiceClient;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::{CreateInvitationRequest, CreateOrganizationRequest, NewUser};
use crate::support::postgres;
use crate::support::program::Program;
use crate::support::runner::rounds;
use crate::support::world::World;

/// Deliveries at a time.
const SLOTS: usize = 4;
/// Messages that may wait before the clients pause.
const QUEUE: usize = 40;
/// Clients that retry, and organizations that they invite to.
const CLIENTS: usize = 8;
const ORGANIZATIONS: usize = 4;
/// The server's lease is short, so that the test need not wait a minute for what a kill has left.
const LEASE: Duration = Duration::from_secs(2);
/// How long a message may wait that a kill has interrupted, perhaps more than once, on a busy machine. A lease, a poll and a start would do.
const RESUME: Duration = Duration::from_secs(60);

/// How often it is killed, and how many invitations are created meanwhile.
fn size() -> (usize, usize) {
    if rounds() > 50 { (100, 2000) } else { (10, 500) }
}

/// What the clients do and what they were told.
struct Load {
    channel: Channel,
    operator_key: String,
    organizations: Vec<String>,
    total: usize,
    next: AtomicUsize,
    retries: AtomicUsize,
    done: AtomicBool,
    /// Whether delivery is behind and nobody creates anything: who waits in a long queue says nothing about kills.
    behind: AtomicBool,
    /// Addresses whose invitation was acknowledged.
    acknowledged: Mutex<BTreeSet<String>>,
    /// Addresses whose invitation was tried once, and the call failed.
    lost: Mutex<BTreeSet<String>>,
    /// Answers that no kill explains.
    unexpected: Mutex<Vec<Status>>,
}

impl Load {
    async fn create(&self, email: &str, request_id: &str, organization: usize) -> Result<(), Status> {
        while self.behind.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut request = Request::new(CreateInvitationRequest {
            organization_id: self.organizations[organization % ORGANIZATIONS].clone(),
            email: email.to_owned(),
            request_id: request_id.to_owned(),
            ..CreateInvitationRequest::default()
        });
        let bearer = format!("Bearer {}", self.operator_key);
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        request.set_timeout(Duration::from_secs(10));
        let mut client = InvitationServiceClient::new(self.channel.clone());
        let created = client.create_invitation(request).await.map(drop);
        if created.is_ok() {
            self.acknowledged.lock().unwrap().insert(email.to_owned());
        }
        created
    }

    /// Creates one invitation after the other, and repeats each call under its request id until it is acknowledged.
    async fn insist(self: Arc<Self>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.total {
                return;
            }
            let (email, id) = (format!("guest{number}@example.com"), Uuid::now_v7().to_string());
            while let Err(status) = self.create(&email, &id, number).await {
                if !passing(&status) {
                    self.unexpected.lock().unwrap().push(status);
                    return;
                }
                self.retries.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Creates invitations and repeats none: some of these calls die with the server and are never heard of again.
    async fn try_once(self: Arc<Self>) {
        for number in 0.. {
            if self.done.load(Ordering::SeqCst) {
                return;
            }
            let email = format!("once{number}@example.com");
            match self.create(&email, "", number).await {
                Ok(()) => {}
                Err(status) if passing(&status) => {
                    self.lost.lock().unwrap().insert(email);
                }
                Err(status) => self.unexpected.lock().unwrap().push(status),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

/// Whether a failure says that the call may be repeated: the connection broke, or the server says so.
fn passing(status: &Status) -> bool {
    let details = status.get_error_details();
    details
        .error_info()
        .is_none_or(|info| ["DATABASE_UNAVAILABLE", "CONFLICT", "OVERLOADED"].contains(&info.reason.as_str()))
}

async fn organizations(program: &Program, operator_key: &str) -> Vec<String> {
    let mut client = OrganizationServiceClient::new(program.channel());
    let mut ids = Vec::new();
    for number in 0..ORGANIZATIONS {
        let mut request = Request::new(CreateOrganizationRequest {
            display_name: format!("Acme {number}"),
            owner: Some(Owner::NewOwner(NewUser {
                email: format!("owner{number}@example.com"),
                given_name: "Ada".to_owned(),
                password: "violet tractor under 9 moons".to_owned(),
                ..NewUser::default()
            })),
            ..CreateOrganizationRequest::default()
        });
        let bearer = format!("Bearer {operator_key}");
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        let created = client.create_organization(request).await.unwrap().into_inner();
        ids.push(created.organization.unwrap().organization_id);
    }
    ids
}

async fn all(database: &DatabaseConnection, query: &str) -> Vec<sea_orm::QueryResult> {
    let statement = Statement::from_string(database.get_database_backend(), query);
    database.query_all_raw(statement).await.unwrap()
}

/// The claims that stand while nobody delivers: id and fence.
async fn claims(database: &DatabaseConnection) -> Vec<(Uuid, i64)> {
    let rows = all(database, "SELECT id, fence FROM outbox_messages WHERE state = 'queued' AND fence > 0");
    let claim = |row: &sea_orm::QueryResult| (row.try_get("", "id").unwrap(), row.try_get("", "fence").unwrap());
    rows.await.iter().map(claim).collect()
}

async fn queued(database: &DatabaseConnection) -> usize {
    all(database, "SELECT id FROM outbox_messages WHERE state = 'queued'").await.len()
}

async fn settle_times(database: &DatabaseConnection) -> BTreeMap<Uuid, DateTime<Utc>> {
    let rows = all(database, "SELECT id, settle_time FROM outbox_messages WHERE state = 'sent'");
    let time = |row: &sea_orm::QueryResult| (row.try_get("", "id").unwrap(), row.try_get("", "settle_time").unwrap());
    rows.await.iter().map(time).collect()
}

/// A random time below `limit`.
fn random(limit: Duration) -> Duration {
    limit.mul_f64(f64::from(u16::from_be_bytes(Entropy::system().bytes())) / 65536.0)
}

/// Holds every mail against the rows, and answers with how many distinct messages arrived.
async fn account_for(database: &DatabaseConnection, mails: &[Mail]) -> usize {
    let rows = all(
        database,
        "SELECT o.id, o.recipient, o.state, i.token_digest FROM outbox_messages o JOIN invitations i ON i.message_id = o.id",
    );
    let mut expected: BTreeMap<Uuid, (String, Vec<u8>)> = BTreeMap::new();
    for row in rows.await {
        assert_eq!(row.try_get::<String>("", "state").unwrap(), "sent");
        let (recipient, digest) = (row.try_get("", "recipient").unwrap(), row.try_get("", "token_digest").unwrap());
        expected.insert(row.try_get("", "id").unwrap(), (recipient, digest));
    }
    let mut arrived = BTreeSet::new();
    for mail in mails {
        let id: Uuid = mail.message_id.split('@').next().unwrap().parse().unwrap();
        let (recipient, digest) = expected
            .get(&id)
            .unwrap_or_else(|| panic!("a mail to {:?} of a transaction that is not there", mail.recipients));
        assert_eq!(mail.recipients, std::slice::from_ref(recipient));
        let token = Token::parse(TokenKind::Invitation, &mail.invitation_token()).unwrap();
        assert_eq!(token.digest().as_slice(), digest, "a mail with a link that nobody can use");
        arrived.insert(id);
    }
    let missing: Vec<&String> =
        expected.iter().filter(|(id, _)| !arrived.contains(id)).map(|(_, (recipient, _))| recipient).collect();
    assert!(missing.is_empty(), "committed and never delivered: {missing:?}");
    arrived.len()
}

/// ab_01: ten kills at random moments while 500 invitations are created by eight clients that retry with a request id, and four deliveries run at a
/// time; in the long form 100 kills and 2,000 invitations. Every acknowledged invitation is delivered. What was rolled back is not. A message arrives
/// twice only where its delivery was under way at a kill, and then under the same Message-ID with the same link. Delivery resumes by itself.
///
/// It fails where a message is settled before it is sent ("committed and never delivered"), and where it is written in a transaction of its own, or gets
/// another Message-ID with each attempt ("a mail of a transaction that is not there").
#[wire_test]
async fn ab_01_killed_while_inviting_and_delivering(world: World) {
    let (kills, total) = size();
    let separate = match world.database().get_database_backend() {
        DbBackend::Postgres => Some(postgres::shared().await.unwrap().create_database().await.unwrap()),
        _ => None,
    };
    let (slots, lease, smtp) = (SLOTS.to_string(), format!("{}s", LEASE.as_secs()), world.mailbox.url());
    let mut settings = vec![
        ("smtp-url", smtp.as_str()),
        ("outbox-slots", &slots),
        ("outbox-lease", &lease),
        ("outbox-poll-interval", "100ms"),
    ];
    settings.extend(separate.as_ref().map(|database| ("database-url", database.url.as_str())));
    let mut program = Program::new(&settings);
    program.start().await;
    let operator_key = program.operator_key().await;
    let database = postgres::connect(&program.database_url()).await.unwrap();
    // So slow that a kill finds deliveries under way.
    world.mailbox.inject(Fault::Slow(Duration::from_millis(2)));

    let load = Arc::new(Load {
        channel: program.channel(),
        organizations: organizations(&program, &operator_key).await,
        operator_key,
        total,
        next: AtomicUsize::default(),
        retries: AtomicUsize::default(),
        done: AtomicBool::default(),
        behind: AtomicBool::default(),
        acknowledged: Mutex::default(),
        lost: Mutex::default(),
        unexpected: Mutex::default(),
    });
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(load.clone().insist())).collect();
    let once = tokio::spawn(load.clone().try_once());
    let (mut under_way, mut last_kill) = (BTreeMap::new(), Instant::now());
    for kill in 1..=kills {
        let patience = Instant::now();
        while load.count() < total * kill / (kills + 1) {
            assert!(
                patience.elapsed() < Duration::from_secs(60),
                "no progress after {} kills: {}",
                kill - 1,
                program.log()
            );
            load.behind.store(queued(&database).await > QUEUE, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        load.behind.store(false, Ordering::SeqCst);
        tokio::time::sleep(random(Duration::from_millis(60))).await;
        program.kill().await;
        last_kill = Instant::now();
        for claim in claims(&database).await {
            under_way.entry(claim).or_insert(Clock::system().now());
        }
        program.start().await;
    }
    for client in clients {
        client.await.unwrap();
    }
    load.done.store(true, Ordering::SeqCst);
    once.await.unwrap();
    while queued(&database).await > 0 {
        assert!(last_kill.elapsed() < RESUME, "delivery does not resume: {}", program.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let settled = settle_times(&database).await;
    let waited = under_way.iter().map(|((id, _), kill)| settled[id] - *kill).max().unwrap_or_default();
    assert!(waited.to_std().is_ok_and(|waited| waited < RESUME), "delivered {waited} after the kill");

    assert!(load.unexpected.lock().unwrap().is_empty(), "{:?}", load.unexpected.lock().unwrap());
    let mails = world.mailbox.mails();
    let delivered = account_for(&database, &mails).await;
    let recipients: BTreeSet<String> = mails.iter().flat_map(|mail| mail.recipients.clone()).collect();
    let acknowledged = load.acknowledged.lock().unwrap().clone();
    assert!(acknowledged.is_subset(&recipients), "acknowledged and not delivered");
    let lost = load.lost.lock().unwrap().clone();
    let committed = lost.intersection(&recipients).count();
    let all: BTreeSet<String> = acknowledged.union(&lost).cloned().collect();
    assert!(recipients.is_subset(&all), "delivered to somebody whom nobody invited");
    for organization in &load.organizations {
        Ledger::read(&database, organization).await;
    }
    let duplicates = mails.len() - delivered;
    assert!(under_way.len() <= SLOTS * kills, "{} claims at {kills} kills", under_way.len());
    assert!(duplicates <= under_way.len(), "{duplicates} duplicates of {} deliveries under way", under_way.len());
    eprintln!(
        "{:?}: {} acknowledged ({} repetitions), {delivered} delivered, {duplicates} of them twice, {} deliveries under way at {kills} kills; {} calls failed \
         and were not repeated: {committed} were committed and delivered, {} were not; what a kill interrupted was delivered {} ms later at the latest",
        database.get_database_backend(),
        acknowledged.len(),
        load.retries.load(Ordering::SeqCst),
        under_way.len(),
        lost.len(),
        lost.len() - committed,
        waited.num_milliseconds(),
    );
    program.terminate().await;
    drop(database);
    if let Some(separate) = separate {
        postgres::shared().await.unwrap().drop_database(&separate).await.unwrap();
    }
}
