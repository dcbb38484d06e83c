//! The part of Vonage that places calls and lists them. An answer may get lost after a call was placed, or the request before.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::{Clock, ManualClock};
use shared::domain::conversation::ConversationId;

/// The fate of a request to place a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialling {
    Placed,
    Refused,
    /// The call is placed, and the answer gets lost.
    PlacedUnheard,
    /// No call is placed, and the answer does not say so.
    Unheard,
}

/// A call that was placed.
#[derive(Debug, Clone, PartialEq)]
pub struct DialledCall {
    pub id: usize,
    pub at: Timestamp,
    pub to: String,
    pub from: String,
    /// The conversation in the address of its events.
    pub conversation: ConversationId,
}

/// Vonage with prepared fates.
#[derive(Clone)]
pub struct Voice {
    state: Arc<Mutex<Dialled>>,
    clock: ManualClock,
}

#[derive(Default)]
struct Dialled {
    fates: VecDeque<Dialling>,
    calls: Vec<DialledCall>,
}

#[derive(Deserialize)]
struct Since {
    date_start: Timestamp,
}

impl DialledCall {
    /// Vonage's id of the call.
    pub fn uuid(&self) -> String {
        format!("CON-placed-{}", self.id)
    }

    fn shown(&self) -> Value {
        json!({"uuid": format!("placed-{}", self.id), "conversation_uuid": self.uuid(), "status": "started",
               "to": {"type": "phone", "number": self.to}, "from": {"type": "phone", "number": self.from}})
    }
}

impl Voice {
    pub fn new(clock: &ManualClock) -> Self {
        Self { state: Arc::default(), clock: clock.clone() }
    }

    /// Prepares the fate of the next request of this step. All later ones are placed.
    pub fn expect(&self, fate: Dialling) {
        self.state.lock().unwrap().fates.push_back(fate);
    }

    /// Forgets the fates that are left: of requests that were not sent.
    pub fn forget_fates(&self) {
        self.state.lock().unwrap().fates.clear();
    }

    /// Returns all calls, oldest first.
    pub fn calls(&self) -> Vec<DialledCall> {
        self.state.lock().unwrap().calls.clone()
    }

    pub fn router(self) -> Router {
        Router::new().route("/v1/calls", get(list).post(create)).with_state(self)
    }
}

async fn create(State(voice): State<Voice>, Json(body): Json<Value>) -> Response {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let address = text("/event_url/0");
    let conversation = address.split('/').find_map(|part| ConversationId::try_from(part).ok()).unwrap();
    let mut state = voice.state.lock().unwrap();
    let fate = state.fates.pop_front().unwrap_or(Dialling::Placed);
    let (id, at) = (state.calls.len(), voice.clock.now());
    let call = DialledCall { id, at, to: text("/to/0/number"), from: text("/from/number"), conversation };
    if let Dialling::Placed | Dialling::PlacedUnheard = fate {
        state.calls.push(call.clone());
    }
    match fate {
        Dialling::Placed => (StatusCode::CREATED, Json(call.shown())).into_response(),
        Dialling::Refused => StatusCode::BAD_REQUEST.into_response(),
        Dialling::PlacedUnheard | Dialling::Unheard => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn list(State(voice): State<Voice>, Query(since): Query<Since>) -> Json<Value> {
    let state = voice.state.lock().unwrap();
    let shown = state.calls.iter().filter(|call| since.date_start <= call.at).map(DialledCall::shown);
    Json(json!({"_embedded": {"calls": shown.collect::<Vec<_>>()}}))
}
