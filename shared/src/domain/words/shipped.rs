//! The files of words that are built in: one for each language, parsed when it is needed.

use std::sync::OnceLock;

use serde_json::{Map, Value};

/// The words of one language, by key.
pub type Entries = Map<String, Value>;

/// A file of `shared/words`.
pub struct Shipped {
    /// The language's tag.
    pub tag: &'static str,
    json: &'static str,
    entries: OnceLock<Entries>,
}

impl Shipped {
    const fn new(tag: &'static str, json: &'static str) -> Self {
        Self { tag, json, entries: OnceLock::new() }
    }

    /// Returns its words.
    pub fn entries(&self) -> &Entries {
        // The tests parse all files.
        self.entries.get_or_init(|| serde_json::from_str(self.json).unwrap_or_default())
    }
}

static SHIPPED: [Shipped; 8] = [
    Shipped::new("ar", include_str!("../../../words/ar.json")),
    Shipped::new("de", include_str!("../../../words/de.json")),
    Shipped::new("en", include_str!("../../../words/en.json")),
    Shipped::new("es", include_str!("../../../words/es.json")),
    Shipped::new("fr", include_str!("../../../words/fr.json")),
    Shipped::new("hi", include_str!("../../../words/hi.json")),
    Shipped::new("it", include_str!("../../../words/it.json")),
    Shipped::new("pt", include_str!("../../../words/pt.json")),
];

/// Returns all files.
pub fn all() -> &'static [Shipped] {
    &SHIPPED
}

/// Returns the words of the language with this tag, if they are built in.
pub fn with_tag(tag: &str) -> Option<&'static Entries> {
    SHIPPED.iter().find(|shipped| shipped.tag == tag).map(Shipped::entries)
}
