//! ab_53: nothing that was acknowledged is lost, whatever the disk does, and readiness tells.
//!
//! The program runs in a process of its own on a SQLite file. The disk below it fails and works again; then the program is killed, and what it acknowledged has to
//! be in the file. PostgreSQL answers for its own disk.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use roster::platform::Entropy;
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::support::disk::{Disk, DiskFault};
use crate::support::ledger::Ledger;
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::invitation_service_client::InvitationServiceClient;
use crate::support::pb::organization_service_client::OrganizationServiceClient;
use crate::support::pb::{CreateInvitationRequest, CreateOrganizationRequest, GetInvitationRequest, NewUser};
use crate::support::postgres;
use crate::support::program::Program;
use crate::support::runner::rounds;
use crate::support::scenario::refusal;

/// How long the program has to notice that its disk works again.
const NOTICE: Duration = Duration::from_secs(20);

/// One installation, with an organization to invite to.
struct Site {
    program: Program,
    operator_key: String,
    organization: String,
    channel: Channel,
}

impl Site {
    async fn start(launcher: &[String]) -> Self {
        let mut program = Program::new(&[]);
        program.launch_by(launcher);
        Self::of(program).await
    }

    async fn of(mut program: Program) -> Self {
        program.start().await;
        let channel = program.channel();
        let mut site =
            Self { operator_key: program.operator_key().await, program, organization: String::new(), channel };
        let request = site.request(CreateOrganizationRequest {
            display_name: "Acme".to_owned(),
            owner: Some(Owner::NewOwner(NewUser {
                email: "owner@example.com".to_owned(),
                given_name: "Ada".to_owned(),
                password: "violet tractor under 9 moons".to_owned(),
                ..NewUser::default()
            })),
            ..CreateOrganizationRequest::default()
        });
        let created = OrganizationServiceClient::new(site.channel.clone()).create_organization(request).await;
        site.organization = created.unwrap().into_inner().organization.unwrap().organization_id;
        site
    }

    fn request<T>(&self, message: T) -> Request<T> {
        request(&self.operator_key, message)
    }

    fn guest(&self) -> Guest {
        Guest {
            operator_key: self.operator_key.clone(),
            organization: self.organization.clone(),
            channel: self.channel.clone(),
        }
    }

    async fn wait_until_ready(&self, ready: bool) {
        let begun = Instant::now();
        while self.program.ready().await != ready {
            assert!(begun.elapsed() < NOTICE, "readiness stays {}: {}", !ready, self.program.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills the program, and holds what it acknowledged against the file.
    async fn account_for(mut self, acknowledged: &BTreeSet<String>) {
        self.program.kill().await;
        let database = postgres::connect(&self.program.database_url()).await.unwrap();
        let stored = ids(&database).await;
        let lost = acknowledged.difference(&stored).count();
        assert_eq!(lost, 0, "{lost} of {} acknowledged invitations are lost", acknowledged.len());
        Ledger::read(&database, &self.organization).await;
        let mailed = mailed(&self.program);
        let invited = texts(&database, "SELECT email AS text FROM invitations").await;
        let stray: Vec<&String> = mailed.difference(&invited).filter(|email| email.starts_with("guest")).collect();
        assert!(stray.is_empty(), "mails of invitations that are not there: {stray:?}");
    }
}

fn request<T>(operator_key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {operator_key}");
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    request.set_timeout(Duration::from_secs(10));
    request
}

/// Somebody who invites.
#[derive(Clone)]
struct Guest {
    operator_key: String,
    organization: String,
    channel: Channel,
}

impl Guest {
    async fn invite(&self, email: &str, request_id: &str) -> Result<String, Status> {
        let message = CreateInvitationRequest {
            organization_id: self.organization.clone(),
            email: email.to_owned(),
            request_id: request_id.to_owned(),
            ..CreateInvitationRequest::default()
        };
        let mut client = InvitationServiceClient::new(self.channel.clone());
        let created = client.create_invitation(request(&self.operator_key, message)).await?;
        Ok(created.into_inner().invitation.unwrap().invitation_id)
    }

    /// What any caller does now and then: a call that a rule refuses in the middle of its transaction.
    async fn be_refused(&self) {
        let answer = self.invite("owner@example.com", "").await;
        assert_eq!(refusal(&answer.unwrap_err()).reason, "ALREADY_MEMBER");
    }

    async fn sees(&self, id: &str) -> bool {
        let message = GetInvitationRequest { organization_id: self.organization.clone(), invitation_id: id.to_owned() };
        let mut client = InvitationServiceClient::new(self.channel.clone());
        client.get_invitation(request(&self.operator_key, message)).await.is_ok()
    }
}

async fn texts(database: &DatabaseConnection, query: &str) -> BTreeSet<String> {
    let statement = Statement::from_string(DbBackend::Sqlite, query);
    let rows = database.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get("", "text").unwrap()).collect()
}

async fn ids(database: &DatabaseConnection) -> BTreeSet<String> {
    let statement = Statement::from_string(DbBackend::Sqlite, "SELECT id FROM invitations");
    let rows = database.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get::<Uuid>("", "id").unwrap().to_string()).collect()
}

/// To whom mail went.
fn mailed(program: &Program) -> BTreeSet<String> {
    let Ok(folder) = std::fs::read_dir(program.data_dir().join("mail")) else {
        return BTreeSet::new();
    };
    let mut recipients = BTreeSet::new();
    for file in folder {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&text);
        recipients.extend(text.lines().filter_map(|line| line.strip_prefix("To: ")).map(str::to_owned));
    }
    recipients
}

