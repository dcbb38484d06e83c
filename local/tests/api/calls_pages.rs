//! `GET /conversations/{id}` with pages of calls.

use std::collections::BTreeSet;

use local::traffic::{Service, Usage};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::call::{Direction, LegEvent, LegFacts, Status};
use shared::domain::phone::PhoneNumber;
use shared::domain::route::KeyOwner;
use shared::store::LegPhone;
use testkit::{DRIVER, Laptop, RIDER, text};

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Creates a conversation with limits.
async fn limited(laptop: &Laptop) -> Value {
    let participants = json!([{"number": format!("+{RIDER}")}, {"number": format!("+{DRIVER}")}]);
    let order = json!({"participants": participants, "notify": false, "max_calls": 1_000_000});
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Stores calls as events do, each with so many legs. Call `CON-7` begins 7 seconds after the first one.
async fn store_calls(laptop: &Laptop, conversation: &Value, calls: usize, legs: impl Fn(usize) -> usize) {
    let store = laptop.store();
    let dialled = PhoneNumber::try_from(text(conversation, "/participants/0/dials")).unwrap().into();
    let caller = PhoneNumber::try_from(RIDER).unwrap().into();
    let Some(KeyOwner::Route(route)) = store.key_owner(&caller, &dialled).await.unwrap() else { panic!() };
    for call in 0..calls {
        for leg in 0..legs(call) {
            let event = LegEvent {
                conversation_uuid: format!("CON-{call}"),
                uuid: format!("leg-{leg}"),
                status: Status::Completed,
                timestamp: Some(laptop.clock.now() + jiff::SignedDuration::from_secs(call.try_into().unwrap())),
                facts: LegFacts::default(),
            };
            let direction = if leg == 0 { Direction::Inbound } else { Direction::Outbound };
            store.merge_leg(&LegPhone::from(&route), direction, &event).await.unwrap();
        }
    }
}

fn ids(page: &Value) -> Vec<String> {
    page["calls"].as_array().unwrap().iter().map(|call| text(call, "/conversation_uuid").to_owned()).collect()
}

/// Reads all pages, and checks what each of them costs and has.
async fn read_all(laptop: &Laptop, conversation: &Value, limit: usize, legs: impl Fn(usize) -> usize) -> Vec<Value> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        laptop.stack.traffic.watch();
        let page = laptop.get(&format!("{}?calls_limit={limit}{cursor}", path(conversation))).await;
        laptop.stack.traffic.settled().await;
        let usage = Usage::of(Service::Dynamodb, &laptop.stack.traffic.take());
        assert_eq!(page.status, 200, "{page:?}");
        assert!(usage.requests <= 4 && usage.read_units <= 20.0, "{usage:?}");
        let page = page.body;
        assert_eq!((&page["id"], page["usage"].is_object()), (&conversation["id"], true), "{page}");
        let calls = page["calls"].as_array().unwrap();
        assert!((1..=limit).contains(&calls.len()), "{} of {limit}", calls.len());
        for call in calls {
            let nth: usize = text(call, "/conversation_uuid").trim_start_matches("CON-").parse().unwrap();
            assert_eq!(call["legs"].as_array().unwrap().len(), legs(nth), "no page cuts a call in two: {call}");
        }
        let started: Vec<&str> = calls.iter().map(|call| text(call, "/started_at")).collect();
        assert!(started.is_sorted(), "{started:?}");
        let next = page["calls_next"].as_str().map(str::to_owned);
        pages.push(page);
        match next {
            Some(next) => cursor = format!("&calls_cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn thousand_calls_are_read_page_by_page() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = limited(&laptop).await;
    let legs = |_| 2;
    store_calls(&laptop, &conversation, 1_000, legs).await;
    let counted = json!({"headers": {}, "from": text(&conversation, "/participants/1/dials"), "to": DRIVER, "uuid": "leg-1",
                         "status": "started", "conversation_uuid": "CON-999", "direction": "outbound",
                         "timestamp": laptop.clock.now().to_string()});
    assert_eq!(laptop.event(&counted).await.status, 204);
    for limit in [100, 37] {
        let pages = read_all(&laptop, &conversation, limit, legs).await;
        let found: Vec<String> = pages.iter().flat_map(ids).collect();
        assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (1_000, 1_000));
        assert_eq!(pages.len(), 1_000_usize.div_ceil(limit), "all pages but the last one are full");
        assert!(pages.iter().all(|page| page["usage"]["calls"] == 1), "{}", pages[0]["usage"]);
    }
    let page = laptop.get(&path(&conversation)).await.body;
    assert_eq!((ids(&page).len(), page["calls_next"].is_string()), (50, true), "by default");
}

#[tokio::test]
async fn page_never_cuts_a_call_whatever_its_legs() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = limited(&laptop).await;
    // Refused calls of one leg, usual ones, and some with very many, as after transfers.
    let legs = |call: usize| [1, 2, 1, 7, 2, 30, 1, 2, 3, 1, 1][call % 11];
    store_calls(&laptop, &conversation, 44, legs).await;
    for limit in [1, 2, 3, 5, 20, 44, 100] {
        let pages = read_all(&laptop, &conversation, limit, legs).await;
        let found: Vec<String> = pages.iter().flat_map(ids).collect();
        assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (44, 44), "{limit}");
    }
}

