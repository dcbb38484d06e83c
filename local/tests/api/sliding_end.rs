//! Ends that slide with each call and text.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, RIDER, text};

use crate::change_events::{Stream, events};

async fn laptop() -> Laptop {
    Laptop::builder().numbers("GB", 2).start().await
}

/// Creates a conversation of ten minutes whose end is ten minutes after the last use.
async fn create(laptop: &Laptop, more: Value) -> Value {
    let mut fields = json!({"expires_in": 600, "extend_on_use": 600, "notify": false});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    laptop.create_with(fields).await
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Returns the seconds from the creation to the end of a conversation.
fn lasts(conversation: &Value) -> i64 {
    let time = |pointer: &str| text(conversation, pointer).parse::<Timestamp>().unwrap().as_second();
    time("/expires_at") - time("/created_at")
}

async fn lasts_now(laptop: &Laptop, conversation: &Value) -> i64 {
    lasts(&laptop.get(&path(conversation)).await.body)
}

/// Returns an event of the driver's leg of a call so many seconds ago.
fn event(laptop: &Laptop, conversation: &Value, status: &str, ago: i64) -> Value {
    let time = laptop.clock.now() - SignedDuration::from_secs(ago);
    json!({"from": text(conversation, "/participants/1/dials"), "to": DRIVER, "status": status, "direction": "outbound",
           "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356", "timestamp": format!("{time:.3}"),
           "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"})
}

async fn tell(laptop: &Laptop, event: &Value) {
    assert_eq!(laptop.event(event).await.status, 204);
}

#[tokio::test]
async fn end_slides_with_each_call_up_to_the_latest_one() {
    let laptop = laptop().await;
    let latest = laptop.clock.now() + SignedDuration::from_secs(1_000);
    let created = create(&laptop, json!({"latest_end": format!("{latest:.0}")})).await;
    assert_eq!((&created["extend_on_use"], lasts(&created)), (&json!(600), 600));
    assert_eq!(created["latest_end"], format!("{latest:.0}"));
    laptop.advance(30);
    tell(&laptop, &event(&laptop, &created, "answered", 0)).await;
    assert_eq!(lasts_now(&laptop, &created).await, 600, "less than a tenth");
    laptop.advance(270);
    tell(&laptop, &event(&laptop, &created, "ringing", 0)).await;
    assert_eq!(lasts_now(&laptop, &created).await, 600, "nobody has answered yet");
    tell(&laptop, &event(&laptop, &created, "completed", 0)).await;
    assert_eq!(lasts_now(&laptop, &created).await, 900);
    laptop.advance(500);
    let reached = laptop.call(json!({"from": RIDER, "to": created["participants"][0]["dials"]})).await;
    assert_eq!(reached["phones"]["callee"]["number"], DRIVER, "after the first end");
    assert_eq!(lasts_now(&laptop, &created).await, 1_000);
    laptop.advance(200);
    let late = laptop.call(json!({"from": RIDER, "to": created["participants"][0]["dials"]})).await;
    assert!(late["phones"]["callee"].is_null(), "{late}");
    laptop.table().await;
}

#[tokio::test]
async fn event_that_comes_again_or_late_counts_at_its_own_time() {
    let laptop = laptop().await;
    let created = create(&laptop, json!({})).await;
    laptop.advance(300);
    let first = event(&laptop, &created, "answered", 0);
    tell(&laptop, &first).await;
    laptop.advance(400);
    for event in [&first, &event(&laptop, &created, "completed", 350)] {
        tell(&laptop, event).await;
        assert_eq!(lasts_now(&laptop, &created).await, 900);
    }
    let mut without_time = event(&laptop, &created, "completed", 0);
    without_time.as_object_mut().unwrap().remove("timestamp");
    tell(&laptop, &without_time).await;
    assert_eq!(lasts_now(&laptop, &created).await, 900, "it would be a use whenever it comes again");
    tell(&laptop, &event(&laptop, &created, "failed", -3_600)).await;
    assert_eq!(lasts_now(&laptop, &created).await, 1_300, "the clock of the carrier is ahead");
}

#[tokio::test]
async fn conversation_that_is_over_never_comes_back() {
    let laptop = laptop().await;
    let expired = create(&laptop, json!({})).await;
    laptop.advance(601);
    tell(&laptop, &event(&laptop, &expired, "completed", 2)).await;
    let shown = laptop.get(&path(&expired)).await.body;
    assert_eq!((&shown["state"], lasts(&shown)), (&json!("expired"), 600));
    let ended = create(&laptop, json!({})).await;
    laptop.advance(300);
    laptop.delete(&path(&ended)).await;
    tell(&laptop, &event(&laptop, &ended, "completed", 1)).await;
    let shown = laptop.get(&path(&ended)).await.body;
    assert_eq!((&shown["state"], lasts(&shown)), (&json!("ended"), 600));
    laptop.table().await;
}

#[tokio::test]
async fn end_slides_with_texts_of_people_only() {
    let laptop = laptop().await;
    let created = create(&laptop, json!({"text_masking": "refuse"})).await;
    let dials = &created["participants"][0]["dials"];
    laptop.advance(300);
    laptop.text(json!({"from": RIDER, "to": dials, "text": "ring +44 7700 900055"})).await;
    assert_eq!(lasts_now(&laptop, &created).await, 600, "it was not passed on");
    let sent = laptop.text(json!({"from": RIDER, "to": dials, "text": "I am here"})).await;
    assert_eq!(lasts_now(&laptop, &created).await, 900);
    laptop.advance(400);
    laptop.deliver_again(text(&sent[0], "/id"), json!({})).await;
    assert_eq!(lasts_now(&laptop, &created).await, 900, "the same text");
    let request = laptop.request(reqwest::Method::POST, &format!("{}/texts", path(&created)));
    let request = request.header("idempotency-key", "1").body(json!({"to": "a", "text": "Hello"}).to_string());
    assert_eq!(laptop.answer(request).await.status, 201);
    assert_eq!(lasts_now(&laptop, &created).await, 900, "the backend has PATCH for that");
}

#[tokio::test]
async fn caller_who_is_not_connected_keeps_nothing_alive() {
    let laptop = laptop().await;
    let created = create(&laptop, json!({})).await;
    laptop.patch(&path(&created), &json!({"blocked": "a"})).await;
    laptop.advance(300);
    let refused = laptop.call(json!({"from": RIDER, "to": created["participants"][0]["dials"]})).await;
    assert!(refused["phones"]["callee"].is_null(), "{refused}");
    assert_eq!(lasts_now(&laptop, &created).await, 600);
}

#[tokio::test]
async fn hold_of_a_receiver_slides_with_the_end() {
    let laptop = laptop().await;
    let created = create(&laptop, json!({"direction": "a_to_b", "extend_on_use": 400_000})).await;
    laptop.advance(300);
    laptop.call(json!({"from": RIDER, "to": created["participants"][0]["dials"]})).await;
    assert!(lasts_now(&laptop, &created).await >= 400_300);
    // It compares holds with the conversations that need them.
    laptop.table().await;
}

#[tokio::test]
async fn pins_are_kept_as_long_as_the_end_slides() {
    let laptop = Laptop::builder().env(&[("PINS", "on")]).numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"pin": true})).await;
    let dials = &created["participants"][0]["dials"];
    laptop.advance(300);
    tell(&laptop, &event(&laptop, &created, "completed", 0)).await;
    laptop.advance(300);
    laptop.text(json!({"from": RIDER, "to": dials, "text": "I am here"})).await;
    assert_eq!(lasts_now(&laptop, &created).await, 1_200);
    let items = laptop.items().await;
    let until = |item: &Value| text(item, "/quarantined_until/N").parse::<i64>().unwrap();
    let [pins, routes] = ["PIN#", "CALLER#"].map(|prefix| {
        let of_it = items.iter().filter(|item| text(item, "/pk/S").starts_with(prefix));
        of_it.filter(|item| item["quarantined_until"]["N"].is_string()).map(until).collect::<Vec<_>>()
    });
    assert!(pins.len() == 2 && pins.iter().all(|pin| routes.contains(pin)), "{pins:?} {routes:?}");
}

