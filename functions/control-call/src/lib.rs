//! The calls of a conversation that are up. It is the one function that has the application's private key for calls, and it answers
//! none.
//!
//! - `GET /conversations/{id}/calls` lists them.
//! - `DELETE /conversations/{id}/calls/{call}` hangs up all legs of one.
//! - `POST /conversations/{id}/calls/{call}/talk` speaks into one.
//! - `POST /conversations/{id}/calls` calls one participant, and then connects the other one.
//! - A schedule invokes it to speak warnings before the end of calls.
//! - Other functions invoke it to end calls: those of a conversation that ended with them, and the leg of a callee who declined.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment};
use shared::domain::call::calls;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::phone::Reveal;
use shared::domain::side::Side;
use shared::domain::words::own_text::OwnText;
use shared::domain::words::sentence::{Placeholder, Spoken};
use shared::edge::deadline;
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::edge::http::{self, NumberReaders, Problem, Query, RequestHasher, SideBody, TenantClaim};
use shared::edge::request_log::RequestLog;
use shared::edge::view::CallsView;
use shared::service::hang_up::{HANG_UP_SOURCE, HangUp, HangUps};
use shared::service::pace::Pacer;
use shared::service::place_call::{CallOrder, Placed, Placer};
use shared::service::speak::{What, speak};
use shared::service::warn::{Warned, Warner};
use shared::store::Store;
use shared::vonage::call_urls::letter;
use shared::vonage::calls::CallsApi;

/// The function that controls calls.
pub struct ControlCall {
    /// The claim that says which requests a token may send.
    tenant_claim: Option<TenantClaim>,
    readers: NumberReaders,
    store: Store,
    /// None without the application's private key.
    control: Option<Control>,
    clock: SharedClock,
}

/// The tools for requests that need the private key.
struct Control {
    hang_ups: HangUps,
    placer: Placer,
    warner: Warner,
    hasher: RequestHasher,
    public_url: Option<String>,
}

impl HttpFunction for ControlCall {
    const NAME: &'static str = "control-call";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let store = Store::connect(env)?;
        let api = if env.controls_calls()? { CallsApi::from_environment(env, clock.clone())? } else { None };
        let control = api.map(|api| Control::new(env, store.clone(), Arc::new(api), clock.clone())).transpose()?;
        let readers = NumberReaders::from_environment(env)?;
        Ok(Self { tenant_claim: TenantClaim::from_environment(env), readers, store, control, clock })
    }

    fn tenant_claim(&self) -> Option<&TenantClaim> {
        self.tenant_claim.as_ref()
    }

    async fn warm_up(&self) {
        let Some(Control { placer: Placer { api, .. }, .. }) = &self.control else { return };
        // This function has permission to read conversations only. No conversation has this id.
        let now = self.clock.now();
        let nothing = self.store.conversation(ConversationId::generate(now), now);
        let (_, ()) = tokio::join!(nothing, api.warm_up());
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        Query::refuse(&request)?;
        let control = self.control.as_ref().ok_or_else(http::call_control_off)?;
        let id = http::conversation_of(&request, &self.store).await?;
        log.conversation = Some(id);
        let names_a_call = request.path_parameters_ref().is_some_and(|parameters| parameters.first("call").is_some());
        match *request.method() {
            Method::DELETE => self.hang_up(&control.hang_ups, id, &request, log).await,
            Method::POST if names_a_call => self.talk(&control.placer, id, &request, log).await,
            Method::POST => self.place(control, id, &request, log).await,
            _ => self.list(id, self.readers.reveal_to(&request), log).await,
        }
    }
}

impl ControlCall {
    async fn conversation(&self, id: ConversationId) -> Result<Conversation, Problem> {
        let found = self.store.conversation(id, self.clock.now()).await?;
        found.ok_or_else(http::no_conversation)
    }

    async fn list(&self, id: ConversationId, reveal: Reveal, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        log.outcome = "listed";
        let conversation = self.conversation(id).await?;
        let legs = self.store.legs_of_live_calls(id, self.clock.now()).await?;
        let calls = calls(legs, conversation.handling.guard);
        Ok(http::json(StatusCode::OK, &CallsView::new(&conversation, &calls, reveal)))
    }

    async fn hang_up(
        &self,
        hang_ups: &HangUps,
        id: ConversationId,
        request: &Request,
        log: &mut RequestLog,
    ) -> Result<Response<Body>, Problem> {
        log.outcome = "hung up";
        self.conversation(id).await?;
        let call = http::call_id(request)?;
        log.call = Some(call.clone());
        // Without this a request could end a call of somebody else by its id.
        if self.store.legs_of_call(id, &call).await?.is_empty() {
            return Err(http::no_call());
        }
        let deadline = deadline::of_work(request, self.clock.now());
        let is_over = hang_ups.end_call(id, &call, deadline).await?;
        let status = if is_over { StatusCode::OK } else { StatusCode::ACCEPTED };
        Ok(http::json(status, &json!({"conversation_uuid": call, "ended": is_over})))
    }
}

