//! A caller's keys: to which virtual numbers one real number has, or had, a route.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::conversation::ConversationId;
use crate::domain::phone::VirtualNumber;

/// The most conversations that a key remembers beside its last, so that it fits into the 1 KB that a write unit pays for.
const REMEMBERED: usize = 12;

/// What a caller has under one virtual number: a live route, one in quarantine, or the memory of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CallerRoute {
    /// Its last conversation; none if that was erased.
    #[serde(default)]
    pub conversation: Option<ConversationId>,
    /// From when on that conversation connects no calls.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// From when on the key is free again.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub quarantined_until: Timestamp,
    /// Earlier conversations, latest first.
    #[serde(default)]
    pub earlier: Vec<ConversationId>,
}

impl CallerRoute {
    /// Whether it is taken at `now`: live or in quarantine.
    pub fn is_held(&self, now: Timestamp) -> bool {
        now < self.quarantined_until
    }

    /// All conversations that it remembers, latest first.
    pub fn history(&self) -> impl Iterator<Item = ConversationId> {
        self.conversation.into_iter().chain(self.earlier.iter().copied())
    }

    /// What the next conversation on it remembers.
    pub fn history_for_next(&self) -> Vec<ConversationId> {
        self.history().take(REMEMBERED).collect()
    }
}

/// All that one real number has as a caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerRoutes {
    /// By virtual number, held or not.
    pub by_number: HashMap<VirtualNumber, CallerRoute>,
    /// Whether it is a number of the pool, and so can be nobody's real number.
    pub is_virtual: bool,
}

/// How many keys a caller holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Of conversations that connect calls.
    pub live: usize,
    /// In quarantine.
    pub quarantined: usize,
}

impl CallerRoutes {
    /// Whether `number` is taken for this caller at `now`.
    pub fn hold(&self, number: &VirtualNumber, now: Timestamp) -> bool {
        self.by_number.get(number).is_some_and(|key| key.is_held(now))
    }

    /// The keys that are held at `now`.
    pub fn held(&self, now: Timestamp) -> impl Iterator<Item = (&VirtualNumber, &CallerRoute)> {
        self.by_number.iter().filter(move |(_, key)| key.is_held(now))
    }

    /// How many are held at `now`.
    pub fn count(&self, now: Timestamp) -> Held {
        let live = self.held(now).filter(|(_, key)| now < key.expires_at).count();
        Held { live, quarantined: self.held(now).count() - live }
    }
}

impl Held {
    /// Live or in quarantine.
    pub fn total(self) -> usize {
        self.live + self.quarantined
    }
}
