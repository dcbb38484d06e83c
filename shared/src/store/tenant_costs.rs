//! The cost of the calls and texts of each tenant: sums of a month, spread over several items.
//!
//! The transaction that first stores the price of a leg or of a part of a text adds it to the sum, and notes that in the leg or the
//! text. So a price counts once, however often it is told, by how many events at once, and wherever a function is killed.
//! The calls and texts of the deployment itself are not summed up, and take no write more.

use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::item::{self, Item, Key, TENANT_COST_PREFIX};
use super::kinds::ItemKind;
use super::legs::{self, LegPhone};
use super::passed_over::PassedOver;
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::call::{Direction, Leg, LegEvent};
use crate::domain::hash::hash;
use crate::domain::tenant::Tenant;
use crate::domain::tenant_cost::{Month, Spent};
use crate::retry;

/// Number of items among which the sums of a tenant and a month are spread. Two transactions cannot change one item at the same time,
/// and each takes about 10 ms: with so many items, one in six of 500 prices a second is tried again.
const PARTS: u64 = 32;

/// Time for which a sum is kept after the last price in it: thirteen months, as Vonage keeps its records of calls.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Maximum number of attempts of a write that conflicts with others of the same text.
const ATTEMPTS: u32 = 8;

/// Attribute of a leg with the month in which its price was counted.
const SPENT_IN: &str = "spent_in";

/// A price that is added to the sums of a tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charge<'a> {
    tenant: Tenant,
    month: Month,
    /// The carrier's id of the leg or of a part of the text, which chooses the item.
    id: &'a str,
    spent: Spent,
    /// The time from which the item may be deleted.
    kept_until: Timestamp,
}

impl<'a> Charge<'a> {
    fn new(tenant: Tenant, time: Timestamp, id: &'a str, spent: Spent) -> Self {
        let kept_until = time.saturating_add(KEPT).unwrap_or(Timestamp::MAX);
        Self { tenant, month: Month::of(time), id, spent, kept_until }
    }

    /// Returns the charge for a leg of the `owner`, if that is of a tenant and the event tells a price.
    fn of_leg(owner: &LegPhone, direction: Direction, event: &'a LegEvent, now: Timestamp) -> Option<Self> {
        let (tenant, spent) = (owner.owner.tenant()?, Spent::on_leg(direction, &event.facts)?);
        Some(Self::new(tenant, event.timestamp.unwrap_or(now), &event.uuid, spent))
    }

    /// Adds the charge to the sums of its tenant.
    fn add(&self) -> Write {
        let Spent { calls, seconds, call_cost, texts, text_cost } = self.spent;
        let number = |number: String| AttributeValue::N(number);
        let part = hash([self.id]) % PARTS;
        let write = Write::update(Key::TenantCost { tenant: self.tenant, month: self.month, part })
            .set("#ttl = :ttl")
            .name("#ttl", "ttl")
            .bind(":ttl", item::seconds(self.kept_until))
            // A newer release may count in another way.
            .when("attribute_not_exists(v) OR v <= :latest")
            .bind(":latest", item::integer(ItemKind::TenantCost.versions().read));
        let sums = [
            ("calls", number(calls.to_string())),
            ("seconds", number(seconds.to_string())),
            ("call_cost", number(call_cost.to_string())),
            ("texts", number(texts.to_string())),
            ("text_cost", number(text_cost.to_string())),
        ];
        let sums = sums.into_iter().filter(|(_, sum)| sum != &number("0".to_owned()));
        sums.fold(write, |write, (name, sum)| write.add(format!("{name} :{name}")).bind(format!(":{name}"), sum))
    }

    /// Notes in the leg that its price is counted, if it is not yet.
    fn note(&self, merge: Write) -> Write {
        merge
            .set(format!("{SPENT_IN} = :spent_in"))
            .when(format!("attribute_not_exists({SPENT_IN})"))
            .bind(":spent_in", item::string(self.month))
    }
}

