//! Crashes of `DELETE /conversations/{id}?erase=true`, of its schedule, and of the end of retention.

use create_conversation::CreateConversation;
use end_conversation::EndConversation;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::number_erasure::NumberErasure;
use shared::domain::phone::PhoneNumber;
use testkit::{Laptop, string, text};
use update_conversation::UpdateConversation;

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

/// The participants' phones, and a previous phone of the first participant.
const PHONES: [&str; 3] = ["447700900001", "447700900002", "447700900009"];

/// Number of carrier records of the conversation: lookups, text messages and legs.
const RECORDS: usize = 3 + 2 + 2;

/// Places a call at the simulated Vonage. All its events are delivered when this returns.
async fn call(laptop: &Laptop, from: &str, to: &str) -> Value {
    laptop.call(json!({"from": from, "to": to, "talk_seconds": 30})).await
}

/// Creates a conversation with a call and a changed phone. Returns its id and the number that the first participant
/// dials.
async fn create_with_call(laptop: &Laptop) -> (String, String) {
    let body = json!({"participants": [{"number": format!("+{}", PHONES[2])}, {"number": format!("+{}", PHONES[1])}],
                       "reference": "ride of Ms Rider"});
    let functions = Functions::of(laptop);
    let created = functions.answer::<CreateConversation>(&events::creation(&body, Some("ride-42"))).await;
    assert_eq!(created.status, 201, "{created:?}");
    let (id, dials) = (string(&created.body["id"]), string(&created.body["participants"][0]["dials"]));
    assert!(call(laptop, PHONES[2], &dials).await["phones"]["callee"]["answered"] == true);
    let change = json!({"participants": [{"number": format!("+{}", PHONES[0])}, null]});
    let changed = functions.answer::<UpdateConversation>(&events::change(&id, &change)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    (id, dials)
}

/// Checks that only tombstones in quarantine contain a participant's number, and that they connect nobody.
async fn check_erased(laptop: &Laptop, dials: &str) {
    let table = laptop.table().await;
    assert_eq!((table.conversations.len(), table.erasing.len(), table.erased.len()), (0, 0, 1));
    assert_eq!((table.routes.len(), table.erased_routes.len(), table.legs.len()), (0, 3, 0));
    assert!(table.items_with("ride of Ms Rider").is_empty());
    for phone in PHONES {
        let items = table.items_with(phone);
        assert!(items.iter().all(|[pk, _]| *pk == format!("CALLER#{phone}")), "{items:?}");
    }
    let call = call(laptop, PHONES[0], dials).await;
    assert!(string(&call["phones"]["caller"]["heard"][0]).contains("has ended") && call["phones"]["callee"].is_null());
}

/// Runs the schedule an hour later. Checks that every carrier record is redacted and no work is left.
async fn check_redacted(laptop: &Laptop, records: usize) {
    laptop.advance(61 * 60);
    Functions::of(laptop).tick_of_erasures().await;
    let table = laptop.table().await;
    assert!(table.erasures.is_empty() && table.redactions.is_empty(), "{:?} {:?}", table.erasures, table.redactions);
    let requests = laptop.simulator("requests?path=/v1/redact/transaction").await;
    let requests = requests["requests"].as_array().unwrap().iter().map(|request| string(&request["parameters"]["id"]));
    assert_eq!(requests.collect::<std::collections::BTreeSet<_>>().len(), records);
    let messages = laptop.simulator("messages").await;
    let messages = messages["messages"].as_array().unwrap();
    assert!(messages.iter().all(|message| message["text"] == "REDACTED" && message["to"] == "REDACTED"));
}

#[tokio::test]
async fn repeated_request_finishes_an_erasure_after_a_crash() {
    at_every_request("DELETE /conversations/{id}?erase=true", 10, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let (id, dials) = create_with_call(&laptop).await;
        let erasure = events::erasure(&id);
        scenario.run(&laptop, async |functions| drop(functions.answer::<EndConversation>(&erasure).await)).await;
        laptop.table().await;
        let answer = Functions::of(&laptop).answer::<EndConversation>(&erasure).await;
        assert_eq!((answer.status, &answer.body), (204, &Value::Null));
        check_erased(&laptop, &dials).await;
        check_redacted(&laptop, RECORDS + 1).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn schedule_finishes_an_erasure_after_a_crash() {
    at_every_request("DELETE /conversations/{id}?erase=true, then the schedule", 10, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let (id, dials) = create_with_call(&laptop).await;
        let erasure = events::erasure(&id);
        scenario.run(&laptop, async |functions| drop(functions.answer::<EndConversation>(&erasure).await)).await;
        // A run that crashed before its first write leaves nothing to finish.
        if laptop.table().await.conversations.is_empty() {
            Functions::of(&laptop).tick_of_erasures().await;
            check_erased(&laptop, &dials).await;
            check_redacted(&laptop, RECORDS + 1).await;
        }
        scenario
    })
    .await;
}

#[tokio::test]
async fn schedule_redacts_every_record_in_spite_of_a_crash() {
    at_every_request("the schedule of erasures", 16, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let (id, dials) = create_with_call(&laptop).await;
        Functions::of(&laptop).answer::<EndConversation>(&events::erasure(&id)).await;
        laptop.advance(61 * 60);
        scenario.run(&laptop, async |functions| drop(functions.tick_of_erasures().await)).await;
        check_erased(&laptop, &dials).await;
        check_redacted(&laptop, RECORDS + 1).await;
        scenario
    })
    .await;
}

/// The conversations of a phone: one with a call, in which the phone is a former one, and one in which it only receives. One of two
/// others is beside them.
async fn create_several(laptop: &Laptop) -> String {
    let (_, dials) = create_with_call(laptop).await;
    let functions = Functions::of(laptop);
    let pair = |a: &str, b: &str| json!({"participants": [{"number": format!("+{a}")}, {"number": format!("+{b}")}]});
    let mut one_way = pair("447700900020", PHONES[2]);
    one_way["direction"] = json!("a_to_b");
    for body in [one_way, pair("447700900022", "447700900023")] {
        let created = functions.answer::<CreateConversation>(&events::creation(&body, None)).await;
        assert_eq!(created.status, 201, "{created:?}");
    }
    laptop.advance(1);
    dials
}

/// Checks that only the conversation of two others is left, and of the phone only what is in quarantine.
async fn check_forgotten(laptop: &Laptop, dials: &str) {
    let table = laptop.table().await;
    assert_eq!((table.conversations.len(), table.erasing.len(), table.erased.len()), (1, 0, 2));
    assert_eq!((table.number_erasures.len(), table.participations.len(), table.lines.len()), (0, 2, 0));
    for [pk, sk] in table.items_with(PHONES[2]) {
        assert!(*pk == format!("CALLER#{}", PHONES[2]) && sk.starts_with("NUMBER#"), "{pk} {sk}");
    }
    let call = call(laptop, PHONES[2], dials).await;
    assert!(call["phones"]["callee"].is_null());
}

#[tokio::test]
async fn repeated_request_finishes_an_erasure_by_number() {
    at_every_request("POST /erasures", 20, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 3).start().await;
        let dials = create_several(&laptop).await;
        let forget = events::forget(PHONES[2]);
        let mut answers = Vec::new();
        scenario.run(&laptop, async |functions| drop(functions.answer::<EndConversation>(&forget).await)).await;
        laptop.table().await;
        for _ in 0..2 {
            let answer = Functions::of(&laptop).answer::<EndConversation>(&forget).await;
            assert_eq!((answer.status, text(&answer.body, "/state")), (202, "done"), "{answer:?}");
            answers.push(answer.body["conversations_erased"].as_u64().unwrap());
        }
        // What an earlier request has begun is its own.
        assert!(answers[0] <= 2 && answers[1] == 0, "{answers:?}");
        Functions::of(&laptop).tick_of_erasures().await;
        check_forgotten(&laptop, &dials).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn schedule_finishes_an_erasure_by_number_and_counts_once() {
    at_every_request("the schedule of an erasure by number", 20, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 3).start().await;
        let dials = create_several(&laptop).await;
        let phone = PhoneNumber::try_from(PHONES[2]).unwrap().into();
        let erasure = NumberErasure::new(&phone, laptop.clock.now());
        laptop.store().begin_number_erasure(&erasure).await.unwrap();
        scenario.run(&laptop, async |functions| drop(functions.tick_of_erasures().await)).await;
        laptop.table().await;
        Functions::of(&laptop).tick_of_erasures().await;
        let done = laptop.store().number_erasure(erasure.id, laptop.clock.now()).await.unwrap().unwrap();
        assert!(done.done_at.is_some() && done.conversations_erased == 2 && done.number.is_none(), "{done:?}");
        check_forgotten(&laptop, &dials).await;
        laptop.advance(61 * 60);
        Functions::of(&laptop).tick_of_erasures().await;
        let table = laptop.table().await;
        assert!(
            table.erasures.is_empty() && table.redactions.is_empty(),
            "{:?} {:?}",
            table.erasures,
            table.redactions
        );
        scenario
    })
    .await;
}

#[tokio::test]
async fn retention_ends_in_spite_of_a_crash() {
    at_every_request("the schedule at the end of retention", 16, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        create_with_call(&laptop).await;
        // Its lifetime, its quarantine and its retention, and a pass a minute before that.
        laptop.advance(32 * 86_400 - 60);
        let early = Functions::of(&laptop).tick_of_erasures().await;
        assert_eq!(early["retention"]["erased"], 0, "{early}");
        assert_eq!(laptop.table().await.conversations.len(), 1);
        laptop.advance(86_400);
        scenario.run(&laptop, async |functions| drop(functions.tick_of_erasures().await)).await;
        laptop.table().await;
        laptop.advance(86_400);
        Functions::of(&laptop).tick_of_erasures().await;
        let table = laptop.table().await;
        assert_eq!((table.conversations.len(), table.erasing.len(), table.erased.len()), (0, 0, 1));
        assert_eq!((table.routes.len(), table.erased_routes.len(), table.legs.len()), (0, 0, 0));
        assert!(PHONES.iter().all(|phone| table.items_with(phone).is_empty()));
        assert!(table.items_with("ride of Ms Rider").is_empty());
        check_redacted(&laptop, RECORDS).await;
        scenario
    })
    .await;
}
