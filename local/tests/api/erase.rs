//! `DELETE /conversations/{id}?erase=true`, and the schedule that redacts the carrier records.

use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::call::Direction::Inbound;
use testkit::{Builder, DRIVER, Laptop, RIDER, conversation, text};

/// The time between an erasure and its redactions, and a minute more, in seconds.
const AN_HOUR: i64 = 61 * 60;

/// Returns the settings of a laptop that looks numbers up at Vonage, which leaves records there.
fn builder() -> Builder {
    Laptop::builder().env(&[("NUMBER_LOOKUP", "number-insight")])
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

async fn erase(laptop: &Laptop, conversation: &Value) -> u16 {
    let answer = laptop.delete(&format!("{}?erase=true", path(conversation))).await;
    assert_eq!(answer.status == 204, answer.body.is_null(), "{answer:?}");
    answer.status
}

/// Returns each item of the table as text.
async fn items(laptop: &Laptop) -> Vec<String> {
    laptop.items().await.iter().map(Value::to_string).collect()
}

async fn items_with(laptop: &Laptop, wanted: &str) -> Vec<String> {
    items(laptop).await.into_iter().filter(|item| item.contains(wanted)).collect()
}

/// Returns product and direction of each carrier record that Vonage was asked to redact.
async fn asked(laptop: &Laptop) -> Vec<(String, String)> {
    let answer = laptop.vonage(Method::GET, "/simulator/requests?path=/v1/redact/transaction", json!({})).await;
    let requests = answer.body["requests"].as_array().unwrap().clone();
    let mut asked: Vec<_> = requests
        .iter()
        .map(|request| ["product", "type"].map(|name| text(&request["parameters"], &format!("/{name}")).to_owned()))
        .map(|[product, direction]| (product, direction))
        .collect();
    asked.sort();
    asked
}

/// Runs the schedule, and returns its report without the part about retention.
async fn run(laptop: &Laptop) -> Value {
    let mut report = laptop.stack.run_erasure_schedule().await.unwrap();
    let retention = report.as_object_mut().unwrap().remove("retention").unwrap();
    assert_eq!((&retention["erased"], &retention["failed"]), (&json!(0), &json!(0)), "{retention}");
    report
}

/// Returns a report of the schedule with these counts. The others are zero.
fn report(counts: Value) -> Value {
    let mut report = json!({"numbers": {"done": 0, "running": 0}, "settled": 0, "unsettled": 0, "redacted": 0, "postponed": 0, "given_up": 0, "not_provisioned": [],
                            "stopped": null});
    report.as_object_mut().unwrap().extend(counts.as_object().unwrap().clone());
    report
}

/// Creates a conversation with a call, text messages and a reference with a name.
async fn lively(laptop: &Laptop) -> Value {
    let mut order = conversation();
    order["reference"] = json!("ride of Ms Rider");
    let conversation = laptop.post("/conversations", &order).await.body;
    laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"], "talk_seconds": 42})).await;
    conversation
}

#[tokio::test]
async fn erase_deletes_conversation_and_leaves_tombstones() {
    let laptop = builder().numbers("GB", 1).start().await;
    let conversation = lively(&laptop).await;
    assert_eq!(erase(&laptop, &conversation).await, 204);

    for personal in ["ride of Ms Rider", "your driver", "LEG#"] {
        assert_eq!(items_with(&laptop, personal).await, [""; 0], "{personal}");
    }
    for phone in [RIDER, DRIVER] {
        let [key] = &items_with(&laptop, phone).await[..] else { panic!("{phone}: {:?}", items(&laptop).await) };
        assert!(key.contains(&format!("CALLER#{phone}")) && key.matches("4477009").count() == 1, "{key}");
    }
    let gone = laptop.get(&path(&conversation)).await;
    let unchanged = laptop.patch(&path(&conversation), &json!({"expires_in": 600})).await;
    assert_eq!((gone.status, unchanged.status, laptop.delete(&path(&conversation)).await.status), (404, 404, 404));

    let call = laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"]})).await;
    assert!(text(&call, "/phones/caller/heard/0").contains("has ended") && call["phones"]["callee"].is_null());
    laptop.advance(86_399);
    assert_eq!(
        laptop.post("/conversations", &testkit::conversation()).await.status,
        409,
        "the route keys are in quarantine"
    );
    laptop.advance(1);
    assert_eq!(laptop.post("/conversations", &testkit::conversation()).await.status, 201);
    assert_eq!(items_with(&laptop, text(&conversation, "/id")).await.len(), 2, "its memory, and the erasure to settle");
}

#[tokio::test]
async fn repeated_and_concurrent_erase_return_same_answer() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    let (one, other) = tokio::join!(erase(&laptop, &conversation), erase(&laptop, &conversation));
    assert_eq!((one, other, erase(&laptop, &conversation).await), (204, 204, 204));
    laptop.advance(AN_HOUR);
    run(&laptop).await;
    assert_eq!(erase(&laptop, &conversation).await, 204);
    let unknown = json!({"id": "01JD0000000000000000000000"});
    assert_eq!(erase(&laptop, &unknown).await, 404);
}

