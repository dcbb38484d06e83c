//! Interactions: the calls and texts of a conversation.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use ulid::Ulid;

use super::super::scope::Scope;
use super::super::time;
use super::answers::written;
use super::client::Client;
use super::refusal::Refusal;
use super::sessions::{Session, State};
use super::{Proxy, hex, participant_sid};

/// The most calls, and the most texts, that are read for a list of both in the order of time.
const MOST: usize = 1000;

/// A call or a text.
struct Interaction {
    sid: String,
    at: Option<Timestamp>,
    body: Value,
}

/// Part of an Interaction: what came from one participant, or what went to the other.
struct Part {
    place: Option<usize>,
    sid: Option<String>,
    status: &'static str,
}

impl Proxy {
    /// Returns all Interactions of a Session, the latest first.
    pub(super) async fn interactions(
        &self,
        client: &Client,
        scope: &Scope,
        session: &Session,
    ) -> Result<Vec<Value>, Refusal> {
        let State::Paired(paired, conversation) = &session.state else { return Ok(Vec::new()) };
        let path = ["conversations", paired.conversation.as_str()];
        let calls = self.all(scope, &path, ["calls", "calls_next", "calls_limit", "calls_cursor"]).await?;
        let texts = self.all(scope, &[path[0], path[1], "texts"], ["texts", "next", "limit", "cursor"]).await?;
        let calls = calls.iter().map(|one| call(one, session, conversation));
        let mut interactions: Vec<_> = calls.chain(texts.iter().map(|one| text(one, session))).collect();
        interactions.sort_by_key(|one| std::cmp::Reverse(one.at));
        Ok(interactions.into_iter().map(|one| one.show(client, scope, session)).collect())
    }

    /// Reads all pages of a list, up to a limit.
    async fn all(
        &self,
        scope: &Scope,
        path: &[&str],
        [list, next, limit, cursor]: [&'static str; 4],
    ) -> Result<Vec<Value>, Refusal> {
        let (mut all, mut from): (Vec<Value>, Option<String>) = (Vec::new(), None);
        loop {
            let call = scope.call(Method::GET, path).query(limit, Some(100)).query(cursor, from.as_ref());
            let mut page = self.api.send(call).await?;
            if let Value::Array(entries) = page[list].take() {
                all.extend(entries);
            }
            match page[next].as_str() {
                None => return Ok(all),
                Some(_) if all.len() >= MOST => {
                    return Err(Refusal::not_here(
                        "list more than 1000 calls or texts of a Session; read the conversation",
                    ));
                }
                Some(next) => from = Some(next.to_owned()),
            }
        }
    }

    /// Writes a text to a participant, and returns it as a MessageInteraction.
    pub(super) async fn write(
        &self,
        client: &Client,
        scope: &Scope,
        session: &Session,
        participant: &str,
        words: &str,
    ) -> Result<Value, Refusal> {
        let place = session.place(participant)?;
        let State::Paired(paired, _) = &session.state else {
            return Err(Refusal::not_here("send a message before the Session has two Participants"));
        };
        let body = json!({"to": if place == 0 { "a" } else { "b" }, "text": words});
        let key = format!("facade-{}", uuid::Uuid::new_v4());
        let call = scope.call(Method::POST, &["conversations", &paired.conversation, "texts"]);
        let sent = self.api.send(call.body(&body).idempotency_key(&key)).await?;
        Ok(as_message(text(&sent, session).show(client, scope, session), participant))
    }
}

/// Returns an Interaction as one of a participant.
pub(super) fn as_message(mut interaction: Value, participant: &str) -> Value {
    interaction["participant_sid"] = json!(participant);
    let url = interaction["url"].as_str().unwrap_or_default();
    interaction["url"] =
        json!(url.replace("/Interactions/", &format!("/Participants/{participant}/MessageInteractions/")));
    interaction
}

/// Returns true if it is a message of the backend to a participant.
pub(super) fn is_message_to(interaction: &Value, participant: &str) -> bool {
    interaction["type"] == "message"
        && interaction["inbound_participant_sid"].is_null()
        && interaction["outbound_participant_sid"] == participant
}

impl Interaction {
    fn new(
        sid: String,
        kind: &str,
        at: Option<Timestamp>,
        data: &Value,
        parts: [Option<Part>; 2],
        session: &Session,
    ) -> Self {
        let resource = if kind == "voice" { "call" } else { "message" };
        let mut body = json!({"sid": sid, "type": kind, "data": data.to_string()});
        for (way, part) in ["inbound", "outbound"].into_iter().zip(parts) {
            let (place, resource_sid, status) =
                part.map_or((None, None, None), |part| (part.place, part.sid, Some(part.status)));
            body[format!("{way}_participant_sid")] = json!(place.map(|place| participant_sid(&session.sid, place)));
            body[format!("{way}_resource_type")] = json!(status.map(|_| resource));
            body[format!("{way}_resource_sid")] = json!(resource_sid);
            body[format!("{way}_resource_status")] = json!(status);
            body[format!("{way}_resource_url")] = Value::Null;
        }
        Self { sid, at, body }
    }