#[tokio::test]
async fn small_conversation_is_one_page_of_one_query() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = limited(&laptop).await;
    store_calls(&laptop, &conversation, 50, |_| 2).await;
    laptop.stack.traffic.watch();
    let page = laptop.get(&path(&conversation)).await.body;
    laptop.stack.traffic.settled().await;
    let requests = laptop.stack.traffic.take();
    let names: Vec<&str> = requests.iter().map(|exchange| exchange.name.as_str()).collect();
    assert_eq!(names, ["Query", "Query", "BatchGetItem"], "the calls, the texts, and the losses");
    let expected: Vec<String> = (0..50).map(|call| format!("CON-{call}")).collect();
    assert_eq!((ids(&page), page.get("calls_next")), (expected, None), "all of them, oldest first");
}

#[tokio::test]
async fn calls_of_erased_or_unknown_conversation_have_no_page() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = limited(&laptop).await;
    store_calls(&laptop, &conversation, 3, |_| 2).await;
    let second = format!("{}?calls_limit=1&calls_cursor=CON-0", path(&conversation));
    assert_eq!(ids(&laptop.get(&second).await.body), ["CON-1"]);
    let behind_all = laptop.get(&format!("{}?calls_cursor=CON-9", path(&conversation))).await.body;
    assert_eq!((&behind_all["calls"], behind_all.get("calls_next")), (&json!([]), None));
    laptop.delete(&format!("{}?erase=true", path(&conversation))).await;
    assert_eq!(laptop.get(&second).await.status, 404);
    assert_eq!(laptop.get("/conversations/01JD0000000000000000000000?calls_cursor=CON-1").await.status, 404);
}

#[tokio::test]
async fn wrong_page_of_calls_is_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = limited(&laptop).await;
    let long = format!("calls_cursor={}", "x".repeat(201));
    for (query, field) in [
        ("calls_limit=0", "calls_limit"),
        ("calls_limit=101", "calls_limit"),
        ("calls_limit=", "calls_limit"),
        ("calls_cursor=", "calls_cursor"),
        (long.as_str(), "calls_cursor"),
        ("calls_cursor=CON-1&calls_cursor=CON-2", "calls_cursor"),
        ("limit=1", "limit"),
    ] {
        let refused = laptop.get(&format!("{}?{query}", path(&conversation))).await;
        assert_eq!((refused.status, refused.body["field"].as_str().unwrap_or_default()), (422, field), "{query}");
    }
}
