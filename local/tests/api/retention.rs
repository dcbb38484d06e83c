//! The end of retention: the schedule erases a conversation, and until then it is readable.

use std::sync::Arc;

use end_conversation::EndConversation;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::call::{Direction, LegEvent, LegFacts, Status};
use shared::domain::phone::PhoneNumber;
use shared::domain::route::KeyOwner;
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::store::LegPhone;
use testkit::{Builder, Laptop, RIDER, conversation, text};

const DAY: i64 = 86_400;

/// Time from the creation of a conversation to the end of its retention: its lifetime, its quarantine and 30 days.
const READABLE: i64 = 32 * DAY;

/// The time between an erasure and its redactions, and a minute more, in seconds.
const AN_HOUR: i64 = 61 * 60;

/// Returns the settings of a laptop that looks numbers up at Vonage, which leaves records there.
fn builder() -> Builder {
    Laptop::builder().env(&[("NUMBER_LOOKUP", "number-insight")])
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

async fn items_with(laptop: &Laptop, wanted: &str) -> Vec<String> {
    laptop.items().await.iter().map(Value::to_string).filter(|item| item.contains(wanted)).collect()
}

async fn run(laptop: &Laptop) -> Value {
    laptop.stack.run_erasure_schedule().await.unwrap()
}

/// Runs the schedule, and returns what its report says about retention: how many conversations it erased, and how many failed.
async fn retire(laptop: &Laptop) -> (u64, u64) {
    counts(&run(laptop).await)
}

fn counts(report: &Value) -> (u64, u64) {
    assert!(report.get("failed").is_none(), "{report}");
    let count = |name: &str| report["retention"][name].as_u64().unwrap();
    (count("erased"), count("failed"))
}

/// Runs the schedule of a deployment with this `RETENTION_DAYS` on the same table.
async fn retire_after(laptop: &Laptop, days: &str) -> (u64, u64) {
    let setting = ("RETENTION_DAYS".to_owned(), days.to_owned());
    let environment = laptop.stack.environment.clone().with([setting]);
    let function = EndConversation::start(&environment, Arc::new(laptop.clock.clone())).unwrap();
    counts(&function.tick(json!({"source": "aws.events"}), None).await)
}

/// Creates a conversation with a call, text messages and a reference with a name.
async fn lively(laptop: &Laptop) -> Value {
    let mut order = conversation();
    order["reference"] = json!("ride of Ms Rider");
    let conversation = laptop.post("/conversations", &order).await.body;
    laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"], "talk_seconds": 42})).await;
    conversation
}

/// Adds so many legs to a conversation.
async fn add_legs(laptop: &Laptop, conversation: &Value, count: usize) {
    let (store, phone) = (laptop.store(), PhoneNumber::try_from(RIDER).unwrap().into());
    let dialled = PhoneNumber::try_from(text(conversation, "/participants/0/dials")).unwrap().into();
    let Some(KeyOwner::Route(route)) = store.key_owner(&phone, &dialled).await.unwrap() else { panic!() };
    for call in 0..count {
        let event = LegEvent {
            conversation_uuid: format!("CON-{call}"),
            uuid: format!("leg-{call}"),
            status: Status::Completed,
            timestamp: Some(laptop.clock.now()),
            facts: LegFacts::default(),
        };
        store.merge_leg(&LegPhone::from(&route), Direction::Inbound, &event).await.unwrap();
    }
}

#[tokio::test]
async fn schedule_erases_conversation_when_its_retention_is_over() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    laptop.advance(READABLE - 1);
    assert_eq!(retire(&laptop).await, (0, 0));
    assert_eq!(laptop.get(&path(&conversation)).await.body["calls"].as_array().unwrap().len(), 1);
    laptop.advance(DAY);
    assert_eq!(retire(&laptop).await, (1, 0));
    for personal in ["ride of Ms Rider", "your driver", "LEG#", "447700900001", "447700900002"] {
        assert_eq!(items_with(&laptop, personal).await, [""; 0], "{personal}");
    }
    laptop.advance(AN_HOUR);
    let report = run(&laptop).await;
    let products = ["settled", "redacted", "postponed"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(products, [1, 6, 0], "lookups, text messages and legs: {report}");
    let table = laptop.table().await;
    assert_eq!((table.erasures.len(), table.redactions.len(), table.erased.len()), (0, 0, 1));
}

#[tokio::test]
async fn conversation_past_its_retention_can_only_be_erased() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    laptop.advance(READABLE);
    let path = path(&conversation);
    let (read, ended) = (laptop.get(&path).await.status, laptop.delete(&path).await.status);
    let changed = laptop.patch(&path, &json!({"expires_in": 600})).await.status;
    assert_eq!((read, changed, ended), (404, 404, 404));
    assert!(!items_with(&laptop, "ride of Ms Rider").await.is_empty(), "the schedule has not come yet");
    for _ in 0..2 {
        assert_eq!(laptop.delete(&format!("{path}?erase=true")).await.status, 204);
    }
    assert_eq!((items_with(&laptop, "ride of Ms Rider").await.len(), items_with(&laptop, "LEG#").await.len()), (0, 0));
    assert_eq!(laptop.table().await.redactions.len(), 6);
    assert_eq!(retire(&laptop).await, (0, 0));
}

