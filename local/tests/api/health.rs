//! The health of numbers: counted once for each call, shown, and judged.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, RIDER, text};

use crate::healing::{dials, events, read};

async fn health(laptop: &Laptop, number: &str) -> Value {
    let one = laptop.get(&format!("/numbers/{number}")).await.body["health"].clone();
    let pool = laptop.get("/numbers").await.body;
    let numbers = pool["countries"][0]["numbers"].as_array().unwrap();
    let listed = numbers.iter().find(|listed| listed["number"] == number).unwrap();
    assert_eq!(listed["health"], one);
    one
}

/// Has calls end that show `mask` to `phone`, of which every one is answered for which `is_answered`. `name` tells them from others.
async fn end_calls(
    laptop: &Laptop,
    (mask, phone): (&str, &str),
    name: &str,
    calls: usize,
    is_answered: impl Fn(usize) -> bool,
) {
    for call in 0..calls {
        let (status, duration) = if is_answered(call) { ("completed", Some("30")) } else { ("unanswered", None) };
        let event = json!({"headers": {}, "from": mask.trim_start_matches('+'), "to": phone.trim_start_matches('+'), "status": status,
                           "direction": "outbound", "uuid": format!("63f61863-4a51-4f6b-86e1-46ed{name:0>8}"), "duration": duration,
                           "timestamp": format!("{:.3}", shared::clock::Clock::now(&laptop.clock)),
                           "conversation_uuid": format!("CON-aaaaaaaa-bbbb-cccc-dddd-{call:012}")});
        assert_eq!(laptop.event(&event).await.status, 204);
    }
}

/// Has 60 people called by each of two numbers. Most answer one of them, and few the other, which is returned.
pub async fn fall_off(laptop: &Laptop, conversation: &Value) -> String {
    let (good, bad) = (dials(conversation, 0), dials(conversation, 1));
    end_calls(laptop, (&good, RIDER), "a", 60, |call| call % 4 > 0).await;
    end_calls(laptop, (&bad, DRIVER), "b", 60, |call| call % 6 == 0).await;
    for number in [&good, &bad] {
        assert!(health(laptop, number).await["calls"].as_u64() >= Some(60));
    }
    bad
}

#[tokio::test]
async fn each_call_counts_once_for_the_number_that_it_shows() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let (dialled, shown) = (dials(&conversation, 0), dials(&conversation, 1));
    for callee in ["answers", "answers", "busy"] {
        let call = json!({"from": RIDER, "to": dialled, "callee": callee, "talk_seconds": 42, "events": "twice"});
        laptop.call(call).await;
    }
    let expected = json!({"days": 7, "calls": 3, "answered": 2, "mean_talk_seconds": 42, "failed": {"busy": 1}});
    assert_eq!(health(&laptop, &shown).await, expected);
    assert_eq!(health(&laptop, &dialled).await, Value::Null, "nobody was shown it");
    laptop.advance(6 * 86_400);
    assert_eq!(health(&laptop, &shown).await, expected);
    laptop.advance(86_400);
    assert_eq!(health(&laptop, &shown).await, Value::Null);
}

#[tokio::test]
async fn same_end_at_the_same_moment_counts_once() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let from = dials(&conversation, 1);
    let event = |status: &str| {
        json!({"headers": {}, "from": from, "to": DRIVER, "status": status, "direction": "outbound",
               "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356", "timestamp": format!("{:.3}", laptop.clock.now()),
               "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"})
    };
    // A leg that was busy is completed too, in any order.
    let (busy, completed) = (event("busy"), event("completed"));
    let at_once = (0..8).map(|nth| laptop.event(if nth % 2 == 0 { &busy } else { &completed }));
    for answer in futures_util::future::join_all(at_once).await {
        assert_eq!(answer.status, 204);
    }
    assert_eq!(health(&laptop, &from).await["calls"], 1);
}

