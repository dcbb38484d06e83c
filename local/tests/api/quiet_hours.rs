//! Quiet hours of a deployment.

use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

/// Starts a laptop at noon, in the first of two quiet hours of its deployment.
async fn laptop() -> Laptop {
    Laptop::builder().env(&[("QUIET_HOURS", "12:00-14:00 UTC")]).numbers("GB", 2).start().await
}

async fn write(laptop: &Laptop, conversation: &Value, key: &str, body: Value) -> Answer {
    let path = format!("/conversations/{}/texts", text(conversation, "/id"));
    let request = laptop.request(Method::POST, &path).header("idempotency-key", key).body(body.to_string());
    laptop.answer(request).await
}

#[tokio::test]
async fn text_of_the_backend_is_refused_until_they_end() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({"notify": false})).await;
    let words = json!({"to": "a", "text": "Your car is here."});
    let refused = write(&laptop, &conversation, "1", words.clone()).await;
    assert_eq!(
        (refused.status, text(&refused.body, "/type").rsplit(':').next()),
        (409, Some("quiet-hours")),
        "{refused:?}"
    );
    let earliest: jiff::Timestamp = text(&refused.body, "/earliest_at").parse().unwrap();
    assert_eq!(earliest.as_second() - laptop.clock.now().as_second(), 7_200);
    let own = json!({"to": "a", "text": "Now.", "quiet_hours": {"from": "01:00", "to": "02:00", "zone": "UTC"}});
    assert_eq!(write(&laptop, &conversation, "2", own).await.status, 201, "those of the request take their place");
    let any = json!({"to": "a", "text": "At once.", "quiet_hours": null});
    assert_eq!(write(&laptop, &conversation, "3", any).await.status, 201);
    laptop.advance(7_200);
    assert_eq!(write(&laptop, &conversation, "1", words).await.status, 201);
    assert_eq!(laptop.words(RIDER).await, ["Now.", "At once.", "Your car is here."]);
}

#[tokio::test]
async fn invitation_waits_and_the_same_request_sends_it_once() {
    let laptop = laptop().await;
    let order = testkit::conversation();
    let waits = laptop.post_with_key("ride", &order).await;
    let states = |answer: &Answer| {
        [0, 1].map(|side| text(&answer.body, &format!("/participants/{side}/notification")).to_owned())
    };
    assert_eq!((waits.status, states(&waits)), (201, ["pending", "pending"].map(str::to_owned)), "{waits:?}");
    laptop.advance(3_600);
    assert_eq!(states(&laptop.post_with_key("ride", &order).await), ["pending", "pending"]);
    assert!(laptop.texts(RIDER).await.is_empty() && laptop.texts(DRIVER).await.is_empty());
    laptop.advance(3_600);
    for _ in 0..2 {
        assert_eq!(states(&laptop.post_with_key("ride", &order).await), ["sent", "sent"]);
    }
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (1, 1));
}

#[tokio::test]
async fn phone_in_another_zone_has_the_hours_there() {
    let laptop = laptop().await;
    let all_day = json!({"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "00:00", "to": "24:00",
                         "zone": "Asia/Tokyo"});
    let order =
        json!({"participants": [{"number": format!("+{RIDER}"), "hours": all_day}, {"number": format!("+{DRIVER}")}]});
    let created = laptop.post("/conversations", &order).await.body;
    let states = [0, 1].map(|side| text(&created, &format!("/participants/{side}/notification")));
    assert_eq!(states, ["sent", "pending"], "it is evening in Tokyo");
}

#[tokio::test]
async fn request_texts_at_any_hour_if_it_says_so() {
    let laptop = laptop().await;
    let mut order = testkit::conversation();
    order["quiet_hours"] = json!({"from": "01:00", "to": "02:00"});
    assert_eq!(laptop.post("/conversations", &order).await.status, 422);
    order["quiet_hours"] = Value::Null;
    let created = laptop.post("/conversations", &order).await.body;
    assert_eq!(created["participants"][0]["notification"], "sent");
}
