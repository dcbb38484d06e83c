//! The cost of each operation: requests to DynamoDB and Vonage by round, capacity units, and bytes.

use std::sync::Arc;

use local::gateway;
use local::masked_call::MaskedCall;
use local::stack::Options;
use local::traffic::{Exchange, Service, Usage};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::edge::function::HttpFunction;
use testkit::{DRIVER, Laptop, RIDER, text};

const LOOKUP: &str = "/ni/basic/json";
const TEXT: &str = "/sms/json";

/// The highest cost of an operation.
#[derive(Debug)]
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

const ONE_LOOK: Cost<'_> = Cost { rounds: &[&["GetItem"]], read_units: 0.5, dynamodb_bytes: [1_000, 1_000], ..NOTHING };
const TWO_LOOKS: Cost<'_> =
    Cost { rounds: &[&["GetItem"], &["GetItem"]], read_units: 1.5, dynamodb_bytes: [2_000, 2_000], ..NOTHING };

#[tokio::test]
async fn call_costs_half_read_unit_and_refused_call_two_reads() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    let dialled = dials(&conversation);
    let connected = costs(&laptop, "answer: hit", ONE_LOOK, call(&laptop, RIDER, dialled)).await;
    assert_eq!(connected[1]["action"], "connect");
    costs(&laptop, "answer: miss", TWO_LOOKS, call(&laptop, "447700900099", dialled)).await;
    costs(&laptop, "answer: withheld caller", NOTHING, call(&laptop, "anonymous", dialled)).await;
    laptop.delete(&path(&conversation)).await;
    costs(&laptop, "answer: ended", TWO_LOOKS, call(&laptop, RIDER, dialled)).await;
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
    read_units: 0.5,
    write_units: 1.0,
    dynamodb_bytes: [3_000, 1_000],
    ..NOTHING
};

#[tokio::test]
async fn event_costs_one_write_and_half_read_unit() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    for status in ["started", "ringing", "answered", "human", "completed", "completed"] {
        let event = event(&laptop, &conversation, DRIVER, status);
        assert_eq!(costs(&laptop, &format!("event: {status}"), MERGED, laptop.event(&event)).await.status, 204);
    }
    let strangers = event(&laptop, &conversation, "447700900099", "started");
    costs(&laptop, "event: of no conversation", TWO_LOOKS, laptop.event(&strangers)).await;
    let of_no_leg = json!({"conversation_uuid_from": "CON-1", "conversation_uuid_to": "CON-2", "uuid": "u"});
    costs(&laptop, "event: without a leg", NOTHING, laptop.event(&of_no_leg)).await;
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

/// The reads parallel to the lookups: the routes of both callers, and the version of the ready list.
const LOOK_AROUND: &[&str] = &[LOOKUP, LOOKUP, "GetItem", "Query", "Query"];
/// The same, with the read of the idempotent request.
const LOOK_AROUND_WITH_KEY: &[&str] = &[LOOKUP, LOOKUP, "GetItem", "GetItem", "Query", "Query"];
/// The same in a new function, which does not have the ready list and the peak usage yet.
const LOOK_AROUND_COLD: &[&str] = &[LOOKUP, LOOKUP, "GetItem", "Query", "Query", "Query"];
const LOOK_AROUND_COLD_WITH_KEY: &[&str] = &[LOOKUP, LOOKUP, "GetItem", "GetItem", "Query", "Query", "Query"];
const STORE: &[&str] = &["TransactWriteItems"];
const TELL: &[&str] = &[TEXT, TEXT];
const NOTE: &[&str] = &["UpdateItem"];

/// Two lookups and two text messages.
const LOOKUP_BYTES: [u64; 2] = [500, 800];
const LOOKUP_AND_TEXT_BYTES: [u64; 2] = [1_300, 1_500];

const CREATED: Cost<'_> = Cost {
    rounds: &[LOOK_AROUND, STORE],
    read_units: 3.0,
    write_units: 6.0,
    dynamodb_bytes: [6_000, 1_500],
    vonage_bytes: LOOKUP_BYTES,
};

#[tokio::test]
async fn create_takes_two_round_trips_to_dynamodb() {
    let laptop = laptop().await;
    // The first conversation in a country raises the peak usage. Few do.
    let first = Cost { rounds: &[LOOK_AROUND_COLD, STORE, NOTE], read_units: 4.0, write_units: 7.0, ..CREATED };
    let first = Cost { dynamodb_bytes: [8_000, 2_500], ..first };
    assert_eq!(costs(&laptop, "create: the first", first, create(&laptop, 1, false, None)).await, 201);
    assert_eq!(costs(&laptop, "create", CREATED, create(&laptop, 3, false, None)).await, 201);
    // The outcome of text messages is stored after them.
    let with_texts = Cost {
        rounds: &[LOOK_AROUND, STORE, TELL, NOTE],
        write_units: 7.0,
        dynamodb_bytes: [8_000, 2_000],
        vonage_bytes: LOOKUP_AND_TEXT_BYTES,
        ..CREATED
    };
    assert_eq!(costs(&laptop, "create: notify", with_texts, create(&laptop, 5, true, None)).await, 201);
}

