//! Demand for numbers: one item a country with the number of ready numbers that refused creations wait for.
//!
//! The items have a partition of their own, so that the permission to record demand is no permission to change the
//! pool.

use aws_sdk_dynamodb::error::SdkError;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, DEMAND_PARTITION, Key};
use super::passed_over::{PassedOver, read_one};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::country::Country;
use crate::domain::shortfall::ShortfallReason;

/// The time for which a demand counts: longer than the interval of the schedule that fulfils it if its invocation is
/// lost.
pub const DEMAND_LIFETIME: SignedDuration = SignedDuration::from_mins(20);

/// The time after which the same demand is worth another invocation: the first one is lost, or has died.
pub const REQUEST_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The time for which the reason of a failed try answers further refusals, without another try.
pub const FAILURE_LIFETIME: SignedDuration = SignedDuration::from_secs(60);

/// The numbers that a country lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The country.
    pub country: Country,
    /// Number of ready numbers that the country should have.
    pub wanted: usize,
    /// The time from which the demand no longer counts.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The reason for which the last try failed.
    #[serde(default)]
    pub failed: Option<ShortfallReason>,
    /// The time until which that reason counts.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional")]
    pub failed_until: Option<Timestamp>,
}

impl Demand {
    /// Returns the reason for which the last try failed, if it still counts at `now`.
    pub fn failure(&self, now: Timestamp) -> Option<ShortfallReason> {
        self.failed.filter(|_| self.failed_until.is_some_and(|until| now < until))
    }
}

/// The result of recording a demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedDemand {
    /// It is new, larger than before, or due for another try: somebody has to be told.
    New,
    /// A demand at least as large is recorded already.
    Known(Demand),
}

impl Store {
    /// Records that `country` should have `wanted` ready numbers.
    ///
    /// A demand that still counts is never lowered. The same demand is new again [`REQUEST_AGAIN_AFTER`] its last
    /// request, unless its last try failed within [`FAILURE_LIFETIME`].
    pub async fn record_demand(
        &self,
        country: Country,
        wanted: usize,
        now: Timestamp,
    ) -> Result<RecordedDemand, StoreError> {
        let update = Write::update(Key::Demand(country))
            .set("country = :country, wanted = :wanted, requested_at = :now, expires_at = :expires")
            .set_ttl(now + DEMAND_LIFETIME)
            .remove("failed, failed_until")
            .when(
                "attribute_not_exists(wanted) OR expires_at <= :now OR wanted < :wanted \
                 OR (wanted = :wanted AND requested_at <= :again \
                     AND (attribute_not_exists(failed_until) OR failed_until <= :now))",
            )
            .bind(":country", item::string(country.as_str()))
            .bind(":wanted", item::integer(wanted as u64))
            .bind(":now", item::seconds(now))
            .bind(":again", item::seconds(now - REQUEST_AGAIN_AFTER))
            .bind(":expires", item::seconds(now + DEMAND_LIFETIME));
        Ok(match self.update_or_return(update).await? {
            None => RecordedDemand::New,
            Some(known) => RecordedDemand::Known(read_one(known)?),
        })
    }

    /// Returns the demand of `country` that counts at `now`.
    pub async fn demand(&self, country: Country, now: Timestamp) -> Result<Option<Demand>, StoreError> {
        let demand = self.get::<Demand>(Key::Demand(country)).await?;
        Ok(demand.filter(|demand| now < demand.expires_at))
    }

    /// Returns all demands that count at `now` and can be read.
    pub async fn demands(&self, now: Timestamp) -> Result<Vec<Demand>, StoreError> {
        let mut demands: Vec<Demand> =
            PassedOver::list(self.query(DEMAND_PARTITION.to_owned(), None).await?, item::read);
        demands.retain(|demand| now < demand.expires_at);
        Ok(demands)
    }

    /// Deletes the demand of `country` if `ready` numbers satisfy it.
    pub async fn satisfy_demand(&self, country: Country, ready: usize) -> Result<(), StoreError> {
        let delete = Write::delete(Key::Demand(country))
            .when("attribute_not_exists(wanted) OR wanted <= :ready")
            .bind(":ready", item::integer(ready as u64))
            .into_delete_item(&self.client, &self.table);
        match delete.send().await {
            // The demand has grown: its own invocation satisfies it.
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(()),
            outcome => Ok(outcome.map(drop)?),
        }
    }

    /// Records that a try to satisfy `demand` failed at `now`, unless the demand has changed.
    pub async fn fail_demand(
        &self,
        demand: &Demand,
        reason: ShortfallReason,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = Write::update(Key::Demand(demand.country))
            .set("failed = :reason, failed_until = :until")
            .when("wanted = :wanted")
            .bind(":reason", item::value(reason)?)
            .bind(":until", item::seconds(now + FAILURE_LIFETIME))
            .bind(":wanted", item::integer(demand.wanted as u64));
        self.update(update).await.map(drop)
    }
}
