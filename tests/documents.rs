//! Holds the documents and the code together: settings, links, paths, reasons, the example of an access model.
//! `UPDATE_README=1` writes the settings into the README.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read is a verdict")]

use std::fs;
use std::path::{Path, PathBuf};

use roster::config::settings_markdown;
use roster::domain::access_model::AccessModel;
use roster::domain::error::Reason;

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
fn the_readme_has_every_setting() {
    let readme = read("README.md");
    let (begin, end) = ("<!-- settings -->\n", "<!-- /settings -->");
    let (before, rest) = readme.split_once(begin).unwrap();
    let (now, after) = rest.split_once(end).unwrap();
    let expected = format!("\n{}\n", settings_markdown());
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own switch is no setting of the service"
    )]
    let update = std::env::var_os("UPDATE_README").is_some();
    if update {
        fs::write(
            root().join("README.md"),
            format!("{before}{begin}{expected}{end}{after}"),
        )
        .unwrap();
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
            let ours = [
                "src/",
                "proto/",
                "tests/",
                "docs/",
                "deploy/",
                "scripts/",
                "migrations/",
            ];
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
    for field in read("src/models/default.toml")
        .lines()
        .filter_map(|line| line.split_once(" = "))
    {
        assert!(reference.contains(field.0.trim()), "{} is not explained", field.0);
    }
}
