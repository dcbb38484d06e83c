//! A stand-in for the queue between the bus and the backend: the rule that fills it, Lambda's polling of it, and the part of SQS's
//! API that the function uses. It keeps its messages in memory.
//!
//! Source: Amazon SQS API Reference, "ChangeMessageVisibility" and "SendMessage"; AWS Lambda Developer Guide, "Using Lambda with
//! Amazon SQS".

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::SharedClock;
use tokio::sync::watch;
use uuid::Uuid;

use super::{DeliveryFunction, message};

/// The path of the stand-in for SQS.
pub const PATH: &str = "/sqs";

/// The URL of the queue, as SQS names it. It is a name only: the requests go to the endpoint.
pub const URL: &str = "https://sqs.us-east-1.amazonaws.com/000000000000/maskline-deliveries";

/// The URL of the dead letters.
pub const DEAD_LETTERS_URL: &str = "https://sqs.us-east-1.amazonaws.com/000000000000/maskline-given-up-deliveries";

/// Number of messages that a function gets at once.
const BATCH: usize = 10;

/// Time for which a message is hidden while a function has it. The template's queue has the same.
pub const HIDDEN_FOR: SignedDuration = SignedDuration::from_mins(3);

/// The number of times that a message comes before it becomes a dead letter without the function. The template's queue has the same.
const MOST_RECEIVES: u32 = 100;

/// A queue with its dead letters.
#[derive(Clone)]
pub struct Queue(Arc<Contents>);

struct Contents {
    messages: Mutex<VecDeque<Message>>,
    dead_letters: Mutex<Vec<Value>>,
    arrived: watch::Sender<()>,
    clock: SharedClock,
}

#[derive(Clone)]
struct Message {
    id: String,
    body: String,
    queued_at: Timestamp,
    visible_at: Timestamp,
    receives: u32,
    /// The handle of the last time that it came.
    receipt: String,
}

impl Queue {
    /// Creates an empty queue.
    pub fn new(clock: SharedClock) -> Self {
        let arrived = watch::Sender::new(());
        Self(Arc::new(Contents { messages: Mutex::default(), dead_letters: Mutex::default(), arrived, clock }))
    }

    /// Puts an event into the queue, as the rule of the bus does.
    pub(super) fn put(&self, event: &Value) {
        let now = self.0.clock.now();
        let (id, body) = (Uuid::new_v4().to_string(), event.to_string());
        let message = Message { id, body, queued_at: now, visible_at: now, receives: 0, receipt: String::new() };
        lock(&self.0.messages).push_back(message);
        self.0.arrived.send_replace(());
    }

