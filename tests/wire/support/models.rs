//! Access models of a test's own: the default one with changes.

use std::path::Path;

use crate::support::world::World;

/// The document of the default model under this id, with parts of it replaced. Without its tests, which say what the shipped roles come to.
pub(crate) fn document(id: &str, changes: &[(&str, &str)]) -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/models/default.toml");
    let shipped = std::fs::read_to_string(shipped).unwrap();
    let document = shipped.split("[[tests]]").next().unwrap();
    let named = document.replace("id = \"default\"", &format!("id = \"{id}\""));
    changes.iter().fold(named, |document, (from, to)| {
        assert!(document.contains(from), "{from}");
        document.replace(from, to)
    })
}

/// Writes models for a server to read, each by its id and document, and answers with the value of its flag `access-models-dir`.
pub(crate) fn folder(world: &World, models: &[(&str, String)]) -> String {
    let folder = world.folder().join("models");
    std::fs::create_dir_all(&folder).unwrap();
    for (id, document) in models {
        std::fs::write(folder.join(format!("{id}.toml")), document).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}