#[tokio::test]
async fn erase_leaves_no_tombstone_after_quarantine() {
    let laptop = builder().numbers("GB", 1).start().await;
    let conversation = laptop.create().await;
    laptop.delete(&path(&conversation)).await;
    assert_eq!(erase(&laptop, &conversation).await, 204);
    laptop.advance(86_400);
    let expired = laptop.create().await;
    laptop.advance(2 * 86_400);
    assert_eq!(erase(&laptop, &expired).await, 204);
    for phone in [RIDER, DRIVER] {
        assert_eq!(items_with(&laptop, phone).await, [""; 0]);
    }
}

#[tokio::test]
async fn erase_covers_former_phones_and_history_of_reused_keys() {
    let laptop =
        builder().env(&[("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "60")]).numbers("GB", 1).start().await;
    let first = laptop.create().await;
    let new_phone = json!({"participants": [{"number": "+447700900009"}, null]});
    assert_eq!(laptop.patch(&path(&first), &new_phone).await.status, 200);
    laptop.delete(&path(&first)).await;
    laptop.advance(60);
    let second = laptop.create().await;
    assert_eq!(erase(&laptop, &first).await, 204);
    assert_eq!(items_with(&laptop, "447700900009").await, [""; 0]);
    let remembered = items_with(&laptop, text(&first, "/id")).await;
    assert!(remembered.iter().all(|item| !item.contains("CALLER#")), "{remembered:?}");
    let call = laptop.call(json!({"from": RIDER, "to": second["participants"][0]["dials"]})).await;
    assert_eq!(call["phones"]["callee"]["number"], DRIVER);
}

#[tokio::test]
async fn schedule_redacts_each_carrier_record_once_after_an_hour() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    laptop.patch(&path(&conversation), &json!({"participants": [null, {"number": "+447700900009"}]})).await;
    erase(&laptop, &conversation).await;
    assert_eq!(run(&laptop).await, report(json!({})));
    laptop.advance(AN_HOUR);
    assert_eq!(run(&laptop).await, report(json!({"settled": 1, "redacted": 7})));
    let record = |product: &str, direction: &str| (product.to_owned(), direction.to_owned());
    let lookups = vec![record("number-insight", "outbound"); 3];
    let texts = vec![record("sms", "outbound"); 2];
    let legs = vec![record("voice", "inbound"), record("voice", "outbound")];
    assert_eq!(asked(&laptop).await, [lookups, texts, legs].concat());
    let messages = laptop.texts("").await;
    assert!(laptop.texts(RIDER).await.is_empty() && messages.is_empty());
    let all = laptop.vonage(Method::GET, "/simulator/messages", json!({})).await.body;
    for message in all["messages"].as_array().unwrap() {
        assert_eq!((&message["to"], &message["text"]), (&json!("REDACTED"), &json!("REDACTED")));
    }
    assert_eq!(run(&laptop).await, report(json!({})));
}

#[tokio::test]
async fn late_event_restores_nothing_and_its_leg_is_redacted() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    erase(&laptop, &conversation).await;
    let timestamp = laptop.clock.now().to_string();
    let event = json!({"from": RIDER, "to": conversation["participants"][0]["dials"], "uuid": "aa-late", "status": "completed",
                       "conversation_uuid": "CON-late", "direction": "inbound", "timestamp": timestamp});
    for _ in 0..2 {
        assert_eq!(laptop.event(&event).await.status, 204);
    }
    assert_eq!(items_with(&laptop, "LEG#").await, [""; 0]);
    assert_eq!(items_with(&laptop, "aa-late").await.len(), 1);
    // A later call of the rider is one more record.
    laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"]})).await;
    laptop.advance(AN_HOUR);
    // The simulated Vonage does not know the first one.
    assert_eq!(run(&laptop).await, report(json!({"settled": 1, "redacted": 5, "postponed": 1})));
}

#[tokio::test]
async fn schedule_erases_leg_written_during_erase() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let (store, phone) = (laptop.store(), shared::domain::phone::PhoneNumber::try_from(RIDER).unwrap().into());
    let dialled = text(&conversation, "/participants/0/dials");
    let dialled = shared::domain::phone::PhoneNumber::try_from(dialled).unwrap().into();
    let Some(shared::domain::route::KeyOwner::Route(route)) = store.key_owner(&phone, &dialled).await.unwrap() else {
        panic!()
    };
    erase(&laptop, &conversation).await;
    let event = shared::domain::call::LegEvent {
        conversation_uuid: "CON-1".to_owned(),
        uuid: "leg-1".to_owned(),
        status: shared::domain::call::Status::Completed,
        timestamp: Some(laptop.clock.now()),
        facts: shared::domain::call::LegFacts::default(),
    };
    store
        .merge_leg(&shared::store::LegPhone::from(&route), shared::domain::call::Direction::Inbound, &event)
        .await
        .unwrap();
    assert_eq!(laptop.get(&path(&conversation)).await.status, 404);
    laptop.advance(AN_HOUR);
    run(&laptop).await;
    assert_eq!((items_with(&laptop, "LEG#").await.len(), items_with(&laptop, "leg-1").await.len()), (0, 1));
}

