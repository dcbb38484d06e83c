//! Conversations of which one side only receives.

use std::collections::HashSet;

use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

/// A day, and the margin of a hold, in seconds.
const DAY: i64 = 86_400;

/// The words that somebody hears who only receives.
const REFUSAL: &str = "does not take calls from you";

fn order(caller: &str, receiver: &str) -> Value {
    json!({"participants": [{"number": format!("+{caller}")}, {"number": format!("+{receiver}")}],
           "direction": "a_to_b", "notify": false})
}

async fn create(laptop: &Laptop, order: &Value) -> Value {
    let answer = laptop.post("/conversations", order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

/// Returns the phone of a person by number.
fn person(index: usize) -> String {
    format!("4477009{:05}", index + 100)
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Returns the number that the second participant sees.
fn mask(conversation: &Value) -> &str {
    text(conversation, "/participants/0/masked_by")
}

fn dialled(conversation: &Value) -> &str {
    text(conversation, "/participants/0/dials")
}

/// Returns the phone that a call reaches, and what the caller hears.
async fn place(laptop: &Laptop, from: &str, to: &str) -> (Value, String) {
    let call = laptop.call(json!({"from": from, "to": to, "talk_seconds": 42})).await;
    (call["phones"]["callee"]["number"].clone(), call["phones"]["caller"]["heard"].to_string())
}

async fn assert_refused(laptop: &Laptop, from: &str, to: &str) {
    let (reached, heard) = place(laptop, from, to).await;
    assert!(reached.is_null() && heard.contains(REFUSAL), "{reached} {heard}");
}

#[tokio::test]
async fn receiver_is_called_and_reaches_nobody() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    for (direction, [caller, receiver]) in [("a_to_b", [0, 1]), ("b_to_a", [1, 0])] {
        let phones = [RIDER, DRIVER];
        let mut order = conversation();
        order["direction"] = json!(direction);
        let created = create(&laptop, &order).await;
        assert_eq!(created["direction"], direction);
        let [a, b] = [caller, receiver].map(|side| &created["participants"][side]);
        assert_eq!((&a["notification"], &a["dials"]), (&json!("sent"), &b["masked_by"]));
        assert_eq!((&b["notification"], &b["dials"]), (&json!("off"), &Value::Null));
        assert_eq!(laptop.texts(phones[caller]).await.len(), 1);
        let call = laptop.call(json!({"from": phones[caller], "to": a["dials"], "talk_seconds": 42})).await;
        let callee = &call["phones"]["callee"];
        assert_eq!((&callee["number"], &callee["display"]), (&json!(phones[receiver]), &a["masked_by"]), "{call}");
        assert_refused(&laptop, phones[receiver], text(a, "/masked_by")).await;

        let read = laptop.get(&path(&created)).await.body;
        assert_eq!(read["direction"], direction);
        let [recorded] = &read["calls"].as_array().unwrap()[..] else { panic!("{read}") };
        assert_eq!((&recorded["caller"], &recorded["callee"]), (&json!(phones[caller]), &json!(phones[receiver])));
        assert_eq!((&recorded["duration"], recorded["price"].is_string()), (&json!(42), true), "{recorded}");
        assert_eq!(recorded["legs"].as_array().unwrap().len(), 2);

        assert_eq!(laptop.delete(&path(&created)).await.body["direction"], direction);
        assert!(place(&laptop, phones[caller], text(a, "/dials")).await.1.contains("has ended"));
        assert_refused(&laptop, phones[receiver], text(a, "/masked_by")).await;
        laptop.table().await;
        laptop.advance(4 * DAY);
    }
}

#[tokio::test]
async fn legs_are_recorded_in_any_order_and_repetition() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, &order(RIDER, DRIVER)).await;
    let mut outcomes = Vec::new();
    for order in ["in_order", "reversed", "twice"] {
        let placed = laptop.call(json!({"from": RIDER, "to": dialled(&created), "events": order})).await;
        assert!(placed["events"].as_array().unwrap().iter().all(|event| event["http_status"] == 204), "{placed}");
        let read = laptop.get(&path(&created)).await.body["calls"].clone();
        let calls = read.as_array().unwrap();
        let call = calls.iter().find(|call| call["conversation_uuid"] == placed["conversation_uuid"]).unwrap();
        let facts = |leg: &Value| ["direction", "status", "duration", "price"].map(|name| leg[name].clone());
        outcomes.push(call["legs"].as_array().unwrap().iter().map(facts).collect::<Vec<_>>());
    }
    assert_eq!(outcomes[0].len(), 2);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
}

