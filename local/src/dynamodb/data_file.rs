//! The file that keeps the laptop's table: it belongs to one process at a time, and holds nothing else.

use std::fmt::Display;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

/// A table that the emulator makes in every file.
const OWN_TABLE: &str = "_tables";

/// The data file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Another process has it.
    #[error("the data file {} is in use by another process; stop it, or choose another file", .0.display())]
    InUse(PathBuf),
    /// Something else is in it.
    #[error("{} is a database of another program, and was not changed; choose another file for --data", .0.display())]
    Foreign(PathBuf),
    /// It cannot be read or made, or is damaged.
    #[error("the data file {} cannot be used: {reason}", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
}

impl FileError {
    pub(super) fn unusable(file: &Path, reason: impl Display) -> Self {
        Self::Unusable { file: file.to_owned(), reason: reason.to_string() }
    }
}

/// The claim of this process to a data file. It ends with the process at the latest.
pub(super) struct Lock {
    _file: File,
}

/// Claims the file, by a file beside it whose name ends in `.lock`: the database's own locks are for single requests.
pub(super) fn lock(file: &Path) -> Result<Lock, FileError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let options = File::options().create(true).write(true).truncate(false).open(PathBuf::from(name));
    let claim = options.map_err(|error| FileError::unusable(file, error))?;
    match claim.try_lock() {
        Ok(()) => Ok(Lock { _file: claim }),
        Err(TryLockError::WouldBlock) => Err(FileError::InUse(file.to_owned())),
        Err(TryLockError::Error(error)) => Err(FileError::unusable(file, error)),
    }
}

/// Checks that a file, if it is there, has tables of the emulator and nothing else.
pub(super) fn check(file: &Path) -> Result<(), FileError> {
    if !file.exists() {
        return Ok(());
    }
    let unusable = |error: rusqlite::Error| FileError::unusable(file, error);
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(unusable)?;
    let count = |query: &str| connection.query_row(query, [], |row| row.get::<_, u32>(0)).map_err(unusable);
    let tables = count("SELECT count(*) FROM sqlite_master WHERE type = 'table'")?;
    let own = count(&format!("SELECT count(*) FROM sqlite_master WHERE name = '{OWN_TABLE}'"))?;
    if tables > 0 && own == 0 { Err(FileError::Foreign(file.to_owned())) } else { Ok(()) }
}
