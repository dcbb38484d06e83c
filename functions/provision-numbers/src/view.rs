//! The JSON of the pool, of an order, and of the reports of scheduled runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use shared::clock::whole_second;
use shared::domain::country::Country;
use shared::domain::health::{self, Calls, Health};
use shared::domain::network::{Carrier, Network};
use shared::domain::order::OpenOrder;
use shared::domain::phone::{E164, VirtualNumber};
use shared::domain::pool::{Feature, NumberCounts, NumberState, NumberType, PoolNumber};
use shared::domain::shortfall::ShortfallReason;
use shared::domain::tenant::{Owner, Tenant};
use shared::edge::view::CURRENCY;
use shared::service::heal::Healing;
use shared::service::provision::{Order, Plan, Provisioned, Shortfall, Unhealthy, Upkeep};
use shared::store::{Demand, Ledger};

/// The whole pool.
#[derive(Serialize)]
pub(crate) struct PoolView {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Tenant>,
    pub(crate) countries: Vec<CountryView>,
    /// Monthly rent of the numbers in the ledger: those that are rented, and those that are being rented. For the deployment of all
    /// numbers, with those of tenants, and for a tenant of its own.
    monthly_cost: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_budget: Option<Decimal>,
    currency: &'static str,
    /// The numbers of tenants, for the deployment only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tenants: Vec<TenantView>,
    /// The `after` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// The numbers of a tenant, in short.
#[derive(Serialize)]
struct TenantView {
    tenant: Tenant,
    /// Those that are paid or about to be.
    numbers: usize,
    monthly_cost: Decimal,
}

/// The numbers of one country.
#[derive(Serialize)]
pub(crate) struct CountryView {
    pub(crate) country: Country,
    ready: usize,
    renting: usize,
    linking: usize,
    draining: usize,
    lost: usize,
    /// Numbers that become standing masks when their last route has left quarantine.
    setting_aside: usize,
    /// Standing masks. No conversation gets them, so they count neither as ready nor for the headroom.
    standing: usize,
    monthly_cost: Decimal,
    currency: &'static str,
    /// The peak usage, which is the number of numbers that are needed. That of tenants is not recorded.
    #[serde(rename = "high_water", skip_serializing_if = "Option::is_none")]
    peak_usage: Option<usize>,
    /// Number of ready numbers beyond the peak usage. Negative if there are too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    headroom: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<Forecast>,
    /// The order that is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) order: Option<OrderView>,
    /// Those of this page.
    pub(crate) numbers: Vec<NumberView>,
}

/// Progress of a country towards its order.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) ready: usize,
    pub(crate) in_progress: usize,
}

/// An order that is not complete.
#[derive(Serialize)]
pub(crate) struct OrderView {
    ordered: usize,
    ready: usize,
    in_progress: usize,
    features: Vec<Feature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<NumberType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    area_codes: Vec<String>,
    /// Only if the order names digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<bool>,
    ordered_at: String,
    /// `None` if the order waits for something.
    estimated_end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ShortfallReason>,
    /// The time of the next try after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
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
    number: E164,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Tenant>,
    r#type: NumberType,
    features: Vec<Feature>,
    monthly_cost: Option<Decimal>,
    state: NumberState,
    added_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    draining_since: Option<String>,
    /// The tenant to whom it moves; null for the deployment itself. Absent if it does not move, and for the tenant who has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    moves_to: Option<Option<Tenant>>,
    /// Time since which its live conversations move to other numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotating_since: Option<String>,
    /// Time since which Vonage does not list the number as the account's.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_since: Option<String>,
    /// Its calls of the last days, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthView>,
}

/// The calls that showed a number.
#[derive(Serialize)]
struct HealthView {
    days: i64,
    calls: u64,
    answered: u64,
    /// Mean length of an answered call.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_talk_seconds: Option<u64>,
    /// The calls that nobody answered, by reason.
    failed: BTreeMap<&'static str, u64>,
    /// The calls to people of the larger networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<NetworkView>,
}

/// The calls that showed a number to people of a network.
#[derive(Serialize)]
struct NetworkView {
    country: Country,
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<Carrier>,
    calls: u64,
    answered: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_talk_seconds: Option<u64>,
    /// True if the number was found today to fall off with these people.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    falls_off: bool,
}