/// Returns the transaction that merges an event into its leg, and counts its price if that is not counted yet. The leg is the first in
/// it. `None` if the owner is no tenant, or the event tells no price.
pub(super) fn charged_merge(
    owner: &LegPhone,
    direction: Direction,
    event: &LegEvent,
    now: Timestamp,
) -> Result<Option<Vec<Write>>, StoreError> {
    let Some(charge) = Charge::of_leg(owner, direction, event, now) else { return Ok(None) };
    // The leg of an erased conversation could come back without the note.
    let check = Write::check(Key::Conversation(owner.conversation))
        .when("attribute_exists(participants)")
        .when("attribute_not_exists(erased_at)");
    Ok(Some(vec![charge.note(legs::merge(owner, direction, event)?), charge.add(), check]))
}

/// A leg that moves to another conversation of the same owner, with the note of its price.
pub(super) struct MovedCharge {
    /// The note, if the price is counted.
    note: Option<String>,
    /// Takes the price back.
    back: Option<Write>,
}

impl MovedCharge {
    /// Reads the note in a leg of the `owner`.
    pub(super) fn of(owner: &LegPhone, leg: &Item) -> Result<Self, StoreError> {
        let note = leg.get(SPENT_IN).and_then(|note| note.as_s().ok()).cloned();
        let month = note.as_deref().and_then(|note| Month::try_from(note).ok());
        let back = match (owner.owner.tenant(), month) {
            (Some(tenant), Some(month)) => {
                let Leg { uuid, direction, facts, .. } = legs::read(leg.clone())?;
                let spent = Spent::on_leg(direction, &facts).map(Spent::taken_back);
                spent.map(|spent| Charge { month, ..Charge::new(tenant, Timestamp::UNIX_EPOCH, &uuid, spent) }.add())
            }
            _ => None,
        };
        Ok(Self { note, back })
    }

    /// Deletes the leg, if the note in it is still the one that was read.
    pub(super) fn delete(&self, delete: Write) -> Write {
        match &self.note {
            Some(note) => delete.when(format!("{SPENT_IN} = :spent_in")).bind(":spent_in", item::string(note)),
            None => delete.when(format!("attribute_not_exists({SPENT_IN})")),
        }
    }

    /// Returns the ways to write the leg where it goes, `take`: where its price is not counted, and where it is counted too, so that one
    /// of the two is taken back.
    pub(super) fn takes(&self, take: Write) -> Vec<Vec<Write>> {
        let Some(back) = &self.back else { return vec![vec![take]] };
        let is_counted = [format!("attribute_not_exists({SPENT_IN})"), format!("attribute_exists({SPENT_IN})")];
        let [first, twice] = is_counted.map(|condition| take.clone().when(condition));
        vec![vec![first], vec![twice, back.clone()]]
    }
}

/// A text of a tenant, of which the carrier has told prices.
pub(super) struct PricedText<'a> {
    /// The key of the item that has its notes.
    pub(super) key: Key<'a>,
    /// The attribute with the notes, one for each part whose price is counted.
    pub(super) notes: &'static str,
    /// The beginning of all notes about this text.
    pub(super) own_notes: String,
    /// The tenant.
    pub(super) tenant: Tenant,
    /// The time that decides about the month.
    pub(super) time: Timestamp,
    /// The note for each part that has a price, and the price.
    pub(super) parts: Vec<(String, Decimal)>,
}

/// Attribute of a passed-on text with the carrier's ids of the parts whose prices are counted.
pub(super) const SPENT_ON: &str = "spent_on";

impl Store {
    /// Returns the costs of a tenant in each of these months. One consistent query a month.
    pub async fn tenant_costs(&self, tenant: Tenant, months: &[Month]) -> Result<Vec<(Month, Spent)>, StoreError> {
        let of_month = |month: Month| async move {
            let prefix = format!("{TENANT_COST_PREFIX}{month}#");
            Ok((month, sum(self.query(item::tenant_partition(tenant), Some(&prefix)).await?)))
        };
        try_join_all(months.iter().map(|month| of_month(*month))).await
    }

