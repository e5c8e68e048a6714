//! Holds the documents and the code together: settings, links, paths, reasons, the example of an access model.
//! `UPDATE_README=1` writes the settings and the tests of each promise into their pages.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read is a verdict")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use roster::config::settings_markdown;
use roster::domain::access_model::{AccessModel, SERVICE_PERMISSIONS};
use roster::domain::error::Reason;
use roster::domain::scope;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What people read: the Markdown files of the root, of `docs` and of `deploy`.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [".", "docs", "docs/api", "docs/tours", "docs/decisions", "deploy"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "only {} documents found", found.len());
    found
}

#[test]
fn the_settings_page_has_every_setting() {
    let page = read("docs/settings.md");
    let (begin, end) = ("<!-- settings -->\n", "<!-- /settings -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (now, after) = rest.split_once(end).unwrap();
    let expected = format!("\n{}\n", settings_markdown());
    #[expect(clippy::disallowed_methods, reason = "a test's own switch is no setting of the service")]
    let update = std::env::var_os("UPDATE_README").is_some();
    if update {
        fs::write(root().join("docs/settings.md"), format!("{before}{begin}{expected}{end}{after}")).unwrap();
        return;
    }
    let (now, expected): (Vec<&str>, Vec<&str>) = (now.lines().collect(), expected.lines().collect());
    let stale: Vec<&&str> = now.iter().filter(|line| !expected.contains(line)).collect();
    let missing: Vec<&&str> = expected.iter().filter(|line| !now.contains(line)).collect();
    assert!(
        now == expected,
        "run `UPDATE_README=1 cargo test --test documents`; stale: {stale:#?}, missing: {missing:#?}"
    );
}

/// Every relative link leads to a file, and every file of ours that a document names in code is there.
#[test]
fn what_documents_point_at_is_there() {
    let mut lost = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap();
        for target in between(&text, "](", ")") {
            let file = target.split('#').next().unwrap_or_default();
            if !target.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                lost.push(format!("{}: {target}", document.display()));
            }
        }
        for code in between(&text, "`", "`") {
            let ours = ["src/", "proto/", "tests/", "docs/", "deploy/", "scripts/", "migrations/"];
            let path = ours.iter().any(|start| code.starts_with(start)) && !code.contains([' ', '*', '{']);
            if path && !root().join(code).exists() && !folder.join(code).exists() {
                lost.push(format!("{}: `{code}`", document.display()));
            }
        }
    }
    assert!(lost.is_empty(), "these do not exist:\n{}", lost.join("\n"));
}

/// The parts of a text between two marks, on one line each.
fn between<'t>(text: &'t str, open: &str, close: &str) -> Vec<&'t str> {
    let mut found = Vec::new();
    for mut line in text.lines() {
        while let Some((_, rest)) = line.split_once(open) {
            let Some((part, after)) = rest.split_once(close) else {
                break;
            };
            found.push(part);
            line = after;
        }
    }
    found
}

