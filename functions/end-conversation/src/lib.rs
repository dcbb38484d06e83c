//! `DELETE /conversations/{id}`: ends a conversation. From then on its numbers lead nowhere for these two.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment};
use shared::http::{self, Problem};
use shared::lambda::{HttpFunction, RequestLine};
use shared::store::Store;
use shared::view::ConversationView;

/// The ending of conversations.
pub struct EndConversation {
    store: Store,
    clock: SharedClock,
}

impl HttpFunction for EndConversation {
    const NAME: &'static str = "end-conversation";

    async fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self { store: Store::connect(env).await?, clock })
    }

    async fn handle(&self, request: Request, line: &mut RequestLine) -> Result<Response<Body>, Problem> {
        let id = http::conversation_id(&request)?;
        (line.outcome, line.conversation) = ("ended", Some(id));
        let ended = self.store.end_conversation(id, self.clock.now()).await?;
        let conversation = ended.ok_or_else(http::no_conversation)?;
        Ok(http::json(StatusCode::OK, &ConversationView::new(&conversation, self.clock.now())))
    }
}
