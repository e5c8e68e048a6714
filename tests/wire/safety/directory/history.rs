//! One history: three servers that are stopped, killed and cut off from the database while some change rights and others ask for them. Every answer has to be explained by one order of all changes, which
//! respects what came before what in real time.

mod checker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roster::platform::Entropy;
use roster_test_macros::wire_test;
use sea_orm::ConnectionTrait;
use tonic::transport::Channel;
use tonic::{Request, Status};

use self::checker::{Answer, Asked, Subject, Truth, hold};
use super::{asking, question};
use crate::support::follower::Follower;
use crate::support::pb::member_service_client::MemberServiceClient;
use crate::support::pb::permission_service_client::PermissionServiceClient;
use crate::support::pb::session_service_client::SessionServiceClient;
use crate::support::pb::{
    ActivateMemberRequest, AtLeastAsFresh, CheckPermissionRequest, Decision, RevokeSessionRequest,
    SetMemberRolesRequest, SuspendMemberRequest, VerifySessionRequest, consistency::Requirement,
};
use crate::support::program::Program;
use crate::support::proxy::Proxy;
use crate::support::runner::rounds;
use crate::support::scenario::{PASSWORD, Scenario, credentials, texts, with_credential};
use crate::support::waiting::soon;
use crate::support::world::World;

const WRITERS: usize = 3;
const READERS: usize = 10;
/// How long one server after the other is asked at `minimize_latency` and for nothing else: whatever else it is asked makes its knowledge newer.
const QUIET: Duration = Duration::from_secs(2);
/// When a call is given up: its server is stopped, or its line hangs.
const CALL: Duration = Duration::from_secs(1);

/// How long a busy machine may need until enough has happened.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long it goes on at least: 400 ms for each round.
fn time() -> Duration {
    Duration::from_millis(400) * u32::try_from(rounds()).unwrap()
}

fn random(below: usize) -> usize {
    usize::from(u16::from_be_bytes(Entropy::system().bytes())) % below
}

/// What everybody works on.
struct Stage {
    subjects: Vec<Subject>,
    channels: Vec<Channel>,
    start: Instant,
    key: String,
    over: AtomicBool,
    answers: Mutex<Vec<Answer>>,
    /// Sessions that were valid after they had been ended.
    survivors: Mutex<Vec<String>>,
}

impl Stage {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    /// A server: any of them, or any that is asked for more than what is at hand.
    fn server(&self, quiet_too: bool) -> Channel {
        let quiet = self.start.elapsed().as_millis() / QUIET.as_millis();
        let quiet = usize::try_from(quiet).unwrap() % self.channels.len();
        match random(self.channels.len()) {
            chosen if chosen == quiet && !quiet_too => self.channels[(quiet + 1) % self.channels.len()].clone(),
            chosen => self.channels[chosen].clone(),
        }
    }

    /// Whether so much has happened that it says something.
    fn enough(&self) -> bool {
        let answers = self.answers.lock().unwrap();
        let count = |of: fn(&Answer) -> bool| answers.iter().filter(|answer| of(answer)).count();
        let (changes, allowed) =
            (count(|answer| answer.allowed.is_none()), count(|answer| answer.allowed == Some(true)));
        answers.len() >= 10 * rounds()
            && changes >= rounds()
            && allowed >= rounds()
            && changes + allowed < answers.len()
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = with_credential(&self.key, message);
        request.set_timeout(CALL);
        request
    }

    fn note(&self, subject: &Subject, asked: Asked, begin: Instant, revision: i64, allowed: Option<bool>) {
        let answer = Answer { subject: subject.clone(), asked, begin, end: Instant::now(), revision, allowed };
        self.answers.lock().unwrap().push(answer);
    }