#[test]
fn the_reasons_that_documents_name_exist() {
    let text = read("docs/concepts.md");
    let (_, errors) = text.split_once("## Errors").unwrap();
    let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let named: Vec<&str> = between(errors, "`", "`")
        .into_iter()
        .filter(|code| code.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    assert!(named.len() > 20, "only {named:?}");
    for reason in named {
        assert!(known.contains(&reason), "{reason} is no reason");
    }
}

#[test]
fn the_example_of_an_access_model_is_one() {
    let text = read("docs/access-models.md");
    let (_, rest) = text.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    if let Err(mistakes) = AccessModel::parse(example) {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        panic!("the example is refused:\n{}", lines.join("\n"));
    }
}

/// A field that a document must have, and that the reference does not name, would be found by trial only.
#[test]
fn the_reference_of_access_models_names_every_field() {
    let text = read("docs/access-models.md");
    let (_, reference) = text.split_once("## Reference").unwrap();
    for field in read("src/models/default.toml").lines().filter_map(|line| line.split_once(" = ")) {
        assert!(reference.contains(field.0.trim()), "{} is not explained", field.0);
    }
    for permission in SERVICE_PERMISSIONS {
        let row = format!("| `{}` | {} | {} |", permission.id, permission.name, permission.description);
        assert!(reference.contains(&row), "missing: {row}");
    }
}

/// A race that no long form runs is one that nobody has seen over a thousand rounds.
#[test]
fn every_test_with_rounds_has_its_long_form() {
    let script = read("scripts/test-races");
    let parts: Vec<&str> = script.split_whitespace().filter(|word| word.contains("::")).collect();
    let (mut folders, mut looked_at) = (vec![root().join("tests/wire")], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let inner = path.strip_prefix(root().join("tests/wire")).unwrap().with_extension("");
            let module = format!("::{}::", inner.to_str().unwrap().replace('/', "::"));
            if !text.contains("rounds()") || module.starts_with("::support::") {
                continue;
            }
            looked_at += 1;
            // A part names a file, or one test of it.
            let runs = |part: &&str| match part.rsplit_once("::") {
                Some((file, name)) if !file.is_empty() && !name.is_empty() => {
                    module.ends_with(&format!("::{file}::")) && text.contains(&format!("async fn {name}"))
                }
                _ => module.contains(*part),
            };
            assert!(parts.iter().any(runs), "scripts/test-races does not run {module}");
        }
    }
    assert!(looked_at > 10, "{looked_at} files of tests with rounds");
}

/// What the wire tests show, and where that is in question.
#[derive(Default)]
struct Shown {
    /// The names of the tests, by the number of the promise of the five documents that they show.
    by_promise: BTreeMap<String, BTreeSet<String>>,
    /// Tests that name a promise of a product and not its access model.
    under_another_model: Vec<String>,
}

impl Shown {
    /// Takes one test: what its name and its comment promise, and what it does.
    fn take(&mut self, name: &str, promised: &BTreeSet<String>, body: &str) {
        for id in promised {
            let (_, model) = MODELS.into_iter().find(|(product, _)| id.starts_with(product)).unwrap();
            // Each model in turn, or by a helper that founds the organizations.
            let under = [model, "models(&world)", "Team::of(&world"].iter().any(|word| body.contains(word));
            if !under {
                self.under_another_model.push(format!("{name} names {id} and not {model}"));
            }
            self.by_promise.entry(id.clone()).or_default().insert(format!("`{name}`"));
        }
    }
}

/// The access model that a document's promises are about.
const MODELS: [(&str, &str); 5] =
    [("JP", "jetpack"), ("JS", "jetstack"), ("JH", "jethub"), ("CP", "portal"), ("PF", "packetfabric")];

/// Where each promise of the five documents is shown.
fn shown() -> Shown {
    let mut shown = Shown::default();
    let (mut folders, mut comment) = (vec![root().join("tests/wire")], String::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let (mut test, mut body) = (None, String::new());
            for line in fs::read_to_string(&path).unwrap_or_default().lines().map(str::trim) {
                if let Some(text) = line.strip_prefix("///") {
                    comment.push_str(text);
                    continue;
                }
                if line.starts_with("#[") {
                    continue;
                }
                if let Some((name, _)) = line.strip_prefix("async fn ").and_then(|rest| rest.split_once('(')) {
                    let promised = promises(name).into_iter().chain(promises(&comment)).collect();
                    if let Some((name, promised)) = test.replace((name.to_owned(), promised)) {
                        shown.take(&name, &promised, &body);
                    }
                    body.clear();
                } else {
                    body.push_str(line);
                }
                comment.clear();
            }
            if let Some((name, promised)) = test {
                shown.take(&name, &promised, &body);
            }
        }
    }
    shown
}

/// The promises that a text names, such as `jp_01`, as `JP01`.
fn promises(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let found = words.filter_map(|word| {
        let product = ["jp_", "js_", "jh_", "cp_", "pf_"].into_iter().find(|product| word.starts_with(product))?;
        let number = word.get(3..5).filter(|number| number.bytes().all(|b| b.is_ascii_digit()))?;
        let ends = word.get(5..).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
        ends.then(|| format!("{}{number}", product.trim_end_matches('_').to_uppercase()))
    });
    found.collect()
}