    fn show(self, client: &Client, scope: &Scope, session: &Session) -> Value {
        let Self { sid, at, mut body } = self;
        let path = ["Services", &scope.id, "Sessions", &session.sid, "Interactions", &sid];
        body["url"] = json!(client.url(&path));
        body["session_sid"] = json!(session.sid);
        body["service_sid"] = json!(scope.id);
        body["account_sid"] = json!(client.account);
        body["date_created"] = json!(written(at));
        body["date_updated"] = json!(written(at));
        body
    }
}

/// Returns a call. Of several phones that rang, the last one counts.
fn call(call: &Value, session: &Session, conversation: &Value) -> Interaction {
    let uuid = call["conversation_uuid"].as_str().unwrap_or_default();
    let place_of = |phone: &Value| {
        let mut sides = conversation["participants"].as_array().into_iter().flatten();
        let has = |side: &Value| {
            let mut further = side["phones"].as_array().into_iter().flatten();
            side["number"] == *phone || further.any(|other| other["number"] == *phone)
        };
        sides.position(|side| !phone.is_null() && has(side))
    };
    let legs = call["legs"].as_array().cloned().unwrap_or_default();
    let part = |leg: Option<&Value>, phone: &Value| {
        leg.map(|leg| Part {
            place: place_of(phone),
            sid: leg["uuid"].as_str().map(|uuid| resource_sid("CA", uuid)),
            status: call_status(leg["status"].as_str().unwrap_or_default()),
        })
    };
    // The caller's leg is the first one, and the others are outbound.
    let (first, last) = (legs.first(), legs.get(1..).and_then(<[_]>::last));
    let parts = [part(first, &call["caller"]), part(last, &call["callee"])];
    let data = match call["duration"].as_u64() {
        Some(seconds) => json!({"duration": seconds.to_string()}),
        None => json!({}),
    };
    Interaction::new(resource_sid("KI", uuid), "voice", time(call, "started_at"), &data, parts, session)
}

/// Returns a text between the two, or one of the backend.
fn text(text: &Value, session: &Session) -> Interaction {
    let id = text["id"].as_str().unwrap_or_default();
    let bits = id.parse::<Ulid>().map_or_else(|_| hex(id), |id| format!("{:032x}", id.0));
    let place = |side: &str| match text[side].as_str() {
        Some("a") => Some(0),
        Some("b") => Some(1),
        _ => None,
    };
    let inbound =
        place("from").map(|place| Part { place: Some(place), sid: Some(format!("SM{bits}")), status: "received" });
    let status = match text["state"].as_str().unwrap_or_default() {
        "sending" => "sending",
        "sent" => "sent",
        "delivered" => "delivered",
        "failed" => "failed",
        _ => "delivery-unknown",
    };
    let outbound = Part { place: place("to"), sid: Some(format!("SM{bits}")), status };
    let data = match text["text"].as_str() {
        Some(words) => json!({"body": words}),
        None => json!({}),
    };
    let parts = [inbound, Some(outbound)];
    Interaction::new(format!("KI{bits}"), "message", time(text, "received_at"), &data, parts, session)
}

/// Returns the Sid of what has one of Vonage's ids, which mostly are UUIDs: the same 128 bits.
fn resource_sid(prefix: &str, id: &str) -> String {
    let uuid = uuid::Uuid::try_parse(id.trim_start_matches("CON-"));
    uuid.map_or_else(|_| format!("{prefix}{}", hex(id)), |uuid| format!("{prefix}{}", uuid.simple()))
}

fn call_status(status: &str) -> &'static str {
    match status {
        "started" => "initiated",
        "ringing" => "ringing",
        "answered" | "human" | "machine" => "in-progress",
        "completed" | "disconnected" => "completed",
        "busy" => "busy",
        "cancelled" => "canceled",
        "timeout" | "unanswered" => "no-answer",
        "rejected" | "failed" => "failed",
        _ => "unknown",
    }
}
