//! The Messages API.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{CALLER, KEY, SECRET, Vonage, answer, application_token, linked};

fn message() -> Value {
    json!({"channel": "sms", "message_type": "text", "from": "447451000001", "to": CALLER, "text": "Hi there"})
}

fn with(name: &str, value: Value) -> Value {
    let mut message = message();
    message[name] = value;
    message
}

/// Returns a request of the application.
fn request(vonage: &Vonage, body: &Value) -> RequestBuilder {
    let now = jiff::Timestamp::now().as_second();
    vonage.client.post(format!("{}/v1/messages", vonage.base)).bearer_auth(application_token(now)).json(body)
}

async fn inbox(vonage: &Vonage) -> Vec<Value> {
    let (_, body) = answer(vonage.get("/simulator/messages")).await;
    body["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn message_is_charged_and_reaches_the_phone() {
    let vonage = Vonage::start().await;
    let (status, sent) = answer(request(&vonage, &with("text", json!("Hi € 🚕")))).await;
    assert_eq!(status, 202, "{sent}");
    let id = sent["message_uuid"].as_str().unwrap();
    assert_eq!((sent.as_object().unwrap().len(), id.len()), (1, 36));
    let received = inbox(&vonage).await;
    assert_eq!((received.len(), &received[0]["text"], &received[0]["message_id"]), (1, &json!("Hi € 🚕"), &json!(id)));
    assert_eq!(vonage.balance().await, "99.96670");
    let long = with("text", json!("a".repeat(1_000)));
    assert_eq!(answer(request(&vonage, &long)).await.0, 202);
    assert_eq!(vonage.balance().await, "99.73360", "seven parts");
}

#[tokio::test]
async fn wrong_requests_have_vonages_errors() {
    let vonage = Vonage::start().await;
    for (body, kind, parameter) in [
        (with("text", json!("a".repeat(1_001))), "1150", Some("text")),
        (with("text", json!("")), "1150", Some("text")),
        (with("from", Value::Null), "1150", Some("from")),
        (with("ttl", json!("90")), "1150", Some("ttl")),
        (with("sms", json!({"encoding_type": "ucs2"})), "1150", Some("sms.encoding_type")),
        (with("webhook_version", json!("v2")), "1150", Some("webhook_version")),
        (with("channel", json!("pigeon")), "1100", None),
        (with("message_type", json!("image")), "1140", None),
        (with("to", json!("+447700900001")), "1130", None),
        (with("to", json!("0770")), "1130", None),
        (with("client_ref", json!("a".repeat(101))), "1060", None),
        (with("to", json!("12025550101")), "1120", None),
    ] {
        let (status, error) = answer(request(&vonage, &body)).await;
        let expected = format!("https://developer.vonage.com/api-errors/messages#{kind}");
        assert_eq!((status, &error["type"]), (422, &json!(expected)), "{error}");
        assert_eq!(error["invalid_parameters"][0]["name"].as_str(), parameter, "{error}");
        assert!(["title", "detail", "instance"].iter().all(|name| error[name].is_string()), "{error}");
    }
    let (status, error) = answer(request(&vonage, &json!("not an object"))).await;
    assert_eq!((status, error["type"].as_str()), (422, Some("https://developer.vonage.com/api-errors#invalid-json")));
    vonage.control("PUT", "/simulator/account", json!({"balance": "0.01"})).await;
    let (status, error) = answer(request(&vonage, &message())).await;
    assert_eq!((status, error["title"].as_str()), (402, Some("Low balance")), "{error}");
    assert!(inbox(&vonage).await.is_empty());
}

#[tokio::test]
async fn application_or_account_has_to_sign() {
    let vonage = Vonage::start().await;
    let url = format!("{}/v1/messages", vonage.base);
    let post = || vonage.client.post(&url).json(&message());
    for request in [post(), post().bearer_auth("a.b.c"), post().basic_auth(KEY, Some("wrong"))] {
        let (status, error) = answer(request).await;
        assert_eq!((status, error["title"].as_str()), (401, Some("You did not provide correct credentials.")));
    }
    assert_eq!(answer(post().basic_auth(KEY, Some(SECRET))).await.0, 202);
}

#[tokio::test]
async fn status_webhook_goes_to_the_application_that_sent() {
    let (app, vonage) = linked(&["447451000001"]).await;
    let (_, sent) = answer(request(&vonage, &with("client_ref", json!("ride-42")))).await;
    let basic = vonage.client.post(format!("{}/v1/messages", vonage.base)).basic_auth(KEY, Some(SECRET));
    assert_eq!(answer(basic.json(&message())).await.0, 202);
    let how = json!({"format": "sms_form", "status": "rejected", "err_code": "6"});
    let (status, told) = vonage.control("POST", "/simulator/receipts", how).await;
    assert_eq!((status, told.as_array().map(Vec::len)), (200, Some(1)), "that of the account goes elsewhere: {told}");
    let received = app.received("/message-status");
    let webhook = &received.last().unwrap();
    assert!(webhook.claims.is_some(), "{webhook:?}");
    let data = &webhook.data;
    assert_eq!((&data["message_uuid"], &data["status"]), (&sent["message_uuid"], &json!("rejected")));
    assert_eq!((&data["client_ref"], &data["channel"]), (&json!("ride-42"), &json!("sms")));
    assert_eq!((&data["error"]["title"], &data["usage"]["currency"]), (&json!("1210"), &json!("EUR")));
}

#[tokio::test]
async fn channels_have_senders_and_a_window_and_a_next_message() {
    let vonage = Vonage::start().await;
    let to_whatsapp = |fields: Value| {
        let mut message = json!({"channel": "whatsapp", "message_type": "text", "from": "447700900099", "to": CALLER,
                                 "text": "Hi there"});
        message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        message
    };
    let file = |kind: &str| json!({"message_type": kind, kind: {"url": "https://example.com/a"}});
    for (fields, kind) in [
        (json!({"from": "447700900098"}), "1120"),
        (json!({"text": "a".repeat(4_097)}), "1150"),
        (file("vcard"), "1140"),
        (json!({"failover": []}), "1150"),
        (json!({"failover": [{"channel": "pigeon"}]}), "1100"),
    ] {
        let (status, refusal) = answer(request(&vonage, &to_whatsapp(fields))).await;
        let refused = refusal["type"].as_str().unwrap_or_default();
        assert!(status == 422 && refused.ends_with(&format!("#{kind}")), "{refusal}");
    }
    // The phone has not written there, so the SMS is sent instead.
    let (status, sent) = answer(request(&vonage, &to_whatsapp(json!({"failover": [message()]})))).await;
    assert!(status == 202 && sent["workflow_id"].is_string(), "{sent}");
    let received = inbox(&vonage).await;
    assert_eq!((received.len(), &received[0]["channel"]), (1, &Value::Null), "{received:?}");
    assert_ne!(received[0]["message_id"], sent["message_uuid"]);
    // RCS has no window.
    let to_rcs = to_whatsapp(json!({"channel": "rcs", "from": "Rides"}));
    assert_eq!(answer(request(&vonage, &to_rcs)).await.0, 202);
    assert_eq!(inbox(&vonage).await[1]["channel"], "rcs");
}
