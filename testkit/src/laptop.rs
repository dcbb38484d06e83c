//! A laptop stack for one test, and methods for what tests do with it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use local::simulator::{HttpMethod, sign_webhook};
use local::stack::{Options, Stack, account};
use reqwest::{Client, Method, RequestBuilder};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use shared::clock::{Clock, ManualClock};
use shared::domain::phone::{PhoneNumber, VirtualNumber};
use shared::domain::pool::NumberState;
use shared::store::Store;

use crate::answer::{Answer, digits};
use crate::api_description::ApiDescription;
use crate::event_schemas::CheckedBus;
use crate::table::Table;
use crate::{conversation, string};

/// The variable with the path of the file that collects what functions ask of DynamoDB.
pub const ACCESS_LOG: &str = "MASKLINE_ACCESS_LOG";

/// The variable with the path of the file that collects the NCCOs.
const NCCO_LOG: &str = "MASKLINE_NCCO_LOG";

/// The Vonage account's balance at the start, in EUR.
const BALANCE: i64 = 1000;

/// The signature of requests to DynamoDB. Neither the embedded one nor DynamoDB Local verifies it, but both require one.
const UNVERIFIED: &str = "AWS4-HMAC-SHA256 Credential=laptop/20260101/us-east-1/dynamodb/aws4_request, \
    SignedHeaders=host;x-amz-date, Signature=0";

/// A laptop stack with a clock that the test moves.
pub struct Laptop {
    /// The stack itself.
    pub stack: Stack,
    /// The clock of the functions and of the simulated Vonage. It starts at the machine's time.
    pub clock: ManualClock,
    /// A client that reaches all services of the stack.
    pub http: Client,
    tables: [String; 2],
    check: fn(&Answer),
    _bus: CheckedBus,
}

/// The settings of a [`Laptop`].
pub struct Builder {
    options: Options,
    clock: Option<ManualClock>,
    numbers: Vec<(String, usize)>,
    check: fn(&Answer),
}

/// Returns the JWT with which Vonage would sign a webhook at `now`.
pub fn signature(body: Option<&str>, now: Timestamp) -> String {
    let body = body.map(str::as_bytes);
    sign_webhook(account::SIGNATURE_SECRET, account::API_KEY, account::APPLICATION_ID, body, now).unwrap()
}

impl Builder {
    /// Sets variables of the functions.
    pub fn env(mut self, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.options.environment.extend(variables);
        self
    }

    /// Rents `count` numbers of `country`.
    pub fn numbers(mut self, country: &str, count: usize) -> Self {
        self.numbers.push((country.to_owned(), count));
        self
    }

    /// Sets the method by which Vonage asks the answer webhook.
    pub fn answer_method(mut self, method: HttpMethod) -> Self {
        self.options.answer_method = method;
        self
    }

    /// Uses the DynamoDB that `MASKLINE_TEST_DYNAMODB_URL` names, if it names one.
    pub fn dynamodb_from_environment(mut self) -> Self {
        self.options.dynamodb_url = std::env::var("MASKLINE_TEST_DYNAMODB_URL").ok();
        self.options.table = format!("maskline-{}", uuid::Uuid::new_v4());
        self.options.journal = format!("{}-journal", self.options.table);
        // Another DynamoDB deletes what has expired by the machine's time.
        if self.options.dynamodb_url.is_some() && self.clock.is_none() { self.machine_clock() } else { self }
    }

    /// Starts the pipes of the template, which put the changes of the table on the bus.
    pub fn pipes(mut self) -> Self {
        self.options.pipes = true;
        self
    }

    /// Serves the console, and records what it shows.
    pub fn console(mut self) -> Self {
        self.options.console = true;
        self
    }

    /// Keeps the tables in a file, and uses the table of this name there.
    pub fn data(mut self, file: &Path, table: &str) -> Self {
        (self.options.data, self.options.table) = (Some(file.to_owned()), table.to_owned());
        self
    }

    /// Uses the table of this name beside that of another stack, with the same clock.
    pub fn beside(mut self, other: &Laptop, table: &str) -> Self {
        self.options.dynamodb_url = Some(other.stack.dynamodb_url.clone());
        (self.options.table, self.options.journal) = (table.to_owned(), other.tables[1].clone());
        self.clock(&other.clock)
    }

    /// Uses the clock of another stack.
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Begins at the machine's time, for a test with something that has no other clock.
    pub fn machine_clock(mut self) -> Self {
        self.clock = Some(ManualClock::at(Timestamp::now()));
        self
    }

