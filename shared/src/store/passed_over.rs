//! Items of one read that cannot be read. They are passed over, so that the others are found.

use super::StoreError;
use super::item::{self, Item};

/// The unreadable items of one read. They are logged once, when the read is done, and counted in the metric
/// `unreadable_items`.
#[derive(Default)]
pub(super) struct PassedOver {
    count: u64,
    first: Option<StoreError>,
}

impl PassedOver {
    /// Returns what was decoded. `None` for an item that cannot be read, which is counted.
    pub(super) fn take<T>(&mut self, decoded: Result<T, StoreError>) -> Option<T> {
        decoded.map_err(|error| self.add(error)).ok()
    }

    /// Counts an item that cannot be read.
    pub(super) fn add(&mut self, error: StoreError) {
        self.count += 1;
        self.first.get_or_insert(error);
    }

    /// Returns the error of the first one.
    pub(super) fn error(&self) -> Option<StoreError> {
        match &self.first {
            Some(StoreError::Unreadable(name, reason)) => Some(StoreError::Unreadable(name, reason.clone())),
            _ => None,
        }
    }

    /// Decodes the items of a list.
    pub(super) fn list<T>(
        items: impl IntoIterator<Item = Item>,
        decode: impl Fn(Item) -> Result<T, StoreError>,
    ) -> Vec<T> {
        let mut passed_over = Self::default();
        items.into_iter().filter_map(|item| passed_over.take(decode(item))).collect()
    }
}

impl Drop for PassedOver {
    fn drop(&mut self) {
        if let Some(cause) = &self.first {
            let unreadable_items = self.count;
            tracing::error!(unreadable_items, %cause, "items of the table cannot be read and are passed over");
        }
    }
}

/// Decodes an item that was asked for by its key. One that cannot be read is logged and counted.
pub(super) fn read_one<T: serde::de::DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    item::read(item).inspect_err(log)
}

/// Logs and counts an item that was asked for by its key and cannot be read.
pub(super) fn log(cause: &StoreError) {
    tracing::error!(unreadable_items = 1u64, %cause, "an item of the table cannot be read");
}
