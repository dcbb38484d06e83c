//! `GET /numbers/requirements` tells what has to be known and done before numbers are ordered.
//!
//! `POST /numbers` rents numbers until a country has as many as ordered, `GET /numbers` shows the pool, and
//! `DELETE /numbers/{number}` drains a number, and `POST /numbers/{number}/rotate` does too and moves its conversations.
//! `POST /setup` sets up the Voice application. `GET` and `PATCH /numbers/{number}` show and change what callers meet by a number.
//! A schedule runs the upkeep of the pool, and `POST /conversations` invokes this function to have numbers rented that a refused
//! conversation lacks. Another schedule goes on with orders that are not complete.

mod page;
mod requirements;
mod settings;
mod setup;
mod tenants;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, VonageConfig};
use shared::domain::call_limits::CallLimits;
use shared::domain::card_link::{CardKey, CardLinks};
use shared::domain::country::Country;
use shared::domain::order::WantedDigits;
use shared::domain::peak_usage;
use shared::domain::phone::{E164, PhoneNumber, VirtualNumber};
use shared::domain::pool::{Feature, NumberState, NumberType, PoolNumber};
use shared::domain::tenant::{Owner, Pool};
use shared::edge::deadline;
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::edge::http::{self, NumberReaders, Problem, Query, TenantClaim};
use shared::edge::request_log::RequestLog;
use shared::service::announce::Announcer;
use shared::service::create::ROUTES_READ;
use shared::service::demand::{CHECK_SOURCE, DEMAND_SOURCE, DemandRecorder};
use shared::service::heal::Healer;
use shared::service::pool_cache::PoolCache;
use shared::service::provision::{
    ApplicationProblem, Drained, Headroom, ORDERS_SOURCE, Order, Provisioned, Provisioner, PublicEndpoint, Rotated,
    ShortfallCause, Unhealthy,
};
use shared::store::{Store, StoreError};
use shared::vonage::Vonage;
use shared::vonage::numbers::Search;
use shared::vonage::texts::Texts;

pub use crate::tenants::decode_settings;

use crate::page::{Cursor, PageQuery};
use crate::view::{
    CountryView, DemandView, HealingView, NumberView, OrderView, PlanView, PoolView, Progress, ProvisionedView,
    UpkeepView,
};

/// The function that provisions numbers.
pub struct ProvisionNumbers {
    /// The claim that says which requests a token may send.
    tenant_claim: Option<TenantClaim>,
    readers: NumberReaders,
    provisioner: Provisioner,
    healer: Healer<Texts>,
    headroom: Headroom,
    /// True if numbers that fall off are rotated.
    rotates_unhealthy: bool,
    public_url: Option<String>,
    card_key: CardKey,
    /// Region that the Voice application is to have.
    region: Option<String>,
    /// Limits of calls that belong to no conversation.
    limits: CallLimits,
}

/// Time of a scheduled run that is kept for healing conversations.
const TIME_TO_HEAL: SignedDuration = SignedDuration::from_secs(60);

/// The reason for which a run does nothing.
const NOT_REPAIRED: &str = "the journal belongs to another table: this one was restored and not repaired. Stop changes, run \
    `maskline restore` on this table, and read \"The table\" in docs/operations.md. Until then nothing is bought and released";

/// Largest number of pairs of tenant and country. The ledger has a few counts of each, and is one item.
const MOST_POOLS_OF_TENANTS: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    country: Country,
    count: usize,
    /// True if the answer tells what would be done, and nothing is done.
    #[serde(default)]
    dry_run: bool,
    #[serde(default = "voice_and_sms")]
    features: Vec<Feature>,
    #[serde(rename = "type", default)]
    number_type: Option<NumberType>,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    area_codes: Option<Vec<String>>,
    /// True if no other numbers are taken when Vonage has none with these digits.
    #[serde(default)]
    required: Option<bool>,
}

