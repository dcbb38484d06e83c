//! Late callers: lost property, and a support phone of one conversation.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

const OFFER: &str = "About lost property, press 1.";

async fn create(laptop: &Laptop, fields: Value) -> Value {
    let mut order = conversation();
    (order["notify"], order["lost_property"]) = (json!(false), json!(true));
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

async fn end(laptop: &Laptop, conversation: &Value) {
    assert_eq!(laptop.delete(&path(conversation)).await.status, 200);
}

/// Calls from the side's phone and presses this key.
async fn press(laptop: &Laptop, conversation: &Value, side: usize, key: &str) -> Value {
    let to = text(conversation, &format!("/participants/{side}/dials"));
    let from = if side == 0 { RIDER } else { DRIVER };
    laptop.faultless_call(json!({"from": from, "to": to, "presses": [key]})).await
}

fn heard(told: &Value) -> String {
    told["phones"]["caller"]["heard"].to_string()
}

/// Fails if the call connected anybody.
fn assert_alone(told: &Value) {
    assert!(told["phones"]["callee"].is_null(), "{told}");
}

#[tokio::test]
async fn nobody_is_connected_before_both_have_asked() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    assert_eq!(created["lost_property"], true);
    assert!(!heard(&press(&laptop, &created, 0, "1").await).contains(OFFER), "it goes on");
    end(&laptop, &created).await;
    for key in ["2", "#"] {
        let told = press(&laptop, &created, 0, key).await;
        assert!(heard(&told).contains(OFFER) && heard(&told).contains("Goodbye"), "{told}");
        assert_alone(&told);
    }
    assert!(laptop.texts(DRIVER).await.is_empty());
    for _ in 0..3 {
        let told = press(&laptop, &created, 0, "1").await;
        assert!(heard(&told).contains("We will ask the other person"), "{told}");
        assert_alone(&told);
    }
    let texts = laptop.texts(DRIVER).await;
    assert!(texts.len() == 1 && texts[0]["from"] == created["participants"][1]["dials"], "once in a burst: {texts:?}");
    assert!(text(&texts[0], "/text").contains("your rider asks to talk to you"), "{texts:?}");
    let shown = laptop.get(&path(&created)).await.body;
    assert!(shown["lost_property_asked_at"][0].is_string() && shown["lost_property_asked_at"][1].is_null(), "{shown}");
    let agreed = press(&laptop, &created, 1, "1").await;
    assert_eq!(agreed["callees"][0]["number"], RIDER, "{agreed}");
    assert_eq!(agreed["callees"][0]["display"], created["participants"][0]["dials"]);
    assert!(laptop.texts(RIDER).await.is_empty(), "the rider has asked already");
    let calls = laptop.get(&path(&created)).await.body["calls"].clone();
    let connected = calls.as_array().unwrap().iter().filter(|call| call["legs"].as_array().unwrap().len() == 2);
    assert_eq!(connected.count(), 2, "the first call and this one: {calls}");
    assert_eq!(laptop.get(&path(&created)).await.body["state"], "ended");
    laptop.advance(6 * 3600);
    press(&laptop, &created, 0, "1").await;
    assert_eq!(laptop.texts(DRIVER).await.len(), 2, "after the burst");
}

#[tokio::test]
async fn request_about_lost_property_holds_for_a_day() {
    let laptop = Laptop::builder().env(&[("QUARANTINE_SECONDS", "604800")]).numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"expires_in": 60})).await;
    laptop.advance(61);
    press(&laptop, &created, 1, "1").await;
    laptop.advance(86_400);
    assert_alone(&press(&laptop, &created, 0, "1").await);
    assert_eq!(laptop.texts(DRIVER).await.len(), 1, "the rider's own request");
    assert_eq!(press(&laptop, &created, 1, "1").await["callees"][0]["number"], RIDER);
    // A call would last longer than the quarantine.
    laptop.advance(604_800 - 86_400 - 7200);
    let told = press(&laptop, &created, 0, "1").await;
    assert!(heard(&told).contains(OFFER) && heard(&told).contains("Goodbye"), "{told}");
    assert_alone(&told);
}

#[tokio::test]
async fn who_is_not_to_talk_is_not_connected_later() {
    let laptop = Laptop::builder().numbers("GB", 6).start().await;
    for (fields, change) in [
        (json!({"lost_property": false}), None),
        (json!({}), Some(json!({"blocked": "a"}))),
        (json!({}), Some(json!({"blocked": "b"}))),
        (json!({"max_calls": 1}), None),
    ] {
        let created = create(&laptop, fields.clone()).await;
        if let Some(change) = &change {
            assert_eq!(laptop.patch(&path(&created), change).await.status, 200);
        } else if fields["max_calls"] == 1 {
            assert_eq!(press(&laptop, &created, 0, "").await["callees"][0]["number"], DRIVER);
        }
        end(&laptop, &created).await;
        for side in [0, 1, 0] {
            assert_alone(&press(&laptop, &created, side, "1").await);
        }
        assert_eq!(laptop.delete(&format!("{}?erase=true", path(&created))).await.status, 204);
    }
    assert!(laptop.texts(DRIVER).await.is_empty() && laptop.texts(RIDER).await.is_empty());
    // A former phone, and one that is none of theirs.
    let created = create(&laptop, json!({})).await;
    let moved = json!({"participants": [{"number": "+447700900077"}, null]});
    assert_eq!(laptop.patch(&path(&created), &moved).await.status, 200);
    end(&laptop, &created).await;
    assert_alone(&press(&laptop, &created, 0, "1").await);
    let step = format!("/webhooks/event/{}/late-b", text(&created, "/id"));
    for from in ["447700900555", "anonymous"] {
        let body = json!({"from": from, "to": created["participants"][0]["dials"], "uuid": "u",
                          "conversation_uuid": "CON-1", "dtmf": {"digits": "1"}});
        let answer = laptop.signed_post(&step, &body.to_string()).await;
        assert_eq!((answer.status, &answer.body[0]["text"]), (200, &json!("Goodbye.")), "{answer:?}");
    }
    assert!(laptop.texts(DRIVER).await.is_empty());
}