/// The report of a scheduled run.
#[derive(Serialize)]
pub(crate) struct UpkeepView {
    application: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_problem: Option<String>,
    adopted: Vec<E164>,
    lost: Vec<E164>,
    found_again: Vec<E164>,
    linked_again: Vec<E164>,
    cancelled: Vec<E164>,
    /// Numbers that became standing masks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    standing: Vec<E164>,
    /// Numbers that belong to another owner now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moved: Vec<E164>,
    /// Numbers that fall off against the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unhealthy: Vec<E164>,
    /// The networks with which some of them do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unhealthy_with: BTreeMap<E164, Vec<String>>,
    /// Those of them that this run began to rotate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rotated: Vec<E164>,
    rented: Vec<E164>,
    /// Absent if there was nothing to heal.
    #[serde(skip_serializing_if = "Option::is_none")]
    healing: Option<HealingView>,
    shortfall: Vec<ShortfallView>,
}

/// The part of a report about conversations on lost and rotated numbers.
#[derive(Serialize)]
pub(crate) struct HealingView {
    /// Number of participants who got another number.
    healed: usize,
    /// Number of participants who still dial a lost or rotated number.
    unhealed: usize,
    /// Number of conversations that the next run repeats after a failure.
    failed: usize,
    out_of_time: bool,
}

/// The report of one fulfilled demand.
#[derive(Serialize)]
pub(crate) struct DemandView {
    country: Country,
    wanted: usize,
    ready: usize,
    rented: Vec<E164>,
    shortfall: Vec<ShortfallView>,
}

/// The result of an order.
#[derive(Serialize)]
pub(crate) struct ProvisionedView {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Tenant>,
    country: Country,
    ordered: usize,
    ready: usize,
    in_progress: usize,
    added: Vec<NumberView>,
    /// Monthly rent of the added numbers.
    monthly_cost: Decimal,
    currency: &'static str,
    shortfall: Vec<ShortfallView>,
    /// The order, if it is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<OrderView>,
}

/// The plan of an order.
#[derive(Serialize)]
pub(crate) struct PlanView {
    dry_run: bool,
    country: Country,
    ordered: usize,
    ready: usize,
    in_progress: usize,
    /// The draining numbers that would be ready again, without any cost.
    taken_back: Vec<E164>,
    /// Number of numbers that would be rented.
    rented: usize,
    /// Their monthly rent. A range, if more are missing than offers were looked at.
    monthly_cost: RangeView,
    currency: &'static str,
    shortfall: Vec<ShortfallView>,
}

#[derive(Serialize)]
struct RangeView {
    from: Decimal,
    to: Decimal,
}

