//! `GET|POST /webhooks/answer`: an inbound call asks what to do. `GET|POST /webhooks/fallback`: Vonage asks here when the
//! answer webhook failed twice; it touches nothing that could fail as well.

use lambda_http::http::{Method, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Durations, Environment, SignatureConfig};
use shared::http::{self, Problem};
use shared::lambda::HttpFunction;
use shared::ncco::{self, CallLimits};
use shared::route::{Destination, destination};
use shared::store::{Store, StoreError};
use shared::vonage::event::AnswerRequest;
use shared::vonage::signature::WebhookVerifier;

/// The answer webhook.
pub struct AnswerWebhook {
    store: Store,
    verifier: WebhookVerifier,
    limits: CallLimits,
    clock: SharedClock,
}

impl HttpFunction for AnswerWebhook {
    const NAME: &'static str = "answer-webhook";

    async fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::connect(env).await?,
            verifier: WebhookVerifier::new(&SignatureConfig::from_environment(env)?),
            limits: Durations::from_environment(env)?.call_limits(),
            clock,
        })
    }

    async fn handle(&self, request: Request) -> Result<Response<Body>, Problem> {
        if request.uri().path().ends_with("/webhooks/fallback") {
            return Ok(http::json(StatusCode::OK, &ncco::try_again()));
        }
        self.verify(&request)?;
        let destination = self.destination(&decode(&request)?).await?;
        Ok(http::json(StatusCode::OK, &ncco::answer(destination, self.limits)))
    }
}

impl AnswerWebhook {
    fn verify(&self, request: &Request) -> Result<(), Problem> {
        let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let body = (request.method() == Method::POST).then(|| request.body().as_ref());
        Ok(self.verifier.verify(authorization, body, self.clock.now())?)
    }

    async fn destination(&self, call: &AnswerRequest) -> Result<Destination, StoreError> {
        let route = match call.key() {
            Some((caller, dialled)) => self.store.route(&caller, &dialled).await?,
            None => None,
        };
        let destination = destination(route, self.clock.now());
        let (outcome, conversation) = match &destination {
            Destination::Participant { conversation, .. } => ("connected", Some(conversation)),
            Destination::Ended(conversation) => ("ended", Some(conversation)),
            Destination::Nobody if call.key().is_none() => ("no caller id", None),
            Destination::Nobody => ("unknown caller", None),
        };
        let conversation = conversation.map(tracing::field::display);
        tracing::info!(call.conversation_uuid, conversation.id = conversation, outcome, "call answered");
        Ok(destination)
    }
}

fn decode(request: &Request) -> Result<AnswerRequest, Problem> {
    if request.method() == Method::GET {
        let query = request.query_string_parameters_ref();
        return Ok(AnswerRequest::from_query(|name| query.and_then(|query| query.first(name))));
    }
    serde_json::from_slice(request.body()).map_err(|_| Problem::malformed("The body is not a JSON object."))
}