#[test]
fn every_promise_is_shown_by_a_test() {
    let Shown { by_promise: shown, under_another_model } = shown();
    assert!(under_another_model.is_empty(), "{under_another_model:#?}");
    let (mut page, mut without, mut numbers) = (String::new(), Vec::new(), BTreeSet::new());
    for line in read("docs/claims.md").lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let number = line.trim_start_matches("| ").split(' ').next().unwrap_or_default();
        let is_promise = cells.len() >= 3
            && promises(&format!(
                "{}_{}",
                number.get(..2).unwrap_or_default().to_lowercase(),
                number.get(2..).unwrap_or_default()
            ))
            .len()
                == 1;
        if !is_promise {
            page.push_str(&format!("{line}\n"));
            continue;
        }
        numbers.insert(number.to_owned());
        let (before, _) = line.trim_end_matches('|').trim_end().rsplit_once(" |").unwrap();
        let tests =
            shown.get(number).map(|tests| tests.iter().cloned().collect::<Vec<_>>().join(", ")).unwrap_or_default();
        if tests.is_empty() {
            without.push(number.to_owned());
        }
        page.push_str(&format!("{before} | {tests} |\n"));
    }
    #[expect(clippy::disallowed_methods, reason = "a test's own switch is no setting of the service")]
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(root().join("docs/claims.md"), &page).unwrap();
    }
    assert_eq!(numbers.len(), 73, "the promises of five documents");
    assert!(without.is_empty(), "no test shows {without:?}");
    let unknown: Vec<&String> = shown.keys().filter(|number| !numbers.contains(*number)).collect();
    assert!(unknown.is_empty(), "tests of promises that no document makes: {unknown:?}");
    assert!(read("docs/claims.md") == page, "run `UPDATE_README=1 cargo test --test documents`");
}

/// A scope whose worth nobody has written down is given away by its name.
#[test]
fn the_page_on_security_says_what_each_scope_is_worth() {
    let text = read("docs/security.md");
    let (_, section) = text.split_once("## What each scope is worth\n").unwrap();
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut listed: Vec<&str> = Vec::new();
    for line in section.lines() {
        let Some((scope, worth)) = line.strip_prefix("| `").and_then(|rest| rest.split_once("` | ")) else {
            continue;
        };
        assert!(worth.trim_end_matches([' ', '|']).len() > 20, "{scope}: {worth}");
        listed.push(scope);
    }
    assert_eq!(listed, scope::ALL, "the table and src/domain/scope.rs differ");
}

/// What the service records and what `docs/events.md` says that happens is the same.
#[test]
fn every_kind_of_event_is_documented() {
    let page = read("docs/events.md");
    let (_, table) = page.split_once("## What happens").unwrap();
    let documented: BTreeSet<&str> = table.lines().filter(|line| line.starts_with("| `")).flat_map(kinds).collect();
    let mut recorded = BTreeSet::new();
    for file in sources("src") {
        let text = fs::read_to_string(file).unwrap();
        recorded.extend(between(&text, "\"", "\"").into_iter().filter(|text| is_kind(text)).map(ToOwned::to_owned));
    }
    let recorded: BTreeSet<&str> = recorded.iter().map(String::as_str).collect();
    assert_eq!(documented, recorded);
    assert!(documented.len() > 40, "{documented:?}");
}

/// The Rust files of a folder, and of those in it.
fn sources(folder: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
                false => {}
            }
        }
    }
    found
}

/// The kinds in the first column of a row.
fn kinds(row: &str) -> Vec<&str> {
    let first = row.split('|').nth(1).unwrap();
    between(first, "`", "`")
}

/// Whether a text is written as kinds of events are, and is no permission, scope or setting.
fn is_kind(text: &str) -> bool {
    let streams = [
        "access_model",
        "organization",
        "member",
        "invitation",
        "join_link",
        "role",
        "contact",
        "ownership",
        "user",
        "service_account",
        "service_key",
        "installation",
    ];
    let done = ["ed", "left", "set", "put", "restored", "over", "resent"];
    text.split_once('.').is_some_and(|(stream, what)| {
        streams.contains(&stream)
            && done.iter().any(|end| what.ends_with(end))
            && what.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
    })
}