impl PlanView {
    pub(crate) fn new(order: &Order, plan: &Plan) -> Self {
        let (known, beyond) = (plan.costs.iter().sum::<Decimal>(), plan.rented - plan.costs.len());
        let of_rest = |cost: Option<&Decimal>| known + cost.copied().unwrap_or_default() * Decimal::from(beyond);
        Self {
            dry_run: true,
            country: order.search.country,
            ordered: order.count,
            ready: plan.ready,
            in_progress: plan.in_progress,
            taken_back: written(&plan.taken_back),
            rented: plan.rented,
            monthly_cost: RangeView { from: of_rest(plan.costs.iter().min()), to: of_rest(plan.costs.iter().max()) },
            currency: CURRENCY,
            shortfall: plan.shortfall.iter().map(ShortfallView::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct ShortfallView {
    reason: ShortfallReason,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<E164>,
}

fn written(numbers: &[VirtualNumber]) -> Vec<E164> {
    numbers.iter().map(E164::from).collect()
}

fn monthly_cost(numbers: &[PoolNumber]) -> Decimal {
    numbers.iter().map(PoolNumber::rent).sum()
}

impl PoolView {
    /// Shows the pools of an owner, without countries.
    pub(crate) fn new(owner: Owner, ledger: &Ledger, monthly_budget: Option<Decimal>) -> Self {
        let (monthly_cost, tenants) = match owner {
            Owner::Deployment => (ledger.monthly_cost, TenantView::all(ledger)),
            Owner::Tenant(_) => (ledger.monthly_cost_of(owner), Vec::new()),
        };
        let tenant = owner.tenant();
        Self { tenant, countries: Vec::new(), monthly_cost, monthly_budget, currency: CURRENCY, tenants, next: None }
    }
}

impl TenantView {
    fn all(ledger: &Ledger) -> Vec<Self> {
        let tenants: BTreeSet<Tenant> = ledger.pools.iter().filter_map(|pool| pool.owner.tenant()).collect();
        let view = |tenant| {
            let owner = Owner::Tenant(tenant);
            Self { tenant, numbers: ledger.paid_by(owner), monthly_cost: ledger.monthly_cost_of(owner) }
        };
        tenants.into_iter().map(view).collect()
    }
}

impl UpkeepView {
    pub(crate) fn new(upkeep: &Upkeep, healing: &Healing, unhealthy: Unhealthy) -> Self {
        let with = unhealthy.numbers.iter().filter(|(_, networks)| !networks.is_empty());
        let names = |networks: &BTreeSet<Network>| networks.iter().map(ToString::to_string).collect();
        Self {
            application: upkeep.application.clone(),
            application_problem: upkeep.application_problem.as_ref().map(ToString::to_string),
            adopted: written(&upkeep.adopted),
            lost: written(&upkeep.lost),
            found_again: written(&upkeep.found_again),
            linked_again: written(&upkeep.linked_again),
            cancelled: written(&upkeep.cancelled),
            standing: written(&upkeep.standing),
            moved: written(&upkeep.moved),
            unhealthy_with: with.map(|(number, networks)| (number.into(), names(networks))).collect(),
            unhealthy: unhealthy.numbers.keys().map(E164::from).collect(),
            rotated: written(&unhealthy.rotated),
            rented: written(&upkeep.rented),
            healing: Some(healing).filter(|healing| **healing != Healing::default()).map(HealingView::new),
            shortfall: upkeep.shortfalls.iter().map(ShortfallView::new).collect(),
        }
    }
}

impl HealingView {
    pub(crate) fn new(healing: &Healing) -> Self {
        let Healing { healed, unhealed, failed, is_out_of_time } = *healing;
        Self { healed, unhealed, failed, out_of_time: is_out_of_time }
    }
}

impl CountryView {
    pub(crate) fn new(
        country: Country,
        counts: NumberCounts,
        peak_usage: Option<usize>,
        concurrent: Option<usize>,
    ) -> Self {
        let ready = counts.of(NumberState::Ready);
        // Each conversation of one caller needs its own number. Other callers can share these numbers.
        let forecast =
            |concurrent: usize| Forecast { concurrent, needed: concurrent, missing: concurrent.saturating_sub(ready) };
        Self {
            country,
            ready,
            peak_usage,
            headroom: peak_usage.map(|peak_usage| signed(ready) - signed(peak_usage)),
            forecast: concurrent.map(forecast),
            renting: counts.of(NumberState::Renting),
            linking: counts.of(NumberState::Linking),
            draining: counts.of(NumberState::Draining),
            lost: counts.of(NumberState::Lost),
            setting_aside: counts.of(NumberState::SettingAside),
            standing: counts.of(NumberState::Standing),
            monthly_cost: counts.monthly_cost,
            currency: CURRENCY,
            order: None,
            numbers: Vec::new(),
        }
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl OrderView {
    /// Shows an order whose numbers take at least `planned` each.
    pub(crate) fn new(open: &OpenOrder, progress: Progress, planned: Duration, now: Timestamp) -> Self {
        let seconds = |time: Timestamp| whole_second(time).to_string();
        Self {
            ordered: open.ordered.count,
            ready: progress.ready,
            in_progress: progress.in_progress,
            features: open.ordered.features.clone(),
            r#type: open.ordered.number_type,
            pattern: open.ordered.digits.pattern.clone(),
            area_codes: open.ordered.digits.area_codes.clone(),
            required: open.ordered.digits.are_named().then_some(!open.ordered.digits.is_preference),
            ordered_at: open.ordered_at.to_string(),
            estimated_end: open.estimated_end(progress.ready, planned, now).map(seconds),
            reason: open.reason,
            retry_at: open.retry_at.map(seconds),
        }
    }
}

impl NumberView {
    pub(crate) fn new(number: &PoolNumber) -> Self {
        Self {
            number: (&number.number).into(),
            tenant: number.owner.tenant(),
            r#type: number.number_type,
            features: number.features.clone(),
            monthly_cost: number.monthly_cost,
            state: number.state,
            added_at: number.added_at.to_string(),
            draining_since: number.draining_since.map(|time| time.to_string()),
            moves_to: None,
            rotating_since: number.rotating_since.map(|time| time.to_string()),
            missing_since: number.missing_since.map(|time| time.to_string()),
            health: None,
        }
    }

    /// Adds to whom the number moves, for the deployment: a tenant learns nothing of others.
    pub(crate) fn with_move(self, number: &PoolNumber, scope: Owner) -> Self {
        let moves_to = number.moves_to.filter(|_| scope.is_deployment()).map(|pool| pool.owner.tenant());
        Self { moves_to, ..self }
    }

    /// Adds the calls of the last days.
    pub(crate) fn with_health(self, health: Option<&Health>) -> Self {
        let view = |health: &Health| HealthView {
            days: health::DAYS,
            calls: health.all.calls,
            answered: health.all.answered,
            mean_talk_seconds: health.all.mean_seconds(),
            failed: health.failed.iter().map(|(failure, count)| (failure.as_str(), *count)).collect(),
            networks: NetworkView::of(health),
        };
        Self { health: health.filter(|health| health.all.calls > 0).map(view), ..self }
    }
}

impl NetworkView {
    /// Returns the networks of whose people enough were called, the most called first.
    fn of(health: &Health) -> Vec<Self> {
        let shown = health.networks.iter().filter(|(_, calls)| calls.calls >= health::LEAST_SHOWN);
        let view = |(network, calls): (&Network, &Calls)| Self {
            country: network.country,
            carrier: network.carrier,
            calls: calls.calls,
            answered: calls.answered,
            mean_talk_seconds: calls.mean_seconds(),
            falls_off: health.falls_off_with.contains(network),
        };
        let mut networks: Vec<_> = shown.map(view).collect();
        networks.sort_by_key(|network| std::cmp::Reverse(network.calls));
        networks
    }
}

impl DemandView {
    pub(crate) fn new(demand: &Demand, provisioned: &Provisioned) -> Self {
        Self {
            country: demand.country,
            wanted: demand.wanted,
            ready: provisioned.ready,
            rented: provisioned.added.iter().map(|number| E164::from(&number.number)).collect(),
            shortfall: provisioned.shortfalls.iter().map(ShortfallView::new).collect(),
        }
    }
}

impl ProvisionedView {
    pub(crate) fn new(order: &Order, provisioned: &Provisioned, open: Option<OrderView>) -> Self {
        Self {
            tenant: order.owner.tenant(),
            country: order.search.country,
            ordered: order.count,
            ready: provisioned.ready,
            in_progress: provisioned.in_progress,
            added: provisioned.added.iter().map(NumberView::new).collect(),
            monthly_cost: monthly_cost(&provisioned.added),
            currency: CURRENCY,
            shortfall: provisioned.shortfalls.iter().map(ShortfallView::new).collect(),
            order: open,
        }
    }
}

impl ShortfallView {
    fn new(shortfall: &Shortfall) -> Self {
        let detail = match (&shortfall.cause, shortfall.reason) {
            (Some(cause), _) => cause.to_string(),
            (None, ShortfallReason::Unconfirmed) => "the number is bought but Vonage does not list it yet".to_owned(),
            (None, ShortfallReason::OutOfTime) => {
                "the time of this run is over; the schedule goes on with the order".to_owned()
            }
            (None, ShortfallReason::OverBudget) => {
                "one more number would cost more a month than MONTHLY_BUDGET_EUR, or the budget of the tenant, allows"
                    .to_owned()
            }
            (None, ShortfallReason::NotAdopted) => {
                "the account has numbers that are linked to the application and missing from the pool".to_owned()
            }
            (None, ShortfallReason::AtCap) => {
                "the country has as many numbers as AUTO_RENT_MAX allows, or the tenant as many as it may have"
                    .to_owned()
            }
            (None, _) => "Vonage has no more numbers that fit the order".to_owned(),
        };
        Self { reason: shortfall.reason, detail, number: shortfall.number.as_ref().map(E164::from) }
    }
}
