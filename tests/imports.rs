//! Holds the walls of the house: which room may import which, and which room alone knows a library.
//!
//! It reads the source as a sequence of words and signs, comments and texts left out, and follows every path that starts at
//! `crate::`, at enough `super::`, or at a library's name. That is less than a compiler knows, and enough: a path has to be
//! written out somewhere before anything can be used.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the source has failed")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Room, and the rooms that it may import. A room is a folder or a file right under `src`.
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

/// Libraries, and the rooms that alone may name them.
const KNOWS: &[(&[&str], &[&str])] = &[
    (
        &["sea_orm", "sea_orm_migration", "sqlx", "roster_migrations"],
        &["store"],
    ),
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
    (&["hyper", "http_body_util"], &["platform"]),
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

/// A room that is not in the table would import what it likes.
#[test]
fn every_room_has_its_rule() {
    // They put the others together, and nobody imports them.
    const TOP: [&str; 4] = ["lib", "main", "server", "admin"];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&source) {
        let path = format!(
            "src/{}",
            file.strip_prefix(&source).unwrap().to_str().unwrap().replace('\\', "/")
        );
        let room = room_of(&path);
        let known = TOP.contains(&room) || MAY_IMPORT.iter().any(|(name, _)| *name == room);
        assert!(known, "{path}: the room `{room}` has no rule in tests/imports.rs");
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// `src/store/users.rs` is in `store`, `src/config.rs` in `config`.
fn room_of(path: &str) -> &str {
    let inner = path.trim_start_matches("src/");
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

/// How many modules deep the file is: `src/store/users.rs` is `crate::store::users`, two.
fn depth_of(path: &str) -> usize {
    let inner = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    if matches!(inner, "lib" | "main") {
        0
    } else {
        inner.split('/').count()
    }
}

fn offences_in(path: &str, source: &str) -> Vec<String> {
    let room = room_of(path);
    let words = words_of(source);
    let mut offences = Vec::new();
    for (target, line) in rooms_used(&words, depth_of(path)) {
        let allowed = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == room)
            .map(|(_, allowed)| *allowed);
        let is_room = MAY_IMPORT.iter().any(|(name, _)| *name == target) || matches!(target, "server" | "admin");
        if is_room && target != room && allowed.is_some_and(|allowed| !allowed.contains(&target)) {
            offences.push(format!("{path}:{line}: `{room}` must not import `{target}`"));
        }
    }
    for (at, (word, line)) in words.iter().enumerate() {
        let next = words.get(at + 1).map(|(word, _)| *word);
        let before = at.checked_sub(1).and_then(|at| words.get(at)).map(|(word, _)| *word);
        let starts_path = next == Some("::") && !is_within_path(&words, at);
        let is_used = starts_path || matches!(before, Some("use" | "crate")) && matches!(next, Some(";" | "as"));
        for (libraries, rooms) in KNOWS {
            if is_used && libraries.contains(word) && !rooms.contains(&room) {
                offences.push(format!("{path}:{line}: `{room}` must not know `{word}`"));
            }
        }
        for &end in AMBIENT {
            let &[kind, function] = end else { continue };
            let calls =
                *word == kind && next == Some("::") && words.get(at + 2).is_some_and(|(word, _)| *word == function);
            if calls && room != "platform" {
                offences.push(format!("{path}:{line}: `{kind}::{function}` belongs to `platform`"));
            }
        }
    }
    offences
}

/// Whether something stands before the `::` in front of this word: `foo::word`, and not `-> ::word`.
fn is_within_path(words: &[(&str, usize)], at: usize) -> bool {
    let before = |back: usize| {
        at.checked_sub(back)
            .and_then(|at| words.get(at))
            .map_or("", |(word, _)| *word)
    };
    let is_name = |word: &str| word.starts_with(|c: char| c.is_alphabetic() || c == '_');
    before(1) == "::" && (is_name(before(2)) || before(2) == ">" && before(3) != "-")
}

/// What follows `crate::`, or as many `super::` as lead to the root, with its line.
fn rooms_used<'a>(words: &[(&'a str, usize)], depth: usize) -> Vec<(&'a str, usize)> {
    let word = |at: usize| words.get(at).map(|(word, _)| *word);
    let mut used = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let from = at;
        at += 1;
        if is_within_path(words, from) || !matches!(word(from), Some("crate" | "super" | "self")) {
            continue;
        }
        let mut ups = 0;
        let mut rest = from;
        while matches!(word(rest), Some("crate" | "super" | "self")) && word(rest + 1) == Some("::") {
            ups += usize::from(word(rest) == Some("super"));
            rest += 2;
        }
        if word(from) == Some("crate") && rest > from || ups > 0 && ups >= depth {
            used.extend(heads(words, rest));
        }
    }
    used
}

/// The first names of a path or of a group of paths: `{domain::{a, b}, store}` is `domain` and `store`.
fn heads<'a>(words: &[(&'a str, usize)], start: usize) -> Vec<(&'a str, usize)> {
    let Some(&(first, line)) = words.get(start) else {
        return Vec::new();
    };
    if first != "{" {
        return vec![(first, line)];
    }
    let mut found = Vec::new();
    let mut nesting = 0_usize;
    let mut head = false;
    for &(word, line) in words.iter().skip(start) {
        match word {
            "{" => {
                nesting += 1;
                head = nesting == 1;
            }
            "}" => nesting -= 1,
            "," => head = nesting == 1,
            "self" | "::" if head => {}
            _ if head => {
                found.push((word, line));
                head = false;
            }
            _ => {}
        }
        if nesting == 0 {
            break;
        }
    }
    found
}

