//! Taking draining numbers back: they are ready again, before the carrier gets them.

use jiff::Timestamp;

use super::draining::may_be_given_back;
use super::{Order, Provisioned, Provisioner, Rented, Shortfall, lease, ready};
use crate::domain::order::TakesBack;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber, Work};
use crate::domain::shortfall::ShortfallReason;
use crate::store::{StoreError, WORK_PAGE};

/// The result of a request to take a draining number back.
#[derive(Debug)]
pub enum TakenBack {
    /// It is ready.
    Ready,
    /// Another run links it or gives it back to the carrier at this moment. That takes a minute at most.
    Busy,
    /// It is neither ready nor draining, or it is rotated or lost.
    NotDraining,
    /// It is not in the pool, or the carrier has it already.
    Unknown,
    /// The carrier failed. Another try goes on from there.
    Failed(Shortfall),
}

impl Provisioner {
    /// Makes a draining number ready again. The same again changes nothing.
    pub async fn take_back(&self, number: &VirtualNumber) -> Result<TakenBack, StoreError> {
        let Some(found) = self.store.pool_number(number).await? else { return Ok(TakenBack::Unknown) };
        match found.state {
            NumberState::Ready => Ok(TakenBack::Ready),
            NumberState::Draining if can_be_taken_back(&found) => self.bring_back(found).await,
            // A run died before it was linked, or links it now.
            NumberState::Linking => {
                let now = self.clock.now();
                match self.store.take_over(found, now, lease(now)).await? {
                    Some(number) => self.link_again(number).await,
                    None => Ok(TakenBack::Busy),
                }
            }
            _ => Ok(TakenBack::NotDraining),
        }
    }

    /// Takes draining numbers back that suit an order, until there are enough. Returns the reason if nothing may be bought yet.
    pub(super) async fn take_back_missing(
        &self,
        order: &Order,
        which: TakesBack,
        deadline: Option<Timestamp>,
        done: &mut Provisioned,
    ) -> Result<Option<Shortfall>, StoreError> {
        let (pool, mut after, mut stopped) = (order.pool(), None, None);
        if self.store.ledger().await?.counts(pool).of(NumberState::Draining) == 0 {
            return Ok(None);
        }
        loop {
            let page = self.store.numbers_with_work(pool, Work::Draining, after.as_ref(), WORK_PAGE).await?;
            let suits = |number: &PoolNumber| which.includes(number) && order.takes_back(number);
            for number in page.numbers.into_iter().filter(suits) {
                if self.store.ledger().await?.counts(pool).towards_order() >= order.count {
                    return Ok(None);
                }
                if self.out_of_time(deadline) {
                    return Ok(Some(Shortfall::because(ShortfallReason::OutOfTime)));
                }
                match self.bring_back(number.clone()).await? {
                    TakenBack::Ready => done.added.push(ready(number)),
                    // It may stay, and then it need not be replaced.
                    TakenBack::Busy => {
                        stopped = Some(Shortfall::because(ShortfallReason::OutOfTime).about(&number));
                    }
                    TakenBack::Failed(shortfall) => return Ok(Some(shortfall)),
                    TakenBack::NotDraining | TakenBack::Unknown => {}
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(stopped),
            }
        }
    }

    /// Makes a number that is draining ready again, if the account still has it.
    async fn bring_back(&self, number: PoolNumber) -> Result<TakenBack, StoreError> {
        let now = self.clock.now();
        if may_be_given_back(&number, now) {
            return Ok(TakenBack::Busy);
        }
        let Some(number) = self.store.lease_draining(number, lease(now)).await? else { return Ok(TakenBack::Busy) };
        self.link_again(number).await
    }

    /// Links a number that is draining or linking, on which this run has a lease, if the account has it.
    pub(super) async fn link_again(&self, number: PoolNumber) -> Result<TakenBack, StoreError> {
        let owned = match self.numbers.owned(number.country, &number.number).await {
            Ok(Some(owned)) => owned,
            // A run died after it gave the number back.
            Ok(None) => return Ok(TakenBack::Unknown),
            Err(error) => return Ok(TakenBack::Failed(Shortfall::general(error).about(&number))),
        };
        let linking = match number.state {
            NumberState::Draining => self.store.take_back(number).await?,
            _ => Some(number),
        };
        match linking {
            Some(linking) => Ok(outcome(self.link(&linking, owned).await?)),
            None => Ok(TakenBack::Busy),
        }
    }
}

impl Order {
    /// True if a number drains and is such as the order wants.
    pub(super) fn takes_back(&self, number: &PoolNumber) -> bool {
        let is_promised = number.moves_to.is_some();
        number.state == NumberState::Draining && can_be_taken_back(number) && !is_promised && self.suits(number)
    }
}

/// A rotated number is known as spam, and a lost one is not the account's.
fn can_be_taken_back(number: &PoolNumber) -> bool {
    number.rotating_since.is_none() && number.missing_since.is_none() && !number.set_aside
}

fn outcome(rented: Rented) -> TakenBack {
    match rented {
        Rented::Ready => TakenBack::Ready,
        Rented::ByAnotherRun => TakenBack::Busy,
        Rented::Refused(shortfall) | Rented::Unlinked(shortfall) | Rented::Stop(shortfall) => {
            TakenBack::Failed(shortfall)
        }
    }
}
