//! Numbers of the pool.
//!
//! A number to be rented is recorded before Vonage is asked, under a version of the ledger. So two runs at once never buy
//! more than is wanted, and an interrupted run leaves an item that the next run can resume.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key, NUMBER_PREFIX, OWN_NUMBER};
use super::passed_over::PassedOver;
use super::pool::{self, Ledger};
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError};
use super::{orders, ready_numbers};
use crate::domain::country::Country;
use crate::domain::number_settings::NumberSettings;
use crate::domain::order::OpenOrder;
use crate::domain::phone::{PhoneNumber, VirtualNumber};
use crate::domain::pool::{NumberState, PoolNumber, Work};
use crate::domain::ready_pool::PartName;
use crate::domain::tenant::{Owner, Pool};

/// Time for which a number that was given back to Vonage stays known as ours. Vonage's list and participants' phones may
/// show it for a while.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Maximum number of numbers in a page of those that need work.
pub const WORK_PAGE: u16 = 100;

/// Position of the order in the transaction that records a number to be rented.
const ORDER: usize = 3;

/// A page of a pool's numbers, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumbersPage {
    /// The numbers that can be read.
    pub numbers: Vec<PoolNumber>,
    /// Number of numbers that cannot be read.
    pub unreadable: usize,
    /// The last number of the page, if there may be more behind it.
    pub next: Option<VirtualNumber>,
}

/// Reason why a number was not recorded for renting.
#[derive(Debug, thiserror::Error)]
pub enum RentError {
    /// Another run has changed the ledger since it was read.
    #[error("another run has changed the pool's ledger")]
    Changed,
    /// Another order has taken the place of this one, or it is complete.
    #[error("the order is not open any more")]
    Replaced,
    /// The number is in the pool already, perhaps in another list, or was given back to Vonage recently.
    #[error("the number is in the pool already")]
    Known,
    /// A failed use of the table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Item that marks a number of the pool in the partition of callers.
#[derive(Serialize, Deserialize)]
struct OwnNumber {
    country: Country,
    #[serde(default, rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    owner: Owner,
    /// The time from which Vonage no longer lists it, if it is lost. Its key is known without the country.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    lost_since: Option<Timestamp>,
    /// The time from which it is rotated, if it is.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    rotating_since: Option<Timestamp>,
}

/// The reason for which live conversations are to leave a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// The time from which it holds.
    pub since: Timestamp,
    /// True if the number is rotated and still works, false if it is lost.
    pub is_rotation: bool,
}

impl OwnNumber {
    fn of(Pool { owner, country }: Pool) -> Self {
        Self { country, owner, lost_since: None, rotating_since: None }
    }

    fn pool(&self) -> Pool {
        Pool { owner: self.owner, country: self.country }
    }
}

impl Store {
    /// Returns up to `limit` numbers of a pool that begin with `prefix`, in all states and in ascending order, behind
    /// the number `after`. One consistent read.
    pub async fn numbers_page(
        &self,
        pool: Pool,
        prefix: &str,
        after: Option<&VirtualNumber>,
        limit: u16,
    ) -> Result<NumbersPage, StoreError> {
        let after = after.map(|number| format!("{NUMBER_PREFIX}{number}"));
        let prefix = format!("{NUMBER_PREFIX}{prefix}");
        let (items, more) = self.query_page(item::pool_partition(pool), &prefix, after, limit).await?;
        let next = items.last().and_then(item::dialled).filter(|_| more);
        let found = items.len();
        let numbers = PassedOver::list(items, item::read);
        Ok(NumbersPage { unreadable: found - numbers.len(), numbers, next })
    }

    /// Returns the first and the last number of a pool that begin with `prefix`, if there are any.
    pub async fn outermost_numbers(&self, pool: Pool, prefix: &str) -> Result<Vec<VirtualNumber>, StoreError> {
        let prefix = format!("{NUMBER_PREFIX}{prefix}");
        let outermost = self.outermost_items(item::pool_partition(pool), &prefix).await?;
        Ok(outermost.iter().flatten().filter_map(item::dialled).collect())
    }

