//! Renting a number on the fly, when none is free for somebody.

use jiff::{SignedDuration, Timestamp};

use super::{CreationError, Creator};
use crate::domain::choice::NoFreeNumber;
use crate::retry;
use crate::service::provision::{Order, ShortfallReason};
use crate::vonage::number_insight::NumberLookup;
use crate::vonage::numbers::Search;
use crate::vonage::sms::TextSender;

/// How long one run has it to itself to rent numbers of a country on the fly: longer than one takes.
const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// What is left of a function's time in which the transaction, the texts and the answer still get out.
const THE_REST: SignedDuration = SignedDuration::from_secs(11);

/// How often a run looks whether a number is ready that another one is renting: about ten seconds in all.
const WAITS: u32 = 60;

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Sees to it that the country of one who finds no number free has one ready number more, or that the list of
    /// ready numbers is no longer as it was `seen`.
    ///
    /// One run rents at a time. The others ask Vonage nothing, which takes only one request a second, and wait: so many
    /// that want a number at once rent what they need together.
    pub(super) async fn rent_one(
        &self,
        none_free: Vec<NoFreeNumber>,
        seen: u64,
        waits: &mut u32,
        ends_at: Option<Timestamp>,
    ) -> Result<(), CreationError> {
        let ends_at = ends_at.map(|ends_at| ends_at - THE_REST);
        let lacking = |none: &&NoFreeNumber| self.auto_rent_max.of(none.country) <= none.ready;
        // Nothing is rented for a conversation that is refused all the same.
        if let Some(hopeless) = none_free.iter().find(lacking) {
            return Err(CreationError::NoneFree(*hopeless, None));
        }
        let Some(&none_free) = none_free.first() else { return Ok(()) };
        let country = none_free.country;
        let now = self.clock.now();
        if self.store.begin_renting_on_demand(country, now, now + LEASE).await? {
            let rented = self.rent_for(none_free, ends_at).await;
            self.store.end_renting_on_demand(country).await?;
            if rented? {
                return Ok(());
            }
        }
        while *waits < WAITS && ends_at.is_none_or(|ends_at| self.clock.now() < ends_at) {
            retry::pause(*waits).await;
            *waits += 1;
            if self.store.ready_version().await? != seen
                || !self.store.is_renting_on_demand(country, self.clock.now()).await?
            {
                return Ok(());
            }
        }
        Err(CreationError::NoneFree(none_free, Some(ShortfallReason::OutOfTime)))
    }

    /// False if another run, of another kind, is renting.
    async fn rent_for(&self, none_free: NoFreeNumber, ends_at: Option<Timestamp>) -> Result<bool, CreationError> {
        let order = Order {
            search: Search::usual(none_free.country),
            count: none_free.ready + 1,
            cap: Some(self.auto_rent_max.of(none_free.country)),
        };
        let provisioned = self.provisioner.provision(&order, ends_at).await?;
        match provisioned.shortfalls.first() {
            _ if provisioned.ready > none_free.ready => Ok(true),
            Some(shortfall) => Err(CreationError::NoneFree(none_free, Some(shortfall.reason))),
            None => Ok(false),
        }
    }
}
