//! `POST /numbers` rents numbers until a country has as many as ordered, `GET /numbers` shows the pool, and
//! `DELETE /numbers/{number}` drains a number. A schedule runs the upkeep of the pool, and `POST /conversations` invokes
//! this function to have numbers rented that a refused conversation lacks.

mod view;

use jiff::Timestamp;
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, VonageConfig};
use shared::domain::country::Country;
use shared::domain::peak_usage;
use shared::domain::phone::PhoneNumber;
use shared::domain::pool::{Feature, NumberType};
use shared::edge::deadline;
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::service::demand::DEMAND_SOURCE;
use shared::service::provision::{Drained, Headroom, Order, Provisioner, PublicEndpoint};
use shared::store::{Store, StoreError};
use shared::vonage::Vonage;
use shared::vonage::numbers::Search;

use crate::view::{CountryView, DemandView, NumberView, PoolView, ProvisionedView, UpkeepView};

/// The function that provisions numbers.
pub struct ProvisionNumbers {
    provisioner: Provisioner,
    headroom: Headroom,
}

/// Largest number of concurrent conversations in a forecast.
const MAX_CONCURRENT: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    country: Country,
    count: usize,
    #[serde(default = "voice_and_sms")]
    features: Vec<Feature>,
    #[serde(rename = "type", default)]
    number_type: Option<NumberType>,
    #[serde(default)]
    pattern: Option<String>,
}

impl HttpFunction for ProvisionNumbers {
    const NAME: &'static str = "provision-numbers";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let vonage = Vonage::new(VonageConfig::from_environment(env)?);
        let (numbers, caps) = (env.country_counts("HEADROOM")?, env.country_counts("AUTO_RENT_MAX")?);
        Ok(Self {
            provisioner: Provisioner::new(env, Store::connect(env)?, vonage, clock)?,
            headroom: Headroom { numbers, caps },
        })
    }

    async fn warm_up(&self) {
        self.provisioner.store.warm_up().await;
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        match *request.method() {
            Method::GET => {
                log.outcome = "shown";
                self.show(&request).await
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
        let report = match event["source"].as_str() {
            Some(DEMAND_SOURCE) => self.fulfil_demand(&event, deadline).await,
            _ => self.keep_pool(&event, deadline).await,
        };
        report.unwrap_or_else(|error| {
            tracing::error!(schedule_failures = 1u64, cause = %error, "pool upkeep failed");
            json!({"failed": error.to_string()})
        })
    }
}

impl ProvisionNumbers {
    /// Rents what refused creations of the event's country wait for.
    async fn fulfil_demand(&self, event: &Value, deadline: Option<Timestamp>) -> Result<Value, StoreError> {
        let country = event["country"].as_str().and_then(|code| Country::try_from(code).ok());
        let Some(country) = country else { return Ok(json!({"failed": "the event names no country"})) };
        let fulfilled = self.provisioner.fulfil_demand(Some(country), &self.headroom.caps, deadline).await?;
        Ok(json!(fulfilled.iter().map(|(demand, done)| DemandView::new(demand, done)).collect::<Vec<_>>()))
    }

    async fn keep_pool(&self, event: &Value, deadline: Option<Timestamp>) -> Result<Value, StoreError> {
        let upkeep = self.provisioner.upkeep(public_endpoint(event), &self.headroom, deadline).await?;
        if let Some(problem) = &upkeep.application_problem {
            tracing::error!(schedule_failures = 1u64, cause = %problem, "the Voice application does not serve this deployment");
        }
        let missing = upkeep.missing.len();
        if missing > 0 {
            tracing::error!(missing, "numbers of the pool are missing at Vonage");
        }
        for (country, pool_headroom) in &upkeep.headroom {
            tracing::info!(%country, pool_headroom, "ready numbers beyond the peak usage of one caller");
        }
        Ok(json!(UpkeepView::new(&upkeep)))
    }

    async fn order(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let order: Order = http::read_json::<OrderBody>(request)?.try_into()?;
        let deadline = deadline::of_work(request, self.provisioner.clock.now());
        let provisioned = self.provisioner.provision(&order, deadline).await?;
        let view = ProvisionedView::new(&order, &provisioned);
        match provisioned.into_failure() {
            Some(error) => Err(error.into()),
            None => Ok(http::json(StatusCode::OK, &view)),
        }
    }

    async fn show(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let concurrent = concurrent(request)?;
        let (store, now) = (&self.provisioner.store, self.provisioner.clock.now());
        let (ledger, peak_usage) = tokio::try_join!(store.ledger(), store.peak_usage(now))?;
        let mut pool = PoolView::new(&ledger, self.provisioner.monthly_budget);
        for country in ledger.countries {
            let numbers = store.pool_numbers(country).await?;
            let peak_usage = peak_usage.of(country, peak_usage::day(now));
            pool.countries.push(CountryView::new(country, numbers, peak_usage, concurrent));
        }
        Ok(http::json(StatusCode::OK, &pool))
    }

    async fn drain(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let number = request.path_parameters_ref().and_then(|parameters| parameters.first("number"));
        let number = number.and_then(|digits| PhoneNumber::try_from(digits.trim_start_matches('+')).ok());
        let unknown = || Problem::not_found("There is no such number in the pool.");
        match self.provisioner.drain(&number.ok_or_else(unknown)?.into()).await? {
            Drained::Draining(number) => Ok(http::json(StatusCode::OK, &NumberView::new(&number))),
            Drained::Busy(_) => Err(Problem::new(
                StatusCode::CONFLICT,
                "number-not-ready",
                "Number not ready",
                "The number is still being rented. Repeat the order of the country to finish that, then try again.",
            )),
            Drained::Unknown => Err(unknown()),
        }
    }
}

/// Reads the public endpoint of this deployment from the schedule's event.
fn public_endpoint(event: &Value) -> Option<PublicEndpoint<'_>> {
    let public_url = event["public_url"].as_str().filter(|url| url.starts_with("http"))?;
    Some(PublicEndpoint { public_url, take_over: event["take_over"] == true })
}

/// Reads the parameter `concurrent`.
fn concurrent(request: &Request) -> Result<Option<usize>, Problem> {
    let parameters = request.query_string_parameters_ref();
    let Some(text) = parameters.and_then(|parameters| parameters.first("concurrent")) else { return Ok(None) };
    match text.parse() {
        Ok(count) if (1..=MAX_CONCURRENT).contains(&count) => Ok(Some(count)),
        _ => Err(Problem::invalid("concurrent", format!("Must be from 1 to {MAX_CONCURRENT}."))),
    }
}

fn voice_and_sms() -> Vec<Feature> {
    vec![Feature::Voice, Feature::Sms]
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
        if let Some(pattern) = &body.pattern
            && !((1..=15).contains(&pattern.len()) && pattern.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(Problem::invalid("pattern", "Must be 1 to 15 digits."));
        }
        let OrderBody { country, count, features, number_type, pattern } = body;
        Ok(Self { search: Search { country, features, number_type, pattern }, count, cap: None })
    }
}