#[tokio::test]
async fn events_of_callee_go_to_own_domain() {
    let laptop =
        Laptop::builder().env(&[("PUBLIC_URL", "https://calls.company.example/")]).numbers("GB", 2).start().await;
    let created = create(&laptop, &order(RIDER, DRIVER)).await;
    let call = json!({"from": RIDER, "to": dialled(&created), "conversation_uuid": "CON-1", "uuid": "1"}).to_string();
    let ncco = laptop.signed_post("/webhooks/answer", &call).await.body;
    let expected = format!("https://calls.company.example/webhooks/event/{}", text(&created, "/id"));
    assert_eq!(text(&ncco, "/1/eventUrl/0"), expected);
}

/// Returns an event of the receiver's leg.
fn event(conversation: &Value, to: &str) -> Value {
    json!({"from": mask(conversation), "to": to, "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356", "direction": "outbound",
           "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "status": "answered"})
}

/// Sends an event to the address that the answer to a call of the conversation names, and returns the status.
async fn send_event(laptop: &Laptop, conversation: &Value, event: &Value) -> u16 {
    laptop.signed_post(&format!("/webhooks/event/{}", text(conversation, "/id")), &event.to_string()).await.status
}

#[tokio::test]
async fn event_is_recorded_only_by_the_conversation_of_its_numbers() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let [first, second] =
        [create(&laptop, &order(&person(0), DRIVER)).await, create(&laptop, &order(&person(1), &person(2))).await];
    let legs =
        async |conversation: &Value| laptop.get(&path(conversation)).await.body["calls"].as_array().unwrap().len();
    let send = async |id: &str, event: &Value| {
        laptop.signed_post(&format!("/webhooks/event/{id}"), &event.to_string()).await.status
    };
    let theirs = event(&first, DRIVER);
    assert_eq!(send(text(&second, "/id"), &theirs).await, 204, "of another conversation");
    let inbound = json!({"from": person(0), "to": dialled(&first), "direction": "inbound"});
    let mut of_caller = theirs.clone();
    of_caller.as_object_mut().unwrap().extend(inbound.as_object().unwrap().clone());
    of_caller["uuid"] = json!("0779a56d002f1c7f47f82ef5fe84ab79");
    assert_eq!(send(text(&second, "/id"), &of_caller).await, 204, "an inbound leg has its own key");
    assert_eq!(send("01M8ACSMTAXPHVTR1PTSRAB7D9", &theirs).await, 204, "of no conversation");
    assert_eq!(send("1", &theirs).await, 404);
    assert_eq!(laptop.event(&theirs).await.status, 204, "without a conversation");
    assert_eq!((legs(&first).await, legs(&second).await), (1, 0));
    for _ in 0..2 {
        assert_eq!(send(text(&first, "/id"), &theirs).await, 204);
    }
    let calls = laptop.get(&path(&first)).await.body["calls"].clone();
    assert_eq!(calls[0]["legs"].as_array().unwrap().len(), 2, "{calls}");
    let unsigned = laptop.post(&format!("/webhooks/event/{}", text(&first, "/id")), &theirs).await;
    assert_eq!(unsigned.status, 503, "{unsigned:?}");
}

#[tokio::test]
async fn receiver_sees_one_number_whoever_calls() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let mut masks = HashSet::new();
    for index in 0..20 {
        let created = create(&laptop, &order(&person(index), DRIVER)).await;
        masks.insert(mask(&created).to_owned());
        assert_eq!(place(&laptop, &person(index), dialled(&created)).await.0, DRIVER);
    }
    assert_eq!(masks.len(), 1);
    let table = laptop.table().await;
    assert_eq!((table.holds.len(), table.lines.len(), table.routes.len()), (1, 1, 20));
    assert_eq!(laptop.get("/numbers").await.body["countries"][0]["high_water"], 1);
}

