//! Runs a scenario once for each position at which a fault can occur.

use std::cell::Cell;
use std::sync::Arc;

use end_conversation::EndConversation;
use futures_util::future::join_all;
use keep_recordings::KeepRecordings;
use lambda_http::{Context, LambdaEvent};
use local::restore::RestoreError;
use provision_numbers::ProvisionNumbers;
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::config::Environment;
use shared::domain::country::Country;
use shared::edge::function::{HttpFunction, ScheduledFunction, answer_event};
use shared::service::demand;
use shared::service::provision::ORDERS_SOURCE;
use shared::service::restore::Restored;
use shared::xray::Tracer;
use testkit::{Builder, Laptop};

use crate::proxy::{Fault, FaultKind, Proxy};

/// Number of requests of a run at which each kind of fault is taken each time.
const EVERY_FAULT: usize = 6;

/// Lease of a provisioning run, in seconds.
const LEASE: i64 = 60;

/// Runs `scenario` with each fault at the first request of a run, the second one and so on, until a run ends without
/// reaching the fault: a crash before and after the request, a failure as the answer of Vonage or the event bus, and a table
/// that fails from then on. After one in twelve of these faults, the next run gets a second one at a random request. Each
/// execution has a new stack.
pub async fn at_every_request(what: &str, at_least: usize, scenario: impl AsyncFn(Scenario) -> Scenario) {
    let seed = std::env::var("MASKLINE_CRASH_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    let second = match std::env::var("MASKLINE_TEST_MISHAPS").as_deref() {
        Ok("1") => Second::None,
        Ok("2") => Second::All,
        _ => Second::Random(fastrand::Rng::with_seed(seed)),
    };
    println!("{what}: MASKLINE_CRASH_SEED={seed}");
    let (requests, stacks) = explore(&scenario, &[], second).await;
    println!("{what}: {} requests, {stacks} stacks. {}", requests.len(), requests.join(", "));
    assert!(requests.len() >= at_least, "{what} sends fewer requests than expected: {requests:?}");
}

/// The faults of the run after the one with the first fault.
enum Second {
    None,
    /// One, after one in twelve first faults.
    Random(fastrand::Rng),
    /// Every one, each on a new stack.
    All,
}

impl Second {
    /// True if every first fault is taken at this request, and not only the first kind. At late requests of long runs,
    /// each of the other kinds is taken in one run of the tests out of four, by chance.
    fn takes(&mut self, request: usize) -> bool {
        match self {
            Self::Random(random) if request > EVERY_FAULT => random.u8(..4) == 0,
            _ => true,
        }
    }

    /// Returns a second fault after one at this request, at a random request.
    fn draw(&mut self, request: usize) -> Option<Fault> {
        let Self::Random(random) = self else { return None };
        let kinds = [FaultKind::OF_VONAGE, FaultKind::OF_TABLE].concat();
        let fault = Fault { request: random.usize(1..=request + 6), kind: kinds[random.usize(..kinds.len())] };
        (random.u8(..12) == 0).then_some(fault)
    }
}

/// Returns the requests of a complete run, and the number of stacks that were started.
async fn explore(
    scenario: &impl AsyncFn(Scenario) -> Scenario,
    previous: &[Fault],
    mut second: Second,
) -> (Vec<String>, usize) {
    let run = async |faults: Vec<Fault>| scenario(Scenario { faults, requests: Vec::new() }).await.requests.clone();
    let mut stacks = 0;
    for request in 1.. {
        // Every request can meet the first kind. Its run shows of which sort the request is.
        let with = |kind| [previous, &[Fault { request, kind }]].concat();
        let requests = run(with(FaultKind::CrashBefore)).await;
        stacks += 1;
        let Some(name) = requests.get(request - 1) else { return (requests, stacks) };
        let is_of_table = !name.starts_with('/') && name != "PutEvents";
        let kinds = if is_of_table { FaultKind::OF_TABLE } else { FaultKind::OF_VONAGE };
        let firsts = kinds.map(with);
        let drawn = firsts.iter().filter_map(|first| Some([&first[..], &[second.draw(request)?]].concat()));
        let mut rest: Vec<_> = drawn.collect();
        rest.extend(firsts[1..].iter().filter(|_| second.takes(request)).cloned());
        let rest: Vec<_> = rest.into_iter().map(run).collect();
        stacks += rest.len();
        // At the same time, since most of a run is waiting.
        join_all(rest).await;
        if let Second::All = second {
            for first in &firsts {
                stacks += Box::pin(explore(scenario, first, Second::None)).await.1;
            }
        }
    }
    unreachable!("a run without an end")
}

