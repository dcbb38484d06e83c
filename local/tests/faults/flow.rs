//! The whole flow, step by step: rent numbers, create a conversation with text messages, call in both directions, read,
//! change, end, call again, and run the schedule.
//!
//! Before each step faults are injected. A failed step is repeated, and it must succeed once all faults are gone. After
//! each step the table must be consistent.

use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, conversation, string};

use crate::answer_checks::{DRIVERS_NEW_PHONE, check_answer, check_names_no_number};
use crate::calls::{Calls, Expected, Legs};
use crate::fault_kinds::{RequestsByStep, Target};

/// Number of times a step is attempt while faults are active. Then they are removed.
const ATTEMPTS: usize = 3;

/// Lease of a provisioning run, in seconds.
const LEASE: i64 = 61;

/// Monthly rent of two British numbers, in cents.
const RENT: i64 = 250;

/// Time limits of a function for requests to the table and to Vonage.
#[derive(Debug, Clone, Copy)]
pub enum TimeLimits {
    /// So long that a slow machine causes no timeout.
    Long,
    /// So short that a test can wait for a timeout.
    Short,
}

impl TimeLimits {
    fn variables(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Long => [("DYNAMODB_TIME_LIMIT_MS", "60000"), ("VONAGE_TIME_LIMIT_MS", "20000")],
            Self::Short => [("DYNAMODB_TIME_LIMIT_MS", "250"), ("VONAGE_TIME_LIMIT_MS", "250")],
        }
    }

    /// Number of times a step is attempt without faults. With short limits a slow machine can still cause timeouts.
    fn attempts_without_faults(self) -> usize {
        match self {
            Self::Long => 1,
            Self::Short => 50,
        }
    }
}

/// The judge of numbers in a flow.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    /// `NUMBER_LOOKUP`.
    pub judge: &'static str,
    /// `WHEN_LOOKUP_FAILS`.
    pub when_it_fails: &'static str,
}

impl Lookup {
    /// The lookup that fails with each of its requests.
    pub const STRICT: Self = Self { judge: "number-insight", when_it_fails: "refuse" };

    fn variables(self) -> [(&'static str, &'static str); 2] {
        [("NUMBER_LOOKUP", self.judge), ("WHEN_LOOKUP_FAILS", self.when_it_fails)]
    }
}

/// The results of a flow.
#[derive(Debug, Default)]
pub struct FlowReport {
    /// The targets that each step used.
    pub requests: RequestsByStep,
    /// The steps that were repeated, once for each repetition.
    pub repeated: Vec<&'static str>,
    /// The legs that are known at the end.
    pub legs: Legs,
}

struct Flow<'a> {
    limits: TimeLimits,
    laptop: Laptop,
    faults: &'a mut dyn FnMut(&'static str) -> Vec<Value>,
    calls: Calls,
    report: FlowReport,
}

