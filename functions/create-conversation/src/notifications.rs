//! `POST /conversations/{id}/notifications` sends text messages that people did not get.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::Deserialize;
use shared::domain::phone::Reveal;
use shared::edge::http::{self, Problem, SideBody};
use shared::edge::request_log::RequestLog;
use shared::edge::view::ConversationView;
use shared::service::create::{Creator, Invitations};
use shared::vonage::carrier_lookup::CarrierLookup;
use shared::vonage::texts::Texts;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotificationsBody {
    /// The side of which everybody is texted who was not. Without it, only those whose text is due.
    #[serde(default)]
    to: Option<SideBody>,
}

/// Sends the texts of a conversation that are due, each once.
pub(crate) async fn send(
    creator: &Creator<CarrierLookup, Texts>,
    invitations: &Invitations,
    request: &Request,
    deadline: Option<Timestamp>,
    reveal: Reveal,
    log: &mut RequestLog,
) -> Result<Response<Body>, Problem> {
    let id = http::conversation_of(request, &creator.store).await?;
    (log.outcome, log.conversation) = ("notified", Some(id));
    let NotificationsBody { to } = http::read_json(request)?;
    let conversation = creator.notify_again(id, to.map(Into::into), invitations, deadline).await?;
    log.concerns(&conversation);
    let view = ConversationView::new(&conversation, reveal, creator.clock.now());
    let view = view.with_card_links(&conversation, invitations.card_links.as_ref());
    Ok(http::with_revision(http::json(StatusCode::OK, &view), &conversation))
}
