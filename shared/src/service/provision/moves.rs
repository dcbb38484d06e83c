//! Moves: a number drains, and then belongs to another owner in place of being given back to the carrier.

use jiff::Timestamp;

use super::draining::may_be_given_back;
use super::take_back::TakenBack;
use super::{Provisioner, Shortfall};
use crate::clock::whole_second;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber};
use crate::domain::shortfall::ShortfallReason;
use crate::domain::tenant::{Owner, Pool};
use crate::retry;
use crate::store::StoreError;

/// The result of a request to move a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// The number is given to no conversation any more, and a later run moves it.
    Moving(Box<PoolNumber>),
    /// The owner has it, and keeps it.
    There(Box<PoolNumber>),
    /// A run rents, links or moves it at this moment, or gives it back to the carrier.
    Busy,
    /// It is rotated or lost, so it is to leave the pool; or it is asked to stay, and moves away.
    Leaving,
    /// It is a standing mask, or is to become one.
    SetAside,
    /// It is not in the pool.
    Unknown,
}

/// Number of attempts at a change that loses races against others.
const ATTEMPTS: u32 = 5;

impl Provisioner {
    /// Starts to move a number to another owner. A later [`Provisioner::upkeep`] moves it, when its last route has left quarantine.
    /// Can be repeated, also for yet another owner.
    pub async fn move_number(&self, number: &VirtualNumber, owner: Owner) -> Result<Moved, StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some(found) = self.store.pool_number(number).await? else { return Ok(Moved::Unknown) };
            let (now, to) = (self.clock.now(), Pool { owner, country: found.country });
            let is_asked = match found.state {
                _ if found.set_aside => return Ok(Moved::SetAside),
                _ if found.rotating_since.is_some() || found.missing_since.is_some() => return Ok(Moved::Leaving),
                NumberState::Draining if found.moves_to == Some(to) => return Ok(Moved::Moving(Box::new(found))),
                NumberState::Draining if found.moves_to.is_some() && to == found.pool() => return Ok(Moved::Leaving),
                NumberState::Draining if may_be_given_back(&found, now) => return Ok(Moved::Busy),
                NumberState::Draining if to != found.pool() => {
                    self.store.redirect_draining(&found, Some(to), now).await?
                }
                _ if to == found.pool() => return Ok(Moved::There(Box::new(found))),
                NumberState::Ready => self.store.begin_move(&found, to, now).await?,
                _ => return Ok(Moved::Busy),
            };
            if is_asked {
                return Ok(Moved::Moving(Box::new(moving(found, to, now))));
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("a number of the pool"))
    }

    /// Moves a draining number to another pool, on which this run has a lease, if the account still has it, and makes it ready there. A
    /// run that dies in between leaves a number that is still to be linked, and the next one links it.
    pub(super) async fn finish_move(
        &self,
        number: PoolNumber,
        to: Pool,
        moved: &mut Vec<VirtualNumber>,
        shortfalls: &mut Vec<Shortfall>,
    ) -> Result<(), StoreError> {
        // A number of which the carrier says nothing would be bought again for its new owner.
        match self.numbers.owned(number.country, &number.number).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                shortfalls.push(Shortfall::because(ShortfallReason::Unconfirmed).about(&number));
                return Ok(());
            }
            Err(error) => {
                shortfalls.push(Shortfall::general(error).about(&number));
                return Ok(());
            }
        }
        let Some(number) = self.store.move_number(number, to, self.clock.now()).await? else { return Ok(()) };
        moved.push(number.number.clone());
        if let TakenBack::Failed(shortfall) = self.link_again(number).await? {
            shortfalls.push(shortfall);
        }
        Ok(())
    }
}

/// Returns a number that was ready or draining before it was asked at `now` to move.
fn moving(before: PoolNumber, to: Pool, now: Timestamp) -> PoolNumber {
    let now = whole_second(now);
    let leased_until = if before.state == NumberState::Draining { now } else { before.leased_until };
    let draining_since = before.draining_since.or(Some(now));
    let state = NumberState::Draining;
    PoolNumber { state, leased_until, draining_since, moves_to: Some(to), part: None, ..before }
}
