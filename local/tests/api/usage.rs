//! Limits of all calls of a conversation together.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, string, text};

use crate::healing::read;

const USED_UP: &str = "Sorry, this conversation has used up its calls, so your call cannot be connected. Goodbye.";

/// Creates the conversation of rider and driver with these fields.
async fn create(laptop: &Laptop, fields: Value) -> Value {
    let mut order = conversation();
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// True if a call of 42 seconds from the participant at `side` is connected. One that is not hears why.
async fn connects(laptop: &Laptop, conversation: &Value, side: usize) -> bool {
    let now = read(laptop, conversation).await;
    let participant = &now["participants"][side];
    let call = json!({"from": participant["number"], "to": participant["dials"], "talk_seconds": 42});
    let call = laptop.call(call).await;
    let connected = !call["phones"]["callee"].is_null();
    if !connected {
        assert_eq!(call["phones"]["caller"]["heard"], json!([USED_UP]), "{call}");
    }
    connected
}

async fn change(laptop: &Laptop, conversation: &Value, change: Value) -> Value {
    let answer = laptop.patch(&path(conversation), &change).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn third_call_of_two_is_refused_until_the_limit_is_raised() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"max_calls": 2})).await;
    assert_eq!((&created["max_calls"], &created["limit_reached_at"]), (&json!(2), &Value::Null));
    for (side, connected) in [(0, true), (1, true), (0, false), (1, false)] {
        assert_eq!(connects(&laptop, &created, side).await, connected, "{side}");
    }
    let reached = read(&laptop, &created).await;
    assert_eq!((&reached["state"], &reached["participants"]), (&json!("active"), &created["participants"]));
    assert!(reached["limit_reached_at"].is_string(), "{reached}");
    assert_eq!((&reached["usage"]["calls"], &reached["usage"]["seconds"]), (&json!(2), &json!(84)));
    let calls = reached["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 4, "refused calls are recorded");
    let spend: Decimal = calls.iter().map(|call| text(call, "/price").parse::<Decimal>().unwrap()).sum();
    assert_eq!((text(&reached, "/usage/spend").parse(), text(&reached, "/usage/currency")), (Ok(spend), "EUR"));

    assert_eq!(change(&laptop, &created, json!({"max_calls": 3})).await["limit_reached_at"], Value::Null);
    assert!(connects(&laptop, &created, 0).await && !connects(&laptop, &created, 0).await);
    assert!(change(&laptop, &created, json!({"max_calls": 1})).await["limit_reached_at"].is_string());
    assert!(!connects(&laptop, &created, 1).await);
    laptop.table().await;
}

#[tokio::test]
async fn minutes_and_spend_are_limits_too() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"max_minutes": 2, "max_spend": "100"})).await;
    assert_eq!((&created["max_minutes"], &created["max_spend"]), (&json!(2), &json!("100")));
    for connected in [true, true, true, false] {
        assert_eq!(connects(&laptop, &created, 0).await, connected);
    }
    // The third call would last for 42 seconds too, and is cut off when the two minutes are over.
    assert_eq!(read(&laptop, &created).await["usage"]["seconds"], 120);
    change(&laptop, &created, json!({"max_minutes": 100})).await;
    let spent: Decimal = text(&read(&laptop, &created).await, "/usage/spend").parse().unwrap();
    change(&laptop, &created, json!({"max_spend": (spent + Decimal::new(1, 4)).to_string()})).await;
    assert!(connects(&laptop, &created, 1).await && !connects(&laptop, &created, 0).await);
}

#[tokio::test]
async fn conversation_without_own_limits_has_those_of_deployment() {
    let defaults = [("DEFAULT_MAX_CALLS", "1"), ("DEFAULT_MAX_MINUTES", "30"), ("DEFAULT_MAX_SPEND_EUR", "2.50")];
    let laptop = Laptop::builder().env(&defaults).numbers("GB", 2).start().await;
    let usual = create(&laptop, json!({})).await;
    assert_eq!([&usual["max_calls"], &usual["max_minutes"]], [&json!(1), &json!(30)]);
    assert_eq!(usual["max_spend"], "2.50");
    assert!(connects(&laptop, &usual, 0).await && !connects(&laptop, &usual, 0).await);
    laptop.delete(&path(&usual)).await;
    let own = create(&laptop, json!({"max_calls": 2})).await;
    assert_eq!([&own["max_calls"], &own["max_minutes"]], [&json!(2), &json!(30)]);
}

