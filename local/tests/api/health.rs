//! The health of numbers: counted once for each call, shown, and judged.

use serde_json::{Value, json};
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

/// Has 60 people called by each of two numbers. Most answer one of them, and few the other, which is returned.
pub async fn fall_off(laptop: &Laptop, conversation: &Value) -> String {
    let (good, bad) = (dials(conversation, 0), dials(conversation, 1));
    for call in 0..60 {
        for (from, to, is_answered) in [(&good, RIDER, call % 4 > 0), (&bad, DRIVER, call % 6 == 0)] {
            let (status, duration) = if is_answered { ("completed", Some("30")) } else { ("unanswered", None) };
            let event = json!({"headers": {}, "from": from, "to": to, "status": status, "direction": "outbound",
                               "uuid": format!("63f61863-4a51-4f6b-86e1-46edeb{}", &from[6..]), "duration": duration,
                               "timestamp": format!("{:.3}", shared::clock::Clock::now(&laptop.clock)),
                               "conversation_uuid": format!("CON-aaaaaaaa-bbbb-cccc-dddd-{call:012}")});
            assert_eq!(laptop.event(&event).await.status, 204);
        }
    }
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
               "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356", "timestamp": format!("{:.3}", jiff::Timestamp::now()),
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
