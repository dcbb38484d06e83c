//! The ledger of all rented numbers: their rent, and their counts by pool and state. It is derived from the numbers' own
//! items and changes in the same transactions.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key};
use super::kinds::{ItemKind, VERSION};
use super::passed_over::log;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberCounts, NumberState, PoolNumber};
use crate::domain::tenant::{Owner, Pool};
use crate::retry;

/// Number of numbers that a count reads at once.
const PAGE: u16 = 1000;

/// Number of counts that may lose a race against changes of the pool.
const COUNTS: u32 = 10;

/// Suffix of the attribute with the rent of a pool's numbers.
const COST: &str = "#cost";

/// Totals of all rented numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Pools in which numbers are or were rented, in ascending order.
    pub pools: Vec<Pool>,
    /// Monthly rent of all numbers in EUR, including numbers that are recorded but not bought yet.
    pub monthly_cost: Decimal,
    counts: BTreeMap<Pool, NumberCounts>,
    state: LedgerState,
}

/// A state of the ledger. Any change of the pool makes another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerState {
    /// Raised by whatever adds a number: a condition of each purchase.
    version: u64,
    /// Number of all changes.
    changes: u64,
}

/// A count of the pool that may take many reads, and holds only if the ledger did not change meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recount {
    state: LedgerState,
    counts: BTreeMap<Pool, NumberCounts>,
}

impl Recount {
    /// Starts a count of the pool whose ledger is this one.
    pub fn of(ledger: &Ledger) -> Self {
        Self { state: ledger.state, counts: BTreeMap::new() }
    }

    /// Counts one number.
    pub fn add(&mut self, number: &PoolNumber) {
        self.counts.entry(number.pool()).or_default().add(number);
    }
}

impl Ledger {
    /// Returns the counts of a pool's numbers.
    pub fn counts(&self, pool: Pool) -> NumberCounts {
        self.counts.get(&pool).copied().unwrap_or_default()
    }

    /// Returns the pools of an owner, in ascending order.
    pub fn pools_of(&self, owner: Owner) -> impl Iterator<Item = Pool> {
        self.pools.iter().copied().filter(move |pool| pool.owner == owner)
    }

    /// Returns the monthly rent of an owner's numbers in EUR, including numbers that are recorded but not bought yet.
    pub fn monthly_cost_of(&self, owner: Owner) -> Decimal {
        self.pools_of(owner).map(|pool| self.counts(pool).monthly_cost).sum()
    }

    /// Returns the number of numbers of an owner for which the account pays, or is about to.
    pub fn paid_by(&self, owner: Owner) -> usize {
        self.pools_of(owner).map(|pool| self.counts(pool).paid()).sum()
    }

    /// Returns the number of numbers in a country for which the account pays, or is about to, whoever has them.
    pub fn paid_in(&self, country: Country) -> usize {
        self.counts.iter().filter(|(pool, _)| pool.country == country).map(|(_, counts)| counts.paid()).sum()
    }

    /// True if the ledger contradicts a count that holds for its state.
    pub fn contradicts(&self, recount: &Recount) -> bool {
        let differs = |pool: &Pool| self.counts(*pool) != recount.counts.get(pool).copied().unwrap_or_default();
        self.state == recount.state && self.counts.keys().chain(recount.counts.keys()).any(differs)
    }

    /// Reads the ledger. `None` if its counts are missing or wrong: it is from a release without them, or such a release
    /// has added numbers since.
    fn read(item: &Item) -> Option<Self> {
        if !item.contains_key(COUNTED) || number::<u64>(item, COUNTED) != state(item).version {
            return None;
        }
        let mut counts = BTreeMap::new();
        for pool in pools(item) {
            let mut of_pool = NumberCounts::default();
            for state in NumberState::ALL {
                of_pool.set(state, usize::try_from(number::<i64>(item, &attribute(pool, state))).ok()?);
            }
            of_pool.monthly_cost = cost(item, &format!("{pool}{COST}"));
            counts.insert(pool, of_pool);
        }
        Some(Self { pools: pools(item), monthly_cost: cost(item, MONTHLY_COST), counts, state: state(item) })
    }
}

/// Attribute of the countries of the deployment's own pools.
const COUNTRIES: &str = "countries";

/// Attribute of the pools of tenants.
const POOLS: &str = "pools";

/// Attribute of the rent of all numbers.
const MONTHLY_COST: &str = "monthly_cost";

/// Attribute with the version of the ledger that has counts. Another version of this program raises only the version.
const COUNTED: &str = "counted";

impl Store {
    /// Returns the totals of all rented numbers. One consistent read, unless the ledger has no counts yet. Fails if it cannot
    /// be read, so that nothing is bought.
    pub async fn ledger(&self) -> Result<Ledger, StoreError> {
        for attempt in 0..COUNTS {
            let Some(item) = self.get_item(Key::Ledger).await? else { return Ok(Ledger::default()) };
            check(&item).inspect_err(log)?;
            if let Some(ledger) = Ledger::read(&item) {
                return Ok(ledger);
            }
            self.count_numbers(&item).await?;
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("the pool's ledger"))
    }

