//! Holds the import rules: which layer may import which, which layer alone uses a library, and that the files of a layer do not import each other in a circle.
//!
//! It reads the source as a sequence of words and signs, comments and texts left out, and follows every path that starts at
//! `crate::`, at `super::`, or at a library's name. That is less than a compiler knows, and enough: a path has to be
//! written out somewhere before anything can be used.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the source has failed")]

mod source;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use source::{is_within_path, module_of, paths_used, rust_files, words_of};

/// Layer, and the layers that it may import. A layer is a folder or a file right under `src`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("platform", &[]),
    ("store", &["domain", "platform"]),
    ("app", &["domain", "store", "platform"]),
    ("outbox", &["domain", "store", "platform"]),
    ("grpc", &["domain", "app", "platform"]),
    ("config", &["domain", "platform"]),
    ("http", &["platform"]),
];

/// The folders of `app`, from the top. Each imports only those below it, so that they can be read one after the other.
const STAIRS: [&str; 15] = [
    "personal_data",
    "organizations",
    "invitations",
    "members",
    "users",
    "ownership",
    "sessions",
    "credentials",
    "permissions",
    "mail",
    "search",
    "events",
    "audit",
    "operators",
    "call",
];

/// Libraries, and the layers that alone may name them.
const KNOWS: &[(&[&str], &[&str])] = &[
    (&["sea_orm", "sea_orm_migration", "sqlx", "roster_migrations"], &["store"]),
    (
        &[
            "tonic",
            "tonic_health",
            "tonic_prost",
            "tonic_reflection",
            "tonic_types",
            "tonic_web",
            "prost",
            "prost_types",
            "prost_reflect",
        ],
        &["grpc", "server", "main", "admin"],
    ),
    (&["lettre", "minijinja"], &["outbox"]),
    (&["axum"], &["http", "server"]),
    (&["clap"], &["config", "main", "admin"]),
    (&["argon2", "bcrypt", "scrypt"], &["platform"]),
    (&["hyper"], &["platform"]),
    (&["http_body_util"], &["platform", "grpc"]),
    (&["jsonwebtoken"], &["domain"]),
    (&["rand", "getrandom", "fastrand"], &["platform"]),
];

/// The ends of paths that read the clock or the random source of the machine; only `platform` may.
const AMBIENT: &[&[&str]] = &[
    &["Utc", "now"],
    &["Local", "now"],
    &["SystemTime", "now"],
    &["Instant", "now"],
    &["Uuid", "now_v7"],
    &["Uuid", "new_v4"],
    &["Uuid", "new_v7"],
    &["Timestamp", "now"],
    &["SystemRandom", "new"],
    &["rand", "fill"],
    &["rand", "generate"],
    &["RandomState", "new"],
];

#[test]
fn the_imports_of_the_house_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = rust_files(&root.join("src"));
    assert!(files.len() > 20, "only {} files found", files.len());
    let mut offences = String::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        for offence in offences_in(&path, &fs::read_to_string(&file).unwrap()) {
            writeln!(offences, "{offence}").unwrap();
        }
    }
    assert!(offences.is_empty(), "\n{offences}");
}

/// A layer that is not in the table would import what it likes.
#[test]
fn every_room_has_its_rule() {
    // They put the others together, and nobody imports them.
    const TOP: [&str; 4] = ["lib", "main", "server", "admin"];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&source) {
        let path = format!("src/{}", file.strip_prefix(&source).unwrap().to_str().unwrap().replace('\\', "/"));
        let layer = layer_of(&path);
        let known = TOP.contains(&layer) || MAY_IMPORT.iter().any(|(name, _)| *name == layer);
        assert!(known, "{path}: the layer `{layer}` has no rule in tests/imports");
    }
}

