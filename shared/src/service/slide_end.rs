//! Moving the end of a conversation that slides with each call and text.

use std::ops::ControlFlow::{Break, Continue};

use jiff::Timestamp;

use crate::clock::SharedClock;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::retry;
use crate::service::pool_cache::PoolCache;
use crate::service::prolong;
use crate::store::{ChangeError, Store, StoreError};

/// Attempts at a move that conflicts with other changes of the conversation.
const ATTEMPTS: u32 = 12;

/// Moves the ends of conversations.
pub struct EndSlider {
    /// The table.
    pub store: Store,
    /// The clock.
    pub clock: SharedClock,
    /// Data about the pool that one move leaves for the next.
    pub cache: PoolCache,
}

impl EndSlider {
    /// Moves the end of a conversation after a call or text at `used_at`, if its end slides and is to move because of that.
    ///
    /// The transaction requires the revision that was read, and that no request has ended it. The end that was read is in the future,
    /// so a conversation that is over stays over. If its end passes before the transaction is carried out, the route keys are still
    /// its own: in quarantine nobody gets them but the same two people, and then the transaction fails. Called again for the same use,
    /// it does nothing.
    pub async fn slide(&self, id: ConversationId, used_at: Timestamp) -> Result<(), StoreError> {
        let moved = retry::contended(ATTEMPTS, StoreError::Contended("a conversation"), || async move {
            let now = self.clock.now();
            let before = self.store.conversation(id, now).await?.filter(|conversation| conversation.is_active(now));
            let Some(before) = before else { return Ok(Break(None)) };
            // The clock of the carrier may be ahead.
            let end = before.sliding_end.and_then(|sliding| sliding.moved(before.expires_at, used_at.min(now)));
            let Some(expires_at) = end else { return Ok(Break(None)) };
            let after = Conversation { expires_at, revision: before.revision + 1, ..before.clone() };
            match self.hold_and_change([&before, &after], now).await {
                Ok(()) => Ok(Break(Some(after))),
                Err(ChangeError::Changed | ChangeError::KeyTaken) => Ok(Continue(())),
                Err(ChangeError::Store(error)) => Err(error),
            }
        });
        if let Some(after) = moved.await? {
            prolong::raise_peak_usage(&self.store, &self.cache, &after, self.clock.now()).await;
        }
        Ok(())
    }

    async fn hold_and_change(&self, change: [&Conversation; 2], now: Timestamp) -> Result<(), ChangeError> {
        prolong::hold(&self.store, change, now).await?;
        self.store.change_conversation(change[0], change[1], &[], now).await
    }
}
