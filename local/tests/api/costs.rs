//! The cost of each operation: requests to DynamoDB and Vonage by round, capacity units, and bytes.

mod chats;

use std::sync::Arc;

use local::gateway;
use local::masked_call::MaskedCall;
use local::stack::Options;
use local::traffic::{Exchange, Service, Usage};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::edge::function::HttpFunction;
use testkit::{DRIVER, Laptop, RIDER, text};

const NUMBER_INSIGHT: &str = "/ni/basic/json";
const IDENTITY_INSIGHTS: &str = "/identity-insights/v1/requests";
const TEXT: &str = "/sms/json";

/// The highest cost of an operation.
#[derive(Debug, Clone, Copy)]
struct Cost<'a> {
    /// The requests by round. Those of one round are sent in parallel.
    rounds: &'a [&'a [&'a str]],
    read_units: f64,
    write_units: f64,
    /// Highest number of bytes to and from DynamoDB.
    dynamodb_bytes: [u64; 2],
    /// Highest number of bytes to and from Vonage.
    vonage_bytes: [u64; 2],
}

const NOTHING: Cost<'_> =
    Cost { rounds: &[], read_units: 0.0, write_units: 0.0, dynamodb_bytes: [0, 0], vonage_bytes: [0, 0] };

/// Returns the names of the requests of each round.
fn by_name(exchanges: &[Exchange], sizes: &[usize]) -> Vec<Vec<String>> {
    let mut names = exchanges.iter().map(|exchange| exchange.name.clone());
    let mut round = |size: usize| {
        let mut round: Vec<_> = names.by_ref().take(size).collect();
        round.sort();
        round
    };
    let mut rounds: Vec<_> = sizes.iter().map(|size| round(*size)).collect();
    rounds.push(round(usize::MAX));
    rounds.retain(|round| !round.is_empty());
    rounds
}

/// Runs the operation, and checks that it does not cost more.
async fn costs<T>(laptop: &Laptop, what: &str, cost: Cost<'_>, operation: impl Future<Output = T>) -> T {
    let traffic = &laptop.stack.traffic;
    let sizes: Vec<_> = cost.rounds.iter().map(|round| round.len()).collect();
    traffic.watch();
    traffic.expect_rounds(&sizes);
    let done = operation.await;
    traffic.settled().await;
    let exchanges = traffic.take();
    assert_eq!(by_name(&exchanges, &sizes), cost.rounds, "{what}");
    let [dynamodb, vonage] = [Service::Dynamodb, Service::Vonage].map(|service| Usage::of(service, &exchanges));
    let bytes = |usage: Usage| [usage.bytes_out, usage.bytes_in];
    println!(
        "{what:36} {:3} {:4} r {:4} w {:?} {:3} {:?}",
        dynamodb.requests,
        dynamodb.read_units,
        dynamodb.write_units,
        bytes(dynamodb),
        vonage.requests,
        bytes(vonage)
    );
    assert_eq!((dynamodb.read_units, dynamodb.write_units), (cost.read_units, cost.write_units), "{what}");
    for (usage, limit) in [(dynamodb, cost.dynamodb_bytes), (vonage, cost.vonage_bytes)] {
        let is_within = bytes(usage).iter().zip(limit).all(|(bytes, limit)| *bytes <= limit);
        assert!(is_within, "{what}: {:?} bytes, and {limit:?} at most", bytes(usage));
    }
    done
}

/// Returns the read and write units, and the number of requests, of the schedule of erasures.
async fn cost_of_erasures(laptop: &Laptop) -> (f64, f64, u64) {
    laptop.stack.traffic.watch();
    laptop.stack.run_erasure_schedule().await.unwrap();
    laptop.stack.traffic.settled().await;
    let Usage { read_units, write_units, requests, .. } = Usage::of(Service::Dynamodb, &laptop.stack.traffic.take());
    (read_units, write_units, requests)
}

#[tokio::test]
async fn end_of_retention_costs_a_few_units_for_a_conversation() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    // The first run begins a pass; these are the costs of a day on which nothing is over.
    let nothing = cost_of_erasures(&laptop).await;
    for _ in 0..2 {
        let conversation = laptop.create().await;
        laptop.call(json!({"from": RIDER, "to": dials(&conversation), "talk_seconds": 42})).await;
    }
    laptop.advance(33 * 86_400);
    let erasure = cost_of_erasures(&laptop).await;
    let noted = cost_of_erasures(&laptop).await;
    laptop.advance(61 * 60);
    let redaction = cost_of_erasures(&laptop).await;
    println!("nothing over {nothing:?}, two erasures {erasure:?}, {noted:?}, and their redactions {redaction:?}");
    let of_two = |unit: fn(&(f64, f64, u64)) -> f64| [erasure, noted, redaction].iter().map(unit).sum::<f64>();
    assert!(nothing.0 < 10.0 && nothing.1 <= 1.0, "{nothing:?}");
    assert!(of_two(|cost| cost.0) <= 2.0 * 20.0 + 30.0, "reads: {:?}", of_two(|cost| cost.0));
    assert!(of_two(|cost| cost.1) <= 2.0 * 34.0 + 3.0, "writes: {:?}", of_two(|cost| cost.1));
}

