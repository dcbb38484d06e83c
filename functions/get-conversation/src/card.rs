//! `GET /cards/{card}` for whoever has the link of a contact card, such as `…b0a1.vcf`.

use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Response};
use shared::domain::card_link::CardKey;
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::store::Store;

/// Answers with a card. The token is all that is needed and all that is known. One that nobody has signed costs no read.
pub(crate) async fn answer(
    store: &Store,
    key: &CardKey,
    card: &str,
    now: Timestamp,
    log: &mut RequestLog,
) -> Result<Response<Body>, Problem> {
    log.outcome = "contact card";
    let unknown = || Problem::not_found("There is no such contact card, or not any more.");
    let (id, side) = card.strip_suffix(".vcf").and_then(|token| key.read(token)).ok_or_else(unknown)?;
    log.conversation = Some(id);
    let conversation = store.conversation(id, now).await?.filter(|found| found.is_active(now)).ok_or_else(unknown)?;
    let sees = &conversation.participant(side).sees;
    let text = conversation.contact_card.as_ref().and_then(|cards| cards.card(side, sees)).ok_or_else(unknown)?;
    let mut response = http::empty(StatusCode::OK);
    for (name, value) in [
        (header::CONTENT_TYPE, "text/vcard; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"contact.vcf\""),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    *response.body_mut() = Body::Text(text);
    Ok(response)
}
