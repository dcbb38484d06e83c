//! Calls that nobody takes, and calls with guard.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

/// The rider calls the driver, whose phone behaves like this.
async fn ring(laptop: &Laptop, conversation: &Value, callee: Value, presses: Value) -> Value {
    let dials = text(conversation, "/participants/0/dials");
    let call = json!({"from": RIDER, "to": dials, "callee": callee, "presses": presses});
    laptop.faultless_call(call).await
}

fn heard(told: &Value) -> String {
    told["phones"]["caller"]["heard"].to_string()
}

async fn calls(laptop: &Laptop, conversation: &Value) -> Value {
    laptop.get(&format!("/conversations/{}", text(conversation, "/id"))).await.body["calls"].clone()
}

#[tokio::test]
async fn caller_hears_why_nobody_answers() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"missed_calls": ["say"]})).await;
    assert_eq!(created["missed_calls"], json!(["say"]));
    for (callee, sentence, status) in [
        ("busy", "line is busy", "busy"),
        ("rejects", "was not taken", "rejected"),
        ("unanswered", "Nobody answers", "unanswered"),
        ("unreachable", "cannot be reached", "failed"),
    ] {
        let told = ring(&laptop, &created, json!(callee), json!([])).await;
        assert!(heard(&told).contains(sentence), "{callee}: {}", heard(&told));
        let calls = calls(&laptop, &created).await;
        let legs = calls.as_array().unwrap().iter().flat_map(|call| call["legs"].as_array().unwrap());
        assert_eq!(legs.filter(|leg| leg["status"] == status).count(), 1, "the leg is recorded: {calls}");
    }
    let told = ring(&laptop, &created, json!("answers"), json!([])).await;
    assert_eq!(told["phones"]["caller"]["connected"], true);
    assert!(heard(&told).matches(',').count() == 0, "only the announcement: {}", heard(&told));
    assert!(laptop.words(DRIVER).await.is_empty() && laptop.words(RIDER).await.is_empty());
}

#[tokio::test]
async fn missed_person_is_texted_once_in_a_burst() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"missed_calls": ["text"]})).await;
    let [rider, driver] = [0, 1].map(|side| &created["participants"][side]);
    for _ in 0..3 {
        ring(&laptop, &created, json!("unanswered"), json!([])).await;
    }
    let expected = format!("Missed call: {}. To call back, call +{}.", text(rider, "/label"), text(driver, "/dials"));
    assert_eq!(laptop.words(DRIVER).await, [expected.as_str()]);
    assert_eq!(laptop.texts(DRIVER).await[0]["from"], driver["dials"], "from the mask of the caller");
    laptop.advance(601);
    ring(&laptop, &created, json!("busy"), json!([])).await;
    assert_eq!(laptop.words(DRIVER).await.len(), 2);

    // What was texted is erased with the conversation.
    let erased = laptop.delete(&format!("/conversations/{}?erase=true", text(&created, "/id"))).await;
    assert_eq!(erased.status, 204);
    laptop.advance(61 * 60);
    laptop.stack.run_erasure_schedule().await.unwrap();
    assert!(laptop.words(DRIVER).await.is_empty(), "redacted at Vonage");
}

#[tokio::test]
async fn caller_may_ask_for_a_call_back() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"missed_calls": ["call_back"]})).await;
    for (presses, answer) in [(json!(["2"]), "Goodbye."), (json!([null]), "Goodbye."), (json!(["1"]), "pass it on")] {
        assert!(laptop.words(DRIVER).await.is_empty(), "{presses}");
        let told = ring(&laptop, &created, json!("busy"), presses).await;
        assert!(heard(&told).contains("press 1") && heard(&told).contains(answer), "{}", heard(&told));
    }
    let asked = laptop.words(DRIVER).await;
    assert!(asked.len() == 1 && asked[0].starts_with("Please call back: "), "{asked:?}");
    ring(&laptop, &created, json!("busy"), json!(["1"])).await;
    assert_eq!(laptop.words(DRIVER).await.len(), 1, "once in a burst");
    // The driver is called back in turn, by the rider's mask.
    let dials = text(&created, "/participants/1/dials");
    let told = laptop.call(json!({"from": DRIVER, "to": dials})).await;
    assert_eq!(told["phones"]["callee"]["number"], RIDER);
}

#[tokio::test]
async fn who_cannot_call_is_not_asked_to_call_back() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let fields = json!({"direction": "a_to_b", "missed_calls": ["text", "call_back"]});
    let created = laptop.create_with(fields).await;
    let told = ring(&laptop, &created, json!("unanswered"), json!(["1"])).await;
    assert!(!heard(&told).contains("press 1"), "{}", heard(&told));
    let texts = laptop.words(DRIVER).await;
    assert!(texts.len() == 1 && texts[0].starts_with("Missed call: ") && !texts[0].contains('+'), "{texts:?}");
}

