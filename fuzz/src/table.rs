//! An in-memory table with the two routes of one conversation. It records the last update. The store reaches it through the
//! AWS SDK, without a socket.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde_json::{Value, json};

use crate::signature::SIGNED_AT;

pub(crate) const RIDER: &str = "447700900001";
pub(crate) const DRIVER: &str = "447700900002";
pub(crate) const RIDER_DIALS: &str = "447451000001";
pub(crate) const DRIVER_DIALS: &str = "447451000002";

#[derive(Debug, Clone, Default)]
pub(crate) struct Table(Arc<Mutex<Option<Value>>>);

impl Table {
    /// Returns the last update and clears it.
    pub fn take_update(&self) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn answer(&self, operation: &str, request: Value) -> Value {
        match operation {
            "DynamoDB_20120810.GetItem" => {
                route(&request["Key"]).map_or_else(|| json!({}), |item| json!({"Item": item}))
            }
            "DynamoDB_20120810.UpdateItem" => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
                json!({})
            }
            // It counts the tries of PINs.
            "DynamoDB_20120810.TransactWriteItems" => json!({}),
            other => panic!("unexpected operation of a webhook: {other}"),
        }
    }
}

/// Returns the route with this item key.
fn route(key: &Value) -> Option<Value> {
    let is = |caller: &str, dialled: &str| {
        key["pk"]["S"].as_str() == Some(&format!("CALLER#{caller}"))
            && key["sk"]["S"].as_str() == Some(&format!("NUMBER#{dialled}"))
    };
    let (side, connect_to, present_as) = if is(RIDER, RIDER_DIALS) {
        ("A", DRIVER, DRIVER_DIALS)
    } else if is(DRIVER, DRIVER_DIALS) {
        ("B", RIDER, RIDER_DIALS)
    } else {
        return None;
    };
    let number = |seconds: i64| json!({"N": seconds.to_string()});
    // The events of `events/` have times in the hours before they were signed.
    let since = SIGNED_AT - 86_400;
    Some(json!({
        "pk": key["pk"], "sk": key["sk"], "conversation": {"S": "01M81PZXZPCX9PBRT5SWKY25Z7"}, "side": {"S": side},
        "phone": {"N": "0"}, "since": number(since), "connect_to": {"S": connect_to}, "present_as": {"S": present_as},
        "limits": {"M": {"max_call_seconds": number(7200), "ring_seconds": number(45)}},
        "expires_at": number(SIGNED_AT + 86_400), "quarantined_until": number(SIGNED_AT + 2 * 86_400),
    }))
}

impl HttpConnector for Table {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let answer = self.answer(operation, serde_json::from_slice(body).unwrap_or_default());
        let status = 200.try_into().expect("an HTTP status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, answer.to_string().into())))
    }
}

impl HttpClient for Table {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
