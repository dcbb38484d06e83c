//! `GET|POST /webhooks/answer` returns the NCCO of an inbound call. If this function fails twice, Vonage asks
//! `fallback-webhook`.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::decision::Decision;
use shared::domain::number_settings::NumberSettings;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::stranger::StrangersCall;
use shared::domain::support::SupportPhone;
use shared::domain::words::Words;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Object, Problem, WhisperTokens};
use shared::edge::request_log::RequestLog;
use shared::store::{Decided, Store};
use shared::vonage::event::AnswerRequest;
use shared::vonage::ncco::Ncco;
use shared::vonage::signature::WebhookVerifier;
use shared::vonage::{call_urls, ncco, pace_steps, pin_steps};

/// The answer webhook.
pub struct AnswerWebhook {
    store: Store,
    verifier: WebhookVerifier,
    tokens: WhisperTokens,
    public_url: Option<String>,
    words: Words,
    support: Option<SupportPhone>,
    /// True if callers who are not known are asked for a PIN.
    has_pins: bool,
    /// True if the backend decides about strangers and late callers.
    asks_about_strangers: bool,
    /// True if calls wait for their turn.
    is_paced: bool,
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
        let decided = self.store.decide_call(&caller, dialled.as_ref(), now).await?;
        let Decided { decision, addressee, settings } = decided;
        let settings = settings.as_ref();
        let decision = NumberSettings::or_standing(settings, decision, &caller, dialled.as_ref(), now);
        let stranger = decision.stranger().filter(|_| self.asks_about_strangers);
        let stranger = stranger.map(|stranger| (stranger, decision.conversation()));
        let pin_url = self.pin_url(&request, dialled.is_some());
        let decision = if pin_url.is_some() { decision.or_pin() } else { decision };
        let decision = decision.or_support_of_conversation(&caller, dialled.as_ref());
        let support = self.support.as_ref();
        let decision = NumberSettings::or_support(settings, support, decision, &caller, dialled.as_ref());
        (log.outcome, log.conversation) = (decision.outcome(), decision.conversation());
        let urls = |id| http::call_urls(self.public_url.as_deref(), &request, id);
        let follow_up = self.tokens.follow_up(&decision, urls, now);
        let addressee = addressee.or_else(|| settings?.addressee());
        let speech = self.words.speech_of_call(&caller, addressee.as_ref());
        let speech = speech.with_own(settings.and_then(|settings| settings.words.as_ref()));
        let ncco = match (decision, pin_url) {
            (Decision::PinAsked, Some(url)) => pin_steps::ask(&speech, url, false),
            (Decision::Standing(call), _) => {
                let base = http::base_url(self.public_url.as_deref(), &request);
                ncco::standing(call, &speech, base.as_deref())
            }
            (decision, _) => ncco::decided(decision, &speech, follow_up),
        };
        let ncco = match self.turn_url(&request) {
            Some(url) => pace_steps::in_turn(ncco, &speech, log.conversation, url),
            None => ncco,
        };
        let ask = stranger.zip(dialled).and_then(|((caller, conversation), dialled)| {
            let url = call_urls::stranger(&http::base_url(self.public_url.as_deref(), &request)?);
            let call = StrangersCall { dialled, conversation, caller, language: speech.language().clone() };
            Some(ncco::ask_about_stranger(call, url))
        });
        if ask.is_some() {
            log.outcome = Decision::BACKEND_ASKED;
        }
        // Without a decision the call goes on as it does in other deployments.
        Ok(http::json(StatusCode::OK, &ask.into_iter().chain(ncco).collect::<Ncco>()))
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
            has_pins: env.has_pins()?,
            asks_about_strangers: env.asks_about_strangers()?,
            is_paced: env.pace()?.is_some(),
            clock,
        })
    }

    /// Returns the address to which the first PIN of a call is posted, if callers are asked for one. A call to no number leads to
    /// nobody.
    fn pin_url(&self, request: &Request, has_number: bool) -> Option<String> {
        if !self.has_pins || !has_number {
            return None;
        }
        Some(call_urls::pin(&http::base_url(self.public_url.as_deref(), request)?, 1))
    }

    /// Returns the address that is asked for the turn of a call, if calls wait for theirs.
    fn turn_url(&self, request: &Request) -> Option<String> {
        if !self.is_paced {
            return None;
        }
        Some(call_urls::turn(&http::base_url(self.public_url.as_deref(), request)?))
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
