//! `POST /webhooks/event`: Vonage tells what becomes of a call. Any event may come twice, late and out of order.

use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Request, Response};
use shared::call::LegEvent;
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::http::{self, Problem};
use shared::lambda::HttpFunction;
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

    async fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::connect(env).await?,
            verifier: WebhookVerifier::new(&SignatureConfig::from_environment(env)?),
            clock,
        })
    }

    async fn handle(&self, request: Request) -> Result<Response<Body>, Problem> {
        let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.verifier.verify(authorization, Some(request.body()), self.clock.now())?;
        let event = Event::parse(request.body()).map_err(|_| Problem::malformed("The body is not a JSON object."))?;
        self.record(event).await?;
        Ok(http::empty(StatusCode::NO_CONTENT))
    }
}

impl EventWebhook {
    /// Merges the event into its leg. The leg's own numbers lead to its conversation, so the answer webhook has nothing
    /// to write.
    async fn record(&self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Leg { keys, event } => {
                for key in &keys {
                    if self.merge(key, &event).await? {
                        return Ok(());
                    }
                }
                let call = event.conversation_uuid;
                tracing::info!(
                    call.conversation_uuid = call,
                    status = event.status.as_str(),
                    "event of no conversation"
                );
            }
            Event::Other { kind, conversation_uuid } => {
                tracing::info!(call.conversation_uuid = conversation_uuid, kind, "event without a leg to merge into");
            }
        }
        Ok(())
    }

    async fn merge(&self, key: &LegKey, event: &LegEvent) -> Result<bool, StoreError> {
        let route = self.store.route(&key.phone, &key.virtual_number).await?;
        let Some(route) = route.filter(|route| route.covers(event.timestamp)) else { return Ok(false) };
        self.store.merge_leg(&route, key.direction, event).await?;
        tracing::info!(
            call.conversation_uuid = event.conversation_uuid,
            conversation.id = %route.conversation,
            status = event.status.as_str(),
            "event merged"
        );
        Ok(true)
    }
}
