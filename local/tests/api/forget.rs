//! `POST /erasures` and `GET /erasures/{id}`: the erasure of all conversations of a phone.

use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::number_erasure::NumberErasure;
use shared::domain::phone::PhoneNumber;
use testkit::{Builder, DRIVER, Laptop, RIDER, string, text};

/// The time between an erasure and its redactions, and a minute more, in seconds.
const AN_HOUR: i64 = 61 * 60;

fn builder() -> Builder {
    Laptop::builder().env(&[("NUMBER_LOOKUP", "number-insight")])
}

fn pair(a: &str, b: &str) -> Value {
    json!({"participants": [{"number": format!("+{a}")}, {"number": format!("+{b}")}], "notify": false})
}

async fn create(laptop: &Laptop, order: &Value) -> Value {
    laptop.advance(1);
    let created = laptop.post("/conversations", order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

async fn read(laptop: &Laptop, conversation: &Value) -> u16 {
    laptop.get(&format!("/conversations/{}", text(conversation, "/id"))).await.status
}

async fn forget(laptop: &Laptop, phone: &str) -> Value {
    let answer = laptop.post("/erasures", &json!({"number": format!("+{phone}")})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(!answer.body.to_string().contains(phone), "{answer:?}");
    let shown = laptop.get(&format!("/erasures/{}", text(&answer.body, "/id"))).await;
    assert_eq!((shown.status, &shown.body), (200, &answer.body));
    answer.body
}

async fn show(laptop: &Laptop, erasure: &Value) -> Value {
    laptop.get(&format!("/erasures/{}", text(erasure, "/id"))).await.body
}

async fn run(laptop: &Laptop) -> Value {
    laptop.stack.run_erasure_schedule().await.unwrap()
}

/// Returns the keys of all items with this text.
async fn keys_with(laptop: &Laptop, wanted: &str) -> Vec<[String; 2]> {
    laptop.table().await.items_with(wanted).into_iter().cloned().collect()
}

#[tokio::test]
async fn erasure_by_number_erases_what_was_before_and_no_more() {
    let laptop = builder().numbers("GB", 6).start().await;
    let active = create(&laptop, &pair(RIDER, DRIVER)).await;
    laptop.call(json!({"from": RIDER, "to": active["participants"][0]["dials"], "talk_seconds": 42})).await;
    let ended = create(&laptop, &pair("447700900020", RIDER)).await;
    laptop.delete(&format!("/conversations/{}", text(&ended, "/id"))).await;
    let left = create(&laptop, &pair(RIDER, "447700900021")).await;
    let away = json!({"participants": [{"number": "+447700900022"}, null]});
    assert_eq!(laptop.patch(&format!("/conversations/{}", text(&left, "/id")), &away).await.status, 200);
    let of_others = create(&laptop, &pair(DRIVER, "447700900023")).await;
    laptop.advance(1);
    let requested_at = laptop.clock.now();

    let erasure = forget(&laptop, RIDER).await;
    assert_eq!((text(&erasure, "/state"), &erasure["conversations_erased"]), ("done", &json!(3)), "{erasure}");
    assert_eq!(text(&erasure, "/requested_at")[..19], requested_at.to_string()[..19]);
    assert!(erasure["done_at"].is_string() && erasure.get("conversations_failed").is_none(), "{erasure}");
    for gone in [&active, &ended, &left] {
        assert_eq!(read(&laptop, gone).await, 404);
    }
    assert_eq!(read(&laptop, &of_others).await, 200);
    // Only route keys in quarantine have the phone, and the new phone of the former conversation is gone too.
    let keys = keys_with(&laptop, RIDER).await;
    assert!(keys.iter().all(|[pk, sk]| *pk == format!("CALLER#{RIDER}") && sk.starts_with("NUMBER#")), "{keys:?}");
    assert!(keys_with(&laptop, "447700900022").await.iter().all(|[pk, _]| pk == "CALLER#447700900022"));
    assert_eq!(laptop.table().await.participations.len(), 2);
    let call = laptop.call(json!({"from": RIDER, "to": active["participants"][0]["dials"]})).await;
    assert!(text(&call, "/phones/caller/heard/0").contains("has ended") && call["phones"]["callee"].is_null());

    laptop.advance(AN_HOUR);
    let report = run(&laptop).await;
    // Lookups of the rider, of three others and of the new phone, two legs of the call and one of the late one.
    assert_eq!((&report["settled"], &report["postponed"]), (&json!(3), &json!(0)), "{report}");
    assert_eq!(laptop.asked("/v1/redact/transaction").await as u64, report["redacted"].as_u64().unwrap());
    laptop.advance(2 * 86_400);
    let new = create(&laptop, &pair(RIDER, DRIVER)).await;
    run(&laptop).await;
    assert_eq!(read(&laptop, &new).await, 200, "a conversation of later is not touched");
    assert_eq!(show(&laptop, &erasure).await, erasure);
    laptop.advance(90 * 86_400);
    assert_eq!(laptop.get(&format!("/erasures/{}", text(&erasure, "/id"))).await.status, 404);
}

#[tokio::test]
async fn schedule_goes_on_with_more_than_a_request_erases() {
    let laptop = Laptop::builder().numbers("GB", 12).start().await;
    for person in 0..12 {
        create(&laptop, &pair(RIDER, &format!("4477009001{person:02}"))).await;
    }
    let erasure = forget(&laptop, RIDER).await;
    assert_eq!((text(&erasure, "/state"), &erasure["conversations_erased"]), ("running", &json!(5)), "{erasure}");
    assert_eq!(laptop.table().await.number_erasures.len(), 1);
    laptop.advance(1);
    let later = laptop.delete("/conversations/01JD0000000000000000000000").await;
    assert_eq!(later.status, 404);
    let report = run(&laptop).await;
    assert_eq!(report["numbers"], json!({"done": 1, "running": 0}));
    let done = show(&laptop, &erasure).await;
    assert_eq!((text(&done, "/state"), &done["conversations_erased"]), ("done", &json!(12)));
    let table = laptop.table().await;
    assert_eq!((table.conversations.len(), table.number_erasures.len(), table.participations.len()), (0, 0, 0));
    assert_eq!(run(&laptop).await["numbers"], json!({"done": 0, "running": 0}));
}

#[tokio::test]
async fn conversation_that_came_after_the_request_stays() {
    let laptop = Laptop::builder().numbers("GB", 20).start().await;
    for person in 0..6 {
        create(&laptop, &pair(RIDER, &format!("4477009001{person:02}"))).await;
    }
    let others = [
        create(&laptop, &pair("447700900120", "447700900121")).await,
        create(&laptop, &pair("447700900130", "447700900131")).await,
    ];
    laptop.advance(1);
    let erasure = forget(&laptop, RIDER).await;
    assert_eq!(text(&erasure, "/state"), "running");
    let created_later = create(&laptop, &pair(RIDER, "447700900122")).await;
    let mut joined_later = None;
    for (other, side) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        // The number that the rider would dial may be in use.
        let mut joins = json!({"participants": [null, null]});
        joins["participants"][side] = json!({"number": format!("+{RIDER}")});
        let path = format!("/conversations/{}", text(&others[other], "/id"));
        if joined_later.is_none() && laptop.patch(&path, &joins).await.status == 200 {
            joined_later = Some(others[other].clone());
        }
    }
    let joined_later = joined_later.unwrap();
    run(&laptop).await;
    assert_eq!(show(&laptop, &erasure).await["conversations_erased"], 6);
    assert_eq!((read(&laptop, &created_later).await, read(&laptop, &joined_later).await), (200, 200));
    // The next request has both.
    let again = forget(&laptop, RIDER).await;
    assert_eq!((text(&again, "/state"), &again["conversations_erased"]), ("done", &json!(2)));
    assert_ne!(again["id"], erasure["id"]);
}

#[tokio::test]
async fn unreadable_conversation_is_tried_again_and_stops_no_other() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let mut created = Vec::new();
    for person in 0..3 {
        created.push(create(&laptop, &pair(RIDER, &format!("4477009001{person:02}"))).await);
    }
    let pk = format!("CONVERSATION#{}", text(&created[0], "/id"));
    let items = laptop.items().await;
    let good = items.iter().find(|item| item["pk"]["S"] == pk && item["sk"]["S"] == "CONVERSATION").unwrap();
    let mut bad = good.clone();
    bad["v"] = json!({"N": "99"});
    let put = async |item: &Value| laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": item})).await;
    put(&bad).await;
    let erasure = forget(&laptop, RIDER).await;
    let counts = |erasure: &Value| (erasure["conversations_erased"].clone(), erasure["conversations_failed"].clone());
    assert_eq!((text(&erasure, "/state"), counts(&erasure)), ("running", (json!(2), json!(1))), "{erasure}");
    for _ in 0..2 {
        assert_eq!(run(&laptop).await["numbers"], json!({"done": 0, "running": 1}));
        assert_eq!(show(&laptop, &erasure).await, erasure);
    }
    put(good).await;
    run(&laptop).await;
    let done = show(&laptop, &erasure).await;
    assert_eq!((text(&done, "/state"), counts(&done)), ("done", (json!(3), Value::Null)), "{done}");
}

#[tokio::test]
async fn what_is_past_its_retention_is_erased_too() {
    let laptop = builder().numbers("GB", 2).start().await;
    let old = create(&laptop, &pair(RIDER, DRIVER)).await;
    // The table deletes late.
    laptop.advance(40 * 86_400);
    assert_eq!(read(&laptop, &old).await, 404);
    let erasure = forget(&laptop, RIDER).await;
    assert_eq!((text(&erasure, "/state"), &erasure["conversations_erased"]), ("done", &json!(1)));
    assert_eq!(keys_with(&laptop, RIDER).await, [[""; 2]; 0]);
    assert_eq!(keys_with(&laptop, DRIVER).await, [[""; 2]; 0]);
    assert_eq!(laptop.table().await.redactions.len(), 2, "both lookups");
}

#[tokio::test]
async fn line_of_a_receiver_goes_at_once_and_its_hold_at_its_end() {
    let laptop = builder().numbers("GB", 2).start().await;
    let mut order = pair(RIDER, DRIVER);
    order["direction"] = json!("a_to_b");
    let conversation = create(&laptop, &order).await;
    let mask = text(&conversation, "/participants/0/masked_by").to_owned();
    assert_eq!(laptop.table().await.lines.len(), 1);
    assert_eq!(text(&forget(&laptop, DRIVER).await, "/state"), "done");
    let table = laptop.table().await;
    assert_eq!((table.lines.len(), table.holds.len(), table.conversations.len()), (0, 1, 0));
    assert_eq!(keys_with(&laptop, DRIVER).await, [[format!("CALLER#{DRIVER}"), format!("NUMBER#{mask}")]]);
    let call = laptop.call(json!({"from": DRIVER, "to": mask})).await;
    assert!(call["phones"]["callee"].is_null(), "a late caller reaches nobody");
    // A later conversation finds the hold, and the line is written again.
    laptop.advance(1);
    assert_eq!(laptop.post("/conversations", &order).await.status, 201);
    assert_eq!(laptop.table().await.lines.len(), 1);
    laptop.advance(5 * 86_400);
    assert_eq!(text(&forget(&laptop, DRIVER).await, "/state"), "done");
    assert_eq!(keys_with(&laptop, DRIVER).await, [[""; 2]; 0], "its time is over, and the table had not deleted it");
}

#[tokio::test]
async fn either_spelling_erases_the_phone() {
    for spelling in ["541123456789", "5491123456789"] {
        let laptop = Laptop::builder()
            .env(&[("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "*")])
            .numbers("GB", 2)
            .start()
            .await;
        let conversation = create(&laptop, &pair("5491123456789", DRIVER)).await;
        assert_eq!(forget(&laptop, spelling).await["conversations_erased"], 1);
        assert_eq!(read(&laptop, &conversation).await, 404);
    }
}

#[tokio::test]
async fn nobodys_number_is_done_at_once_and_twice() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let (first, second) = tokio::join!(forget(&laptop, "447700900099"), forget(&laptop, "447700900099"));
    for erasure in [&first, &second] {
        assert_eq!((text(erasure, "/state"), &erasure["conversations_erased"]), ("done", &json!(0)));
    }
    assert_ne!(first["id"], second["id"]);
    assert_eq!(keys_with(&laptop, "447700900099").await, [[""; 2]; 0]);
    // One of our own numbers is nobody's.
    let own = laptop.owned_numbers().await.into_iter().map(|number| string(&number["msisdn"])).next().unwrap();
    assert_eq!(laptop.post("/erasures", &json!({"number": format!("+{own}")})).await.body["state"], "done");
    laptop.settled_pool().await;
}

#[tokio::test]
async fn interrupted_erasure_goes_on_without_a_second_count() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    for person in 0..3 {
        create(&laptop, &pair(RIDER, &format!("4477009001{person:02}"))).await;
    }
    // The table fails in the middle of the second conversation.
    let rule = json!({"operation": "TransactWriteItems", "skip": 4, "times": 1000, "fault": {"kind": "status", "status": 500}});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
    let answer = laptop.post("/erasures", &json!({"number": format!("+{RIDER}")})).await;
    assert_eq!((answer.status, text(&answer.body, "/state")), (202, "running"), "{answer:?}");
    laptop.no_more_faults().await;
    run(&laptop).await;
    let done = show(&laptop, &answer.body).await;
    assert_eq!((text(&done, "/state"), &done["conversations_erased"]), ("done", &json!(3)), "{done}");
    assert!(laptop.table().await.conversations.is_empty());
}

#[tokio::test]
async fn wrong_erasure_is_refused_and_not_repeated() {
    let laptop = Laptop::start().await;
    for (body, field) in [
        (json!({}), "number"),
        (json!({"number": 447700900001_u64}), "number"),
        (json!({"number": "hello"}), "number"),
        (json!({"number": "07700900001"}), "country"),
        (json!({"number": "+447700900001", "country": "FR"}), "country"),
        (json!({"number": "+447700900001", "erase": true}), "erase"),
    ] {
        let refused = laptop.post("/erasures", &body).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, field), "{refused:?}");
        assert!(!refused.body.to_string().contains("900001"), "{refused:?}");
    }
    assert_eq!(laptop.send(Method::POST, "/erasures", "hello").await.status, 400);
    for id in ["01JD0000000000000000000000", "447700900001", "x"] {
        let unknown = laptop.get(&format!("/erasures/{id}")).await;
        assert_eq!((unknown.status, text(&unknown.body, "/type")), (404, "urn:maskline:problem:not-found"));
    }
}