    async fn change(self: Arc<Self>) {
        while self.goes_on() {
            let subject = &self.subjects[random(self.subjects.len())];
            let (organization_id, user_id) = (subject.organization_id.clone(), subject.user_id.clone());
            let mut client = MemberServiceClient::new(self.server(false));
            let begin = Instant::now();
            let change = random(4);
            let revision: Result<i64, Status> = match change {
                0 => {
                    let request = SuspendMemberRequest { organization_id, user_id, ..Default::default() };
                    let answer = client.suspend_member(self.request(request)).await;
                    answer.map(|answer| answer.into_inner().revision)
                }
                1 => {
                    let request = ActivateMemberRequest { organization_id, user_id, ..Default::default() };
                    let answer = client.activate_member(self.request(request)).await;
                    answer.map(|answer| answer.into_inner().revision)
                }
                role => {
                    let roles = texts(&[["admin", "member"][role - 2]]);
                    let request = SetMemberRolesRequest { organization_id, user_id, roles, ..Default::default() };
                    let answer = client.set_member_roles(self.request(request)).await;
                    answer.map(|answer| answer.into_inner().revision)
                }
            };
            if let Ok(revision) = revision {
                let asked = if change < 2 { Asked::Change } else { Asked::Roles };
                self.note(subject, asked, begin, revision, None);
                // At once, everywhere: where somebody else's reading of the log is under way.
                tokio::join!(self.ask_once(subject, Asked::Full), self.ask_once(subject, Asked::Full));
            }
            tokio::time::sleep(Duration::from_millis(random(3) as u64)).await;
        }
    }

    /// Asks whether a subject may; answers with the revision.
    async fn ask_once(&self, subject: &Subject, asked: Asked) -> Option<i64> {
        let requirement = match asked {
            Asked::AtLeast(revision) => Requirement::AtLeastAsFresh(AtLeastAsFresh { revision }),
            Asked::Recent => Requirement::MinimizeLatency(true),
            Asked::Full | Asked::Change | Asked::Roles => Requirement::Full(true),
        };
        let request = CheckPermissionRequest {
            consistency: asking(requirement),
            ..question(&subject.organization_id, &subject.user_id)
        };
        let begin = Instant::now();
        let mut client = PermissionServiceClient::new(self.server(matches!(asked, Asked::Recent)));
        let answer = client.check_permission(self.request(request)).await.ok()?.into_inner();
        let allowed = answer.decision() == Decision::Allow;
        self.note(subject, asked, begin, answer.revision, Some(allowed));
        Some(answer.revision)
    }

