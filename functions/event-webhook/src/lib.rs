//! `POST /webhooks/event` receives the events of calls. An event may arrive twice, late and out of order.
//!
//! `POST /webhooks/event/{id}` receives those of the callee's leg where the address has to name the conversation: in a one-way
//! conversation, whose callee has no route, and where the answer decides what the caller of a missed call hears. The leg's two
//! numbers still have to be those of that conversation.
//!
//! `GET|POST /webhooks/whisper/{token}` returns what a callee with guard hears before the connection.
//!
//! `POST /webhooks/event/{id}/{step}` receives the events of the callee's leg in one of several attempts, a key that was pressed in a
//! call, or the end of a guarded leg, and answers with what comes next. It also receives the event of a message that a caller left.
//!
//! `POST /webhooks/event/stranger` has the backend decide about a stranger or a late caller.
//!
//! `POST /webhooks/event/turn` gives a turn to a call that is about to be connected. The gateway routes both paths as it routes
//! `/webhooks/event/{id}`.
//!
//! `POST /webhooks/event/pin/{nth}` receives a PIN that a caller who is not known has typed.
//!
//! `POST /webhooks/event/standing/{attempt}` receives the events of an attempt to reach a phone behind a standing mask, and
//! answers with what comes next.

mod decide;
mod late;
mod pin;
mod safety;
mod standing;
mod steps;
mod turn;

use std::sync::Arc;

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use shared::backend::Backend;
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, SignatureConfig};
use shared::domain::attempt::Attempt;
use shared::domain::call::{Direction, LegEvent, Status};
use shared::domain::conversation::ConversationId;
use shared::domain::decision::Decision;
use shared::domain::missed_calls::Missed;
use shared::domain::number_settings::NumberSettings;
use shared::domain::phone::VirtualNumber;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::phone::plan;
use shared::domain::support::SupportPhone;
use shared::domain::words::Words;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Problem, WhisperTokens};
use shared::edge::request_log::{Carried, News, RequestLog};
use shared::invoke::AsyncFunction;
use shared::service::backend_decisions::BackendDecisions;
use shared::service::call_steps::{CallSteps, MissedLeg, Next};
use shared::service::hang_up::{self, HangUp};
use shared::service::pace::Pacer;
use shared::service::pin_calls::PinCalls;
use shared::service::pool_cache::PoolCache;
use shared::service::slide_end::EndSlider;
use shared::service::warn;
use shared::store::{LegNumbers, Recorded, Store};
use shared::vonage::call_urls::StepKind;
use shared::vonage::event::{Event, LegKey};
use shared::vonage::ncco::Ncco;
use shared::vonage::signature::WebhookVerifier;
use shared::vonage::texts::TextsOnDemand;

