//! Numbers that Vonage takes away, and gives back.
//!
//! Vonage releases numbers when the balance is used up, and after requests of others, such as a regulator. Calls to such a
//! number no longer reach this deployment, so no conversation may get it.

use jiff::Timestamp;

use super::{Provisioner, Shortfall, Upkeep, lease};
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber, Work};
use crate::service::announce::due_events;
use crate::store::{Ledger, StoreError, WORK_PAGE};
use crate::vonage::VonageError;
use crate::vonage::numbers::OwnedNumber;

/// A difference between the pool and the account. What is said of ready numbers holds for those that were set aside too.
enum Difference<'a> {
    /// A ready number is not in the list.
    Unlisted,
    /// A ready number belongs to another application.
    LinkedElsewhere,
    /// A ready number has these settings, by which its calls do not arrive.
    Unlinked(&'a OwnedNumber),
    /// A lost number is listed, with these settings.
    ListedAgain(&'a OwnedNumber),
}

impl Provisioner {
    /// Compares a number of the pool with its settings at Vonage, which are `None` if it is not listed. A ready number that
    /// Vonage does not list, or that another application has, is lost. A lost one that is listed, and linked to no other
    /// application, becomes ready again. A ready one without its link gets it again. False if there is no time left for
    /// that.
    pub(super) async fn compare(
        &self,
        number: &PoolNumber,
        settings: Option<&OwnedNumber>,
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<bool, StoreError> {
        let Some(difference) = self.difference(number, settings) else {
            self.announce(std::slice::from_ref(number)).await?;
            return Ok(true);
        };
        if self.out_of_time(deadline) {
            return Ok(false);
        }
        let settled = self.settle(number, difference, done).await;
        if let Some(Err(error)) = done.step(settled)? {
            done.shortfalls.push(Shortfall::general(error).about(number));
        }
        Ok(true)
    }

    /// Returns the difference between a number of the pool and its settings at Vonage, which are `None` if it is not listed.
    fn difference<'a>(&self, number: &PoolNumber, settings: Option<&'a OwnedNumber>) -> Option<Difference<'a>> {
        match (number.state, settings) {
            (state, None) if state.is_in_use() => Some(Difference::Unlisted),
            (state, Some(settings)) if state.is_in_use() && settings.reaches(&self.application_id) => None,
            (state, Some(settings)) if state.is_in_use() && settings.may_link_to(&self.application_id) => {
                Some(Difference::Unlinked(settings))
            }
            (state, Some(_)) if state.is_in_use() => Some(Difference::LinkedElsewhere),
            (NumberState::Lost, Some(settings)) if settings.may_link_to(&self.application_id) => {
                Some(Difference::ListedAgain(settings))
            }
            _ => None,
        }
    }

    async fn settle(
        &self,
        number: &PoolNumber,
        difference: Difference<'_>,
        done: &mut Upkeep,
    ) -> Result<Result<(), VonageError>, StoreError> {
        let is_lost = match difference {
            Difference::Unlisted => self.lose_unless_owned(number).await?,
            Difference::LinkedElsewhere => Ok(self.store.lose(number, self.clock.now()).await?),
            Difference::Unlinked(settings) => {
                let linked = self.numbers.link(settings.clone(), &self.application_id).await;
                linked.map(|()| {
                    done.linked_again.push(number.number.clone());
                    false
                })
            }
            Difference::ListedAgain(settings) => {
                self.use_again(number, settings, done).await?;
                Ok(false)
            }
        };
        Ok(is_lost.map(|is_lost| done.lost.extend(is_lost.then(|| number.number.clone()))))
    }

    /// Checks a number of the pool that Vonage has refused to use. Returns true if it is lost, now or since before.
    pub async fn check_number(&self, number: &VirtualNumber) -> Result<Result<bool, VonageError>, StoreError> {
        let Some(found) = self.store.pool_number(number).await? else { return Ok(Ok(false)) };
        match found.state {
            NumberState::Lost => Ok(Ok(true)),
            NumberState::Ready | NumberState::SettingAside | NumberState::Standing => match self.is_owned(&found).await
            {
                // One answer without the number may be a mistake.
                Ok(false) => self.lose_unless_owned(&found).await,
                Ok(true) => Ok(Ok(false)),
                Err(error) => Ok(Err(error)),
            },
            NumberState::Renting | NumberState::Linking | NumberState::Draining => Ok(Ok(false)),
        }
    }

    /// Tells the backend of numbers that were lost, came back or are rotated, and lists those that conversations are to leave.
    /// Those whose events a crash has left are found by the comparison.
    pub(super) async fn announce_changes(
        &self,
        ledger: &Ledger,
        deadline: Option<Timestamp>,
        done: &mut Upkeep,
    ) -> Result<(), StoreError> {
        for pool in ledger.pools.iter().copied() {
            // A number that was lost when it began to drain is missing too.
            for (work, state) in [(Work::Lost, NumberState::Lost), (Work::Draining, NumberState::Draining)] {
                let mut left = ledger.counts(pool).of(state) > 0;
                let mut after = None;
                while left {
                    let page = self.store.numbers_with_work(pool, work, after.as_ref(), WORK_PAGE).await;
                    let Some(page) = done.step(page)? else { break };
                    // The rest waits for another run.
                    left = page.next.is_some() && !self.out_of_time(deadline);
                    done.left.extend(page.numbers.into_iter().filter(|number| number.left_since().is_some()));
                    after = page.next;
                }
            }
        }
        self.announce(&done.left).await?;
        for number in done.found_again.clone() {
            let number = self.store.pool_number(&number).await;
            self.announce(done.step(number)?.flatten().as_slice()).await?;
        }
        Ok(())
    }

    /// Tells the backend of those of the `numbers` that were lost, came back or are rotated, and notes that. What fails stays for the next
    /// run.
    pub async fn announce(&self, numbers: &[PoolNumber]) -> Result<(), StoreError> {
        for number in numbers {
            let events = due_events(number);
            if events.is_empty() {
                continue;
            }
            if let Err(error) = self.announcer.send(&events).await {
                let number = &number.number;
                tracing::error!(%number, cause = %error, schedule_failures = 1u64, "an event was not sent; the next run sends it");
                continue;
            }
            self.store.note_announced(number).await?;
        }
        Ok(())
    }

    /// Returns a number of the pool that Vonage does not list, `None` if it is none of those.
    pub async fn missing_number(&self, number: &VirtualNumber) -> Result<Option<PoolNumber>, StoreError> {
        Ok(self.store.pool_number(number).await?.filter(|number| number.missing_since.is_some()))
    }

    /// Takes a ready number out of use if Vonage does not list it, asked for this one number. A number can be missed
    /// between two pages of the whole list.
    async fn lose_unless_owned(&self, number: &PoolNumber) -> Result<Result<bool, VonageError>, StoreError> {
        match self.is_owned(number).await {
            Ok(true) => Ok(Ok(false)),
            Ok(false) => Ok(Ok(self.store.lose(number, self.clock.now()).await?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn use_again(
        &self,
        number: &PoolNumber,
        settings: &OwnedNumber,
        done: &mut Upkeep,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(number) = self.store.find_again(number.clone(), now, lease(now)).await? else { return Ok(()) };
        if done.is_ready(self.bought(&number, Some(settings.clone())).await?) {
            done.found_again.push(number.number);
        }
        Ok(())
    }

    pub(super) async fn is_owned(&self, number: &PoolNumber) -> Result<bool, VonageError> {
        Ok(self.numbers.owned(number.country, &number.number).await?.is_some())
    }
}
