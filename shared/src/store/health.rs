//! The health of virtual numbers: one item for each number and day, under the day, so that a judgement of all of them reads only the
//! numbers that were called with.
//!
//! The transaction that ends a leg to a called phone adds it to the item, so a leg is counted once, however often its events
//! come. Calls with one number on one day meet at its item; a number has no more calls at once than people who use it.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::item::{self, Item, Key, NUMBER_PREFIX};
use super::kinds::ItemKind;
use super::leg_events::LegNumbers;
use super::legs::LegPhone;
use super::passed_over::PassedOver;
use super::pool::number;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::health::{Calls, DAYS, Failure, Health, LegEnd, MOST_NETWORKS};
use crate::domain::network::Network;
use crate::domain::phone::VirtualNumber;

/// Time for which the sums of a day are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * (DAYS + 2));

/// Names of the networks of which the calls of a day are counted apart.
const NETWORKS: &str = "networks";

/// Names of the networks with which the number was found to fall off on a day.
const FALLS_OFF_WITH: &str = "falls_off_with";

impl Store {
    /// Carries out the `merge` of the event that ends a leg of the `owner` first, and counts it for the number that the leg shows and the
    /// network of the phone, in the same transaction. The leg is the first in the merge. False if nothing was written, because the leg had
    /// ended before, or another condition of the merge does not hold.
    pub(super) async fn merge_and_note_health(
        &self,
        owner: &LegPhone,
        (numbers, end): (LegNumbers<'_>, LegEnd),
        merge: &[Write],
        time: Timestamp,
    ) -> Result<bool, StoreError> {
        match self.merge_and_count_end(owner, (numbers, end), merge, time).await {
            Err(error @ StoreError::NoAnswer(_)) => Err(error),
            // Too many calls with this number end at this moment, or its item is damaged. The leg matters more than the sum.
            Err(error) => {
                tracing::warn!(cause = %error, "a call does not count for the health of its number");
                Ok(false)
            }
            counted => counted,
        }
    }

    /// Like [`Store::merge_and_note_health`]. Fails if the end cannot be counted.
    async fn merge_and_count_end(
        &self,
        owner: &LegPhone,
        (numbers, end): (LegNumbers<'_>, LegEnd),
        merge: &[Write],
        time: Timestamp,
    ) -> Result<bool, StoreError> {
        let mask = numbers.virtual_number;
        let with = |count: Write| {
            let (leg, others) = merge.split_first()?;
            let leg = leg.clone().when("attribute_not_exists(ended)");
            Some([leg, count].into_iter().chain(others.iter().cloned()).collect::<Vec<_>>())
        };
        if let Some(network) = owner.network_of(numbers.phone) {
            let of_network = with(count_with_network(count(mask, end, time), network, end));
            match self.transact_or_failed(of_network.unwrap_or_default()).await?.as_slice() {
                [] => return Ok(true),
                // The number was shown to people of many networks today. This one is counted with the rest.
                [1] => {}
                _ => return Ok(false),
            }
        }
        self.transact_settled(with(count(mask, end, time)).unwrap_or_default()).await
    }

    /// Returns the health of a number in the last days until `now`. One consistent read.
    pub async fn health(&self, mask: &VirtualNumber, now: Timestamp) -> Result<Health, StoreError> {
        let days: Vec<_> = days(now).collect();
        let keys = days.iter().map(|day| Key::NumberHealth { day: *day, number: mask });
        let mut sum = Health::default();
        for (_, of_day) in read(self.batch_get(keys).await?, now) {
            sum.add(of_day);
        }
        Ok(sum)
    }

    /// Returns the health in the last days until `now` of the numbers from `first` to `last` that were called with. One consistent
    /// query for each day.
    pub async fn health_between(
        &self,
        [first, last]: [&VirtualNumber; 2],
        now: Timestamp,
    ) -> Result<BTreeMap<VirtualNumber, Health>, StoreError> {
        let (first, last) = (format!("{NUMBER_PREFIX}{first}"), format!("{NUMBER_PREFIX}{last}"));
        let of_day = days(now).map(|day| self.query_between(item::health_partition(day), &first, &last));
        Ok(sums(try_join_all(of_day).await?, now))
    }

    /// Returns the health in the last days until `now` of all numbers that were called with. Only for the schedule.
    pub async fn health_of_all(&self, now: Timestamp) -> Result<BTreeMap<VirtualNumber, Health>, StoreError> {
        let of_day = days(now).map(|day| self.query(item::health_partition(day), Some(NUMBER_PREFIX)));
        Ok(sums(try_join_all(of_day).await?, now))
    }

    /// True if the backend was told today that a number falls off.
    pub async fn is_unhealthy_told(&self, mask: &VirtualNumber, now: Timestamp) -> Result<bool, StoreError> {
        let item = self.get_item(Key::NumberHealth { day: day(now), number: mask }).await?;
        Ok(item.is_some_and(|item| item.contains_key("told_at")))
    }

    /// Notes that the backend was told today that a number falls off, with all networks or with these.
    pub async fn note_unhealthy_told(
        &self,
        mask: &VirtualNumber,
        with: &BTreeSet<Network>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let note = Write::update(Key::NumberHealth { day: day(now), number: mask }).set("told_at = :now");
        let note = note.set_ttl(now + KEPT).bind(":now", item::seconds(now));
        // A set of strings is never empty.
        let note = match with.is_empty() {
            true => note,
            false => note.set(format!("{FALLS_OFF_WITH} = :with")).bind(":with", texts(with)),
        };
        self.update(note).await.map(drop)
    }
}

/// Forgets what is known of the calls that showed a number, until `now`.
pub(super) fn forget(mask: &VirtualNumber, now: Timestamp) -> Vec<Write> {
    days(now).map(|day| Write::delete(Key::NumberHealth { day, number: mask })).collect()
}

fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

fn days(now: Timestamp) -> impl Iterator<Item = Date> {
    let today = day(now);
    (0..DAYS).map(move |ago| today.saturating_sub(ago.days()))
}

/// Counts a leg that ended at `time`.
fn count(mask: &VirtualNumber, end: LegEnd, time: Timestamp) -> Write {
    let count = Write::update(Key::NumberHealth { day: day(time), number: mask }).set_ttl(time + KEPT);
    // A newer release may count in another way.
    let count = count
        .when("attribute_not_exists(v) OR v <= :latest")
        .bind(":latest", item::integer(ItemKind::NumberHealth.versions().read));
    let count = count.bind(":one", item::integer(1u64));
    match end {
        LegEnd::Answered { seconds } => {
            count.add("calls :one, answered :one, seconds :seconds").bind(":seconds", item::integer(seconds))
        }
        LegEnd::Failed(failure) => count.add("calls :one, #failure :one").name("#failure", failure.as_str()),
    }
}

/// Also counts the end of a leg for a network, if that is counted already or no more than enough others are.
fn count_with_network(count: Write, network: Network, end: LegEnd) -> Write {
    let room =
        format!("(attribute_not_exists({NETWORKS}) OR contains({NETWORKS}, :network) OR size({NETWORKS}) < :most)");
    let [calls, answered, seconds] = sums_of(network);
    let count = count
        .when(room)
        .bind(":most", item::integer(MOST_NETWORKS))
        .bind(":network", item::string(network.to_string()))
        .add(format!("{NETWORKS} :networks, #calls :one"))
        .bind(":networks", texts(&BTreeSet::from([network])))
        .name("#calls", calls);
    match end {
        LegEnd::Answered { .. } => {
            count.add("#answered :one, #seconds :seconds").name("#answered", answered).name("#seconds", seconds)
        }
        LegEnd::Failed(_) => count,
    }
}

/// Returns the names of the sums of a network: calls, answered ones, and the seconds of these.
fn sums_of(network: Network) -> [String; 3] {
    ["calls", "answered", "seconds"].map(|sum| format!("{network} {sum}"))
}

fn texts(networks: &BTreeSet<Network>) -> AttributeValue {
    AttributeValue::Ss(networks.iter().map(ToString::to_string).collect())
}

/// Reads a set of networks. One that cannot be read is in no set.
fn networks(item: &Item, name: &str) -> BTreeSet<Network> {
    let texts = item.get(name).and_then(|value| value.as_ss().ok());
    texts.into_iter().flatten().filter_map(|text| text.parse().ok()).collect()
}

/// Reads items of days until `now`. One that cannot be read counts for nothing.
fn read(items: Vec<Item>, now: Timestamp) -> Vec<(VirtualNumber, Health)> {
    let today = item::health_partition(day(now));
    let mut passed_over = PassedOver::default();
    let mut read = |item: Item| {
        passed_over.take(item::check_version(&item))?;
        let failed = Failure::ALL.into_iter().map(|failure| (failure, number(&item, failure.as_str())));
        let calls = |[calls, answered, seconds]: [&str; 3]| Calls {
            calls: number(&item, calls),
            answered: number(&item, answered),
            seconds: number(&item, seconds),
        };
        let of_network = |network: Network| (network, calls(sums_of(network).each_ref().map(String::as_str)));
        let is_of_today = item::partition(&item) == today;
        let health = Health {
            all: calls(["calls", "answered", "seconds"]),
            failed: failed.filter(|(_, count)| *count > 0).collect(),
            networks: networks(&item, NETWORKS).into_iter().map(of_network).collect(),
            falls_off_with: if is_of_today { networks(&item, FALLS_OFF_WITH) } else { BTreeSet::new() },
        };
        Some((item::dialled(&item)?, health))
    };
    items.into_iter().filter_map(&mut read).collect()
}

fn sums(days: Vec<Vec<Item>>, now: Timestamp) -> BTreeMap<VirtualNumber, Health> {
    let mut sums: BTreeMap<VirtualNumber, Health> = BTreeMap::new();
    for (mask, health) in days.into_iter().flat_map(|items| read(items, now)) {
        sums.entry(mask).or_default().add(health);
    }
    sums
}
