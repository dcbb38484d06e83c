//! The answer of `GET /conversations`.

use std::collections::HashMap;

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Response};
use serde::Serialize;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::phone::{Reveal, VirtualNumber};
use shared::domain::tenant::Owner;
use shared::domain::usage::Tally;
use shared::edge::http::{self, Problem};
use shared::edge::view::ConversationView;
use shared::store::{Store, StoreError};

use crate::page::ListQuery;

#[derive(Serialize)]
struct ListView<'a> {
    conversations: Vec<ConversationView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<ConversationId>,
}

/// Facts of the table about conversations besides their own items.
struct Details {
    usage: HashMap<ConversationId, Tally>,
    losses: HashMap<VirtualNumber, Timestamp>,
}

/// Answers with a page of a list of conversations, of those that `scope` sees. Without a tenant at most three round trips, whatever the
/// length of the list.
pub(crate) async fn answer(
    store: &Store,
    scope: Owner,
    query: &ListQuery,
    reveal: Reveal,
    now: Timestamp,
) -> Result<Response<Body>, Problem> {
    let mut page = store.listed_conversations(scope, &query.list, query.page, now).await?;
    page.conversations.retain(|conversation| query.only.has(conversation, now));
    let (details, none) = (Details::of(store, &page.conversations, now).await?, Tally::default());
    let lost = |conversation: &Conversation, number: &VirtualNumber| {
        details.losses.get(number).copied().filter(|_| conversation.is_active(now))
    };
    let views = page.conversations.iter().map(|conversation| {
        let usage = details.usage.get(&conversation.id).unwrap_or(&none);
        let losses = conversation.participants.each_ref().map(|participant| lost(conversation, &participant.sees));
        ConversationView::new(conversation, reveal, now).with_usage(usage, now).with_losses(losses)
    });
    Ok(http::json(StatusCode::OK, &ListView { conversations: views.collect(), next: page.next }))
}

impl Details {
    async fn of(store: &Store, conversations: &[Conversation], now: Timestamp) -> Result<Self, StoreError> {
        let limited = conversations.iter().filter(|conversation| !conversation.usage_limits.is_none());
        let limited: Vec<ConversationId> = limited.map(|conversation| conversation.id).collect();
        // Nobody dials the numbers of one that is over.
        let active = conversations.iter().filter(|conversation| conversation.is_active(now));
        let mut seen: Vec<&VirtualNumber> =
            active.flat_map(|conversation| conversation.participants.each_ref().map(|one| &one.sees)).collect();
        seen.sort_unstable();
        seen.dedup();
        let (usage, losses) = tokio::try_join!(store.usage_of(&limited), store.losses_of(&seen))?;
        Ok(Self { usage, losses })
    }
}