#[tokio::test]
async fn idempotent_create_costs_one_read_item_and_write_more() {
    let laptop = laptop().await;
    assert_eq!(create(&laptop, 1, false, None).await, 201);
    let silent = Cost {
        rounds: &[LOOK_AROUND_WITH_KEY, STORE],
        read_units: 4.0,
        write_units: 8.0,
        dynamodb_bytes: [7_500, 2_000],
        ..CREATED
    };
    assert_eq!(costs(&laptop, "create: key", silent, create(&laptop, 3, false, Some("k"))).await, 201);
    let with_texts = Cost {
        rounds: &[LOOK_AROUND_WITH_KEY, STORE, NOTE, TELL, NOTE],
        read_units: 4.0,
        write_units: 10.0,
        dynamodb_bytes: [10_500, 2_500],
        vonage_bytes: LOOKUP_AND_TEXT_BYTES,
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
async fn new_function_reads_more_in_same_round_trips() {
    let laptop = laptop().await;
    assert_eq!(create(&laptop, 1, false, None).await, 201);
    let silent =
        Cost { rounds: &[LOOK_AROUND_COLD, STORE], read_units: 4.0, dynamodb_bytes: [7_000, 2_000], ..CREATED };
    assert_eq!(costs(&laptop, "create: cold", silent, create_cold(&laptop, 3, false, None)).await, 201);
    let with_texts = Cost {
        rounds: &[LOOK_AROUND_COLD_WITH_KEY, STORE, NOTE, TELL, NOTE],
        read_units: 5.0,
        write_units: 10.0,
        dynamodb_bytes: [11_500, 3_000],
        vonage_bytes: LOOKUP_AND_TEXT_BYTES,
    };
    assert_eq!(
        costs(&laptop, "create: cold, key, notify", with_texts, create_cold(&laptop, 5, true, Some("k"))).await,
        201
    );
}

#[tokio::test]
async fn warmed_up_function_creates_at_usual_cost() {
    let laptop = laptop().await;
    assert_eq!(create(&laptop, 1, false, None).await, 201);
    let clock = Arc::new(laptop.clock.clone());
    let function = create_conversation::CreateConversation::start(&laptop.stack.environment, clock).unwrap();
    function.warm_up().await;
    let mut event: Value = serde_json::from_str(include_str!("../../../events/create-conversation.json")).unwrap();
    event["body"] = json!(order(3, false).to_string());
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let created = costs(&laptop, "create: warmed up", CREATED, function.answer(request)).await;
    assert_eq!(created.status(), 201);
}

#[tokio::test]
async fn get_takes_one_query_and_end_two_round_trips() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    for _ in 0..3 {
        laptop.call(json!({"from": RIDER, "to": dials(&conversation)})).await;
    }
    let read = Cost { rounds: &[&["Query"]], read_units: 1.0, dynamodb_bytes: [1_000, 6_000], ..NOTHING };
    let calls = costs(&laptop, "get: three calls", read, laptop.get(&path(&conversation))).await.body["calls"].clone();
    assert_eq!(calls.as_array().unwrap().len(), 3);
    let end = Cost {
        rounds: &[&["GetItem"], &["TransactWriteItems"]],
        read_units: 1.0,
        write_units: 6.0,
        dynamodb_bytes: [3_500, 2_000],
        ..NOTHING
    };
    let ended = costs(&laptop, "end", end, laptop.delete(&path(&conversation))).await;
    assert_eq!(ended.body["state"], "ended");
    let again = Cost { rounds: &[&["GetItem"]], read_units: 1.0, dynamodb_bytes: [1_000, 2_000], ..NOTHING };
    costs(&laptop, "end: again", again, laptop.delete(&path(&conversation))).await;
}

#[tokio::test]
async fn update_costs_one_read_and_one_transaction() {
    let laptop = laptop().await;
    let conversation = laptop.create().await;
    let change = async |body: Value| assert_eq!(laptop.patch(&path(&conversation), &body).await.status, 200);
    let shorter = Cost {
        rounds: &[&["GetItem"], &["TransactWriteItems"]],
        read_units: 1.0,
        write_units: 6.0,
        dynamodb_bytes: [3_500, 2_000],
        ..NOTHING
    };
    costs(&laptop, "patch: shorter", shorter, change(json!({"expires_in": 3600}))).await;
    // A longer conversation changes its legs, if it has any, and can raise the peak usage of both callers.
    let longer = Cost {
        rounds: &[&["GetItem"], &["TransactWriteItems"], &["Query"], &["Query", "Query", "Query"]],
        read_units: 5.0,
        write_units: 6.0,
        dynamodb_bytes: [7_500, 4_500],
        ..NOTHING
    };
    costs(&laptop, "patch: longer", longer, change(json!({"expires_in": 7200}))).await;
    let phone = Cost {
        rounds: &[&["GetItem"], &[LOOKUP], &["Query"], &["TransactWriteItems"], &["Query", "Query", "Query"]],
        read_units: 5.0,
        write_units: 8.0,
        dynamodb_bytes: [9_000, 4_500],
        vonage_bytes: [300, 400],
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
    assert_eq!((dynamodb.requests, dynamodb.read_units, dynamodb.write_units), (13, 13.0, 0.0));
    for (usage, limit) in [(dynamodb, [13_000, 9_000]), (vonage, [500, 1_500])] {
        assert!(usage.bytes_out <= limit[0] && usage.bytes_in <= limit[1], "{usage:?}");
    }
    let erasures =
        Cost { rounds: &[&["Query"], &["Query"]], read_units: 2.0, dynamodb_bytes: [2_000, 1_000], ..NOTHING };
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
    assert_eq!(units(&counted.creation), (5, 3.0, 7.0));
    assert_eq!(units(&counted.call), (1 + 2 * 8, 0.5 + 0.5 * 8.0, 8.0), "an answer and its events");
    assert_eq!(units(&counted.end), (2, 1.0, 6.0));
    let vonage = Usage::of(Service::Vonage, counted.exchanges());
    assert_eq!((vonage.requests, vonage.read_units), (4, 0.0), "two lookups and two texts");
}
