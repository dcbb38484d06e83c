//! The calls of the account: their legs as the Voice API shows them, and the way to those that are up.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::call::{CallRequest, Command, Deed};
use super::leg::Leg;
use super::report::CallReport;

/// Time after its creation in which a leg accepts no command. Source: a Vonage support article.
const SETTLING: SignedDuration = SignedDuration::from_secs(2);
/// Most calls that the application creates in a second. Source: Vonage Voice API, "Throttling".
const CALLS_PER_SECOND: usize = 3;

/// Most legs that can be read. Older ones are forgotten.
const MOST_LEGS: usize = 10_000;

/// A leg, as it was recorded last.
#[derive(Debug)]
pub(super) struct LegRecord {
    leg: Leg,
    /// `conversation_uuid` of the call that it began in.
    call: String,
    created_at: Timestamp,
}

impl LegRecord {
    /// Returns the leg as the Voice API shows it. Source: Vonage Voice API, "Get detail of a specific call".
    pub(super) fn show(&self) -> Value {
        let leg = &self.leg;
        let phone = |number: &str| json!({"type": "phone", "number": number});
        let mut shown = json!({
            "_links": {"self": {"href": format!("/calls/{}", leg.uuid)}},
            "uuid": leg.uuid,
            "conversation_uuid": leg.conversation_uuid,
            "to": phone(&leg.to),
            "from": leg.from.as_deref().map(phone),
            "status": leg.status(),
            "direction": leg.direction,
            "rate": format!("{:.8}", leg.rate),
            "network": leg.network,
        });
        if let (Some(start), Some(duration), Some(price)) = (leg.answered_at, leg.duration, leg.price) {
            let end = start.checked_add(SignedDuration::from_secs(duration)).unwrap_or(start);
            let mut more = Map::new();
            more.insert("duration".into(), json!(duration.to_string()));
            more.insert("price".into(), json!(format!("{price:.8}")));
            more.insert("start_time".into(), json!(spaced(start)));
            more.insert("end_time".into(), json!(spaced(end)));
            shown.as_object_mut().into_iter().for_each(|shown| shown.extend(more.clone()));
        }
        shown
    }
}

/// Formats a time as `2020-01-01 12:00:00`, the format of the Voice API.
fn spaced(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A filter of legs.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) status: Option<String>,
    pub(super) conversation_uuid: Option<String>,
    pub(super) date_start: Option<Timestamp>,
    pub(super) date_end: Option<Timestamp>,
}

impl Filter {
    fn has(&self, record: &LegRecord) -> bool {
        self.status.as_deref().is_none_or(|status| record.leg.status() == status)
            && self.conversation_uuid.as_deref().is_none_or(|uuid| record.leg.conversation_uuid == uuid)
            && self.date_start.is_none_or(|start| record.created_at >= start)
            && self.date_end.is_none_or(|end| record.created_at <= end)
    }
}

/// The reason for which a leg accepts no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not exist, or it has ended.
    NotFound,
    /// It is too new.
    TooEarly,
}

/// The calls of the account.
#[derive(Default)]
pub(super) struct Calls {
    legs: Vec<LegRecord>,
    places: HashMap<String, usize>,
    /// Calls that accept commands, by `conversation_uuid`.
    live: BTreeMap<String, UnboundedSender<Command>>,
    /// Last reports of calls that accepted commands.
    ended: BTreeMap<String, CallReport>,
    /// Times of the last calls that the application has created.
    created: VecDeque<Timestamp>,
    /// Behaviour of the phones in calls that the application creates.
    pub(super) script: Option<CallRequest>,
}

impl Calls {
    /// Stores the state of the legs of a call.
    pub(super) fn record<'a>(&mut self, legs: impl Iterator<Item = &'a Leg>, now: Timestamp) {
        for leg in legs {
            match self.places.get(&leg.uuid) {
                Some(place) => self.legs[*place].leg = leg.clone(),
                None => {
                    self.forget_old_legs();
                    self.places.insert(leg.uuid.clone(), self.legs.len());
                    let call = leg.conversation_uuid.clone();
                    self.legs.push(LegRecord { leg: leg.clone(), call, created_at: now });
                }
            }
        }
    }

    fn forget_old_legs(&mut self) {
        if self.legs.len() == MOST_LEGS {
            self.legs.drain(..MOST_LEGS / 2);
            let places = self.legs.iter().enumerate();
            self.places = places.map(|(place, record)| (record.leg.uuid.clone(), place)).collect();
        }
    }

    pub(super) fn leg(&self, uuid: &str) -> Option<&LegRecord> {
        self.legs.get(*self.places.get(uuid)?)
    }

    /// Returns the legs, oldest first.
    pub(super) fn legs(&self, filter: &Filter) -> Vec<&LegRecord> {
        self.legs.iter().filter(|record| filter.has(record)).collect()
    }

    /// Adds a call that accepts commands.
    pub(super) fn start(&mut self, conversation_uuid: &str, commands: UnboundedSender<Command>) {
        self.live.insert(conversation_uuid.to_owned(), commands);
    }

    /// Stores the last report of a call that accepted commands.
    pub(super) fn end(&mut self, conversation_uuid: &str, report: CallReport) {
        if self.live.remove(conversation_uuid).is_some() {
            self.ended.insert(conversation_uuid.to_owned(), report);
        }
    }

    /// Sends a command to a leg that is up.
    pub(super) fn command(&self, uuid: &str, deed: Deed, now: Timestamp) -> Result<(), Refusal> {
        let record = self.leg(uuid).filter(|record| !record.leg.is_over()).ok_or(Refusal::NotFound)?;
        let commands = self.live.get(&record.call).ok_or(Refusal::NotFound)?;
        if now.duration_since(record.created_at) < SETTLING {
            return Err(Refusal::TooEarly);
        }
        commands.send(Command { leg: uuid.to_owned(), deed }).map_err(|_| Refusal::NotFound)
    }

    /// Sends a command to a call as a whole. Returns false if it is not up.
    pub(super) fn command_call(&self, conversation_uuid: &str, deed: Deed) -> bool {
        let commands = self.live.get(conversation_uuid);
        commands.is_some_and(|commands| commands.send(Command { leg: String::new(), deed }).is_ok())
    }

    /// Returns the last report of a call that accepted commands.
    pub(super) fn last_report(&self, conversation_uuid: &str) -> Option<CallReport> {
        self.ended.get(conversation_uuid).cloned()
    }

    /// Returns the receiver of the next report of a call, after all commands so far.
    pub(super) fn next_report(&self, conversation_uuid: &str) -> Option<oneshot::Receiver<CallReport>> {
        let (reply, report) = oneshot::channel();
        self.command_call(conversation_uuid, Deed::Report(reply)).then_some(report)
    }

    /// Counts a new call of the application. Returns false above the limit.
    pub(super) fn admit(&mut self, now: Timestamp) -> bool {
        let second = SignedDuration::from_secs(1);
        self.created.retain(|at| now.duration_since(*at) < second);
        let admitted = self.created.len() < CALLS_PER_SECOND;
        if admitted {
            self.created.push_back(now);
        }
        admitted
    }
}
