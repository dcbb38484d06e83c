//! An account with two linked numbers, and requests with a token of its application.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::ManualClock;

use crate::support::{App, CALLER, Vonage, answer, application_token};

pub const MASK: &str = "447451000001";
pub const DIALLED: &str = "447451000002";
pub const START: i64 = 1_800_000_000;

/// A simulator, its application and its clock.
pub struct Account {
    pub app: App,
    pub vonage: Vonage,
    pub clock: ManualClock,
}

impl Account {
    /// Starts all of them.
    pub async fn start() -> Self {
        let app = App::start().await;
        let clock = ManualClock::at(Timestamp::from_second(START).unwrap());
        let vonage = Vonage::start_for_at(&app.base, Arc::new(clock.clone())).await;
        vonage.rent_linked(&[MASK, DIALLED]).await;
        Self { app, vonage, clock }
    }

    /// Sends a request with a token of the application.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.vonage.client.request(method, format!("{}/v1/calls{path}", self.vonage.base));
        answer(request.bearer_auth(application_token(START)).json(body)).await
    }

    /// Ends a leg, and returns the status of the response.
    pub async fn hang_up(&self, leg: &Value) -> u16 {
        let leg = leg["uuid"].as_str().unwrap();
        self.ask(Method::PUT, &format!("/{leg}"), &json!({"action": "hangup"})).await.0
    }

    /// Returns the report of a call, after all that was asked of it before.
    pub async fn report(&self, call: &Value) -> Value {
        let path = format!("/simulator/calls/{}", call["conversation_uuid"].as_str().unwrap());
        let (status, report) = answer(self.vonage.get(&path)).await;
        assert_eq!(status, 200, "{report}");
        report
    }

    /// Places a call that lives, and waits until its legs accept commands.
    pub async fn connected(&self) -> Value {
        self.app.connects_from(MASK);
        let call = self.vonage.call(json!({"from": CALLER, "to": DIALLED, "lives": true})).await;
        self.clock.advance(SignedDuration::from_secs(2));
        call
    }
}

/// Returns the status of each leg.
pub fn statuses(report: &Value) -> Vec<&str> {
    report["legs"].as_array().unwrap().iter().map(|leg| leg["status"].as_str().unwrap()).collect()
}

/// Returns the request for a call to the caller's phone.
pub fn order(ncco: &Value) -> Value {
    json!({"to": [{"type": "phone", "number": CALLER}], "from": {"type": "phone", "number": MASK}, "ncco": ncco})
}