/// The runs of one scenario that get a fault, one after the other.
pub struct Scenario {
    faults: Vec<Fault>,
    /// Names of the requests of the last run.
    requests: Vec<String>,
}

impl Scenario {
    /// Runs `run` with its fault, and then waits until its leases have ended.
    pub async fn run(&mut self, laptop: &Laptop, run: impl AsyncFn(Functions)) {
        for fault in self.faults.clone() {
            let (proxy, environment) = Proxy::start(&laptop.stack, fault).await;
            let run = run(Functions { environment, clock: laptop.clock.clone() });
            // Dropping the run at this point simulates the crash of its process.
            tokio::select! {
                () = proxy.until_crash() => {}
                () = run => {}
            }
            proxy.until_idle().await;
            self.requests = proxy.requests();
            laptop.advance(LEASE + 1);
        }
    }
}

thread_local! {
    /// True once the scenario that failed is reported. Those that ran at the same time are dropped after it.
    static IS_REPORTED: Cell<bool> = const { Cell::new(false) };
}

impl Drop for Scenario {
    fn drop(&mut self) {
        if std::thread::panicking() && !IS_REPORTED.replace(true) {
            let faults: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
            eprintln!("\nscenario with {}; requests of the last run: {}", faults.join(", "), self.requests.join(", "));
        }
    }
}

/// Returns the settings of a laptop.
pub fn builder() -> Builder {
    let settings = [("NUMBER_LOOKUP", "number-insight"), ("LIST_CONVERSATIONS", "on")];
    Laptop::builder().env(&settings).dynamodb_from_environment()
}

/// New instances of the functions, as after a cold start.
pub struct Functions {
    environment: Environment,
    clock: ManualClock,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Functions {
    /// Instances without a fault.
    pub fn of(laptop: &Laptop) -> Self {
        Self { environment: laptop.stack.environment.clone(), clock: laptop.clock.clone() }
    }

    async fn start<F: HttpFunction>(&self) -> F {
        // A slow machine must not cause a timeout.
        let patient = ("VONAGE_TIME_LIMIT_MS".to_owned(), "20000".to_owned());
        F::start(&self.environment.clone().with([patient]), Arc::new(self.clock.clone())).unwrap()
    }

    /// Answers an event in the form of API Gateway.
    pub async fn answer<F: HttpFunction>(&self, event: &Value) -> Answer {
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        let response = self.start::<F>().await.answer(request).await;
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        Answer { status: response.status().as_u16(), body: testkit::digits(body) }
    }

    /// Runs the schedule of the numbers. Returns its report.
    pub async fn tick(&self) -> Value {
        self.tick_of::<ProvisionNumbers>().await
    }

    /// Runs the schedule of erasures. Returns its report.
    pub async fn tick_of_erasures(&self) -> Value {
        self.tick_of::<EndConversation>().await
    }

    /// Runs the function that rents for refused creations. Returns its report.
    pub async fn fulfil_demand(&self, country: &str) -> Value {
        let country = Country::try_from(country).unwrap();
        self.give::<ProvisionNumbers>(demand::event(country)).await
    }

    /// Runs the schedule of orders. Returns its report.
    pub async fn carry_out_orders(&self) -> Value {
        self.give::<ProvisionNumbers>(json!({"source": ORDERS_SOURCE})).await
    }

    /// Repairs the restored table of this name.
    pub async fn restore(&self, table: &str) -> Result<Restored, RestoreError> {
        let environment = self.environment.clone().with([("TABLE_NAME".to_owned(), table.to_owned())]);
        local::restore::repair(&environment, Arc::new(self.clock.clone())).await
    }

    /// Runs the function that keeps recordings with this event. Returns its report. It fetches the file from the simulator itself,
    /// because the address of a file is at its host.
    pub async fn keep_recordings(&self, event: Value, vonage_url: &str) -> Value {
        let environment = self.environment.clone().with([("VONAGE_API_URL".to_owned(), vonage_url.to_owned())]);
        Self { environment, clock: self.clock.clone() }.give::<KeepRecordings>(event).await
    }

    async fn tick_of<F: ScheduledFunction>(&self) -> Value {
        self.give::<F>(json!({"source": "aws.events"})).await
    }

    async fn give<F: ScheduledFunction>(&self, event: Value) -> Value {
        self.try_to_give::<F>(&event).await.unwrap()
    }

    /// Gives a function an event of its own. An error means that Lambda would deliver it again.
    pub async fn try_to_give<F: ScheduledFunction>(&self, event: &Value) -> Result<Value, lambda_http::Error> {
        let event = LambdaEvent::new(serde_json::value::to_raw_value(event).unwrap(), Context::default());
        answer_event(&self.start::<F>().await, event, &Tracer::default()).await
    }
}
