//! A table that is slow but works: each of its answers takes 50, 200 or 400 ms. The functions have the time that Lambda
//! gives them. The tests use tokio's paused time, so a slow machine does not matter.

use std::sync::Arc;
use std::time::Duration;

use answer_webhook::AnswerWebhook;
use create_conversation::CreateConversation;
use end_conversation::EndConversation;
use event_webhook::EventWebhook;
use get_conversation::GetConversation;
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Context, LambdaEvent, RequestExt};
use provision_numbers::ProvisionNumbers;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::edge::function::{HttpFunction, ScheduledFunction, answer_event};
use shared::xray::Tracer;
use testkit::{DRIVER, Laptop, RIDER, string, text};
use tokio::time::Instant;
use update_conversation::UpdateConversation;

/// Monthly rent of a British number that can send text messages, in EUR.
const RENT: Decimal = Decimal::from_parts(125, 0, 0, false, 2);

/// A clock that follows tokio's time.
struct VirtualClock {
    start: Timestamp,
    began: Instant,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.start + SignedDuration::try_from(self.began.elapsed()).unwrap()
    }
}

/// The answer of a function, and the time that it took.
#[derive(Debug)]
struct Answered {
    status: u16,
    body: Value,
    took: Duration,
}

/// A stack whose table answers each request late.
async fn slow_laptop(milliseconds: u64) -> Laptop {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let fault = json!({"kind": "delay", "milliseconds": milliseconds});
    let rule = json!({"operation": "*", "times": 1_000_000, "fault": fault});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
    laptop
}

/// Starts a function with its own time limits of requests. Returns it with the context of an event that it has `limit` for.
fn start<F: HttpFunction>(laptop: &Laptop, limit: Duration) -> (F, Context) {
    let clock = VirtualClock { start: Timestamp::now(), began: Instant::now() };
    let mut context = Context::default();
    let deadline = clock.start + SignedDuration::try_from(limit).unwrap();
    context.deadline = deadline.as_millisecond().try_into().unwrap();
    let own = [("DYNAMODB_TIME_LIMIT_MS".to_owned(), String::new())];
    (F::start(&laptop.stack.environment.clone().with(own), Arc::new(clock)).unwrap(), context)
}

/// Time that the template gives to a function.
fn limit_of(function: &str) -> Duration {
    let template = testkit::repository::template();
    let own = &template["Resources"][function]["Properties"]["Timeout"];
    let seconds = own.as_u64().or(template["Globals"]["Function"]["Timeout"].as_u64());
    Duration::from_secs(seconds.unwrap())
}

/// Sends a request to a function, which Lambda ends after `limit`.
async fn ask<F: HttpFunction>(laptop: &Laptop, limit: Duration, event: &Value) -> Answered {
    let (function, context) = start::<F>(laptop, limit);
    let request = lambda_http::request::from_str(&event.to_string()).unwrap().with_lambda_context(context);
    let began = Instant::now();
    let answer = tokio::time::timeout(limit, function.answer(request)).await;
    let answer = answer.unwrap_or_else(|_| panic!("{} is ended by Lambda after {limit:?}", F::NAME));
    let body = serde_json::from_slice(answer.body()).unwrap_or_default();
    Answered { status: answer.status().as_u16(), body, took: began.elapsed() }
}

/// Runs the schedule of a function, which Lambda ends after `limit`. Returns its report.
async fn tick<F: ScheduledFunction>(laptop: &Laptop, limit: Duration) -> Value {
    let (function, context) = start::<F>(laptop, limit);
    let event = serde_json::value::to_raw_value(&json!({"source": "aws.events"})).unwrap();
    let event = LambdaEvent::new(event, context);
    let report = tokio::time::timeout(limit, answer_event(&function, event, &Tracer::default())).await;
    report.unwrap_or_else(|_| panic!("{} is ended by Lambda after {limit:?}", F::NAME)).unwrap()
}

