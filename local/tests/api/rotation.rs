//! Numbers that are rotated: they still work, and their live conversations move to others.

use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, RIDER, text};

use crate::healing::{assert_connects, assert_replaced, dials, events, read};

async fn rotate(laptop: &Laptop, number: &str) -> (u16, Value) {
    let rotated = laptop.post(&format!("/numbers/{number}/rotate"), &json!({})).await;
    (rotated.status, rotated.body)
}

async fn state(laptop: &Laptop, number: &str) -> Value {
    laptop.get(&format!("/numbers/{number}")).await.body
}

/// The sides and outcomes in the events about conversations.
fn told(laptop: &Laptop) -> Vec<(String, bool)> {
    let told = events(laptop, "Dialled number rotated").into_iter();
    told.map(|event| (text(&event, "/side").to_owned(), event["moved"] == "true")).collect()
}

#[tokio::test]
async fn conversations_leave_a_rotated_number_once() {
    let quick = [("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "100")];
    let laptop = Laptop::builder().env(&quick).numbers("GB", 3).start().await;
    let before = laptop.create().await;
    let (old, kept) = (dials(&before, 0), dials(&before, 1));
    let (status, first) = rotate(&laptop, &old).await;
    assert_eq!((status, text(&first, "/state")), (200, "draining"));
    assert!(first["rotating_since"].is_string() && first.get("missing_since").is_none(), "{first}");
    // Until the schedule runs, everything is as before.
    assert_connects(&laptop, RIDER, &old, DRIVER, &kept).await;
    laptop.advance(1);
    assert_eq!(rotate(&laptop, &old).await, (status, first), "again, with the same answer");

    let report = laptop.run_schedule().await;
    assert_eq!((&report["healing"]["healed"], &report["lost"]), (&json!(1), &json!([])), "{report}");
    let after = read(&laptop, &before).await;
    let new = dials(&after, 0);
    assert!(new != old && new != kept, "{after}");
    assert_eq!(dials(&after, 1), kept);
    assert_eq!(after["participants"][0].get("dials_lost_since"), None);
    assert_connects(&laptop, RIDER, &new, DRIVER, &kept).await;
    assert_connects(&laptop, DRIVER, &kept, RIDER, &new).await;
    assert_replaced(&laptop, RIDER, &old).await;
    for _ in 0..2 {
        let (rider, driver) = (laptop.texts(RIDER).await, laptop.texts(DRIVER).await);
        assert_eq!((rider.len(), driver.len()), (2, 1), "{rider:?}");
        assert_eq!(text(&rider[1], "/from"), new);
        assert!(text(&rider[1], "/text").contains(&format!("has changed. Call +{new}")), "{rider:?}");
        let [event] = events(&laptop, "Dialled number rotated").try_into().unwrap();
        let expected =
            json!({"conversation": after["id"], "reference": "", "side": "A", "moved": "true", "revision": "1"});
        assert_eq!(event, expected);
        let [event] = events(&laptop, "Number rotated").try_into().unwrap();
        assert_eq!((text(&event, "/country"), text(&event, "/number")), ("GB", old.as_str()));
        assert_eq!(laptop.stack.bus.events().len(), 2);
        laptop.advance(61);
        laptop.run_schedule().await;
    }
    assert_eq!(laptop.table().await.heals, []);
    // The quarantine of the old pair is over, so Vonage gets the number back.
    assert_eq!(rotate(&laptop, &old).await.0, 404);
    assert_eq!(read(&laptop, &before).await["state"], "active");
}

#[tokio::test]
async fn rotated_number_is_given_to_nobody() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    assert_eq!(rotate(&laptop, "447451000002").await.0, 200);
    for nth in 0..4 {
        let order = json!({"participants": [{"number": format!("+44770090001{nth}")}, {"number": "+447700900009"}]});
        let created = laptop.post("/conversations", &order).await;
        // The second person has one route by each of two numbers at most.
        assert_eq!(created.status, if nth < 2 { 201 } else { 409 }, "{created:?}");
    }
    let pool = laptop.get("/numbers").await.body;
    assert_eq!((&pool["countries"][0]["ready"], &pool["countries"][0]["draining"]), (&json!(2), &json!(1)));
    laptop.table().await;
}

#[tokio::test]
async fn number_that_cannot_be_rotated_is_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    for unknown in ["447451000009", "no-number", "447700900001"] {
        assert_eq!(rotate(&laptop, unknown).await.0, 404);
    }
    assert_eq!(rotate(&laptop, "447451000001").await.0, 200);
    let (status, problem) = rotate(&laptop, "447451000002").await;
    assert_eq!((status, text(&problem, "/type")), (409, "urn:maskline:problem:no-other-number"));
    assert!(text(&problem, "/detail").contains("GB has no other ready number"), "{problem}");
    assert_eq!(state(&laptop, "447451000002").await["state"], "ready");

    laptop.rent("GB", 2).await;
    let mask = json!({"standing": {"phones": [{"number": "+447700900192"}]}});
    assert_eq!(laptop.patch("/numbers/447451000002", &mask).await.status, 200);
    let (status, problem) = rotate(&laptop, "447451000002").await;
    assert_eq!((status, text(&problem, "/type")), (409, "urn:maskline:problem:number-set-aside"));
    assert_eq!(events(&laptop, "Number rotated").len(), 1);
}

