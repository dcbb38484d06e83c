//! Events for the backend: the table's stream, through the filters and templates of the template's pipes.

use std::collections::{BTreeMap, BTreeSet};

use local::gateway::pipe::pipes;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::repository::root;
use testkit::{Answer, DRIVER, EVENT_SCHEMAS, Laptop, RIDER, check_event, conversation, text};

const NEW_PHONE: &str = "447700900009";

/// The table's stream since it was enabled.
pub struct Stream<'a> {
    laptop: &'a Laptop,
    arn: String,
}

impl<'a> Stream<'a> {
    pub async fn open(laptop: &'a Laptop) -> Self {
        let specification = json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"});
        let order = json!({"TableName": "maskline", "StreamSpecification": specification});
        let table = ask(laptop, "DynamoDB_20120810.UpdateTable", order).await;
        Self { laptop, arn: text(&table, "/TableDescription/LatestStreamArn").to_owned() }
    }

    /// Returns all records so far.
    async fn records(&self) -> Vec<Value> {
        let stream = self.ask("DescribeStream", json!({"StreamArn": self.arn})).await;
        let mut records = Vec::new();
        for shard in stream["StreamDescription"]["Shards"].as_array().unwrap() {
            let from = json!({"StreamArn": self.arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
            let mut iterator = self.ask("GetShardIterator", from).await["ShardIterator"].clone();
            loop {
                let mut page = self.ask("GetRecords", json!({"ShardIterator": iterator})).await;
                match page["Records"].take() {
                    Value::Array(read) if !read.is_empty() => records.extend(read),
                    _ => break,
                }
                iterator = page["NextShardIterator"].take();
            }
        }
        records
    }

    async fn ask(&self, operation: &str, body: Value) -> Value {
        ask(self.laptop, &format!("DynamoDBStreams_20120810.{operation}"), body).await
    }
}

async fn ask(laptop: &Laptop, target: &str, body: Value) -> Value {
    let answer = Answer::to(laptop.dynamodb_request(target, &body)).await;
    assert_eq!(answer.status, 200, "{target}: {answer:?}");
    answer.body
}

/// Returns the details of the events that the two pipes make of all records so far: of conversations, and of legs.
pub async fn events(stream: &Stream<'_>) -> (Vec<Value>, Vec<Value>) {
    let (mut conversations, mut legs) = (Vec::new(), Vec::new());
    for record in stream.records().await {
        let events: Vec<Value> = pipes().unwrap().iter().filter_map(|pipe| pipe.event(&record).unwrap()).collect();
        assert!(events.len() <= 1, "one change caused two events: {events:?}");
        for event in events {
            assert_eq!(event["source"], "maskline");
            check_event(&event);
            for number in [RIDER, DRIVER, NEW_PHONE, "447451000001", "447451000002"] {
                assert!(!event.to_string().contains(&number[2..]), "a phone number: {event}");
            }
            match text(&event, "/detail-type") {
                "Conversation changed" => conversations.push(event["detail"].clone()),
                "Leg finished" => legs.push(event["detail"].clone()),
                other => panic!("{other}"),
            }
        }
    }
    (conversations, legs)
}

/// Returns the seconds since 1970 of an RFC 3339 time, as DynamoDB writes a number.
fn seconds(time: &Value) -> String {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second().to_string()
}

#[tokio::test]
async fn each_change_of_conversation_is_one_event() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let stream = Stream::open(&laptop).await;
    let mut order = conversation();
    order["reference"] = json!("ride-42");
    let created = laptop.post("/conversations", &order).await.body;
    let path = format!("/conversations/{}", text(&created, "/id"));
    laptop.advance(60);
    let prolonged = laptop.patch(&path, &json!({"expires_in": 172_800})).await.body;
    let moved = laptop.patch(&path, &json!({"participants": [null, {"number": format!("+{NEW_PHONE}")}]})).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    laptop.advance(60);
    let ended = laptop.delete(&path).await.body;
    laptop.delete(&path).await;

    let (events, legs) = events(&stream).await;
    assert_eq!(legs, Vec::<Value>::new());
    let sent = |event: &Value| {
        let member = |pointer: &str| text(event, pointer).to_owned();
        [member("/change"), member("/revision"), member("/notifications/0"), member("/notifications/1")]
    };
    let sent: Vec<_> = events.iter().map(sent).collect();
    let expected = [
        ["INSERT", "0", "pending", "pending"],
        ["MODIFY", "0", "sent", "sent"],
        ["MODIFY", "1", "sent", "sent"],
        ["MODIFY", "2", "sent", "off"],
        ["MODIFY", "3", "sent", "off"],
    ];
    assert_eq!(sent, expected.map(|event| event.map(str::to_owned)));
    for event in &events {
        assert_eq!((&event["id"], &event["reference"]), (&created["id"], &json!("ride-42")));
        assert_eq!(text(event, "/created_at"), seconds(&created["created_at"]));
    }
    let expires: Vec<_> = events.iter().map(|event| text(event, "/expires_at")).collect();
    assert_eq!(expires[..2], [seconds(&created["expires_at"]), seconds(&created["expires_at"])]);
    assert!(expires[2..].iter().all(|expires| *expires == seconds(&prolonged["expires_at"])), "{expires:?}");
    let nothing = json!({"revision": "", "expires_at": "", "ended_at": "", "limit_reached_at": "", "paused_until": "", "blocked": ""});
    assert_eq!(events[0]["before"], nothing);
    assert_eq!(text(&events[2], "/before/expires_at"), seconds(&created["expires_at"]));
    let ends: Vec<_> = events.iter().filter(|event| event["ended_at"] != "").collect();
    assert_eq!(ends.len(), 1, "an end is one event");
    assert_eq!(text(ends[0], "/ended_at"), seconds(&ended["ended_at"]));
    assert_eq!(ends[0]["before"]["ended_at"], "");
    let sequence = events.iter().map(|event| text(event, "/sequence").parse::<u128>().unwrap());
    assert!(sequence.is_sorted_by(|one, next| one < next), "later changes have greater sequences");
}

#[tokio::test]
async fn reached_limit_is_one_event_and_counting_is_none() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    (order["max_calls"], order["notify"]) = (json!(2), json!(false));
    let created = laptop.post("/conversations", &order).await.body;
    let stream = Stream::open(&laptop).await;
    for _ in 0..3 {
        laptop.call(json!({"from": RIDER, "to": created["participants"][0]["dials"]})).await;
    }
    let path = format!("/conversations/{}", text(&created, "/id"));
    let reached = laptop.get(&path).await.body;
    assert_eq!(laptop.patch(&path, &json!({"max_calls": 3})).await.status, 200);
    let [at_limit, raised] = events(&stream).await.0.try_into().unwrap();
    let times = |event: &Value| ["/limit_reached_at", "/before/limit_reached_at"].map(|at| text(event, at).to_owned());
    let at = seconds(&reached["limit_reached_at"]);
    assert_eq!((times(&at_limit), times(&raised)), ([at.clone(), String::new()], [String::new(), at]));
    assert_eq!((&at_limit["revision"], &raised["revision"]), (&json!("1"), &json!("2")));
}

