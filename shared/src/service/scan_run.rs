//! One run of a scan of the table for routes: page by page, with its position saved for the next run.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;
use crate::domain::conversation::ConversationId;
use crate::store::{RouteScan, ScanPurpose, Store, StoreError};

/// Time after which no creation can still use a number that was taken off the ready list: longer than a function runs.
pub(super) const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// Pause between two pages. It leaves most of a partition's throughput to calls.
const BETWEEN_PAGES: Duration = Duration::from_millis(100);

/// Number of pages after which the position of a scan is saved.
const CHECKPOINT_EVERY_PAGES: u32 = 100;

/// A scan, and the limits of this run.
pub(super) struct ScanRun<'a> {
    pub(super) store: &'a Store,
    pub(super) clock: &'a SharedClock,
    pub(super) purpose: ScanPurpose,
    pub(super) scan: RouteScan,
    /// The time from which no page is read.
    pub(super) stop_at: Option<Timestamp>,
}

/// The result of one step of a scan.
pub(super) enum ScanProgress {
    /// A page was read. These conversations have routes in it that were live when the scan began.
    Page(Vec<ConversationId>),
    /// The whole table has been read.
    Complete,
    /// The next run continues.
    OutOfTime,
}

impl ScanRun<'_> {
    /// Reads the next page, after the caller is done with the one before.
    pub(super) async fn next_page(&mut self) -> Result<ScanProgress, StoreError> {
        if self.scan.is_complete {
            self.store.delete_route_scan(self.purpose).await?;
            return Ok(ScanProgress::Complete);
        }
        if self.stop_at.is_some_and(|stop_at| self.clock.now() >= stop_at) {
            self.store.save_route_scan(self.purpose, &self.scan).await?;
            return Ok(ScanProgress::OutOfTime);
        }
        if self.scan.pages > 0 {
            tokio::time::sleep(BETWEEN_PAGES).await;
            if self.scan.pages.is_multiple_of(CHECKPOINT_EVERY_PAGES) {
                self.store.save_route_scan(self.purpose, &self.scan).await?;
            }
        }
        Ok(ScanProgress::Page(self.store.continue_route_scan(&mut self.scan).await?))
    }
}
