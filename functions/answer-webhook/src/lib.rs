//! `GET|POST /webhooks/answer` returns the NCCO of an inbound call. If this function fails twice, Vonage asks
//! `fallback-webhook`.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::conversation::ConversationId;
use shared::domain::phone::caller_id::CallerId;
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
    public_url: Option<String>,
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
        let ncco = match (call.caller(), call.dialled()) {
            (CallerId::Phone(caller), Some(dialled)) => {
                let destination = self.store.destination(&caller.into(), &dialled, now).await?;
                (log.outcome, log.conversation) = outcome(&destination);
                let event_url = self.event_url(&request, &destination);
                ncco::answer(destination, event_url)
            }
            (CallerId::Phone(_), None) => {
                log.outcome = "no dialled number";
                ncco::answer(Destination::Nobody, None)
            }
            (CallerId::Hidden, _) => {
                log.outcome = RequestLog::HIDDEN_CALLER;
                ncco::hidden_caller()
            }
            (CallerId::NotUnderstood { shape }, _) => {
                tracing::warn!(shape, "caller id not understood");
                log.outcome = RequestLog::UNCLEAR_CALLER;
                ncco::unclear_caller()
            }
        };
        Ok(http::json(StatusCode::OK, &ncco))
    }
}

impl AnswerWebhook {
    /// Creates the webhook with this table, and reads the rest of the configuration from `env`.
    pub fn new(store: Store, env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let verifier = WebhookVerifier::new(&SignatureConfig::from_environment(env)?);
        Ok(Self { store, verifier, public_url: env.public_url()?, clock })
    }

    /// Returns the address for the events of the callee's leg, if its two numbers do not lead to the conversation because the
    /// callee has no route.
    fn event_url(&self, request: &Request, destination: &Destination) -> Option<String> {
        let Destination::Participant { conversation, one_way: true, .. } = destination else { return None };
        let url = http::event_url(self.public_url.as_deref(), request, *conversation);
        if url.is_none() {
            tracing::warn!("the request does not say its address, so the callee's leg will not be recorded");
        }
        url
    }
}

/// Returns the outcome for the log, and the conversation.
fn outcome(destination: &Destination) -> (&'static str, Option<ConversationId>) {
    match destination {
        Destination::Participant { conversation, .. } => (RequestLog::ROUTED, Some(*conversation)),
        Destination::Exhausted(conversation) => ("limit reached", Some(*conversation)),
        Destination::Ended(conversation) => ("ended", Some(*conversation)),
        Destination::ReceiveOnly => ("receives only", None),
        Destination::Replaced(conversation) => ("number replaced", Some(*conversation)),
        Destination::Nobody => (RequestLog::UNKNOWN_CALLER, None),
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
