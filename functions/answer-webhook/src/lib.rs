//! `GET|POST /webhooks/answer` returns the NCCO of an inbound call. If this function fails twice, Vonage asks
//! `fallback-webhook`.
//!
//! `GET|POST /webhooks/whisper/{token}` returns the NCCO for the phone of a callee with guard.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::conversation::ConversationId;
use shared::domain::guard::Guard;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::route::Destination;
use shared::domain::words::Words;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Object, Problem, WhisperTokens};
use shared::edge::request_log::RequestLog;
use shared::store::Store;
use shared::vonage::call_steps;
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
        if let Some(token) = request.path_parameters_ref().and_then(|parameters| parameters.first("token")) {
            return self.whisper(&request, token, log).await;
        }
        let body = http::signed_body(&request, &self.verifier, now)?;
        let call = decode(&request, body)?;
        log.call = call.conversation_uuid();
        let ncco = match (call.caller(), call.dialled()) {
            (CallerId::Phone(caller), Some(dialled)) => {
                let (destination, addressee) =
                    self.store.destination_of_call(&caller.clone().into(), &dialled, now).await?;
                (log.outcome, log.conversation) = outcome(&destination);
                let follow_up = self.follow_up(&request, &destination, now);
                let speech = match addressee {
                    Some(addressee) => self.words.speech_to(&addressee),
                    None => self.words.speech(self.words.language_of_caller(&caller).as_ref()),
                };
                ncco::answer(destination, &speech, follow_up)
            }
            (CallerId::Phone(_), None) => {
                log.outcome = "no dialled number";
                ncco::answer(Destination::Nobody, &self.words.speech(None), None)
            }
            (CallerId::Hidden, _) => {
                log.outcome = RequestLog::HIDDEN_CALLER;
                ncco::hidden_caller(&self.words.speech(None))
            }
            (CallerId::NotUnderstood { shape }, _) => {
                tracing::warn!(shape, "caller id not understood");
                log.outcome = RequestLog::UNCLEAR_CALLER;
                ncco::unclear_caller(&self.words.speech(None))
            }
        };
        Ok(http::json(StatusCode::OK, &ncco))
    }
}

impl AnswerWebhook {
    /// Creates the webhook with this table, and reads the rest of the configuration from `env`.
    pub fn new(store: Store, env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let signatures = SignatureConfig::from_environment(env)?;
        let (verifier, tokens) = (WebhookVerifier::new(&signatures), WhisperTokens::new(&signatures));
        Ok(Self { store, verifier, tokens, public_url: env.public_url()?, words: env.words()?, clock })
    }

    /// Returns the addresses for the events of the callee's leg and for what comes next, if the call needs them: if the leg's two
    /// numbers do not lead to the conversation because the callee has no route, or if it is more than a plain connection.
    fn follow_up(&self, request: &Request, destination: &Destination, now: Timestamp) -> Option<FollowUp> {
        let Destination::Participant { conversation, one_way, handling, caller, .. } = destination else { return None };
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

    /// Returns what a callee with guard hears before the connection. The token stands for the signature, which may not cover the
    /// address of a GET.
    async fn whisper(&self, request: &Request, token: &str, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        let now = self.clock.now();
        let unknown = || Problem::not_found("There is no such whisper, or not any more.");
        let (id, callee) = self.tokens.read(token, now).ok_or_else(unknown)?;
        (log.outcome, log.conversation) = ("whisper", Some(id));
        let conversation = self.store.conversation(id, now).await?;
        let urls = http::call_urls(self.public_url.as_deref(), request, id);
        let ncco = match (conversation, urls) {
            (Some(conversation), Some(urls)) => call_steps::whisper(&self.words, &conversation, callee, &urls),
            // It was erased a moment ago, or nothing could take the key. The callee must not be connected unasked.
            _ => call_steps::declined(&self.words.speech(None), id),
        };
        Ok(http::json(StatusCode::OK, &ncco))
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
