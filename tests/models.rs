//! The shipped access models against their golden matrices: what each role may do, give and change, readable in one file per model.

use std::fs;
use std::path::Path;

use roster::domain::access_model::{Models, matrix};

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
