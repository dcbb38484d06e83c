//! `GET|POST /webhooks/answer` returns the NCCO of an inbound call. If this function fails twice, Vonage asks
//! `fallback-webhook`.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::decision::Decision;
use shared::domain::guard::Guard;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::route::Destination;
use shared::domain::support::SupportPhone;
use shared::domain::words::Words;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Object, Problem, WhisperTokens};
use shared::edge::request_log::RequestLog;
use shared::store::Store;
use shared::vonage::event::AnswerRequest;
use shared::vonage::ncco::{self, FollowUp};
use shared::vonage::signature::WebhookVerifier;

/// The answer webhook.
pub struct AnswerWebhook {
    store: Store,
    verifier: WebhookVerifier,
    tokens: WhisperTokens,
    public_url: Option<String>,
    words: Words,
    support: Option<SupportPhone>,
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
        let (caller, dialled) = (call.caller(), call.dialled());
        if let CallerId::NotUnderstood { shape } = &caller {
            tracing::warn!(shape, "caller id not understood");
        }
        let (decision, addressee) = self.store.decide(&caller, dialled.as_ref(), now).await?;
        let decision = match &self.support {
            Some(support) => support.take(decision, &caller, dialled.as_ref()),
            None => decision,
        };
        (log.outcome, log.conversation) = (decision.outcome(), decision.conversation());
        let follow_up = self.follow_up(&request, &decision, now);
        let ncco = ncco::decided(decision, &self.words.speech_of_call(&caller, addressee.as_ref()), follow_up);
        Ok(http::json(StatusCode::OK, &ncco))
    }
}

impl AnswerWebhook {
    /// Creates the webhook with this table, and reads the rest of the configuration from `env`.
    pub fn new(store: Store, env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let signatures = SignatureConfig::from_environment(env)?;
        Ok(Self {
            store,
            verifier: WebhookVerifier::new(&signatures),
            tokens: WhisperTokens::new(&signatures),
            public_url: env.public_url()?,
            words: env.words()?,
            support: env.support_phone()?,
            clock,
        })
    }

    /// Returns the addresses for the events of the callee's leg and for what comes next, if the call needs them: if the leg's two
    /// numbers do not lead to the conversation because the callee has no route, or if it is more than a plain connection.
    fn follow_up(&self, request: &Request, decision: &Decision, now: Timestamp) -> Option<FollowUp> {
        let Decision::Routed(Destination::Participant { conversation, one_way, handling, caller, .. }) = decision
        else {
            return None;
        };
        if !one_way && handling.is_plain() {
            return None;
        }
        let Some(urls) = http::call_urls(self.public_url.as_deref(), request, *conversation) else {
            tracing::warn!("the request does not say its address, so the callee's leg has no address of its own");
            return None;
        };
        let whispers = handling.guard == Guard::Press1;
        let whisper_token = whispers.then(|| self.tokens.issue(*conversation, caller.other(), now)).flatten();
        Some(FollowUp { urls, whisper_token })
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
