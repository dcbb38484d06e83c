//! `POST /webhooks/event` receives the events of calls. An event may arrive twice, late and out of order.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::call::LegEvent;
use shared::domain::carrier_record::CarrierRecord;
use shared::domain::conversation::ConversationId;
use shared::domain::route::KeyOwner;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::store::{Store, StoreError};
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
                (log.conversation, log.outcome) = self.merge(&keys, &event).await?;
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
        Ok(Self { store, verifier: WebhookVerifier::new(&SignatureConfig::from_environment(env)?), clock })
    }

    /// Merges the event into its leg. Returns the conversation and the outcome.
    ///
    /// The leg's own numbers are the route key, so the answer webhook does not have to write anything. An event of an
    /// erased conversation is not stored: its leg is added to the carrier records to redact.
    async fn merge(
        &self,
        keys: &[LegKey],
        event: &LegEvent,
    ) -> Result<(Option<ConversationId>, &'static str), StoreError> {
        for key in keys {
            let owner = self.store.key_owner_at(&key.phone, &key.virtual_number, event.timestamp).await?;
            let Some(owner) = owner else { continue };
            let conversation = Some(owner.conversation());
            match owner {
                KeyOwner::Route(route) => self.store.merge_leg(&route, key.direction, event).await?,
                KeyOwner::Erased(_) => {
                    let record = CarrierRecord::of_leg(&event.uuid, key.direction);
                    self.store.request_redaction(&[record], self.clock.now()).await?;
                    return Ok((conversation, "to be redacted"));
                }
            }
            return Ok((conversation, "merged"));
        }
        Ok((None, "of no conversation"))
    }
}
