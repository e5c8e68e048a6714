//! `roster admin import`: the program itself, which is killed, and whose server is killed, in the middle.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use roster_test_macros::wire_test;
use sea_orm::{DatabaseConnection, DbBackend};
use serde_json::{Value, json};

use crate::support::pb::ListUsersRequest;
use crate::support::postgres;
use crate::support::process::PROGRAM;
use crate::support::program::Program;
use crate::support::scenario::{call, create_user, sign_in, traces};
use crate::support::world::World;

/// Of "letmein1", by bcrypt 5.0.0 of PyPI.
const BCRYPT: &str = "$2b$04$oF8st7APAjryZpu2.UXOBeyrODaiGYY2AGdAeKeZrmYmYZNGZQyPO";
/// How long something may take that takes a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program as it is started, with what follows `admin` up to the subcommand.
fn command(endpoint: &str, key: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["admin", "--endpoint", endpoint, "import"]).env("ROSTER_OPERATOR_KEY", key);
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn finished(child: Child) -> Output {
    let waiting = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    tokio::time::timeout(PATIENCE, waiting).await.expect("it ends").unwrap()
}

fn endpoint(world: &World) -> String {
    format!("http://{}", world.grpc_address())
}

async fn import(world: &World, arguments: &[&str]) -> Output {
    finished(command(&endpoint(world), world.operator_key(), arguments).spawn().unwrap()).await
}

fn person(number: usize) -> String {
    json!({"email": format!("p{number}@example.com"), "given_name": "Given", "password_hash": BCRYPT}).to_string()
}

