//! Draining: a number is given to no new conversation, and is cancelled when its last route has left quarantine. One that was set
//! aside becomes a standing mask then, and one that is to move belongs to another owner.

use jiff::{SignedDuration, Timestamp};

use super::{Provisioner, Shortfall, lease};
use crate::clock::whole_second;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber};
use crate::retry;
use crate::service::scan_run::{GRACE, ScanProgress, ScanRun};
use crate::store::{MAX_NUMBERS, RouteScan, ScanPurpose, StoreError};
use crate::vonage::VonageError;

/// Pause before the next route scan for each page that a scan has read. A page costs up to 128 read units, so scanning all
/// day costs a few cents for a table of any size.
const PAUSE_PER_PAGE: SignedDuration = SignedDuration::from_secs(10);

/// Time before the deadline at which a run stops scanning, to cancel what it has found.
const TIME_TO_CANCEL: SignedDuration = SignedDuration::from_secs(60);

/// The result of a request to drain a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drained {
    /// The number is given to no conversation any more.
    Draining(PoolNumber),
    /// A run is renting or linking the number, or died doing so a moment ago.
    Busy(PoolNumber),
    /// The number is a standing mask, or is to become one.
    SetAside,
    /// The number is not in the pool.
    Unknown,
}

/// The numbers to which no route leads any more.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Those that were cancelled.
    pub(super) cancelled: Vec<VirtualNumber>,
    /// Those that are standing masks now.
    pub(super) standing: Vec<VirtualNumber>,
    /// Those that belong to another owner now.
    pub(super) moved: Vec<VirtualNumber>,
}

/// Number of attempts at a change that loses races against others.
const ATTEMPTS: u32 = 5;

