//! The reads of a route. For a call: eventually consistent first, and consistent if the first result could be out of date and
//! would change the answer. For an event: consistent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde_json::{Value, json};
use shared::config::Environment;
use shared::domain::route::Destination;
use shared::store::{Store, StoreError};
use tokio::time::Instant;

use crate::{DRIVER, LIFETIME, QUARANTINE, RIDER, after, now, phone, virtual_number};

/// The result of a read, and its duration.
type Found = (Option<Value>, Duration);

/// A table with prepared answers. Further requests get no answer.
#[derive(Debug, Clone, Default)]
struct Wire {
    answers: Arc<Mutex<VecDeque<Found>>>,
    /// True for each read that was consistent.
    consistent: Arc<Mutex<Vec<bool>>>,
}

impl Wire {
    /// Returns a store whose reads find these items one after the other.
    async fn finding(items: impl IntoIterator<Item = Option<Value>>) -> (Self, Store) {
        Self::answering(items.into_iter().map(|item| (item, Duration::ZERO))).await
    }

    async fn answering(answers: impl IntoIterator<Item = Found>) -> (Self, Store) {
        let wire = Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() };
        let variables = ["TABLE_NAME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "test"));
        let environment: Environment = variables.into_iter().chain([("AWS_REGION", "eu-west-2")]).collect();
        let store = Store::connect_over(wire.clone(), &environment, Store::TIME_LIMIT_OF_A_CALL).unwrap();
        (wire, store)
    }

