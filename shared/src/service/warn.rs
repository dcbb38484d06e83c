//! Warnings before the end of a call's limit. Vonage ends a call at its limit without a word, so both people hear how much is left.
//!
//! When the callee answers, the warning is stored with the time at which it is due. A schedule takes those of the next minute and
//! speaks each at its time. So a warning is exact to about a second, whatever the length of the call, and costs one write and one
//! deletion; no function waits for a whole call, and no other service is needed.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;
use crate::domain::call::LegEvent;
use crate::domain::conversation::ConversationId;
use crate::domain::side::Side;
use crate::domain::words::Words;
use crate::service::speak::{SpeakError, What, speak};
use crate::store::{Store, StoreError, Warning};
use crate::vonage::calls::CallsApi;

/// Time that one run covers: from one run of the schedule to the next.
const COVERED: SignedDuration = SignedDuration::from_secs(60);

/// Plans the warning of a call whose callee, on the side `callee`, has answered. Nothing if the conversation wants none.
pub async fn plan(
    store: &Store,
    id: ConversationId,
    callee: Side,
    answered: &LegEvent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(conversation) = store.conversation(id, now).await? else { return Ok(()) };
    let left = match conversation.usage_limits.is_none() {
        true => None,
        false => conversation.seconds_left(&store.usage(id).await?.tally, callee.other()),
    };
    let (talk, _) = conversation.limits.talk_seconds_within(left, conversation.handling);
    let Some(seconds) = conversation.limits.seconds_to_warning(talk) else { return Ok(()) };
    let due_at = answered.timestamp.unwrap_or(now) + SignedDuration::from_secs(seconds.into());
    let call = answered.conversation_uuid.clone();
    store.plan_warning(&Warning { conversation: id, call, due_at, left_seconds: talk - seconds }).await
}

/// Speaks warnings.
pub struct Warner {
    /// The table.
    pub store: Store,
    /// Vonage.
    pub api: Arc<CallsApi>,
    /// The words for people.
    pub words: Words,
    /// The clock.
    pub clock: SharedClock,
}

/// The outcome of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Warned {
    /// Number of calls in which a warning was spoken.
    pub spoken: usize,
    /// Number of warnings of calls that were over.
    pub over: usize,
    /// Number of warnings that failed.
    pub failed: usize,
}

impl Warner {
    /// Speaks the warnings of the next minute, each when it is due. One that fails is not repeated: it would come too late.
    pub async fn run(&self) -> Result<Warned, StoreError> {
        let mut warned = Warned::default();
        for warning in self.store.warnings(self.clock.now() + COVERED).await? {
            let wait = Duration::try_from(warning.due_at.duration_since(self.clock.now())).unwrap_or_default();
            tokio::time::sleep(wait).await;
            if !self.store.take_warning(&warning).await? {
                continue;
            }
            match self.speak(&warning).await {
                Ok(true) => warned.spoken += 1,
                Ok(false) => warned.over += 1,
                Err(error) => {
                    tracing::warn!(conversation.id = %warning.conversation, cause = %error, "a warning in a call failed");
                    warned.failed += 1;
                }
            }
        }
        Ok(warned)
    }

    /// Speaks a warning. False if nobody heard it, because the call is over.
    async fn speak(&self, warning: &Warning) -> Result<bool, SpeakError> {
        let found = self.store.conversation(warning.conversation, self.clock.now()).await?;
        let Some(conversation) = found else { return Ok(false) };
        let legs = self.store.legs_of_call(warning.conversation, &warning.call).await?;
        let what = What::TimeLeft(warning.left_seconds);
        let hear = speak(&self.api, &self.words, &conversation, &legs, None, &what).await?;
        Ok(!hear.is_empty())
    }
}