/// `src/store/users.rs` is in `store`, `src/config.rs` in `config`.
fn layer_of(path: &str) -> &str {
    let inner = path.trim_start_matches("src/");
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

fn offences_in(path: &str, source: &str) -> Vec<String> {
    let layer = layer_of(path);
    let words = words_of(source);
    let words: Vec<(&str, usize)> = words.iter().map(|(word, line)| (word.as_str(), *line)).collect();
    let mut offences = Vec::new();
    for (used, line) in paths_used(&words, &module_of(path)) {
        let target = used.first().copied().unwrap_or_default();
        let allowed = MAY_IMPORT.iter().find(|(name, _)| *name == layer).map(|(_, allowed)| *allowed);
        let is_layer = MAY_IMPORT.iter().any(|(name, _)| *name == target) || matches!(target, "server" | "admin");
        if is_layer && target != layer && allowed.is_some_and(|allowed| !allowed.contains(&target)) {
            offences.push(format!("{path}:{line}: `{layer}` must not import `{target}`"));
        }
        if let (Some((at, own)), Some((above, other))) = (stair_of(&module_of(path)), stair_of(&used))
            && above < at
        {
            offences.push(format!("{path}:{line}: `{own}` must not import `{other}`, which stands above it"));
        }
    }
    for (at, (word, line)) in words.iter().enumerate() {
        let next = words.get(at + 1).map(|(word, _)| *word);
        let before = at.checked_sub(1).and_then(|at| words.get(at)).map(|(word, _)| *word);
        let starts_path = next == Some("::") && !is_within_path(&words, at);
        let is_used = starts_path || matches!(before, Some("use" | "crate")) && matches!(next, Some(";" | "as"));
        for (libraries, layers) in KNOWS {
            if is_used && libraries.contains(word) && !layers.contains(&layer) {
                offences.push(format!("{path}:{line}: `{layer}` must not know `{word}`"));
            }
        }
        for &end in AMBIENT {
            let &[kind, function] = end else { continue };
            let calls =
                *word == kind && next == Some("::") && words.get(at + 2).is_some_and(|(word, _)| *word == function);
            if calls && layer != "platform" {
                offences.push(format!("{path}:{line}: `{kind}::{function}` belongs to `platform`"));
            }
        }
    }
    offences
}

/// Which of the [`STAIRS`] a module or a path is on, and how far down it is.
fn stair_of<'a>(path: &[&'a str]) -> Option<(usize, &'a str)> {
    match path {
        ["app", folder, ..] => Some((STAIRS.iter().position(|stair| stair == folder)?, folder)),
        _ => None,
    }
}

/// Files of one layer that import each other in a circle can only be understood together: one of them is in the wrong place, or holds two things.
/// The root of a layer is left out: it puts the others together.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<(String, String)> = rust_files(&root.join("src"))
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            (path, fs::read_to_string(file).unwrap())
        })
        .collect();
    assert_eq!(circles(&files), Vec::<String>::new());
}

#[test]
fn a_circle_is_told_with_its_files() {
    let file = |path: &str, source: &str| (path.to_owned(), source.to_owned());
    let files = [
        file("src/app.rs", "pub use a::A; mod a; mod b; mod c;"),
        file("src/app/a.rs", "use super::{App, b::B}; mod tests { use super::*; }"),
        file("src/app/b.rs", "fn f() { crate::app::c::g() }"),
        file("src/app/c.rs", "use crate::{domain::x, app::{a::A, d}};"),
        file("src/app/d.rs", "use super::x::A;"),
        file("src/grpc/users.rs", "mod states; use states::change;"),
        file("src/grpc/users/states.rs", "use super::show;"),
        file("src/grpc/members.rs", "mod states; use crate::grpc::members::states::change;"),
        file("src/grpc/members/states.rs", "use super::show;"),
    ];
    assert_eq!(
        circles(&files),
        [
            "src/app/a.rs -> src/app/b.rs -> src/app/c.rs -> src/app/a.rs",
            "src/grpc/members.rs -> src/grpc/members/states.rs -> src/grpc/members.rs"
        ]
    );
}