    /// Carries out the update of a text that makes these notes, which are those of the parts whose prices are not counted yet, and adds
    /// these prices in the same transaction. False if there is no such text, or not any more.
    pub(super) async fn charge_text(
        &self,
        text: &PricedText<'_>,
        update: impl Fn(Vec<String>) -> Write,
    ) -> Result<bool, StoreError> {
        match self.charge_parts(text, &update).await {
            // What else the carrier tells is stored all the same.
            Err(error @ StoreError::Contended(_)) => self.update(update(Vec::new())).await.and(Err(error)),
            Err(error) => {
                pass_over(error)?;
                self.update(update(Vec::new())).await
            }
            charged => charged,
        }
    }

    async fn charge_parts(
        &self,
        text: &PricedText<'_>,
        update: &impl Fn(Vec<String>) -> Write,
    ) -> Result<bool, StoreError> {
        retry::contended(ATTEMPTS, StoreError::Contended("the notes of a text"), || async move {
            let item = self.get_item(text.key).await?;
            let Some(item) = item.filter(|item| !item.contains_key("erased_at")) else { return Ok(Break(false)) };
            let noted = notes(&item, text.notes);
            let parts: Vec<_> = text.parts.iter().filter(|(note, _)| !noted.contains(note)).collect();
            let Some((first, _)) = parts.first() else { return Ok(Break(self.update(update(Vec::new())).await?)) };
            let is_first = !noted.iter().any(|note| note.starts_with(&text.own_notes));
            let spent = Spent::on_text(parts.iter().map(|(_, price)| *price), is_first);
            let noting = update(parts.iter().map(|(note, _)| note.clone()).collect());
            let noting = match noted.len() {
                0 => noting.when(format!("attribute_not_exists({})", text.notes)),
                count => {
                    noting.when(format!("size({}) = :noted", text.notes)).bind(":noted", item::integer(count as u64))
                }
            };
            let add = Charge::new(text.tenant, text.time, first, spent).add();
            Ok(match self.transact(vec![noting, add], None).await? {
                Outcome::Committed => Break(true),
                // A newer release counts.
                Outcome::Cancelled(failed) if failed == [1] => Break(self.update(update(Vec::new())).await?),
                Outcome::Cancelled(_) => Continue(()),
            })
        })
        .await
    }
}

/// Decides about a price that could not be counted. A sum that is damaged is passed over, because it would be damaged the next time too. If
/// too many others change it at this moment, or DynamoDB does not answer, that is an error, so that the carrier tells the price again.
pub(super) fn pass_over(error: StoreError) -> Result<(), StoreError> {
    if matches!(error, StoreError::NoAnswer(_) | StoreError::Contended(_)) {
        return Err(error);
    }
    tracing::warn!(cause = %error, "a price does not count for the costs of its tenant");
    Ok(())
}

/// Returns a set of notes.
fn notes(item: &Item, name: &str) -> BTreeSet<String> {
    item.get(name).and_then(|notes| notes.as_ss().ok()).into_iter().flatten().cloned().collect()
}

/// Adds the sums of all items of a month. One that cannot be read counts for nothing.
fn sum(items: Vec<Item>) -> Spent {
    let mut passed_over = PassedOver::default();
    let mut sum = Spent::default();
    for item in items {
        if let Some(part) = passed_over.take(read(&item)) {
            sum.add(part);
        }
    }
    sum
}

fn read(item: &Item) -> Result<Spent, StoreError> {
    let kind = item::check_version(item)?;
    let malformed = || StoreError::Unreadable(kind, "a sum is malformed".to_owned());
    // A sum to which nothing was added is missing.
    let text =
        |name: &str| item.get(name).map_or(Ok("0"), |sum| sum.as_n().map(String::as_str).map_err(|_| malformed()));
    let count = |name: &str| text(name)?.parse().map_err(|_| malformed());
    let amount = |name: &str| Decimal::from_str_exact(text(name)?).map_err(|_| malformed());
    Ok(Spent {
        calls: count("calls")?,
        seconds: count("seconds")?,
        call_cost: amount("call_cost")?,
        texts: count("texts")?,
        text_cost: amount("text_cost")?,
    })
}