#[tokio::test]
async fn large_erasure_does_not_delay_a_small_one() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let (store, now) = (laptop.store(), laptop.clock.now());
    create(&laptop, &pair(DRIVER, "447700900100")).await;
    laptop.advance(1);
    // A large one that began first, whose conversations are unreadable.
    let phone = |digits: &str| PhoneNumber::try_from(digits).unwrap().into();
    store.begin_number_erasure(&NumberErasure::new(&phone(RIDER), laptop.clock.now())).await.unwrap();
    for nth in 0..60 {
        let id = shared::domain::conversation::ConversationId::generate(now - jiff::SignedDuration::from_secs(nth));
        let key =
            json!({"pk": {"S": format!("PHONE#{RIDER}")}, "sk": {"S": format!("CONVERSATION#{id}")}, "v": {"N": "1"}});
        laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": key})).await;
        let key = json!({"pk": {"S": format!("CONVERSATION#{id}")}, "sk": {"S": "CONVERSATION"}, "v": {"N": "99"}});
        laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": key})).await;
    }
    store.begin_number_erasure(&NumberErasure::new(&phone(DRIVER), laptop.clock.now())).await.unwrap();
    assert_eq!(run(&laptop).await["numbers"], json!({"done": 1, "running": 1}));
    let left = store.number_erasures().await.unwrap();
    assert_eq!((left.len(), left[0].conversations_failed), (1, 60));
}