/// Runs the flow. `faults` returns the rules for each step.
pub async fn run(limits: TimeLimits, lookup: Lookup, faults: &mut dyn FnMut(&'static str) -> Vec<Value>) -> FlowReport {
    let builder = Laptop::builder().dynamodb_from_environment().env(&limits.variables()).env(&lookup.variables());
    let laptop = builder.check(check_answer).start().await;
    let mut flow = Flow { limits, laptop, faults, calls: Calls::default(), report: FlowReport::default() };
    flow.go().await;
    flow.report
}

impl Flow<'_> {
    async fn go(&mut self) {
        self.rent().await;
        let conversation = self.create().await;
        let id = string(&conversation["id"]);
        let [rider, driver] = [0, 1].map(|side| string(&conversation["participants"][side]["dials"]));
        self.call("rider calls", RIDER, &rider, Expected::Reaches { phone: DRIVER, shows: &driver }).await;
        self.call("driver calls", DRIVER, &driver, Expected::Reaches { phone: RIDER, shows: &rider }).await;
        self.read("read", &id).await;

        self.change("another end", &id, &json!({"expires_in": 3600})).await;
        let phone = json!({"participants": [null, {"number": DRIVERS_NEW_PHONE_AS_WRITTEN}]});
        let changed = self.change("another phone", &id, &phone).await;
        assert_eq!(changed["participants"][1]["number"], DRIVERS_NEW_PHONE);
        let to_new_phone = Expected::Reaches { phone: DRIVERS_NEW_PHONE, shows: &driver };
        self.call("rider calls the new phone", RIDER, &rider, to_new_phone).await;
        self.call("driver calls from the old phone", DRIVER, &driver, Expected::HasEnded).await;

        let ended = self
            .ask(
                "end",
                async |laptop: &Laptop| laptop.delete(&format!("/conversations/{id}")).await,
                |answer| answer.status == 200,
            )
            .await;
        assert_eq!(ended["state"], "ended");
        self.call("a late call", RIDER, &rider, Expected::HasEnded).await;
        self.read("read at last", &id).await;
        self.upkeep().await;
        self.check_texts(&conversation).await;
    }

    /// Sends a request until `is_done` accepts the answer. Returns its body.
    async fn ask(
        &mut self,
        step: &'static str,
        request: impl AsyncFn(&Laptop) -> Answer,
        is_done: impl Fn(&Answer) -> bool,
    ) -> Value {
        self.begin(step);
        for attempt in 1.. {
            let answer = request(&self.laptop).await;
            if is_done(&answer) {
                self.end(step).await;
                return answer.body;
            }
            self.try_again(step, attempt, &answer.body);
        }
        unreachable!("the last try panics")
    }

    fn begin(&mut self, step: &'static str) {
        self.laptop.stack.traffic.watch();
        for rule in (self.faults)(step) {
            self.laptop.stack.faults.add(rule.to_string().as_bytes()).unwrap();
        }
    }

    fn try_again(&mut self, step: &'static str, attempt: usize, failure: &Value) {
        let at_most = ATTEMPTS + self.limits.attempts_without_faults();
        assert!(attempt < at_most, "step \"{step}\" fails although no fault is active: {failure}");
        self.report.repeated.push(step);
        if attempt == ATTEMPTS {
            self.laptop.stack.faults.clear();
        }
    }

    async fn end(&mut self, step: &'static str) {
        self.laptop.stack.faults.clear();
        let requests = self.report.requests.entry(step).or_default();
        requests.extend(self.laptop.stack.traffic.take().iter().map(Target::of));
        let released = self.laptop.vonage(Method::POST, "/simulator/release", Value::Null).await.body;
        self.calls.note_accepted(&released);
        self.laptop.table().await;
    }

    async fn rent(&mut self) {
        let step = "rent";
        self.begin(step);
        for attempt in 1.. {
            let answer = self.laptop.post("/numbers", &json!({"country": "GB", "count": 2})).await;
            if answer.status == 200 && answer.body["ready"] == 2 {
                break;
            }
            check_names_no_number(&answer.body.to_string());
            // Another run may have the lease. Wait until it ends.
            self.laptop.advance(LEASE);
            self.try_again(step, attempt, &answer.body);
        }
        self.end(step).await;
        assert_eq!(
            self.laptop.spent().await,
            Decimal::new(RENT, 2),
            "the account was charged more than once for a number"
        );
        assert_eq!(self.laptop.settled_pool().await.len(), 2);
    }

    /// Creates the conversation and repeats the request until all text messages are sent.
    async fn create(&mut self) -> Value {
        let create = async |laptop: &Laptop| laptop.post_with_key("ride-42", &conversation()).await;
        let is_created = |answer: &Answer| matches!(answer.status, 200 | 201);
        let created = self.ask("create", create, is_created).await;
        let table = self.laptop.table().await;
        assert_eq!((table.conversations.len(), table.routes.len(), table.requests.len()), (1, 2, 1));
        // A replay sends the pending text messages, and none twice.
        let owes_nothing = |answer: &Answer| answer.status == 200 && !owes_a_text(&answer.body);
        let again = self.ask("create again", create, owes_nothing).await;
        assert_eq!(again["id"], created["id"]);
        again
    }

    async fn call(&mut self, step: &'static str, from: &str, to: &str, expected: Expected<'_>) {
        self.begin(step);
        for attempt in 1.. {
            let call = self.laptop.call(json!({"from": from, "to": to, "talk_seconds": 42})).await;
            if self.calls.add(call.clone(), expected) {
                break;
            }
            self.try_again(step, attempt, &call);
        }
        let requests = self.report.requests.entry(step).or_default();
        requests.extend(["answer_url", "event_url"].map(Target::webhook));
        self.end(step).await;
    }

    async fn read(&mut self, step: &'static str, id: &str) {
        let read = self
            .ask(
                step,
                async |laptop: &Laptop| laptop.get(&format!("/conversations/{id}")).await,
                |answer| answer.status == 200,
            )
            .await;
        self.report.legs = self.calls.check_read(&read);
    }

    async fn change(&mut self, step: &'static str, id: &str, change: &Value) -> Value {
        self.ask(
            step,
            async |laptop: &Laptop| laptop.patch(&format!("/conversations/{id}"), change).await,
            |answer| answer.status == 200,
        )
        .await
    }

    /// Reads the pool and runs the schedule until it reports no change.
    async fn upkeep(&mut self) {
        let is_shown = |answer: &Answer| answer.status == 200;
        let pool = self.ask("show the pool", async |laptop: &Laptop| laptop.get("/numbers").await, is_shown).await;
        assert_eq!((&pool["countries"][0]["ready"], &pool["monthly_cost"]), (&json!(2), &json!("2.50")));
        let step = "the schedule";
        let nothing = json!({"adopted": [], "lost": [], "found_again": [], "linked_again": [], "cancelled": [], "rented": [], "shortfall": []});
        self.begin(step);
        for attempt in 1.. {
            let mut report = self.laptop.run_schedule().await;
            check_names_no_number(&report.to_string());
            // Only the first run that reaches the application changes it.
            let settled = report.as_object_mut().unwrap().remove("application");
            assert!(settled.is_none_or(|names| names == json!([]) || names == json!(["improve_ai"])), "{report}");
            if report == nothing {
                break;
            }
            self.try_again(step, attempt, &report);
        }
        self.end(step).await;
        assert_eq!(self.laptop.settled_pool().await.len(), 2);
    }

    /// Checks the text messages: only participants get one, at most once, and exactly once if the state is `sent`.
    async fn check_texts(&self, conversation: &Value) {
        let messages = self.laptop.simulator("messages").await;
        let messages = messages["messages"].as_array().unwrap();
        let mut expected = 0;
        for participant in conversation["participants"].as_array().unwrap() {
            let count = messages.iter().filter(|message| message["to"] == participant["number"]).count();
            match participant["notification"].as_str().unwrap() {
                "sent" => assert_eq!(count, 1, "{participant}"),
                "unknown" => assert!(count <= 1, "{participant}"),
                other => panic!("notification is {other} although no fault is active: {participant}"),
            }
            expected += count;
        }
        assert_eq!(messages.len(), expected);
    }
}

/// True if a replay would send a text message.
fn owes_a_text(conversation: &Value) -> bool {
    let participants = conversation["participants"].as_array().unwrap();
    participants.iter().any(|participant| matches!(participant["notification"].as_str(), Some("pending" | "failed")))
}

const DRIVERS_NEW_PHONE_AS_WRITTEN: &str = "+44 7700 900003";