#[tokio::test]
async fn same_two_people_get_the_same_numbers_again() {
    let laptop = Laptop::builder().numbers("GB", 10).start().await;
    let first = create(&laptop, &order(RIDER, DRIVER)).await;
    assert_eq!(laptop.delete(&path(&first)).await.status, 200);
    laptop.advance(DAY + 1);
    for index in 0..3 {
        create(&laptop, &order(RIDER, &person(index))).await;
    }
    let again = create(&laptop, &order(RIDER, DRIVER)).await;
    assert_eq!((dialled(&again), mask(&again)), (dialled(&first), mask(&first)));
}

#[tokio::test]
async fn unreadable_line_is_written_again() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let first = create(&laptop, &order(RIDER, DRIVER)).await;
    let key = json!({"pk": {"S": format!("CALLER#{DRIVER}")}, "sk": {"S": "RECEIVES"}});
    let spoil = json!({"TableName": "maskline", "Key": key, "UpdateExpression": "REMOVE held_until"});
    assert_eq!(laptop.dynamodb("UpdateItem", spoil).await.status, 200);
    let second = create(&laptop, &order(&person(1), DRIVER)).await;
    assert_eq!(mask(&second), mask(&first), "the hold is found without it");
    assert_eq!(laptop.table().await.lines.len(), 1);
}

#[tokio::test]
async fn held_number_is_not_free_for_a_conversation_of_both() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    let one_way = create(&laptop, &order(RIDER, DRIVER)).await;
    let both = json!({"participants": [{"number": format!("+{DRIVER}")}, {"number": format!("+{}", person(1))}]});
    let refused = laptop.post("/conversations", &both).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (409, "participants[0].number"), "{refused:?}");
    assert_eq!((&refused.body["live"], &refused.body["quarantined"]), (&json!(1), &json!(0)));
    // The hold outlasts the conversation, and ends by itself.
    assert_eq!(laptop.delete(&path(&one_way)).await.status, 200);
    laptop.advance(2 * DAY);
    assert_eq!(laptop.post("/conversations", &both).await.status, 409);
    laptop.advance(2 * DAY + 1);
    let created = create(&laptop, &both).await;
    assert_eq!(place(&laptop, DRIVER, dialled(&created)).await.0, json!(person(1)));
    // Now the number is in use, and no one-way conversation can show it.
    let refused = laptop.post("/conversations", &order(RIDER, DRIVER)).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (409, "participants[1].number"), "{refused:?}");
    laptop.rent("GB", 2).await;
    let other = create(&laptop, &order(RIDER, DRIVER)).await;
    assert_ne!(mask(&other), dialled(&created));
    assert_refused(&laptop, DRIVER, mask(&other)).await;
    laptop.table().await;
}

#[tokio::test]
async fn longer_conversation_is_held_for_longer() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, &order(RIDER, DRIVER)).await;
    let held_until = async || laptop.table().await.holds.values().next().unwrap().quarantined_until;
    let before = held_until().await;
    for (lifetime, grows) in [(60, false), (30 * DAY, true), (60, false)] {
        let last = held_until().await;
        let changed = laptop.patch(&path(&created), &json!({"expires_in": lifetime})).await;
        assert_eq!((changed.status, &changed.body["direction"]), (200, &json!("a_to_b")), "{changed:?}");
        assert_eq!(held_until().await > last, grows, "{lifetime}");
    }
    assert!(held_until().await > before);
    // A later conversation finds the long hold.
    let long = json!({"expires_in": 29 * DAY});
    let mut later = order(&person(1), DRIVER);
    later.as_object_mut().unwrap().extend(long.as_object().unwrap().clone());
    assert_eq!(mask(&create(&laptop, &later).await), mask(&created));
    laptop.table().await;
}