    /// Returns up to `limit` numbers of a pool that need this work, at most [`WORK_PAGE`], in ascending order, behind the
    /// number `after`. Two consistent reads.
    pub async fn numbers_with_work(
        &self,
        pool: Pool,
        work: Work,
        after: Option<&VirtualNumber>,
        limit: u16,
    ) -> Result<NumbersPage, StoreError> {
        let prefix = item::work_prefix(work);
        let after = after.map(|number| format!("{prefix}{number}"));
        let (marks, more) = self.query_page(item::pool_partition(pool), prefix, after, limit.min(WORK_PAGE)).await?;
        let digits = marks.iter().filter_map(|mark| item::sort_key(mark).strip_prefix(prefix));
        let marked: Vec<_> =
            digits.filter_map(|digits| PhoneNumber::try_from(digits).ok().map(VirtualNumber::from)).collect();
        let next = marked.last().cloned().filter(|_| more);
        if marked.is_empty() {
            return Ok(NumbersPage { next, ..NumbersPage::default() });
        }
        let items = self.batch_get(marked.iter().map(|number| Key::Number { pool, number })).await?;
        let found = items.len();
        let mut numbers: Vec<PoolNumber> = PassedOver::list(items, item::read);
        let unreadable = found - numbers.len();
        numbers.retain(|number| number.state.work() == Some(work));
        numbers.sort_by(|one, other| one.number.cmp(&other.number));
        Ok(NumbersPage { numbers, unreadable, next })
    }

    /// Returns all numbers of a pool that can be read. Only for the laptop and for tests, because there may be very many.
    pub async fn pool_numbers(&self, pool: Pool) -> Result<Vec<PoolNumber>, StoreError> {
        let items = self.query(item::pool_partition(pool), Some(NUMBER_PREFIX)).await?;
        Ok(PassedOver::list(items, item::read))
    }

    /// Returns all numbers. Only for the laptop and for tests.
    pub async fn whole_pool(&self) -> Result<Vec<PoolNumber>, StoreError> {
        let mut numbers = Vec::new();
        for pool in self.ledger().await?.pools {
            numbers.extend(self.pool_numbers(pool).await?);
        }
        Ok(numbers)
    }

    /// True if a number is in the pool, or was until a short while ago.
    pub async fn is_known(&self, number: &VirtualNumber, now: Timestamp) -> Result<bool, StoreError> {
        let known = self.get_item(Key::OwnNumber(number)).await?;
        Ok(known.is_some_and(|known| item::time(&known, "ttl").is_none_or(|ttl| now < ttl)))
    }

    /// Returns a number of a pool, whatever its country and owner.
    pub async fn pool_number(&self, number: &VirtualNumber) -> Result<Option<PoolNumber>, StoreError> {
        match self.get::<OwnNumber>(Key::OwnNumber(number)).await? {
            Some(own) => self.get(Key::Number { pool: own.pool(), number }).await,
            None => Ok(None),
        }
    }

    /// Records `number` as about to be rented, or as found in the account, unless the ledger has changed since `seen`. A
    /// number that is rented for an `order` is recorded only while that is the order of its pool.
    pub async fn begin_renting(
        &self,
        number: &PoolNumber,
        seen: &Ledger,
        order: Option<&OpenOrder>,
    ) -> Result<(), RentError> {
        let own = Key::OwnNumber(&number.number).with(&OwnNumber::of(number.pool()), None)?;
        let mut transaction = vec![
            pool::add_to_ledger(number, seen),
            Write::put(key(number).with(number, None)?).when("attribute_not_exists(pk)"),
            Write::put(own)
                .when("attribute_not_exists(pk) OR #ttl <= :now")
                .name("#ttl", "ttl")
                .bind(":now", item::seconds(number.added_at)),
        ];
        // Its position is that of ORDER.
        transaction.extend(order.map(orders::count_purchase));
        transaction.extend(change_work(number, None, number.state.work()));
        if let Some(settings) = NumberSettings::of_new_number(number.owner) {
            transaction.push(Write::put(Key::NumberSettings(&number.number).with(&settings, None)?));
        }
        match self.transact(transaction, None).await? {
            Outcome::Committed => Ok(()),
            Outcome::Cancelled(failed) if order.is_some() && failed.contains(&ORDER) => Err(RentError::Replaced),
            Outcome::Cancelled(failed) if failed.contains(&1) || failed.contains(&2) => Err(RentError::Known),
            Outcome::Cancelled(_) => Err(RentError::Changed),
        }
    }