#[tokio::test]
async fn call_is_connected_only_after_key_1_at_the_guard() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"guard": "press_1", "missed_calls": ["text"]})).await;
    assert_eq!(created["guard"], "press_1");
    let label = text(&created, "/participants/0/label");
    for (callee, joined) in [
        (json!({"does": "answers", "presses": ["1"]}), true),
        (json!({"does": "screens", "owner": "accepts", "presses": ["1"]}), true),
        (json!({"does": "screens", "owner": "declines"}), false),
        (json!("voicemail"), false),
        (json!("declines"), false),
        (json!({"does": "declines", "presses": ["2"]}), false),
    ] {
        let told = ring(&laptop, &created, callee.clone(), json!([])).await;
        let phone = &told["callees"][0];
        assert_eq!((&phone["joined"], &told["phones"]["caller"]["connected"]), (&json!(joined), &json!(joined)));
        assert!(phone["heard"].to_string().contains(label), "who calls: {phone}");
        assert_eq!(heard(&told).contains("Nobody answers"), !joined, "{callee}: {}", heard(&told));
        let call = text(&told, "/conversation_uuid");
        let calls = calls(&laptop, &created).await;
        let call = calls.as_array().unwrap().iter().find(|one| one["conversation_uuid"] == call).unwrap();
        let accepted = call["legs"].as_array().unwrap().iter().filter(|leg| leg["accepted_at"].is_string());
        assert_eq!(accepted.count(), usize::from(joined), "{callee}: {call}");
    }
    assert_eq!(laptop.words(DRIVER).await.len(), 1, "once in a burst");
}

#[tokio::test]
async fn each_person_is_told_in_their_own_language() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let participants = json!([{"number": format!("+{RIDER}"), "label": "der Fahrgast", "language": "de"},
                              {"number": format!("+{DRIVER}"), "label": "le chauffeur", "language": "fr-CH"}]);
    let fields = json!({"participants": participants, "guard": "press_1", "missed_calls": ["text", "call_back"]});
    let created = laptop.create_with(fields).await;
    let told = ring(&laptop, &created, json!("declines"), json!(["1"])).await;
    let (caller, callee) = (heard(&told), told["callees"][0]["heard"].to_string());
    assert!(caller.contains("Es meldet sich niemand.") && caller.contains("drücken Sie die 1"), "{caller}");
    assert!(callee.contains("Appel pour vous : der Fahrgast.") && callee.contains("Au revoir."), "{callee}");
    let texts = laptop.words(DRIVER).await;
    assert!(texts[0].starts_with("Appel manqué : der Fahrgast.") && texts[1].contains("rappeler"), "{texts:?}");
}

#[tokio::test]
async fn whisper_needs_a_token_of_its_own() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"guard": "press_1"})).await;
    let told = ring(&laptop, &created, json!({"does": "answers", "presses": ["1"]}), json!([])).await;
    let url = text(&told, "/ncco/1/endpoint/0/onAnswer/url");
    assert!(!url.contains(RIDER) && !url.contains(DRIVER), "{url}");
    let path = url.strip_prefix(&laptop.stack.gateway_url).unwrap();
    assert_eq!(laptop.get(path).await.status, 200);
    assert_eq!(laptop.get(&path[..path.len() - 1]).await.status, 404);
    assert_eq!(laptop.get(&path.replace(".b.", ".a.")).await.status, 404);
    laptop.advance(301);
    assert_eq!(laptop.get(path).await.status, 404, "not any more");
}

#[tokio::test]
async fn unsigned_key_connects_nobody() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"guard": "press_1"})).await;
    let path = format!("/webhooks/event/{}/guard-b", text(&created, "/id"));
    let body = json!({"uuid": "u", "conversation_uuid": "CON-1", "dtmf": {"digits": "1"}});
    assert!(laptop.post(&path, &body).await.status >= 400);
    let unknown = laptop.signed_post(&path.replace("guard-b", "guard-c"), &body.to_string()).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(calls(&laptop, &created).await, json!([]));
    let pressed = laptop.signed_post(&path, &body.to_string()).await;
    assert_eq!((pressed.status, &pressed.body[0]["action"]), (200, &json!("talk")));
    assert!(calls(&laptop, &created).await[0]["legs"][0]["accepted_at"].is_string());
}

#[tokio::test]
async fn machine_at_a_detecting_guard_is_a_missed_call() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"guard": "detect"})).await;
    let (id, call) = (text(&created, "/id"), "CON-2");
    let after = format!("/webhooks/event/{id}/after-b");
    let event = |status: &str| {
        json!({"from": created["participants"][1]["dials"], "to": DRIVER, "uuid": "leg", "conversation_uuid": call,
               "status": status, "direction": "outbound", "timestamp": "2026-11-22T12:00:06.000Z"})
    };
    let events = format!("/webhooks/event/{id}");
    let notified = json!({"conversation_uuid": call, "payload": {}}).to_string();
    assert_eq!(laptop.signed_post(&events, &event("answered").to_string()).await.status, 204);
    assert_eq!(laptop.signed_post(&after, &notified).await.status, 204, "a person took it");
    assert_eq!(laptop.signed_post(&events, &event("machine").to_string()).await.status, 204);
    let missed = laptop.signed_post(&after, &notified).await;
    assert!(missed.status == 200 && missed.body.to_string().contains("Nobody answers"), "{missed:?}");
}

#[tokio::test]
async fn deployment_chooses_guard_and_missed_calls() {
    let env = [("DEFAULT_GUARD", "press_1"), ("DEFAULT_MISSED_CALLS", "say, text")];
    let laptop = Laptop::builder().env(&env).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    assert_eq!((&created["guard"], &created["missed_calls"]), (&json!("press_1"), &json!(["say", "text"])));
    let own = laptop.create_with(json!({"guard": "none", "missed_calls": []})).await;
    assert_eq!((own.get("guard"), own.get("missed_calls")), (None, None));
}
