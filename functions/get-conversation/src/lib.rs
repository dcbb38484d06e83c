//! `GET /conversations/{id}` returns a conversation with its calls.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment};
use shared::domain::call::calls;
use shared::domain::conversation::ConversationId;
use shared::edge::function::HttpFunction;
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::edge::view::ConversationView;
use shared::store::Store;

/// The function that returns conversations.
pub struct GetConversation {
    store: Store,
    clock: SharedClock,
}

impl HttpFunction for GetConversation {
    const NAME: &'static str = "get-conversation";

    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self { store: Store::connect(env)?, clock })
    }

    async fn warm_up(&self) {
        // This function has permission to read conversations only. No conversation has this id.
        let now = self.clock.now();
        let _ = self.store.conversation_with_legs(ConversationId::generate(now), now).await;
    }

    async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
        let id = http::conversation_id(&request)?;
        (log.outcome, log.conversation) = ("read", Some(id));
        let now = self.clock.now();
        let found = self.store.conversation_with_legs(id, now).await?;
        let (conversation, legs, usage) = found.ok_or_else(http::no_conversation)?;
        let (calls, [a, b]) = (calls(legs), &conversation.participants);
        let view = ConversationView::with_calls(&conversation, &calls, &usage, now);
        // Nobody dials the numbers of one that is over.
        let is_active = conversation.is_active(now);
        let losses = if is_active { self.store.losses([&a.sees, &b.sees]).await? } else { [None; 2] };
        Ok(http::json(StatusCode::OK, &view.with_losses(losses)))
    }
}