    /// Takes over a number whose lease is over at `now`, and returns it with a lease that ends at `until`. `None` if
    /// another run was faster.
    pub async fn take_over(
        &self,
        number: PoolNumber,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<PoolNumber>, StoreError> {
        let update = Write::update(key(&number))
            .set("leased_until = :until")
            .when("leased_until = :seen AND leased_until <= :now")
            .bind(":until", item::seconds(until))
            .bind(":seen", item::seconds(number.leased_until))
            .bind(":now", item::seconds(now));
        Ok(self.update(update).await?.then_some(PoolNumber { leased_until: until, ..number }))
    }

    /// Extends the lease on a draining number until then, so that nobody gives it back meanwhile. `None` if it has changed since it
    /// was read.
    pub async fn lease_draining(&self, number: PoolNumber, until: Timestamp) -> Result<Option<PoolNumber>, StoreError> {
        let update = change_state(&number, NumberState::Draining, NumberState::Draining)?
            .set("leased_until = :until")
            .when("leased_until = :seen")
            .bind(":until", item::seconds(until))
            .bind(":seen", item::seconds(number.leased_until));
        Ok(self.update(update).await?.then_some(PoolNumber { leased_until: until, ..number }))
    }

    /// Begins to use a draining number again, on which this run has a lease. `None` if it has changed since it was read.
    pub async fn take_back(&self, number: PoolNumber) -> Result<Option<PoolNumber>, StoreError> {
        let (from, to) = (NumberState::Draining, NumberState::Linking);
        let change = change_state(&number, from, to)?
            .remove("draining_since, moves_to")
            .when("leased_until = :lease AND attribute_not_exists(rotating_since)")
            .bind(":lease", item::seconds(number.leased_until));
        let mut transaction = vec![change, pool::move_in_ledger(&number, from, to)];
        transaction.extend(change_work(&number, from.work(), to.work()));
        let taken = self.transact_settled(transaction).await?;
        Ok(taken.then_some(PoolNumber { state: to, draining_since: None, moves_to: None, ..number }))
    }

    /// Records that a number is bought. Changes nothing if that is known already.
    pub async fn note_bought(&self, number: &PoolNumber) -> Result<(), StoreError> {
        let (from, to) = (NumberState::Renting, NumberState::Linking);
        let transaction = vec![change_state(number, from, to)?, pool::move_in_ledger(number, from, to)];
        self.transact_settled(transaction).await.map(drop)
    }

    /// Makes a linked number ready, so that conversations can get it. One that was set aside before it was lost is set aside
    /// again. False if it was not linking any more.
    pub async fn make_ready(&self, number: &PoolNumber) -> Result<bool, StoreError> {
        if number.set_aside {
            let (from, to) = (NumberState::Linking, NumberState::SettingAside);
            let again = change_state(number, from, to)?.when("attribute_exists(set_aside)");
            let mut transaction = vec![again, pool::move_in_ledger(number, from, to)];
            transaction.extend(change_work(number, from.work(), to.work()));
            return self.transact_settled(transaction).await;
        }
        let part = self.part_for(number).await?;
        let ready = change_state(number, NumberState::Linking, NumberState::Ready)?
            .when("attribute_not_exists(set_aside)")
            .set("part = :part")
            .bind(":part", item::integer(part.index));
        let mut transaction = vec![ready, pool::move_in_ledger(number, NumberState::Linking, NumberState::Ready)];
        transaction.extend(ready_numbers::list(&part, &number.to_ready_number()));
        transaction.extend(change_work(number, Some(Work::Unfinished), None));
        self.transact_settled(transaction).await
    }

    /// Starts the draining of a number, so that no conversation gets it any more. False if it has changed since it was
    /// read.
    pub async fn begin_draining(&self, number: &PoolNumber, now: Timestamp) -> Result<bool, StoreError> {
        let drain = change_state(number, number.state, NumberState::Draining)?;
        let ledger = pool::move_in_ledger(number, number.state, NumberState::Draining);
        self.transact_settled(draining(number, drain, ledger, now)).await
    }

    /// Starts the rotation of a number: it drains, and its live conversations are to get other numbers. False if it has changed
    /// since it was read, or is the last ready one of its pool.
    pub async fn begin_rotation(&self, number: &PoolNumber, now: Timestamp) -> Result<bool, StoreError> {
        let rotate = change_state(number, number.state, NumberState::Draining)?
            .set("rotating_since = :now, unannounced_rotation = :now")
            .remove("conversations_listed, moves_to")
            .when("attribute_not_exists(rotating_since)");
        let mut transaction = if number.state == NumberState::Draining {
            vec![rotate.bind(":now", item::seconds(now))]
        } else {
            let ledger = pool::move_in_ledger(number, number.state, NumberState::Draining);
            let ledger = if number.state == NumberState::Ready { ledger.when("#from > :one") } else { ledger };
            draining(number, rotate, ledger, now)
        };
        let own = Write::update(Key::OwnNumber(&number.number)).set("rotating_since = :now");
        transaction.push(own.when("attribute_exists(pk)").bind(":now", item::seconds(now)));
        self.transact_settled(transaction).await
    }

    /// Removes a number that was never bought. It stays if its state has changed since it was read, or if another run has
    /// taken it over.
    pub async fn forget_number(&self, number: &PoolNumber) -> Result<(), StoreError> {
        self.remove_number(number, Write::delete(Key::OwnNumber(&number.number))).await.map(drop)
    }

    /// Removes a number that was given back to Vonage. It stays known as ours for a day. False if it has changed since it
    /// was read.
    pub async fn remove_cancelled(&self, number: &PoolNumber, now: Timestamp) -> Result<bool, StoreError> {
        let own = Write::update(Key::OwnNumber(&number.number)).set_ttl(now + REMEMBERED);
        self.remove_number(number, own).await
    }

    async fn remove_number(&self, number: &PoolNumber, own: Write) -> Result<bool, StoreError> {
        let entry = Write::delete(key(number))
            .when("#state = :state AND leased_until = :lease")
            .name("#state", "state")
            .bind(":state", item::value(number.state)?)
            .bind(":lease", item::seconds(number.leased_until));
        let settings = Write::delete(Key::NumberSettings(&number.number));
        let mut transaction = vec![entry, own, pool::remove_from_ledger(number), settings];
        transaction.extend(change_work(number, number.state.work(), None));
        self.transact_settled(transaction).await
    }

    /// Takes a number that Vonage no longer lists out of use, which is ready or was set aside. Conversations that have it keep
    /// it. False if it has another state by now.
    pub async fn lose(&self, number: &PoolNumber, now: Timestamp) -> Result<bool, StoreError> {
        let lost = change_state(number, number.state, NumberState::Lost)?
            .set("missing_since = :now, unannounced_loss = :now")
            .remove("conversations_listed")
            .bind(":now", item::seconds(now));
        let mut transaction = match number.state {
            NumberState::Ready => Vec::from(unlist(number, number.part.unwrap_or_default(), lost)),
            _ => vec![lost],
        };
        transaction.extend([pool::lose_in_ledger(number), mark_lost(number, now)]);
        transaction.extend(change_work(number, number.state.work(), Some(Work::Lost)));
        self.transact_settled(transaction).await
    }

    /// Begins to use a lost number again that Vonage lists again at `now`, with a lease that ends at `until`. `None` if it was
    /// not lost any more.
    pub async fn find_again(
        &self,
        number: PoolNumber,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<PoolNumber>, StoreError> {
        let found = change_state(&number, NumberState::Lost, NumberState::Linking)?
            .set("leased_until = :until, unannounced_return = :now")
            .remove("missing_since, conversations_listed")
            .bind(":now", item::seconds(now))
            .bind(":until", item::seconds(until));
        let own = Write::update(Key::OwnNumber(&number.number)).remove("lost_since");
        let mut transaction = vec![found, pool::return_to_ledger(&number), own];
        transaction.extend(change_work(&number, Some(Work::Lost), Some(Work::Unfinished)));
        let found = self.transact_settled(transaction).await?;
        let linking = PoolNumber { state: NumberState::Linking, leased_until: until, missing_since: None, ..number };
        Ok(found.then_some(linking))
    }

    /// Returns the reasons for which live conversations are to leave two numbers, of those that they are to leave. One
    /// consistent read.
    pub async fn departures(&self, numbers: [&VirtualNumber; 2]) -> Result<[Option<Departure>; 2], StoreError> {
        let departure = |own: &Item| {
            let rotation = item::time(own, "rotating_since").map(|since| Departure { since, is_rotation: true });
            rotation.or_else(|| Some(Departure { since: item::time(own, "lost_since")?, is_rotation: false }))
        };
        Ok(self.own_numbers(numbers).await?.map(|own| own.as_ref().and_then(departure)))
    }

    async fn own_numbers(&self, numbers: [&VirtualNumber; 2]) -> Result<[Option<Item>; 2], StoreError> {
        let [a, b] = numbers;
        // A batch may contain a key only once.
        let keys = [a].into_iter().chain((a != b).then_some(b)).map(Key::OwnNumber);
        let items = self.batch_get(keys).await?;
        let own = |number: &VirtualNumber| {
            let partition = item::caller_partition(number.as_str());
            items.iter().find(|item| item::partition(item) == partition).cloned()
        };
        Ok(numbers.map(own))
    }

    /// Returns the losses of those of these numbers, which are all different, that are lost. One consistent read for each 100.
    pub async fn losses_of(&self, numbers: &[&VirtualNumber]) -> Result<HashMap<VirtualNumber, Timestamp>, StoreError> {
        let mut losses = HashMap::new();
        for numbers in numbers.chunks(100) {
            let items = self.batch_get(numbers.iter().copied().map(Key::OwnNumber)).await?;
            let since = items.iter().filter_map(|item| Some((item::partition(item), item::time(item, "lost_since")?)));
            let since: HashMap<&str, Timestamp> = since.collect();
            losses.extend(numbers.iter().filter_map(|number| {
                let since = since.get(item::caller_partition(number.as_str()).as_str())?;
                Some(((*number).clone(), *since))
            }));
        }
        Ok(losses)
    }

    /// Marks a number as lost where its conversations look, if that was not done when it was lost. False if it is not lost
    /// any more.
    pub async fn show_loss(&self, number: &PoolNumber) -> Result<bool, StoreError> {
        let Some(since) = number.missing_since else { return Ok(false) };
        let is_lost = Write::update(key(number))
            .set("missing_since = :since")
            .when("missing_since = :since")
            .bind(":since", item::seconds(since));
        self.transact_settled(vec![is_lost, mark_lost(number, since)]).await
    }

    /// Notes that the live conversations that are to leave a number are listed, to get another one or only to be reported.
    pub async fn note_conversations_listed(&self, number: &PoolNumber, heals: bool) -> Result<(), StoreError> {
        let (condition, since) = match (number.rotating_since, number.missing_since) {
            (Some(since), _) => ("rotating_since = :since", since),
            (None, Some(since)) => ("missing_since = :since AND attribute_not_exists(rotating_since)", since),
            (None, None) => return Ok(()),
        };
        let note = Write::update(key(number))
            .set("conversations_listed = :moves")
            .when(condition)
            .bind(":moves", AttributeValue::Bool(number.moves_conversations(heals)))
            .bind(":since", item::seconds(since));
        self.update(note).await.map(drop)
    }

    /// Notes that the backend has been told of the loss, the return and the rotation of a number, as far as they are in `number`.
    pub async fn note_announced(&self, number: &PoolNumber) -> Result<(), StoreError> {
        let notes = [
            ("unannounced_loss", number.loss.unannounced_loss),
            ("unannounced_return", number.loss.unannounced_return),
            ("unannounced_rotation", number.loss.unannounced_rotation),
        ];
        for (name, time) in notes {
            let Some(time) = time else { continue };
            let announced = Write::update(key(number)).remove(name).when(format!("{name} = :time"));
            self.update(announced.bind(":time", item::seconds(time))).await?;
        }
        Ok(())
    }
}

/// Returns the writes that start to drain a number at `now`: its `change`, and that of the `ledger`.
pub(super) fn draining(number: &PoolNumber, change: Write, ledger: Write, now: Timestamp) -> Vec<Write> {
    let drain = change
        .set("draining_since = :now")
        .when("leased_until = :lease")
        .bind(":lease", item::seconds(number.leased_until))
        .bind(":now", item::seconds(now));
    let mut writes = match number.part {
        Some(part) => unlist(number, part, drain).into(),
        None => vec![drain],
    };
    writes.push(ledger);
    writes.extend(change_work(number, number.state.work(), Some(Work::Draining)));
    writes
}

/// Marks a number as lost in the item that is known without its country.
fn mark_lost(number: &PoolNumber, since: Timestamp) -> Write {
    let own = Write::update(Key::OwnNumber(&number.number)).set("lost_since = :since");
    own.when("attribute_exists(pk)").bind(":since", item::seconds(since))
}

impl Store {
    /// Lists the work of a number of a pool from a version that did not.
    pub(super) async fn list_work(&self, number: &PoolNumber) -> Result<(), StoreError> {
        for write in change_work(number, None, number.state.work()) {
            write.into_put_item(&self.client, &self.table).send().await?;
        }
        Ok(())
    }
}

/// Lists a number under other work than before.
pub(super) fn change_work(number: &PoolNumber, from: Option<Work>, to: Option<Work>) -> Vec<Write> {
    if from == to {
        return Vec::new();
    }
    let mark = |work| Key::Work { pool: number.pool(), work, number: &number.number };
    let unlisted = from.map(|work| Write::delete(mark(work)));
    let listed = to.map(|work| Write::put(mark(work).bare()));
    unlisted.into_iter().chain(listed).collect()
}

pub(super) fn key(number: &PoolNumber) -> Key<'_> {
    Key::Number { pool: number.pool(), number: &number.number }
}

/// Extends the `change` of a ready number by its removal from this part of the lists, if it is still there.
pub(super) fn unlist(number: &PoolNumber, part: u16, change: Write) -> [Write; 3] {
    let change = change.remove("part").when("part = :part").bind(":part", item::integer(part));
    let part = PartName::nth(number.pool(), &number.number, part);
    let [list, versions] = ready_numbers::unlist(&part, &number.number);
    [change, list, versions]
}

pub(super) fn change_state(number: &PoolNumber, from: NumberState, to: NumberState) -> Result<Write, StoreError> {
    Ok(Write::update(key(number))
        .set("#state = :to")
        .when("#state = :from")
        .name("#state", "state")
        .bind(":from", item::value(from)?)
        .bind(":to", item::value(to)?))
}

/// Returns the times from which two numbers are lost, by the marks of those that are ours.
pub(super) fn losses_in(items: &[Item], numbers: [&VirtualNumber; 2]) -> [Option<Timestamp>; 2] {
    numbers.map(|number| {
        let partition = item::caller_partition(number.as_str());
        let is_mark = |item: &&Item| item::partition(item) == partition && item::sort_key(item) == OWN_NUMBER;
        item::time(items.iter().find(is_mark)?, "lost_since")
    })
}