#[tokio::test]
async fn limit_that_makes_no_sense_is_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    for (field, value) in [
        ("max_calls", json!(0)),
        ("max_calls", json!("2")),
        ("max_calls_per_day", json!(0)),
        ("max_calls_per_day", json!(1_000_001)),
        ("max_minutes", json!(1.5)),
        ("max_spend", json!(0)),
        ("max_spend", json!("two")),
        ("max_spend", json!([1])),
    ] {
        let mut order = conversation();
        order[field] = value.clone();
        let refused =
            [laptop.post("/conversations", &order).await, laptop.patch(&path(&created), &json!({field: value})).await];
        for answer in refused {
            assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn other_changes_of_routes_keep_the_limit() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"max_calls": 1})).await;
    assert!(connects(&laptop, &created, 0).await);
    change(&laptop, &created, json!({"expires_in": 172_800})).await;
    assert!(!connects(&laptop, &created, 0).await && !connects(&laptop, &created, 1).await);
    change(&laptop, &created, json!({"participants": [null, {"number": "+447700900009"}]})).await;
    assert!(!connects(&laptop, &created, 0).await && !connects(&laptop, &created, 1).await);
    laptop.rent("GB", 3).await;
    let lost = string(&created["participants"][0]["dials"]);
    let taken = laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &lost)]).await;
    assert_eq!(taken.status, 200);
    laptop.run_schedule().await;
    assert_ne!(read(&laptop, &created).await["participants"][0]["dials"], json!(lost));
    assert!(!connects(&laptop, &created, 0).await && !connects(&laptop, &created, 1).await);
    change(&laptop, &created, json!({"max_calls": 2})).await;
    assert!(connects(&laptop, &created, 0).await);
    laptop.table().await;
}

#[tokio::test]
async fn events_in_any_order_and_twice_count_once() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"max_calls": 100})).await;
    let dials = &created["participants"][0]["dials"];
    for events in ["in_order", "reversed", "twice"] {
        for callee in ["answers", "busy"] {
            laptop
                .call(json!({"from": RIDER, "to": dials, "callee": callee, "events": events, "talk_seconds": 42}))
                .await;
        }
    }
    assert_eq!(read(&laptop, &created).await["usage"]["calls"], 6);
    assert_eq!(read(&laptop, &created).await["usage"]["seconds"], 3 * 42);
}

#[tokio::test]
async fn one_way_conversation_has_limits_and_erasure_leaves_none() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"direction": "b_to_a", "max_calls": 1})).await;
    assert_eq!(created["participants"][1]["number"], DRIVER);
    assert!(connects(&laptop, &created, 1).await && !connects(&laptop, &created, 1).await);
    assert_eq!(laptop.table().await.usage.len(), 1);
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&created))).await.status, 204);
    assert_eq!(laptop.table().await.usage.len(), 0);
}

#[tokio::test]
async fn limit_of_change_counts_from_then_on() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    assert!(connects(&laptop, &created, 0).await);
    assert_eq!(read(&laptop, &created).await["usage"], Value::Null);
    change(&laptop, &created, json!({"max_calls": 1})).await;
    assert_eq!(read(&laptop, &created).await["usage"]["calls"], 0);
    assert!(connects(&laptop, &created, 0).await && !connects(&laptop, &created, 1).await);
}

const TOMORROW: &str = "Sorry, this conversation has used up its calls for today, so your call cannot be connected. Please call \
                        again tomorrow. Goodbye.";

/// Like [`connects`], for a call that may be one too many of its day.
async fn connects_today(laptop: &Laptop, conversation: &Value, side: usize) -> bool {
    let participant = &read(laptop, conversation).await["participants"][side];
    let call = json!({"from": participant["number"], "to": participant["dials"], "talk_seconds": 42});
    let call = laptop.call(call).await;
    let asked = format!("/decisions?from={}&to={}", text(participant, "/number"), text(participant, "/dials"));
    let connected = !call["phones"]["callee"].is_null();
    if !connected {
        assert_eq!(call["phones"]["caller"]["heard"], json!([TOMORROW]), "{call}");
        assert_eq!(laptop.get(&asked).await.body["outcome"], "limit of the day reached");
    }
    connected
}

