//! `GET` and `PATCH /numbers/{number}`: words and a support phone of one number.

use serde_json::{Value, json};
use testkit::{Laptop, RIDER, string, text};

use crate::explained;

const STRANGER: &str = "447700900555";

/// A laptop with a conversation, and the number that the rider dials.
async fn start(more: &[(&str, &str)]) -> (Laptop, String, String) {
    let laptop = Laptop::builder().env(more).numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    (laptop, string(&created["participants"][0]["dials"]), path)
}

async fn set(laptop: &Laptop, number: &str, change: &Value) -> Value {
    let changed = laptop.patch(&format!("/numbers/{number}"), change).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(laptop.get(&format!("/numbers/{number}")).await.body, changed.body);
    changed.body
}

/// Returns the actions of a call.
async fn call(laptop: &Laptop, from: &str, to: &str) -> Value {
    explained::call(laptop, from, to).await.0
}

#[tokio::test]
async fn number_has_its_own_words_in_languages_of_callers() {
    let (laptop, dials, conversation) = start(&[]).await;
    let words = json!({"en": "This is the office of Rides.", "de": "Hier ist das Büro von Rides."});
    let shown = set(&laptop, &dials, &json!({"words": words})).await;
    assert_eq!((&shown["words"], &shown["number"], &shown["state"]), (&words, &json!(dials), &json!("ready")));
    for (from, heard, voice) in [
        (STRANGER, "This is the office of Rides.", "en-GB"),
        ("4915112345678", "Hier ist das Büro von Rides.", "de-DE"),
        ("33612345678", "This is the office of Rides.", "en-GB"),
    ] {
        let ncco = call(&laptop, from, &dials).await;
        assert_eq!(ncco, json!([{"action": "talk", "text": heard, "language": voice}]), "{from}");
    }
    let hidden = call(&laptop, "anonymous", &dials).await;
    assert!(text(&hidden, "/0/text").contains("caller ID is hidden"), "that is said to nobody else: {hidden}");
    assert_eq!(call(&laptop, RIDER, &dials).await[1]["action"], "connect", "the conversation goes on");
    laptop.delete(&conversation).await;
    assert_eq!(call(&laptop, RIDER, &dials).await[0]["text"], "This is the office of Rides.");
    let shown = set(&laptop, &dials, &json!({"words": null})).await;
    assert_eq!(shown.get("words"), None);
    assert!(text(&call(&laptop, RIDER, &dials).await, "/0/text").contains("has ended"));
}

#[tokio::test]
async fn number_has_its_own_support_phone() {
    let (laptop, dials, _) = start(&[("SUPPORT_PHONE", "+442079460000"), ("MAX_CALL_SECONDS", "600")]).await;
    let shown = set(&laptop, &dials, &json!({"support_phone": "+442079460111"})).await;
    assert_eq!((&shown["support_phone"], shown.get("support_phone_for_hidden")), (&json!("442079460111"), None));
    let connect = |to: &str| {
        json!({"action": "connect", "from": dials, "timeout": 45, "limit": 550,
               "endpoint": [{"type": "phone", "number": to}]})
    };
    assert_eq!(call(&laptop, STRANGER, &dials).await[1], connect("442079460111"));
    assert_eq!(call(&laptop, "442079460111", &dials).await[1], connect("442079460000"), "not to itself");
    assert_eq!(call(&laptop, "anonymous", &dials).await.as_array().unwrap().len(), 1);
    set(&laptop, &dials, &json!({"support_phone": "+442079460111", "support_phone_for_hidden": true})).await;
    assert_eq!(call(&laptop, "anonymous", &dials).await[1], connect("442079460111"));
    // The other settings stay.
    set(&laptop, &dials, &json!({"words": {"en": "Hello."}})).await;
    assert_eq!(call(&laptop, STRANGER, &dials).await[1], connect("442079460111"));
    set(&laptop, &dials, &json!({"support_phone": null})).await;
    assert_eq!(call(&laptop, STRANGER, &dials).await[1], connect("442079460000"));
}

#[tokio::test]
async fn wrong_pin_and_declined_offer_reach_the_phone_of_the_number() {
    let (laptop, dials, _) = start(&[("PINS", "on")]).await;
    set(&laptop, &dials, &json!({"support_phone": "+442079460111"})).await;
    let told = laptop.call(json!({"from": STRANGER, "to": dials, "presses": ["#"]})).await;
    assert_eq!(told["phones"]["callee"]["number"], "442079460111", "{told}");
    let body = json!({"from": RIDER, "to": dials, "uuid": "u", "conversation_uuid": "CON-1", "dtmf": {"digits": ""}});
    let step = "/webhooks/event/01M81PZXZPCX9PBRT5SWKY25Z7/late-b";
    let late = laptop.signed_post(step, &body.to_string()).await.body;
    assert_eq!(late[1]["endpoint"][0]["number"], "442079460111", "{late}");
}

#[tokio::test]
async fn settings_that_would_fail_in_a_call_are_refused() {
    let (laptop, dials, _) = start(&[]).await;
    let path = format!("/numbers/{dials}");
    for (change, field) in [
        (json!({"words": {"xx": "Hello."}}), "words"),
        (json!({"words": {"en": "Call +44 7700 900001."}}), ""),
        (json!({"words": {}}), "words"),
        (json!({"support_phone": "020 7946 0000"}), "support_phone"),
        (json!({"support_phone_for_hidden": true}), "support_phone_for_hidden"),
        (json!({"colour": "blue"}), ""),
    ] {
        let refused = laptop.patch(&path, &change).await;
        assert_eq!(refused.status, 422, "{change}: {refused:?}");
        assert!(field.is_empty() || refused.body["field"] == field, "{change}: {refused:?}");
    }
    for unknown in ["/numbers/447451999999", "/numbers/x"] {
        assert_eq!(laptop.patch(unknown, &json!({"words": null})).await.status, 404);
        assert_eq!(laptop.get(unknown).await.status, 404);
    }
    let mut order = testkit::conversation();
    for (words, detail) in [(json!({"en": "a".repeat(301)}), "300"), (json!({"xx": "Hello."}), "WORDS_FILE")] {
        order["late_words"] = words;
        let refused = laptop.post("/conversations", &order).await;
        assert_eq!((refused.status, &refused.body["field"]), (422, &json!("late_words")), "{refused:?}");
        assert!(text(&refused.body, "/detail").contains(detail), "{refused:?}");
    }
}

#[tokio::test]
async fn settings_leave_the_pool_with_their_number() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    let number = string(&laptop.get("/numbers").await.body["countries"][0]["numbers"][0]["number"]);
    set(&laptop, &number, &json!({"words": {"en": "Hello."}})).await;
    assert_eq!(laptop.delete(&format!("/numbers/{number}")).await.status, 200);
    laptop.advance(120);
    laptop.run_schedule().await;
    assert_eq!(laptop.get(&format!("/numbers/{number}")).await.status, 404);
    assert!(laptop.items().await.iter().all(|item| item["sk"]["S"] != "SETTINGS"));
}
