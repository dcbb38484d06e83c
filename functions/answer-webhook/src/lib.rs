//! `GET|POST /webhooks/answer` returns the NCCO of an inbound call. If this function fails twice, Vonage asks
//! `fallback-webhook`.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::decision::Decision;
use shared::domain::number_settings::NumberSettings;
use shared::domain::phone::VirtualNumber;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::stranger::StrangersCall;
use shared::domain::support::SupportPhone;
use shared::domain::words::{Speech, Words};
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Object, Problem, WhisperTokens};
use shared::edge::request_log::RequestLog;
use shared::store::{Decided, Store};
use shared::vonage::call_urls::CallUrls;
use shared::vonage::event::AnswerRequest;
use shared::vonage::ncco::{Action, Ncco};
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
        let call = Call {
            caller: call.caller(),
            dialled: call.dialled(),
            base: http::base_url(self.public_url.as_deref(), &request),
            at: now,
        };
        if let CallerId::NotUnderstood { shape } = &call.caller {
            tracing::warn!(shape, "caller id not understood");
        }
        let decided = self.store.decide_call(&call.caller, call.dialled.as_ref(), now).await?;
        Ok(http::json(StatusCode::OK, &self.answer_to(&call, decided, log)))
    }
}

/// A call that Vonage asks about.
struct Call {
    caller: CallerId,
    /// None if no number was dialled.
    dialled: Option<VirtualNumber>,
    /// The address of the deployment, for what comes later in the call. None if it is not known.
    base: Option<String>,
    at: Timestamp,
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

    /// Returns the NCCO of a call about which the table says this.
    fn answer_to(&self, call: &Call, decided: Decided, log: &mut RequestLog) -> Ncco {
        let Decided { decision, addressee, settings, speaker } = decided;
        let (settings, dialled) = (settings.as_ref(), call.dialled.as_ref());
        let addressee = addressee.or_else(|| settings?.addressee());
        let speech = self.words.of(speaker).speech_of_call(&call.caller, addressee.as_ref());
        let speech = speech.with_own(settings.and_then(|settings| settings.words.as_ref()));
        let decision = NumberSettings::or_standing(settings, decision, &call.caller, dialled, call.at);
        let question = self.question(call, &decision, &speech);
        // A call to no number leads to nobody.
        let has_pins = self.has_pins && dialled.is_some() && call.base.is_some();
        let elsewhere = (has_pins, self.support.as_ref());
        let decision = NumberSettings::or_elsewhere(settings, elsewhere, decision, &call.caller, dialled);
        log.conversation = decision.conversation();
        log.outcome = if question.is_some() { Decision::BACKEND_ASKED } else { decision.outcome() };
        // Without a decision of the backend the call goes on as it does in other deployments.
        question.into_iter().chain(self.ncco(call, decision, &speech)).collect()
    }

    /// Returns the action that asks the backend about a stranger or a late caller, if it decides about them.
    fn question(&self, call: &Call, decision: &Decision, speech: &Speech<'_>) -> Option<Action> {
        let caller = decision.stranger().filter(|_| self.asks_about_strangers)?;
        let (dialled, url) = (call.dialled.clone()?, call_urls::stranger(call.base.as_deref()?));
        let (conversation, language) = (decision.conversation(), speech.language().clone());
        Some(ncco::ask_about_stranger(StrangersCall { dialled, conversation, caller, language }, url))
    }

    /// Returns the NCCO for a decision, in which a connection waits for its turn, if calls do.
    fn ncco(&self, call: &Call, decision: Decision, speech: &Speech<'_>) -> Ncco {
        let (base, conversation) = (call.base.as_deref(), decision.conversation());
        let urls = |id| base.map(|base| CallUrls::new(base, id));
        let follow_up = self.tokens.follow_up(&decision, urls, call.at);
        let ncco = match (decision, base) {
            (Decision::PinAsked, Some(base)) => pin_steps::ask(speech, call_urls::pin(base, 1), false),
            (Decision::Standing(standing), base) => ncco::standing(standing, speech, base),
            (decision, _) => ncco::decided(decision, speech, follow_up),
        };
        match base.filter(|_| self.is_paced) {
            Some(base) => pace_steps::in_turn(ncco, speech, conversation, call_urls::turn(base)),
            None => ncco,
        }
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