    /// Returns the countries of all numbers of an owner, whatever their state. One consistent read.
    pub async fn rented_countries(&self, owner: Owner) -> Result<Vec<Country>, StoreError> {
        let Some(item) = self.get_item(Key::Ledger).await? else { return Ok(Vec::new()) };
        check(&item).inspect_err(log)?;
        let has_numbers = |ledger: Ledger| {
            let counts = ledger.counts.into_iter().filter(|(_, counts)| counts.all() > 0);
            counts.map(|(pool, _)| pool).collect::<Vec<_>>()
        };
        let pools = Ledger::read(&item).map_or_else(|| pools(&item), has_numbers);
        Ok(pools.into_iter().filter(|pool| pool.owner == owner).map(|pool| pool.country).collect())
    }

    /// Counts all numbers again, because the ledger contradicts them.
    pub async fn correct_ledger(&self) -> Result<(), StoreError> {
        match self.get_item(Key::Ledger).await? {
            Some(item) => {
                check(&item).inspect_err(log)?;
                self.count_numbers(&item).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Reads all numbers, lists those that need work, and writes the counts into the ledger, unless the pool has changed
    /// since `ledger` was read. Only a ledger of another version, or one that contradicts the numbers, needs this.
    async fn count_numbers(&self, ledger: &Item) -> Result<bool, StoreError> {
        let mut counts: BTreeMap<Pool, NumberCounts> = BTreeMap::new();
        for pool in pools(ledger) {
            let mut after: Option<VirtualNumber> = None;
            loop {
                let page = self.numbers_page(pool, "", after.as_ref(), PAGE).await?;
                if page.unreadable > 0 {
                    // Fewer numbers than there are would lead to buying others.
                    let reason = "a number of the pool that it counts cannot be read".to_owned();
                    return Err(StoreError::Unreadable(ItemKind::Ledger.name(), reason));
                }
                for number in &page.numbers {
                    counts.entry(pool).or_default().add(number);
                    self.list_work(number).await?;
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        self.put_counts(ledger, &counts).await
    }

    /// Replaces the ledger, if it is still the one that was read.
    async fn put_counts(&self, read: &Item, counts: &BTreeMap<Pool, NumberCounts>) -> Result<bool, StoreError> {
        let is_count = |name: &str| name.contains('#');
        let mut item: Item = read.clone().into_iter().filter(|(name, _)| !is_count(name)).collect();
        item.insert(COUNTED.to_owned(), item::integer(state(read).version));
        item.insert(MONTHLY_COST.to_owned(), decimal(counts.values().map(|counts| counts.monthly_cost).sum()));
        for (pool, counts) in counts {
            for state in NumberState::ALL {
                item.insert(attribute(*pool, state), item::integer(counts.of(state) as u64));
            }
            item.insert(format!("{pool}{COST}"), decimal(counts.monthly_cost));
        }
        item.entry(VERSION.to_owned()).or_insert_with(|| Key::Ledger.version());
        let mut put = Write::put(item);
        for name in ["version", "changes", MONTHLY_COST] {
            let placeholder = format!(":{name}");
            put = match read.get(name) {
                Some(value) => put.when(format!("{name} = {placeholder}")).bind(placeholder, value.clone()),
                None => put.when(format!("attribute_not_exists({name})")),
            };
        }
        match put.into_put_item(&self.client, &self.table).send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) if error.code() == Some("TransactionConflictException") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Adds a number that is about to be rented or adopted, unless the ledger has changed since `seen`.
pub(super) fn add_to_ledger(number: &PoolNumber, seen: &Ledger) -> Write {
    let list = list_of(number.pool());
    let update = change(number.pool(), None, Some(number.state), number.rent())
        .set("version = :next, counted = :next")
        .add(format!("{list} :pool"))
        .bind(":next", item::integer(seen.state.version + 1))
        .bind(":pool", AttributeValue::Ss(vec![number.pool().to_string()]));
    if seen.state.version == 0 {
        update.when("attribute_not_exists(version)")
    } else {
        update.when("version = :seen").bind(":seen", item::integer(seen.state.version))
    }
}

/// Counts a number in the pool of another owner, with its rent. The new version makes other runs count again, because some of them may
/// rent for that owner.
pub(super) fn change_pool_in_ledger([before, after]: [&PoolNumber; 2]) -> Write {
    let (pool, rent) = (after.pool(), after.rent());
    let update = change(before.pool(), Some(before.state), None, Decimal::ZERO)
        .add("version :one, counted :one, #to :one")
        .name("#to", attribute(pool, after.state))
        .add(format!("{} :pool", list_of(pool)))
        .bind(":pool", AttributeValue::Ss(vec![pool.to_string()]));
    if rent == Decimal::ZERO {
        return update;
    }
    let costs = [before.pool(), pool].map(|pool| format!("{pool}{COST}"));
    let [cost_before, cost_after] = costs;
    let update = update.add("#cost_before :less_rent, #cost_after :rent");
    let update = update.name("#cost_before", cost_before).name("#cost_after", cost_after);
    update.bind(":less_rent", decimal(-rent)).bind(":rent", decimal(rent))
}

/// Subtracts a number and its rent. The version stays, because fewer numbers do not invalidate another run's decision to
/// rent.
pub(super) fn remove_from_ledger(number: &PoolNumber) -> Write {
    change(number.pool(), Some(number.state), None, -number.rent())
}

/// Counts a number in another state, at the same rent.
pub(super) fn move_in_ledger(number: &PoolNumber, from: NumberState, to: NumberState) -> Write {
    change(number.pool(), Some(from), Some(to), Decimal::ZERO)
}

/// Counts a number as lost, without rent.
pub(super) fn lose_in_ledger(number: &PoolNumber) -> Write {
    change(number.pool(), Some(number.state), Some(NumberState::Lost), -number.rent())
}

/// Counts a number that was lost, whatever the ledger holds: the account pays it already. The new version makes other runs
/// count again.
pub(super) fn return_to_ledger(number: &PoolNumber) -> Write {
    let rent = number.monthly_cost.unwrap_or_default();
    change(number.pool(), Some(NumberState::Lost), Some(NumberState::Linking), rent).add("version :one, counted :one")
}

/// Moves a number from one state to another, or into the ledger or out of it, and adds to the rent.
fn change(pool: Pool, from: Option<NumberState>, to: Option<NumberState>, rent: Decimal) -> Write {
    let mut update = Write::update(Key::Ledger).add("changes :one").bind(":one", item::integer(1u64));
    if rent != Decimal::ZERO {
        update = update.add("monthly_cost :rent, #cost :rent").name("#cost", format!("{pool}{COST}"));
        update = update.bind(":rent", decimal(rent));
    }
    if let Some(from) = from {
        update = update.add("#from :less").name("#from", attribute(pool, from));
        update = update.bind(":less", AttributeValue::N("-1".to_owned()));
    }
    if let Some(to) = to {
        update = update.add("#to :one").name("#to", attribute(pool, to));
    }
    update
}

/// Returns the attribute that lists a pool.
fn list_of(pool: Pool) -> &'static str {
    if pool.owner.is_deployment() { COUNTRIES } else { POOLS }
}

/// Returns the attribute with the count of a pool's numbers in `state`.
fn attribute(pool: Pool, state: NumberState) -> String {
    let state = match state {
        NumberState::Renting => "renting",
        NumberState::Linking => "linking",
        NumberState::Ready => "ready",
        NumberState::Draining => "draining",
        NumberState::Lost => "lost",
        NumberState::SettingAside => "setting_aside",
        NumberState::Standing => "standing",
    };
    format!("{pool}#{state}")
}

/// Checks that all totals of the ledger can be read. One that is taken for nothing would lead to buying.
fn check(item: &Item) -> Result<(), StoreError> {
    let name = item::check_version(item)?;
    let unreadable = |reason: &str| Err(StoreError::Unreadable(name, reason.to_owned()));
    let is_total = |name: &str| name.contains('#') || ["version", "changes", COUNTED, MONTHLY_COST].contains(&name);
    let is_number = |value: &AttributeValue| value.as_n().is_ok_and(|number| number.parse::<Decimal>().is_ok());
    if !item.contains_key("version") || item.iter().any(|(name, value)| is_total(name) && !is_number(value)) {
        return unreadable("a total is missing or malformed");
    }
    let listed = written_pools(item).count();
    if listed == 0 || pools(item).len() != listed {
        return unreadable("its countries are missing or malformed");
    }
    Ok(())
}

/// Returns the pools of the ledger that can be read, in ascending order.
fn pools(item: &Item) -> Vec<Pool> {
    let mut pools: Vec<_> = written_pools(item).filter_map(|written| Pool::try_from(written).ok()).collect();
    pools.sort();
    pools
}

fn written_pools(item: &Item) -> impl Iterator<Item = &str> {
    let list = |name| item.get(name).and_then(|value: &AttributeValue| value.as_ss().ok()).into_iter().flatten();
    list(COUNTRIES).chain(list(POOLS)).map(String::as_str)
}

fn state(item: &Item) -> LedgerState {
    LedgerState { version: number(item, "version"), changes: number(item, "changes") }
}

fn cost(item: &Item, name: &str) -> Decimal {
    let mut cost: Decimal = number(item, name);
    // DynamoDB drops trailing zeros.
    cost.rescale(cost.scale().max(2));
    cost
}

fn decimal(value: Decimal) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn number<T: std::str::FromStr + Default>(item: &Item, name: &str) -> T {
    item.get(name).and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default()
}
