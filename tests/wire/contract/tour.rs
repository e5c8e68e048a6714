//! The tours of the README and of `docs/tours`, run as their reader would run them: the program itself with its defaults in an empty folder, the
//! commands in bash, and grpcurl (or [`crate::support::grpcurl`] in its place).
//!
//! Each `sh` block between the marks `<!-- tour -->` and `<!-- /tour -->` is run, and prints what the block behind it shows. Ids,
//! tokens and times are other ones with each run; the same one stays the same one. A line `...` stands for lines left out.
//! `UPDATE_README=1` writes the answers of this run into the page; what it leaves out stays left out where the rest agrees.
//! `ROSTER_TEST_REAL_GRPCURL=1` takes the grpcurl of the PATH.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chrono::DateTime;
use roster_test_macros::wire_test;
use uuid::Uuid;

use crate::support::grpcurl;

/// The address that the pages use.
const ADDRESS: &str = "localhost:50051";

/// What the README says is what happens.
#[wire_test(once)]
async fn the_tour_of_the_readme_is_true() {
    tokio::task::block_in_place(|| take_the_tour("README.md"));
}

/// Nor is it otherwise with all of it.
#[wire_test(once)]
async fn the_first_tour_is_true() {
    tokio::task::block_in_place(|| take_the_tour("docs/tours/first.md"));
}

/// jp: a person's life in a fulfilment dashboard, from the first mail to the last entry of the audit log.
#[wire_test(once)]
async fn the_tour_of_jetpack_is_true() {
    tokio::task::block_in_place(|| take_the_tour("docs/tours/jetpack.md"));
}

/// js: the same in an AI platform's team, with its table printed beside the document's.
#[wire_test(once)]
async fn the_tour_of_jetstack_is_true() {
    let page = "docs/tours/jetstack.md";
    tokio::task::block_in_place(|| take_the_tour(page));
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let block = |fence: &str| {
        text.split(&format!("```{fence}\n"))
            .filter_map(|rest| rest.split_once("```"))
            .map(|(block, _)| block)
            .find(|block| block.starts_with("| Permission"))
            .map(str::to_owned)
    };
    let (live, published) = (block("text").expect("the live table"), block("table").expect("the document's table"));
    assert_eq!((live.lines().count(), &live), (16, &published));
}

/// jh: the same in a telephony hub.
#[wire_test(once)]
async fn the_tour_of_jethub_is_true() {
    tokio::task::block_in_place(|| take_the_tour("docs/tours/jethub.md"));
}

/// cp: the same in a customer portal.
#[wire_test(once)]
async fn the_tour_of_portal_is_true() {
    tokio::task::block_in_place(|| take_the_tour("docs/tours/portal.md"));
}

/// pf: the same at a network platform's partner.
#[wire_test(once)]
async fn the_tour_of_packetfabric_is_true() {
    tokio::task::block_in_place(|| take_the_tour("docs/tours/packetfabric.md"));
}

/// The five documents' team pages, each by one call.
#[wire_test(once)]
async fn the_team_pages_are_true() {
    tokio::task::block_in_place(|| take_the_tour("docs/team-page.md"));
}

/// No tour is left out.
#[wire_test(once)]
async fn every_tour_is_taken() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tours");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let taken = format!("take_the_tour(\"docs/tours/{name}\")");
        assert!(
            name == "README.md" || name == "jetstack.md" || include_str!("tour.rs").contains(&taken),
            "nobody takes {name}"
        );
    }
}

/// The comparison sees what it has to see.
#[wire_test(once)]
async fn the_tour_compares_what_matters() {
    let (id, other) = ("01a2004b-eba3-7926-b8a1-8596f29b655b", "01a2004b-eba3-7544-a6ed-ca2b0f3eee13");
    let fits = |expected: &str, actual: &str| {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        fit(&lines(expected), &lines(actual), &mut Names::default()).is_some()
    };
    assert!(fits("a\nb", "a\nb") && !fits("a\nb", "a\nc") && !fits("a", "a\nb") && !fits("a\nb", "a"));
    assert!(fits("a\n  ...\nd", "a\nb\nc\nd") && !fits("a\n...\nd", "a\nd") && !fits("a\n...\nd", "a\nb\nc"));
    assert!(fits(&format!("x \"{id}\""), &format!("x \"{other}\"")));
    assert!(!fits(&format!("{id}\n{id}"), &format!("{id}\n{other}")));
    assert!(!fits(&format!("{id}\n{other}"), &format!("{id}\n{id}")));
    assert!(
        fits("at 2026-11-21T22:48:25.251084Z", "at 2027-01-01T00:00:00Z")
            && !fits("at 2026-11-21T22:48:25Z", "at noon")
    );
    let token = |letter: &str| format!("rss_{}", letter.repeat(43));
    assert!(fits(&token("a"), &token("b")) && !fits(&token("a"), "rss_short"));
}