/// Invites until the disk refuses; what was acknowledged until then counts.
async fn invite_until_refused(guest: &Guest, name: &str, acknowledged: &mut BTreeSet<String>) -> Status {
    for number in 0..5000 {
        match guest.invite(&format!("guest.{name}.{number}@example.com"), "").await {
            Ok(id) => _ = acknowledged.insert(id),
            Err(status) => return status,
        }
    }
    panic!("the disk takes everything");
}

/// What follows a failed write: writes that work, refusals between them. What is acknowledged is there at once for whoever reads.
async fn go_on(guest: &Guest, name: &str, acknowledged: &mut BTreeSet<String>) {
    for number in 0..10 {
        let id = guest.invite(&format!("guest.{name}.after.{number}@example.com"), "").await.unwrap();
        acknowledged.insert(id);
        guest.be_refused().await;
    }
    let mut unseen = 0;
    for id in acknowledged.iter() {
        unseen += usize::from(!guest.sees(id).await);
    }
    assert_eq!(unseen, 0, "{unseen} of {} acknowledged invitations are not there for readers", acknowledged.len());
}

fn assert_unavailable(status: &Status) {
    assert_eq!(
        (status.code(), refusal(status).reason.as_str()),
        (Code::Unavailable, "DATABASE_UNAVAILABLE"),
        "{status:?}"
    );
}

/// ab_53: the disk is full, answers with errors, or does not make durable what was written, and works again afterwards. The calls that meet it are told so,
/// readiness falls while it lasts, and what is acknowledged afterwards is stored.
#[wire_test(once)]
async fn ab_53_a_disk_that_failed_loses_nothing_afterwards() {
    let disk = Disk::new();
    let site = Site::start(&disk.launcher()).await;
    let (guest, mut acknowledged) = (site.guest(), BTreeSet::new());
    for (fault, name) in [(DiskFault::Full, "full"), (DiskFault::Write, "write"), (DiskFault::Sync, "sync")] {
        disk.fail(fault);
        assert_unavailable(&invite_until_refused(&guest, name, &mut acknowledged).await);
        site.wait_until_ready(false).await;
        disk.mend();
        site.wait_until_ready(true).await;
        go_on(&guest, name, &mut acknowledged).await;
    }
    site.account_for(&acknowledged).await;
}