#[tokio::test]
async fn new_phone_of_receiver_gets_a_hold_too() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    let created = create(&laptop, &order(RIDER, DRIVER)).await;
    let new_phone = |index: usize| json!({"participants": [null, {"number": format!("+{}", person(index))}]});
    // Somebody who uses the number in a conversation of both.
    let both = json!({"participants": [{"number": format!("+{}", person(1))}, {"number": format!("+{}", person(2))}]});
    let busy = create(&laptop, &both).await;
    let refused = laptop.patch(&path(&created), &new_phone(1)).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:number-not-free"));
    assert!(refused.body["next_free_at"].is_string(), "{refused:?}");
    let changed = laptop.patch(&path(&created), &new_phone(3)).await;
    assert_eq!((changed.status, &changed.body["participants"][1]["dials"]), (200, &Value::Null), "{changed:?}");
    laptop.advance(1);
    assert_eq!(place(&laptop, RIDER, dialled(&created)).await.0, json!(person(3)));
    for phone in [DRIVER, &person(3)] {
        assert_refused(&laptop, phone, mask(&created)).await;
    }
    // The calls are recorded with the phone of their time, also if an event is late.
    assert_eq!(send_event(&laptop, &created, &event(&created, DRIVER)).await, 204);
    let calls = laptop.get(&path(&created)).await.body["calls"].clone();
    let numbers =
        |call: &Value| call["legs"].as_array().unwrap().iter().map(|leg| leg["number"].clone()).collect::<Vec<_>>();
    let legs: Vec<_> = calls.as_array().unwrap().iter().flat_map(numbers).collect();
    assert!(legs.contains(&json!(person(3))) && legs.contains(&json!(DRIVER)), "{calls}");
    // Another phone that only receives shares the hold; one that dials cannot have its key.
    assert_eq!(laptop.patch(&path(&created), &new_phone(4)).await.status, 200);
    assert_eq!(laptop.patch(&path(&created), &new_phone(3)).await.status, 200, "back at a phone from before");
    let refused =
        laptop.patch(&path(&busy), &json!({"participants": [{"number": format!("+{}", person(4))}, null]})).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (409, "participants[0].number"), "{refused:?}");
    laptop.table().await;
}

#[tokio::test]
async fn new_phone_of_caller_moves_its_route() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, &order(RIDER, DRIVER)).await;
    let changed =
        laptop.patch(&path(&created), &json!({"participants": [{"number": format!("+{}", person(1))}, null]})).await;
    assert_eq!((changed.status, &changed.body["participants"][0]["dials"]), (200, &json!(dialled(&created))));
    laptop.advance(1);
    let call = laptop.call(json!({"from": person(1), "to": dialled(&created)})).await;
    assert_eq!(call["phones"]["callee"]["number"], DRIVER);
    laptop.advance(1);
    assert!(place(&laptop, RIDER, dialled(&created)).await.1.contains("has ended"));
    assert_refused(&laptop, DRIVER, mask(&created)).await;
    let calls = laptop.get(&path(&created)).await.body["calls"].clone();
    assert_eq!((&calls[0]["caller"], calls[0]["legs"].as_array().unwrap().len()), (&json!(person(1)), 2), "{calls}");
    laptop.table().await;
}

#[tokio::test]
async fn direction_has_three_values_and_never_changes() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    for (direction, status) in [("both", 201), ("a_to_c", 422), ("", 422), ("BOTH", 422)] {
        let mut order = conversation();
        order["direction"] = json!(direction);
        let answer = laptop.post("/conversations", &order).await;
        assert_eq!((answer.status, answer.body["field"] == "direction"), (status, status == 422), "{answer:?}");
    }
    let created = create(&laptop, &order(&person(0), &person(1))).await;
    let refused = laptop.patch(&path(&created), &json!({"direction": "both"})).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (422, "direction"), "{refused:?}");
}

#[tokio::test]
async fn direction_belongs_to_an_idempotent_request() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let one_way = order(RIDER, DRIVER);
    let mut both = one_way.clone();
    both["direction"] = json!("both");
    for (order, status) in [(&one_way, 201), (&one_way, 200), (&both, 422)] {
        assert_eq!(laptop.post_with_key("ride-42", order).await.status, status, "{order}");
    }
}