impl ControlCall {
    async fn talk(
        &self,
        Placer { api, words, .. }: &Placer,
        id: ConversationId,
        request: &Request,
        log: &mut RequestLog,
    ) -> Result<Response<Body>, Problem> {
        log.outcome = "spoken";
        let (what, to) = http::read_json::<TalkBody>(request)?.decode()?;
        let conversation = self.conversation(id).await?;
        let call = http::call_id(request)?;
        log.call = Some(call.clone());
        let legs = self.store.legs_of_call(id, &call).await?;
        if legs.is_empty() {
            return Err(http::no_call());
        }
        let hear = speak(api, words, &conversation, &legs, to, &what).await?;
        let hear: Vec<_> = hear.into_iter().map(letter).collect();
        Ok(http::json(StatusCode::OK, &json!({"conversation_uuid": call, "heard_by": hear})))
    }

    async fn place(
        &self,
        control: &Control,
        id: ConversationId,
        request: &Request,
        log: &mut RequestLog,
    ) -> Result<Response<Body>, Problem> {
        let PlaceBody { from } = http::read_json(request)?;
        let may_come_again = control.hasher.request_for_call(request, id)?;
        let conversation = self.conversation(id).await?;
        let urls = http::call_urls(control.public_url.as_deref(), request, id).ok_or_else(Problem::internal)?;
        let order = CallOrder { conversation: &conversation, from: from.into(), request: &may_come_again, urls };
        let Placed { ids, is_replay } = control.placer.place(&order).await?;
        let (status, outcome) = if is_replay { (StatusCode::OK, "again") } else { (StatusCode::CREATED, "placed") };
        (log.outcome, log.call) = (outcome, Some(ids.call.clone()));
        Ok(http::json(status, &json!({"conversation_uuid": ids.call, "uuid": ids.leg})))
    }
}

impl Control {
    fn new(env: &Environment, store: Store, api: Arc<CallsApi>, clock: SharedClock) -> Result<Self, ConfigError> {
        let pause = env.calls_interval()?;
        let hang_ups = HangUps { store: store.clone(), api: api.clone(), pause, clock: clock.clone() };
        let (hasher, public_url) = (RequestHasher::new(&env.hash_key()?), env.public_url()?);
        let words = env.words()?;
        let warner = Warner { store: store.clone(), api: api.clone(), words: words.clone(), clock: clock.clone() };
        let pacer = env.pace()?.map(|pace| Pacer::new(store.clone(), pace, clock.clone()));
        let placer = Placer { store, api, words, pause, pacer, clock };
        Ok(Self { hang_ups, placer, warner, hasher, public_url })
    }
}

/// Speaks the warnings of the next minute, and returns the report. The next run is for those after that.
async fn warn(warner: &Warner) -> Value {
    match warner.run().await {
        Ok(Warned { spoken, over, failed }) => json!({"left": 0, "spoken": spoken, "over": over, "unspoken": failed}),
        Err(error) => {
            tracing::error!(schedule_failures = 1u64, cause = %error, "warnings in calls failed; the next run continues");
            json!({"left": 0})
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceBody {
    from: SideBody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TalkBody {
    #[serde(default)]
    text: Option<OwnText>,
    #[serde(default)]
    sentence: Option<String>,
    #[serde(default)]
    to: Option<SideBody>,
}

impl TalkBody {
    fn decode(self) -> Result<(What, Option<Side>), Problem> {
        let what = match (self.text, self.sentence) {
            (Some(text), None) => What::Text(text),
            (None, Some(key)) => What::Sentence(spoken(&key)?),
            _ => return Err(Problem::invalid("text", "Either text or sentence is required.")),
        };
        Ok((what, self.to.map(Side::from)))
    }
}

/// Returns the sentence with this key, if its placeholders are known without a call that is about to begin.
fn spoken(key: &str) -> Result<Spoken, Problem> {
    let sentence = Spoken::ALL.iter().copied().find(|sentence| sentence.key() == key);
    let sentence = sentence.filter(|sentence| !sentence.needed().contains(&Placeholder::Minutes));
    sentence.ok_or_else(|| Problem::invalid("sentence", "Must be the key of a spoken sentence without {minutes}."))
}

impl ScheduledFunction for ControlCall {
    async fn tick(&self, event: Value, deadline: Option<Timestamp>) -> Value {
        let Some(Control { hang_ups, warner, .. }) = &self.control else { return json!({"left": 0, "off": true}) };
        if event["source"] != HANG_UP_SOURCE {
            return warn(warner).await;
        }
        let request = match HangUp::read(event) {
            Ok(request) => request,
            Err(error) => {
                tracing::error!(cause = %error, "event not understood");
                return json!({"left": 0});
            }
        };
        match hang_ups.carry_out(&request, deadline).await {
            Ok(left) => json!({"left": left}),
            Err(error) => {
                tracing::error!(conversation.id = %request.conversation, cause = %error, "calls could not be ended");
                json!({"left": 1})
            }
        }
    }

    fn has_to_come_again(report: &Value) -> bool {
        report["left"] != 0
    }
}
