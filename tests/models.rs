//! The shipped access models against their golden matrices: what each role may do, give and change, readable in one file per model.

use std::fs;
use std::path::Path;

use roster::domain::access_model::{AccessModel, Models, difference, matrix};

#[test]
fn shipped_models_match_their_golden_matrices() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models");
    #[expect(clippy::disallowed_methods, reason = "a test's own switch is no setting of the service")]
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let models = Models::shipped().unwrap();
    let mut different = Vec::new();
    for model in models.iter() {
        let (file, now) = (folder.join(format!("{}.txt", model.id())), matrix(model));
        if update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &now).unwrap();
        }
        let golden = fs::read_to_string(&file).unwrap_or_default();
        let line = now.lines().zip(golden.lines()).find(|(now, golden)| now != golden);
        if now != golden {
            let (now, golden) = line.unwrap_or(("(another number of lines)", ""));
            different.push(format!("{}:\n  golden: {golden}\n  now:    {now}", model.id()));
        }
    }
    assert!(
        different.is_empty(),
        "these models decide otherwise than their golden matrices in tests/golden/models say:\n{}\nIf that is meant, run `UPDATE_GOLDEN=1 cargo test --test models` and read the difference before committing it.",
        different.join("\n")
    );
}

#[test]
fn every_golden_matrix_has_its_model() {
    let models = Models::shipped().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let id = path.file_stem().unwrap().to_str().unwrap();
        assert!(models.get(id).is_some(), "{} belongs to no shipped model", path.display());
    }
}

/// Every change of what a role of a shipped model may do, give or change breaks one of the tests in its document.
#[test]
fn a_changed_role_breaks_a_test_of_its_document() {
    let mut changed = 0;
    for model in Models::shipped().unwrap().iter() {
        assert!(model.assertions() >= model.roles().len(), "{}", model.id());
        let permissions = model.permissions().iter().map(|permission| permission.id.to_string());
        let permissions: Vec<String> = permissions.collect();
        let roles: Vec<String> = model.roles().iter().map(|role| role.id.to_string()).collect();
        for index in 0..roles.len() {
            for (list, all) in
                [("permissions", &permissions), ("inherits", &roles), ("grants", &roles), ("manages", &roles)]
            {
                for id in all.iter().map(String::as_str).chain(["*"]) {
                    let mutant = toggled(model.source(), index, list, id).unwrap();
                    match AccessModel::parse(&mutant) {
                        // Some change nothing, such as what comes by inheritance anyway.
                        Ok(same) => assert_eq!(matrix(&same), matrix(model), "{}: {list} {id}", roles[index]),
                        Err(_) => changed += 1,
                    }
                }
            }
        }
    }
    assert!(changed > 500, "{changed}");
}

/// The document with an id taken out of a role's list, or put into it.
fn toggled(document: &str, role: usize, list: &str, id: &str) -> Option<String> {
    let (at, _) = document.match_indices("[[roles]]\n").nth(role)?;
    let (before, rest) = document.split_at(at);
    // A role ends where the next section begins.
    let (block, after) = rest.split_at(rest[1..].find("\n[").map_or(rest.len(), |at| at + 2));
    let key = format!("\n{list} = [");
    let (head, ids, tail) = match block.split_once(&key) {
        Some((head, rest)) => {
            let (ids, tail) = rest.split_once(']')?;
            (head, ids, tail)
        }
        None => (block.trim_end(), "", "\n\n"),
    };
    let mut ids: Vec<&str> = ids.split('"').skip(1).step_by(2).collect();
    match ids.iter().position(|one| *one == id) {
        Some(at) => drop(ids.remove(at)),
        None => ids.push(id),
    }
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    Some(format!("{before}{head}{key}{}]{tail}{after}", ids.join(", ")))
}

/// Without its tests a document takes many of these changes: it is the tests that tell of them.
#[test]
fn the_tests_are_what_tells() {
    let model = Models::shipped().unwrap().get("default").unwrap().clone();
    let document = toggled(model.source(), 2, "permissions", "audit.read").unwrap();
    let errors = AccessModel::parse(&document).unwrap_err();
    assert!(errors[0].message.contains("the test does not hold: `member` may not `audit.read`"), "{errors:?}");
    assert!(errors[0].path.starts_with("tests[2].may_not"), "{errors:?}");
    let untested = AccessModel::parse(document.split("[[tests]]").next().unwrap());
    // The other roles inherit it or have it, so that nothing else is wrong.
    let untested = untested.unwrap();
    assert_eq!(difference(&model, &untested), ["+ role member may audit.read"]);
    assert_eq!(untested.assertions(), 0);
}

/// A difference names what comes, what goes and what changes; a model is no other than itself.
#[test]
fn a_difference_tells_what_is_decided_otherwise() {
    let models = Models::shipped().unwrap();
    for model in models.iter() {
        assert!(difference(model, model).is_empty(), "{}", model.id());
    }
    let (one, other) = (models.get("default").unwrap(), models.get("portal").unwrap());
    let lines = difference(one, other);
    for line in ["- role admin", "+ role manager", "~ default_role: "] {
        assert!(lines.iter().any(|found| found.starts_with(line)), "{line}: {lines:#?}");
    }
}
