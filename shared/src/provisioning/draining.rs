//! Giving numbers back: offered to nobody from then on, cancelled when the last route to it has lived out.

use jiff::{SignedDuration, Timestamp};

use super::{Provisioner, Shortfall, lease};
use crate::backoff;
use crate::clock::whole_second;
use crate::phone::VirtualNumber;
use crate::pool::{NumberState, PoolNumber};
use crate::store::StoreError;
use crate::vonage::VonageError;

/// How long after a number was taken off the list a creation that had read the list before may still be under way:
/// longer than a function may run.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// For each page of the table that a look for routes has read, how long the next look waits at least. A page costs 128
/// read units; so a day of looking costs some cents, however large the table.
const PAUSE_FOR_A_PAGE: SignedDuration = SignedDuration::from_secs(10);

/// The most numbers that one look for routes is about.
const AT_ONCE: usize = 50;

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
            backoff::pause(attempt).await;
        }
        Err(StoreError::Unavailable("the number changes all the time".to_owned()))
    }

    /// Cancels those of `numbers` that are draining and to which no route leads any more. Gives the cancelled ones.
    pub(super) async fn finish_draining(
        &self,
        numbers: &[PoolNumber],
        ends_at: Option<Timestamp>,
        shortfalls: &mut Vec<Shortfall>,
    ) -> Result<Vec<VirtualNumber>, StoreError> {
        let now = self.clock.now();
        let is_due = |number: &&PoolNumber| {
            let since = number.draining_since.unwrap_or(number.added_at);
            number.state == NumberState::Draining && now >= since + GRACE && now >= number.leased_until
        };
        let due: Vec<PoolNumber> = numbers.iter().filter(is_due).take(AT_ONCE).cloned().collect();
        let mut cancelled = Vec::new();
        if due.is_empty() {
            return Ok(cancelled);
        }
        let names: Vec<VirtualNumber> = due.iter().map(|number| number.number.clone()).collect();
        let routes = self.store.last_routes(&names, now).await?;
        let pause = PAUSE_FOR_A_PAGE.saturating_mul(routes.pages.try_into().unwrap_or(i32::MAX));
        for number in due {
            if let Some(until) = routes.until.get(&number.number) {
                let next_look = whole_second((now + pause).min(*until));
                self.store.take_over(number, now, next_look).await?;
            } else if self.out_of_time(ends_at) {
                break;
            } else if let Some(number) = self.store.take_over(number, now, lease(now)).await? {
                match self.give_back(&number).await {
                    Ok(()) if self.store.remove_cancelled(&number, now).await? => cancelled.push(number.number),
                    Ok(()) => {}
                    Err(error) => shortfalls.push(Shortfall::general(error).about(&number)),
                }
            }
        }
        Ok(cancelled)
    }

    /// Makes sure that a number is no longer the account's.
    async fn give_back(&self, number: &PoolNumber) -> Result<(), VonageError> {
        // An earlier run may have cancelled it already.
        if !self.is_owned(number).await? {
            return Ok(());
        }
        match self.numbers.cancel(number.country, &number.number).await {
            Err(error) if self.is_owned(number).await? => Err(error),
            _ => Ok(()),
        }
    }
}
