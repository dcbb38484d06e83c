//! The data file: which Sessions there are, what those wait with that have no two participants yet, and which conversations the
//! others are.
//!
//! A phone is in it only while its Session waits. What is deleted is overwritten.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The time for which a façade that stops may still have the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time for which a Session waits for its participants.
const WAITS: SignedDuration = SignedDuration::from_hours(24);

/// The claim to the file, which other processes then cannot use, and its one table.
const OPENED: &str = "
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = TRUNCATE;
    PRAGMA secure_delete = ON;
    CREATE TABLE IF NOT EXISTS proxy_sessions (
        place INTEGER PRIMARY KEY,
        sid TEXT NOT NULL UNIQUE,
        service TEXT,
        unique_name TEXT,
        waits INTEGER NOT NULL,
        content TEXT NOT NULL,
        UNIQUE (service, unique_name));
    BEGIN EXCLUSIVE;
    COMMIT;";

const COLUMNS: &str = "place, sid, service, unique_name, content";

/// A Session.
pub(super) struct Record {
    /// Its place in the order of creation.
    pub(super) place: i64,
    pub(super) sid: String,
    /// None for one of an import, which says nothing about its Service.
    pub(super) service: Option<String>,
    pub(super) unique_name: Option<String>,
    pub(super) content: Content,
}

/// The two kinds of Session here.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    Waiting(Waiting),
    Paired(Paired),
}

/// The same, to be written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Written<'a> {
    Waiting(&'a Waiting),
    Paired(&'a Paired),
}

/// A Session that waits for participants. It has no `Debug`, because it has real phones.
#[derive(Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) created_at: Timestamp,
    /// In the order in which they came.
    pub(super) people: Vec<Person>,
    pub(super) date_expiry: Option<Timestamp>,
    pub(super) ttl: Option<u32>,
    pub(super) closed_at: Option<Timestamp>,
    /// The creation of its conversation, if that has begun and no answer came.
    pub(super) attempt: Option<Attempt>,
}

impl Record {
    /// Returns true if the creation of its conversation has begun, and no answer came.
    pub(super) fn is_begun(&self) -> bool {
        matches!(&self.content, Content::Waiting(waiting) if waiting.attempt.is_some())
    }
}

impl Waiting {
    /// Returns true if it has waited too long for its participants. What was begun is finished before that.
    pub(super) fn is_forgotten(&self, now: Timestamp) -> bool {
        self.attempt.is_none() && now > self.created_at + WAITS
    }

    pub(super) fn new(created_at: Timestamp) -> Self {
        Self { created_at, people: Vec::new(), date_expiry: None, ttl: None, closed_at: None, attempt: None }
    }
}

/// A participant of a Session that waits.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) identifier: String,
    pub(super) friendly_name: Option<String>,
}

/// A request to create a conversation. Sent again, it creates no second one.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) key: String,
    pub(super) body: Value,
    pub(super) begun_at: Timestamp,
}

impl Attempt {
    /// Returns true if the stack may have forgotten the key, so that the request would create another conversation. That happens if
    /// no façade has run for a day. What the request created then has nobody who knows its Session, and ends at its own end.
    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        now > self.begun_at + SignedDuration::from_hours(23)
    }
}

/// A Session with two participants, which is a conversation.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Paired {
    pub(super) conversation: String,
    pub(super) friendly_names: [Option<String>; 2],
    pub(super) ttl: Option<u32>,
}

/// The data file.
pub(super) struct Records(Mutex<Connection>);