#[tokio::test]
async fn request_changes_the_rule_and_old_uses_do_not_undo_it() {
    let laptop = laptop().await;
    let created = laptop.create_with(json!({"expires_in": 600})).await;
    assert!(created["extend_on_use"].is_null() && created["latest_end"].is_null());
    let path = path(&created);
    laptop.advance(300);
    let before = event(&laptop, &created, "completed", 0);
    tell(&laptop, &before).await;
    assert_eq!(lasts_now(&laptop, &created).await, 600);
    laptop.advance(1);
    let changed = laptop.patch(&path, &json!({"extend_on_use": 600})).await.body;
    assert_eq!((&changed["extend_on_use"], lasts(&changed)), (&json!(600), 600), "a change is no use");
    tell(&laptop, &before).await;
    assert_eq!(lasts_now(&laptop, &created).await, 600, "it is of before the change");
    let used = event(&laptop, &created, "answered", 0);
    tell(&laptop, &used).await;
    assert_eq!(lasts_now(&laptop, &created).await, 901);
    laptop.advance(1);
    laptop.patch(&path, &json!({"expires_in": 60})).await;
    tell(&laptop, &used).await;
    assert_eq!(lasts_now(&laptop, &created).await, 362, "the request was later");
    let stopped = laptop.patch(&path, &json!({"extend_on_use": null})).await.body;
    assert!(stopped["extend_on_use"].is_null() && stopped["latest_end"].is_null(), "{stopped}");
    tell(&laptop, &event(&laptop, &created, "completed", 0)).await;
    assert_eq!(lasts_now(&laptop, &created).await, 362);
    laptop.table().await;
}