async fn laptop() -> Laptop {
    Laptop::builder().numbers("GB", 2).start().await
}

fn dials(conversation: &Value) -> &str {
    text(conversation, "/participants/0/dials")
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Returns the answer of the answer webhook.
async fn call(laptop: &Laptop, from: &str, dialled: &str) -> Value {
    let body = json!({"from": from, "to": dialled, "uuid": "0779a56d002f1c7f47f82ef5fe84ab79",
                      "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"});
    laptop.signed_post("/webhooks/answer", &body.to_string()).await.body
}

const ONE_LOOK: Cost<'_> = Cost { rounds: &[&["GetItem"]], read_units: 0.5, dynamodb_bytes: [1_200, 1_000], ..NOTHING };
/// The second time also for the settings of the number.
const TWO_LOOKS: Cost<'_> = Cost {
    rounds: &[&["GetItem"], &["GetItem", "GetItem"]],
    read_units: 2.0,
    dynamodb_bytes: [3_000, 2_500],
    ..NOTHING
};

#[tokio::test]
async fn call_costs_half_read_unit_and_refused_call_two_reads() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    let dialled = dials(&conversation);
    let connected = costs(&laptop, "answer: hit", ONE_LOOK, call(&laptop, RIDER, dialled)).await;
    assert_eq!(connected[1]["action"], "connect");
    costs(&laptop, "answer: miss", TWO_LOOKS, call(&laptop, "447700900099", dialled)).await;
    costs(&laptop, "answer: withheld caller", ONE_LOOK, call(&laptop, "anonymous", dialled)).await;
    costs(&laptop, "answer: unclear caller", ONE_LOOK, call(&laptop, "alice", dialled)).await;
    laptop.delete(&path(&conversation)).await;
    costs(&laptop, "answer: ended", TWO_LOOKS, call(&laptop, RIDER, dialled)).await;
}

#[tokio::test]
async fn words_of_a_tenant_cost_an_answer_no_second_read() {
    let words = [("BRAND", "Rides"), ("WORDS_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tenant-words.json"))];
    let laptop = Laptop::builder().env(&words).start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let participants = json!([{"number": format!("+{RIDER}")}, {"number": format!("+{DRIVER}"), "label": "Bob"}]);
    let order = json!({"participants": participants, "notify": false});
    let conversation = laptop.post("/t/acme/conversations", &order).await.body;
    let dialled = dials(&conversation);
    let connected = costs(&laptop, "answer: tenant, hit", ONE_LOOK, call(&laptop, RIDER, dialled)).await;
    assert_eq!(connected[0]["text"], "Acme Rides is connecting you to Bob.");
    let refused = costs(&laptop, "answer: tenant, miss", TWO_LOOKS, call(&laptop, "447700900099", dialled)).await;
    assert_eq!(refused[0]["text"], "Acme Rides does not know you.");
    costs(&laptop, "answer: tenant, withheld caller", ONE_LOOK, call(&laptop, "anonymous", dialled)).await;
}

#[tokio::test]
async fn limit_costs_an_answer_no_second_read() {
    let laptop = laptop().await;
    let participants = json!([{"number": format!("+{RIDER}")}, {"number": format!("+{DRIVER}")}]);
    let order = json!({"participants": participants, "notify": false, "max_calls": 1});
    let conversation = laptop.post("/conversations", &order).await.body;
    let dialled = dials(&conversation);
    let connected = costs(&laptop, "answer: with a limit", ONE_LOOK, call(&laptop, RIDER, dialled)).await;
    assert_eq!(connected[1]["action"], "connect");
    let started = event(&laptop, &conversation, DRIVER, "started");
    let counted = Cost {
        rounds: &[&["GetItem"], &["UpdateItem"], &["GetItem", "GetItem", "GetItem"], &["TransactWriteItems"]],
        read_units: 4.0,
        // The last two units are for the journal: a limit is reached.
        write_units: 13.0,
        dynamodb_bytes: [9_500, 5_000],
        ..NOTHING
    };
    assert_eq!(costs(&laptop, "event: counted", counted, laptop.event(&started)).await.status, 204);
    let refused = costs(&laptop, "answer: limit reached", TWO_LOOKS, call(&laptop, RIDER, dialled)).await;
    assert_eq!(refused.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_refused_call_of_two_spellings_costs_third_read() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("GB", 2)
        .start()
        .await;
    let order = json!({"participants": [{"number": "+5491123456789"}, {"number": "+447700900002"}], "notify": false});
    let conversation = laptop.post("/conversations", &order).await.body;
    let dialled = dials(&conversation);
    for from in ["541123456789", "5491123456789"] {
        let connected = costs(&laptop, "answer: two spellings, hit", ONE_LOOK, call(&laptop, from, dialled)).await;
        assert_eq!(connected[1]["action"], "connect");
    }
    let three = Cost {
        rounds: &[&["GetItem"], &["GetItem", "GetItem", "GetItem"]],
        read_units: 3.0,
        dynamodb_bytes: [4_000, 3_000],
        ..NOTHING
    };
    costs(&laptop, "answer: two spellings, miss", three, call(&laptop, "541123456780", dialled)).await;
}

/// Returns an event of the driver's leg of a call.
fn event(laptop: &Laptop, conversation: &Value, to: &str, status: &str) -> Value {
    json!({"headers": {}, "from": text(conversation, "/participants/1/dials"), "to": to, "status": status,
           "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356", "timestamp": format!("{:.3}", laptop.clock.now()),
           "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "direction": "outbound",
           "duration": "42", "rate": "0.00720000", "price": "0.00504000", "start_time": "2026-11-22T12:00:00.000Z"})
}

const MERGED: Cost<'_> = Cost {
    rounds: &[&["GetItem"], &["UpdateItem"]],
    read_units: 1.0,
    write_units: 1.0,
    dynamodb_bytes: [3_000, 1_000],
    ..NOTHING
};

