//! Where the databases of the tests are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Memory that is a folder, where a machine has it.
const MEMORY: &str = "/dev/shm";

/// What has to be free there, in KiB. A dozen databases are a tenth of that; a container often has less.
const ROOM: u64 = 2 * 1024 * 1024;

/// The folder for databases that end with the process: in memory, if `TMPDIR` names no other and there is room. A database of PostgreSQL is three hundred files,
/// and most tests make one and remove it.
pub(crate) fn passing() -> &'static Path {
    static CHOSEN: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os("TMPDIR") {
        None if room(MEMORY) >= ROOM => PathBuf::from(MEMORY),
        _ => std::env::temp_dir(),
    });
    &CHOSEN
}

/// What is free in a folder, in KiB; nothing if that cannot be found out.
fn room(folder: &str) -> u64 {
    let answer = Command::new("df").args(["-P", "-k", folder]).output();
    let text = answer.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned());
    let free = text.ok().and_then(|text| {
        let line = text.lines().nth(1)?;
        line.split_whitespace().nth(3)?.parse().ok()
    });
    free.unwrap_or_default()
}