#[tokio::test]
async fn block_and_its_undoing_are_one_event_each() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let stream = Stream::open(&laptop).await;
    let seen = events(&stream).await.0.len();
    let path = format!("/conversations/{}", text(&created, "/id"));
    for blocked in [json!("a"), json!("a"), json!("both"), Value::Null, Value::Null] {
        assert_eq!(laptop.patch(&path, &json!({"blocked": blocked})).await.status, 200);
    }
    let events = events(&stream).await.0.split_off(seen);
    let words = |event: &Value| ["/before/blocked", "/blocked"].map(|at| text(event, at).to_owned());
    let words: Vec<_> = events.iter().map(words).collect();
    assert_eq!(words, [["", "a"], ["a", "both"], ["both", ""]].map(|words| words.map(str::to_owned)));
}

#[tokio::test]
async fn press_of_the_safety_key_is_one_event() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    (order["safety_key"], order["notify"]) = (json!(true), json!(false));
    let created = laptop.post("/conversations", &order).await.body;
    let stream = Stream::open(&laptop).await;
    let call = json!({"from": RIDER, "to": created["participants"][0]["dials"], "presses_during_call": ["*9*9"],
                      "events": "twice"});
    laptop.call(call).await;
    let shown = laptop.get(&format!("/conversations/{}", text(&created, "/id"))).await.body;
    let events = events(&stream).await.0;
    let last = events.last().unwrap();
    assert_eq!((&events[0]["before"]["blocked"], &events[0]["blocked"]), (&json!(""), &json!("b")));
    assert_eq!(last["safety_key_pressed_at"], json!([seconds(&shown["safety_key_pressed_at"][0]), ""]));
    assert!(events.len() <= 2, "one for each press: {events:?}");
}

#[tokio::test]
async fn stop_and_start_of_texts_are_one_event_each() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    let stream = Stream::open(&laptop).await;
    let say = async |words: &str| {
        laptop.text(json!({"from": RIDER, "to": created["participants"][0]["dials"], "text": words})).await;
        laptop.advance(1);
    };
    say("STOP").await;
    let shown = laptop.get(&format!("/conversations/{}", text(&created, "/id"))).await.body;
    say("stop").await;
    say("START").await;
    say("hello").await;
    let [stopped, started] = events(&stream).await.0.try_into().unwrap();
    let since = seconds(&shown["participants"][0]["texts_stopped_at"]);
    assert_eq!((&stopped["change"], &stopped["texts_stopped_at"]), (&json!("MODIFY"), &json!([since, ""])));
    assert_eq!(started["texts_stopped_at"], json!(["", ""]));
}