/// The first end of the callee's leg counts for the health of the number that it shows, in the same transaction.
const ENDED: Cost<'_> = Cost {
    rounds: &[&["GetItem"], &["TransactWriteItems"]],
    write_units: 4.0,
    dynamodb_bytes: [4_000, 1_500],
    ..MERGED
};

const ENDED_AGAIN: Cost<'_> = Cost {
    rounds: &[&["GetItem"], &["TransactWriteItems"], &["UpdateItem"]],
    write_units: 1.0,
    dynamodb_bytes: [6_500, 2_500],
    ..ENDED
};

/// The conversation may have been ended together with its calls while the leg was written, so it is read again.
const ANSWERED: Cost<'_> = Cost {
    rounds: &[&["GetItem"], &["UpdateItem"], &["GetItem"]],
    read_units: 2.0,
    dynamodb_bytes: [4_500, 3_000],
    ..MERGED
};

#[tokio::test]
async fn event_costs_one_write_and_one_read_unit() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    let mut ends = [ENDED, ENDED_AGAIN].into_iter();
    for status in ["started", "ringing", "answered", "human", "completed", "completed"] {
        let event = event(&laptop, &conversation, DRIVER, status);
        let merged = match status {
            "answered" => ANSWERED,
            "completed" => ends.next().unwrap(),
            _ => MERGED,
        };
        assert_eq!(costs(&laptop, &format!("event: {status}"), merged, laptop.event(&event)).await.status, 204);
    }
    let strangers = event(&laptop, &conversation, "447700900099", "started");
    let look = Cost { rounds: &[&["GetItem"]], read_units: 1.0, dynamodb_bytes: [1_200, 1_000], ..NOTHING };
    costs(&laptop, "event: of no conversation", look, laptop.event(&strangers)).await;
    let of_no_leg = json!({"conversation_uuid_from": "CON-1", "conversation_uuid_to": "CON-2", "uuid": "u"});
    costs(&laptop, "event: without a leg", NOTHING, laptop.event(&of_no_leg)).await;
}

/// The price of a tenant's leg is added to a sum, if the conversation is not being erased: two units each more.
const ENDED_OF_TENANT: Cost<'_> = Cost { write_units: 8.0, dynamodb_bytes: [6_500, 2_000], ..ENDED };

/// Neither the sum, nor the health of the number: both are in the transactions that are refused.
const ENDED_AGAIN_OF_TENANT: Cost<'_> = Cost {
    rounds: &[&["GetItem"], &["TransactWriteItems"], &["TransactWriteItems"], &["TransactWriteItems"], &["UpdateItem"]],
    dynamodb_bytes: [17_000, 6_000],
    ..ENDED_AGAIN
};

#[tokio::test]
async fn price_of_a_tenant_costs_its_event_two_items_more() {
    let laptop = laptop().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let conversation = laptop.post("/t/acme/conversations", &order(1, false)).await.body;
    let driver = text(&conversation, "/participants/1/number");
    let started = Cost { dynamodb_bytes: [3_000, 1_300], ..MERGED };
    let ends = [("started", started), ("completed", ENDED_OF_TENANT), ("completed", ENDED_AGAIN_OF_TENANT)];
    for (status, cost) in ends {
        let mut event = event(&laptop, &conversation, driver, status);
        if status == "started" {
            event["price"] = Value::Null;
        }
        let told = costs(&laptop, &format!("event: tenant, {status}"), cost, laptop.event(&event)).await;
        assert_eq!(told.status, 204);
    }
}

#[tokio::test]
async fn price_of_a_text_costs_a_read_and_a_sum_only_with_a_tenant() {
    let laptop = Laptop::builder().env(&[("TEXTS_BY", "messages-api")]).numbers("GB", 2).start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let one_write = Cost { rounds: &[&["UpdateItem"]], write_units: 1.0, dynamodb_bytes: [2_500, 1_500], ..NOTHING };
    let counted = Cost {
        rounds: &[&["UpdateItem"], &["GetItem"], &["TransactWriteItems"]],
        read_units: 1.0,
        write_units: 4.0,
        dynamodb_bytes: [7_000, 3_500],
        ..NOTHING
    };
    for (path, cost) in [("", one_write), ("/t/acme", counted)] {
        let conversation = laptop.post(&format!("{path}/conversations"), &order(1, true)).await.body;
        let receipt = |name: &str| {
            json!({"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "to": "447700900001", "from": "447451000001",
                   "timestamp": format!("{:.3}", laptop.clock.now()), "status": "submitted", "channel": "sms",
                   "client_ref": format!("{}.{name}", text(&conversation, "/id")),
                   "usage": {"currency": "EUR", "price": "0.0333"}})
        };
        let told = receipt("na0.0.m1").to_string();
        let told = costs(
            &laptop,
            &format!("receipt: invitation, {path}"),
            cost,
            laptop.signed_post("/webhooks/message-status", &told),
        )
        .await;
        assert_eq!(told.status, 200, "{told:?}");
    }
}

