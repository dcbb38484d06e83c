//! The saved progress of the comparison of the pool with the account, which may take many runs.

use serde::{Deserialize, Serialize};

use super::item::Key;
use super::pool::Recount;
use super::{Store, StoreError};
use crate::domain::phone::VirtualNumber;
use crate::domain::tenant::Pool;

/// Progress of a comparison. It goes through the numbers in ascending order of their digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountWalk {
    /// Digits with which the numbers begin that are to be compared next.
    pub prefix: String,
    /// Pairs of a prefix and a longer one: all listed numbers that begin with the first begin with the second.
    #[serde(default)]
    pub narrowed: Vec<(String, String)>,
    /// The last number of the pool that was compared, if not all of that prefix were.
    pub after: Option<(Pool, VirtualNumber)>,
    /// The numbers that were counted on the way. `None` if some could not be read.
    pub recount: Option<Recount>,
}

impl Store {
    /// Returns the comparison that a previous run began. One that cannot be read begins again.
    pub async fn saved_account_walk(&self) -> Result<Option<AccountWalk>, StoreError> {
        self.saved_progress(Key::AccountWalk).await
    }

    /// Saves a comparison for the next run.
    pub async fn save_account_walk(&self, walk: &AccountWalk) -> Result<(), StoreError> {
        let item = Key::AccountWalk.with(walk, None)?;
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// Deletes the saved comparison.
    pub async fn delete_account_walk(&self) -> Result<(), StoreError> {
        self.delete_item(Key::AccountWalk).await
    }
}