#[tokio::test]
async fn erasure_is_end_event_and_tombstones_are_none() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"]})).await;
    let stream = Stream::open(&laptop).await;
    let before = events(&stream).await;
    let path = format!("/conversations/{}?erase=true", text(&conversation, "/id"));
    for _ in 0..2 {
        assert_eq!(laptop.delete(&path).await.status, 204);
    }
    let (sent, legs) = events(&stream).await;
    assert_eq!((sent.len(), legs.len()), (before.0.len() + 1, before.1.len()));
    let erased = &sent[sent.len() - 1];
    assert_eq!((&erased["id"], &erased["before"]["ended_at"]), (&conversation["id"], &json!("")));
    assert!(erased["erased_at"] != "" && erased["ended_at"] == erased["erased_at"], "{erased}");
}

#[tokio::test]
async fn conversation_without_reference_and_texts_is_an_event() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let stream = Stream::open(&laptop).await;
    let mut order = conversation();
    order["notify"] = json!(false);
    let created = laptop.post("/conversations", &order).await.body;
    let [event] = events(&stream).await.0.try_into().unwrap();
    assert_eq!((&event["id"], &event["reference"]), (&created["id"], &json!("")));
    assert_eq!(event["notifications"], json!(["off", "off"]));
}

#[tokio::test]
async fn failed_text_is_an_event_and_so_is_its_replay() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let stream = Stream::open(&laptop).await;
    // It contains characters that JSON escapes, and a real number.
    let refused = json!({"status": "9", "error-text": "Quota \"exceeded\" for 447700900001"});
    let refused = json!({"message-count": "1", "messages": [refused]});
    laptop.faults("/sms/json", 2, json!({"kind": "status", "status": 200, "body": refused})).await;
    let create = async || laptop.post_with_key("ride-42", &conversation()).await.body;
    let created = create().await;
    assert_eq!(created["participants"][0]["notification"], "failed", "{created}");
    assert_eq!(create().await["participants"][0]["notification"], "sent");

    let sent = events(&stream).await.0;
    let notifications: Vec<_> = sent.iter().map(|event| event["notifications"].to_string()).collect();
    // Before a text message is sent again, its outcome is set to unknown. Before the first time this is no event.
    let expected = [["pending", "pending"], ["", ""], ["", ""], ["sent", "sent"]];
    assert_eq!(notifications, expected.map(|both| json!(both).to_string()));
}

#[tokio::test]
async fn ended_leg_is_one_event_for_any_order_and_repetition() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let stream = Stream::open(&laptop).await;
    let dialled = &created["participants"][0]["dials"];
    let mut expected = BTreeSet::new();
    for events in ["in_order", "reversed", "twice"] {
        for callee in ["answers", "busy", "rejects", "unanswered", "unreachable"] {
            let order = json!({"from": RIDER, "to": dialled, "callee": callee, "events": events, "talk_seconds": 42});
            laptop.call(order).await;
        }
    }
    let read = laptop.get(&format!("/conversations/{}", text(&created, "/id"))).await.body;
    for call in read["calls"].as_array().unwrap() {
        for leg in call["legs"].as_array().unwrap() {
            expected.insert([&call["conversation_uuid"], &leg["uuid"], &leg["status"]].map(Value::to_string));
        }
    }
    assert_eq!(expected.len(), 30);

    let (conversations, legs) = events(&stream).await;
    assert_eq!(conversations, Vec::<Value>::new());
    let sent = legs.iter().map(|leg| ["conversation_uuid", "uuid", "ended"].map(|member| leg[member].to_string()));
    let sent: Vec<_> = sent.collect();
    assert_eq!(sent.len(), expected.len(), "each once");
    assert_eq!(sent.into_iter().collect::<BTreeSet<_>>(), expected);
    for leg in &legs {
        assert_eq!(leg["conversation"], created["id"]);
        let side = if leg["direction"] == "inbound" { "A" } else { "B" };
        assert_eq!(leg["side"], side, "{leg}");
    }
    let talked =
        legs.iter().filter(|leg| leg["direction"] == "outbound" && leg["duration"] == "42").collect::<Vec<_>>();
    assert_eq!(talked.len(), 3);
    for leg in talked {
        assert!(text(leg, "/price").parse::<f64>().unwrap() > 0.0, "{leg}");
    }
}