/// The words and signs of the source with their lines; comments, texts and characters are left out.
fn words_of(source: &str) -> Vec<(&str, usize)> {
    let mut words = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let is_name = first.is_alphabetic() || first == '_';
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = text(rest) {
            length
        } else if is_name || first.is_ascii_digit() {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            words.push((rest.get(..end).unwrap_or_default(), line));
            end
        } else {
            let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                words.push((rest.get(..length).unwrap_or_default(), line));
            }
            length
        };
        let (skipped, left) = rest.split_at(length);
        line += skipped.matches('\n').count();
        rest = left;
    }
    words
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of the text or character that starts here: `"a\"b"`, `r#"a"#`, `b"a"`, `'a'`, `'\u{1F}'`; not the lifetime `'a`.
fn text(rest: &str) -> Option<usize> {
    let body = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - body.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let inner = raw.trim_start_matches('#');
        let hashes = raw.len() - inner.len();
        let content = inner.strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = content.find(&close)? + close.len();
        return Some(prefix + 1 + hashes + 1 + end);
    }
    let quote = body.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    if quote == '\'' && !body.starts_with("'\\") && body.chars().nth(2) != Some('\'') {
        return None;
    }
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(prefix + at + 1),
            _ => {}
        }
    }
    None
}

#[test]
fn an_offending_line_is_told_with_file_and_line() {
    for (path, source, expected) in [
        (
            "src/domain/user.rs",
            "\nuse crate::store::Tx;",
            "src/domain/user.rs:2: `domain` must not import `store`",
        ),
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
        (
            "src/platform/mod.rs",
            "use super::domain::error;",
            "src/platform/mod.rs:1: `platform` must not import `domain`",
        ),
        (
            "src/app/a/b.rs",
            "use crate::{\n    domain::{x, grpc},\n    grpc::pb,\n};",
            "src/app/a/b.rs:3: `app` must not import `grpc`",
        ),
        (
            "src/app/a.rs",
            "fn f() { crate::outbox::send() }",
            "src/app/a.rs:1: `app` must not import `outbox`",
        ),
        (
            "src/store/a.rs",
            "use crate::{self as root, app};",
            "src/store/a.rs:1: `store` must not import `root`",
        ),
        (
            "src/grpc/a.rs",
            "fn f(s: &crate::store::Store) {}",
            "src/grpc/a.rs:1: `grpc` must not import `store`",
        ),
        (
            "src/grpc/a.rs",
            "use crate::server::Server;",
            "src/grpc/a.rs:1: `grpc` must not import `server`",
        ),
        (
            "src/app/a.rs",
            "use sea_orm::EntityTrait;",
            "src/app/a.rs:1: `app` must not know `sea_orm`",
        ),
        (
            "src/app/a.rs",
            "fn f() -> ::tonic::Status {}",
            "src/app/a.rs:1: `app` must not know `tonic`",
        ),
        (
            "src/store/a.rs",
            "use prost as p;",
            "src/store/a.rs:1: `store` must not know `prost`",
        ),
        (
            "src/grpc/a.rs",
            "let x = lettre::Message::builder();",
            "src/grpc/a.rs:1: `grpc` must not know `lettre`",
        ),
        (
            "src/app/a.rs",
            "// Utc::now\nlet now = chrono::Utc::now();",
            "src/app/a.rs:2: `Utc::now` belongs to `platform`",
        ),
        (
            "src/outbox/a.rs",
            "let id = Uuid :: now_v7();",
            "src/outbox/a.rs:1: `Uuid::now_v7` belongs to `platform`",
        ),
    ] {
        if expected.ends_with("`root`") {
            // A group that starts with the root itself still has its other names looked at.
            assert_eq!(
                offences_in(path, source),
                ["src/store/a.rs:1: `store` must not import `app`"]
            );
        } else {
            assert_eq!(offences_in(path, source), [expected], "{source}");
        }
    }
}

#[test]
fn what_is_allowed_or_only_said_is_not_told() {
    for (path, source) in [
        (
            "src/app/a.rs",
            "use crate::{domain::error::{Refusal, grpc}, store::Tx, platform};",
        ),
        ("src/app/a.rs", "use super::outbox_rows; mod tests { use super::*; }"),
        ("src/config.rs", "mod tests { use super::*; }"),
        (
            "src/domain/a.rs",
            "//! see [`crate::store::Tx`]\n/* crate::store /* tonic:: */ */ const A: &str = \"crate::store\";",
        ),
        (
            "src/domain/a.rs",
            "const A: &str = r#\"use \"tonic::x\" \"#; const B: char = '\"'; fn f<'a>(a: &'a str) {}",
        ),
        (
            "src/domain/a.rs",
            "const A: u8 = b'\\''; pub(crate) struct Tonic; let tonic = 1; foo::tonic::bar();",
        ),
        ("src/platform/clock.rs", "Utc::now(); Instant::now();"),
        (
            "src/server.rs",
            "use crate::{app, grpc, outbox, store}; use tonic::transport::Server;",
        ),
        ("src/grpc/a.rs", "use tonic::Status; use crate::grpc::convert;"),
    ] {
        assert_eq!(offences_in(path, source), Vec::<String>::new(), "{source}");
    }
}