#[tokio::test]
async fn third_call_of_a_day_of_two_is_connected_tomorrow() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.advance_to_noon();
    let created = create(&laptop, json!({"max_calls_per_day": 2, "expires_in": 864_000})).await;
    assert_eq!((&created["max_calls_per_day"], created.get("paused_until")), (&json!(2), None));
    for day in 0..3 {
        for (side, connected) in [(0, true), (1, true), (0, false), (1, false)] {
            assert_eq!(connects_today(&laptop, &created, side).await, connected, "{day} {side}");
        }
        let paused = read(&laptop, &created).await;
        assert_eq!((&paused["usage"]["calls_today"], &paused["usage"]["calls"]), (&json!(2), &json!(2 * day + 2)));
        assert!(text(&paused, "/paused_until").ends_with("T00:00:00Z"), "{paused}");
        assert_eq!(paused.get("limit_reached_at"), None, "{paused}");
        laptop.table().await;
        laptop.advance_to_noon();
        let next = read(&laptop, &created).await;
        assert_eq!((next.get("paused_until"), &next["usage"]["calls_today"]), (None, &json!(0)));
    }
}

#[tokio::test]
async fn limit_of_a_day_is_kept_and_raised_by_changes() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    laptop.advance_to_noon();
    let created = create(&laptop, json!({"max_calls_per_day": 1})).await;
    assert!(connects_today(&laptop, &created, 0).await && !connects_today(&laptop, &created, 0).await);
    for other in [
        json!({"expires_in": 172_800}),
        json!({"blocked": "a"}),
        json!({"blocked": null}),
        json!({"participants": [null, {"number": "+447700900009"}]}),
    ] {
        change(&laptop, &created, other.clone()).await;
        if other["blocked"] != "a" {
            assert!(
                !connects_today(&laptop, &created, 0).await && !connects_today(&laptop, &created, 1).await,
                "{other}"
            );
        }
        laptop.table().await;
    }
    assert_eq!(change(&laptop, &created, json!({"max_calls_per_day": 2})).await.get("paused_until"), None);
    assert!(connects_today(&laptop, &created, 1).await && !connects_today(&laptop, &created, 0).await);
    assert!(change(&laptop, &created, json!({"max_calls_per_day": 1})).await["paused_until"].is_string());
    assert!(!connects_today(&laptop, &created, 0).await);
    laptop.table().await;
}

#[tokio::test]
async fn deployment_has_a_limit_of_a_day_and_no_limit_stores_nothing() {
    let laptop = Laptop::builder().env(&[("DEFAULT_MAX_CALLS_PER_DAY", "1")]).numbers("GB", 2).start().await;
    laptop.advance_to_noon();
    let usual = create(&laptop, json!({})).await;
    assert_eq!(usual["max_calls_per_day"], 1);
    assert!(connects_today(&laptop, &usual, 0).await && !connects_today(&laptop, &usual, 1).await);

    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"max_calls": 9})).await;
    assert!(connects(&laptop, &created, 0).await);
    let items = laptop.items().await;
    let named = |name: &str| items.iter().any(|item| item.get(name).is_some());
    assert!(named("counted") && !named("days") && !named("paused_until"), "as before there was this limit");
    assert!(!items.iter().any(|item| item["counted"]["M"].get("day").is_some()));
}

/// Returns what a caller hears, and the limit of the talk. Compared with what is said about such a call.
async fn call_within(laptop: &Laptop, conversation: &Value, side: usize) -> (String, Value) {
    let participant = &read(laptop, conversation).await["participants"][side];
    let call = json!({"from": participant["number"], "to": participant["dials"], "conversation_uuid": "CON-1"});
    let ncco = laptop.signed_post("/webhooks/answer", &call.to_string()).await.body;
    let said: Vec<_> = ncco.as_array().unwrap().iter().filter_map(|action| action["text"].as_str()).collect();
    let asked = format!("/decisions?from={}&to={}", text(participant, "/number"), text(participant, "/dials"));
    let decision = laptop.get(&asked).await.body;
    let limit = ncco.as_array().unwrap().last().unwrap()["limit"].clone();
    let shown = &decision["connects"];
    assert_eq!((&decision["hears"], &shown["talk_seconds"]), (&json!(said.join(" ")), &limit));
    assert_eq!(shown["is_cut_short"] == true, said.len() == 2, "{decision}");
    (said.join(" "), limit)
}

