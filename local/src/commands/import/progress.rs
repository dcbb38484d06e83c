//! The file that remembers which sessions of an export have become conversations. It has ids only, and no phone.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The sessions that are done.
pub(super) struct Progress {
    file: File,
    path: PathBuf,
    done: BTreeMap<String, Option<String>>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    session: String,
    /// Null if the conversation is there from an import whose file is lost, and its id is not known.
    conversation: Option<String>,
}

impl Progress {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// If it cannot be written, or is another file than one of an import.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(told)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(told)?;
        let (whole, torn) = text.rsplit_once('\n').map_or(("", text.as_str()), |(whole, rest)| (whole, rest));
        let done = lines(whole, path)?;
        if !torn.is_empty() {
            // The end of a process that was killed while it wrote. The session is found again at the API.
            file.set_len((text.len() - torn.len()) as u64).map_err(told)?;
        }
        Ok(Self { file, path: path.to_owned(), done })
    }

    /// Returns the id of the conversation of a session that is done, as far as it is known.
    pub(super) fn of(&self, session: &str) -> Option<Option<&str>> {
        self.done.get(session).map(Option::as_deref)
    }

    /// Remembers that a session is done.
    pub(super) fn add(&mut self, session: &str, conversation: Option<&str>) -> Result<(), String> {
        let line = Done { session: session.to_owned(), conversation: conversation.map(str::to_owned) };
        let line = serde_json::to_string(&line).map_err(|error| error.to_string())? + "\n";
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| format!("{}: {error}", self.path.display()))?;
        self.done.insert(session.to_owned(), conversation.map(str::to_owned));
        Ok(())
    }
}

/// Reads which conversations the sessions of an import have become, as far as the file says. It changes nothing.
///
/// # Errors
/// If it cannot be read, or is another file than one of an import.
pub(in crate::commands) fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    Ok(lines(whole, path)?.into_iter().filter_map(|(session, conversation)| Some((session, conversation?))).collect())
}

fn lines(whole: &str, path: &Path) -> Result<BTreeMap<String, Option<String>>, String> {
    let mut done = BTreeMap::new();
    for (number, line) in whole.lines().enumerate() {
        let Done { session, conversation } = serde_json::from_str(line)
            .map_err(|_| format!("{}: line {} is none of an import", path.display(), number + 1))?;
        done.insert(session, conversation);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_remembered_is_there_again_and_a_torn_line_is_not() {
        let path = std::env::temp_dir().join(format!("maskline-{}.imported", uuid::Uuid::new_v4()));
        let mut progress = Progress::open(&path).unwrap();
        progress.add("KC1", Some("01M8")).unwrap();
        progress.add("KC2", None).unwrap();
        drop(progress);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"session\":\"KC3\",\"conv")).unwrap();
        let mut again = Progress::open(&path).unwrap();
        assert_eq!([again.of("KC1"), again.of("KC2"), again.of("KC3")], [Some(Some("01M8")), Some(None), None]);
        again.add("KC3", Some("01M9")).unwrap();
        drop(again);
        let conversations = [("KC1", "01M8"), ("KC3", "01M9")].map(|(session, id)| (session.to_owned(), id.to_owned()));
        assert_eq!(read(&path), Ok(BTreeMap::from(conversations)));
        assert_eq!(Progress::open(&path).unwrap().of("KC3"), Some(Some("01M9")));
        std::fs::write(&path, "first,second\n+447700900001,+447700900002\n").unwrap();
        let refused = Progress::open(&path).err().unwrap();
        assert!(refused.ends_with("line 1 is none of an import") && !refused.contains("7700"), "{refused}");
        std::fs::remove_file(&path).unwrap();
    }
}
