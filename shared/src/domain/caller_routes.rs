//! The routes of one caller: the virtual numbers under which a real number has, or had, a route.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::conversation::ConversationId;
use crate::domain::phone::VirtualNumber;

/// Maximum length of a route's history. A route then fits into 1 KB, which is one write unit.
const MAX_HISTORY: usize = 12;

/// A route as read for one caller: live, in quarantine, or free with its history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CallerRoute {
    /// Its last conversation; `None` if that was erased.
    #[serde(default)]
    pub conversation: Option<ConversationId>,
    /// The time from which that conversation connects no calls.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The time from which the route key is free.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub quarantined_until: Timestamp,
    /// Conversations before the last one, latest first.
    #[serde(default, rename = "earlier")]
    pub previous: Vec<ConversationId>,
}

impl CallerRoute {
    /// True if it is in use at `now`: live or in quarantine.
    pub fn is_in_use(&self, now: Timestamp) -> bool {
        now < self.quarantined_until
    }

    /// Returns all its conversations, latest first.
    pub fn history(&self) -> impl Iterator<Item = ConversationId> {
        self.conversation.into_iter().chain(self.previous.iter().copied())
    }

    /// Returns the history for the next conversation on this route key.
    pub fn history_for_next(&self) -> Vec<ConversationId> {
        self.history().take(MAX_HISTORY).collect()
    }
}

/// All routes of one caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerRoutes {
    /// By virtual number, in use or not.
    pub by_number: HashMap<VirtualNumber, CallerRoute>,
    /// True if the caller's number is in the pool. It is then not a real number.
    pub is_virtual: bool,
}

/// Number of routes that a caller uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoutesInUse {
    /// Routes that connect calls.
    pub live: usize,
    /// Routes in quarantine.
    pub quarantined: usize,
}

impl CallerRoutes {
    /// True if this caller uses `number` at `now`.
    pub fn uses(&self, number: &VirtualNumber, now: Timestamp) -> bool {
        self.by_number.get(number).is_some_and(|route| route.is_in_use(now))
    }

    /// Returns the routes in use at `now`.
    pub fn in_use(&self, now: Timestamp) -> impl Iterator<Item = (&VirtualNumber, &CallerRoute)> {
        self.by_number.iter().filter(move |(_, route)| route.is_in_use(now))
    }

    /// Counts the routes in use at `now`.
    pub fn count_in_use(&self, now: Timestamp) -> RoutesInUse {
        let live = self.in_use(now).filter(|(_, route)| now < route.expires_at).count();
        RoutesInUse { live, quarantined: self.in_use(now).count() - live }
    }
}

impl RoutesInUse {
    /// Returns the sum.
    pub fn total(self) -> usize {
        self.live + self.quarantined
    }
}
