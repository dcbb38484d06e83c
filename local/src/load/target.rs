//! The laptop stack that a load drives, one that runs or one of its own, and what is asked of it.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde_json::{Value, json};
use shared::vonage::http_client;

use super::meter::Pool;
use super::{Arguments, LoadError, Sample};
use crate::commands::LAPTOP;
use crate::console;
use crate::settings::Settings;
use crate::stack::{Options, Stack};

/// Country of all phones and numbers.
pub(super) const COUNTRY: &str = "GB";

/// The time after which a request has no answer. API Gateway's own limit is 30 seconds.
const TIME_LIMIT: Duration = Duration::from_secs(35);

/// The interval of the schedules on a stack of its own, as on the one that `maskline` starts.
const SCHEDULE: Duration = Duration::from_secs(60);

/// A laptop stack, and the process's own if it was started for the load.
pub(super) struct Target {
    pub(super) api: LaptopApi,
    own: Option<Stack>,
}

/// The API of a laptop stack, with its simulator.
#[derive(Debug, Clone)]
pub(super) struct LaptopApi {
    url: String,
    http: Client,
}

impl Target {
    /// Finds the stack that the options mean, or starts one.
    pub(super) async fn find(arguments: &Arguments, settings: Settings) -> Result<Self, LoadError> {
        let running = match (&arguments.url, arguments.own) {
            (Some(url), _) => Some(LaptopApi::at(url).await?),
            (None, true) => None,
            (None, false) => match LaptopApi::at(LAPTOP).await {
                Err(LoadError::NoAnswer { .. }) => None,
                found => Some(found?),
            },
        };
        match running {
            Some(api) => Ok(Self { api, own: None }),
            None => {
                let schedule = Some(SCHEDULE);
                let options = Options { settings, schedule, pipes: true, console: true, ..Options::default() };
                let stack = Stack::start(options).await?;
                let api = LaptopApi { url: stack.gateway_url.clone(), http: client()? };
                Ok(Self { api, own: Some(stack) })
            }
        }
    }

    /// Returns true if the stack was started for the load.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Stops a stack of its own.
    pub(super) async fn stop(self) {
        if let Some(stack) = self.own {
            stack.stop().await;
        }
    }
}

impl LaptopApi {
    /// Takes the stack at `url`, if it is one of a laptop. Only such a stack serves its simulator under its own address, and it has
    /// no other carrier.
    async fn at(url: &str) -> Result<Self, LoadError> {
        let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "http" && parsed.has_host());
        if parsed.is_none() {
            return Err(LoadError::NotALaptop(url.to_owned()));
        }
        let api = Self { url: url.trim_end_matches('/').to_owned(), http: client()? };
        let asked = api.simulator(Method::GET, "/account").send().await;
        let answer = asked.map_err(|error| no_answer(url, &error))?;
        let (status, account) = (answer.status(), answer.json::<Value>().await.unwrap_or_default());
        let is_simulated = status == StatusCode::OK && account["balance"].is_string() && account["redact"].is_boolean();
        if is_simulated { Ok(api) } else { Err(LoadError::NotALaptop(url.to_owned())) }
    }

    /// Makes the pool hold at least so many numbers. An order that is not complete goes on as long as each run adds some.
    pub(super) async fn order_numbers(&self, wanted: u32) -> Result<(), LoadError> {
        let order = json!({"country": COUNTRY, "count": wanted});
        let mut before = None;
        loop {
            let answer = self.api(Method::POST, "/numbers").json(&order).send().await;
            let answer = answer.map_err(|error| no_answer(&self.url, &error))?;
            let answer: Value = answer.json().await.map_err(|error| no_answer(&self.url, &error))?;
            let ready = answer["ready"].as_u64().unwrap_or(0);
            if ready >= wanted.into() {
                return Ok(());
            }
            if before.is_some_and(|before| before >= ready) {
                let reason = [&answer["shortfall"][0]["detail"], &answer["detail"]];
                let reason = reason.iter().find_map(|text| text.as_str()).unwrap_or("the API gave no reason");
                return Err(LoadError::Numbers { ready, wanted, reason: reason.to_owned() });
            }
            before = Some(ready);
        }
    }

    /// Returns the state of the pool; none if it cannot be read.
    pub(super) async fn pool(&self) -> Option<Pool> {
        let call = self.api(Method::GET, "/numbers").query(&[("country", COUNTRY), ("limit", "1")]);
        let answer: Value = call.send().await.ok()?.json().await.ok()?;
        let country = &answer["countries"][0];
        Some(Pool { ready: country["ready"].as_u64()?, in_use: country["high_water"].as_u64()? })
    }

    /// Shows a sample to the browsers that have the console open. A load goes on without them.
    pub(super) async fn tell_console(&self, sample: &Sample) {
        let url = format!("{}{}/load", self.url, console::PATH);
        drop(self.http.post(url).json(sample).send().await);
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Begins a request to the API.
    pub(super) fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Begins a request to the simulator behind this stack.
    pub(super) fn simulator(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{}/simulator{path}", self.url, console::PATH))
    }
}

/// Returns a client that follows nobody elsewhere.
fn client() -> Result<Client, LoadError> {
    let built = http_client(None).no_proxy().redirect(Policy::none()).timeout(TIME_LIMIT).build();
    built.map_err(|error| no_answer(LAPTOP, &error))
}

fn no_answer(url: &str, error: &reqwest::Error) -> LoadError {
    let reason = match error {
        _ if error.is_connect() => "nothing listens there".to_owned(),
        _ if error.is_timeout() => "it takes too long".to_owned(),
        other => other.to_string(),
    };
    LoadError::NoAnswer { url: url.to_owned(), reason }
}