    fn consistent(&self) -> Vec<bool> {
        self.consistent.lock().unwrap().clone()
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        assert_eq!(request.headers().get("x-amz-target"), Some("DynamoDB_20120810.GetItem"));
        let request: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        self.consistent.lock().unwrap().push(request["ConsistentRead"] == true);
        let answer = self.answers.lock().unwrap().pop_front();
        HttpConnectorFuture::new(async {
            let Some((item, delay)) = answer else { return std::future::pending().await };
            tokio::time::sleep(delay).await;
            let answer = item.map_or_else(|| json!({}), |item| json!({"Item": item}));
            Ok(HttpResponse::new(200.try_into().unwrap(), answer.to_string().into()))
        })
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

const FIRST: &str = "01M81PZXZPCX9PBRT5SWKY25Z7";
const NEXT: &str = "01M81PZXZPCX9PBRT5SWKY25Z8";

/// Returns the rider's route in a conversation from second `since` to second `end`.
fn route(conversation: &str, since: i64, end: i64) -> Option<Value> {
    let second = |second: i64| json!({"N": after(second).as_second().to_string()});
    let number = |number: u32| json!({"N": number.to_string()});
    Some(json!({
        "conversation": {"S": conversation}, "side": {"S": "A"}, "phone": number(0), "since": second(since),
        "connect_to": {"S": DRIVER}, "present_as": {"S": virtual_number(2).as_str()},
        "limits": {"M": {"max_call_seconds": number(60), "ring_seconds": number(20)}},
        "expires_at": second(end), "quarantined_until": second(end + QUARANTINE),
    }))
}

/// Returns its tombstone after the conversation was erased.
fn erased(conversation: &str, since: i64, end: i64) -> Option<Value> {
    let route = route(conversation, since, end)?;
    let member = |name: &str| route[name].clone();
    Some(json!({
        "erased": member("conversation"), "since": member("since"), "expires_at": member("expires_at"),
        "quarantined_until": member("quarantined_until"),
    }))
}

async fn destination(store: &Store, second: i64) -> Destination {
    store.destination(&phone(RIDER), &virtual_number(1), after(second)).await.unwrap()
}

fn reached(destination: &Destination) -> String {
    match destination {
        Destination::Participant { conversation, connect_to, .. } => {
            assert_eq!(connect_to.expose(), DRIVER);
            conversation.to_string()
        }
        other => panic!("{other:?}"),
    }
}

const LIVE: i64 = 10;
const QUARANTINED: i64 = LIFETIME + 10;
const OVER: i64 = LIFETIME + QUARANTINE;

#[tokio::test]
async fn connected_call_is_one_eventually_consistent_read() {
    let (wire, store) = Wire::finding([route(FIRST, 0, LIFETIME)]).await;
    assert_eq!(reached(&destination(&store, LIVE).await), FIRST);
    assert_eq!(wire.consistent(), [false]);
}

#[tokio::test]
async fn call_is_refused_only_after_consistent_read() {
    for (found, second) in [
        (None, LIVE),
        (route(FIRST, 0, LIFETIME), QUARANTINED),
        (route(FIRST, 0, LIFETIME), OVER),
        (erased(FIRST, 0, LIFETIME), LIVE),
        (erased(FIRST, 0, LIFETIME), OVER),
    ] {
        let (wire, store) = Wire::finding([found.clone(), found.clone()]).await;
        let ended = found.is_some() && second != OVER;
        match destination(&store, second).await {
            Destination::Ended(conversation) if ended => assert_eq!(conversation.to_string(), FIRST),
            Destination::Nobody if !ended => {}
            other => panic!("{found:?} at {second}: {other:?}"),
        }
        assert_eq!(wire.consistent(), [false, true], "{found:?} at {second}");
    }
}

#[tokio::test]
async fn call_to_new_conversation_is_connected_after_stale_read() {
    let next = || route(NEXT, OVER, OVER + LIFETIME);
    for found in [None, route(FIRST, 0, LIFETIME), erased(FIRST, 0, LIFETIME)] {
        let (wire, store) = Wire::finding([found.clone(), next()]).await;
        assert_eq!(reached(&destination(&store, OVER).await), NEXT, "{found:?}");
        assert_eq!(wire.consistent(), [false, true]);
    }
}

#[tokio::test]
async fn other_spelling_is_read_only_if_first_read_does_not_connect() {
    let call = async |found: Vec<Option<Value>>, second: i64| {
        let (wire, store) = Wire::finding(found).await;
        let caller = phone("541123456789");
        let found = store.destination(&caller, &virtual_number(1), after(second)).await.unwrap();
        (found, wire.consistent())
    };
    let (live, read) = call(vec![route(FIRST, 0, LIFETIME)], LIVE).await;
    assert_eq!((reached(&live).as_str(), read), (FIRST, vec![false]));
    for found in [vec![None, None, route(FIRST, 0, LIFETIME)], vec![None, route(NEXT, 0, 5), route(FIRST, 0, LIFETIME)]]
    {
        let (under_other_spelling, read) = call(found, LIVE).await;
        assert_eq!((reached(&under_other_spelling).as_str(), read), (FIRST, vec![false, true, true]));
    }
    let (ended, read) = call(vec![None, None, route(FIRST, 0, LIFETIME)], QUARANTINED).await;
    assert!(matches!(ended, Destination::Ended(conversation) if conversation.to_string() == FIRST));
    assert_eq!(read, [false, true, true]);
    assert_eq!(call(vec![None, None, None], LIVE).await.0, Destination::Nobody);
}

/// Returns the conversation of an event at `second`.
async fn owner(store: &Store, second: i64) -> Option<String> {
    let held = store.key_owner_at(&phone(RIDER), &virtual_number(1), after(second)).await.unwrap();
    held.and_then(|holder| holder.conversation()).map(|id| id.to_string())
}

#[tokio::test]
async fn event_is_one_consistent_read() {
    let (first, next) = (|| route(FIRST, 0, LIFETIME), || route(NEXT, OVER, OVER + LIFETIME));
    for (found, second, expected) in [
        (first(), LIVE, Some(FIRST)),
        (first(), QUARANTINED, Some(FIRST)),
        (erased(FIRST, 0, LIFETIME), QUARANTINED, Some(FIRST)),
        (None, LIVE, None),
        (first(), OVER, None),
        (next(), OVER - 1, None),
        (next(), OVER, Some(NEXT)),
    ] {
        let (wire, store) = Wire::finding([found]).await;
        assert_eq!(owner(&store, second).await.as_deref(), expected);
        assert_eq!(wire.consistent(), [true]);
    }
}

#[tokio::test(start_paused = true)]
async fn both_reads_share_time_limit_of_one() {
    let limit = Store::TIME_LIMIT_OF_A_CALL;
    let nearly = |share: f32| limit.mul_f32(share);
    // Each attempt alone is within the time limit; both together are not.
    let slow = [(None, nearly(0.35)), (None, nearly(0.35))];
    let (_, store) = Wire::answering(slow.clone()).await;
    let (began, caller, dialled) = (Instant::now(), phone(RIDER), virtual_number(1));
    assert_eq!(store.destination(&caller, &dialled, now()).await.unwrap(), Destination::Nobody);
    assert!(began.elapsed() >= nearly(0.7));
    // The first read gets no answer, and its repetition a late one.
    let hanging = (None, limit * 2);
    let (wire, store) = Wire::answering([hanging].into_iter().chain(slow)).await;
    let began = Instant::now();
    let failed = store.destination(&caller, &dialled, now()).await;
    assert!(matches!(&failed, Err(StoreError::NoAnswer(why)) if why == "timed out"), "{failed:?}");
    assert!(began.elapsed() <= limit + Duration::from_millis(1), "{:?}", began.elapsed());
    assert_eq!(wire.consistent(), [false, false, true]);
}