fn take_the_tour(page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&file).unwrap();
    let mut pages = Pages::read(&text);
    assert!(pages.steps.len() > 7, "only {} steps found", pages.steps.len());

    let folder = tempfile::Builder::new().prefix("roster-tour-").tempdir().unwrap();
    let server = Server::start(folder.path());
    let answers = run(folder.path(), &server.address, &pages.steps);
    if std::env::var_os("UPDATE_README").is_some() {
        pages.update(&answers);
        fs::write(&file, pages.lines.join("\n") + "\n").unwrap();
        return;
    }
    let mut names = Names::default();
    let mut wrong = Vec::new();
    for (step, answer) in pages.steps.iter().zip(&answers) {
        let expected = pages.answer(step);
        if fit(expected, answer, &mut names).is_none() {
            let (expected, answer) = (expected.join("\n"), answer.join("\n"));
            wrong.push(format!("{}\n--- {page}:\n{expected}\n--- now:\n{answer}", step.commands));
        }
    }
    assert!(
        wrong.is_empty(),
        "UPDATE_README=1 rewrites the answers, if they are as they should be\n\n{}",
        wrong.join("\n\n")
    );
}

/// The lines of a page, and where the tour's commands and answers are in them.
struct Pages {
    lines: Vec<String>,
    steps: Vec<Step>,
}

struct Step {
    commands: String,
    /// The lines of the answer, without its fences; `None` where none is shown.
    answer: Option<Range<usize>>,
}

impl Pages {
    fn read(text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let find = |from: usize, wanted: &str| {
            let found = lines.iter().skip(from).position(|line| line == wanted);
            from + found.unwrap_or_else(|| panic!("there is no line {wanted:?} behind line {from}"))
        };
        let end = find(0, "<!-- /tour -->");
        let mut at = find(0, "<!-- tour -->");
        let mut steps: Vec<Step> = Vec::new();
        while at < end {
            let Some(kind) = lines[at].strip_prefix("```") else {
                at += 1;
                continue;
            };
            let close = find(at + 1, "```");
            match (kind, steps.last_mut()) {
                ("sh", _) => steps.push(Step { commands: lines[at + 1..close].join("\n"), answer: None }),
                // To be read beside an answer, and no answer itself.
                ("table", _) => {}
                (_, Some(step)) if step.answer.is_none() => step.answer = Some(at + 1..close),
                _ => panic!("line {}: an answer without commands", at + 1),
            }
            at = close + 1;
        }
        Self { lines, steps }
    }

    fn answer(&self, step: &Step) -> &[String] {
        step.answer.clone().map_or(&[], |lines| &self.lines[lines])
    }

    fn update(&mut self, answers: &[Vec<String>]) {
        // From the end, so that the places of those before stay where they are.
        for (step, answer) in self.steps.iter().zip(answers).rev() {
            let Some(shown) = step.answer.clone() else { continue };
            let lines = fit(&self.lines[shown.clone()], answer, &mut Names::default());
            self.lines.splice(shown, lines.unwrap_or_else(|| answer.clone()));
        }
    }
}

/// Runs all steps in one shell. Answers with the lines that each has printed.
fn run(folder: &Path, address: &str, steps: &[Step]) -> Vec<Vec<String>> {
    let outputs: Vec<PathBuf> = (0..steps.len()).map(|index| folder.join(format!("output-{index}"))).collect();
    let mut script = String::from("exec </dev/null\n");
    for (step, output) in steps.iter().zip(&outputs) {
        script.push_str(&format!("exec >'{}' 2>&1\n{}\n", output.display(), step.commands.replace(ADDRESS, address)));
    }
    fs::write(folder.join("tour.sh"), script).unwrap();
    let status = Command::new("bash")
        .arg("tour.sh")
        .current_dir(folder)
        .env("PATH", search_path(folder))
        .status()
        .expect("the tour needs bash");
    assert!(outputs.iter().all(|output| output.exists()), "bash did not get through: {status}");
    let read =
        |output: &PathBuf| fs::read_to_string(output).unwrap().lines().map(|line| in_order(line.trim_end())).collect();
    outputs.iter().map(read).collect()
}