#[tokio::test]
async fn text_in_flight_during_erase_is_redacted() {
    let laptop = builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["notify"] = json!(false);
    let created = laptop.post("/conversations", &order).await.body;
    let (store, id) = (laptop.store(), text(&created, "/id").try_into().unwrap());
    let read = store.conversation(id, laptop.clock.now()).await.unwrap().unwrap();
    erase(&laptop, &created).await;
    let sides = shared::domain::side::Side::BOTH.map(Into::into);
    assert!(!store.claim_notifications(&read, &sides).await.unwrap(), "no text message may be sent");
    let texts = ["one", "two"].map(|id| shared::domain::carrier_record::CarrierRecord::of_text(id.to_owned()));
    let sent = [(sides[0], texts[..1].to_vec()), (sides[1], texts[1..].to_vec())];
    store.record_notifications(&read, &sent, laptop.clock.now()).await.unwrap();
    assert_eq!(items_with(&laptop, "sms#").await.len(), 2);
    assert_eq!((laptop.get(&path(&created)).await.status, items_with(&laptop, "participants").await.len()), (404, 0));
}

/// Starts a laptop that waits for Vonage.
async fn patient() -> Laptop {
    builder().env(&[("VONAGE_TIME_LIMIT_MS", "20000")]).numbers("GB", 3).start().await
}

/// Makes the next text messages take long.
async fn delay_texts(laptop: &Laptop, count: u32) {
    laptop.faults("/sms/json", count, json!({"kind": "delay", "milliseconds": 2000})).await;
}

/// Erases the only conversation as soon as Vonage has been asked for so many text messages.
async fn erase_when_asked(laptop: &Laptop, texts: usize) {
    while laptop.asked("/sms/json").await < texts {
        tokio::task::yield_now().await;
    }
    let items = laptop.items().await;
    let conversation = items.iter().find(|item| item["sk"]["S"] == "CONVERSATION").unwrap();
    let id = text(conversation, "/pk/S").strip_prefix("CONVERSATION#").unwrap();
    assert_eq!(erase(laptop, &json!({"id": id})).await, 204);
}

#[tokio::test]
async fn creation_has_its_text_redacted_if_erased_meanwhile() {
    let laptop = patient().await;
    delay_texts(&laptop, 2).await;
    let order = conversation();
    let (_, created) = tokio::join!(erase_when_asked(&laptop, 2), laptop.post("/conversations", &order));
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(items_with(&laptop, "sms#").await.len(), 2);
}

#[tokio::test]
async fn healing_has_its_text_redacted_if_erased_meanwhile() {
    let laptop = patient().await;
    let created = laptop.create().await;
    let lost = text(&created, "/participants/0/dials");
    let taken = laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", lost)]).await;
    assert_eq!(taken.status, 200);
    delay_texts(&laptop, 1).await;
    tokio::join!(erase_when_asked(&laptop, 3), laptop.run_schedule());
    assert_eq!(items_with(&laptop, "sms#").await.len(), 3);
}

#[tokio::test]
async fn replay_of_create_is_refused_after_erase() {
    let laptop = builder().numbers("GB", 2).start().await;
    let post = async || laptop.post_with_key("ride-42", &conversation()).await;
    let created = post().await.body;
    erase(&laptop, &created).await;
    for _ in 0..2 {
        let again = post().await;
        assert_eq!((again.status, text(&again.body, "/type")), (410, "urn:maskline:problem:conversation-erased"));
    }
    laptop.advance(86_400);
    assert_eq!(post().await.status, 201, "a key is remembered for a day");
}