/// The shortest circle through each file that is in one, told once.
fn circles(files: &[(String, String)]) -> Vec<String> {
    let modules: Vec<(&str, Vec<&str>)> = files.iter().map(|(path, _)| (path.as_str(), module_of(path))).collect();
    let within = |module: &[&str]| module.len() > 1;
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, source) in files {
        let module = module_of(path);
        let words = words_of(source);
        let words: Vec<(&str, usize)> = words.iter().map(|(word, line)| (word.as_str(), *line)).collect();
        // The file that a path leads to is that of the longest module that it begins with.
        let file_of = |used: &[&str]| {
            let found = modules.iter().filter(|(_, at)| within(at) && used.starts_with(at));
            found.max_by_key(|(_, at)| at.len()).map(|(other, _)| *other)
        };
        let used = paths_used(&words, &module);
        let targets = used.iter().filter(|(used, _)| used.first() == module.first());
        let targets = targets.filter_map(|(used, _)| file_of(used)).filter(|other| other != path);
        if within(&module) {
            imports.insert(path, targets.collect());
        }
    }
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for start in imports.keys().copied() {
        // Breadth first: the first way back is the shortest one.
        let mut ways = VecDeque::from([vec![start]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front().filter(|_| !seen.contains(start)) {
            for next in way.last().and_then(|last| imports.get(last)).into_iter().flatten().copied() {
                let longer = [&way[..], &[next]].concat();
                if next == start && told.insert(way.iter().copied().collect::<BTreeSet<_>>()) {
                    found.push(longer.join(" -> "));
                }
                if seen.insert(next) {
                    ways.push_back(longer);
                }
            }
        }
    }
    found
}

#[test]
fn an_offending_line_is_told_with_file_and_line() {
    for (path, source, expected) in [
        ("src/domain/user.rs", "\nuse crate::store::Tx;", "src/domain/user.rs:2: `domain` must not import `store`"),
        (
            "src/domain/user.rs",
            "use crate::platform::Clock;",
            "src/domain/user.rs:1: `domain` must not import `platform`",
        ),
        (
            "src/platform/clock.rs",
            "use super::super::domain::error;",
            "src/platform/clock.rs:1: `platform` must not import `domain`",
        ),
        ("src/platform.rs", "use super::domain::error;", "src/platform.rs:1: `platform` must not import `domain`"),
        (
            "src/app/a/b.rs",
            "use crate::{\n    domain::{x, grpc},\n    grpc::pb,\n};",
            "src/app/a/b.rs:3: `app` must not import `grpc`",
        ),
        ("src/app/a.rs", "fn f() { crate::outbox::send() }", "src/app/a.rs:1: `app` must not import `outbox`"),
        ("src/store/a.rs", "use crate::{self as root, app};", "src/store/a.rs:1: `store` must not import `root`"),
        ("src/grpc/a.rs", "fn f(s: &crate::store::Store) {}", "src/grpc/a.rs:1: `grpc` must not import `store`"),
        ("src/grpc/a.rs", "use crate::server::Server;", "src/grpc/a.rs:1: `grpc` must not import `server`"),
        ("src/app/a.rs", "use sea_orm::EntityTrait;", "src/app/a.rs:1: `app` must not know `sea_orm`"),
        ("src/app/a.rs", "fn f() -> ::tonic::Status {}", "src/app/a.rs:1: `app` must not know `tonic`"),
        ("src/store/a.rs", "use prost as p;", "src/store/a.rs:1: `store` must not know `prost`"),
        ("src/grpc/a.rs", "let x = lettre::Message::builder();", "src/grpc/a.rs:1: `grpc` must not know `lettre`"),
        (
            "src/app/a.rs",
            "// Utc::now\nlet now = chrono::Utc::now();",
            "src/app/a.rs:2: `Utc::now` belongs to `platform`",
        ),
        ("src/outbox/a.rs", "let id = Uuid :: now_v7();", "src/outbox/a.rs:1: `Uuid::now_v7` belongs to `platform`"),
        (
            "src/app/users/states.rs",
            "use crate::app::{\n    call::context::Ctx,\n    members::target,\n};",
            "src/app/users/states.rs:3: `users` must not import `members`, which stands above it",
        ),
    ] {
        if expected.ends_with("`root`") {
            // A group that starts with the root itself still has its other names looked at.
            assert_eq!(offences_in(path, source), ["src/store/a.rs:1: `store` must not import `app`"]);
        } else {
            assert_eq!(offences_in(path, source), [expected], "{source}");
        }
    }
}

#[test]
fn what_is_allowed_or_only_said_is_not_told() {
    for (path, source) in [
        ("src/app/a.rs", "use crate::{domain::error::{Refusal, grpc}, store::Tx, platform};"),
        ("src/app/a.rs", "use super::outbox_rows; mod tests { use super::*; }"),
        ("src/config.rs", "mod tests { use super::*; }"),
        (
            "src/domain/a.rs",
            "//! see [`crate::store::Tx`]\n/* crate::store /* tonic:: */ */ const A: &str = \"crate::store\";",
        ),
        ("src/domain/a.rs", "const A: &str = r#\"use \"tonic::x\" \"#; const B: char = '\"'; fn f<'a>(a: &'a str) {}"),
        ("src/domain/a.rs", "const A: u8 = b'\\''; pub(crate) struct Tonic; let tonic = 1; foo::tonic::bar();"),
        ("src/platform/clock.rs", "Utc::now(); Instant::now();"),
        ("src/server.rs", "use crate::{app, grpc, outbox, store}; use tonic::transport::Server;"),
        ("src/grpc/a.rs", "use tonic::Status; use crate::grpc::convert;"),
        ("src/app/members.rs", "use crate::app::{users::find, members::states, App};"),
    ] {
        assert_eq!(offences_in(path, source), Vec::<String>::new(), "{source}");
    }
}
