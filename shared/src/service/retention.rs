//! The end of retention: about once a day, the whole table is read for conversations that are past it, and they are erased.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;
use crate::domain::conversation::ConversationId;
use crate::service::at_once;
use crate::store::{RetentionPass, Store, StoreError};

/// Time from the start of a pass to the start of the next one.
const PASS_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// Maximum number of pages of the table, of up to 1 MB each, that one run reads.
const PAGES_PER_RUN: u32 = 300;

/// Pause between two pages. It leaves most of a partition's throughput to calls.
const BETWEEN_PAGES: Duration = Duration::from_millis(100);

/// Number of conversations that are erased at the same time. Their redactions share a partition, which takes 1,000 write units a
/// second: about 80 conversations with a call and two texts.
const AT_ONCE: usize = 4;

/// The result of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Number of conversations that were past their retention and are erased.
    pub erased: usize,
    /// Number of conversations whose erasure failed. It goes on with the schedule, or begins again with the next pass.
    pub failed: usize,
    /// Number of pages of the table that were read.
    pub pages: u32,
    /// True if no part of the table is left for this day.
    pub is_complete: bool,
}

/// Erases the conversations that are past their retention.
pub struct RetentionRun<'a> {
    /// The table.
    pub store: &'a Store,
    /// The clock.
    pub clock: &'a SharedClock,
    /// The time from which no page is read.
    pub stop_at: Option<Timestamp>,
}

impl RetentionRun<'_> {
    /// Goes on with the present pass, or begins one if the last one began a day ago.
    ///
    /// Each page's conversations are erased before its position is saved. So after a crash the next run finds the rest of them
    /// again, and of two runs at once each finds erased what the other one has erased. A conversation whose erasure fails does not
    /// stop the others.
    pub async fn run(&self) -> Result<Retired, StoreError> {
        let mut done = Retired::default();
        let now = self.clock.now();
        let mut pass = match self.store.saved_retention_pass().await? {
            Some(pass) if now < pass.began_at + PASS_EVERY => pass,
            Some(pass) if !pass.is_complete => pass,
            _ => RetentionPass::new(now),
        };
        while !pass.is_complete && done.pages < PAGES_PER_RUN && !self.is_out_of_time() {
            if done.pages > 0 {
                tokio::time::sleep(BETWEEN_PAGES).await;
            }
            let (over, next) = self.store.next_past_retention(&pass, self.clock.now()).await?;
            done.pages += 1;
            if !self.erase(over, &mut done).await {
                return Ok(done);
            }
            self.store.save_retention_pass(&next).await?;
            pass = next;
        }
        done.is_complete = pass.is_complete;
        Ok(done)
    }

    /// Erases the conversations of a page. False if the time was not enough for all of them.
    async fn erase(&self, over: Vec<ConversationId>, done: &mut Retired) -> bool {
        let (mut left, counts) = (over.len(), Mutex::new((0, 0)));
        let in_time = over.into_iter().take_while(|_| !self.is_out_of_time()).inspect(|_| left -= 1);
        at_once::for_each(in_time, AT_ONCE, async |id| {
            let result = self.store.end_retention(id, self.clock.now()).await;
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(is_erased) => counts.0 += usize::from(is_erased),
                Err(error) => {
                    counts.1 += 1;
                    tracing::error!(conversation.id = %id, cause = %error, schedule_failures = 1u64, "erasing a conversation past its retention failed");
                }
            }
        })
        .await;
        let (erased, failed) = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.erased += erased;
        done.failed += failed;
        left == 0
    }

    fn is_out_of_time(&self) -> bool {
        self.stop_at.is_some_and(|stop_at| self.clock.now() >= stop_at)
    }
}