#[tokio::test]
async fn erase_parameter_is_true_or_false() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    for query in ["erase=", "erase=1", "erase=TRUE", "erase", "erase=true&erase=true"] {
        let refused = laptop.delete(&format!("{}?{query}", path(&conversation))).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "erase"), "{query}");
    }
    assert_eq!(laptop.get(&path(&conversation)).await.body["state"], "active");
    let ended = laptop.delete(&format!("{}?erase=false", path(&conversation))).await;
    assert_eq!((ended.status, text(&ended.body, "/state")), (200, "ended"));
}

#[tokio::test]
async fn failed_redaction_is_repeated_by_later_run() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    let faults = async |times, fault| laptop.faults("/v1/redact/transaction", times, fault).await;
    assert_eq!(erase(&laptop, &conversation).await, 204);
    let one = &laptop.table().await.redactions[0].record.id;
    let failure = json!({"path": "/v1/redact/transaction", "contains": one, "times": 3,
                         "fault": {"kind": "status", "status": 500}});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", failure).await.status, 204);
    laptop.advance(AN_HOUR);
    // One record fails each time. The other five are redacted.
    assert_eq!(run(&laptop).await, report(json!({"settled": 1, "redacted": 5, "postponed": 1})));
    assert_eq!(run(&laptop).await, report(json!({})), "the others get their turn first");
    laptop.advance(AN_HOUR);
    // After a broken connection and after 429 the request is repeated at once.
    faults(1, json!({"kind": "close_after"})).await;
    faults(1, json!({"kind": "status", "status": 429})).await;
    assert_eq!(run(&laptop).await, report(json!({"redacted": 1})));
    assert_eq!(items_with(&laptop, "REDACTION").await, [""; 0]);
}

#[tokio::test]
async fn product_that_fails_is_left_and_others_are_redacted() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    erase(&laptop, &conversation).await;
    let calls =
        (0..40).map(|nth| shared::domain::carrier_record::CarrierRecord::of_leg(&format!("leg-{nth}"), Inbound));
    laptop.store().request_redaction(&calls.collect::<Vec<_>>(), laptop.clock.now()).await.unwrap();
    laptop.advance(AN_HOUR);
    let down = json!({"path": "/v1/redact/transaction", "contains": "voice", "times": 1000,
                      "fault": {"kind": "status", "status": 503}});
    laptop.vonage(Method::POST, "/simulator/faults", down).await;
    let stopped = run(&laptop).await;
    assert_eq!((&stopped["redacted"], text(&stopped, "/stopped")), (&json!(4), "Vonage failed with HTTP status 503"));
    let postponed = stopped["postponed"].as_u64().unwrap();
    assert!((3..=12).contains(&postponed), "the rest of the calls is left to the next run: {stopped}");
    laptop.no_more_faults().await;
    let next = run(&laptop).await;
    // The simulated Vonage knows two of the calls.
    let is_done = next["redacted"].as_u64().unwrap() <= 2 && next["postponed"].as_u64().unwrap() + postponed >= 40;
    assert!(is_done && next["stopped"].is_null(), "{next}");
}

#[tokio::test]
async fn redaction_run_stops_when_vonage_refuses_the_account() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    erase(&laptop, &conversation).await;
    laptop.advance(AN_HOUR);
    laptop.faults("/v1/redact/transaction", 1000, json!({"kind": "status", "status": 401})).await;
    let stopped = run(&laptop).await;
    assert!(stopped["redacted"] == 0 && stopped["stopped"].is_string(), "{stopped}");
    laptop.no_more_faults().await;
    assert_eq!(run(&laptop).await, report(json!({"redacted": 6})), "the records are not the cause");
}

#[tokio::test]
async fn permanent_failure_does_not_block_other_redactions() {
    let laptop = builder().numbers("GB", 2).start().await;
    for _ in 0..2 {
        let conversation = lively(&laptop).await;
        assert_eq!(erase(&laptop, &conversation).await, 204);
        laptop.advance(2 * 86_400);
    }
    let lookups = json!({"path": "/v1/redact/transaction", "contains": "number-insight", "times": 1000,
                         "fault": {"kind": "status", "status": 500}});
    laptop.vonage(Method::POST, "/simulator/faults", lookups).await;
    let (first, second) = (run(&laptop).await, run(&laptop).await);
    assert_eq!((&first["postponed"], &first["redacted"]), (&json!(4), &json!(8)), "{first}");
    assert_eq!((&second["postponed"], &second["redacted"]), (&json!(0), &json!(0)), "{second}");
}

