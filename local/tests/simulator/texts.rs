//! Texts of phones, receipts, and phones that have opted out, in Vonage's shapes.

use serde_json::{Value, json};

use crate::support::{APPLICATION, App, CALLER, KEY, Vonage, answer, linked};

const NUMBER: &str = "447451000001";

async fn send(vonage: &Vonage, fields: Value) -> Vec<Value> {
    let mut text = json!({"from": CALLER, "to": NUMBER, "text": "Hello there"});
    text.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let (status, told) = vonage.control("POST", "/simulator/texts", text).await;
    assert_eq!(status, 200, "{told}");
    told["messages"].as_array().unwrap().clone()
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn text_has_the_shape_and_signature_of_the_messages_api() {
    let (app, vonage) = linked(&[NUMBER]).await;
    let told = send(&vonage, json!({})).await;
    assert_eq!(told[0]["deliveries"], json!([204]));
    let received = app.received("/message");
    let (data, claims) = (&received[0].data, received[0].claims.as_ref().unwrap());
    let expected = ["channel", "from", "message_uuid", "origin", "sms", "text", "timestamp", "to", "usage"];
    assert_eq!(names(data), expected, "{data}");
    assert_eq!((&data["channel"], &data["from"], &data["to"]), (&json!("sms"), &json!(CALLER), &json!(NUMBER)));
    assert_eq!(data["sms"], json!({"num_messages": "1", "keyword": "HELLO"}));
    assert_eq!((&claims["api_key"], &claims["application_id"]), (&json!(KEY), &json!(APPLICATION)));
    assert_eq!(data["message_uuid"], told[0]["id"]);
}

#[tokio::test]
async fn text_of_the_sms_api_comes_in_parts_and_signed_by_itself() {
    let (app, vonage) = linked(&[NUMBER]).await;
    for (format, method) in [("sms_form", "POST"), ("sms_json", "POST"), ("sms_query", "GET")] {
        let told = send(&vonage, json!({"format": format, "text": "a".repeat(161), "parts": {"arrive": [2, 1]}})).await;
        assert_eq!(told.len(), 2);
        let received = app.received("/message").split_off(app.received("/message").len() - 2);
        for (webhook, part) in received.iter().zip(["2", "1"]) {
            assert_eq!((webhook.method.as_str(), webhook.claims.is_none()), (method, true));
            assert_eq!(webhook.data["concat-part"], part);
            assert_eq!((&webhook.data["concat-total"], &webhook.data["concat"]), (&json!("2"), &json!("true")));
            assert_eq!(webhook.data["sig"].as_str().unwrap().len(), 64);
        }
        assert_eq!(received[0].data["concat-ref"], received[1].data["concat-ref"]);
    }
    send(&vonage, json!({"format": "sms_json", "signing": "none"})).await;
    assert!(app.received("/message").last().unwrap().data["sig"].is_null());
}

#[tokio::test]
async fn text_is_repeated_until_it_is_taken_and_on_request() {
    let (app, vonage) = linked(&[NUMBER]).await;
    app.replies("/message", 503, "");
    app.replies("/message", 404, "");
    let told = send(&vonage, json!({})).await;
    assert_eq!(told[0]["deliveries"], json!([503, 404, 204]));
    let path = format!("/simulator/texts/{}/deliver", told[0]["id"].as_str().unwrap());
    let (_, again) = vonage.control("POST", &path, json!({"same_signature": true})).await;
    assert_eq!(again["deliveries"], json!([204]));
    let received = app.received("/message");
    let of = |nth: usize| (&received[nth].data["message_uuid"], &received[nth].claims.as_ref().unwrap()["iat"]);
    assert_eq!((received.len(), of(0)), (4, of(3)));
    for (kind, count) in [("lose", 1), ("duplicate", 2), ("at_once", 2), ("lose_answer", 2), ("unsigned", 1)] {
        let before = app.received("/message").len();
        vonage.fault(json!({"webhook": "inbound_url", "fault": {"kind": kind}})).await;
        send(&vonage, json!({})).await;
        assert_eq!(app.received("/message").len() - before, count, "{kind}");
    }
}

#[tokio::test]
async fn receipts_come_on_request_in_both_shapes() {
    let (app, vonage) = linked(&[NUMBER]).await;
    let text = "a".repeat(161);
    let form = [("from", NUMBER), ("to", CALLER), ("text", text.as_str()), ("client-ref", "ride-42")];
    let (_, sent) = answer(vonage.form("/sms/json", &form)).await;
    let release = async |how: Value| vonage.control("POST", "/simulator/receipts", how).await.1;
    release(json!({"keep": true, "reversed": true})).await;
    release(json!({"keep": true, "format": "sms_form", "status": "failed", "err_code": "7"})).await;
    let received = app.received("/message-status");
    assert_eq!(received.len(), 4);
    let (of_messages, of_sms) = (&received[0].data, &received[2].data);
    let expected =
        ["channel", "client_ref", "destination", "from", "message_uuid", "sms", "status", "timestamp", "to", "usage"];
    assert_eq!(names(of_messages), expected);
    assert_eq!(
        (&of_messages["status"], &of_messages["message_uuid"]),
        (&json!("delivered"), &sent["messages"][1]["message-id"])
    );
    assert_eq!((&of_messages["to"], &of_messages["from"]), (&json!(CALLER), &json!(NUMBER)));
    assert_eq!((&of_sms["msisdn"], &of_sms["to"]), (&json!(CALLER), &json!(NUMBER)), "they swap roles");
    assert_eq!(
        (&of_sms["status"], &of_sms["err-code"], &of_sms["client-ref"]),
        (&json!("failed"), &json!("7"), &json!("ride-42"))
    );
    let opt_out = json!({"phone": CALLER, "sender": NUMBER, "opted_out": true});
    assert_eq!(vonage.control("PUT", "/simulator/opt-outs", opt_out).await.0, 204);
    let inbox = async || answer(vonage.get("/simulator/messages")).await.1["messages"].as_array().unwrap().len();
    let before = inbox().await;
    let (_, sent) = answer(vonage.form("/sms/json", &form)).await;
    assert_eq!((&sent["messages"][0]["status"], inbox().await), (&json!("0"), before), "queued, and not delivered");
    let told = release(json!({"format": "sms_json"})).await;
    assert_eq!(told.as_array().unwrap().last().unwrap()["status"], "failed");
    let last = app.received("/message-status").pop().unwrap().data;
    assert_eq!((&last["status"], &last["err-code"]), (&json!("failed"), &json!("9")));
    assert_eq!(release(json!({})).await, json!([]), "each came");
}

#[tokio::test]
async fn text_needs_a_linked_number_and_an_application_with_messages() {
    let app = App::start().await;
    let vonage = Vonage::start_for(&app.base, local::simulator::HttpMethod::Post).await;
    let text = json!({"from": CALLER, "to": NUMBER, "text": "Hello"});
    assert_eq!(vonage.control("POST", "/simulator/texts", text.clone()).await.0, 400);
    vonage.rent_linked(&[NUMBER]).await;
    assert_eq!(vonage.control("POST", "/simulator/texts", text.clone()).await.0, 200);
    let path = format!("/v2/applications/{APPLICATION}");
    let (_, mut application) = answer(vonage.get(&path)).await;
    let webhooks = application["capabilities"]["messages"]["webhooks"].clone();
    assert_eq!(webhooks["inbound_url"]["http_method"], "POST");
    application["capabilities"]["messages"]["webhooks"]["inbound_url"]["http_method"] = json!("GET");
    let put = |body: &Value| {
        let request = vonage.client.put(format!("{}{path}", vonage.base)).json(body);
        answer(request.basic_auth(KEY, Some(crate::support::SECRET)))
    };
    assert_eq!(put(&application).await.0, 400, "webhooks of texts are POST only");
    application["capabilities"].as_object_mut().unwrap().remove("messages");
    assert_eq!(put(&application).await.0, 200);
    assert_eq!(vonage.control("POST", "/simulator/texts", text).await.0, 400);
}