#[tokio::test]
async fn erasure_leaves_hold_that_names_no_conversation() {
    let laptop = Laptop::builder().env(&[("NUMBER_LOOKUP", "number-insight")]).numbers("GB", 2).start().await;
    let created = create(&laptop, &order(RIDER, DRIVER)).await;
    place(&laptop, RIDER, dialled(&created)).await;
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&created))).await.status, 204);
    assert_eq!(laptop.get(&path(&created)).await.status, 404);
    let table = laptop.table().await;
    assert_eq!((table.routes.len(), table.erased_routes.len(), table.holds.len(), table.lines.len()), (0, 1, 1, 1));
    let of_driver: HashSet<&str> = table.items_with(DRIVER).into_iter().map(|[_, sk]| sk.as_str()).collect();
    assert_eq!(of_driver, HashSet::from([format!("NUMBER#{}", mask(&created)).as_str(), "RECEIVES"]));
    let redactions = table.redactions.len();
    assert_refused(&laptop, DRIVER, mask(&created)).await;
    // A late event of the callee's leg is not stored, but its leg is redacted.
    assert_eq!(send_event(&laptop, &created, &event(&created, DRIVER)).await, 204);
    let table = laptop.table().await;
    assert_eq!((table.redactions.len(), table.legs.len()), (redactions + 1, 0));
    // Both end by themselves.
    laptop.advance(4 * DAY);
    let (table, now) = (laptop.table().await, laptop.clock.now());
    assert!(table.holds.values().all(|hold| hold.quarantined_until <= now));
    assert!(table.lines.values().all(|line| line.held_until <= now));
    assert_eq!(laptop.keys(DRIVER).await, HashSet::new());
}

#[tokio::test]
async fn verdict_about_receiver_is_remembered() {
    let laptop = Laptop::builder().env(&[("NUMBER_LOOKUP", "number-insight")]).numbers("GB", 2).start().await;
    let mut long = order(&person(0), DRIVER);
    long["expires_in"] = json!(100 * DAY);
    create(&laptop, &long).await;
    for index in 1..3 {
        create(&laptop, &order(&person(index), DRIVER)).await;
    }
    assert_eq!(laptop.asked("/ni/basic/json").await, 4, "three callers, and the receiver once");
    // A verdict holds for 30 days. The next one is remembered too, although the hold need not become longer.
    laptop.advance(31 * DAY);
    for index in 3..6 {
        create(&laptop, &order(&person(index), DRIVER)).await;
    }
    assert_eq!(laptop.asked("/ni/basic/json").await, 8);
}

#[tokio::test]
async fn draining_number_is_shown_to_nobody_new_until_its_hold_ends() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let first = create(&laptop, &order(&person(0), DRIVER)).await;
    assert_eq!(laptop.delete(&format!("/numbers/{}", mask(&first))).await.status, 200);
    let second = create(&laptop, &order(&person(1), DRIVER)).await;
    let third = create(&laptop, &order(&person(2), DRIVER)).await;
    assert!(mask(&second) != mask(&first) && mask(&second) == mask(&third));
    assert_eq!(place(&laptop, &person(0), dialled(&first)).await.0, DRIVER);
    for (seconds, cancelled) in [(2 * DAY, json!([])), (2 * DAY, json!([mask(&first)]))] {
        laptop.advance(seconds);
        let report = laptop.run_schedule().await;
        assert_eq!(report["cancelled"], cancelled, "{report}");
    }
    laptop.table().await;
}

#[tokio::test]
async fn own_number_is_no_receiver() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let number = laptop.settled_pool().await.into_iter().next().unwrap();
    let refused = laptop.post("/conversations", &order(RIDER, &number)).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (422, "participants[1].number"), "{refused:?}");
}

#[tokio::test]
async fn receiver_with_two_spellings_is_one_person() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("GB", 2)
        .start()
        .await;
    let first = create(&laptop, &order(RIDER, "5491123456789")).await;
    let second = create(&laptop, &order(&person(1), "541123456789")).await;
    assert_eq!(mask(&first), mask(&second));
    assert_eq!(place(&laptop, RIDER, dialled(&first)).await.0, "5491123456789");
    for spelling in ["5491123456789", "541123456789"] {
        let (reached, heard) = place(&laptop, spelling, mask(&first)).await;
        assert!(reached.is_null() && heard.contains("no acepta sus llamadas"), "{reached} {heard}");
    }
    let calls = laptop.get(&path(&first)).await.body["calls"].clone();
    assert_eq!(calls[0]["legs"].as_array().unwrap().len(), 2, "{calls}");
}