    async fn ask(self: Arc<Self>) {
        let mut known: BTreeMap<String, i64> = BTreeMap::new();
        while self.goes_on() {
            let subject = &self.subjects[random(self.subjects.len())];
            let least = known.get(&subject.organization_id).copied().unwrap_or_default();
            let asked = match random(4) {
                0 if least > 0 => Asked::AtLeast(least),
                1 => Asked::Recent,
                _ => Asked::Full,
            };
            match self.ask_once(subject, asked).await {
                Some(revision) => drop(known.insert(subject.organization_id.clone(), revision.max(least))),
                None => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Signs in, ends the session and asks for it everywhere.
    async fn end_sessions(self: Arc<Self>, email: String) {
        while self.goes_on() {
            let mut client = SessionServiceClient::new(self.server(false));
            let Ok(signed_in) = client.sign_in(credentials(&email, PASSWORD)).await else { continue };
            let signed_in = signed_in.into_inner();
            let session = signed_in.session.unwrap();
            let verify = async || {
                let request =
                    VerifySessionRequest { session_token: signed_in.session_token.clone(), ..Default::default() };
                let mut client = SessionServiceClient::new(self.server(false));
                client.verify_session(self.request(request)).await.map(|answer| answer.into_inner().valid)
            };
            let _ = (verify().await, verify().await);
            let request =
                RevokeSessionRequest { user_id: session.user_id.clone(), session_id: session.session_id.clone() };
            let mut client = SessionServiceClient::new(self.server(false));
            if client.revoke_session(self.request(request)).await.is_err() {
                continue;
            }
            for _ in 0..self.channels.len() {
                if verify().await.is_ok_and(|valid| valid) {
                    self.survivors.lock().unwrap().push(session.session_id.clone());
                }
            }
        }
    }
}

/// A server that faults are made at.
struct Target {
    program: Program,
    proxy: Option<Proxy>,
}

/// Stops servers, kills them and cuts them off until the time is over and enough has happened; answers with how often each of these was done.
async fn make_faults(world: &World, stage: &Stage, targets: &mut [Target]) -> BTreeMap<&'static str, usize> {
    let start = Instant::now();
    let mut done = BTreeMap::new();
    while start.elapsed() < time() || !stage.enough() {
        assert!(start.elapsed() < time() + PATIENCE, "too little happens: {done:?}");
        tokio::time::sleep(Duration::from_millis(100 + random(500) as u64)).await;
        let number = random(targets.len());
        let target = &mut targets[number];
        // Now and then longer than an answer may be old.
        let pause = Duration::from_millis(random(if random(3) == 0 { 1600 } else { 200 }) as u64);
        let fault = match (random(4), &target.proxy) {
            (0, _) => {
                target.program.kill().await;
                target.program.start().await;
                "killed"
            }
            (1, Some(proxy)) => {
                proxy.hang(true);
                tokio::time::sleep(pause).await;
                proxy.hang(false);
                "hanging line"
            }
            (2, Some(_)) => {
                let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
                let _ = world.database().execute_unprepared(cut).await;
                "cut lines"
            }
            _ => {
                target.program.process().signal("STOP");
                tokio::time::sleep(pause).await;
                target.program.process().signal("CONT");
                "stopped"
            }
        };
        *done.entry(fault).or_default() += 1;
    }
    done
}

/// While servers are stopped for longer than a second, killed, and their lines to the database hang and are cut, and one of them has hardly room for what it knows: an answer at `full` knows of everything that
/// anybody was told before it was asked for, one at `at_least_as_fresh` of what it was asked to, and one at `minimize_latency` of every change that was acknowledged a second before. Each is that of
/// the revision beside it. No session is valid after its end was acknowledged.
///
/// It failed within a minute where a call joined a reading of the log that had begun before it. That a load which an event overtakes is thrown away it did not show within a minute: `marks.rs` does.
#[wire_test]
async fn every_answer_has_its_place_in_one_history(world: World) {
    let mut subjects = Vec::new();
    let mut owner = String::new();
    for number in 0..2 {
        let team = Scenario::with(&world, "default", "", &format!("owner{number}@example.com")).await;
        for member in 0..2 {
            let person = team.join(&format!("m{number}-{member}@example.com"), &["admin"]).await;
            subjects.push(Subject { organization_id: team.organization_id.clone(), user_id: person.user_id });
        }
        owner = team.owner.email;
    }
    let direct = world.flag("database-url");
    let mut targets = Vec::new();
    for room in ["67108864", "4000", "67108864"] {
        let proxy = match direct.split_once('@') {
            Some((_, rest)) => Some(Proxy::before(rest.split_once('/').unwrap().0.parse().unwrap()).await),
            None => None,
        };
        let url = proxy.as_ref().map_or(direct.clone(), |proxy| proxy.url(&direct));
        let (secret_key, smtp) = (world.flag("secret-key"), world.flag("smtp-url"));
        let settings = [
            ("database-url", url.as_str()),
            ("secret-key", &secret_key),
            ("smtp-url", &smtp),
            ("directory-bytes", room),
            ("sign-in-failures", "1000"),
        ];
        let mut program = Program::new(&settings);
        program.start().await;
        targets.push(Target { program, proxy });
    }
    let stage = Arc::new(Stage {
        subjects,
        channels: targets.iter().map(|target| target.program.channel()).collect(),
        key: world.operator_key().to_owned(),
        start: Instant::now(),
        over: AtomicBool::new(false),
        answers: Mutex::default(),
        survivors: Mutex::default(),
    });
    let mut tasks = Vec::new();
    tasks.extend((0..WRITERS).map(|_| tokio::spawn(stage.clone().change())));
    tasks.extend((0..READERS).map(|_| tokio::spawn(stage.clone().ask())));
    tasks.push(tokio::spawn(stage.clone().end_sessions(owner)));
    let faults = make_faults(&world, &stage, &mut targets).await;
    stage.over.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let mut follower = Follower::default();
    // The first server's lines were cut, too.
    let caught_up = async { while follower.catch_up(&world, world.operator_key(), 500).await.is_err() {} };
    soon("the log", caught_up).await;
    let truth = Truth::read(&stage.subjects, &follower.events);
    let answers = stage.answers.lock().unwrap();
    hold(&answers, &truth);
    assert_eq!(*stage.survivors.lock().unwrap(), [""; 0]);
    let changes = answers.iter().filter(|answer| answer.allowed.is_none()).count();
    let allowed = answers.iter().filter(|answer| answer.allowed == Some(true)).count();
    eprintln!("{} answers ({allowed} times yes) and {changes} changes in one history; {faults:?}", answers.len());
}