impl Records {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be written, is of another program, or another process has it.
    pub(super) fn open(file: &Path) -> Result<Self, String> {
        let told = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy) => {
                format!(
                    "the data file {} is in use by another process; stop it, or choose another file",
                    file.display()
                )
            }
            _ => format!("the data file {} cannot be used: {error}", file.display()),
        };
        make(file).map_err(|error| format!("the data file {} cannot be made: {error}", file.display()))?;
        let connection = Connection::open(file).map_err(told)?;
        connection.busy_timeout(PATIENCE).map_err(told)?;
        let foreign = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name <> 'proxy_sessions'";
        let foreign: u32 = connection.query_row(foreign, [], |row| row.get(0)).map_err(told)?;
        if foreign > 0 {
            return Err(format!("{} is the database of another program, and was not changed", file.display()));
        }
        connection.execute_batch(OPENED).map_err(told)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Adds the Sessions of an import that are not there yet, each with its conversation.
    pub(super) fn adopt(&self, imported: &BTreeMap<String, String>) -> rusqlite::Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        for (sid, conversation) in imported {
            let paired = Paired { conversation: conversation.clone(), ..Paired::default() };
            let adopt = "INSERT OR IGNORE INTO proxy_sessions (sid, waits, content) VALUES (?1, 0, ?2)";
            transaction.execute(adopt, params![sid, text(&Written::Paired(&paired))?])?;
        }
        transaction.commit()
    }

    /// Adds a Session.
    pub(super) fn add(
        &self,
        sid: &str,
        service: &str,
        unique_name: Option<&str>,
        waiting: &Waiting,
    ) -> rusqlite::Result<()> {
        let add = "INSERT INTO proxy_sessions (sid, service, unique_name, waits, content) VALUES (?1, ?2, ?3, 1, ?4)";
        self.connection().execute(add, params![sid, service, unique_name, text(&Written::Waiting(waiting))?])?;
        Ok(())
    }

    /// Replaces what a Session waits with.
    pub(super) fn keep_waiting(&self, sid: &str, waiting: &Waiting) -> rusqlite::Result<()> {
        self.set(sid, true, &Written::Waiting(waiting))
    }

    /// Makes a Session a conversation, or replaces what is known of that.
    pub(super) fn keep_paired(&self, sid: &str, paired: &Paired) -> rusqlite::Result<()> {
        self.set(sid, false, &Written::Paired(paired))
    }

    fn set(&self, sid: &str, waits: bool, content: &Written<'_>) -> rusqlite::Result<()> {
        let set = "UPDATE proxy_sessions SET waits = ?2, content = ?3 WHERE sid = ?1";
        self.connection().execute(set, params![sid, waits, text(content)?])?;
        Ok(())
    }

    /// Removes a Session.
    pub(super) fn remove(&self, sid: &str) -> rusqlite::Result<()> {
        self.connection().execute("DELETE FROM proxy_sessions WHERE sid = ?1", [sid])?;
        Ok(())
    }

    /// Returns the Session with this id.
    pub(super) fn by_sid(&self, sid: &str) -> rusqlite::Result<Option<Record>> {
        let find = format!("SELECT {COLUMNS} FROM proxy_sessions WHERE sid = ?1");
        self.connection().query_row(&find, [sid], record).optional()
    }

    /// Returns the Session with this name.
    pub(super) fn by_name(&self, service: &str, name: &str) -> rusqlite::Result<Option<Record>> {
        let find = format!("SELECT {COLUMNS} FROM proxy_sessions WHERE service = ?1 AND unique_name = ?2");
        self.connection().query_row(&find, [service, name], record).optional()
    }

    /// Returns up to `count` Sessions of a Service, and those of imports, the latest first, that are older than the place `before`.
    pub(super) fn page(&self, service: &str, before: i64, count: usize) -> rusqlite::Result<Vec<Record>> {
        let page = format!(
            "SELECT {COLUMNS} FROM proxy_sessions WHERE place < ?2 AND (service = ?1 OR service IS NULL)
             ORDER BY place DESC LIMIT ?3"
        );
        let connection = self.connection();
        let mut page = connection.prepare(&page)?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        page.query_map(params![service, before, count], record)?.collect()
    }

    /// Returns the Sessions that wait.
    pub(super) fn waiting(&self) -> rusqlite::Result<Vec<Record>> {
        let connection = self.connection();
        let mut waiting = connection.prepare(&format!("SELECT {COLUMNS} FROM proxy_sessions WHERE waits = 1"))?;
        waiting.query_map([], record)?.collect()
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the file if it is not there. Nobody else may read it.
fn make(file: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

fn text(content: &Written<'_>) -> rusqlite::Result<String> {
    serde_json::to_string(content).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let content: String = row.get(4)?;
    // What cannot be read is not quoted: it may have a phone.
    let content = serde_json::from_str(&content).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, place.into())
    })?;
    Ok(Record { place: row.get(0)?, sid: row.get(1)?, service: row.get(2)?, unique_name: row.get(3)?, content })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file() -> PathBuf {
        std::env::temp_dir().join(format!("maskline-{}.proxy", uuid::Uuid::new_v4()))
    }

    fn waiting() -> Waiting {
        let person = Person { identifier: "+447700900001".to_owned(), friendly_name: None };
        Waiting { people: vec![person], ..Waiting::new(Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn phone_is_in_the_file_only_while_its_session_waits() {
        let file = file();
        let has_phone = || String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains("7700900001");
        let records = Records::open(&file).unwrap();
        records.add("KC1", "KS1", Some("ride-1"), &waiting()).unwrap();
        records.add("KC2", "KS1", None, &waiting()).unwrap();
        assert!(has_phone());
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions()) & 0o077,
            0
        );
        assert_eq!(records.waiting().unwrap().len(), 2);
        let paired = Paired { conversation: "01M8".to_owned(), ..Paired::default() };
        records.keep_paired("KC1", &paired).unwrap();
        records.remove("KC2").unwrap();
        assert!(!has_phone() && records.waiting().unwrap().is_empty());
        drop(records);
        let again = Records::open(&file).unwrap().by_name("KS1", "ride-1").unwrap().unwrap();
        assert!(
            again.sid == "KC1" && matches!(again.content, Content::Paired(paired) if paired.conversation == "01M8")
        );
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn page_has_the_latest_sessions_of_one_service() {
        let file = file();
        let records = Records::open(&file).unwrap();
        for (sid, service) in [("KC1", "KS1"), ("KC2", "KS2"), ("KC3", "KS1")] {
            records.add(sid, service, None, &waiting()).unwrap();
        }
        assert!(records.add("KC1", "KS1", None, &waiting()).is_err());
        records
            .adopt(&BTreeMap::from([("KC1", "01M7"), ("KC4", "01M8")].map(|(a, b)| (a.to_owned(), b.to_owned()))))
            .unwrap();
        let sids = |page: Vec<Record>| page.into_iter().map(|record| record.sid).collect::<Vec<_>>();
        let first = records.page("KS1", i64::MAX, 2).unwrap();
        let last = first.last().unwrap().place;
        assert_eq!(
            (sids(first), sids(records.page("KS1", last, 2).unwrap())),
            (vec!["KC4".to_owned(), "KC3".to_owned()], vec!["KC1".to_owned()])
        );
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn file_of_another_program_is_refused_unchanged() {
        let file = file();
        std::fs::write(&file, "first,second\n+447700900001,+447700900002\n").unwrap();
        let refused = Records::open(&file).err().unwrap();
        assert!(refused.contains("cannot be used") && !refused.contains("7700"), "{refused}");
        std::fs::remove_file(&file).unwrap();
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE others (one INTEGER)").unwrap();
        assert!(Records::open(&file).err().unwrap().contains("another program"));
        std::fs::remove_file(&file).unwrap();
    }
}
