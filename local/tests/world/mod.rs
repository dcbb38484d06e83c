//! What a test of many runs sees from outside: a laptop stack of its own, the Vonage account, and the whole table.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use local::stack::{Options, Stack, account};
use reqwest::Client;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use shared::clock::{Clock, ManualClock};
use shared::domain::pool::NumberState;

pub use table::Table;

/// The laptop's balance at the start.
const BALANCE: i64 = 1000;

/// A laptop stack with a clock that stands still.
pub struct World {
    pub stack: Stack,
    pub clock: ManualClock,
    http: Client,
    table: String,
}

impl World {
    /// On the embedded DynamoDB, or on the one that `MASKLINE_TEST_DYNAMODB_URL` names; with variables of the functions
    /// that differ from the laptop's own.
    pub async fn start(environment: &[(&str, &str)]) -> Self {
        let clock = ManualClock::at(Timestamp::now());
        let table = format!("maskline-{}", uuid::Uuid::new_v4());
        // A busy machine is no failure.
        let patient = [("DYNAMODB_TIME_LIMIT_MS", "60000")];
        let environment = patient.iter().chain(environment);
        let options = Options {
            table: table.clone(),
            dynamodb_url: std::env::var("MASKLINE_TEST_DYNAMODB_URL").ok(),
            environment: environment.map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            clock: Arc::new(clock.clone()),
            ..Options::default()
        };
        let stack = Stack::start(options).await.unwrap();
        Self { stack, clock, http: local::loopback_client(), table }
    }

    /// With so many numbers of the country ready.
    pub async fn with_numbers(self, country: &str, count: usize) -> Self {
        let order = json!({"country": country, "count": count});
        let request = self.http.post(format!("{}/numbers", self.stack.gateway_url)).json(&order);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["ready"], count, "{answer}");
        self
    }

    pub fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// All that is in the table now, found to agree with itself.
    pub async fn table(&self) -> Table {
        let table = Table::read(&self.http, &self.stack.dynamodb_url, &self.table).await;
        table.check(self.clock.now());
        table
    }

    /// One of the simulator's own endpoints.
    pub async fn simulator(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}/simulator/{path}", self.stack.vonage_url));
        request.send().await.unwrap().json().await.unwrap()
    }

    /// What all numbers that were ever bought have cost, as long as no text was sent.
    pub async fn spent(&self) -> Decimal {
        let balance: Decimal = text(&self.simulator("account").await["balance"]).parse().unwrap();
        Decimal::from(BALANCE) - balance
    }

    /// Buys a number and links it to the application, as its owner may do in Vonage's dashboard.
    pub async fn buy_by_hand(&self, country: &str, number: &str) {
        for (path, application) in [("buy", None), ("update", Some(("app_id", account::APPLICATION_ID)))] {
            let form: Vec<_> = [("country", country), ("msisdn", number)].into_iter().chain(application).collect();
            let request = self.http.post(format!("{}/number/{path}", self.stack.vonage_url)).form(&form);
            let request = request.basic_auth(account::API_KEY, Some(account::API_SECRET));
            assert_eq!(request.send().await.unwrap().status(), 200);
        }
    }

    /// What the Vonage account owns, and whether it is linked to the application.
    pub async fn owned(&self) -> BTreeMap<String, bool> {
        let request = self.http.get(format!("{}/account/numbers?size=100", self.stack.vonage_url));
        let request = request.basic_auth(account::API_KEY, Some(account::API_SECRET));
        let listed: Value = request.send().await.unwrap().json().await.unwrap();
        let numbers = listed["numbers"].as_array().into_iter().flatten();
        numbers.map(|number| (text(&number["msisdn"]), number["app_id"] == account::APPLICATION_ID)).collect()
    }

    /// Every number that the account owns is linked to the application and ready, nothing else is in the pool, and the
    /// ledger has it right: the numbers.
    pub async fn settled_pool(&self) -> BTreeSet<String> {
        let (owned, table) = (self.owned().await, self.table().await);
        assert!(owned.values().all(|linked| *linked), "a number is not linked: {owned:?}");
        let states: BTreeMap<_, _> =
            table.pool.iter().map(|number| (number.number.to_string(), number.state)).collect();
        let expected = owned.keys().map(|number| (number.clone(), NumberState::Ready)).collect();
        assert_eq!(states, expected, "pool (left) and account (right)");
        owned.into_keys().collect()
    }
}

/// The text that `value` is.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