    /// Uses the DynamoDB at this URL, which others may use too.
    pub fn dynamodb_url(mut self, url: &str) -> Self {
        self.options.dynamodb_url = Some(url.to_owned());
        self
    }

    /// Calls `check` with every answer of the gateway.
    pub fn check(mut self, check: fn(&Answer)) -> Self {
        self.check = check;
        self
    }

    /// Starts the stack.
    pub async fn start(self) -> Laptop {
        let tables = [&self.options.table, &self.options.journal].map(String::clone);
        let clock = self.clock.unwrap_or_else(|| ManualClock::at(noon(Timestamp::now())));
        let stack = Stack::start(Options { clock: Arc::new(clock.clone()), ..self.options }).await.unwrap();
        let bus = CheckedBus(stack.bus.clone());
        let http = local::loopback_client();
        let laptop = Laptop { stack, clock, http, tables, check: self.check, _bus: bus };
        for (country, count) in self.numbers {
            laptop.rent(&country, count).await;
        }
        laptop
    }
}

/// Returns noon (UTC) of the day of `time`. The clock of a stack begins there, so that a test of a few hours is of one day, at
/// whatever hour it runs.
fn noon(time: Timestamp) -> Timestamp {
    const DAY: i64 = 86_400;
    let begin = time.as_second() - time.as_second().rem_euclid(DAY);
    Timestamp::from_second(begin + DAY / 2).expect("a day of today has a noon")
}

impl Laptop {
    /// Returns the settings of a stack that differs from the usual one.
    pub fn builder() -> Builder {
        // A busy machine is no failure.
        let patient = ("DYNAMODB_TIME_LIMIT_MS".to_owned(), "60000".to_owned());
        let quick = ("VONAGE_CALLS_INTERVAL_MS".to_owned(), "10".to_owned());
        let [access_log, ncco_log] = [ACCESS_LOG, NCCO_LOG].map(|log| std::env::var_os(log).map(PathBuf::from));
        let options = Options { environment: vec![patient, quick], access_log, ncco_log, ..Options::default() };
        Builder { options, clock: None, numbers: Vec::new(), check: |_| {} }
    }

    /// Starts the usual stack, without numbers.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Returns the time of the clock.
    pub fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock forward.
    pub fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Moves the clock to noon (UTC) of the next day.
    pub fn advance_to_noon(&self) {
        let (now, tomorrow) = (self.clock.now(), self.clock.now() + SignedDuration::from_hours(24));
        self.clock.advance(noon(tomorrow).duration_since(now));
    }

    /// Rents numbers until the pool has `count` of `country`.
    pub async fn rent(&self, country: &str, count: usize) {
        let answer = self.post("/numbers", &json!({"country": country, "count": count})).await;
        assert!(answer.body["order"].is_null(), "the order is not complete: {answer:?}");
        assert_eq!(answer.body["ready"], count, "{answer:?}");
    }