#[tokio::test]
async fn sliding_end_costs_events_nothing_until_it_moves() {
    let laptop = laptop().await;
    let order = json!({"participants": order(1, false)["participants"], "notify": false, "extend_on_use": 86_400});
    let conversation = laptop.post("/conversations", &order).await.body;
    let answered = costs(&laptop, "answer: sliding end", ONE_LOOK, call(&laptop, RIDER, dials(&conversation))).await;
    assert_eq!(answered[1]["action"], "connect");
    let tell = async |cost, what, status| {
        let event = event(&laptop, &conversation, DRIVER, status);
        assert_eq!(costs(&laptop, what, cost, laptop.event(&event)).await.status, 204);
    };
    // The route has the rule, which is all that is read of it.
    let started = Cost { dynamodb_bytes: [3_000, 1_300], ..MERGED };
    tell(started, "event: sliding end, started", "started").await;
    let stays = Cost { dynamodb_bytes: [4_500, 3_500], ..ANSWERED };
    tell(stays, "event: sliding end stays", "answered").await;
    laptop.advance(60_000);
    let moved = Cost {
        rounds: &[
            &["GetItem"],
            &["TransactWriteItems"],
            &["GetItem"],
            &["TransactWriteItems"],
            &["GetItem", "Query", "Query"],
            PART,
            &["UpdateItem"],
        ],
        read_units: 6.0,
        write_units: 15.0,
        dynamodb_bytes: [16_000, 8_000],
        ..NOTHING
    };
    tell(moved, "event: sliding end moves", "completed").await;
}

#[tokio::test]
async fn event_after_numbers_came_back_costs_one_check() {
    let laptop = laptop().await;
    let first = laptop.create().await;
    laptop.delete(&path(&first)).await;
    let next = laptop.create().await;
    let checked = Cost {
        rounds: &[&["GetItem"], &["TransactWriteItems"]],
        write_units: 4.0,
        dynamodb_bytes: [4_000, 1_500],
        ..MERGED
    };
    let started = event(&laptop, &next, DRIVER, "started");
    assert_eq!(costs(&laptop, "event: numbers back", checked, laptop.event(&started)).await.status, 204);
    // The longest call of the first one is over.
    laptop.advance(7_200);
    let later = event(&laptop, &next, DRIVER, "completed");
    let plain = Cost { dynamodb_bytes: [4_000, 2_000], ..ENDED };
    assert_eq!(costs(&laptop, "event: numbers back for long", plain, laptop.event(&later)).await.status, 204);
}

/// Returns the body of a `POST /conversations` that pairs two people.
fn order(first: u32, notify: bool) -> Value {
    let participants = [first, first + 1].map(|person| json!({"number": format!("+447700900{person:03}")}));
    json!({"participants": participants, "notify": notify})
}

async fn create(laptop: &Laptop, first: u32, notify: bool, key: Option<&str>) -> u16 {
    let order = order(first, notify);
    match key {
        Some(key) => laptop.post_with_key(key, &order).await.status,
        None => laptop.post("/conversations", &order).await.status,
    }
}

/// The reads of a creation: the routes of both callers, and the versions of the ready numbers.
const LOOK_AROUND: &[&str] = &["GetItem", "Query", "Query"];
/// The same, with the read of the idempotent request.
const LOOK_AROUND_WITH_KEY: &[&str] = &["GetItem", "GetItem", "Query", "Query"];
/// The read of a part of the ready numbers that has changed.
const PART: &[&str] = &["GetItem"];
const STORE: &[&str] = &["TransactWriteItems"];
/// The same, with a mark of peak usage.
const STORE_WITH_MARK: &[&str] = &["TransactWriteItems", "UpdateItem"];
/// The same, with the line of a participant who only receives.
const STORE_WITH_LINE_AND_MARK: &[&str] = &["PutItem", "TransactWriteItems", "UpdateItem"];
const TELL: &[&str] = &[TEXT, TEXT];
const NOTE: &[&str] = &["UpdateItem"];

/// Two text messages.
const TEXT_BYTES: [u64; 2] = [850, 700];

const CREATED: Cost<'_> = Cost {
    rounds: &[LOOK_AROUND, STORE],
    read_units: 3.0,
    // Two units each for the conversation, both routes, the lists of both phones, and the route keys in the journal.
    write_units: 12.0,
    dynamodb_bytes: [8_000, 1_500],
    ..NOTHING
};

