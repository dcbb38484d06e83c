//! The answers about recordings: `GET /conversations/{id}/recordings`, `GET /conversations/{id}/recordings/{recording}`, and
//! `GET /recordings/{token}` for whoever has the link of a text message.

use jiff::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;
use shared::domain::recording::{Recording, RecordingId, RecordingKind, RecordingState};
use shared::domain::tenant::Owner;
use shared::edge::http::{self, Problem, Query};
use shared::edge::request_log::RequestLog;
use shared::recording_files::RecordingAddresses;
use shared::service::recordings::token_hash;
use shared::store::Store;
use shared::vonage::call_urls::letter;

/// Number of recordings in an answer if none is asked for.
const USUAL: u16 = 50;

/// Largest number of recordings in an answer.
const MOST: u16 = 100;

#[derive(Serialize)]
struct ListView {
    recordings: Vec<RecordingView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct RecordingView {
    id: RecordingId,
    kind: RecordingKind,
    state: RecordingState,
    /// The side that made the call.
    called_by: &'static str,
    conversation_uuid: Option<String>,
    made_at: Timestamp,
    /// In seconds.
    duration: Option<u32>,
    /// In bytes.
    size: Option<u64>,
    kept_until: Option<Timestamp>,
    /// The path of the file in this API, while it is kept.
    path: Option<String>,
}

impl RecordingView {
    /// Shows a recording to a request of this scope, which asks for its file in the same scope.
    fn new(recording: Recording, scope: Owner, now: Timestamp) -> Self {
        let of_scope = scope.tenant().map(|tenant| format!("/t/{tenant}")).unwrap_or_default();
        let path = format!("{of_scope}/conversations/{}/recordings/{}", recording.conversation, recording.id.as_str());
        Self {
            path: recording.is_readable(now).then_some(path),
            id: recording.id,
            kind: recording.kind,
            state: recording.state,
            called_by: letter(recording.caller),
            conversation_uuid: recording.call,
            made_at: recording.made_at,
            duration: recording.duration,
            size: recording.size,
            kept_until: recording.kept_until,
        }
    }
}

/// Answers with a page of a conversation's recordings.
pub(crate) async fn list(
    store: &Store,
    request: &Request,
    now: Timestamp,
    log: &mut RequestLog,
) -> Result<Response<Body>, Problem> {
    let id = http::conversation_of(request, store).await?;
    (log.outcome, log.conversation) = ("recordings listed", Some(id));
    let query = Query::read(request, &["limit", "cursor"])?;
    let limit = query.number("limit", 1..=MOST, USUAL)?;
    let after = query.value("cursor").map(RecordingId::try_from).transpose();
    let after = after.map_err(|_| Problem::invalid("cursor", "Must be the `next` of an answer."))?;
    store.conversation(id, now).await?.ok_or_else(http::no_conversation)?;
    let page = store.recordings(id, after.as_ref(), limit).await?;
    let scope = http::scope(request)?;
    let recordings = page.recordings.into_iter().map(|recording| RecordingView::new(recording, scope, now)).collect();
    Ok(http::json(StatusCode::OK, &ListView { recordings, next: page.next }))
}

/// Leads the backend to the file of a recording.
pub(crate) async fn file(
    store: &Store,
    addresses: Option<&RecordingAddresses>,
    request: &Request,
    now: Timestamp,
    log: &mut RequestLog,
) -> Result<Response<Body>, Problem> {
    Query::refuse(request)?;
    let id = http::conversation_of(request, store).await?;
    (log.outcome, log.conversation) = ("recording", Some(id));
    let named = request.path_parameters_ref().and_then(|parameters| parameters.first("recording"));
    let recording = named.and_then(|named| RecordingId::try_from(named).ok()).ok_or_else(no_recording)?;
    store.conversation(id, now).await?.ok_or_else(http::no_conversation)?;
    redirect(store.recording(id, &recording).await?, addresses, now)
}

/// Leads whoever has the token of a link to the file of its recording. The token is all that is needed and all that is known.
pub(crate) async fn linked(
    store: &Store,
    addresses: Option<&RecordingAddresses>,
    token: &str,
    now: Timestamp,
    log: &mut RequestLog,
) -> Result<Response<Body>, Problem> {
    log.outcome = "recording by link";
    let recording = store.linked_recording(&token_hash(token), now).await?;
    log.conversation = recording.as_ref().map(|recording| recording.conversation);
    redirect(recording, addresses, now)
}

fn redirect(
    recording: Option<Recording>,
    addresses: Option<&RecordingAddresses>,
    now: Timestamp,
) -> Result<Response<Body>, Problem> {
    let recording = recording.filter(|recording| recording.is_readable(now)).ok_or_else(no_recording)?;
    let address = addresses.and_then(|addresses| addresses.of(&recording.file()));
    let address = address.and_then(|address| HeaderValue::try_from(address).ok()).ok_or_else(Problem::internal)?;
    let mut response = http::empty(StatusCode::FOUND);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, address);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

fn no_recording() -> Problem {
    Problem::not_found("There is no such recording, or not any more, or not yet.")
}
