//! The part of Vonage that places calls, lists them and ends them. An answer may get lost after a call was placed, or the request
//! before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::{Clock, ManualClock};
use shared::domain::conversation::ConversationId;

use crate::recordings::SOUND;

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
    /// The legs of calls that people have dialled, by their ids.
    legs: BTreeMap<String, Leg>,
    /// The files of recordings that are not there yet, each with the number of requests that fail before.
    late_files: BTreeMap<String, u8>,
}

struct Leg {
    call: String,
    is_up: bool,
    /// True if it refuses the first command, as a new leg does.
    is_new: bool,
}

/// The question for legs: of one call, or for all that a request placed since a time.
#[derive(Deserialize)]
struct Wanted {
    conversation_uuid: Option<String>,
    date_start: Option<Timestamp>,
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

    /// Begins a leg, unless it was begun before.
    pub fn begin_leg(&self, call: &str, leg: &str) {
        let legs = &mut self.state.lock().unwrap().legs;
        let is_new = legs.len().is_multiple_of(3);
        legs.entry(leg.to_owned()).or_insert_with(|| Leg { call: call.to_owned(), is_up: true, is_new });
    }

    /// Ends a leg, as its phone or the other one does.
    pub fn end_leg(&self, leg: &str) {
        self.state.lock().unwrap().legs.entry(leg.to_owned()).and_modify(|leg| leg.is_up = false);
    }

    /// Ends all legs of a call.
    pub fn end_call(&self, call: &str) {
        let legs = &mut self.state.lock().unwrap().legs;
        legs.values_mut().filter(|leg| leg.call == call).for_each(|leg| leg.is_up = false);
    }

    /// Gives the file of a recording only after so many requests.
    pub fn delay_file(&self, recording: &str, requests: u8) {
        self.state.lock().unwrap().late_files.insert(recording.to_owned(), requests);
    }

    /// Returns the legs of a call that are up.
    pub fn up(&self, call: &str) -> Vec<String> {
        let legs = &self.state.lock().unwrap().legs;
        legs.iter().filter(|(_, leg)| leg.call == call && leg.is_up).map(|(uuid, _)| uuid.clone()).collect()
    }

    pub fn router(self) -> Router {
        let calls = get(list).post(create);
        let legs = Router::new().route("/v1/calls", calls).route("/v1/calls/{leg}", put(hang_up));
        legs.route("/v1/files/{recording}", get(file)).with_state(self)
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

async fn list(State(voice): State<Voice>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let state = voice.state.lock().unwrap();
    let shown: Vec<Value> = match wanted {
        Wanted { conversation_uuid: Some(call), .. } => {
            let of_call = state.legs.iter().filter(|(_, leg)| leg.call == call);
            let status = |leg: &Leg| if leg.is_up { "answered" } else { "completed" };
            of_call.map(|(uuid, leg)| json!({"uuid": uuid, "conversation_uuid": call, "status": status(leg)})).collect()
        }
        Wanted { date_start, .. } => {
            let since = state.calls.iter().filter(|call| date_start.is_none_or(|start| start <= call.at));
            since.map(DialledCall::shown).collect()
        }
    };
    Json(json!({"_embedded": {"calls": shown}}))
}

async fn hang_up(State(voice): State<Voice>, Path(leg): Path<String>) -> StatusCode {
    let mut state = voice.state.lock().unwrap();
    let Some(leg) = state.legs.get_mut(&leg).filter(|leg| leg.is_up) else { return StatusCode::NOT_FOUND };
    if std::mem::take(&mut leg.is_new) {
        return StatusCode::BAD_REQUEST;
    }
    leg.is_up = false;
    StatusCode::NO_CONTENT
}

/// Gives a file. One that is late is not there, or makes Vonage fail.
async fn file(State(voice): State<Voice>, Path(recording): Path<String>) -> Response {
    match voice.state.lock().unwrap().late_files.get_mut(&recording).filter(|left| **left > 0) {
        None => SOUND.into_response(),
        Some(left) => {
            *left -= 1;
            let is_slow = *left % 2 == 0;
            if is_slow { StatusCode::NOT_FOUND } else { StatusCode::INTERNAL_SERVER_ERROR }.into_response()
        }
    }
}