#[tokio::test]
async fn create_takes_two_round_trips_to_dynamodb() {
    let laptop = laptop().await;
    // The first conversation in a country raises the peak usage. Few do.
    let first = Cost { rounds: &[LOOK_AROUND, PART, STORE_WITH_MARK], read_units: 4.0, write_units: 13.0, ..CREATED };
    let first = Cost { dynamodb_bytes: [11_000, 2_500], ..first };
    assert_eq!(costs(&laptop, "create: the first", first, create(&laptop, 1, false, None)).await, 201);
    assert_eq!(costs(&laptop, "create", CREATED, create(&laptop, 3, false, None)).await, 201);
    let planned = Cost { rounds: &[LOOK_AROUND], write_units: 0.0, dynamodb_bytes: [3_500, 1_500], ..CREATED };
    let mut dry_run = order(5, true);
    dry_run["dry_run"] = json!(true);
    let plan = async { laptop.post("/conversations", &dry_run).await.status };
    assert_eq!(costs(&laptop, "create: dry run", planned, plan).await, 200);
    // The outcome of text messages is stored after them.
    let with_texts = Cost {
        rounds: &[LOOK_AROUND, STORE, TELL, NOTE],
        write_units: 13.0,
        dynamodb_bytes: [9_200, 2_000],
        vonage_bytes: TEXT_BYTES,
        ..CREATED
    };
    assert_eq!(costs(&laptop, "create: notify", with_texts, create(&laptop, 5, true, None)).await, 201);
}

#[tokio::test]
async fn lookup_is_one_more_round_and_no_request_to_dynamodb() {
    for (judge, lookup, vonage_bytes) in
        [("number-insight", NUMBER_INSIGHT, [500, 800]), ("identity-insights", IDENTITY_INSIGHTS, [2_600, 1_000])]
    {
        let laptop = Laptop::builder().env(&[("NUMBER_LOOKUP", judge)]).numbers("GB", 3).start().await;
        // These raise the peak usage, and no later ones.
        for _ in 0..2 {
            assert_eq!(create(&laptop, 1, false, None).await, 201);
        }
        let dynamodb_bytes = [8_500, 1_500];
        let first = Cost { rounds: &[LOOK_AROUND, &[lookup, lookup], STORE], vonage_bytes, dynamodb_bytes, ..CREATED };
        assert_eq!(costs(&laptop, &format!("create: {judge}"), first, create(&laptop, 3, false, None)).await, 201);
        let again = Cost { dynamodb_bytes: [7_500, 2_500], ..CREATED };
        assert_eq!(costs(&laptop, "create: looked up before", again, create(&laptop, 3, false, None)).await, 201);
    }
}

#[tokio::test]
async fn idempotent_create_costs_one_read_item_and_write_more() {
    let laptop = laptop().await;
    assert_eq!(create(&laptop, 1, false, None).await, 201);
    let silent = Cost {
        rounds: &[LOOK_AROUND_WITH_KEY, STORE],
        read_units: 4.0,
        write_units: 14.0,
        dynamodb_bytes: [9_500, 2_000],
        ..CREATED
    };
    assert_eq!(costs(&laptop, "create: key", silent, create(&laptop, 3, false, Some("k"))).await, 201);
    let with_texts = Cost {
        rounds: &[LOOK_AROUND_WITH_KEY, STORE, NOTE, TELL, NOTE],
        read_units: 4.0,
        write_units: 16.0,
        dynamodb_bytes: [13_000, 2_500],
        vonage_bytes: TEXT_BYTES,
    };
    assert_eq!(costs(&laptop, "create: key, notify", with_texts, create(&laptop, 5, true, Some("l"))).await, 201);
    // A replay writes nothing.
    let again = Cost {
        rounds: &[LOOK_AROUND_WITH_KEY, &["GetItem"]],
        read_units: 5.0,
        write_units: 0.0,
        dynamodb_bytes: [5_000, 4_500],
        ..CREATED
    };
    assert_eq!(costs(&laptop, "create: again", again, create(&laptop, 5, true, Some("l"))).await, 200);
}

/// Creates a conversation with a function that has just started.
async fn create_cold(laptop: &Laptop, first: u32, notify: bool, key: Option<&str>) -> u64 {
    let mut event: Value = serde_json::from_str(include_str!("../../../events/create-conversation.json")).unwrap();
    event["body"] = json!(order(first, notify).to_string());
    if let Some(key) = key {
        event["headers"]["idempotency-key"] = json!(key);
    }
    let started = gateway::routes(&laptop.stack.environment, Arc::new(laptop.clock.clone())).unwrap();
    let route = started.iter().find(|route| event["routeKey"] == route.key).unwrap();
    let created = route.invoke(event).await.unwrap();
    created["statusCode"].as_u64().unwrap()
}

#[tokio::test]
async fn function_without_warm_up_needs_one_more_round_trip() {
    let laptop = laptop().await;
    assert_eq!(create(&laptop, 1, false, None).await, 201);
    // It does not know yet which marks are stored.
    let silent = Cost {
        rounds: &[LOOK_AROUND, PART, STORE_WITH_MARK],
        read_units: 4.0,
        dynamodb_bytes: [11_000, 2_500],
        ..CREATED
    };
    assert_eq!(costs(&laptop, "create: cold", silent, create_cold(&laptop, 3, false, None)).await, 201);
    let with_texts = Cost {
        rounds: &[LOOK_AROUND_WITH_KEY, PART, STORE_WITH_MARK, NOTE, TELL, NOTE],
        read_units: 5.0,
        write_units: 16.0,
        dynamodb_bytes: [15_000, 3_500],
        vonage_bytes: TEXT_BYTES,
    };
    assert_eq!(
        costs(&laptop, "create: cold, key, notify", with_texts, create_cold(&laptop, 5, true, Some("k"))).await,
        201
    );
}