impl Provisioner {
    /// Starts to drain a number. A later [`Provisioner::upkeep`] cancels it. One that was to move to another owner is not to any more.
    pub async fn drain(&self, number: &VirtualNumber) -> Result<Drained, StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some(found) = self.store.pool_number(number).await? else { return Ok(Drained::Unknown) };
            let now = self.clock.now();
            match found.state {
                _ if found.set_aside => return Ok(Drained::SetAside),
                NumberState::Draining if found.moves_to.is_none() => return Ok(Drained::Draining(found)),
                NumberState::Draining if may_be_given_back(&found, now) => return Ok(Drained::Busy(found)),
                NumberState::Draining => {
                    if self.store.redirect_draining(&found, None, now).await? {
                        let leased_until = whole_second(now);
                        return Ok(Drained::Draining(PoolNumber { moves_to: None, leased_until, ..found }));
                    }
                    retry::pause(attempt).await;
                    continue;
                }
                // It may or may not be bought.
                NumberState::Renting => return Ok(Drained::Busy(found)),
                NumberState::Linking if now < found.leased_until => return Ok(Drained::Busy(found)),
                NumberState::Linking
                | NumberState::Ready
                | NumberState::Lost
                | NumberState::SettingAside
                | NumberState::Standing => {}
            }
            if self.store.begin_draining(&found, now).await? {
                let draining_since = Some(whole_second(now));
                return Ok(Drained::Draining(PoolNumber {
                    state: NumberState::Draining,
                    draining_since,
                    part: None,
                    ..found
                }));
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("a number of the pool"))
    }

    /// Cancels the draining numbers without routes, or moves them, or opens the standing masks among them, and returns them.
    pub(super) async fn finish_draining(
        &self,
        numbers: &[PoolNumber],
        deadline: Option<Timestamp>,
        shortfalls: &mut Vec<Shortfall>,
    ) -> Result<Finished, StoreError> {
        let mut finished = Finished::default();
        let Some(scan) = self.scan_routes(numbers, deadline).await? else { return Ok(finished) };
        for number in numbers.iter().filter(|number| scan.numbers.contains(&number.number)) {
            let now = self.clock.now();
            if !self.is_due(number) {
                continue;
            }
            if let Some(until) = scan.last_route(&number.number) {
                let pause = PAUSE_PER_PAGE.saturating_mul(scan.pages.try_into().unwrap_or(i32::MAX));
                let next_scan = whole_second((now + pause).min(until.max(now)));
                self.store.take_over(number.clone(), now, next_scan).await?;
            } else if self.out_of_time(deadline) {
                break;
            } else if scan.began_at < taken_out_at(number) + GRACE {
                // It was in use again after the scan had passed it. Another scan looks again.
            } else if number.state == NumberState::SettingAside {
                if self.store.open_standing(number).await? {
                    finished.standing.push(number.number.clone());
                }
            } else if let Some(number) = self.store.take_over(number.clone(), now, lease(now)).await? {
                match number.moves_to {
                    Some(to) => self.finish_move(number, to, &mut finished.moved, shortfalls).await?,
                    None => self.give_back(number, &mut finished.cancelled, shortfalls).await?,
                }
            }
        }
        Ok(finished)
    }

    /// Cancels a number on which this run has a lease.
    async fn give_back(
        &self,
        number: PoolNumber,
        cancelled: &mut Vec<VirtualNumber>,
        shortfalls: &mut Vec<Shortfall>,
    ) -> Result<(), StoreError> {
        match self.cancel(&number).await {
            Ok(()) if self.store.remove_cancelled(&number, self.clock.now()).await? => cancelled.push(number.number),
            Ok(()) => {}
            Err(error) => shortfalls.push(Shortfall::general(error).about(&number)),
        }
        Ok(())
    }

    /// Returns true if it is time to check a number for routes.
    pub(super) fn is_due(&self, number: &PoolNumber) -> bool {
        let now = self.clock.now();
        let is_taken_out = matches!(number.state, NumberState::Draining | NumberState::SettingAside);
        is_taken_out && now >= taken_out_at(number) + GRACE && now >= number.leased_until
    }

    /// Continues the saved route scan, or starts one if a number is due. Returns `None` if there is nothing to scan for, or
    /// if the scan is not complete before `deadline`.
    async fn scan_routes(
        &self,
        numbers: &[PoolNumber],
        deadline: Option<Timestamp>,
    ) -> Result<Option<RouteScan>, StoreError> {
        let scan = match self.store.saved_route_scan(ScanPurpose::Draining).await? {
            Some(scan) => scan,
            None => {
                let due = numbers.iter().filter(|number| self.is_due(number)).take(MAX_NUMBERS);
                let due: Vec<VirtualNumber> = due.map(|number| number.number.clone()).collect();
                if due.is_empty() {
                    return Ok(None);
                }
                RouteScan::new(due, self.clock.now())
            }
        };
        let (store, clock, stop_at) = (&self.store, &self.clock, deadline.map(|deadline| deadline - TIME_TO_CANCEL));
        let mut run = ScanRun { store, clock, purpose: ScanPurpose::Draining, scan, stop_at };
        loop {
            match run.next_page().await? {
                ScanProgress::Page(_) => {}
                ScanProgress::Complete => return Ok(Some(run.scan)),
                ScanProgress::OutOfTime => return Ok(None),
            }
        }
    }

    /// Cancels a number at Vonage. A refusal counts as success only if Vonage does not list the number either: then an
    /// earlier run has cancelled it.
    async fn cancel(&self, number: &PoolNumber) -> Result<(), VonageError> {
        match self.numbers.cancel(number.country, &number.number).await {
            Err(error @ VonageError::Refused { .. }) if self.is_owned(number).await? => Err(error),
            Ok(()) | Err(VonageError::Refused { .. }) => Ok(()),
            // The next run tries again.
            Err(error) => Err(error),
        }
    }
}

/// Returns the time from which no conversation gets the number any more.
pub(super) fn taken_out_at(number: &PoolNumber) -> Timestamp {
    number.draining_since.unwrap_or(number.added_at)
}

/// True if a run may give a draining number back to the carrier, or move it, at `now`. A lease of before it drained is that of the run
/// that rented it, and one that is longer than others is only the time of the next look for routes.
pub(super) fn may_be_given_back(number: &PoolNumber, now: Timestamp) -> bool {
    let until = number.leased_until;
    now < until && until <= lease(now) && until > taken_out_at(number) + GRACE
}
