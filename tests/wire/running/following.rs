//! The program of `examples/follower.rs`, killed again and again, and the servers that it follows too: what it has kept at the end is what there is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use roster::platform::Entropy;
use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::support::pb::member_service_client::MemberServiceClient;
use crate::support::pb::{
    ActivateMemberRequest, RemoveMemberRequest, RestoreMemberRequest, SetMemberRolesRequest, SuspendMemberRequest,
};
use crate::support::postgres;
use crate::support::program::Program;
use crate::support::runner::rounds;
use crate::support::scenario::{Scenario, service_key, texts, with_credential};
use crate::support::world::World;

/// Members of each organization beside its owner.
const MEMBERS: usize = 4;
/// Changes that must have been made between two kills.
const CHANGES: usize = 3;
/// How long the copy may take to be what there is, once nobody kills any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is killed.
fn kills() -> usize {
    if rounds() > 50 { 200 } else { 12 }
}

/// The follower, as an operator would run it.
struct FollowerProgram {
    key: String,
    copy: PathBuf,
    running: Child,
}

impl FollowerProgram {
    fn start(key: &str, endpoint: &str, copy: &Path) -> Self {
        // Beside the folder of the test programs; `cargo test` builds the examples, too.
        let program = std::env::current_exe().unwrap();
        let program = program.ancestors().nth(2).unwrap().join("examples/follower");
        assert!(program.exists(), "{} is missing: run cargo build --examples", program.display());
        let running = Command::new(program)
            .args([endpoint, copy.to_str().unwrap()])
            .env_clear()
            .env("ROSTER_KEY", key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { key: key.to_owned(), copy: copy.to_owned(), running }
    }

    /// It ends by itself only where it has found something wrong.
    fn require_running(&mut self) {
        if self.running.try_wait().unwrap().is_some() {
            let mut said = String::new();
            let stderr = self.running.stderr.as_mut().unwrap();
            std::io::Read::read_to_string(stderr, &mut said).unwrap();
            panic!("the follower has given up: {said}");
        }
    }

    /// `kill -9`, and another one that goes on with the same copy.
    fn replace(&mut self, endpoint: &str) {
        self.require_running();
        self.running.kill().unwrap();
        self.running.wait().unwrap();
        *self = Self::start(&self.key.clone(), endpoint, &self.copy.clone());
    }
}

impl Drop for FollowerProgram {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

/// Changes members at random, by whichever server is there.
async fn change(team: Scenario, members: Vec<String>, at: Vec<Channel>, key: String, made: Arc<Progress>) {
    let random = |below: usize| usize::from(u16::from_be_bytes(Entropy::system().bytes())) % below;
    while !made.over.load(Ordering::SeqCst) {
        let mut client = MemberServiceClient::new(at[random(at.len())].clone());
        let (organization_id, user_id) = (team.organization_id.clone(), members[random(members.len())].clone());
        let done = match random(6) {
            0 | 1 => {
                let roles = texts(&[["admin", "member"][random(2)]]);
                let request = SetMemberRolesRequest { organization_id, user_id, roles, ..Default::default() };
                client.set_member_roles(with_credential(&key, request)).await.map(drop)
            }
            2 => {
                let request = SuspendMemberRequest { organization_id, user_id, ..Default::default() };
                client.suspend_member(with_credential(&key, request)).await.map(drop)
            }
            3 => {
                let request = ActivateMemberRequest { organization_id, user_id, ..Default::default() };
                client.activate_member(with_credential(&key, request)).await.map(drop)
            }
            4 => {
                let request = RemoveMemberRequest { organization_id, user_id, ..Default::default() };
                client.remove_member(with_credential(&key, request)).await.map(drop)
            }
            _ => {
                let request = RestoreMemberRequest { organization_id, user_id, ..Default::default() };
                client.restore_member(with_credential(&key, request)).await.map(drop)
            }
        };
        // Whoever is suspended is not suspended again, and a server that is dead does nothing.
        match done {
            Ok(()) => drop(made.changes.fetch_add(1, Ordering::SeqCst)),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

#[derive(Default)]
struct Progress {
    changes: AtomicUsize,
    over: AtomicBool,
}

/// State and roles by organization and user.
type Rosters = BTreeMap<(String, String), (String, Vec<String>)>;

async fn rosters<I: sea_orm::TryGetable + ToString>(database: &DatabaseConnection) -> Rosters {
    let sql = "SELECT organization_id, user_id, state, roles FROM members";
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
    let row = |row: &sea_orm::QueryResult| {
        let id = |column: &str| row.try_get::<I>("", column).unwrap().to_string();
        let roles: String = row.try_get("", "roles").unwrap();
        let key = (id("organization_id"), id("user_id"));
        (key, (row.try_get("", "state").unwrap(), serde_json::from_str(&roles).unwrap()))
    };
    rows.iter().map(row).collect()
}

/// A dozen kills, in the long form 200, of the follower and of the two servers in turn, while two organizations change without a pause. The follower proves as it goes that each stream is whole, and its
/// copy is at the end what the database has. Each new follower goes on at the other server than the one before.
/// A follower that committed its cursor before what it had made of the batch missed an event within 200 kills.
#[wire_test]
async fn a_copy_is_whole_after_kills_of_follower_and_servers(world: World) {
    let key = service_key(&world, &["audit.read"]).await;
    let mut teams = Vec::new();
    for number in 0..2 {
        let team = Scenario::with(&world, "default", "", &format!("owner{number}@example.com")).await;
        let mut members = Vec::new();
        for member in 0..MEMBERS {
            let person = team.join(&format!("m{number}-{member}@example.com"), &["member"]).await;
            members.push(person.user_id);
        }
        teams.push((team, members));
    }
    let settings = ["database-url", "secret-key", "smtp-url"].map(|name| (name, world.flag(name)));
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut servers = [Program::new(&settings), Program::new(&settings)];
    for server in &mut servers {
        server.start().await;
    }
    let channels: Vec<Channel> = servers.iter().map(Program::channel).chain([world.channel()]).collect();
    let made = Arc::new(Progress::default());
    let writers: Vec<_> = teams
        .iter()
        .map(|(team, members)| {
            let (team, members, at) = (team.clone(), members.clone(), channels.clone());
            tokio::spawn(change(team, members, at, world.operator_key().to_owned(), made.clone()))
        })
        .collect();

    let copy = world.folder().join("copy.db");
    let mut follower = FollowerProgram::start(&key, &servers[0].endpoint(), &copy);
    let mut seen = 0;
    for kill in 0..kills() {
        let patience = Instant::now();
        while made.changes.load(Ordering::SeqCst) < seen + CHANGES {
            assert!(patience.elapsed() < PATIENCE, "nothing changes any more");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let [pause] = Entropy::system().bytes::<1>();
        tokio::time::sleep(Duration::from_millis(u64::from(pause))).await;
        seen = made.changes.load(Ordering::SeqCst);
        follower.require_running();
        match kill % 4 {
            0 | 2 => follower.replace(&servers[kill / 2 % 2].endpoint()),
            turn => {
                let server = &mut servers[turn / 2];
                server.kill().await;
                server.start().await;
            }
        }
    }
    made.over.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let expected = rosters::<Uuid>(world.database()).await;
    assert_eq!(expected.len(), 2 * (MEMBERS + 1));
    let copied = postgres::connect(&format!("sqlite://{}", copy.display())).await.unwrap();
    let patience = Instant::now();
    loop {
        follower.require_running();
        let found = rosters::<String>(&copied).await;
        if found == expected {
            break;
        }
        assert!(patience.elapsed() < PATIENCE, "the copy has {found:#?}\nand there is {expected:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = world.count("SELECT COUNT(*) AS n FROM events WHERE stream <> 'installation'").await;
    let sum = "SELECT CAST(SUM(revision) AS BIGINT) AS n FROM heads";
    let sum = copied.query_one_raw(Statement::from_string(copied.get_database_backend(), sum)).await.unwrap();
    assert_eq!(sum.unwrap().try_get::<i64>("", "n").unwrap(), all, "events that were followed, and that there are");
    eprintln!("{} kills, {seen} changes: {all} events in the copy, and none is missing", kills());
}