impl HttpFunction for ProvisionNumbers {
    const NAME: &'static str = "provision-numbers";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let vonage = Vonage::new(VonageConfig::from_environment(env)?);
        let (numbers, caps) = (env.country_counts("HEADROOM")?, env.country_counts("AUTO_RENT_MAX")?);
        let store = Store::connect(env)?.with_journal(env)?;
        Ok(Self {
            tenant_claim: TenantClaim::from_environment(env),
            readers: NumberReaders::from_environment(env)?,
            healer: Healer {
                senders: env.brand_senders()?,
                // This function rents by itself, in its next run.
                demand: DemandRecorder {
                    store: store.clone(),
                    auto_rent_max: caps.clone(),
                    provisioning: None,
                    clock: clock.clone(),
                },
                store: store.clone(),
                text_time_limit: vonage.time_limit(),
                texts: Texts::from_environment(env, vonage.clone(), clock.clone())?,
                words: env.words()?,
                clock: clock.clone(),
                fallback: env.countries("FALLBACK_COUNTRIES")?,
                cache: PoolCache::default(),
                routes_read: ROUTES_READ,
                announcer: Announcer::from_environment(env)?,
                heals: env.heals_lost_numbers()?,
            },
            provisioner: Provisioner::new(env, store, vonage, clock)?,
            headroom: Headroom { numbers, caps },
            rotates_unhealthy: env.rotates_unhealthy_numbers()?,
            public_url: env.public_url()?,
            card_key: CardKey::new(&env.hash_key()?.0),
            region: env.vonage_region()?,
            limits: env.limits_without_conversation()?,
        })
    }

    fn tenant_claim(&self) -> Option<&TenantClaim> {
        self.tenant_claim.as_ref()
    }

    async fn warm_up(&self) {
        self.provisioner.store.warm_up().await;
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        let is_of_one = request.path_parameters_ref().is_some_and(|parameters| parameters.first("number").is_some());
        let is_of_tenant = request.uri().path().starts_with("/tenants/");
        let has_parameters = |page: &&str| request.uri().path().ends_with(*page);
        let reads_query = is_of_tenant || ["/numbers", "/requirements", "/tenants"].iter().any(has_parameters);
        if *request.method() != Method::GET || !reads_query {
            Query::refuse(&request)?;
        }
        match *request.method() {
            Method::GET if is_of_one => {
                log.outcome = "shown";
                self.show_number(&request).await
            }
            Method::PUT => {
                log.outcome = "set";
                self.set_tenant(&request).await
            }
            Method::GET if is_of_tenant => {
                log.outcome = "shown";
                self.show_tenant(&request).await
            }
            Method::GET if request.uri().path() == "/tenants" => {
                log.outcome = "shown";
                self.show_tenants(&request).await
            }
            Method::PATCH => {
                log.outcome = "changed";
                self.change_number(&request).await
            }
            Method::GET if request.uri().path().ends_with("/requirements") => {
                log.outcome = "shown";
                self.show_requirements(&request).await
            }
            Method::GET => {
                log.outcome = "shown";
                self.show(&request).await
            }
            Method::POST if is_of_one => {
                log.outcome = "rotating";
                self.rotate(&request).await
            }
            Method::POST if request.uri().path().ends_with("/setup") => {
                log.outcome = "set_up";
                self.set_up(&request).await
            }
            Method::DELETE => {
                log.outcome = "draining";
                self.drain(&request).await
            }
            _ => {
                log.outcome = "provisioned";
                self.order(&request).await
            }
        }
    }
}

