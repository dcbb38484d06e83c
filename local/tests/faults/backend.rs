//! A backend that uses the API as the documentation says: it repeats failed requests. It checks every answer that it
//! gets.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::world::World;

/// All real numbers of the flow, as digits.
pub const RIDER: &str = "447700900001";
pub const DRIVER: &str = "447700900002";
pub const DRIVERS_NEW_PHONE: &str = "447700900003";
const WHAT_ALL_HAVE: &str = "7700900";
const WHAT_ALL_HAVE_AS_WRITTEN: &str = "7700 900";

/// Time limit of one request. A request that takes longer hangs.
pub const GUARD: Duration = Duration::from_secs(120);

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

pub struct Backend {
    http: Client,
    gateway_url: String,
    vonage_url: String,
}

impl Backend {
    pub fn of(world: &World) -> Self {
        Self {
            http: local::loopback_client(),
            gateway_url: world.stack.gateway_url.clone(),
            vonage_url: world.stack.vonage_url.clone(),
        }
    }

    /// Orders numbers until the country has `count`.
    pub async fn order_numbers(&self, count: usize) -> Answer {
        self.send(Method::POST, "/numbers", &json!({"country": "GB", "count": count})).await
    }

    /// Creates the conversation of rider and driver. Every call sends the same request.
    pub async fn create(&self) -> Answer {
        let order = json!({"participants": [{"number": "+44 7700 900001", "label": "your rider"},
                                            {"number": "07700 900002", "country": "GB", "label": "your driver"}]});
        let request = self.http.post(format!("{}/conversations", self.gateway_url)).json(&order);
        answer(request.header("Idempotency-Key", "ride-42")).await
    }

    pub async fn read(&self, id: &str) -> Answer {
        self.send(Method::GET, &format!("/conversations/{id}"), &Value::Null).await
    }

    pub async fn change(&self, id: &str, change: &Value) -> Answer {
        self.send(Method::PATCH, &format!("/conversations/{id}"), change).await
    }

    pub async fn end(&self, id: &str) -> Answer {
        self.send(Method::DELETE, &format!("/conversations/{id}"), &Value::Null).await
    }

    pub async fn pool(&self) -> Answer {
        self.send(Method::GET, "/numbers", &Value::Null).await
    }

    /// Places a call at the simulated Vonage. Returns the record of the call.
    pub async fn call(&self, from: &str, to: &str) -> Value {
        self.simulator("calls", &json!({"from": from, "to": to, "talk_seconds": 42})).await
    }

    /// Releases the events that a fault holds back.
    pub async fn release(&self) -> Value {
        self.simulator("release", &Value::Null).await
    }

    async fn simulator(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}/simulator/{path}", self.vonage_url)).json(body);
        let response =
            tokio::time::timeout(GUARD, request.send()).await.expect("the simulator did not answer in time").unwrap();
        response.json().await.unwrap()
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        answer(self.http.request(method, format!("{}{path}", self.gateway_url)).json(body)).await
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response =
        tokio::time::timeout(GUARD, request.send()).await.expect("the gateway did not answer in time").unwrap();
    let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, content_type, retry_after) =
        (response.status().as_u16(), header("content-type"), header("retry-after"));
    let text = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).expect(&text);
    let shown = || format!("{status} {content_type:?} {retry_after:?} {body}");
    if status < 300 {
        assert_eq!(content_type.as_deref(), Some("application/json"), "{}", shown());
    } else {
        check_error(status, content_type.as_deref(), &body);
        assert_eq!(retry_after.is_some(), status == 503, "{}", shown());
    }
    Answer { status, body }
}

/// Checks that an error is a documented problem with a title and a detail, and contains no real number.
pub fn check_error(status: u16, content_type: Option<&str>, body: &Value) {
    assert!(matches!(status, 502 | 503), "{status} {body}");
    assert_eq!((content_type, &body["status"]), (Some("application/problem+json"), &json!(status)), "{body}");
    for member in ["title", "detail"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    }
    let expected = match status {
        502 => &["carrier-failed"] as &[&str],
        _ => &["carrier-failed", "store-unavailable", "contended"],
    };
    let kind = body["type"].as_str().and_then(|kind| kind.strip_prefix("urn:maskline:problem:")).unwrap();
    assert!(expected.contains(&kind), "{body}");
    check_tells_no_number(&body.to_string());
}

/// Checks that a text contains no real number, address or secret.
pub fn check_tells_no_number(text: &str) {
    for context in [WHAT_ALL_HAVE, WHAT_ALL_HAVE_AS_WRITTEN, "127.0.0.1", "laptop-api-secret"] {
        assert!(!text.contains(context), "{text}");
    }
}
