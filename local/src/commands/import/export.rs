//! The contents of an export, whichever service it is of.

use jiff::Timestamp;

/// The services, numbers and sessions of an export.
#[derive(Default)]
pub(super) struct Export {
    /// Number of services, or connectors, that the sessions belong to.
    pub(super) services: usize,
    pub(super) numbers: Vec<OldNumber>,
    pub(super) sessions: Vec<Session>,
}

/// A virtual number at the other service.
pub(super) struct OldNumber {
    /// As it is written there.
    pub(super) number: String,
    pub(super) country: Option<String>,
}

/// A session: two people who reach each other by virtual numbers.
pub(super) struct Session {
    /// Its id there, which is unique in the export.
    pub(super) id: String,
    /// The name that the company gave it.
    pub(super) reference: Option<String>,
    pub(super) people: Vec<Person>,
    pub(super) end: End,
    /// The reason for which it cannot be carried over, if its service gives one.
    pub(super) left_out: Option<String>,
    /// Changes that come with it when it is carried over.
    pub(super) notes: Vec<String>,
}

/// A person in a session. It has no `Debug`, because it has a real phone.
pub(super) struct Person {
    /// The phone as it is written there.
    pub(super) phone: String,
    pub(super) country: Option<String>,
    pub(super) label: Option<String>,
    pub(super) language: Option<String>,
    /// The virtual number that the person dials there.
    pub(super) dials: Option<String>,
}

/// The end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A time.
    At(Timestamp),
    /// So many seconds after each use, of which the last one was then.
    AfterUse { seconds: u64, last_use: Timestamp },
    /// It never ends by itself.
    Never,
    /// As long as conversations last without a wish.
    Usual,
}

impl Person {
    pub(super) fn new(phone: String) -> Self {
        Self { phone, country: None, label: None, language: None, dials: None }
    }
}