impl ScheduledFunction for ProvisionNumbers {
    async fn tick(&self, event: Value, deadline: Option<Timestamp>) -> Value {
        let report = match self.owns_journal().await {
            Ok(true) => match event["source"].as_str() {
                Some(DEMAND_SOURCE) => self.fulfil_demand(&event, deadline).await,
                Some(CHECK_SOURCE) => self.check_number(&event, deadline).await,
                Some(ORDERS_SOURCE) => self.carry_out_orders(deadline).await,
                _ => self.keep_pool(&event, deadline).await,
            },
            Ok(false) => {
                tracing::error!(schedule_failures = 1u64, "{NOT_REPAIRED}");
                Ok(json!({"failed": NOT_REPAIRED}))
            }
            Err(error) => Err(error),
        };
        report.unwrap_or_else(|error| {
            tracing::error!(schedule_failures = 1u64, cause = %error, "pool upkeep failed");
            json!({"failed": error.to_string()})
        })
    }
}

impl ProvisionNumbers {
    /// True if the journal belongs to this table. If not, the table was restored, and it is not known which numbers are ours.
    async fn owns_journal(&self) -> Result<bool, StoreError> {
        self.provisioner.store.claim_journal(self.provisioner.clock.now()).await
    }

    /// Rents what refused creations of the event's country wait for.
    async fn fulfil_demand(&self, event: &Value, deadline: Option<Timestamp>) -> Result<Value, StoreError> {
        let country = match event["country"].as_str().map(Country::try_from) {
            Some(Ok(country)) => country,
            Some(Err(error)) => return Ok(json!({"failed": format!("the event's country is {error}")})),
            None => return Ok(json!({"failed": "the event names no country"})),
        };
        let fulfilled = self.provisioner.fulfil_demand(Some(country), &self.headroom.caps, deadline).await?;
        Ok(json!(fulfilled.iter().map(|(demand, done)| DemandView::new(demand, done)).collect::<Vec<_>>()))
    }

    /// Goes on with the open orders.
    async fn carry_out_orders(&self, deadline: Option<Timestamp>) -> Result<Value, StoreError> {
        let done = self.provisioner.carry_out_orders(deadline).await?;
        for (order, provisioned) in &done {
            let country = order.ordered.country;
            let (added, ready) = (provisioned.added.len(), provisioned.ready);
            for shortfall in &provisioned.shortfalls {
                let (reason, cause) = (shortfall.reason.as_str(), shortfall.cause.as_ref().map(ToString::to_string));
                tracing::warn!(%country, added, ready, reason, cause, "an order is not complete");
            }
        }
        Ok(json!(done.iter().map(|(order, done)| self.provisioned(&Order::from(order), done)).collect::<Vec<_>>()))
    }

    fn provisioned(&self, order: &Order, done: &Provisioned) -> ProvisionedView {
        let open = done.open.as_ref().map(|open| {
            let progress = Progress { ready: done.ready, in_progress: done.in_progress };
            OrderView::new(open, progress, self.provisioner.numbers.pace(), self.provisioner.clock.now())
        });
        ProvisionedView::new(order, done, open)
    }

    /// Checks the number of the event, from which a text message was refused.
    async fn check_number(&self, event: &Value, deadline: Option<Timestamp>) -> Result<Value, StoreError> {
        let number = event["number"].as_str().and_then(|digits| PhoneNumber::try_from(digits).ok());
        let Some(number) = number.map(VirtualNumber::from) else {
            return Ok(json!({"failed": "the event names no number"}));
        };
        match self.provisioner.check_number(&number).await? {
            Ok(is_lost) => {
                let Some(missing) = self.provisioner.missing_number(&number).await?.filter(|_| is_lost) else {
                    return Ok(json!({"number": E164::from(&number), "lost": is_lost}));
                };
                tracing::error!(%number, lost_numbers = 1u64, "Vonage does not list a number of the pool any more");
                let missing = [missing];
                self.provisioner.announce(&missing).await?;
                let cards = self.card_links(event);
                let healing = self.healer.run(&missing, cards.as_ref(), deadline).await?;
                Ok(json!({"number": E164::from(&number), "lost": is_lost, "healing": HealingView::new(&healing)}))
            }
            Err(error) => {
                // The schedule compares all numbers.
                tracing::warn!(%number, cause = %error, "the check of a number at Vonage failed");
                Ok(json!({"number": E164::from(&number), "failed": error.to_string()}))
            }
        }
    }