/// The line with the facts of a refusal in the order of their names, in which grpcurl prints them: they come in none.
fn in_order(line: &str) -> String {
    let facts = || {
        let (before, rest) = line.split_once("\"metadata\":{\"")?;
        let (facts, after) = rest.split_once("\"}")?;
        let mut facts: Vec<&str> = facts.split("\",\"").collect();
        facts.sort_unstable();
        Some(format!("{before}\"metadata\":{{\"{}\"}}{after}", facts.join("\",\"")))
    };
    facts().unwrap_or_else(|| line.to_owned())
}

/// A PATH that begins with a grpcurl which is this very program.
fn search_path(folder: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    if std::env::var_os("ROSTER_TEST_REAL_GRPCURL").is_some() {
        return path;
    }
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let program = std::env::current_exe().unwrap();
    let script = format!("#!/bin/sh\n{}=1 exec '{}' \"$@\"\n", grpcurl::SWITCH, program.display());
    fs::write(bin.join("grpcurl"), script).unwrap();
    fs::set_permissions(bin.join("grpcurl"), fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{path}", bin.display())
}

/// The program as `cargo run` starts it, but on free ports.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_roster"))
            .args(["serve", "--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--log-format=json"])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = log.by_ref().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).ok()?;
            Some(line.get("grpc")?.as_str()?.to_owned())
        });
        // Somebody has to go on reading, or the program waits for it.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address: address.expect("the server did not start") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which id or token of the page is which one of this run.
#[derive(Clone, Default)]
struct Names {
    now: HashMap<String, String>,
    then: HashMap<String, String>,
}

impl Names {
    fn are_one(&mut self, then: &str, now: &str) -> bool {
        self.now.entry(then.to_owned()).or_insert_with(|| now.to_owned()) == now
            && self.then.entry(now.to_owned()).or_insert_with(|| then.to_owned()) == then
    }
}

/// The answer in the form of what was expected, if it is that: with the same lines left out.
fn fit(expected: &[String], answer: &[String], names: &mut Names) -> Option<Vec<String>> {
    let Some((line, rest)) = expected.split_first() else {
        return answer.is_empty().then(Vec::new);
    };
    if line.trim() == "..." {
        return (1..=answer.len()).find_map(|left_out| {
            let mut trial = names.clone();
            let mut lines = fit(rest, &answer[left_out..], &mut trial)?;
            *names = trial;
            lines.insert(0, line.clone());
            Some(lines)
        });
    }
    let (first, others) = answer.split_first()?;
    if !same(line, first, names) {
        return None;
    }
    let mut lines = fit(rest, others, names)?;
    lines.insert(0, first.clone());
    Some(lines)
}

/// Whether two lines say the same, whatever their ids, tokens and times are.
fn same(expected: &str, actual: &str, names: &mut Names) -> bool {
    let (expected, actual) = (words(expected), words(actual));
    expected.len() == actual.len()
        && expected.iter().zip(&actual).all(|(then, now)| match (kind(then), kind(now)) {
            (Kind::Name, Kind::Name) => names.are_one(then, now),
            (Kind::Time, Kind::Time) => true,
            _ => then == now,
        })
}

#[derive(PartialEq, Eq)]
enum Kind {
    Name,
    Time,
    Other,
}

fn kind(word: &str) -> Kind {
    let token = word.len() == 47 && ["rin_", "rsk_", "rss_"].iter().any(|prefix| word.starts_with(prefix));
    match () {
        () if token || Uuid::try_parse(word).is_ok() => Kind::Name,
        () if DateTime::parse_from_rfc3339(word).is_ok() => Kind::Time,
        () => Kind::Other,
    }
}

/// A line in pieces: words of what ids, tokens and times are made of, and what stands between them.
fn words(line: &str) -> Vec<&str> {
    let of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.');
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| of_word(c) != of_word(first)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}
