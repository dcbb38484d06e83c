//! The JSON of the pool, of an order, and of the reports of scheduled runs.

use rust_decimal::Decimal;
use serde::Serialize;
use shared::domain::country::Country;
use shared::domain::phone::VirtualNumber;
use shared::domain::pool::{Feature, NumberState, NumberType, PoolNumber};
use shared::domain::shortfall::ShortfallReason;
use shared::edge::view::CURRENCY;
use shared::service::provision::{Order, Provisioned, Shortfall, Upkeep};
use shared::store::{Demand, Ledger};

/// The whole pool.
#[derive(Serialize)]
pub(crate) struct PoolView {
    pub(crate) countries: Vec<CountryView>,
    /// Monthly rent of all numbers in the ledger: those that are rented, and those that are being rented.
    monthly_cost: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_budget: Option<Decimal>,
    currency: &'static str,
}

/// The numbers of one country.
#[derive(Serialize)]
pub(crate) struct CountryView {
    country: Country,
    ready: usize,
    renting: usize,
    linking: usize,
    draining: usize,
    monthly_cost: Decimal,
    currency: &'static str,
    /// The peak usage, which is the number of numbers that are needed.
    #[serde(rename = "high_water")]
    peak_usage: usize,
    /// Number of ready numbers beyond the peak usage. Negative if there are too few.
    headroom: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<Forecast>,
    numbers: Vec<NumberView>,
}

/// Numbers that are needed if one caller has `concurrent` conversations at once, including those in quarantine.
#[derive(Serialize)]
struct Forecast {
    concurrent: usize,
    needed: usize,
    missing: usize,
}

#[derive(Serialize)]
pub(crate) struct NumberView {
    number: VirtualNumber,
    r#type: NumberType,
    features: Vec<Feature>,
    monthly_cost: Option<Decimal>,
    state: NumberState,
    added_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    draining_since: Option<String>,
    /// Time since which Vonage does not list the number as the account's.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_since: Option<String>,
}

/// The report of a scheduled run.
#[derive(Serialize)]
pub(crate) struct UpkeepView {
    application: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_problem: Option<String>,
    adopted: Vec<VirtualNumber>,
    missing: Vec<VirtualNumber>,
    cancelled: Vec<VirtualNumber>,
    rented: Vec<VirtualNumber>,
    shortfall: Vec<ShortfallView>,
}

/// The report of one fulfilled demand.
#[derive(Serialize)]
pub(crate) struct DemandView {
    country: Country,
    wanted: usize,
    ready: usize,
    rented: Vec<VirtualNumber>,
    shortfall: Vec<ShortfallView>,
}

/// The result of an order.
#[derive(Serialize)]
pub(crate) struct ProvisionedView {
    country: Country,
    ordered: usize,
    ready: usize,
    in_progress: usize,
    added: Vec<NumberView>,
    /// Monthly rent of the added numbers.
    monthly_cost: Decimal,
    currency: &'static str,
    shortfall: Vec<ShortfallView>,
}

#[derive(Serialize)]
struct ShortfallView {
    reason: ShortfallReason,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<VirtualNumber>,
}

fn monthly_cost(numbers: &[PoolNumber]) -> Decimal {
    numbers.iter().filter_map(|number| number.monthly_cost).sum()
}

impl PoolView {
    pub(crate) fn new(ledger: &Ledger, monthly_budget: Option<Decimal>) -> Self {
        let Ledger { monthly_cost, .. } = *ledger;
        Self { countries: Vec::new(), monthly_cost, monthly_budget, currency: CURRENCY }
    }
}

impl UpkeepView {
    pub(crate) fn new(upkeep: &Upkeep) -> Self {
        let Upkeep { application, application_problem, adopted, missing, cancelled, rented, shortfalls, headroom: _ } =
            upkeep;
        Self {
            application: application.clone(),
            application_problem: application_problem.as_ref().map(ToString::to_string),
            adopted: adopted.clone(),
            missing: missing.clone(),
            cancelled: cancelled.clone(),
            rented: rented.clone(),
            shortfall: shortfalls.iter().map(ShortfallView::new).collect(),
        }
    }
}

impl CountryView {
    pub(crate) fn new(
        country: Country,
        numbers: Vec<PoolNumber>,
        peak_usage: usize,
        concurrent: Option<usize>,
    ) -> Self {
        let count = |state| numbers.iter().filter(|number| number.state == state).count();
        let ready = count(NumberState::Ready);
        // Each conversation of one caller needs its own number. Other callers can share these numbers.
        let forecast =
            |concurrent: usize| Forecast { concurrent, needed: concurrent, missing: concurrent.saturating_sub(ready) };
        Self {
            country,
            ready,
            peak_usage,
            headroom: signed(ready) - signed(peak_usage),
            forecast: concurrent.map(forecast),
            renting: count(NumberState::Renting),
            linking: count(NumberState::Linking),
            draining: count(NumberState::Draining),
            monthly_cost: monthly_cost(&numbers),
            currency: CURRENCY,
            numbers: numbers.iter().map(NumberView::new).collect(),
        }
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl NumberView {
    pub(crate) fn new(number: &PoolNumber) -> Self {
        Self {
            number: number.number.clone(),
            r#type: number.number_type,
            features: number.features.clone(),
            monthly_cost: number.monthly_cost,
            state: number.state,
            added_at: number.added_at.to_string(),
            draining_since: number.draining_since.map(|time| time.to_string()),
            missing_since: number.missing_since.map(|time| time.to_string()),
        }
    }
}

impl DemandView {
    pub(crate) fn new(demand: &Demand, provisioned: &Provisioned) -> Self {
        Self {
            country: demand.country,
            wanted: demand.wanted,
            ready: provisioned.ready,
            rented: provisioned.added.iter().map(|number| number.number.clone()).collect(),
            shortfall: provisioned.shortfalls.iter().map(ShortfallView::new).collect(),
        }
    }
}

impl ProvisionedView {
    pub(crate) fn new(order: &Order, provisioned: &Provisioned) -> Self {
        Self {
            country: order.search.country,
            ordered: order.count,
            ready: provisioned.ready,
            in_progress: provisioned.in_progress,
            added: provisioned.added.iter().map(NumberView::new).collect(),
            monthly_cost: monthly_cost(&provisioned.added),
            currency: CURRENCY,
            shortfall: provisioned.shortfalls.iter().map(ShortfallView::new).collect(),
        }
    }
}

impl ShortfallView {
    fn new(shortfall: &Shortfall) -> Self {
        let detail = match (&shortfall.cause, shortfall.reason) {
            (Some(cause), _) => cause.to_string(),
            (None, ShortfallReason::Unconfirmed) => "the number is bought but Vonage does not list it yet".to_owned(),
            (None, ShortfallReason::OutOfTime) => "the request ran out of time; send the order again".to_owned(),
            (None, ShortfallReason::OverBudget) => {
                "one more number would cost more a month than MONTHLY_BUDGET_EUR".to_owned()
            }
            (None, ShortfallReason::AtCap) => "the country has as many numbers as AUTO_RENT_MAX allows".to_owned(),
            (None, _) => "Vonage has no more numbers that fit the order".to_owned(),
        };
        Self { reason: shortfall.reason, detail, number: shortfall.number.clone() }
    }
}