/// Returns the example of an event for this route key, with another body and path.
fn event(name: &str, path: [(&str, &str); 1], body: Option<&Value>) -> Value {
    let file = testkit::repository::root().join(format!("events/{name}.json"));
    let mut event: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let [(parameter, value)] = path;
    if !parameter.is_empty() {
        event["pathParameters"] = json!({parameter: value});
    }
    if let Some(body) = body {
        event["body"] = json!(body.to_string());
    }
    if event["rawPath"].as_str().unwrap().starts_with("/webhooks/") {
        let token = testkit::signature(event["body"].as_str(), Timestamp::now());
        event["headers"]["authorization"] = json!(format!("Bearer {token}"));
    }
    event
}

const NO_PATH: [(&str, &str); 1] = [("", "")];

fn creation(key: &str) -> Value {
    let body = json!({"participants": [{"number": format!("+{RIDER}")}, {"number": format!("+{DRIVER}")}]});
    let mut event = event("create-conversation", NO_PATH, Some(&body));
    event["headers"]["idempotency-key"] = json!(key);
    event
}

fn call(from: &str, to: &str) -> Value {
    let body = json!({"from": from, "to": to, "uuid": "u", "conversation_uuid": "CON-1", "endpoint_type": "phone"});
    event("answer-webhook-rider-calls", NO_PATH, Some(&body))
}

/// Number of text messages to each participant.
async fn texts(laptop: &Laptop) -> [usize; 2] {
    [laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()]
}