#[tokio::test]
async fn number_that_falls_off_is_reported_once_a_day() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let conversation = laptop.create().await;
    assert_eq!(laptop.run_schedule().await.get("unhealthy"), None);
    let bad = fall_off(&laptop, &conversation).await;
    for days in 1..=2 {
        for _ in 0..2 {
            let report = laptop.run_schedule().await;
            assert_eq!((&report["unhealthy"], report.get("rotated")), (&json!([bad]), None), "{report}");
            let told = events(&laptop, "Number unhealthy");
            assert_eq!(told.len(), days);
            assert_eq!((text(&told[0], "/country"), text(&told[0], "/number")), ("GB", bad.as_str()));
            assert_eq!((text(&told[0], "/calls"), text(&told[0], "/answered")), ("60", "10"));
        }
        laptop.advance(86_400);
    }
    assert_eq!(health(&laptop, &bad).await["calls"], 60);
    assert_eq!(laptop.get(&format!("/numbers/{bad}")).await.body["state"], "ready");
    laptop.advance(6 * 86_400);
    assert_eq!(laptop.run_schedule().await.get("unhealthy"), None);
}

#[tokio::test]
async fn number_that_falls_off_is_rotated_where_that_is_wanted() {
    let laptop = Laptop::builder().env(&[("ROTATE_UNHEALTHY", "on")]).numbers("GB", 3).start().await;
    let before = laptop.create().await;
    let bad = fall_off(&laptop, &before).await;
    let report = laptop.run_schedule().await;
    assert_eq!((&report["rotated"], &report["healing"]["healed"]), (&json!([bad]), &json!(1)), "{report}");
    let after = read(&laptop, &before).await;
    assert!(dials(&after, 1) != bad && dials(&after, 0) == dials(&before, 0), "{after}");
    assert_eq!(laptop.texts(DRIVER).await.len(), 2);
    laptop.advance(61);
    let report = laptop.run_schedule().await;
    assert_eq!((report.get("rotated"), report.get("unhealthy")), (None, None), "{report}");
    assert_eq!(events(&laptop, "Number rotated").len(), 1);
    laptop.table().await;
}

#[tokio::test]
async fn number_that_falls_off_while_it_moves_is_not_rotated_again() {
    let laptop = Laptop::builder().env(&[("ROTATE_UNHEALTHY", "on")]).numbers("GB", 3).start().await;
    let before = laptop.create().await;
    let bad = dials(&before, 1);
    assert_eq!(laptop.post(&format!("/numbers/{bad}/rotate"), &json!({})).await.status, 200);
    // Calls that show it still end.
    assert_eq!(fall_off(&laptop, &before).await, bad);
    let report = laptop.run_schedule().await;
    assert_eq!((report.get("rotated"), &report["healing"]["healed"]), (None, &json!(1)), "{report}");
    let moved = read(&laptop, &before).await;
    assert_ne!(dials(&moved, 1), bad);
    laptop.advance(61);
    let report = laptop.run_schedule().await;
    assert_eq!((report.get("rotated"), report.get("healing")), (None, None), "{report}");
    assert_eq!((dials(&read(&laptop, &before).await, 1), laptop.texts(DRIVER).await.len()), (dials(&moved, 1), 2));
    laptop.table().await;
}

#[tokio::test]
async fn number_that_nobody_has_called_is_left_alone() {
    let laptop = Laptop::builder().env(&[("ROTATE_UNHEALTHY", "on")]).numbers("GB", 4).start().await;
    let conversation = laptop.create().await;
    let good = dials(&conversation, 0);
    end_calls(&laptop, (&good, RIDER), "a", 60, |_| true).await;
    let report = laptop.run_schedule().await;
    assert_eq!((report.get("unhealthy"), report.get("rotated")), (None, None), "{report}");
    assert_eq!(health(&laptop, &dials(&conversation, 1)).await, Value::Null);
}

#[tokio::test]
async fn last_number_of_a_country_is_not_rotated() {
    let laptop = Laptop::builder().env(&[("ROTATE_UNHEALTHY", "on")]).numbers("GB", 2).start().await;
    let before = laptop.create().await;
    let bad = fall_off(&laptop, &before).await;
    let good = dials(&before, 0);
    assert_eq!(laptop.delete(&format!("/numbers/{good}")).await.status, 200);
    let report = laptop.run_schedule().await;
    assert_eq!((&report["unhealthy"], report.get("rotated")), (&json!([bad]), None), "{report}");
    assert_eq!(laptop.get(&format!("/numbers/{bad}")).await.body["state"], "ready");
}