    /// Returns the public endpoint of this deployment: `PUBLIC_URL`, or else the URL of API Gateway in the schedule's event.
    fn public_endpoint<'a>(&'a self, event: &'a Value) -> Option<PublicEndpoint<'a>> {
        let gateway_url = event["public_url"].as_str().filter(|url| url.starts_with("http"));
        let public_url = self.public_url.as_deref().or(gateway_url)?;
        Some(PublicEndpoint { public_url, gateway_url, take_over: event["take_over"] == true })
    }

    /// Returns the links to contact cards at this deployment's address, if the address is known.
    fn card_links(&self, event: &Value) -> Option<CardLinks> {
        let base = self.public_endpoint(event)?.public_url.trim_end_matches('/').to_owned();
        Some(CardLinks { base, key: self.card_key.clone() })
    }

    async fn keep_pool(&self, event: &Value, deadline: Option<Timestamp>) -> Result<Value, StoreError> {
        let until = deadline.map(|deadline| deadline - TIME_TO_HEAL);
        let upkeep = self.provisioner.upkeep(self.public_endpoint(event), &self.headroom, until).await?;
        match &upkeep.application_problem {
            Some(problem @ ApplicationProblem::ServesAnother) => {
                tracing::error!(application_foreign = 1u64, cause = %problem, "the Voice application does not serve this deployment");
            }
            Some(problem) => {
                tracing::error!(schedule_failures = 1u64, cause = %problem, "the Voice application is not checked");
            }
            None => {}
        }
        let causes = upkeep.shortfalls.iter().filter_map(|shortfall| shortfall.cause.as_ref());
        for cause in causes.filter(|cause| matches!(cause, ShortfallCause::Table(_))) {
            tracing::error!(schedule_failures = 1u64, %cause, "the table refused a step of the pool's upkeep");
        }
        let lost_numbers = upkeep.lost_numbers;
        if lost_numbers > 0 {
            tracing::error!(lost_numbers, "Vonage does not list numbers of the pool any more");
        } else {
            tracing::info!(lost_numbers, "Vonage lists all numbers of the pool");
        }
        tracing::info!(monthly_rent = upkeep.monthly_rent.to_f64(), "rent of all numbers in EUR");
        for (country, pool_headroom) in &upkeep.headroom {
            tracing::info!(%country, pool_headroom, "ready numbers beyond the peak usage of one caller");
        }
        let unhealthy = self.check_health().await?;
        let mut left = upkeep.left.clone();
        for number in &unhealthy.rotated {
            left.extend(self.provisioner.store.pool_number(number).await?);
        }
        let healing = self.healer.run(&left, self.card_links(event).as_ref(), deadline).await?;
        Ok(json!(UpkeepView::new(&upkeep, &healing, unhealthy)))
    }

    async fn check_health(&self) -> Result<Unhealthy, StoreError> {
        let unhealthy = self.provisioner.check_health(self.rotates_unhealthy).await?;
        let unhealthy_numbers = unhealthy.numbers.len();
        if unhealthy_numbers > 0 {
            tracing::warn!(
                unhealthy_numbers,
                "fewer people answer calls from numbers of the pool than from the others"
            );
        } else {
            tracing::info!(unhealthy_numbers, "no number falls off against the others");
        }
        Ok(unhealthy)
    }

