//! `GET /conversations/{id}/texts`: all texts of a conversation, page by page.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::Serialize;
use shared::domain::relayed_text::TextId;
use shared::edge::http::{self, Problem, Query};
use shared::edge::request_log::RequestLog;
use shared::edge::view::TextView;
use shared::store::Store;

/// Number of texts in an answer if none is asked for.
const USUAL: u16 = 50;

/// Largest number of texts in an answer.
const MOST: u16 = 100;

#[derive(Serialize)]
struct ListView<'a> {
    texts: Vec<TextView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TextId>,
}

/// Answers with a page of a conversation's texts, the latest first. Two reads at the same time, and one before for a tenant.
pub(crate) async fn list(
    store: &Store,
    request: &Request,
    now: Timestamp,
    log: &mut RequestLog,
) -> Result<Response<Body>, Problem> {
    let id = http::conversation_of(request, store).await?;
    (log.outcome, log.conversation) = ("texts listed", Some(id));
    let query = Query::read(request, &["limit", "cursor"])?;
    let limit = query.number("limit", 1..=MOST, USUAL)?;
    let before = query.value("cursor").map(|cursor| TextId::try_from(cursor.to_owned())).transpose();
    let before = before.map_err(|_| Problem::invalid("cursor", "Must be the `next` of an answer."))?;
    let (conversation, page) = tokio::try_join!(store.conversation(id, now), store.texts(id, before, limit))?;
    conversation.ok_or_else(http::no_conversation)?;
    let texts = page.texts.iter().map(|text| TextView::new(text, now)).collect();
    Ok(http::json(StatusCode::OK, &ListView { texts, next: page.next }))
}
