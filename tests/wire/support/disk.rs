//! A disk that fails when a test says so: a library that stands between the program and the C library, and lets the calls by which SQLite writes fail.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// How a disk fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DiskFault {
    /// It is full.
    Full,
    /// Writes are answered by an input/output error.
    Write,
    /// What was written cannot be made durable.
    Sync,
    /// One call in twenty fails, in one of these ways.
    Some,
}

/// The switch of one program's disk.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// A disk that is fine.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("roster-disk-").tempdir().unwrap() }
    }

    /// The words that start a program on it.
    pub(crate) fn launcher(&self) -> [String; 3] {
        let library = library().display();
        [
            "env".to_owned(),
            format!("LD_PRELOAD={library}"),
            format!("ROSTER_TEST_DISK_FAULT={}", self.switch().display()),
        ]
    }

    /// Lets it fail from now on.
    pub(crate) fn fail(&self, fault: DiskFault) {
        let word = match fault {
            DiskFault::Full => "full",
            DiskFault::Write => "write",
            DiskFault::Sync => "sync",
            DiskFault::Some => "some",
        };
        std::fs::write(self.switch(), word).unwrap();
    }

    /// Lets it be fine again.
    pub(crate) fn mend(&self) {
        std::fs::remove_file(self.switch()).unwrap();
    }

    fn switch(&self) -> PathBuf {
        self.folder.path().join("fault")
    }
}

/// The library, compiled once by the C compiler that SQLite needs anyway.
fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = LIBRARY.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("roster-disk-faults-").tempdir().unwrap();
        let library = folder.path().join("disk_faults.so");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/support/disk_faults.c"))
            .arg("-ldl")
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        (folder, library)
    });
    library
}
