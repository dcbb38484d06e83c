//! The table is restored to an earlier time, from a copied data file, and repaired by the journal. Then nothing that was erased is
//! back, nothing that was ended connects, no number that is not ours is ready, and no route key that was given away since then
//! leads to a stranger.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod chats;
mod command;
mod lists;
mod opt_outs;
mod pins;
mod story;
mod tenants;
mod unreadable;

use std::path::{Path, PathBuf};

/// A folder for the data files of one test, deleted with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("maskline-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Copies a data file that nothing has open.
fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}
