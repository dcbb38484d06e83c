//! The log line of a request.

use std::time::Duration;

use lambda_http::http::{HeaderName, HeaderValue, Method};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::domain::call::{Direction, LegEvent, Status};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::country::Country;
use crate::domain::decision::Decision;
use crate::domain::judge::Judge;
use crate::edge::http::Problem;
use crate::xray;

/// The header of every answer with the id of the request, which `request_id` of the log line has too.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The log line of one request. The handler of the request fills in the public fields.
#[derive(Debug)]
pub struct RequestLog {
    method: Method,
    route: Option<String>,
    request_id: Option<String>,
    /// The outcome of a request that succeeded, in a few words. The line of a failure shows the problem's kind instead.
    pub outcome: &'static str,
    /// The conversation that the request concerns.
    pub conversation: Option<ConversationId>,
    /// The judges of the participants' phones, those of A and B.
    verified_by: Option<[Judge; 2]>,
    /// Vonage's id of the call that the request concerns.
    pub call: Option<String>,
    /// The news that the request brings for the statistics.
    pub carried: Option<Carried>,
}

/// A call or a text as Vonage reports that it was carried.
#[derive(Debug)]
pub struct Carried {
    /// The country of the participant's phone.
    pub country: Option<Country>,
    /// The news.
    pub news: News,
}

/// The news of a call or a text.
#[derive(Debug)]
pub enum News {
    /// The callee took the call.
    CallAnswered,
    /// A leg ended.
    LegEnded {
        /// The seconds for which the callee's leg was answered. `None` of the caller's leg, and if nobody answered.
        talk: Option<u32>,
        /// The price of the leg in EUR, if Vonage says it.
        cost: Option<Decimal>,
    },
    /// A text was delivered, or was not.
    Text {
        /// Its price in EUR, if Vonage says it.
        cost: Option<Decimal>,
    },
}

impl News {
    /// Returns the news of an event of a leg; `None` if it is none for the statistics.
    pub fn of_leg(event: &LegEvent, direction: Direction) -> Option<Self> {
        let is_callees = direction == Direction::Outbound && !event.facts.placed;
        match event.status {
            Status::Answered if is_callees => Some(Self::CallAnswered),
            status if status.ends() => {
                let talk = event.facts.duration.filter(|seconds| is_callees && *seconds > 0);
                Some(Self::LegEnded { talk, cost: event.facts.price })
            }
            _ => None,
        }
    }
}

impl RequestLog {
    /// The outcome of a call that is connected to the other participant.
    pub const ROUTED: &'static str = Decision::ROUTED;
    /// The outcome of a call whose caller has no conversation on the dialled number.
    pub const UNKNOWN_CALLER: &'static str = Decision::UNKNOWN_CALLER;
    /// The outcome of a call whose caller is hidden.
    pub const HIDDEN_CALLER: &'static str = Decision::HIDDEN_CALLER;
    /// The outcome of a call whose caller id means no phone, or several.
    pub const UNCLEAR_CALLER: &'static str = Decision::UNCLEAR_CALLER;

    /// Starts the log line of a request.
    pub(super) fn new(request: &Request) -> Self {
        let route = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.route_key.clone(),
            _ => None,
        };
        let request_id = request.lambda_context_ref().map(|context| context.request_id.clone());
        let request_id = request_id.filter(|id| !id.is_empty());
        let method = request.method().clone();
        Self {
            method,
            route,
            request_id,
            outcome: "done",
            conversation: None,
            verified_by: None,
            call: None,
            carried: None,
        }
    }

    /// Adds the id of the request to its answer, as it is in the line.
    pub(super) fn sign(&self, response: &mut Response<Body>) {
        let id = self.request_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
        if let Some(id) = id {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }

    /// Takes the conversation that a request created or changed, with the judges of its participants' phones.
    pub fn concerns(&mut self, conversation: &Conversation) {
        self.conversation = Some(conversation.id);
        self.verified_by = Some(conversation.participants.each_ref().map(|participant| participant.verified_by));
    }

    /// Writes the line. The deployment's alarms and dashboard use its metrics.
    pub(super) fn write(&self, function: &'static str, result: &Result<Response<Body>, Problem>, duration: Duration) {
        let status = match result {
            Ok(response) => response.status(),
            Err(problem) => problem.status(),
        };
        let outcome = result.as_ref().map_or_else(Problem::kind, |_| self.outcome);
        let count_if = |happened: bool| happened.then_some(1u64);
        // A webhook without a signature is the sender's fault, although its status is a 5xx.
        let is_refused = outcome == Problem::NOT_SIGNED;
        // It is a 503 while a number is being rented, which is no failure either.
        let lacks_number = outcome == Problem::NO_NUMBER_FREE;
        let (answered, talk, call_cost, text_cost) = match self.carried.as_ref().map(|carried| &carried.news) {
            None => (false, None, None, None),
            Some(News::CallAnswered) => (true, None, None, None),
            Some(News::LegEnded { talk, cost }) => (false, *talk, *cost, None),
            Some(News::Text { cost }) => (false, None, None, *cost),
        };
        let euros = |cost: Option<Decimal>| cost.and_then(|cost| cost.to_f64());
        let is_failure = status.is_server_error() && !is_refused && !lacks_number;
        xray::conclude(status.as_u16(), || {
            [
                ("outcome", Some(outcome.to_owned())),
                ("route", self.route.clone()),
                ("conversation", self.conversation.map(|id| id.to_string())),
                ("call", self.call.clone()),
            ]
        });
        macro_rules! event {
            ($level:expr, $message:literal) => {
                tracing::event!(
                    $level,
                    function,
                    method = %self.method,
                    route = self.route.as_deref(),
                    request_id = self.request_id.as_deref(),
                    status = status.as_u16(),
                    outcome,
                    duration_ms = duration.as_micros() as f64 / 1000.0,
                    conversation.id = self.conversation.map(tracing::field::display),
                    verified_by = self.verified_by.map(|[a, b]| format!("{a},{b}")),
                    call.conversation_uuid = self.call.as_deref(),
                    cause = result.as_ref().err().map(Problem::chain),
                    failures = count_if(is_failure),
                    country = self.carried.as_ref().and_then(|carried| carried.country).map(tracing::field::display),
                    calls_answered = count_if(answered),
                    talk_seconds = talk,
                    call_cost = euros(call_cost),
                    text_cost = euros(text_cost),
                    calls_routed = count_if(outcome == Self::ROUTED),
                    unknown_callers = count_if(outcome == Self::UNKNOWN_CALLER),
                    signatures_refused = count_if(is_refused),
                    unsigned_webhooks = count_if(is_refused && status.is_server_error()),
                    $message
                )
            };
        }
        if is_failure {
            event!(tracing::Level::ERROR, "request failed");
        } else {
            event!(tracing::Level::INFO, "request answered");
        }
    }
}