/// ab_53: the disk fails now and then under callers at once, some of which hang up in the middle. Whoever repeats a call under its request id gets it done.
#[wire_test(once)]
async fn ab_53_a_disk_that_fails_now_and_then_under_load() {
    let disk = Disk::new();
    let site = Site::start(&disk.launcher()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut hasty = Vec::new();
    for caller in 0..4 {
        let (guest, stop) = (site.guest(), stop.clone());
        hasty.push(tokio::spawn(async move {
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let [patience] = Entropy::system().bytes();
                let email = format!("guest.hasty.{caller}.{number}@example.com");
                // Hangs up at any moment, also in the middle of a transaction.
                let _ = tokio::time::timeout(Duration::from_micros(u64::from(patience) * 60), guest.invite(&email, ""))
                    .await;
            }
        }));
    }
    disk.fail(DiskFault::Some);
    let patient: Vec<_> = (0..4)
        .map(|caller| {
            let (guest, calls) = (site.guest(), rounds().min(500) / 2);
            tokio::spawn(async move {
                let mut acknowledged = BTreeSet::new();
                for number in 0..calls {
                    let (email, id) = (format!("guest.{caller}.{number}@example.com"), Uuid::now_v7().to_string());
                    let begun = Instant::now();
                    loop {
                        match guest.invite(&email, &id).await {
                            Ok(id) => {
                                acknowledged.insert(id);
                                break;
                            }
                            // However busy the machine is: of each call enough tries get past a disk that fails now and then.
                            Err(status) => assert!(begun.elapsed() < 6 * NOTICE, "{email}: {status:?}"),
                        }
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    if number % 5 == 0 {
                        let refused = guest.invite("owner@example.com", "").await;
                        assert!(refused.is_err());
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = BTreeSet::new();
    for caller in patient {
        acknowledged.extend(caller.await.unwrap());
    }
    stop.store(true, Ordering::SeqCst);
    for caller in hasty {
        caller.await.unwrap();
    }
    disk.mend();
    site.wait_until_ready(true).await;
    go_on(&site.guest(), "some", &mut acknowledged).await;
    site.account_for(&acknowledged).await;
}

/// ab_53: a limit on the size of files, as a service manager sets one. It is met without the help of a library in between, and raised later.
#[wire_test(once)]
async fn ab_53_a_limit_on_the_size_of_files() {
    // 1,280 blocks of 512 bytes. The program is told of it by an error and not by a signal.
    let launcher = ["/bin/sh", "-c", "trap '' XFSZ; ulimit -S -f 1280; exec \"$@\"", "limited"].map(str::to_owned);
    let site = Site::start(&launcher).await;
    let (guest, mut acknowledged) = (site.guest(), BTreeSet::new());
    assert_unavailable(&invite_until_refused(&guest, "limit", &mut acknowledged).await);
    let id = site.program.process().id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited:unlimited"]).status();
    match raised {
        Ok(status) if status.success() => {
            site.wait_until_ready(true).await;
            go_on(&guest, "limit", &mut acknowledged).await;
        }
        _ => eprintln!("prlimit is missing: what follows when the limit is raised is not tested"),
    }
    site.account_for(&acknowledged).await;
}
/// ab_53: a file system that is really full, and has space again. It is one of the program's own, which nobody else sees; where this process may not make one, the
/// run says so.
#[wire_test(once)]
async fn ab_53_a_file_system_without_space() {
    let folder = tempfile::Builder::new().prefix("roster-small-").tempdir().unwrap();
    let path = folder.path().display().to_string();
    let own = ["unshare", "--mount", "/bin/sh", "-c"].map(str::to_owned);
    let mount = format!("mount -t tmpfs -o size=6m roster {path}");
    let may = Command::new(&own[0]).args(&own[1..]).arg(&mount).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("no file system of a program's own can be made here: a full one is not tested");
        return;
    }
    let mut program = Program::new(&[("database-url", &format!("sqlite://{path}/roster.db"))]);
    program.launch_by(&[&own[..], &[format!("{mount} && exec \"$@\""), "small".to_owned()]].concat());
    let site = Site::of(program).await;
    let inside = format!("/proc/{}/root{path}", site.program.process().id());
    let ballast = format!("{inside}/ballast");
    std::fs::write(&ballast, vec![0; 3 << 20]).unwrap();
    let (guest, mut acknowledged) = (site.guest(), BTreeSet::new());
    assert_unavailable(&invite_until_refused(&guest, "small", &mut acknowledged).await);
    std::fs::remove_file(ballast).unwrap();
    site.wait_until_ready(true).await;
    go_on(&guest, "small", &mut acknowledged).await;
    // It goes with the program.
    for name in ["roster.db", "roster.db-wal"] {
        std::fs::copy(format!("{inside}/{name}"), folder.path().join(name)).unwrap();
    }
    site.account_for(&acknowledged).await;
}
