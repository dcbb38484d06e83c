//! Delivers events to the deployment's own backend by HTTP, and `POST /events/replay` has events delivered once more.
//!
//! A rule of the event bus puts the events into a queue, from which Lambda takes them. The function has no table and no secret but the
//! one that signs the events, and nobody waits for it: a slow backend delays events and nothing else.

mod batch;

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::clock::{self, SharedClock};
use shared::config::{ConfigError, Environment};
use shared::delivery_queue::DeliveryQueue;
use shared::domain::conversation::ConversationId;
use shared::domain::replay::{NotAReplay, Replay, ReplayName};
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::edge::http::{self, Problem, Query, TenantClaim};
use shared::edge::request_log::RequestLog;
use shared::event_archive::EventArchive;
use shared::event_receiver::EventReceiver;
use shared::service::deliver_events::EventDeliverer;

use crate::batch::Batch;

/// The function that delivers events.
pub struct DeliverEvent {
    /// The claim that says which requests a token may send.
    tenant_claim: Option<TenantClaim>,
    /// None if events are not delivered.
    delivery: Option<Delivery>,
    clock: SharedClock,
}

struct Delivery {
    deliverer: EventDeliverer,
    archive: EventArchive,
}

/// The body of a request for a replay.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayBody {
    conversation: Option<ConversationId>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// A replay that has begun.
#[derive(Serialize)]
struct ReplayView {
    replay: ReplayName,
    conversation: Option<ConversationId>,
    from: Timestamp,
    until: Timestamp,
}

impl HttpFunction for DeliverEvent {
    const NAME: &'static str = "deliver-event";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let delivery = match EventReceiver::from_environment(env)? {
            Some(receiver) => Some(Delivery {
                deliverer: EventDeliverer {
                    receiver,
                    queue: DeliveryQueue::from_environment(env)?,
                    clock: clock.clone(),
                },
                archive: EventArchive::from_environment(env)?,
            }),
            None => None,
        };
        Ok(Self { tenant_claim: TenantClaim::from_environment(env), delivery, clock })
    }

    fn tenant_claim(&self) -> Option<&TenantClaim> {
        self.tenant_claim.as_ref()
    }

    async fn warm_up(&self) {
        // Nobody waits for it.
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        Query::refuse(&request)?;
        let ReplayBody { conversation, from, until } = http::read_json(&request)?;
        let archive = &self.delivery.as_ref().ok_or_else(webhook_off)?.archive;
        let now = self.clock.now();
        let replay = Replay::new(conversation, from, until, now).map_err(not_a_replay)?;
        let name = ReplayName::generate(conversation, now);
        archive.start(&name, replay).await.map_err(|error| not_started().because(error))?;
        (log.outcome, log.conversation) = ("replay started", conversation);
        let [from, until] = [replay.from, replay.until].map(clock::whole_second);
        Ok(http::json(StatusCode::ACCEPTED, &ReplayView { replay: name, conversation, from, until }))
    }
}

impl ScheduledFunction for DeliverEvent {
    /// Delivers the events of a batch. The report is what Lambda expects: the messages that have to come again.
    ///
    /// Source: AWS Lambda Developer Guide, "Implementing partial batch responses".
    async fn tick(&self, event: Value, _: Option<Timestamp>) -> Value {
        let Ok(batch) = Batch::deserialize(&event) else {
            tracing::error!("an event is no batch of messages, and comes again as a whole");
            return json!({"batchItemFailures": [{"itemIdentifier": ""}]});
        };
        let coming_again = match &self.delivery {
            Some(Delivery { deliverer, .. }) => deliverer.deliver(batch.events()).await,
            // The queue is about to go: its deployment has no URL any more.
            None => batch.ids(),
        };
        let failures: Vec<_> = coming_again.into_iter().map(|id| json!({"itemIdentifier": id})).collect();
        json!({"batchItemFailures": failures})
    }
}

fn not_a_replay(error: NotAReplay) -> Problem {
    match error {
        NotAReplay::Unlimited => Problem::malformed(format!("The body {error}.")),
        NotAReplay::Backwards => Problem::invalid("from", format!("It {error}.")),
        NotAReplay::InFuture | NotAReplay::TooOld => Problem::invalid("until", format!("It {error}.")),
    }
}

/// Creates the problem 409 of a deployment that does not deliver events.
fn webhook_off() -> Problem {
    let detail = "This deployment does not deliver events. To turn it on, add webhook_secret to the secret, and deploy with WebhookUrl.";
    Problem::new(StatusCode::CONFLICT, "webhook-off", "Delivery of events is off", detail)
}

/// Creates the problem 503 of a replay that EventBridge did not start.
fn not_started() -> Problem {
    let detail = "EventBridge did not start the replay. Ten may run at the same time. Send the request again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "replay-not-started", "Replay not started", detail).retry_after(30)
}