/// The event webhook.
pub struct EventWebhook {
    store: Store,
    steps: CallSteps<TextsOnDemand>,
    /// The function that keeps recordings, and that texts people with a channel.
    keeper: Option<Arc<AsyncFunction>>,
    /// None if nobody is asked for a PIN.
    pins: Option<PinCalls>,
    decisions: BackendDecisions,
    slider: EndSlider,
    /// None if calls do not wait for their turn.
    pacer: Option<Pacer>,
    support: Option<SupportPhone>,
    verifier: WebhookVerifier,
    tokens: WhisperTokens,
    public_url: Option<String>,
    /// The function that ends calls.
    control: Option<AsyncFunction>,
    words: Words,
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
        if let Some(token) = request.path_parameters_ref().and_then(|parameters| parameters.first("token")) {
            return self.whisper(&request, token, log).await;
        }
        let body = http::signed_body(&request, &self.verifier, self.clock.now())?.unwrap_or_default();
        if let Some(nth) = http::nth_pin(&request)? {
            let ncco = self.typed_pin(&request, nth, body, log).await?;
            return Ok(http::json(StatusCode::OK, &ncco));
        }
        if http::is_about_stranger(&request) {
            let next = self.decide_about_stranger(&request, body, log).await?;
            return Ok(answer_of(next));
        }
        if let Some(attempt) = http::standing_attempt(&request)? {
            let next = self.after_standing_attempt(&request, attempt, body, log).await?;
            return Ok(answer_of(next));
        }
        if http::asks_for_turn(&request) {
            let ncco = self.turn(&request, body, log).await?;
            return Ok(http::json(StatusCode::OK, &ncco));
        }
        let step = http::call_step(&request)?;
        let is_placed = step.is_some_and(|step| step.kind == StepKind::Placed);
        let attempt = step.filter(|step| step.kind == StepKind::Leg).and_then(|step| step.attempt);
        if let Some(step) = step.filter(|_| !is_placed && attempt.is_none()) {
            let next = self.after_step(&request, step, body, log).await?;
            return Ok(answer_of(next));
        }
        match Event::parse(body).map_err(not_an_object)? {
            Event::Leg { keys, mut event } => {
                event.facts.attempt = attempt.map(|attempt| attempt.number);
                log.call = Some(event.conversation_uuid.clone());
                event.facts.placed = is_placed;
                let named = named(&request)?;
                (log.conversation, log.outcome) = self.record(named, &keys, &event, log).await?;
                // If nobody took the first leg of a call that a request placed, nobody missed a call.
                if is_placed {
                    return Ok(http::empty(StatusCode::NO_CONTENT));
                }
                if let Some(next) = self.after(&request, named, &keys, &event, attempt).await? {
                    log.outcome = if matches!(next, Next::Try(..)) { "next phone" } else { "missed call" };
                    let ncco = self.answer(&request, named, next);
                    return Ok(http::json(StatusCode::OK, &ncco));
                }
            }
            Event::Anonymous { caller, conversation_uuid, event } => {
                log.call = conversation_uuid;
                log.outcome = RequestLog::HIDDEN_CALLER;
                if let Some(event) = event
                    && let (Some(id), outcome) = self.record_by_pin(&event).await?
                {
                    (log.conversation, log.outcome) = (Some(id), outcome);
                } else if let CallerId::NotUnderstood { shape } = caller {
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
        let store = store.with_journal(env)?;
        let signatures = SignatureConfig::from_environment(env)?;
        let words = env.words()?;
        let texts = TextsOnDemand::from_environment(env, clock.clone())?;
        let support = env.support_phone()?;
        let backend = Backend::from_environment(env)?;
        let keeper = AsyncFunction::keeping_recordings(env)?.map(Arc::new);
        Ok(Self {
            decisions: BackendDecisions {
                store: store.clone(),
                backend,
                support: support.clone(),
                clock: clock.clone(),
            },
            slider: EndSlider { store: store.clone(), clock: clock.clone(), cache: PoolCache::default() },
            pins: env.pin_key()?.map(|key| PinCalls {
                store: store.clone(),
                key,
                words: words.clone(),
                clock: clock.clone(),
            }),
            pacer: env.pace()?.map(|pace| Pacer::new(store.clone(), pace, clock.clone())),
            support,
            steps: CallSteps {
                store: store.clone(),
                texts,
                words: words.clone(),
                elsewhere: keeper.clone(),
                clock: clock.clone(),
            },
            store,
            verifier: WebhookVerifier::new(&signatures),
            tokens: WhisperTokens::new(&signatures),
            keeper,
            public_url: env.public_url()?,
            control: AsyncFunction::controlling(env)?,
            words,
            clock,
        })
    }

    /// Returns what a callee with guard hears before the connection. The token stands for the signature, which may not cover the
    /// address of a GET.
    async fn whisper(&self, request: &Request, token: &str, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        let unknown = || Problem::not_found("There is no such whisper, or not any more.");
        let (id, callee, attempt) = self.tokens.read(token, self.clock.now()).ok_or_else(unknown)?;
        (log.outcome, log.conversation) = ("whisper", Some(id));
        let urls = http::call_urls(self.public_url.as_deref(), request, id);
        let ncco = self.steps.whisper(id, (callee, attempt), urls.as_ref()).await?;
        Ok(http::json(StatusCode::OK, &ncco))
    }

    /// Returns what comes after an event of the callee's leg. `None` unless nobody took the call.
    async fn after(
        &self,
        request: &Request,
        named: Option<ConversationId>,
        keys: &[LegKey],
        event: &LegEvent,
        attempt: Option<Attempt>,
    ) -> Result<Option<Next>, Problem> {
        let outbound = keys.iter().find(|key| key.direction == Direction::Outbound);
        let (Some(id), Some(reason), Some(key)) = (named, Missed::of(event.status), outbound) else { return Ok(None) };
        let Some(urls) = http::call_urls(self.public_url.as_deref(), request, id) else { return Ok(None) };
        let time = event.timestamp.unwrap_or_else(|| self.clock.now());
        let leg = MissedLeg { phone: &key.phone, mask: &key.virtual_number, reason, time, attempt };
        Ok(self.steps.after_missed_leg(id, leg, &urls).await?)
    }

    /// Returns the decision about a caller who would reach nobody by `decision`: the support phone of the dialled number takes
    /// the call, or that of the deployment. Also returns the number's settings.
    pub(crate) async fn or_support(
        &self,
        decision: Decision,
        caller: &CallerId,
        dialled: Option<&VirtualNumber>,
    ) -> Result<(Decision, Option<NumberSettings>), Problem> {
        let settings = match dialled {
            Some(dialled) => self.store.settings_in_call(dialled).await?,
            None => None,
        };
        let (own, support) = (settings.as_ref(), self.support.as_ref());
        Ok((NumberSettings::or_support(own, support, decision, caller, dialled), settings))
    }

    /// Returns the words of whoever has a number, for a caller who is nobody's participant. One read more, if a tenant has words.
    pub(crate) async fn words_of_number(&self, number: Option<&VirtualNumber>) -> Result<&Words, Problem> {
        let settings = match number.filter(|_| self.words.have_tenants()) {
            Some(number) => self.store.settings_in_call(number).await?,
            None => None,
        };
        Ok(self.words.of(settings.map(|settings| settings.owner).unwrap_or_default()))
    }

    /// Has calls ended by the function that can do so. An error lets Vonage send the event again.
    pub(crate) async fn hang_up(&self, request: &HangUp) -> Result<(), Problem> {
        let Some(control) = &self.control else { return Ok(()) };
        if request.send(control).await { Ok(()) } else { Err(http::not_handed_on()) }
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
        log: &mut RequestLog,
    ) -> Result<(Option<ConversationId>, &'static str), Problem> {
        let now = self.clock.now();
        // An event without a time belongs to whom the numbers belong now: they change hands only after a quarantine.
        let time = event.timestamp.unwrap_or(now);
        for LegKey { phone, virtual_number, direction } in keys {
            let named = named.filter(|_| *direction == Direction::Outbound);
            let numbers = LegNumbers { phone, virtual_number, direction: *direction, named };
            let recorded = self.store.record_leg_event(numbers, event, time, now).await?;
            if recorded != Recorded::OfNone {
                let carried = |news| Carried { country: plan::country(phone.as_phone()), news };
                log.carried = News::of_leg(event, *direction).map(carried);
                return self.settle(recorded, event).await;
            }
        }
        match keys.iter().any(|key| key.direction == Direction::Inbound) {
            true => self.record_by_pin(event).await,
            false => self.settle(Recorded::OfNone, event).await,
        }
    }

    /// Records the event of the leg of a caller whose numbers lead to nobody: that of one who typed a right PIN.
    async fn record_by_pin(&self, event: &LegEvent) -> Result<(Option<ConversationId>, &'static str), Problem> {
        let recorded = match &self.pins {
            Some(_) => self.store.record_leg_by_pin(event, self.clock.now()).await?,
            None => Recorded::OfNone,
        };
        self.settle(recorded, event).await
    }

    /// Does what is left to do after an event was recorded. Returns the conversation and the outcome.
    async fn settle(
        &self,
        recorded: Recorded,
        event: &LegEvent,
    ) -> Result<(Option<ConversationId>, &'static str), Problem> {
        Ok(match recorded {
            Recorded::Merged(conversation) => self.end_if_ended(conversation, event).await?,
            Recorded::ToHangUp(conversation) => self.end_call(conversation, event).await?,
            Recorded::ToWarn { conversation, callee, slides } => {
                warn::plan(&self.store, conversation, callee, event, self.clock.now()).await?;
                if slides {
                    self.slide_end(conversation, event).await?;
                }
                self.end_if_ended(conversation, event).await?
            }
            Recorded::ToSlide(conversation) => {
                self.slide_end(conversation, event).await?;
                self.end_if_ended(conversation, event).await?
            }
            Recorded::ToRedact(conversation) => (conversation, "to be redacted"),
            Recorded::OfNone => (None, "of no conversation"),
        })
    }

    /// Moves the end of a conversation because of the event of a called phone. An error lets Vonage send the event again.
    async fn slide_end(&self, id: ConversationId, event: &LegEvent) -> Result<(), Problem> {
        if let Some(used_at) = event.used_at(Direction::Outbound) {
            Box::pin(self.slider.slide(id, used_at)).await?;
        }
        Ok(())
    }

    /// Has the call of a leg ended that was answered while its conversation was ended together with its calls. Costs one read for each
    /// leg that is answered.
    async fn end_if_ended(
        &self,
        id: ConversationId,
        event: &LegEvent,
    ) -> Result<(Option<ConversationId>, &'static str), Problem> {
        let may_be_due = event.status == Status::Answered && self.control.is_some();
        match may_be_due && hang_up::ended_meanwhile(&self.store, id, self.clock.now()).await? {
            true => self.end_call(id, event).await,
            false => Ok((Some(id), "merged")),
        }
    }

    async fn end_call(
        &self,
        id: ConversationId,
        event: &LegEvent,
    ) -> Result<(Option<ConversationId>, &'static str), Problem> {
        self.hang_up(&HangUp::of_calls(id, [event.conversation_uuid.clone()].into())).await?;
        Ok((Some(id), "to be hung up"))
    }
}

/// Returns the answer with these actions, or the empty one, after which the call just goes on.
fn answer_of(next: Option<Ncco>) -> Response<Body> {
    next.map_or_else(|| http::empty(StatusCode::NO_CONTENT), |ncco| http::json(StatusCode::OK, &ncco))
}

fn not_an_object(_: serde_json::Error) -> Problem {
    Problem::malformed("The body is not a JSON object.")
}

/// Returns the conversation that the path names, if it names one.
fn named(request: &Request) -> Result<Option<ConversationId>, Problem> {
    let names_one = request.path_parameters_ref().is_some_and(|parameters| parameters.first("id").is_some());
    names_one.then(|| http::conversation_id(request)).transpose()
}