#[tokio::test]
async fn present_retention_holds_for_what_is_stored() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    laptop.advance(READABLE + 20 * DAY);
    assert_eq!(retire_after(&laptop, "365").await, (0, 0));
    laptop.advance(DAY);
    assert_eq!(retire_after(&laptop, "52").await, (0, 0));
    laptop.advance(DAY);
    assert_eq!(retire_after(&laptop, "52").await, (1, 0));
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&conversation))).await.status, 204);
}

#[tokio::test]
async fn retention_of_no_days_ends_with_the_quarantine() {
    let laptop = builder().env(&[("RETENTION_DAYS", "0")]).numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    assert_eq!(laptop.delete(&path(&conversation)).await.status, 200);
    laptop.advance(DAY - 1);
    assert_eq!((retire(&laptop).await, laptop.get(&path(&conversation)).await.status), ((0, 0), 200));
    laptop.advance(1);
    assert_eq!(laptop.get(&path(&conversation)).await.status, 404);
    laptop.advance(DAY);
    assert_eq!(retire(&laptop).await, (1, 0));
}

#[tokio::test]
async fn table_is_read_once_a_day() {
    let laptop = builder().numbers("GB", 2).start().await;
    let pages = async || run(&laptop).await["retention"]["pages"].as_u64().unwrap();
    assert_eq!((pages().await, pages().await), (1, 0));
    laptop.advance(DAY - 1);
    assert_eq!(pages().await, 0);
    laptop.advance(1);
    assert_eq!((pages().await, pages().await), (1, 0));
}

#[tokio::test]
async fn erasure_that_fails_does_not_stop_others() {
    let laptop = builder().numbers("GB", 4).start().await;
    let (first, _) = (lively(&laptop).await, lively(&laptop).await);
    let key = json!({"pk": {"S": format!("CONVERSATION#{}", text(&first, "/id"))}, "sk": {"S": "LEG#CON-1#2"}});
    let mut leg = key.clone();
    leg["v"] = json!({"N": "99"});
    laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": leg})).await;
    laptop.advance(READABLE);
    assert_eq!(retire(&laptop).await, (1, 1));
    laptop.dynamodb("DeleteItem", json!({"TableName": "maskline", "Key": key})).await;
    laptop.advance(AN_HOUR);
    assert_eq!(run(&laptop).await["settled"], 2, "the schedule goes on with it, without another pass");
    assert_eq!(items_with(&laptop, "LEG#").await, [""; 0]);
}

#[tokio::test]
async fn table_that_fails_in_one_part_leaves_the_others() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&conversation))).await.status, 204);
    laptop.advance(AN_HOUR);
    let fault = json!({"operation": "Scan", "times": 100, "fault": {"kind": "error", "code": "AccessDeniedException"}});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", fault).await.status, 204);
    let report = run(&laptop).await;
    assert!(report["failed"].is_string() && report["redacted"] == 6 && report["settled"] == 1, "{report}");
}

#[tokio::test]
async fn run_without_time_leaves_everything_to_the_next() {
    let laptop = builder().numbers("GB", 4).start().await;
    let (erased, _) = (lively(&laptop).await, lively(&laptop).await);
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&erased))).await.status, 204);
    laptop.advance(READABLE);
    let clock = Arc::new(laptop.clock.clone());
    let function = EndConversation::start(&laptop.stack.environment, clock).unwrap();
    let before = laptop.items().await;
    let report = function.tick(json!({"source": "aws.events"}), Some(laptop.clock.now())).await;
    assert_eq!((&report["stopped"], &report["retention"]["pages"]), (&json!("out of time"), &json!(0)), "{report}");
    assert_eq!(laptop.items().await, before);
    let report = run(&laptop).await;
    assert_eq!((counts(&report), &report["settled"]), ((1, 0), &json!(1)), "{report}");
}