    /// Returns a request to the gateway, to be sent by [`Laptop::answer`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.stack.gateway_url))
    }

    /// Sends a request to the gateway. Fails if the description of the API does not have such an answer.
    pub async fn answer(&self, request: RequestBuilder) -> Answer {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let answer = Answer::to(RequestBuilder::from_parts(client, request)).await;
        (self.check)(&answer);
        ApiDescription::get().check(&method, &path, &answer);
        answer
    }

    /// Sends `body` to `path` of the gateway.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.answer(self.request(method, path).body(body)).await
    }

    /// Sends a `POST` to the gateway.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    /// Sends a `GET` to the gateway.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    /// Sends a `PATCH` to the gateway.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, body.to_string()).await
    }

    /// Sends a `DELETE` to the gateway.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "").await
    }

    /// Sends `body` to `POST /conversations` with an idempotency key.
    pub async fn post_with_key(&self, key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, "/conversations").header("Idempotency-Key", key);
        self.answer(request.body(body.to_string())).await
    }

    /// Creates the [`conversation`] of rider and driver.
    pub async fn create(&self) -> Value {
        let answer = self.post("/conversations", &conversation()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// Creates the [`conversation`] of rider and driver with these fields, without the invitations.
    pub async fn create_with(&self, fields: Value) -> Value {
        let mut order = conversation();
        order["notify"] = json!(false);
        order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let answer = self.post("/conversations", &order).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// Posts `body` to a webhook with Vonage's signature.
    pub async fn signed_post(&self, path: &str, body: &str) -> Answer {
        let request = self.request(Method::POST, path).bearer_auth(self.signature(Some(body)));
        self.answer(request.body(body.to_owned())).await
    }

    /// Posts an event with Vonage's signature.
    pub async fn event(&self, event: &Value) -> Answer {
        self.signed_post("/webhooks/event", &event.to_string()).await
    }

    /// Returns the JWT with which Vonage would sign a webhook now.
    pub fn signature(&self, body: Option<&str>) -> String {
        signature(body, self.clock.now())
    }

    /// Sends `body` to `path` of the simulated Vonage, which answers its own endpoints without credentials.
    pub async fn vonage(&self, method: Method, path: &str, body: Value) -> Answer {
        Answer::to(self.http.request(method, format!("{}{path}", self.stack.vonage_url)).json(&body)).await
    }

    /// Returns what one of the simulator's own endpoints says.
    pub async fn simulator(&self, path: &str) -> Value {
        self.vonage(Method::GET, &format!("/simulator/{path}"), Value::Null).await.body
    }

    /// Places a call, and returns what happened.
    pub async fn call(&self, call: Value) -> Value {
        let answer = self.vonage(Method::POST, "/simulator/calls", call).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Places a call, whose webhooks must all succeed, and returns what happened.
    pub async fn faultless_call(&self, call: Value) -> Value {
        let told = self.call(call).await;
        let attempts = told["webhooks"].as_array().into_iter().flatten();
        assert_eq!(attempts.filter(|attempt| !attempt["error"].is_null()).count(), 0, "{told}");
        told
    }

    /// Makes the next request to `path` of Vonage's API meet a fault.
    pub async fn fault(&self, path: &str, fault: Value) {
        self.faults(path, 1, fault).await;
    }

    /// Makes the next `times` requests to `path` of Vonage's API meet a fault.
    pub async fn faults(&self, path: &str, times: u32, fault: Value) {
        let rule = json!({"path": path, "times": times, "fault": fault});
        let answer = self.vonage(Method::POST, "/simulator/faults", rule).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// Removes all faults.
    pub async fn no_more_faults(&self) {
        assert_eq!(self.vonage(Method::DELETE, "/simulator/faults", Value::Null).await.status, 204);
    }

    /// Returns the number of requests to `path` of Vonage's API so far.
    pub async fn asked(&self, path: &str) -> usize {
        self.simulator(&format!("requests?path={path}")).await["requests"].as_array().unwrap().len()
    }

    /// Returns the text messages on a phone, oldest first.
    pub async fn texts(&self, to: &str) -> Vec<Value> {
        self.simulator(&format!("messages?to={to}")).await["messages"].as_array().unwrap().clone()
    }

    /// Returns the words of the text messages on a phone, oldest first.
    pub async fn words(&self, to: &str) -> Vec<String> {
        self.texts(to).await.iter().map(|message| crate::text(message, "/text").to_owned()).collect()
    }

    /// Has a phone send a text, given as for `POST /simulator/texts`. Returns each webhook with its deliveries.
    pub async fn text(&self, text: Value) -> Vec<Value> {
        let answer = self.vonage(Method::POST, "/simulator/texts", text).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["messages"].as_array().unwrap().clone()
    }

    /// Has Vonage deliver a text again, as `POST /simulator/texts/{id}/deliver` says.
    pub async fn deliver_again(&self, id: &str, how: Value) -> Value {
        let answer = self.vonage(Method::POST, &format!("/simulator/texts/{id}/deliver"), how).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Has Vonage send the receipts of the texts so far, as `POST /simulator/receipts` says.
    pub async fn receipts(&self, which: Value) -> Vec<Value> {
        let answer = self.vonage(Method::POST, "/simulator/receipts", which).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body.as_array().unwrap().clone()
    }

    /// Sends a form to Vonage's API with the account's credentials.
    pub async fn vonage_form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.stack.vonage_url)).form(form);
        Answer::to(request.basic_auth(account::API_KEY, Some(account::API_SECRET))).await
    }

    /// Sends a `GET` to Vonage's API with the account's credentials.
    pub async fn vonage_get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.stack.vonage_url));
        Answer::to(request.basic_auth(account::API_KEY, Some(account::API_SECRET))).await
    }

    /// Buys a number and links it to the application, as its owner may do in Vonage's dashboard.
    pub async fn buy_by_hand(&self, country: &str, number: &str) {
        let form = [("country", country), ("msisdn", number), ("app_id", account::APPLICATION_ID)];
        assert_eq!(self.vonage_form("/number/buy", &form[..2]).await.status, 200);
        assert_eq!(self.vonage_form("/number/update", &form).await.status, 200);
    }

    /// Returns the numbers that the Vonage account owns.
    pub async fn owned_numbers(&self) -> Vec<Value> {
        self.vonage_get("/account/numbers?size=100").await.body["numbers"].as_array().cloned().unwrap_or_default()
    }

    /// Returns the price of all numbers that were ever bought, as long as no text was sent.
    pub async fn spent(&self) -> Decimal {
        let balance: Decimal = string(&self.simulator("account").await["balance"]).parse().unwrap();
        Decimal::from(BALANCE) - balance
    }

    /// Returns DynamoDB's answer to an operation.
    pub async fn dynamodb(&self, operation: &str, request: Value) -> Answer {
        Answer::to(self.dynamodb_request(&format!("DynamoDB_20120810.{operation}"), &request)).await
    }

    /// Returns a request to DynamoDB for `target`, which is an API with its version and an operation.
    pub fn dynamodb_request(&self, target: &str, request: &Value) -> RequestBuilder {
        let sent = self.http.post(&self.stack.dynamodb_url).body(request.to_string());
        let sent = sent.header("authorization", UNVERIFIED).header("x-amz-date", "20260101T000000Z");
        sent.header("x-amz-target", target).header("content-type", "application/x-amz-json-1.0")
    }

    /// Returns all items of the table, with DynamoDB's types.
    pub async fn items(&self) -> Vec<Value> {
        self.items_of(&self.tables[0]).await
    }

    /// Returns all items of the journal, with DynamoDB's types.
    pub async fn journal(&self) -> Vec<Value> {
        self.items_of(&self.tables[1]).await
    }

    async fn items_of(&self, table: &str) -> Vec<Value> {
        let (mut items, mut scan) = (Vec::new(), json!({"TableName": table, "ConsistentRead": true}));
        loop {
            let mut page = self.dynamodb("Scan", scan.clone()).await.body;
            match page["Items"].take() {
                Value::Array(read) => items.extend(read),
                _ => panic!("{page}"),
            }
            match page.get("LastEvaluatedKey") {
                Some(key) => scan["ExclusiveStartKey"] = key.clone(),
                None => return items,
            }
        }
    }

    /// Copies the table into a new one beside it, as DynamoDB restores one.
    pub async fn copy_table(&self, into: &str) {
        let environment = self.stack.environment.clone().with([("TABLE_NAME".to_owned(), into.to_owned())]);
        Store::connect(&environment).unwrap().create_table().await.unwrap();
        for item in self.items().await {
            let put = self.dynamodb("PutItem", json!({"TableName": into, "Item": item})).await;
            assert_eq!(put.status, 200, "{put:?}");
        }
    }

    /// Returns the whole table, and fails if it contradicts itself.
    pub async fn table(&self) -> Table {
        let table = Table::of(&self.items().await, &self.journal().await);
        table.check(self.clock.now());
        table
    }

    /// Returns the store on the table.
    pub fn store(&self) -> Store {
        Store::connect(&self.stack.environment).unwrap().with_journal(&self.stack.environment).unwrap()
    }

    /// Returns the virtual numbers that a phone has a route to now.
    pub async fn keys(&self, caller: &str) -> HashSet<VirtualNumber> {
        let caller = PhoneNumber::try_from(caller).unwrap().into();
        let now = self.clock.now();
        let routes = self.store().caller_routes(&caller, now).await.unwrap();
        routes.in_use(now).map(|(number, _)| number.clone()).collect()
    }

    /// Fails unless every number that the account owns is linked to the application and ready, nothing else is in the
    /// pool, and the ledger is right. Returns the numbers.
    pub async fn settled_pool(&self) -> BTreeSet<String> {
        let (owned, table) = (self.owned_numbers().await, self.table().await);
        let is_linked = |number: &Value| number["app_id"] == account::APPLICATION_ID;
        assert!(owned.iter().all(is_linked), "a number is not linked: {owned:?}");
        let owned: BTreeSet<_> = owned.iter().map(|number| string(&number["msisdn"])).collect();
        let states: BTreeMap<_, _> =
            table.pool.iter().map(|number| (number.number.to_string(), number.state)).collect();
        let expected = owned.iter().map(|number| (number.clone(), NumberState::Ready)).collect();
        assert_eq!(states, expected, "pool (left) and account (right)");
        owned
    }

    /// Runs the schedule of orders once, and returns its report.
    pub async fn run_orders(&self) -> Value {
        digits(self.stack.run_orders().await.unwrap())
    }

    /// Runs the schedule of the numbers once, and returns its report.
    pub async fn run_schedule(&self) -> Value {
        digits(self.stack.run_schedule().await.unwrap())
    }
}