fn file(folder: &Path, name: &str, lines: &[String]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn json_lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The numbers of created, repeated and refused lines that the program tells at its end.
fn told(output: &Output) -> Vec<u64> {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_default();
    let (_, counts) = last.split_once(" lines: ").unwrap_or_else(|| panic!("{text}"));
    let numbers = counts.split(", ").take(3);
    numbers.map(|part| part.split(' ').next().unwrap().parse().unwrap()).collect()
}

async fn count(database: &DatabaseConnection, query: &str) -> i64 {
    use sea_orm::{ConnectionTrait, Statement};
    let statement = Statement::from_string(database.get_database_backend(), query);
    let row = database.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}

/// Waits until so many people have come, and the import is not over.
async fn until_some_came(database: &DatabaseConnection, least: i64, all: i64) {
    let since = Instant::now();
    loop {
        let there = count(database, "SELECT COUNT(*) AS n FROM imported_users").await;
        assert!(there < all, "the import was over before anything could happen to it");
        if there >= least {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "only {there} came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Every person is there once, with the import that brought them.
async fn hold_each_once(database: &DatabaseConnection, all: i64) {
    for query in [
        "SELECT COUNT(*) AS n FROM users",
        "SELECT COUNT(*) AS n FROM imported_users",
        "SELECT COUNT(DISTINCT import_id) * COUNT(DISTINCT user_id) AS n FROM imported_users",
        "SELECT COUNT(DISTINCT email_key) AS n FROM users",
        "SELECT COUNT(DISTINCT place) AS n FROM imported_users",
        "SELECT COUNT(*) AS n FROM events WHERE kind = 'user.imported'",
    ] {
        assert_eq!(count(database, query).await, all, "{query}");
    }
}

/// Who is said well has an account and signs in; every other line is reported by its number, with the reason, and without a password hash. Started again, the same
/// file changes nothing and says the same.
#[wire_test]
async fn a_file_is_imported_and_its_refused_lines_are_reported(world: World) {
    create_user(&world, "taken@example.com").await;
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        person(1),
        String::new(),
        "no JSON $2b$04$secret".to_owned(),
        json!({"email": "taken@example.com", "given_name": "Given"}).to_string(),
        json!({"email": "a@b@c", "password_hash": "$1$secret"}).to_string(),
        json!({"email": "b@example.com", "given_name": "Given", "password_hash": "$2b$31$oF8st7APAjryZpu2.UXOBeyrODaiGYY2AGdAeKeZrmYmYZNGZQyPO"}).to_string(),
        json!({"email": "c@example.com", "given_name": "Given", "phone": "secret"}).to_string(),
        "x".repeat(100_000),
        person(9),
        person(1),
    ];
    let file = file(folder.path(), "users.jsonl", &lines);
    let ids = folder.path().join("ids.jsonl");
    let arguments = ["--ids", ids.to_str().unwrap(), file.to_str().unwrap()];
    let output = import(&world, &arguments).await;
    assert_eq!((output.status.code(), told(&output)), (Some(3), vec![2, 0, 7]), "{output:?}");
    let expected = [
        (3, "INVALID_REQUEST", ""),
        (4, "EMAIL_TAKEN", "-"),
        (5, "INVALID_REQUEST", "email"),
        (6, "HASH_TOO_EXPENSIVE", "password_hash"),
        (7, "INVALID_REQUEST", "phone"),
        (8, "INVALID_REQUEST", ""),
        (10, "EMAIL_TAKEN", "-"),
    ];
    let seen: Vec<_> = json_lines(&output.stdout)
        .iter()
        .map(|line| {
            let field = line["violations"][0]["field"].as_str().unwrap_or("-").to_owned();
            (line["line"].as_u64().unwrap(), line["reason"].as_str().unwrap().to_owned(), field)
        })
        .collect();
    let expected: Vec<_> =
        expected.iter().map(|(line, reason, field)| (*line, (*reason).to_owned(), (*field).to_owned())).collect();
    assert_eq!(seen, expected);
    assert!(
        !String::from_utf8_lossy(&output.stdout).contains("secret")
            && !String::from_utf8_lossy(&output.stdout).contains("$2b$")
    );
    let named = json_lines(&fs::read(&ids).unwrap());
    assert_eq!(
        named.iter().map(|one| (&one["line"], &one["outcome"])).collect::<Vec<_>>(),
        [(&json!(1), &json!("CREATED")), (&json!(9), &json!("CREATED"))]
    );
    sign_in(&world, "p9@example.com", "letmein1").await.unwrap();

    let before = traces(&world).await;
    let again = import(&world, &arguments).await;
    assert_eq!((again.status.code(), told(&again), &again.stdout), (Some(3), vec![0, 2, 7], &output.stdout));
    let same = json_lines(&fs::read(&ids).unwrap());
    assert_eq!(same[0]["user_id"], named[0]["user_id"]);
    assert_eq!(same[0]["outcome"], "ALREADY_IMPORTED");
    assert_eq!(traces(&world).await, before);
}

/// A validation tells what is wrong and creates nobody; without anything wrong, the status is that of success.
#[wire_test]
async fn a_validation_creates_nobody(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let before = traces(&world).await;
    let file = file(folder.path(), "users.jsonl", &[person(1), person(2)]);
    let report = folder.path().join("refused.jsonl");
    let output =
        import(&world, &["--validate-only", "--report", report.to_str().unwrap(), file.to_str().unwrap()]).await;
    assert_eq!((output.status.code(), told(&output), output.stdout.len()), (Some(0), vec![2, 0, 0], 0), "{output:?}");
    assert_eq!(fs::read(&report).unwrap(), b"");
    assert_eq!(traces(&world).await, before);
}

/// Of standard input the import has to be named to be taken up again.
#[wire_test]
async fn standard_input_is_taken_up_by_the_name_of_the_import(world: World) {
    let arguments = ["--import-id", "0197f0c0-7b1e-7c3a-9d2e-3f4a5b6c7d8e", "-"];
    let mut told_of = Vec::new();
    for people in [1..4, 1..6] {
        let mut child =
            command(&endpoint(&world), world.operator_key(), &arguments).stdin(Stdio::piped()).spawn().unwrap();
        let text: String = people.map(|number| person(number) + "\r\n").collect();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = finished(child).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        told_of.push(told(&output));
    }
    assert_eq!(told_of, [vec![3, 0, 0], vec![2, 3, 0]]);
}

/// The program is killed in the middle, twice, and started again: it goes on, and everybody is there once.
#[wire_test]
async fn killed_in_the_middle_it_goes_on(world: World) {
    const ALL: usize = 1000;
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "users.jsonl", &(0..ALL).map(person).collect::<Vec<_>>());
    let arguments = ["--batch-size", "10", file.to_str().unwrap()];
    for least in [100, 400] {
        let mut child = command(&endpoint(&world), world.operator_key(), &arguments).spawn().unwrap();
        until_some_came(world.database(), least, ALL as i64).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = import(&world, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let [created, already, refused] = told(&output)[..] else { panic!("{output:?}") };
    assert!(created > 0 && already >= 400, "{created} created, {already} were there");
    assert_eq!((created + already, refused), (ALL as u64, 0));
    hold_each_once(world.database(), ALL as i64).await;
}

/// The server is killed in the middle and comes back: the program waits for it and goes on by itself. When it stays away, the program gives up, says so, and
/// goes on when it is started again.
#[wire_test]
async fn the_server_is_killed_in_the_middle(world: World) {
    const ALL: usize = 1000;
    let separate = match world.database().get_database_backend() {
        DbBackend::Postgres => Some(postgres::shared().await.unwrap().create_database().await.unwrap()),
        _ => None,
    };
    let settings: Vec<(&str, &str)> = separate.iter().map(|database| ("database-url", database.url.as_str())).collect();
    let mut program = Program::new(&settings);
    program.start().await;
    let (endpoint, key) = (program.endpoint(), program.operator_key().await);
    let database = postgres::connect(&program.database_url()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "users.jsonl", &(0..ALL).map(person).collect::<Vec<_>>());
    let path = file.to_str().unwrap();

    let child = command(&endpoint, &key, &["--batch-size", "10", "--retry-for", "1s", path]).spawn().unwrap();
    until_some_came(&database, 100, ALL as i64).await;
    program.kill().await;
    let output = finished(child).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && text.contains("roster: "), "{output:?}");

    program.start().await;
    let child = command(&endpoint, &key, &["--batch-size", "10", path]).spawn().unwrap();
    until_some_came(&database, 400, ALL as i64).await;
    program.kill().await;
    program.start().await;
    let output = finished(child).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let [created, already, refused] = told(&output)[..] else { panic!("{output:?}") };
    assert_eq!((created + already, refused), (ALL as u64, 0));
    hold_each_once(&database, ALL as i64).await;
    program.terminate().await;
    database.close().await.unwrap();
    if let Some(separate) = separate {
        postgres::shared().await.unwrap().drop_database(&separate).await.unwrap();
    }
}

/// What cannot be begun ends with 1, and what is said wrong with 2.
#[wire_test(sqlite)]
async fn the_exit_status_says_what_went_wrong(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "users.jsonl", &[person(1)]);
    let path = file.to_str().unwrap();
    let status = async |endpoint: &str, key: &str, arguments: &[&str]| {
        let output = finished(command(endpoint, key, arguments).spawn().unwrap()).await;
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (here, key) = (endpoint(&world), world.operator_key());
    let (code, text) = status(&here, key, &["no-such-file"]).await;
    assert!(code == Some(1) && text.contains("no-such-file"), "{code:?} {text}");
    let (code, text) = status(&here, "rsk_wrong", &[path]).await;
    assert!(code == Some(1) && text.contains("CREDENTIALS_INVALID"), "{code:?} {text}");
    let (code, _) = status("http://127.0.0.1:1", key, &[path]).await;
    assert_eq!(code, Some(1));
    for wrong in [&["--batch-size", "501", path][..], &["--import-id", "x", path], &[]] {
        assert_eq!(status(&here, key, wrong).await.0, Some(2), "{wrong:?}");
    }
    let users = call!(world, users.list_users, key, ListUsersRequest::default()).unwrap();
    assert!(users.users.is_empty());
}

/// The commands of "Moving from your own users table" in docs/operations.md, as somebody would type them.
#[wire_test(sqlite)]
async fn the_example_of_the_documents_runs(world: World) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let (_, section) = text.split_once("## Moving from your own users table").unwrap();
    let blocks: Vec<&str> = section.split("```").collect();
    let script = blocks.iter().find_map(|block| block.strip_prefix("sh\n")).unwrap();
    let refused = blocks.iter().find_map(|block| block.strip_prefix("json\n")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(PROGRAM).parent().unwrap().display().to_string() + ":" + &std::env::var("PATH").unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", script]).current_dir(folder.path()).stdin(Stdio::null());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    shell.env("PATH", path).env("ROSTER_ENDPOINT", endpoint(&world)).env("ROSTER_OPERATOR_KEY", world.operator_key());
    let output = finished(shell.spawn().unwrap()).await;
    assert_eq!(told(&output), [2, 0, 1], "{output:?}");
    assert_eq!(json_lines(&fs::read(folder.path().join("refused.jsonl")).unwrap()), json_lines(refused.as_bytes()));
    assert_eq!(json_lines(&fs::read(folder.path().join("ids.jsonl")).unwrap()).len(), 2);
    sign_in(&world, "ada@example.com", "letmein1").await.unwrap();
}