#[tokio::test(start_paused = true)]
async fn every_function_does_its_work_with_a_slow_table() {
    for milliseconds in [50, 200, 400] {
        let laptop = slow_laptop(milliseconds).await;
        let what = format!("{milliseconds} ms");
        let limit = limit_of("CreateConversation");
        let created = ask::<CreateConversation>(&laptop, limit, &creation("ride-42")).await;
        assert_eq!(created.status, 201, "{what}: {created:?}");
        let id = string(&created.body["id"]);
        let path = [("id", id.as_str())];
        let again = ask::<CreateConversation>(&laptop, limit, &creation("ride-42")).await;
        assert_eq!((again.status, &again.body["id"]), (200, &json!(id)), "{what}");
        assert_eq!(texts(&laptop).await, [1, 1], "{what}");

        let dials = text(&created.body, "/participants/0/dials");
        let answer = ask::<AnswerWebhook>(&laptop, limit_of("AnswerWebhook"), &call(RIDER, dials)).await;
        assert_eq!((answer.status, &answer.body[1]["action"]), (200, &json!("connect")), "{what}: {answer:?}");
        assert!(answer.took < Duration::from_secs(1), "{what}: {:?}", answer.took);
        // A caller is turned away after two reads. If they take too long, Vonage asks the fallback.
        let stranger = ask::<AnswerWebhook>(&laptop, limit_of("AnswerWebhook"), &call("447700900099", dials)).await;
        assert_eq!(stranger.status, if milliseconds < 400 { 200 } else { 503 }, "{what}: {stranger:?}");
        assert!(stranger.took < Duration::from_secs(1), "{what}: {:?}", stranger.took);
        // By the virtual clock the conversation began some seconds later than by the machine's.
        let timestamp = (Timestamp::now() + SignedDuration::from_secs(30)).to_string();
        let status = json!({"from": RIDER, "to": dials, "uuid": "u", "conversation_uuid": "CON-1", "status": "started",
                            "direction": "inbound", "timestamp": timestamp});
        let event_of_call = event("event-webhook-started", NO_PATH, Some(&status));
        let merged = ask::<EventWebhook>(&laptop, limit_of("EventWebhook"), &event_of_call).await;
        assert_eq!(merged.status, 204, "{what}: {merged:?}");

        let limit = limit_of("GetConversation");
        let read = ask::<GetConversation>(&laptop, limit, &event("get-conversation", path, None)).await;
        assert_eq!((read.status, read.body["calls"].as_array().map(Vec::len)), (200, Some(1)), "{what}: {read:?}");
        let new_phone = json!({"participants": [null, {"number": "+447700900009"}]});
        for change in [json!({"expires_in": 7200}), new_phone] {
            let event = event("update-conversation", path, Some(&change));
            let changed = ask::<UpdateConversation>(&laptop, limit_of("UpdateConversation"), &event).await;
            assert_eq!(changed.status, 200, "{what}: {changed:?}");
        }

        let limit = limit_of("ProvisionNumbers");
        let order = event("provision-numbers", NO_PATH, Some(&json!({"country": "GB", "count": 6})));
        let ordered = ask::<ProvisionNumbers>(&laptop, limit, &order).await;
        assert_eq!((ordered.status, &ordered.body["ready"]), (200, &json!(6)), "{what}: {ordered:?}");
        let shown = ask::<ProvisionNumbers>(&laptop, limit, &event("provision-numbers-show", NO_PATH, None)).await;
        assert_eq!(shown.status, 200, "{what}: {shown:?}");
        let drain = event("provision-numbers-drain", [("number", "447451000001")], None);
        assert_eq!(ask::<ProvisionNumbers>(&laptop, limit, &drain).await.status, 200, "{what}");
        let report = tick::<ProvisionNumbers>(&laptop, limit).await;
        assert_eq!((&report["failed"], &report["shortfall"]), (&Value::Null, &json!([])), "{what}: {report}");

        let limit = limit_of("EndConversation");
        for (name, status) in [("end-conversation", 200), ("end-conversation-erase", 204)] {
            let ended = ask::<EndConversation>(&laptop, limit, &event(name, path, None)).await;
            assert_eq!(ended.status, status, "{what}: {ended:?}");
        }
        assert_eq!(tick::<EndConversation>(&laptop, limit).await["failed"], Value::Null, "{what}");
        laptop.no_more_faults().await;
        laptop.advance(60);
        assert!(laptop.table().await.conversations.is_empty(), "{what}");
        assert_eq!(laptop.owned_numbers().await.len(), 6, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn creation_out_of_time_leaves_nothing_half_done() {
    let mut statuses = Vec::new();
    for tenths in (4..=40).step_by(4) {
        let limit = Duration::from_millis(100 * tenths);
        let laptop = slow_laptop(400).await;
        let created = ask::<CreateConversation>(&laptop, limit, &creation("ride-42")).await;
        assert!([201, 503].contains(&created.status), "{limit:?}: {created:?}");
        statuses.push(created.status);
        laptop.no_more_faults().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let table = laptop.table().await;
        let stored = table.conversations.len();
        assert!(stored == 1 || created.status == 503, "{limit:?}: {created:?}");
        assert_eq!((table.routes.len(), table.requests.len()), (2 * stored, stored), "{limit:?}");
        let replayed = ask::<CreateConversation>(&laptop, limit_of("CreateConversation"), &creation("ride-42")).await;
        assert_eq!(replayed.status, if stored == 1 { 200 } else { 201 }, "{limit:?}: {replayed:?}");
        for (side, texts) in texts(&laptop).await.into_iter().enumerate() {
            // Cut off while a text message was on its way, the function cannot know if it arrived.
            let state = &replayed.body["participants"][side]["notification"];
            assert!(*state == "sent" && texts == 1 || *state == "unknown" && texts <= 1, "{limit:?}: {state} {texts}");
        }
    }
    assert_eq!((statuses[0], statuses.last()), (503, Some(&201)));
}

#[tokio::test(start_paused = true)]
async fn order_out_of_time_buys_only_what_is_ordered() {
    for seconds in [1, 3, 5, 8, 12] {
        let limit = Duration::from_secs(seconds);
        let laptop = slow_laptop(400).await;
        let order = event("provision-numbers", NO_PATH, Some(&json!({"country": "GB", "count": 8})));
        let ordered = ask::<ProvisionNumbers>(&laptop, limit, &order).await;
        assert!([200, 503].contains(&ordered.status), "{limit:?}: {ordered:?}");
        laptop.no_more_faults().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        // An interrupted purchase is continued after its lease.
        laptop.advance(61);
        let spent = laptop.spent().await;
        assert!(spent <= RENT * Decimal::from(8), "{limit:?}: {spent}");
        assert_eq!(laptop.post("/numbers", &json!({"country": "GB", "count": 8})).await.status, 200);
        assert_eq!(laptop.settled_pool().await.len(), 8, "{limit:?}");
        assert_eq!(laptop.spent().await, RENT * Decimal::from(8), "{limit:?}");
    }
}
