//! Erasure of all conversations of a phone, a few at a time, and of the phone in standing masks. The request begins, and the
//! schedule goes on until none is left.
//!
//! Each step can be repeated, also by several runs at once. What is left to do is what the table still lists under the phone,
//! so no position is stored. A conversation that cannot be erased is passed over, and tried again by the next run.

use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;
use crate::domain::conversation::ConversationId;
use crate::domain::number_erasure::{ErasureId, NumberErasure};
use crate::domain::phone::RealNumber;
use crate::store::{Store, StoreError};

/// Number of conversations that a request erases before it answers.
const BY_REQUEST: u16 = 5;

/// Number of conversations after which a run goes on with another erasure, so that a large one does not delay the others.
const IN_A_TURN: u16 = 25;

/// Time that the erasure of one conversation takes at most, in a table that is not down.
const TIME_FOR_ONE: SignedDuration = SignedDuration::from_secs(8);

/// Erases by number.
pub struct Forgetter<'a> {
    /// The table.
    pub store: &'a Store,
    /// The clock.
    pub clock: &'a SharedClock,
    /// Time by which the work must end.
    pub deadline: Option<Timestamp>,
}

/// The result of a run of the schedule.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Number of erasures that are done.
    pub done: usize,
    /// Number of erasures that go on with the next run.
    pub running: usize,
}

/// The part of an erasure that is carried out by one run.
struct Pass {
    id: ErasureId,
    number: RealNumber,
    /// The conversation behind which it goes on.
    after: Option<ConversationId>,
    /// Number of conversations that could not be erased.
    failed: u64,
}

/// The rest of a pass.
#[derive(PartialEq, Eq)]
enum Left {
    /// There may be more conversations.
    More,
    /// Every conversation was tried, and some could not be erased.
    Failed,
    /// Nothing.
    Nothing,
}

impl Pass {
    /// Starts a pass of a running erasure.
    fn of(erasure: NumberErasure) -> Option<Self> {
        Some(Self { id: erasure.id, number: erasure.number?, after: None, failed: 0 })
    }
}

impl Forgetter<'_> {
    /// Begins the erasure of all conversations that `number` is or was in now, and erases the first few. Fails only if that is
    /// not stored; after that, the schedule completes it.
    pub async fn begin(&self, number: &RealNumber) -> Result<NumberErasure, StoreError> {
        let erasure = NumberErasure::new(number, self.clock.now());
        self.store.begin_number_erasure(&erasure).await?;
        let Some(mut pass) = Pass::of(erasure.clone()) else { return Ok(erasure) };
        let progress = async {
            let left = self.take_turn(&mut pass, BY_REQUEST).await?;
            self.settle(&pass, left).await?;
            self.store.number_erasure(erasure.id, self.clock.now()).await
        };
        match progress.await {
            Ok(progress) => Ok(progress.unwrap_or(erasure)),
            Err(error) => {
                tracing::warn!(erasure.id = %erasure.id, cause = %error, "the schedule has to begin an erasure by number");
                Ok(erasure)
            }
        }
    }

    /// Goes on with all running erasures, in turns, until they are done or no time is left.
    pub async fn run(&self) -> Result<Forgotten, StoreError> {
        let running = self.store.number_erasures().await?;
        let (mut done, all) = (0, running.len());
        let mut passes: Vec<Pass> = running.into_iter().filter_map(Pass::of).collect();
        while !passes.is_empty() && !self.is_out_of_time() {
            let mut left_over = Vec::new();
            for mut pass in passes {
                match self.turn(&mut pass).await {
                    Ok(Left::More) => left_over.push(pass),
                    Ok(Left::Failed) => {}
                    Ok(Left::Nothing) => done += 1,
                    // A failure must not stop the others.
                    Err(error) => {
                        tracing::error!(erasure.id = %pass.id, cause = %error, schedule_failures = 1u64, "an erasure by number failed");
                    }
                }
            }
            passes = left_over;
        }
        Ok(Forgotten { done, running: all - done })
    }

    async fn turn(&self, pass: &mut Pass) -> Result<Left, StoreError> {
        let left = self.take_turn(pass, IN_A_TURN).await?;
        self.settle(pass, left).await
    }

    /// Erases up to `most` conversations.
    async fn take_turn(&self, pass: &mut Pass, most: u16) -> Result<Left, StoreError> {
        if pass.after.is_none() {
            self.forget_in_standing_masks(pass).await?;
        }
        let page = self.store.participations(&pass.number, pass.after, most, pass.id.requested_at()).await?;
        for conversation in page.conversations {
            if self.is_out_of_time() {
                return Ok(Left::More);
            }
            self.erase(pass, conversation).await;
            pass.after = Some(conversation);
        }
        Ok(match (page.next, pass.failed) {
            (Some(last), _) => {
                pass.after = Some(last);
                Left::More
            }
            (None, 0) => Left::Nothing,
            (None, _) => Left::Failed,
        })
    }

    /// Removes the phone from the standing masks that name it. A failure is counted.
    async fn forget_in_standing_masks(&self, pass: &mut Pass) -> Result<(), StoreError> {
        for mask in self.store.standing_masks_of(&pass.number, pass.id.requested_at()).await? {
            if let Err(error) = self.store.forget_in_standing_mask(&pass.number, &mask, self.clock.now()).await {
                pass.failed += 1;
                tracing::error!(erasure.id = %pass.id, %mask, cause = %error, schedule_failures = 1u64,
                    "a phone was not removed from a standing mask, which is tried again");
            }
        }
        Ok(())
    }

    /// Erases a conversation. A failure is counted.
    async fn erase(&self, pass: &mut Pass, conversation: ConversationId) {
        let erased = async {
            self.store.erase_conversation_for(pass.id, conversation, self.clock.now()).await?;
            // It is still there if the table has deleted the conversation before it, or if an earlier release has erased that.
            self.store.forget_participation(&pass.number, conversation).await
        };
        if let Err(error) = erased.await {
            pass.failed += 1;
            tracing::error!(erasure.id = %pass.id, conversation.id = %conversation, cause = %error, schedule_failures = 1u64,
                "a conversation was not erased and is tried again");
        }
    }

    /// Records what a turn has come to, and ends an erasure for which nothing is left to do.
    async fn settle(&self, pass: &Pass, left: Left) -> Result<Left, StoreError> {
        match left {
            Left::More => {}
            Left::Failed => self.store.note_failed_erasures(pass.id, pass.failed).await?,
            Left::Nothing => {
                self.store.forget_traces(&pass.number, self.clock.now()).await?;
                self.store.finish_number_erasure(pass.id, self.clock.now()).await?;
            }
        }
        Ok(left)
    }

    fn is_out_of_time(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.clock.now() + TIME_FOR_ONE >= deadline)
    }
}
