//! `PATCH /conversations/{id}`.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

const NEW_PHONE: &str = "447700900009";

fn new_phone() -> Value {
    json!({"participants": [{"number": "+44 7700 900009"}, null]})
}

async fn laptop() -> Laptop {
    let short = [("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "100")];
    Laptop::builder().env(&short).numbers("GB", 2).start().await
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Returns the phone that a call reaches.
async fn reached(laptop: &Laptop, from: &str, to: &Value) -> Value {
    laptop.call(json!({"from": from, "to": to})).await["phones"]["callee"]["number"].clone()
}

#[tokio::test]
async fn new_phone_keeps_masks_and_old_phone_is_refused() {
    let laptop = laptop().await;
    let before = laptop.create().await;
    reached(&laptop, RIDER, &before["participants"][0]["dials"]).await;
    let after = laptop.patch(&path(&before), &new_phone()).await;
    assert_eq!((after.status, after.content_type()), (200, "application/json"), "{after:?}");
    let [rider, driver] = [0, 1].map(|side| &after.body["participants"][side]);
    for name in ["dials", "masked_by", "label"] {
        assert_eq!(rider[name], before["participants"][0][name]);
    }
    assert_eq!((&rider["number"], &rider["notification"]), (&json!(NEW_PHONE), &json!("off")));
    assert_eq!(driver, &before["participants"][1]);
    laptop.advance(1);
    assert_eq!(reached(&laptop, NEW_PHONE, &rider["dials"]).await, DRIVER);
    laptop.advance(1);
    assert_eq!(reached(&laptop, DRIVER, &driver["dials"]).await, NEW_PHONE);
    laptop.advance(1);
    let old = laptop.call(json!({"from": RIDER, "to": rider["dials"]})).await;
    assert!(old["phones"]["callee"].is_null() && old["phones"]["caller"]["heard"][0].to_string().contains("has ended"));
    let read = laptop.get(&path(&before)).await.body;
    let callers: Vec<&Value> = read["calls"].as_array().unwrap().iter().map(|call| &call["caller"]).collect();
    assert_eq!(read["participants"], after.body["participants"]);
    assert_eq!(
        callers,
        [&json!(RIDER), &json!(NEW_PHONE), &json!(DRIVER), &json!(RIDER)],
        "each by the phone it came from"
    );
    laptop.delete(&path(&before)).await;
    assert_eq!(reached(&laptop, NEW_PHONE, &rider["dials"]).await, Value::Null);
}

#[tokio::test]
async fn phone_that_comes_back_has_no_history_with_itself() {
    let short = [("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "100")];
    let laptop = Laptop::builder().env(&short).numbers("GB", 1).start().await;
    let first = laptop.create().await;
    assert_eq!(laptop.patch(&path(&first), &new_phone()).await.status, 200);
    laptop.advance(101);
    let between = json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900055"}]});
    let between = laptop.post("/conversations", &between).await.body;
    laptop.delete(&path(&between)).await;
    laptop.advance(101);
    let back = json!({"participants": [{"number": "+447700900001"}, null]});
    assert_eq!(laptop.patch(&path(&first), &back).await.status, 200);
    let key = format!("CALLER#{RIDER}");
    let items = laptop.items().await;
    let route = items.iter().find(|item| item["pk"]["S"] == *key).unwrap();
    assert_eq!((&route["conversation"]["S"], &route["earlier"]["L"]), (&first["id"], &json!([{"S": between["id"]}])));
    assert_eq!(reached(&laptop, RIDER, &first["participants"][0]["dials"]).await, DRIVER);
}

#[tokio::test]
async fn other_spelling_of_phone_is_no_new_phone() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("GB", 2)
        .start()
        .await;
    let order = json!({"participants": [{"number": "+54 9 11 2345 6789"}, {"number": "+447700900002"}]});
    let before = laptop.post("/conversations", &order).await.body;
    let [dials, others] = [0, 1].map(|side| before["participants"][side]["dials"].clone());
    let respelled = json!({"participants": [{"number": "+54 11 2345 6789"}, null]});
    let after = laptop.patch(&path(&before), &respelled).await;
    assert_eq!((after.status, &after.body["participants"][0]["number"]), (200, &json!("541123456789")), "{after:?}");
    assert_eq!(after.body["participants"][0]["notification"], before["participants"][0]["notification"]);
    for from in ["541123456789", "5491123456789"] {
        assert_eq!(reached(&laptop, from, &dials).await, DRIVER, "{from}");
    }
    assert_eq!(reached(&laptop, DRIVER, &others).await, "541123456789", "dialled as it is given now");
    let same = json!({"participants": [null, {"number": "+5491123456789"}]});
    assert_eq!(laptop.patch(&path(&before), &same).await.status, 422, "the other participant's phone");
    assert_eq!(laptop.delete(&path(&before)).await.body["state"], "ended");
}

#[tokio::test]
async fn new_expiry_counts_from_now() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    let dials = &conversation["participants"][0]["dials"];
    laptop.advance(50);
    for seconds in [60, 1000] {
        let changed = laptop.patch(&path(&conversation), &json!({"expires_in": seconds})).await.body;
        let time = |value: &Value, name: &str| text(value, name).parse::<jiff::Timestamp>().unwrap().as_second();
        let end = time(&conversation, "/created_at") + 50 + seconds;
        assert_eq!(time(&changed, "/expires_at"), end);
    }
    laptop.advance(999);
    assert_eq!(reached(&laptop, RIDER, dials).await, DRIVER);
    laptop.advance(1);
    assert_eq!(reached(&laptop, RIDER, dials).await, Value::Null);
    assert_eq!(laptop.keys(RIDER).await.len(), 1, "in quarantine from the new end on");
    laptop.advance(100);
    assert!(laptop.keys(RIDER).await.is_empty());
}

#[tokio::test]
async fn update_is_refused_after_end() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    laptop.delete(&path(&conversation)).await;
    for change in [new_phone(), json!({"expires_in": 60})] {
        let refused = laptop.patch(&path(&conversation), &change).await;
        assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:conversation-ended"));
    }
    let unknown = laptop.patch("/conversations/01KAP0QC00M4SK11NE00000000", &new_phone()).await;
    assert_eq!(unknown.status, 404);
    let expiring = laptop.create().await;
    laptop.patch(&path(&expiring), &json!({"expires_in": 60})).await;
    laptop.advance(60);
    assert_eq!(laptop.patch(&path(&expiring), &json!({"expires_in": 60})).await.status, 409);
}

#[tokio::test]
async fn new_phone_is_refused_if_its_route_key_is_taken() {
    let laptop = laptop().await;
    let first = laptop.create().await;
    let others = json!({"participants": [{"number": "+447700900009"}, {"number": "+447700900008"}], "notify": false});
    for _ in 0..2 {
        assert_eq!(laptop.post("/conversations", &others).await.status, 201);
    }
    let refused = laptop.patch(&path(&first), &new_phone()).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:number-not-free"));
    assert_eq!(text(&refused.body, "/field"), "participants[0].number");
    assert!(refused.body["next_free_at"].is_string());
    assert_eq!(reached(&laptop, RIDER, &first["participants"][0]["dials"]).await, DRIVER, "all is as it was");
}

#[tokio::test]
async fn concurrent_updates_and_end_leave_consistent_state() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    let path = path(&conversation);
    let (phone, longer) = (new_phone(), json!({"expires_in": 5000}));
    let (a, b, c, ended) = tokio::join!(
        laptop.patch(&path, &phone),
        laptop.patch(&path, &longer),
        laptop.patch(&path, &phone),
        laptop.delete(&path)
    );
    assert_eq!(ended.body["state"], "ended");
    for answer in [a, b, c] {
        assert!([200, 409].contains(&answer.status), "{answer:?}");
    }
    for (from, side) in [(RIDER, 0), (NEW_PHONE, 0), (DRIVER, 1)] {
        assert_eq!(reached(&laptop, from, &conversation["participants"][side]["dials"]).await, Value::Null);
    }
}

#[tokio::test]
async fn update_names_field_and_changes_nothing_on_bad_body() {
    let laptop = laptop().await;
    let before = laptop.create().await;
    let phone = |number: &str| json!({"participants": [{"number": number}, null]});
    for (change, field) in [
        (json!({}), ""),
        (json!({"participants": null}), ""),
        (json!({"expires_in": 59}), "expires_in"),
        (json!({"reference": "x"}), "reference"),
        (json!({"participants": [null, null]}), "participants"),
        (json!({"participants": [{"number": "+447700900009"}]}), "participants"),
        (json!({"participants": [{"number": "+447700900009"}, {"number": "+447700900008"}]}), "participants"),
        (phone("hello"), "participants[0].number"),
        (phone("07700900009"), "participants[0].country"),
        (phone("+44 1111 111111"), "participants[0].number"),
        (phone("+447700900002"), "participants[0].number"),
        (phone("+447451000001"), "participants[0].number"),
    ] {
        let refused = laptop.patch(&path(&before), &change).await;
        assert_eq!((refused.status, refused.body["field"].as_str().unwrap_or_default()), (422, field), "{refused:?}");
        assert!(!refused.body.to_string().contains("7700900"), "{refused:?}");
    }
    let mut read = laptop.get(&path(&before)).await.body;
    read.as_object_mut().unwrap().remove("calls");
    assert_eq!(read, before);
    let unchanged = laptop.patch(&path(&before), &phone("+447700900001")).await;
    assert_eq!((unchanged.status, &unchanged.body["participants"]), (200, &before["participants"]));
}

#[tokio::test]
async fn update_changes_nothing_when_lookup_fails() {
    let variables = [("NUMBER_LOOKUP", "number-insight"), ("WHEN_LOOKUP_FAILS", "refuse")];
    let laptop = Laptop::builder().env(&variables).numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    laptop.faults("/ni/basic/json", 3, json!({"kind": "status", "status": 500})).await;
    let failed = laptop.patch(&path(&conversation), &new_phone()).await;
    assert_eq!((failed.status, text(&failed.body, "/type")), (503, "urn:maskline:problem:carrier-failed"));
    assert_eq!(reached(&laptop, RIDER, &conversation["participants"][0]["dials"]).await, DRIVER);
}

#[tokio::test]
async fn if_match_changes_only_what_the_client_has_read() {
    let laptop = laptop().await;
    let created = laptop.post("/conversations", &testkit::conversation()).await;
    let path = path(&created.body);
    let tag = |answer: &Answer| answer.headers["etag"].to_str().unwrap().to_owned();
    let patch = async |tag: &str, seconds: u32| {
        let request = laptop.request(Method::PATCH, &path).header("if-match", tag);
        laptop.answer(request.body(json!({"expires_in": seconds}).to_string())).await
    };
    let first = tag(&created);
    assert_eq!(tag(&laptop.get(&path).await), first);
    let changed = patch(&first, 600).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_ne!(tag(&changed), first);
    laptop.call(json!({"from": RIDER, "to": created.body["participants"][0]["dials"]})).await;
    assert_eq!(tag(&laptop.get(&path).await), tag(&changed), "a call is no change");
    for stale in [first.as_str(), "W/\"1\"", "\"x\""] {
        let refused = patch(stale, 700).await;
        assert_eq!((refused.status, text(&refused.body, "/type")), (412, "urn:maskline:problem:conversation-changed"));
    }
    assert_eq!(laptop.get(&path).await.body["expires_at"], changed.body["expires_at"]);
    assert_eq!(patch("1", 700).await.status, 422);
    assert_eq!(patch("*", 700).await.status, 200);
}

#[tokio::test]
async fn of_two_changes_with_one_etag_one_is_made() {
    let laptop = laptop().await;
    let created = laptop.post("/conversations", &testkit::conversation()).await;
    let tag = created.headers["etag"].to_str().unwrap();
    let patch = async |seconds: u32| {
        let request = laptop.request(Method::PATCH, &path(&created.body)).header("if-match", tag);
        laptop.answer(request.body(json!({"expires_in": seconds}).to_string())).await.status
    };
    let (a, b, c) = tokio::join!(patch(600), patch(700), patch(800));
    let mut statuses = [a, b, c];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412]);
}