#[tokio::test]
async fn two_runs_at_once_erase_the_same() {
    let laptop = builder().numbers("GB", 4).start().await;
    for _ in 0..4 {
        lively(&laptop).await;
    }
    laptop.advance(READABLE);
    let (one, other) = tokio::join!(retire(&laptop), retire(&laptop));
    assert!(one.0 + other.0 >= 4 && one.1 + other.1 == 0, "{one:?} {other:?}");
    assert_eq!((laptop.table().await.erased.len(), items_with(&laptop, "LEG#").await.len()), (4, 0));
    laptop.advance(AN_HOUR);
    let (one, other) = tokio::join!(run(&laptop), run(&laptop));
    assert!(one.get("failed").is_none() && other.get("failed").is_none(), "{one} {other}");
    let table = laptop.table().await;
    assert_eq!((table.erasures.len(), table.redactions.len()), (0, 0));
}

#[tokio::test]
async fn conversation_with_2500_legs_is_erased_in_pieces() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    add_legs(&laptop, &conversation, 2500).await;
    let path = path(&conversation);
    assert_eq!(laptop.delete(&format!("{path}?erase=true")).await.status, 204);
    assert_eq!(laptop.get(&path).await.status, 404);
    let left = async || (items_with(&laptop, "LEG#").await.len(), items_with(&laptop, "voice#").await.len());
    assert_eq!(left().await, (1500, 1000), "a request has a bound");
    assert_eq!(laptop.delete(&format!("{path}?erase=true")).await.status, 204);
    assert_eq!(left().await, (500, 2000), "the next one goes on");
    laptop.table().await;
    run(&laptop).await;
    assert_eq!(left().await, (0, 2500), "and the schedule ends it");
    assert_eq!(laptop.table().await.erased.len(), 1);
}

#[tokio::test]
async fn retention_goes_through_pages_and_many_legs() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    add_legs(&laptop, &conversation, 2500).await;
    laptop.advance(READABLE);
    let report = run(&laptop).await;
    assert_eq!((counts(&report), &report["retention"]["complete"]), ((1, 0), &json!(true)), "{report}");
    assert!(report["retention"]["pages"].as_u64().unwrap() >= 2, "{report}");
    run(&laptop).await;
    assert_eq!((items_with(&laptop, "LEG#").await.len(), laptop.table().await.erased.len()), (0, 1));
}

#[tokio::test]
async fn change_of_a_conversation_does_not_rewrite_its_legs() {
    let laptop = builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["max_calls"] = json!(9);
    let conversation = laptop.post("/conversations", &order).await.body;
    laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"], "talk_seconds": 42})).await;
    let stored = async || [items_with(&laptop, "LEG#").await, items_with(&laptop, "USAGE").await];
    let before = stored().await;
    assert_eq!(before.each_ref().map(Vec::len), [2, 1]);
    let (mut deletion, year) = (Vec::new(), 365 * DAY);
    for item in laptop.items().await {
        if ["LEG#", "USAGE"].iter().any(|kind| text(&item, "/sk/S").starts_with(kind)) {
            deletion.push(text(&item, "/ttl/N").parse::<i64>().unwrap() - laptop.clock.now().as_second());
        }
    }
    assert!(deletion.iter().all(|after| *after > 10 * year), "{deletion:?}");
    for _ in 0..20 {
        laptop.advance(DAY / 2);
        let extended = laptop.patch(&path(&conversation), &json!({"expires_in": 14_688_000})).await;
        assert_eq!(extended.status, 200, "{extended:?}");
    }
    assert_eq!(stored().await, before);
    assert_eq!(laptop.get(&path(&conversation)).await.body["calls"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn table_deletes_conversation_after_any_retention_only() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let key = json!({"pk": {"S": format!("CONVERSATION#{}", text(&conversation, "/id"))}, "sk": {"S": "CONVERSATION"}});
    let stored = laptop.dynamodb("GetItem", json!({"TableName": "maskline", "Key": key})).await.body;
    let after: i64 = text(&stored, "/Item/ttl/N").parse().unwrap();
    let expires: i64 = text(&stored, "/Item/expires_at/N").parse().unwrap();
    assert_eq!(after - expires, (1 + 365 + 30) * DAY);
}
