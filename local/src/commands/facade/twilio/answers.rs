//! The resources as Twilio's API shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::scope::Scope;
use super::super::time;
use super::client::Client;
use super::participant_sid;
use super::sessions::{Session, State};

/// Returns a Service, which is a name here, and has no settings.
pub(super) fn service(client: &Client, scope: &Scope) -> Value {
    let url = client.url(&["Services", &scope.id]);
    json!({
        "sid": scope.id, "unique_name": scope.tenant.as_ref().map(|tenant| tenant.as_str()), "account_sid": client.account,
        "chat_instance_sid": null, "callback_url": null, "intercept_callback_url": null, "out_of_session_callback_url": null,
        "default_ttl": 0, "geo_match_level": "country", "number_selection_behavior": "prefer-sticky",
        "date_created": null, "date_updated": null, "url": url, "links": {"sessions": format!("{url}/Sessions")},
    })
}

/// Returns a Session.
pub(super) fn session(client: &Client, scope: &Scope, session: &Session) -> Value {
    let url = client.url(&["Services", &scope.id, "Sessions", &session.sid]);
    let times = Times::of(session);
    let (status, closed_reason) = status(session, &times);
    let ttl = match &session.state {
        State::Waiting(waiting) => json!(waiting.ttl.unwrap_or(0)),
        State::Paired(paired, conversation) => match paired.ttl {
            Some(ttl) => json!(ttl),
            None => conversation.get("extend_on_use").cloned().unwrap_or(json!(0)),
        },
    };
    let unique_name = session.unique_name.clone().map(Value::String).or_else(|| match &session.state {
        State::Waiting(_) => None,
        State::Paired(_, conversation) => conversation.get("reference").filter(|name| **name != session.sid).cloned(),
    });
    json!({
        "sid": session.sid, "service_sid": scope.id, "account_sid": client.account, "unique_name": unique_name,
        "status": status, "closed_reason": closed_reason, "mode": "voice-and-message", "ttl": ttl,
        "date_created": written(times.created), "date_updated": written(times.created),
        "date_started": written(times.first_use), "date_last_interaction": written(times.last_use),
        "date_expiry": written(times.expiry), "date_ended": written(times.ended),
        "url": url,
        "links": {"interactions": format!("{url}/Interactions"), "participants": format!("{url}/Participants")},
    })
}

/// Returns the participant at a place of a Session. As long as it is alone, nobody knows the number that it will dial.
pub(super) fn participant(client: &Client, scope: &Scope, session: &Session, place: usize) -> Value {
    let sid = participant_sid(&session.sid, place);
    let url = client.url(&["Services", &scope.id, "Sessions", &session.sid, "Participants", &sid]);
    let (identifier, friendly_name, dials) = match &session.state {
        State::Waiting(waiting) => {
            let person = waiting.people.get(place);
            let friendly_name = person.and_then(|person| person.friendly_name.clone());
            (json!(person.map(|person| &person.identifier)), friendly_name, Value::Null)
        }
        State::Paired(paired, conversation) => {
            let side = &conversation["participants"][place];
            let friendly_name = paired.friendly_names.get(place).cloned().flatten();
            (side["number"].clone(), friendly_name, side["dials"].clone())
        }
    };
    let created = written(Times::of(session).created);
    json!({
        "sid": sid, "session_sid": session.sid, "service_sid": scope.id, "account_sid": client.account,
        "identifier": identifier, "friendly_name": friendly_name, "proxy_identifier": dials, "proxy_identifier_sid": null,
        "date_created": created, "date_updated": created, "date_deleted": null, "url": url,
        "links": {"message_interactions": format!("{url}/MessageInteractions")},
    })
}

/// The times of a Session.
struct Times {
    created: Option<Timestamp>,
    expiry: Option<Timestamp>,
    ended: Option<Timestamp>,
    first_use: Option<Timestamp>,
    last_use: Option<Timestamp>,
}

impl Times {
    fn of(session: &Session) -> Self {
        match &session.state {
            State::Waiting(waiting) => Self {
                created: Some(waiting.created_at),
                expiry: waiting.date_expiry,
                ended: waiting.closed_at,
                first_use: None,
                last_use: None,
            },
            State::Paired(_, conversation) => {
                let each = |list: &str, name: &'static str| {
                    let list = conversation[list].as_array().cloned().unwrap_or_default();
                    list.into_iter().filter_map(move |one| time(&one, name))
                };
                let uses: Vec<Timestamp> = each("calls", "started_at")
                    .chain(each("calls", "ended_at"))
                    .chain(each("texts", "received_at"))
                    .collect();
                let expiry = time(conversation, "expires_at");
                let ended = time(conversation, "ended_at").or(expiry.filter(|_| conversation["state"] == "expired"));
                let created = time(conversation, "created_at");
                Self {
                    created,
                    expiry,
                    ended,
                    first_use: uses.iter().min().copied(),
                    last_use: uses.iter().max().copied(),
                }
            }
        }
    }
}

/// Returns the status, and the reason why it is closed.
fn status(session: &Session, times: &Times) -> (&'static str, Option<&'static str>) {
    match &session.state {
        State::Paired(_, conversation) if conversation["state"] == "expired" => ("closed", Some("expired")),
        _ if session.is_closed() => ("closed", Some("api")),
        _ if times.first_use.is_some() => ("in-progress", None),
        _ => ("open", None),
    }
}

/// Writes a time to the second, as Twilio does.
pub(super) fn written(time: Option<Timestamp>) -> Option<String> {
    time.and_then(|time| Timestamp::from_second(time.as_second()).ok()).map(|time| time.to_string())
}
