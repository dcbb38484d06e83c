//! `POST /numbers`: makes a country hold as many ready numbers as ordered. `GET /numbers`: the pool.

mod view;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Deserialize;
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, VonageConfig};
use shared::country::Country;
use shared::http::{self, Problem};
use shared::lambda::HttpFunction;
use shared::pool::{Feature, NumberType};
use shared::provisioning::{Order, Provisioner};
use shared::store::Store;
use shared::vonage::Vonage;
use shared::vonage::numbers::{NumbersApi, Search};

use crate::view::{CountryView, PoolView, ProvisionedView};

/// The provisioning of numbers.
pub struct ProvisionNumbers {
    provisioner: Provisioner,
    /// How long one request to Vonage may take.
    time_limit: Duration,
}

/// The most numbers that one order may ask for: a slip of the finger should not rent ten thousand.
const MAX_COUNT: usize = 1000;

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

    async fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let vonage = VonageConfig::from_environment(env)?;
        Ok(Self {
            time_limit: vonage.time_limit,
            provisioner: Provisioner {
                store: Store::connect(env).await?,
                numbers: NumbersApi(Vonage::new(vonage)),
                application_id: env.required("VONAGE_APPLICATION_ID")?,
                clock,
            },
        })
    }

    async fn handle(&self, request: Request) -> Result<Response<Body>, Problem> {
        if request.method() == Method::GET {
            return self.show().await;
        }
        let order: Order = http::read_json::<OrderBody>(&request)?.try_into()?;
        let provisioned = self.provisioner.provision(&order, deadline(&request, self.time_limit)).await?;
        let view = ProvisionedView::new(&order, &provisioned);
        match provisioned.into_failure() {
            Some(error) => Err(error.into()),
            None => Ok(http::json(StatusCode::OK, &view)),
        }
    }
}

impl ProvisionNumbers {
    async fn show(&self) -> Result<Response<Body>, Problem> {
        let store = &self.provisioner.store;
        let mut pool = PoolView::default();
        for country in store.pool_countries().await? {
            pool.countries.push(CountryView::new(country, store.pool_numbers(country).await?));
        }
        Ok(http::json(StatusCode::OK, &pool))
    }
}

/// When to begin with no further number: the three requests that one takes, and the writes between them, still end
/// before Lambda ends the function. None outside Lambda.
fn deadline(request: &Request, time_limit: Duration) -> Option<Timestamp> {
    let end = i64::try_from(request.lambda_context_ref()?.deadline).ok()?;
    let one_number = SignedDuration::try_from(time_limit).ok()?.checked_mul(3)? + SignedDuration::from_secs(2);
    (end > 0).then(|| Timestamp::from_millisecond(end).ok()).flatten().map(|end| end - one_number)
}

fn voice_and_sms() -> Vec<Feature> {
    vec![Feature::Voice, Feature::Sms]
}

impl TryFrom<OrderBody> for Order {
    type Error = Problem;

    fn try_from(body: OrderBody) -> Result<Self, Problem> {
        if !(1..=MAX_COUNT).contains(&body.count) {
            return Err(Problem::invalid("count", format!("Must be from 1 to {MAX_COUNT}.")));
        }
        if !body.features.contains(&Feature::Voice) {
            return Err(Problem::invalid("features", "Must contain VOICE: the numbers are there to be called."));
        }
        if let Some(pattern) = &body.pattern
            && !((1..=15).contains(&pattern.len()) && pattern.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(Problem::invalid("pattern", "Must be 1 to 15 digits."));
        }
        let OrderBody { country, count, features, number_type, pattern } = body;
        Ok(Self { search: Search { country, features, number_type, pattern }, count })
    }
}