#[tokio::test]
async fn rule_that_cannot_be_is_refused() {
    let laptop = laptop().await;
    let created = laptop.create().await;
    let at = |seconds: i64| format!("{:.0}", laptop.clock.now() + SignedDuration::from_secs(seconds));
    let refused = [
        json!({"extend_on_use": 59}),
        json!({"extend_on_use": 600, "latest_end": at(-60)}),
        json!({"extend_on_use": 600, "latest_end": at(171 * 86_400)}),
        json!({"latest_end": at(60)}),
    ];
    for fields in refused {
        let mut order = testkit::conversation();
        order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(laptop.post("/conversations", &order).await.status, 422, "{fields}");
        assert_eq!(laptop.patch(&path(&created), &fields).await.status, 422, "{fields}");
    }
}

#[tokio::test]
async fn end_that_slides_is_one_event_for_each_move() {
    let laptop = laptop().await;
    let created = create(&laptop, json!({})).await;
    let stream = Stream::open(&laptop).await;
    laptop.advance(30);
    tell(&laptop, &event(&laptop, &created, "answered", 0)).await;
    laptop.advance(270);
    for _ in 0..2 {
        tell(&laptop, &event(&laptop, &created, "completed", 0)).await;
    }
    laptop.advance(100);
    laptop.text(json!({"from": RIDER, "to": created["participants"][0]["dials"], "text": "Wait for me"})).await;
    let [by_call, by_text] = events(&stream).await.0.try_into().unwrap();
    let at = |seconds: i64| {
        let created_at: Timestamp = text(&created, "/created_at").parse().unwrap();
        json!((created_at.as_second() + seconds).to_string())
    };
    for (told, before, after, revision) in [(&by_call, 600, 900, "1"), (&by_text, 900, 1_000, "2")] {
        assert_eq!((&told["change"], &told["id"]), (&json!("MODIFY"), &created["id"]));
        assert_eq!((&told["before"]["expires_at"], &told["expires_at"]), (&at(before), &at(after)));
        assert_eq!((&told["revision"], &told["ended_at"]), (&json!(revision), &json!("")));
    }
}