#[tokio::test]
async fn late_caller_reaches_the_support_phone_of_the_conversation() {
    let laptop = Laptop::builder().env(&[("SUPPORT_PHONE", "+442079460000")]).numbers("GB", 4).start().await;
    let own = create(&laptop, json!({"lost_property": false, "support_phone": "+442079460111"})).await;
    assert_eq!(own["support_phone"], "442079460111");
    end(&laptop, &own).await;
    let told = press(&laptop, &own, 0, "1").await;
    assert_eq!(
        (&told["phones"]["callee"]["number"], &told["ncco"][1]["from"]),
        (&json!("442079460111"), &own["participants"][0]["dials"])
    );
    let decision = format!("/decisions?from={RIDER}&to={}", text(&own, "/participants/0/dials"));
    assert_eq!(laptop.get(&decision).await.body["outcome"], "support");
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&own))).await.status, 204);
    // After the offer, the key decides.
    let both = create(&laptop, json!({"support_phone": "+442079460111"})).await;
    end(&laptop, &both).await;
    assert_eq!(press(&laptop, &both, 0, "2").await["phones"]["callee"]["number"], "442079460111");
    assert_alone(&press(&laptop, &both, 0, "1").await);
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&both))).await.status, 204);
    let offered = create(&laptop, json!({})).await;
    end(&laptop, &offered).await;
    assert_eq!(press(&laptop, &offered, 0, "2").await["phones"]["callee"]["number"], "442079460000");
    let mut order = conversation();
    order["support_phone"] = json!("020 7946 0000");
    let refused = laptop.post("/conversations", &order).await;
    assert_eq!((refused.status, &refused.body["field"]), (422, &json!("support_phone")), "{refused:?}");
}

#[tokio::test]
async fn one_way_conversation_has_nothing_to_press() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"direction": "a_to_b"})).await;
    end(&laptop, &created).await;
    let told = press(&laptop, &created, 0, "1").await;
    assert!(heard(&told).contains("has ended") && !heard(&told).contains(OFFER), "{told}");
    assert_alone(&told);
}

#[tokio::test]
async fn conversation_has_its_own_words_for_late_callers() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let words = json!({"en": "Your ride is over.", "de": "Ihre Fahrt ist beendet."});
    let mut order = conversation();
    order["late_words"] = words.clone();
    (order["notify"], order["participants"][1]["language"]) = (json!(false), json!("de"));
    let created = laptop.post("/conversations", &order).await.body;
    assert_eq!(created["late_words"], words);
    end(&laptop, &created).await;
    for (side, own) in [(0, "Your ride is over."), (1, "Ihre Fahrt ist beendet.")] {
        let told = press(&laptop, &created, side, "").await;
        assert_eq!(told["ncco"].as_array().unwrap().len(), 1, "{told}");
        assert_eq!(told["ncco"][0]["text"], own, "{told}");
    }
    // The number's words are for others.
    let path = format!("/numbers/{}", text(&created, "/participants/0/dials"));
    assert_eq!(laptop.patch(&path, &json!({"words": {"en": "Rides."}})).await.status, 200);
    assert_eq!(press(&laptop, &created, 0, "").await["ncco"][0]["text"], "Your ride is over.");
    let mut order = conversation();
    (order["late_words"], order["lost_property"]) = (words, json!(true));
    order["participants"][0]["number"] = json!("+447700900077");
    let offered = laptop.post("/conversations", &order).await.body;
    end(&laptop, &offered).await;
    let to = text(&offered, "/participants/0/dials");
    let told = laptop.call(json!({"from": "447700900077", "to": to, "presses": [""]})).await;
    assert_eq!(told["ncco"][0]["text"], "Your ride is over.", "{told}");
    assert!(text(&told, "/ncco/1/text").contains(OFFER), "{told}");
}

#[tokio::test]
async fn deployment_may_care_for_lost_property_by_default() {
    let laptop = Laptop::builder().env(&[("DEFAULT_LOST_PROPERTY", "on")]).numbers("GB", 4).start().await;
    for (given, cares) in [(None, true), (Some(false), false)] {
        let mut order = conversation();
        order["notify"] = json!(false);
        if let Some(given) = given {
            order["lost_property"] = json!(given);
        }
        let created = laptop.post("/conversations", &order).await.body;
        assert_eq!(created["lost_property"].as_bool().unwrap_or_default(), cares, "{created}");
        end(&laptop, &created).await;
        assert_eq!(heard(&press(&laptop, &created, 0, "").await).contains(OFFER), cares);
        assert_eq!(laptop.delete(&format!("{}?erase=true", path(&created))).await.status, 204);
    }
}
