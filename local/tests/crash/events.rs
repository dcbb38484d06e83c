//! Events in the form of API Gateway.

use serde_json::{Value, json};

/// An order of numbers: the example in `events/` with another body.
pub fn order(body: &Value) -> Value {
    with_body(include_str!("../../../events/provision-numbers.json"), body)
}

pub fn creation(body: &Value, idempotency_key: Option<&str>) -> Value {
    let mut event = with_body(include_str!("../../../events/create-conversation.json"), body);
    if let Some(key) = idempotency_key {
        event["headers"]["idempotency-key"] = json!(key);
    }
    event
}

pub fn erasure(conversation: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../../events/end-conversation-erase.json")).unwrap();
    event["pathParameters"]["id"] = json!(conversation);
    event
}

/// A request to erase all conversations of a phone in digits.
pub fn forget(number: &str) -> Value {
    let body = json!({"number": format!("+{number}")});
    with_body(include_str!("../../../events/end-conversation-forget.json"), &body)
}

pub fn end(conversation: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../../events/end-conversation.json")).unwrap();
    event["pathParameters"]["id"] = json!(conversation);
    event
}

pub fn change(conversation: &str, body: &Value) -> Value {
    let mut event = with_body(include_str!("../../../events/update-conversation.json"), body);
    event["pathParameters"]["id"] = json!(conversation);
    event
}

/// An event of a leg with this signature.
pub fn leg(body: &Value, signature: &str) -> Value {
    let mut event = with_body(include_str!("../../../events/event-webhook-answered.json"), body);
    event["headers"]["authorization"] = json!(format!("Bearer {signature}"));
    event
}

/// A webhook to the address of a conversation, for the events of a leg or for a step of a call.
pub fn step(conversation: &str, step: Option<&str>, body: &Value, signature: &str) -> Value {
    let mut event = leg(body, signature);
    event["pathParameters"] = json!({"id": conversation});
    let mut path = format!("/webhooks/event/{conversation}");
    if let Some(step) = step {
        event["pathParameters"]["step"] = json!(step);
        path = format!("{path}/{step}");
    }
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event
}

/// Returns a request to place a call that begins at the phone of the side `from`. Vonage sends the events to `host`.
pub fn place(conversation: &str, from: &str, idempotency_key: &str, host: &str) -> Value {
    let mut event = with_body(include_str!("../../../events/control-call-place.json"), &json!({"from": from}));
    event["headers"]["idempotency-key"] = json!(idempotency_key);
    (event["headers"]["host"], event["headers"]["x-forwarded-proto"]) = (json!(host), json!("http"));
    event["requestContext"]["domainName"] = json!(host);
    event["pathParameters"]["id"] = json!(conversation);
    event
}

/// Returns a request to write a text to side A.
pub fn write(conversation: &str, idempotency_key: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../../events/message-webhook-write.json")).unwrap();
    event["headers"]["idempotency-key"] = json!(idempotency_key);
    event["pathParameters"]["id"] = json!(conversation);
    event
}

/// Returns the webhook of the `nth` PIN of a call.
pub fn pin(nth: u8, body: &Value, signature: &str) -> Value {
    let mut event = leg(body, signature);
    event["pathParameters"] = json!({"nth": nth.to_string()});
    let path = format!("/webhooks/event/pin/{nth}");
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event
}

/// A change of the settings of a number.
pub fn number_change(number: &str, body: &Value) -> Value {
    let mut event = with_body(include_str!("../../../events/provision-numbers-change.json"), body);
    let path = format!("/numbers/{number}");
    event["rawPath"] = json!(path);
    event["pathParameters"] = json!({"number": number});
    event["requestContext"]["http"]["path"] = json!(path);
    event
}

pub fn rotate(number: &str) -> Value {
    let event = include_str!("../../../events/provision-numbers-rotate.json").replace("447451000002", number);
    serde_json::from_str(&event).unwrap()
}

pub fn drain(number: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../../events/provision-numbers-show.json")).unwrap();
    let (route, path) = ("DELETE /numbers/{number}", format!("/numbers/{number}"));
    event["routeKey"] = json!(route);
    event["rawPath"] = json!(path);
    event["pathParameters"] = json!({"number": number});
    event["requestContext"]["routeKey"] = json!(route);
    event["requestContext"]["http"]["method"] = json!("DELETE");
    event["requestContext"]["http"]["path"] = json!(path);
    event
}

pub fn taking_back(number: &str) -> Value {
    let event = include_str!("../../../events/provision-numbers-change.json").replace("447451000002", number);
    with_body(&event, &json!({"state": "ready"}))
}

pub fn notification(id: &str, to: &str) -> Value {
    let event =
        include_str!("../../../events/create-conversation-notify.json").replace("01KAP0QC00M4SK11NE00000000", id);
    with_body(&event, &json!({"to": to}))
}

/// A text with this signature.
pub fn message(body: &Value, signature: &str) -> Value {
    let mut event = with_body(include_str!("../../../events/message-webhook.json"), body);
    event["headers"]["authorization"] = json!(format!("Bearer {signature}"));
    event
}

/// A receipt of a text with this signature.
pub fn receipt(body: &Value, signature: &str) -> Value {
    let mut event = with_body(include_str!("../../../events/message-webhook-receipt.json"), body);
    event["headers"]["authorization"] = json!(format!("Bearer {signature}"));
    event
}

fn with_body(event: &str, body: &Value) -> Value {
    let mut event: Value = serde_json::from_str(event).unwrap();
    event["body"] = json!(body.to_string());
    event["headers"]["content-length"] = json!(body.to_string().len().to_string());
    event
}