#[tokio::test]
async fn draining_number_can_be_rotated() {
    let laptop = Laptop::builder().env(&[("HEAL_LOST_NUMBERS", "off")]).numbers("GB", 3).start().await;
    let before = laptop.create().await;
    let old = dials(&before, 1);
    assert_eq!(laptop.delete(&format!("/numbers/{old}")).await.status, 200);
    laptop.run_schedule().await;
    assert_eq!(dials(&read(&laptop, &before).await, 1), old, "who drains a number keeps its conversations");
    let drained = state(&laptop, &old).await["draining_since"].clone();
    laptop.advance(5);
    assert_eq!(rotate(&laptop, &old).await.1["draining_since"], drained);
    laptop.run_schedule().await;
    assert_ne!(dials(&read(&laptop, &before).await, 1), old);
    assert_eq!(told(&laptop), [("B".to_owned(), true)]);
}

#[tokio::test]
async fn without_a_free_number_the_rotated_one_still_works() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let before = laptop.create().await;
    let old = dials(&before, 0);
    let other = json!({"participants": [{"number": format!("+{RIDER}")}, {"number": "+447700900009"}]});
    assert_eq!(laptop.post("/conversations", &other).await.status, 201, "the rider has both numbers in use");
    assert_eq!(rotate(&laptop, &old).await.0, 200);
    for _ in 0..2 {
        laptop.run_schedule().await;
        laptop.advance(61);
        let told = told(&laptop);
        assert!(told.contains(&("A".to_owned(), false)), "{told:?}");
        assert_connects(&laptop, RIDER, &old, DRIVER, &dials(&before, 1)).await;
        assert_eq!(laptop.texts(RIDER).await.len(), 2);
    }
    laptop.rent("GB", 2).await;
    // Each try that finds nothing doubles the pause.
    laptop.advance(121);
    laptop.run_schedule().await;
    let after = read(&laptop, &before).await;
    assert_ne!(dials(&after, 0), old);
    assert_connects(&laptop, RIDER, &dials(&after, 0), DRIVER, &dials(&after, 1)).await;
    assert_replaced(&laptop, RIDER, &old).await;
    assert_eq!(laptop.texts(RIDER).await.len(), 3);
    laptop.table().await;
}

#[tokio::test]
async fn call_that_began_on_the_old_number_stays_in_its_conversation() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let before = laptop.create().await;
    let old = dials(&before, 0);
    assert_eq!(rotate(&laptop, &old).await.0, 200);
    laptop.run_schedule().await;
    let event = json!({"headers": {}, "from": RIDER, "to": old, "status": "completed", "direction": "inbound",
                       "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356", "timestamp": format!("{:.3}", laptop.clock.now()),
                       "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "duration": "42"});
    assert_eq!(laptop.event(&event).await.status, 204);
    assert_eq!(read(&laptop, &before).await["calls"].as_array().unwrap().len(), 1);
}
