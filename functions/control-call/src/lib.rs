//! The calls of a conversation that are up. It is the one function that has the application's private key for calls, and it answers
//! none.
//!
//! - `GET /conversations/{id}/calls` lists them.
//! - `DELETE /conversations/{id}/calls/{call}` hangs up all legs of one.
//! - Other functions invoke it to end calls: those of a conversation that ended with them, and the leg of a callee who declined.

use jiff::Timestamp;
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, Response};
use serde_json::{Value, json};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment};
use shared::domain::call::calls;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::edge::deadline;
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::edge::view::CallsView;
use shared::service::hang_up::{HangUp, HangUps};
use shared::store::Store;
use shared::vonage::calls::CallsApi;

/// The function that controls calls.
pub struct ControlCall {
    store: Store,
    /// None without the application's private key.
    hang_ups: Option<HangUps>,
    clock: SharedClock,
}

impl HttpFunction for ControlCall {
    const NAME: &'static str = "control-call";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        let store = Store::connect(env)?;
        let api = if env.controls_calls()? { CallsApi::from_environment(env, clock.clone())? } else { None };
        let pause = env.calls_interval()?;
        let hang_ups = api.map(|api| HangUps { store: store.clone(), api, pause, clock: clock.clone() });
        Ok(Self { store, hang_ups, clock })
    }

    async fn warm_up(&self) {
        let Some(HangUps { api, .. }) = &self.hang_ups else { return };
        // This function has permission to read conversations only. No conversation has this id.
        let now = self.clock.now();
        let nothing = self.store.conversation(ConversationId::generate(now), now);
        let (_, ()) = tokio::join!(nothing, api.warm_up());
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        let hang_ups = self.hang_ups.as_ref().ok_or_else(http::call_control_off)?;
        let id = http::conversation_id(&request)?;
        log.conversation = Some(id);
        match *request.method() {
            Method::DELETE => self.hang_up(hang_ups, id, &request, log).await,
            _ => self.list(id, log).await,
        }
    }
}

impl ControlCall {
    async fn conversation(&self, id: ConversationId) -> Result<Conversation, Problem> {
        let found = self.store.conversation(id, self.clock.now()).await?;
        found.ok_or_else(http::no_conversation)
    }

    async fn list(&self, id: ConversationId, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        log.outcome = "listed";
        let conversation = self.conversation(id).await?;
        let legs = self.store.legs_of_live_calls(id, self.clock.now()).await?;
        let calls = calls(legs, conversation.handling.guard);
        Ok(http::json(StatusCode::OK, &CallsView::new(&conversation, &calls)))
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

impl ScheduledFunction for ControlCall {
    async fn tick(&self, event: Value, deadline: Option<Timestamp>) -> Value {
        let Some(hang_ups) = &self.hang_ups else { return json!({"left": 0, "off": true}) };
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