#[tokio::test]
async fn warmed_up_function_creates_in_two_round_trips() {
    let laptop = laptop().await;
    assert_eq!(create(&laptop, 1, false, None).await, 201);
    let clock = Arc::new(laptop.clock.clone());
    let function = create_conversation::CreateConversation::start(&laptop.stack.environment, clock).unwrap();
    function.warm_up().await;
    let mut event: Value = serde_json::from_str(include_str!("../../../events/create-conversation.json")).unwrap();
    event["body"] = json!(order(3, false).to_string());
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let warmed_up = Cost { rounds: &[LOOK_AROUND, STORE_WITH_MARK], dynamodb_bytes: [9_000, 2_000], ..CREATED };
    let created = costs(&laptop, "create: warmed up", warmed_up, function.answer(request)).await;
    assert_eq!(created.status(), 201);
}

/// Creates a conversation in which the driver only receives.
async fn create_one_way(laptop: &Laptop, caller: u32, notify: bool) -> Value {
    let mut order = order(caller, notify);
    order["participants"][1]["number"] = json!(format!("+{DRIVER}"));
    order["direction"] = json!("a_to_b");
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

#[tokio::test]
async fn one_way_create_costs_less_than_one_of_both() {
    let laptop = laptop().await;
    assert_eq!(create(&laptop, 1, false, None).await, 201);
    // The receiver's line and own number in one query, then the routes because there is no line, then the hold, and with the
    // conversation the line. The number is in use for longer than any before.
    let first = Cost {
        rounds: &[LOOK_AROUND, &["Query"], &["PutItem"], STORE_WITH_LINE_AND_MARK],
        read_units: 4.0,
        write_units: 13.0,
        dynamodb_bytes: [12_000, 3_000],
        ..CREATED
    };
    costs(&laptop, "create: one way, the first", first, create_one_way(&laptop, 11, false)).await;
    // This one leaves the other mark.
    create_one_way(&laptop, 21, false).await;
    let again = Cost { write_units: 10.0, dynamodb_bytes: [8_500, 1_500], ..CREATED };
    costs(&laptop, "create: one way", again, create_one_way(&laptop, 13, false)).await;
    // Only the caller gets a text message.
    let with_text = Cost {
        rounds: &[LOOK_AROUND, STORE, &[TEXT], NOTE],
        write_units: 11.0,
        dynamodb_bytes: [9_000, 2_000],
        vonage_bytes: [420, 350],
        ..CREATED
    };
    costs(&laptop, "create: one way, notify", with_text, create_one_way(&laptop, 15, true)).await;
    // A day later the hold is still long enough; another day later it has to become longer.
    laptop.advance(86_400);
    let again = Cost { write_units: 10.0, dynamodb_bytes: [8_500, 1_500], ..CREATED };
    costs(&laptop, "create: one way, next day", again, create_one_way(&laptop, 17, false)).await;
    laptop.advance(86_400);
    let longer = Cost {
        rounds: &[LOOK_AROUND, &["PutItem"], STORE_WITH_LINE_AND_MARK],
        write_units: 13.0,
        dynamodb_bytes: [11_000, 2_500],
        ..CREATED
    };
    costs(&laptop, "create: one way, longer", longer, create_one_way(&laptop, 19, false)).await;
}

#[tokio::test]
async fn one_way_call_costs_half_read_unit_both_ways() {
    let laptop = laptop().await;
    let conversation = create_one_way(&laptop, 1, false).await;
    let connected = costs(&laptop, "answer: one way", ONE_LOOK, call(&laptop, RIDER, dials(&conversation))).await;
    let url = format!("{}/webhooks/event/{}", laptop.stack.gateway_url, text(&conversation, "/id"));
    assert_eq!((&connected[1]["action"], &connected[1]["eventUrl"]), (&json!("connect"), &json!([url])));
    let mask = text(&conversation, "/participants/0/masked_by");
    let refused = costs(&laptop, "answer: receives only", ONE_LOOK, call(&laptop, DRIVER, mask)).await;
    assert_eq!(refused.as_array().unwrap().len(), 1, "{refused}");
    let event = json!({"from": mask, "to": DRIVER, "status": "answered", "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356",
                       "timestamp": format!("{:.3}", laptop.clock.now()), "direction": "outbound",
                       "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"});
    let path = format!("/webhooks/event/{}", text(&conversation, "/id"));
    let merged = Cost { dynamodb_bytes: [4_500, 4_000], ..ANSWERED };
    let send = async || laptop.signed_post(&path, &event.to_string()).await.status;
    assert_eq!(costs(&laptop, "event: one way", merged, send()).await, 204);
}

#[tokio::test]
async fn get_and_end_take_two_round_trips() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    for _ in 0..3 {
        laptop.call(json!({"from": RIDER, "to": dials(&conversation)})).await;
    }
    // The calls and the texts. The second round tells if the numbers of an active conversation are lost, and who wants no texts.
    let rounds: &[&[&str]] = &[&["Query", "Query"], &["BatchGetItem"]];
    let read = Cost { rounds, read_units: 6.0, dynamodb_bytes: [3_500, 8_000], ..NOTHING };
    let calls = costs(&laptop, "get: three calls", read, laptop.get(&path(&conversation))).await.body["calls"].clone();
    assert_eq!(calls.as_array().unwrap().len(), 3);
    let end = Cost {
        rounds: &[&["GetItem"], &["TransactWriteItems"]],
        read_units: 1.0,
        // The conversation, two routes, and two items of the journal.
        write_units: 10.0,
        dynamodb_bytes: [5_000, 2_000],
        ..NOTHING
    };
    let ended = costs(&laptop, "end", end, laptop.delete(&path(&conversation))).await;
    assert_eq!(ended.body["state"], "ended");
    let again = Cost { rounds: &[&["GetItem"]], read_units: 1.0, dynamodb_bytes: [1_000, 2_000], ..NOTHING };
    costs(&laptop, "end: again", again, laptop.delete(&path(&conversation))).await;
}

