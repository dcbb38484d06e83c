//! `POST /erasures` and `GET /erasures/{id}`.

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::{Deserialize, Serialize};
use shared::domain::country::Country;
use shared::domain::number_erasure::{ErasureId, NumberErasure};
use shared::domain::phone::parse;
use shared::edge::http::{self, Problem};
use shared::service::forget::Forgetter;
use shared::store::Store;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErasureBody {
    number: String,
    #[serde(default)]
    country: Option<Country>,
}

/// An erasure by number, as the API returns it.
#[derive(Serialize)]
struct ErasureView {
    id: ErasureId,
    state: State,
    requested_at: Timestamp,
    conversations_erased: u64,
    #[serde(skip_serializing_if = "is_zero")]
    conversations_failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    done_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Running,
    Done,
}

impl From<NumberErasure> for ErasureView {
    fn from(erasure: NumberErasure) -> Self {
        let NumberErasure { id, conversations_erased, conversations_failed, done_at, .. } = erasure;
        let state = if done_at.is_some() { State::Done } else { State::Running };
        Self { id, state, requested_at: id.requested_at(), conversations_erased, conversations_failed, done_at }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Begins an erasure by number.
pub(crate) async fn begin(forgetter: &Forgetter<'_>, request: &Request) -> Result<Response<Body>, Problem> {
    let ErasureBody { number, country } = http::read_json(request)?;
    let number = parse::read(&number, country)?.into();
    let erasure = forgetter.begin(&number).await?;
    Ok(http::json(StatusCode::ACCEPTED, &ErasureView::from(erasure)))
}

/// Shows an erasure by number.
pub(crate) async fn show(store: &Store, request: &Request, now: Timestamp) -> Result<Response<Body>, Problem> {
    let erasure = store.number_erasure(http::erasure_id(request)?, now).await?.ok_or_else(http::no_erasure)?;
    Ok(http::json(StatusCode::OK, &ErasureView::from(erasure)))
}