#[tokio::test]
async fn other_items_cause_no_event() {
    let laptop = Laptop::start().await;
    let stream = Stream::open(&laptop).await;
    laptop.post("/numbers", &json!({"country": "GB", "count": 2})).await;
    laptop.run_schedule().await;
    laptop.send(Method::DELETE, "/numbers/447451000002", String::new()).await;
    assert!(!stream.records().await.is_empty());
    assert_eq!(events(&stream).await, (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn event_names_the_tenant_of_a_conversation() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let stream = Stream::open(&laptop).await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let own = laptop.create().await;
    let of_acme = laptop.post("/t/acme/conversations", &conversation()).await.body;
    laptop.delete(&format!("/t/acme/conversations/{}?erase=true", text(&of_acme, "/id"))).await;
    let (conversations, _) = events(&stream).await;
    let told: BTreeSet<_> = conversations.iter().map(|event| (text(event, "/id"), text(event, "/tenant"))).collect();
    assert_eq!(told, BTreeSet::from([(text(&own, "/id"), ""), (text(&of_acme, "/id"), "acme")]));
}

/// Returns the names of all members at any depth.
fn members(value: &Value, path: &str, names: &mut BTreeSet<String>) {
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        members(member, &path, names);
        names.insert(path);
    }
}

/// Returns the events that docs/events.md shows.
pub fn examples() -> Vec<Value> {
    let docs = std::fs::read_to_string(root().join("docs/events.md")).unwrap();
    let examples = docs.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap());
    let examples = examples.filter(|example| example.contains("\"source\""));
    examples.map(|example| serde_json::from_str(example).unwrap()).collect()
}

#[test]
fn examples_of_docs_and_of_schemas_are_as_the_schemas_say() {
    examples().iter().for_each(check_event);
    for (detail_type, schema) in EVENT_SCHEMAS.iter() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{detail_type}");
        let [example] = schema["examples"].as_array().unwrap().as_slice() else { panic!("{detail_type}: one example") };
        check_event(&json!({"detail-type": detail_type, "detail": example}));
    }
}

#[test]
fn each_schema_is_named_in_the_docs() {
    let docs = std::fs::read_to_string(root().join("docs/events.md")).unwrap();
    for detail_type in EVENT_SCHEMAS.keys() {
        let file = detail_type.to_lowercase().replace(' ', "-");
        assert!(docs.contains(&format!("](events/{file}.json)")), "docs/events.md does not link {file}.json");
    }
}

#[tokio::test]
async fn docs_show_events_as_they_are() {
    let examples = examples();
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let stream = Stream::open(&laptop).await;
    let created = laptop.create().await;
    let dials = text(&created, "/participants/0/dials");
    laptop.call(json!({"from": RIDER, "to": dials})).await;
    let (conversations, legs) = events(&stream).await;
    let mut order = conversation();
    order["missed_calls"] = json!(["voicemail"]);
    let with_voicemail = laptop.post("/conversations", &order).await.body;
    let dialled = text(&with_voicemail, "/participants/0/dials");
    laptop.call(json!({"from": RIDER, "to": dialled, "callee": "busy", "presses": ["2", "#"]})).await;
    laptop.stack.background_runs_finished().await;
    crate::health::fall_off(&laptop, &created).await;
    laptop.run_schedule().await;
    let taken = laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", dials)]).await;
    assert_eq!(taken.status, 200);
    laptop.run_schedule().await;
    laptop.buy_by_hand("GB", dials).await;
    laptop.run_schedule().await;
    let now_dialled = laptop.get(&format!("/conversations/{}", text(&created, "/id"))).await.body;
    let now_dialled = text(&now_dialled, "/participants/0/dials");
    assert_eq!(laptop.post(&format!("/numbers/{now_dialled}/rotate"), &json!({})).await.status, 200);
    laptop.run_schedule().await;
    let mut sent =
        BTreeMap::from([("Conversation changed", conversations[0].clone()), ("Leg finished", legs[0].clone())]);
    laptop.text(json!({"from": RIDER, "to": dialled, "text": "on my way"})).await;
    laptop.receipts(json!({})).await;
    let mut on_bus = laptop.stack.bus.events();
    // The docs show one of the events about texts. All have the same members.
    on_bus.retain(|event| event["detail-type"] != "Text relayed");
    sent.extend(on_bus.iter().map(|event| (text(event, "/detail-type"), event["detail"].clone())));
    let kinds: BTreeSet<_> = examples.iter().map(|example| text(example, "/detail-type")).collect();
    assert_eq!((examples.len(), kinds), (sent.len(), sent.keys().copied().collect()));
    for (kind, event) in sent {
        let example = examples.iter().find(|example| example["detail-type"] == kind).unwrap();
        let (mut shown, mut sent) = (BTreeSet::new(), BTreeSet::new());
        members(&example["detail"], "", &mut shown);
        members(&event, "", &mut sent);
        assert_eq!(shown, sent, "{kind}");
    }
}