#[tokio::test]
async fn page_of_texts_takes_one_round_trip() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    for _ in 0..3 {
        laptop.advance(1);
        laptop.text(json!({"from": RIDER, "to": dials(&conversation), "text": "Hello"})).await;
    }
    let page = Cost { rounds: &[&["GetItem", "Query"]], read_units: 2.0, dynamodb_bytes: [2_500, 6_000], ..NOTHING };
    let texts = format!("{}/texts?limit=2", path(&conversation));
    let texts = costs(&laptop, "texts: a page", page, laptop.get(&texts)).await;
    assert_eq!(texts.body["texts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn list_takes_two_round_trips_and_one_for_numbers_and_usage() {
    let laptop = Laptop::builder().numbers("GB", 6).start().await;
    for other in 2..7 {
        let mut order = order(1, false);
        order["participants"][1]["number"] = json!(format!("+4477009000{other:02}"));
        assert_eq!(laptop.post("/conversations", &order).await.status, 201);
    }
    let list = Cost {
        rounds: &[&["Query"], &["BatchGetItem"], &["BatchGetItem"]],
        read_units: 11.0,
        dynamodb_bytes: [5_000, 9_000],
        ..NOTHING
    };
    let listed = costs(&laptop, "list: five", list, laptop.get("/conversations?number=%2B447700900001")).await;
    assert_eq!(listed.body["conversations"].as_array().unwrap().len(), 5);
    let nobody = Cost { rounds: &[&["Query"]], read_units: 1.0, dynamodb_bytes: [1_200, 1_000], ..NOTHING };
    costs(&laptop, "list: nobody", nobody, laptop.get("/conversations?number=%2B447700900099")).await;
}

#[tokio::test]
async fn lists_without_a_phone_cost_a_creation_six_to_ten_units() {
    let laptop = Laptop::builder().env(&[("LIST_CONVERSATIONS", "on")]).numbers("GB", 2).start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    for scope in ["", "/t/acme"] {
        assert_eq!(laptop.post(&format!("{scope}/conversations"), &order(1, false)).await.status, 201);
    }
    // Two units each for the list of all, and for those of both numbers.
    let listed = Cost { write_units: 18.0, dynamodb_bytes: [9_500, 1_500], ..CREATED };
    assert_eq!(costs(&laptop, "create: listed", listed, create(&laptop, 3, false, None)).await, 201);
    let mut with_reference = order(5, false);
    with_reference["reference"] = json!("ride-42");
    let create = async |scope: &str, body: &Value| laptop.post(&format!("{scope}/conversations"), body).await.status;
    let cost = Cost { write_units: 20.0, dynamodb_bytes: [10_500, 1_500], ..CREATED };
    assert_eq!(costs(&laptop, "create: listed, reference", cost, create("", &with_reference)).await, 201);
    let of_tenant = Cost {
        rounds: &[&["GetItem", "GetItem", "Query", "Query"], STORE],
        read_units: 4.0,
        write_units: 22.0,
        dynamodb_bytes: [12_000, 3_000],
        ..NOTHING
    };
    let created = create("/t/acme", &with_reference);
    assert_eq!(costs(&laptop, "create: listed, tenant", of_tenant, created).await, 201);
    // All four parts, or the one of a reference.
    let rounds: &[&[&str]] = &[&["Query", "Query", "Query", "Query"], &["BatchGetItem"], &["BatchGetItem"]];
    let five = Cost { rounds, read_units: 13.0, dynamodb_bytes: [8_000, 11_000], ..NOTHING };
    let all = costs(&laptop, "list: all, five", five, laptop.get("/conversations")).await;
    assert_eq!(all.body["conversations"].as_array().unwrap().len(), 5);
    let rounds: &[&[&str]] = &[&["Query"], &["BatchGetItem"], &["BatchGetItem"]];
    let two = Cost { rounds, read_units: 7.0, dynamodb_bytes: [4_000, 5_000], ..NOTHING };
    let of_reference =
        costs(&laptop, "list: reference, two", two, laptop.get("/conversations?reference=ride-42")).await;
    assert_eq!(of_reference.body["conversations"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn update_costs_one_read_and_one_transaction() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    let change = async |body: Value| assert_eq!(laptop.patch(&path(&conversation), &body).await.status, 200);
    // Another end moves in the lists of both phones too.
    let shorter = Cost {
        rounds: &[&["GetItem"], &["TransactWriteItems"]],
        read_units: 1.0,
        write_units: 10.0,
        dynamodb_bytes: [5_000, 2_000],
        ..NOTHING
    };
    costs(&laptop, "patch: shorter", shorter, change(json!({"expires_in": 3600}))).await;
    // A longer conversation can raise the peak usage of both callers.
    let longer = Cost {
        rounds: &[&["GetItem"], &["TransactWriteItems"], &["GetItem", "Query", "Query"], PART, &["UpdateItem"]],
        read_units: 5.0,
        write_units: 11.0,
        dynamodb_bytes: [10_500, 5_000],
        ..NOTHING
    };
    costs(&laptop, "patch: longer", longer, change(json!({"expires_in": 7200}))).await;
    let stale = Cost { rounds: &[&["GetItem"]], read_units: 1.0, dynamodb_bytes: [1_000, 2_000], ..NOTHING };
    let request = laptop.request(reqwest::Method::PATCH, &path(&conversation)).header("if-match", "\"0\"");
    let refused = laptop.answer(request.body(r#"{"expires_in": 600}"#));
    assert_eq!(costs(&laptop, "patch: stale", stale, refused).await.status, 412);
    let phone = Cost {
        rounds: &[&["GetItem"], &["GetItem", "Query"], &["TransactWriteItems"], &["GetItem", "Query", "Query"]],
        read_units: 6.0,
        write_units: 14.0,
        dynamodb_bytes: [14_000, 5_500],
        ..NOTHING
    };
    let new_phone = json!({"participants": [null, {"number": "+44 7700 900009"}]});
    costs(&laptop, "patch: phone", phone, change(new_phone)).await;
}

#[tokio::test]
async fn idle_schedule_asks_vonage_twice_and_writes_nothing() {
    let laptop = laptop().await;
    laptop.create().await;
    laptop.run_schedule().await;
    let traffic = &laptop.stack.traffic;
    traffic.watch();
    let report = laptop.run_schedule().await;
    let exchanges = traffic.take();
    assert_eq!((&report["application"], &report["rented"]), (&json!([]), &json!([])), "{report}");
    let asked = exchanges.iter().filter(|exchange| exchange.service == Service::Vonage);
    let application = format!("/v2/applications/{}", local::stack::account::APPLICATION_ID);
    assert_eq!(asked.map(|exchange| exchange.name.as_str()).collect::<Vec<_>>(), [&application, "/account/numbers"]);
    let [dynamodb, vonage] = [Service::Dynamodb, Service::Vonage].map(|service| Usage::of(service, &exchanges));
    println!("{:36} {dynamodb:?} {vonage:?}", "schedule of the numbers");
    assert_eq!((dynamodb.requests, dynamodb.read_units, dynamodb.write_units), (22, 22.0, 0.0));
    for (usage, limit) in [(dynamodb, [22_000, 12_000]), (vonage, [500, 2_000])] {
        assert!(usage.bytes_out <= limit[0] && usage.bytes_in <= limit[1], "{usage:?}");
    }
    // The first run of a day reads the whole table too.
    laptop.stack.run_erasure_schedule().await.unwrap();
    let rounds: &[&[&str]] = &[&["Query"], &["Query"], &["GetItem"], &["Query", "Query", "Query", "Query"]];
    let erasures = Cost { rounds, read_units: 7.0, dynamodb_bytes: [9_000, 3_500], ..NOTHING };
    costs(&laptop, "schedule of erasures", erasures, laptop.stack.run_erasure_schedule()).await.unwrap();
}

#[tokio::test]
async fn masked_call_costs_sum_of_its_requests() {
    // A slow machine is no failure.
    let patient = ["DYNAMODB_TIME_LIMIT_MS", "VONAGE_TIME_LIMIT_MS"].map(|name| (name.to_owned(), "20000".to_owned()));
    let counted = MaskedCall::count(Options { environment: patient.into(), ..Options::default() }).await.unwrap();
    assert_eq!(counted.events, 8, "four of each leg");
    let units = |exchanges: &[Exchange]| {
        let usage = Usage::of(Service::Dynamodb, exchanges);
        (usage.requests, usage.read_units, usage.write_units)
    };
    assert_eq!(units(&counted.creation), (5, 3.0, 13.0));
    assert_eq!(units(&counted.call), (1 + 2 * 8 + 2, 0.5 + 8.0 + 2.0, 7.0 + 4.0), "an answer and its events");
    assert_eq!(units(&counted.end), (2, 1.0, 10.0));
    let vonage = Usage::of(Service::Vonage, counted.exchanges());
    assert_eq!((vonage.requests, vonage.read_units), (2, 0.0), "two texts");
}
