//! Whether anything has been committed to the SQLite file, without asking SQLite: by the header of the index that it keeps of its write-ahead log, in shared memory beside the file
//! (<https://www.sqlite.org/walformat.html>, 2.1). It is written before a commit is answered, and by every process that writes to the file.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::store::Store;

/// Both copies of the header. They differ while it is being written.
const HEADER: usize = 96;
/// Where the number of commits stands in it, as the machine writes numbers.
const COMMITS: std::ops::Range<usize> = 8..12;

/// The file with the index.
#[derive(Debug)]
pub(crate) struct WalIndex {
    path: PathBuf,
    file: OnceLock<File>,
}

impl WalIndex {
    /// The index of a database file.
    pub(crate) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-shm");
        Self { path: path.into(), file: OnceLock::new() }
    }

    #[cfg(unix)]
    fn header(&self) -> Option<[u8; HEADER]> {
        use std::os::unix::fs::FileExt;

        let file = match self.file.get() {
            Some(file) => file,
            // It is there once a connection has used the database, and stays for as long as one is open.
            None => {
                let opened = File::open(&self.path).ok()?;
                self.file.get_or_init(|| opened)
            }
        };
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        Some(header)
    }

    #[cfg(not(unix))]
    fn header(&self) -> Option<[u8; HEADER]> {
        None
    }
}

/// What had been committed at a moment.
#[derive(Debug, Clone)]
pub(crate) struct CommitMark {
    header: [u8; HEADER],
    /// Commits of this process, at least those that the header counts.
    own: u64,
}

impl CommitMark {
    /// Whether nothing has been committed between the two.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.header == other.header
    }

    /// Whether somebody else has committed since an earlier mark.
    pub(crate) fn foreign_since(&self, earlier: &Self) -> bool {
        let all = self.commits().wrapping_sub(earlier.commits());
        u64::from(all) > self.own.saturating_sub(earlier.own)
    }

    fn commits(&self) -> u32 {
        let number = self.header.get(COMMITS).and_then(|bytes| bytes.try_into().ok());
        number.map_or(0, u32::from_ne_bytes)
    }
}

impl Store {
    /// What has been committed by now; `None` on PostgreSQL, and where the file system does not tell.
    pub(crate) fn commit_mark(&self) -> Option<CommitMark> {
        let header = self.wal_index.as_ref()?.header()?;
        // Counted when a commit begins, and read after the header: so nothing in the header that is ours is missing.
        Some(CommitMark { header, own: self.writer.commits() })
    }
}
