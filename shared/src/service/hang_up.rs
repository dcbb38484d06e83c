//! The end of calls that are up: both legs of each, again and again until none is left.
//!
//! A request ends one leg. The leg of the callee may come up while that of the caller is being ended, and a leg refuses requests
//! within two seconds of its creation. So each pass asks Vonage which legs are up, and the calls are over when a pass finds none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::SharedClock;
use crate::domain::conversation::ConversationId;
use crate::invoke::AsyncFunction;
use crate::store::{LegIds, Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::calls::{CallsApi, Commanded};

/// The source of the events that ask to end calls.
pub const HANG_UP_SOURCE: &str = "maskline.hang-up";

/// Most passes over the legs of a call. It is a bound where no deadline is known.
const MOST_PASSES: u32 = 60;

/// Number of pauses between passes for which a leg waits that still hears words: "Goodbye." takes about two seconds.
const PAUSES_FOR_WORDS: u32 = 3;

/// The request to end calls of a conversation, which one function sends to another. It has no phone number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HangUp {
    /// The conversation.
    pub conversation: ConversationId,
    /// Calls to end with those that the conversation's record shows, which may be gone: their `conversation_uuid`s.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub calls: BTreeSet<String>,
    /// The only leg to end, after the words that it hears: its `uuid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<String>,
}

impl HangUp {
    /// Asks for the end of these calls.
    pub fn of_calls(conversation: ConversationId, calls: BTreeSet<String>) -> Self {
        Self { conversation, calls, leg: None }
    }

    /// Asks for the end of one leg.
    pub fn of_leg(conversation: ConversationId, ids: LegIds) -> Self {
        Self { conversation, calls: BTreeSet::from([ids.call]), leg: Some(ids.leg) }
    }

    /// Reads an event.
    pub fn read(event: Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(event)
    }

    /// Hands the request to the function that carries it out. False if nobody took it.
    pub async fn send(&self, to: &AsyncFunction) -> bool {
        let mut event = json!(self);
        event["source"] = json!(HANG_UP_SOURCE);
        let sent = to.invoke(&event).await;
        if let Err(error) = &sent {
            tracing::error!(conversation.id = %self.conversation, cause = %error, "invocation of control-call failed");
        }
        sent.is_ok()
    }
}

/// True if the conversation was ended together with its calls, so a call whose answered leg was recorded just now has to end. The
/// request that ends a conversation reads the legs after the end, and this reads the end after the leg. So at least one of the
/// two knows of the other.
pub async fn ended_meanwhile(store: &Store, id: ConversationId, now: Timestamp) -> Result<bool, StoreError> {
    match store.conversation(id, now).await {
        Ok(conversation) => Ok(conversation.is_some_and(|conversation| conversation.hangs_up)),
        // It harms only itself: the leg is recorded all the same.
        Err(StoreError::Unreadable(..)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A failure while calls are ended. What is left goes on.
#[derive(Debug, thiserror::Error)]
pub enum HangUpError {
    /// A failed use of the table.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A failed request to Vonage.
    #[error(transparent)]
    Vonage(#[from] VonageError),
}

/// Ends calls.
pub struct HangUps {
    /// The table.
    pub store: Store,
    /// Vonage.
    pub api: Arc<CallsApi>,
    /// Pause between two passes over a call.
    pub pause: Duration,
    /// The clock.
    pub clock: SharedClock,
}

impl HangUps {
    /// Carries out a request of another function. Returns the number of calls that were still up at the `deadline`.
    pub async fn carry_out(&self, request: &HangUp, deadline: Option<Timestamp>) -> Result<usize, HangUpError> {
        if let Some(leg) = &request.leg {
            tokio::time::sleep(self.pause * PAUSES_FOR_WORDS).await;
            return Ok(usize::from(!self.end_leg(leg, deadline).await?));
        }
        let now = self.clock.now();
        let recorded = self.store.legs_of_live_calls(request.conversation, now).await?;
        // A call that was named is ended even if its legs are not in the record yet, or not any more.
        let recorded = recorded.into_iter().map(|leg| leg.conversation_uuid);
        let calls: BTreeSet<_> = recorded.chain(request.calls.iter().cloned()).collect();
        let mut left = 0;
        for call in &calls {
            left += usize::from(!self.end_call(request.conversation, call, deadline).await?);
        }
        Ok(left)
    }

    /// Ends all legs of a call. True if none is left at the `deadline`.
    pub async fn end_call(
        &self,
        conversation: ConversationId,
        call: &str,
        deadline: Option<Timestamp>,
    ) -> Result<bool, HangUpError> {
        for pass in 0..MOST_PASSES {
            if pass > 0 && !self.wait(deadline).await {
                break;
            }
            let up = self.legs_up(conversation, call).await?;
            let mut is_over = true;
            for leg in &up {
                is_over &= self.api.hang_up(leg).await? == Commanded::NotUp;
            }
            if is_over {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the legs of a call that may be up: those that Vonage shows, and those whose events are here.
    async fn legs_up(&self, conversation: ConversationId, call: &str) -> Result<BTreeSet<String>, HangUpError> {
        let shown = self.api.legs_up(call).await?;
        let recorded = self.store.legs_of_call(conversation, call).await?;
        let recorded = recorded.into_iter().filter(|leg| leg.is_up()).map(|leg| leg.uuid);
        Ok(shown.into_iter().chain(recorded).collect())
    }

    async fn end_leg(&self, leg: &str, deadline: Option<Timestamp>) -> Result<bool, HangUpError> {
        for pass in 0..MOST_PASSES {
            if pass > 0 && !self.wait(deadline).await {
                break;
            }
            if self.api.hang_up(leg).await? != Commanded::TooEarly {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits for the next pass. False if it would begin after the deadline.
    async fn wait(&self, deadline: Option<Timestamp>) -> bool {
        let next = self.clock.now() + self.pause;
        let has_time = deadline.is_none_or(|deadline| next < deadline);
        if has_time {
            tokio::time::sleep(self.pause).await;
        }
        has_time
    }
}
