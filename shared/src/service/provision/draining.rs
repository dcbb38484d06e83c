//! Giving numbers back: offered to nobody from then on, cancelled when the last route to it has lived out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Provisioner, Shortfall, lease};
use crate::clock::whole_second;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber};
use crate::retry;
use crate::store::{MAX_NUMBERS, RouteScan, StoreError};
use crate::vonage::VonageError;

/// How long after a number was taken off the list a creation that had read the list before may still be under way:
/// longer than a function may run.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// For each page of the table that a look for routes has read, how long the next look waits at least. A page costs up to
/// 128 read units; so a day of looking costs some cents, however large the table.
const PAUSE_FOR_A_PAGE: SignedDuration = SignedDuration::from_secs(10);

/// The pause between two pages, so that a look leaves the calls the larger part of what a partition can give.
const BETWEEN_PAGES: Duration = Duration::from_millis(100);

/// After so many pages it is written down how far a look has come.
const CHECKPOINT_EVERY_PAGES: u32 = 100;

/// How long before its end a run stops looking, to have time for what it has found.
const TIME_TO_CANCEL: SignedDuration = SignedDuration::from_secs(60);

/// What became of the wish to give a number back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drained {
    /// It is given to no conversation any more.
    Draining(PoolNumber),
    /// A run is renting or linking it right now, or died over it a moment ago.
    Busy(PoolNumber),
    /// It is not in the pool.
    Unknown,
}

/// How often a change is tried that meets another one of the same number.
const ATTEMPTS: u32 = 5;

impl Provisioner {
    /// Takes a number out of use. A later [`Provisioner::upkeep`] cancels it.
    pub async fn drain(&self, number: &VirtualNumber) -> Result<Drained, StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some(found) = self.store.pool_number(number).await? else { return Ok(Drained::Unknown) };
            let now = self.clock.now();
            match found.state {
                NumberState::Draining => return Ok(Drained::Draining(found)),
                // Whether it is bought is not known.
                NumberState::Renting => return Ok(Drained::Busy(found)),
                NumberState::Linking if now < found.leased_until => return Ok(Drained::Busy(found)),
                NumberState::Linking | NumberState::Ready => {}
            }
            if self.store.begin_draining(&found, now).await? {
                let draining_since = Some(whole_second(now));
                return Ok(Drained::Draining(PoolNumber { state: NumberState::Draining, draining_since, ..found }));
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("a number of the pool"))
    }

    /// Cancels those of `numbers` that are draining and to which no route leads any more. Gives the cancelled ones.
    pub(super) async fn finish_draining(
        &self,
        numbers: &[PoolNumber],
        ends_at: Option<Timestamp>,
        shortfalls: &mut Vec<Shortfall>,
    ) -> Result<Vec<VirtualNumber>, StoreError> {
        let mut cancelled = Vec::new();
        let Some(look) = self.look_for_routes(numbers, ends_at).await? else { return Ok(cancelled) };
        for number in numbers.iter().filter(|number| look.numbers.contains(&number.number)) {
            let now = self.clock.now();
            if !self.is_due(number) {
                continue;
            }
            if let Some(until) = look.last_route(&number.number) {
                let pause = PAUSE_FOR_A_PAGE.saturating_mul(look.pages.try_into().unwrap_or(i32::MAX));
                let next_look = whole_second((now + pause).min(until.max(now)));
                self.store.take_over(number.clone(), now, next_look).await?;
            } else if self.out_of_time(ends_at) {
                break;
            } else if let Some(number) = self.store.take_over(number.clone(), now, lease(now)).await? {
                match self.give_back(&number).await {
                    Ok(()) if self.store.remove_cancelled(&number, now).await? => cancelled.push(number.number),
                    Ok(()) => {}
                    Err(error) => shortfalls.push(Shortfall::general(error).about(&number)),
                }
            }
        }
        Ok(cancelled)
    }

    /// Whether it is time to see if a number can be given back.
    fn is_due(&self, number: &PoolNumber) -> bool {
        let now = self.clock.now();
        let since = number.draining_since.unwrap_or(number.added_at);
        number.state == NumberState::Draining && now >= since + GRACE && now >= number.leased_until
    }

    /// Goes on with the look that an earlier run has begun, or begins one if it is due. None if there is nothing to look
    /// for, or the look does not come to its end in this run.
    async fn look_for_routes(
        &self,
        numbers: &[PoolNumber],
        ends_at: Option<Timestamp>,
    ) -> Result<Option<RouteScan>, StoreError> {
        let mut look = match self.store.saved_route_scan().await? {
            Some(look) => look,
            None => {
                let due = numbers.iter().filter(|number| self.is_due(number)).take(MAX_NUMBERS);
                let due: Vec<VirtualNumber> = due.map(|number| number.number.clone()).collect();
                if due.is_empty() {
                    return Ok(None);
                }
                RouteScan::new(due, self.clock.now())
            }
        };
        let stop_at = ends_at.map(|ends_at| ends_at - TIME_TO_CANCEL);
        while !look.is_complete {
            if stop_at.is_some_and(|stop_at| self.clock.now() >= stop_at) {
                self.store.save_route_scan(&look).await?;
                return Ok(None);
            }
            if look.pages > 0 {
                tokio::time::sleep(BETWEEN_PAGES).await;
            }
            self.store.continue_route_scan(&mut look).await?;
            if look.pages.is_multiple_of(CHECKPOINT_EVERY_PAGES) {
                self.store.save_route_scan(&look).await?;
            }
        }
        self.store.delete_route_scan().await?;
        Ok(Some(look))
    }

    /// Makes sure that a number is no longer the account's. If Vonage does not say so itself, it takes two witnesses: it
    /// refuses to cancel the number, as it does when an earlier run has, and does not list it either.
    async fn give_back(&self, number: &PoolNumber) -> Result<(), VonageError> {
        match self.numbers.cancel(number.country, &number.number).await {
            Err(error @ VonageError::Refused { .. }) if self.is_owned(number).await? => Err(error),
            Ok(()) | Err(VonageError::Refused { .. }) => Ok(()),
            // The next run asks again.
            Err(error) => Err(error),
        }
    }
}
