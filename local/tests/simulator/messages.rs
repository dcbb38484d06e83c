//! The SMS API and the phones' inboxes.

use serde_json::{Value, json};

use crate::support::{CALLEE, CALLER, KEY, SECRET, Vonage, answer};

async fn send(vonage: &Vonage, from: &str, to: &str, text: &str) -> Value {
    let form = [("from", from), ("to", to), ("text", text)];
    let (status, body) = answer(vonage.form("/sms/json", &form)).await;
    assert_eq!(status, 200);
    body
}

async fn inbox(vonage: &Vonage, query: &str) -> Vec<Value> {
    let (_, body) = answer(vonage.get(&format!("/simulator/messages{query}"))).await;
    body["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn text_is_charged_and_reaches_the_phone() {
    let vonage = Vonage::start().await;
    let form = [("from", "Maskline"), ("to", CALLER), ("text", "Hi there"), ("client-ref", "ride-42")];
    let (_, sent) = answer(vonage.form("/sms/json", &form)).await;
    let message = &sent["messages"][0];
    let id = message["message-id"].as_str().unwrap();
    let expected = json!({"message-count": "1", "messages": [{"to": CALLER, "message-id": id, "status": "0",
        "remaining-balance": "99.96670000", "message-price": "0.03330000", "network": "23410",
        "client-ref": "ride-42"}]});
    assert_eq!(sent, expected);
    let received = inbox(&vonage, "?to=%2B44%207700%20900001").await;
    assert_eq!(received.len(), 1);
    assert_eq!((received[0]["text"].as_str(), received[0]["from"].as_str()), (Some("Hi there"), Some("Maskline")));
    assert_eq!(received[0]["message_id"], id);
    assert!(inbox(&vonage, "?to=447700900002").await.is_empty());
}

#[tokio::test]
async fn inboxes_list_oldest_first_and_json_is_accepted() {
    let vonage = Vonage::start().await;
    let url = format!("{}/sms/json", vonage.base);
    let body = json!({"api_key": KEY, "api_secret": SECRET, "from": "A", "to": CALLER, "text": "one"});
    assert_eq!(answer(vonage.client.post(&url).json(&body)).await.1["messages"][0]["status"], "0");
    send(&vonage, "A", CALLEE, "two").await;
    let legacy = [("api_key", KEY), ("api_secret", SECRET), ("from", "A"), ("to", CALLER), ("text", "three")];
    assert_eq!(answer(vonage.client.post(&url).form(&legacy)).await.1["messages"][0]["status"], "0");
    let texts: Vec<_> = inbox(&vonage, "").await.iter().map(|message| message["text"].clone()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
}

#[tokio::test]
async fn long_text_is_billed_by_part_and_arrives_whole() {
    let vonage = Vonage::start().await;
    let text = "a".repeat(307);
    let sent = send(&vonage, "A", CALLER, &text).await;
    assert_eq!((sent["message-count"].as_str(), sent["messages"].as_array().unwrap().len()), (Some("3"), 3));
    assert_eq!(sent["messages"][2]["remaining-balance"], "99.90010000");
    let received = inbox(&vonage, "").await;
    assert_eq!((received.len(), received[0]["text"].as_str()), (1, Some(text.as_str())));
}

#[tokio::test]
async fn unicode_text_without_its_type_arrives_as_question_marks() {
    let vonage = Vonage::start().await;
    send(&vonage, "A", CALLER, "Привет").await;
    let text = "ж".repeat(71);
    let form = [("from", "A"), ("to", CALLER), ("text", text.as_str()), ("type", "unicode")];
    assert_eq!(answer(vonage.form("/sms/json", &form)).await.1["message-count"], "2");
    let received = inbox(&vonage, "").await;
    assert_eq!((received[0]["text"].as_str(), received[1]["text"].as_str()), (Some("??????"), Some(text.as_str())));
}

#[tokio::test]
async fn refused_message_returns_vonages_status_and_reaches_nobody() {
    let vonage = Vonage::start().await;
    for (from, to, text, status) in [
        ("", CALLER, "Hi", "2"),
        ("A", "", "Hi", "2"),
        ("A", CALLER, "", "2"),
        ("A", "+447700900001", "Hi", "3"),
        ("A", "447700", "Hi", "3"),
        ("A", "07700900001", "Hi", "3"),
        ("+447451000001", CALLER, "Hi", "15"),
        ("TwelveLetter", CALLER, "Hi", "15"),
        ("447451000001", "12125550100", "Hi", "15"),
        ("Maskline", "14165550100", "Hi", "15"),
    ] {
        let sent = send(&vonage, from, to, text).await;
        let message = &sent["messages"][0];
        assert_eq!(message["status"], status, "{from} {to} {text}");
        assert!(message["error-text"].is_string() && message.get("message-id").is_none());
    }
    let long = "a".repeat(3_201);
    assert_eq!(send(&vonage, "A", CALLER, &long).await["messages"][0]["status"], "12");
    assert!(inbox(&vonage, "").await.is_empty());
}

#[tokio::test]
async fn owned_number_may_text_to_america() {
    let vonage = Vonage::start().await;
    vonage.buy("US", "12015550100").await;
    let sent = send(&vonage, "12015550100", "12125550100", "Hi").await;
    assert_eq!(sent["messages"][0]["status"], "0");
}

#[tokio::test]
async fn parts_fail_one_by_one_when_the_balance_runs_out() {
    let vonage = Vonage::start().await;
    let (status, _) = vonage.control("PUT", "/simulator/account", json!({"balance": "0.05"})).await;
    assert_eq!(status, 200);
    let sent = send(&vonage, "A", CALLER, &"a".repeat(200)).await;
    let statuses = [&sent["messages"][0]["status"], &sent["messages"][1]["status"]];
    assert_eq!(statuses, ["0", "9"]);
    assert_eq!(vonage.balance().await, "0.01670");
    assert!(inbox(&vonage, "").await.is_empty());
}

#[tokio::test]
async fn credential_errors_are_in_the_answer_body() {
    let vonage = Vonage::start().await;
    let url = format!("{}/sms/json", vonage.base);
    let form = [("from", "A"), ("to", CALLER), ("text", "Hi")];
    let missing = answer(vonage.client.post(&url).form(&form)).await;
    assert_eq!((missing.0, missing.1["messages"][0]["status"].as_str()), (200, Some("2")));
    let wrong = vonage.client.post(&url).basic_auth(KEY, Some("wrong")).form(&form);
    let wrong = answer(wrong).await;
    assert_eq!((wrong.0, wrong.1["messages"][0]["status"].as_str()), (200, Some("4")));
}