    async fn order(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let body: OrderBody = http::read_json(request)?;
        let is_dry_run = body.dry_run;
        let order = Order { owner: http::scope(request)?, ..body.try_into()? };
        if order.count > Order::MAX_COUNT_WITHOUT_BUDGET && self.provisioner.monthly_budget.is_none() {
            return Err(Problem::invalid(
                "count",
                format!(
                    "More than {} numbers are ordered only if MONTHLY_BUDGET_EUR limits what they may cost.",
                    Order::MAX_COUNT_WITHOUT_BUDGET
                ),
            ));
        }
        self.check_place(order.pool()).await?;
        if is_dry_run {
            let plan = self.provisioner.plan(&order).await?;
            return Ok(http::json(StatusCode::OK, &PlanView::new(&order, &plan)));
        }
        let deadline = deadline::of_work(request, self.provisioner.clock.now());
        let provisioned = self.provisioner.order(&order, deadline).await?;
        let view = self.provisioned(&order, &provisioned);
        match provisioned.into_failure() {
            Some(error) => Err(error.into()),
            None => Ok(http::json(StatusCode::OK, &view)),
        }
    }

    /// Refuses an order for one pool too many of tenants.
    async fn check_place(&self, pool: Pool) -> Result<(), Problem> {
        if pool.owner.is_deployment() {
            return Ok(());
        }
        let pools = self.provisioner.store.ledger().await?.pools;
        let of_tenants = pools.iter().filter(|pool| !pool.owner.is_deployment()).count();
        if pools.contains(&pool) || of_tenants < MOST_POOLS_OF_TENANTS {
            return Ok(());
        }
        let detail = format!(
            "The tenants have numbers in {of_tenants} pairs of tenant and country, which is the most that one deployment can have."
        );
        Err(Problem::new(StatusCode::CONFLICT, "too-many-pools", "Too many pools", detail))
    }

    async fn show(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let (owner, query) = (http::scope(request)?, PageQuery::read(request)?);
        let (store, now) = (&self.provisioner.store, self.provisioner.clock.now());
        let (ledger, peak_usage, orders) = tokio::try_join!(store.ledger(), store.peak_usage(now), store.orders())?;
        let budget = self.budget_of(owner).await?;
        let mut pool = PoolView::new(owner, &ledger, budget);
        let orders: Vec<_> = orders.into_iter().filter(|order| order.ordered.owner == owner).collect();
        let mut countries: BTreeSet<Country> = ledger.pools_of(owner).map(|pool| pool.country).collect();
        countries.extend(orders.iter().map(|order| order.ordered.country));
        for country in countries.into_iter().filter(|country| query.country.is_none_or(|only| only == *country)) {
            let counts = ledger.counts(Pool { owner, country });
            let peak_usage = owner.is_deployment().then(|| peak_usage.of(country, peak_usage::day(now)));
            let mut view = CountryView::new(country, counts, peak_usage, query.concurrent);
            view.order = orders.iter().find(|order| order.ordered.country == country).map(|order| {
                let progress = Progress { ready: counts.of(NumberState::Ready), in_progress: counts.in_progress() };
                OrderView::new(order, progress, self.provisioner.numbers.pace(), now)
            });
            pool.countries.push(view);
        }
        let mut left = query.limit;
        for view in &mut pool.countries {
            if left == 0 {
                pool.next = Some(Cursor::before(view.country).to_string());
                break;
            }
            let of_country = Pool { owner, country: view.country };
            let page = query.numbers(store, of_country, ledger.counts(of_country), left).await?;
            left = left.saturating_sub(u16::try_from(page.numbers.len()).unwrap_or(left));
            let health = match (page.numbers.first(), page.numbers.last()) {
                (Some(first), Some(last)) => store.health_between([&first.number, &last.number], now).await?,
                _ => BTreeMap::new(),
            };
            let shown = |number: &PoolNumber| {
                NumberView::new(number).with_move(number, owner).with_health(health.get(&number.number))
            };
            view.numbers = page.numbers.iter().map(shown).collect();
            if let Some(last) = page.next {
                pool.next = Some(Cursor { country: view.country, number: Some(last) }.to_string());
                break;
            }
        }
        Ok(http::json(StatusCode::OK, &pool))
    }

