//! Renting a number on the fly, when none is free for somebody.

use jiff::{SignedDuration, Timestamp};

use super::{CreationError, Creator};
use crate::backoff;
use crate::choice::NoneFree;
use crate::provisioning::{Order, ShortfallReason};
use crate::vonage::number_insight::NumberLookup;
use crate::vonage::numbers::Search;
use crate::vonage::sms::TextSender;

/// What is left of a function's time in which a refusal still gets out.
const LAST_MOMENT: SignedDuration = SignedDuration::from_secs(3);

/// How often a run looks again whether a number is ready that another one is renting: about ten seconds in all.
const WAITS: u32 = 60;

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Sees to it that the country has one ready number more than it had when none was free. All that want one at the
    /// same time order the same count, so together they rent one; those that rent none wait for it.
    pub(super) async fn rent_one(
        &self,
        none_free: NoneFree,
        waits: &mut u32,
        ends_at: Option<Timestamp>,
    ) -> Result<(), CreationError> {
        let cap = self.auto_rent_max.of(none_free.country);
        if cap <= none_free.ready {
            return Err(CreationError::NoneFree(none_free, None));
        }
        let order = Order { search: Search::usual(none_free.country), count: none_free.ready + 1, cap: Some(cap) };
        let provisioned = self.provisioner.provision(&order, ends_at).await?;
        if provisioned.ready > none_free.ready {
            return Ok(());
        }
        let out_of_time = ends_at.is_some_and(|ends_at| self.clock.now() + LAST_MOMENT >= ends_at);
        let reason = match provisioned.shortfalls.first() {
            Some(shortfall) => shortfall.reason,
            None if provisioned.in_progress > 0 && *waits < WAITS && !out_of_time => {
                backoff::pause(*waits).await;
                *waits += 1;
                return Ok(());
            }
            None => ShortfallReason::OutOfTime,
        };
        Err(CreationError::NoneFree(none_free, Some(reason)))
    }
}
