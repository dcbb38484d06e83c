//! `POST /conversations/{id}/texts` writes a text to a participant.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::Deserialize;
use shared::domain::backend_text::TextWords;
use shared::domain::quiet_hours::{QuietHours, UsualQuietHours};
use shared::edge::http::{self, Object, Problem, Query, RequestHasher, SideBody};
use shared::edge::request_log::RequestLog;
use shared::edge::view::TextView;
use shared::service::relay_texts::TextRelay;
use shared::service::write_text::{TextOrder, TextWriter, Written};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextBody {
    to: SideBody,
    text: String,
    /// With null it is sent at any hour.
    #[serde(default, deserialize_with = "http::given")]
    quiet_hours: Option<Option<Object<QuietHours>>>,
}

/// Writes the text of the request, once.
pub async fn write(
    relay: &TextRelay,
    usual_quiet_hours: Option<&UsualQuietHours>,
    hasher: &RequestHasher,
    request: &Request,
    log: &mut RequestLog,
) -> Result<Response<Body>, Problem> {
    Query::refuse(request)?;
    let id = http::conversation_of(request, &relay.store).await?;
    (log.outcome, log.conversation) = ("written", Some(id));
    let TextBody { to, text, quiet_hours } = http::read_json(request)?;
    let words = TextWords::try_from(text).map_err(|error| Problem::invalid("text", sentence(&error.to_string())))?;
    let may_come_again = hasher.request_for_text(request, id)?;
    let TextRelay { store, texts, senders, events, keeps_words, clock, .. } = relay;
    let conversation = store.conversation(id, clock.now()).await?.ok_or_else(http::no_conversation)?;
    let writer = TextWriter { store, texts, senders, events, keeps_words: *keeps_words, clock };
    let order = TextOrder {
        conversation: &conversation,
        to: to.into(),
        words: &words,
        quiet_hours: quiet_hours.as_ref().and_then(Option::as_ref).map(|Object(hours)| hours),
        usual_quiet_hours: usual_quiet_hours.filter(|_| quiet_hours.is_none()),
        request: &may_come_again,
    };
    let Written { text, is_replay } = writer.write(&order).await?;
    let status = if is_replay { StatusCode::OK } else { StatusCode::CREATED };
    if is_replay {
        log.outcome = "again";
    }
    Ok(http::json(status, &TextView::new(&text, clock.now())))
}

/// Begins an explanation with a capital letter, and ends it with a full stop.
fn sentence(error: &str) -> String {
    let mut letters = error.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