    /// Returns what the function gets: the event of a batch of visible messages, hidden from now on. `None` if none is visible.
    pub(crate) fn take(&self) -> Option<Value> {
        let (now, mut records) = (self.0.clock.now(), Vec::new());
        let mut messages = lock(&self.0.messages);
        let (worn_out, kept) = std::mem::take(&mut *messages)
            .into_iter()
            .partition(|message: &Message| message.visible_at <= now && message.receives == MOST_RECEIVES);
        *messages = kept;
        let worn_out: VecDeque<Message> = worn_out;
        lock(&self.0.dead_letters).extend(worn_out.iter().map(|message| event(&message.body)));
        for message in messages.iter_mut().filter(|message| message.visible_at <= now).take(BATCH) {
            message.receives += 1;
            message.visible_at = now + HIDDEN_FOR;
            message.receipt = Uuid::new_v4().to_string();
            records.push(json!({
                "messageId": message.id,
                "receiptHandle": message.receipt,
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": message.receives.to_string(),
                    "SentTimestamp": message.queued_at.as_millisecond().to_string(),
                },
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:maskline-deliveries",
                "awsRegion": "us-east-1",
            }));
        }
        (!records.is_empty()).then(|| json!({"Records": records}))
    }

    /// Deletes the messages of a batch that the function has dealt with, as its report says.
    pub(crate) fn settle(&self, batch: &Value, report: &Value) {
        // An empty id stands for all of them.
        let failed = |id: &Value| {
            let failures = report["batchItemFailures"].as_array();
            let is_meant = |failure: &Value| {
                ["", id.as_str().unwrap_or_default()].iter().any(|id| failure["itemIdentifier"] == *id)
            };
            failures.is_none_or(|failures| failures.iter().any(is_meant))
        };
        let records = batch["Records"].as_array().into_iter().flatten().map(|record| &record["messageId"]);
        let done: Vec<_> = records.filter(|id| !failed(id)).collect();
        lock(&self.0.messages).retain(|message| !done.iter().any(|id| **id == message.id));
    }

    /// Returns the events that wait for the backend.
    pub fn waiting(&self) -> Vec<Value> {
        lock(&self.0.messages).iter().map(|message| event(&message.body)).collect()
    }

    /// Returns the events that were given up.
    pub fn dead_letters(&self) -> Vec<Value> {
        lock(&self.0.dead_letters).clone()
    }

    /// Returns what changes when an event comes into the queue.
    pub(crate) fn arrivals(&self) -> watch::Receiver<()> {
        self.0.arrived.subscribe()
    }

    /// Hides a message. `Err` if nobody has it by this handle.
    fn hide(&self, receipt: &str, seconds: i64) -> Result<(), &'static str> {
        let visible_at = self.0.clock.now() + SignedDuration::from_secs(seconds);
        let mut messages = lock(&self.0.messages);
        let message = messages.iter_mut().find(|message| message.receipt == receipt && !receipt.is_empty());
        message.ok_or("ReceiptHandleIsInvalid")?.visible_at = visible_at;
        Ok(())
    }
}

fn event(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_default()
}

/// A stand-in for Lambda's polling of a queue.
pub struct Deliveries {
    queue: Queue,
    function: DeliveryFunction,
}

impl Deliveries {
    /// Creates what gives the messages of `queue` to `function`.
    pub fn new(queue: Queue, function: DeliveryFunction) -> Self {
        Self { queue, function }
    }

    /// Returns the queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Gives all visible messages to the function, in batches.
    ///
    /// # Errors
    /// The function failed. The messages that it had come again.
    pub async fn run(&self) -> Result<(), lambda_http::Error> {
        while let Some(batch) = self.queue.take() {
            let report = self.function.run(&batch).await?;
            self.queue.settle(&batch, &report);
        }
        Ok(())
    }
}

/// The part of SQS's API that the function uses.
pub fn router(queue: Queue) -> Router {
    Router::new().route(&format!("{PATH}/"), post(answer).with_state(queue))
}

async fn answer(State(queue): State<Queue>, headers: HeaderMap, body: Bytes) -> Response<axum::body::Body> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !header("authorization").contains("/sqs/aws4_request") {
        return message(StatusCode::FORBIDDEN, "Missing Authentication Token");
    }
    let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let done = match (header("x-amz-target"), body["QueueUrl"].as_str()) {
        ("AmazonSQS.ChangeMessageVisibility", Some(URL)) => {
            let receipt = body["ReceiptHandle"].as_str().unwrap_or_default();
            let seconds = body["VisibilityTimeout"].as_i64().filter(|seconds| (0..=43_200).contains(seconds));
            seconds.ok_or("InvalidParameterValue").and_then(|seconds| queue.hide(receipt, seconds))
        }
        ("AmazonSQS.SendMessage", Some(DEAD_LETTERS_URL)) => {
            lock(&queue.0.dead_letters).push(event(body["MessageBody"].as_str().unwrap_or_default()));
            Ok(())
        }
        _ => Err("InvalidAction"),
    };
    match done {
        Ok(()) => message(StatusCode::OK, "done"),
        Err(error) => message(StatusCode::BAD_REQUEST, error),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