    async fn drain(&self, request: &Request) -> Result<Response<Body>, Problem> {
        match self.provisioner.drain(&self.number_of(request).await?).await? {
            Drained::Draining(number) => Ok(http::json(StatusCode::OK, &NumberView::new(&number))),
            Drained::Busy(_) => Err(still_being_rented()),
            Drained::SetAside => Err(is_set_aside()),
            Drained::Unknown => Err(http::no_number()),
        }
    }

    /// Starts to rotate a number. The schedule moves its conversations.
    async fn rotate(&self, request: &Request) -> Result<Response<Body>, Problem> {
        match self.provisioner.rotate(&self.number_of(request).await?).await? {
            Rotated::Rotating(number) => Ok(http::json(StatusCode::OK, &NumberView::new(&number))),
            Rotated::NoOther(country) => Err(Problem::new(
                StatusCode::CONFLICT,
                "no-other-number",
                "No other number",
                format!(
                    "{country} has no other ready number to which conversations could move. Order one first, by POST /numbers."
                ),
            )),
            Rotated::Busy => Err(still_being_rented()),
            Rotated::SetAside => Err(is_set_aside()),
            Rotated::Unknown => Err(http::no_number()),
        }
    }
}

fn still_being_rented() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "number-not-ready",
        "Number not ready",
        "The number is still being rented. Repeat the order of the country to finish that, then try again.",
    )
}

fn is_set_aside() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "number-set-aside",
        "Number is a standing mask",
        "People may know this number. End its standing mask first, by a PATCH with standing null.",
    )
}

fn voice_and_sms() -> Vec<Feature> {
    vec![Feature::Voice, Feature::Sms]
}

impl OrderBody {
    /// Returns the digits of the numbers.
    fn digits(&self) -> Result<WantedDigits, Problem> {
        let has_digits =
            |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if self.pattern.as_ref().is_some_and(|pattern| !has_digits(pattern, 15)) {
            return Err(Problem::invalid("pattern", "Must be 1 to 15 digits."));
        }
        let mut area_codes: Vec<String> = Vec::new();
        for (position, written) in self.area_codes.iter().flatten().enumerate() {
            let invalid = |detail: &str| Problem::invalid(format!("area_codes[{position}]"), detail);
            let area = self.country.area_code(written);
            if !has_digits(&area, 7) || written.len() > 8 {
                return Err(invalid("Must be 1 to 7 digits, such as 20 or 020."));
            }
            if area_codes.contains(&area) {
                return Err(invalid("This area code is in the list already."));
            }
            area_codes.push(area);
        }
        let most = WantedDigits::MOST_AREA_CODES;
        if self.area_codes.as_ref().is_some_and(Vec::is_empty) || area_codes.len() > most {
            return Err(Problem::invalid("area_codes", format!("Must have 1 to {most} elements.")));
        }
        if self.pattern.is_some() && !area_codes.is_empty() {
            return Err(Problem::invalid(
                "area_codes",
                "Vonage searches for a pattern or for an area code, not for both.",
            ));
        }
        let is_preference = self.required == Some(false);
        let digits = WantedDigits { pattern: self.pattern.clone(), area_codes, is_preference };
        match self.required.is_some() && !digits.are_named() {
            true => Err(Problem::invalid("required", "Needs pattern or area_codes.")),
            false => Ok(digits),
        }
    }
}

impl TryFrom<OrderBody> for Order {
    type Error = Problem;

    fn try_from(body: OrderBody) -> Result<Self, Problem> {
        if !(1..=Order::MAX_COUNT).contains(&body.count) {
            return Err(Problem::invalid("count", format!("Must be from 1 to {}.", Order::MAX_COUNT)));
        }
        if !body.features.contains(&Feature::Voice) {
            return Err(Problem::invalid("features", "Must contain VOICE, because people call the numbers."));
        }
        let digits = body.digits()?;
        let OrderBody { country, count, features, number_type, .. } = body;
        Ok(Self {
            owner: Owner::Deployment,
            search: Search { country, features, number_type, digits },
            count,
            cap: None,
        })
    }
}