/// Returns a phone to which the number `mask` is shown, for each of two networks and each of two numbers.
async fn people_of_two_networks(laptop: &Laptop) -> BTreeMap<(String, &'static str), String> {
    let mut people = BTreeMap::new();
    for nth in 0..8 {
        let phones = [format!("+447700900{nth:03}"), format!("+3361234567{nth}")];
        let pair =
            json!({"participants": [{"number": phones[nth % 2]}, {"number": phones[1 - nth % 2]}], "notify": false});
        let created = laptop.post("/conversations", &pair).await;
        assert_eq!(created.status, 201, "{created:?}");
        for side in 0..2 {
            let network = if side == nth % 2 { "GB-23410" } else { "FR-20801" };
            let (dials, phone) = (dials(&created.body, side), text(&created.body["participants"][side], "/number"));
            people.insert((dials, network), phone.to_owned());
        }
    }
    assert_eq!(people.len(), 4, "each number is shown to people of both networks");
    people
}

#[tokio::test]
async fn number_that_one_carrier_blocks_is_named_with_the_carrier() {
    let variables = [
        ("NUMBER_LOOKUP", "identity-insights"),
        ("LOOKUP_CARRIER", "on"),
        ("CALLABLE_COUNTRIES", "*"),
        ("FALLBACK_COUNTRIES", "GB"),
        ("ROTATE_UNHEALTHY", "on"),
    ];
    let laptop = Laptop::builder().env(&variables).numbers("GB", 2).start().await;
    let people = people_of_two_networks(&laptop).await;
    let blocked = people.keys().next().unwrap().0.clone();
    for (nth, ((mask, network), phone)) in people.iter().enumerate() {
        let (calls, one_in) = match *network {
            "FR-20801" if *mask == blocked => (60, 12),
            "FR-20801" => (60, 2),
            _ => (150, 2),
        };
        end_calls(&laptop, (mask, phone), &nth.to_string(), calls, |call| call % one_in == 0).await;
    }
    let report = laptop.run_schedule().await;
    assert_eq!((&report["unhealthy"], report.get("rotated")), (&json!([blocked]), None), "{report}");
    assert_eq!(report["unhealthy_with"], json!({format!("+{blocked}"): ["FR-20801"]}));
    let told = events(&laptop, "Number unhealthy");
    assert_eq!((told.len(), text(&told[0], "/number")), (1, blocked.as_str()));
    let networks = json!([{"country": "FR", "carrier": "20801", "calls": "60", "answered": "5"}]);
    assert_eq!(told[0]["networks"], networks);
    let british = json!({"country": "GB", "carrier": "23410", "calls": 150, "answered": 75, "mean_talk_seconds": 30});
    let french = |answered: u64| json!({"country": "FR", "carrier": "20801", "calls": 60, "answered": answered, "mean_talk_seconds": 30});
    for (mask, network) in people.keys().filter(|(_, network)| *network == "FR-20801") {
        let mut expected = french(if *mask == blocked { 5 } else { 30 });
        if *mask == blocked {
            expected["falls_off"] = json!(true);
        }
        assert_eq!(health(&laptop, mask).await["networks"], json!([british, expected]), "{network}");
    }
    laptop.advance(86_400);
    assert_eq!(health(&laptop, &blocked).await["networks"][1].get("falls_off"), None, "it is not found yet today");
}

#[tokio::test]
async fn country_is_known_without_a_lookup_and_few_calls_show_none() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let shown = dials(&conversation, 1);
    end_calls(&laptop, (&shown, DRIVER), "a", 9, |_| true).await;
    assert_eq!(health(&laptop, &shown).await.get("networks"), None);
    end_calls(&laptop, (&shown, DRIVER), "b", 1, |_| false).await;
    let networks = json!([{"country": "GB", "calls": 10, "answered": 9, "mean_talk_seconds": 30}]);
    assert_eq!(health(&laptop, &shown).await["networks"], networks);
}
