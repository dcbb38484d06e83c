//! `POST /webhooks/event` receives the events of calls. An event may arrive twice, late and out of order.
//!
//! `POST /webhooks/event/{id}` receives those of the callee's leg in a one-way conversation. The callee has no route there, so
//! the address names the conversation. The leg's two numbers still have to be those of that conversation.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::call::{Direction, LegEvent};
use shared::domain::conversation::ConversationId;
use shared::domain::phone::caller_id::CallerId;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::store::{LegNumbers, Recorded, Store, StoreError};
use shared::vonage::event::{Event, LegKey};
use shared::vonage::signature::WebhookVerifier;

/// The event webhook.
pub struct EventWebhook {
    store: Store,
    verifier: WebhookVerifier,
    clock: SharedClock,
}

impl HttpFunction for EventWebhook {
    const NAME: &'static str = "event-webhook";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        Self::new(Store::connect(env)?, env, clock)
    }

    async fn warm_up(&self) {
        self.store.warm_up().await;
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        let body = http::signed_body(&request, &self.verifier, self.clock.now())?.unwrap_or_default();
        match Event::parse(body).map_err(|_| Problem::malformed("The body is not a JSON object."))? {
            Event::Leg { keys, event } => {
                log.call = Some(event.conversation_uuid.clone());
                (log.conversation, log.outcome) = self.record(named(&request)?, &keys, &event).await?;
            }
            Event::Anonymous { caller, conversation_uuid } => {
                log.call = conversation_uuid;
                log.outcome = RequestLog::HIDDEN_CALLER;
                if let CallerId::NotUnderstood { shape } = caller {
                    tracing::warn!(shape, "caller id not understood");
                    log.outcome = RequestLog::UNCLEAR_CALLER;
                }
            }
            Event::Other { kind, conversation_uuid } => {
                tracing::info!(kind, "event without a leg ignored");
                log.call = conversation_uuid;
                log.outcome = "without a leg";
            }
        }
        Ok(http::empty(StatusCode::NO_CONTENT))
    }
}

impl EventWebhook {
    /// Creates the webhook with this table, and reads the rest of the configuration from `env`.
    pub fn new(store: Store, env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self {
            store: store.with_journal(env)?,
            verifier: WebhookVerifier::new(&SignatureConfig::from_environment(env)?),
            clock,
        })
    }

    /// Records the event. Returns the conversation and the outcome.
    ///
    /// The leg's own numbers are the route key, or the conversation is `named`, so the answer webhook does not have to write
    /// anything. An event of an erased conversation is not stored: its leg is added to the carrier records to redact.
    async fn record(
        &self,
        named: Option<ConversationId>,
        keys: &[LegKey],
        event: &LegEvent,
    ) -> Result<(Option<ConversationId>, &'static str), StoreError> {
        let now = self.clock.now();
        // An event without a time belongs to whom the numbers belong now: they change hands only after a quarantine.
        let time = event.timestamp.unwrap_or(now);
        for LegKey { phone, virtual_number, direction } in keys {
            let named = named.filter(|_| *direction == Direction::Outbound);
            let numbers = LegNumbers { phone, virtual_number, direction: *direction, named };
            match self.store.record_leg_event(numbers, event, time, now).await? {
                Recorded::Merged(conversation) => return Ok((Some(conversation), "merged")),
                Recorded::ToRedact(conversation) => return Ok((conversation, "to be redacted")),
                Recorded::OfNone => {}
            }
        }
        Ok((None, "of no conversation"))
    }
}

/// Returns the conversation that the path names, if it names one.
fn named(request: &Request) -> Result<Option<ConversationId>, Problem> {
    let names_one = request.path_parameters_ref().is_some_and(|parameters| parameters.first("id").is_some());
    names_one.then(|| http::conversation_id(request)).transpose()
}