#[tokio::test]
async fn slow_redaction_does_not_hold_up_others() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    erase(&laptop, &conversation).await;
    laptop.advance(AN_HOUR);
    let redactions = laptop.table().await.redactions;
    // In each order that the table has, it is first in its product.
    for product in shared::domain::carrier_record::Product::ALL {
        let slow = redactions.iter().filter(|redaction| redaction.record.product == product);
        // Nobody texted.
        let Some(slow) = slow.map(|redaction| redaction.record.id.clone()).min() else { continue };
        let rule = json!({"path": "/v1/redact/transaction", "contains": slow, "times": 1, "fault": {"kind": "hang"}});
        assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
    }
    let others = async {
        while items_with(&laptop, "REDACTION").await.len() > 3 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        biased;
        () = others => {}
        report = run(&laptop) => panic!("the slow records held up the others: {report}"),
    }
}

#[tokio::test]
async fn erasure_that_fails_does_not_come_first_again() {
    let laptop = builder().numbers("GB", 4).start().await;
    let (first, second) = (lively(&laptop).await, lively(&laptop).await);
    let items = laptop.items().await;
    let is_leg =
        |item: &&Value| text(item, "/pk/S").ends_with(text(&first, "/id")) && text(item, "/sk/S").starts_with("LEG#");
    let mut leg = items.iter().find(is_leg).unwrap().clone();
    let whole = leg.clone();
    leg["v"] = json!({"N": "99"});
    laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": leg})).await;
    // Its own request fails too.
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&first))).await.status, 500);
    assert_eq!(erase(&laptop, &second).await, 204);
    laptop.advance(AN_HOUR);
    let failed = run(&laptop).await;
    assert_eq!((&failed["unsettled"], &failed["settled"]), (&json!(1), &json!(1)), "{failed}");
    assert_eq!(run(&laptop).await["unsettled"], 0, "the others get their turn first");
    laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": whole})).await;
    laptop.advance(AN_HOUR);
    assert_eq!(run(&laptop).await["settled"], 1);
}

#[tokio::test]
async fn redaction_is_given_up_after_30_days_if_not_provisioned() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = lively(&laptop).await;
    assert_eq!(
        laptop.vonage(Method::PUT, "/simulator/account", json!({"balance": "9", "redact": false})).await.status,
        200
    );
    erase(&laptop, &conversation).await;
    laptop.advance(AN_HOUR);
    let products = json!(["number-insight", "sms", "voice"]);
    let waiting = report(json!({"settled": 1, "postponed": 6, "not_provisioned": products}));
    assert_eq!(run(&laptop).await, waiting);
    assert!(asked(&laptop).await.len() <= 6, "some of a product may be asked for at the same time");
    laptop.advance(30 * 86_400);
    let given_up = run(&laptop).await;
    assert_eq!((&given_up["given_up"], &given_up["redacted"]), (&json!(6), &json!(0)), "{given_up}");
    assert_eq!(items_with(&laptop, "REDACTION").await, [""; 0]);
}

#[tokio::test]
async fn erase_deletes_many_legs_in_one_request() {
    let laptop = builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let (store, phone) = (laptop.store(), shared::domain::phone::PhoneNumber::try_from(RIDER).unwrap().into());
    let dialled =
        shared::domain::phone::PhoneNumber::try_from(text(&conversation, "/participants/0/dials")).unwrap().into();
    let Some(shared::domain::route::KeyOwner::Route(route)) = store.key_owner(&phone, &dialled).await.unwrap() else {
        panic!()
    };
    for call in 0..230 {
        let event = shared::domain::call::LegEvent {
            conversation_uuid: format!("CON-{call}"),
            // Two calls share one leg, as after a transfer.
            uuid: format!("leg-{}", call.max(1)),
            status: shared::domain::call::Status::Completed,
            timestamp: Some(laptop.clock.now()),
            facts: shared::domain::call::LegFacts::default(),
        };
        store
            .merge_leg(&shared::store::LegPhone::from(&route), shared::domain::call::Direction::Inbound, &event)
            .await
            .unwrap();
    }
    assert_eq!(erase(&laptop, &conversation).await, 204);
    assert_eq!((items_with(&laptop, "LEG#").await.len(), items_with(&laptop, "voice#").await.len()), (0, 229));
}
