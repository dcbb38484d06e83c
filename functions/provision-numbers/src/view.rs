//! What the API shows of the pool and of an order.

use rust_decimal::Decimal;
use serde::Serialize;
use shared::country::Country;
use shared::phone::VirtualNumber;
use shared::pool::{Feature, NumberState, NumberType, PoolNumber};
use shared::provisioning::{Order, Provisioned, Shortfall, ShortfallReason};
use shared::view::CURRENCY;

/// The whole pool.
#[derive(Default, Serialize)]
pub(crate) struct PoolView {
    pub(crate) countries: Vec<CountryView>,
}

/// A country's part of it.
#[derive(Serialize)]
pub(crate) struct CountryView {
    country: Country,
    ready: usize,
    renting: usize,
    linking: usize,
    draining: usize,
    monthly_cost: Decimal,
    currency: &'static str,
    numbers: Vec<NumberView>,
}

#[derive(Serialize)]
struct NumberView {
    number: VirtualNumber,
    r#type: NumberType,
    features: Vec<Feature>,
    monthly_cost: Decimal,
    state: NumberState,
    added_at: String,
}

/// What came of an order.
#[derive(Serialize)]
pub(crate) struct ProvisionedView {
    country: Country,
    ordered: usize,
    ready: usize,
    in_progress: usize,
    added: Vec<NumberView>,
    /// Rent a month of what was added.
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
    numbers.iter().map(|number| number.monthly_cost).sum()
}

impl CountryView {
    pub(crate) fn new(country: Country, numbers: Vec<PoolNumber>) -> Self {
        let count = |state| numbers.iter().filter(|number| number.state == state).count();
        Self {
            country,
            ready: count(NumberState::Ready),
            renting: count(NumberState::Renting),
            linking: count(NumberState::Linking),
            draining: count(NumberState::Draining),
            monthly_cost: monthly_cost(&numbers),
            currency: CURRENCY,
            numbers: numbers.iter().map(NumberView::new).collect(),
        }
    }
}

impl NumberView {
    fn new(number: &PoolNumber) -> Self {
        Self {
            number: number.number.clone(),
            r#type: number.number_type,
            features: number.features.clone(),
            monthly_cost: number.monthly_cost,
            state: number.state,
            added_at: number.added_at.to_string(),
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
            (None, ShortfallReason::Unconfirmed) => "bought, and not listed by Vonage yet".to_owned(),
            (None, ShortfallReason::OutOfTime) => "the time of one request is over; send the order again".to_owned(),
            (None, _) => "Vonage has no more numbers that fit the order".to_owned(),
        };
        Self { reason: shortfall.reason, detail, number: shortfall.number.clone() }
    }
}