#[tokio::test]
async fn call_lasts_no_longer_than_the_minutes_that_are_left() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let created = create(&laptop, json!({"max_minutes": 3})).await;
    let hears = |words: &str| match words {
        "" => "Connecting your call. Less than a minute is left for this call.".to_owned(),
        minutes => format!("Connecting your call. Minutes left for this call: {minutes}."),
    };
    assert_eq!(call_within(&laptop, &created, 0).await, (hears("3"), json!(180)));
    for (left, words) in [(138, "2"), (96, "1"), (54, "")] {
        assert!(connects(&laptop, &created, 0).await);
        for side in [0, 1] {
            assert_eq!(call_within(&laptop, &created, side).await, (hears(words), json!(left)));
        }
        assert_eq!(read(&laptop, &created).await["usage"]["left"], json!({"seconds": left}));
        laptop.table().await;
    }
    // Other changes keep it, and a new limit counts from what has been used.
    for other in [
        json!({"expires_in": 172_800}),
        json!({"participants": [{"number": "+447700900009"}, null]}),
        json!({"participants": [{"number": format!("+{RIDER}")}, null]}),
    ] {
        change(&laptop, &created, other.clone()).await;
        for side in [0, 1] {
            assert_eq!(call_within(&laptop, &created, side).await.1, 54, "{other}");
        }
        laptop.table().await;
    }
    let lost = string(&created["participants"][0]["dials"]);
    laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &lost)]).await;
    laptop.run_schedule().await;
    for side in [0, 1] {
        assert_eq!(call_within(&laptop, &created, side).await.1, 54, "on another number");
    }
    change(&laptop, &created, json!({"max_minutes": 4})).await;
    assert_eq!(call_within(&laptop, &created, 1).await.1, 114);
    change(&laptop, &created, json!({"max_minutes": 1000})).await;
    assert_eq!(call_within(&laptop, &created, 1).await, ("Connecting your call.".to_owned(), json!(7150)));
    laptop.table().await;
}

#[tokio::test]
async fn call_lasts_no_longer_than_the_money_left_at_its_rate() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"max_spend": "1"})).await;
    assert_eq!(call_within(&laptop, &created, 0).await.1, 7150, "the rate is not known");
    assert!(connects(&laptop, &created, 0).await);
    let after = read(&laptop, &created).await;
    let amount = |value: &Value| value.as_str().unwrap().parse::<Decimal>().unwrap();
    let rates: Decimal = after["calls"][0]["legs"].as_array().unwrap().iter().map(|leg| amount(&leg["rate"])).sum();
    let left = Decimal::ONE - amount(&after["usage"]["spend"]);
    assert_eq!(amount(&after["usage"]["left"]["spend"]), left);
    let seconds = (left / rates * Decimal::from(60)).floor();
    assert!(seconds > Decimal::from(600) && seconds < Decimal::from(7000), "{seconds}");
    assert_eq!(call_within(&laptop, &created, 0).await.1.to_string(), seconds.to_string());
    assert_eq!(call_within(&laptop, &created, 1).await.1, 7150, "calls of the other side were never told");
    change(&laptop, &created, json!({"max_minutes": 1})).await;
    assert_eq!(call_within(&laptop, &created, 0).await.1, 18, "the smaller one counts");
    laptop.table().await;
}

#[tokio::test]
async fn limits_of_calls_alone_leave_routes_as_they_are() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"max_calls": 9, "max_calls_per_day": 5})).await;
    assert!(connects(&laptop, &created, 0).await);
    assert_eq!(call_within(&laptop, &created, 0).await.1, 7150);
    let items = laptop.items().await;
    assert!(!items.iter().any(|item| item.get("left_seconds").is_some() || item.get("rates").is_some()));
    assert_eq!(read(&laptop, &created).await["usage"]["left"], json!({"calls": 8, "calls_today": 4}));
}
