//! `GET|POST /webhooks/answer` returns the NCCO of an inbound call. `GET|POST /webhooks/fallback` returns one if the answer
//! webhook failed twice. It does not read the table, so that it works when the table does not.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::route::Destination;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Object, Problem};
use shared::edge::request_log::RequestLog;
use shared::store::Store;
use shared::vonage::event::AnswerRequest;
use shared::vonage::ncco;
use shared::vonage::signature::WebhookVerifier;

/// The answer webhook.
pub struct AnswerWebhook {
    store: Store,
    verifier: WebhookVerifier,
    clock: SharedClock,
}

impl HttpFunction for AnswerWebhook {
    const NAME: &'static str = "answer-webhook";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let store = Store::connect_within(env, Store::TIME_LIMIT_OF_A_CALL)?;
        Self::new(store, env, clock)
    }

    async fn warm_up(&self) {
        self.store.warm_up().await;
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        let now = self.clock.now();
        let body = http::signed_body(&request, &self.verifier, now)?;
        let call = decode(&request, body)?;
        log.call = call.conversation_uuid();
        if request.uri().path().ends_with("/webhooks/fallback") {
            log.outcome = "asked to call again";
            return Ok(http::json(StatusCode::OK, &ncco::try_again()));
        }
        let destination = match call.route_key() {
            Some((caller, dialled)) => self.store.destination(&caller, &dialled, now).await?,
            None => Destination::Nobody,
        };
        (log.outcome, log.conversation) = match &destination {
            Destination::Participant { conversation, .. } => (RequestLog::ROUTED, Some(*conversation)),
            Destination::Ended(conversation) => ("ended", Some(*conversation)),
            Destination::Nobody if call.route_key().is_none() => ("no caller id", None),
            Destination::Nobody => (RequestLog::UNKNOWN_CALLER, None),
        };
        Ok(http::json(StatusCode::OK, &ncco::answer(destination)))
    }
}

impl AnswerWebhook {
    /// Creates the webhook with this table, and reads the rest of the configuration from `env`.
    pub fn new(store: Store, env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self { store, verifier: WebhookVerifier::new(&SignatureConfig::from_environment(env)?), clock })
    }
}

/// Decodes the call from the body of a POST or the query of a GET.
fn decode(request: &Request, body: Option<&[u8]>) -> Result<AnswerRequest, Problem> {
    let Some(body) = body else {
        let query = request.query_string_parameters_ref();
        return Ok(AnswerRequest::from_query(|name| query.and_then(|query| query.first(name))));
    };
    let Object(call) =
        serde_json::from_slice(body).map_err(|_| Problem::malformed("The body is not a JSON object."))?;
    Ok(call)
}
