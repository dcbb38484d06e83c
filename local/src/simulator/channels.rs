//! WhatsApp and RCS: the account's senders, the phones that use a channel, and the time in which a sender may write to them.
//!
//! Sources: Vonage Messages API 1.11.0 (v1), `inbound-message` and `message-status`; Vonage, "API Errors", Messages API, 1300 and 1340;
//! Vonage, "WhatsApp", customer care window.

use std::collections::{HashMap, HashSet};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Shared;
use super::control::body;
use super::phones;
use super::problem::Problem;

/// A channel with senders of the account's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// WhatsApp, whose sender is a number.
    WhatsApp,
    /// RCS, whose sender is a name.
    Rcs,
}

impl Channel {
    /// Returns the channel of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::WhatsApp, Self::Rcs].into_iter().find(|channel| channel.as_str() == name)
    }

    /// Returns its name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::WhatsApp => "whatsapp",
            Self::Rcs => "rcs",
        }
    }

    /// Returns the length of the longest text, in characters.
    pub(super) fn longest_text(self) -> usize {
        match self {
            Self::WhatsApp => 4_096,
            Self::Rcs => 3_072,
        }
    }

    /// Returns the types of files that can be sent.
    pub(super) fn files(self) -> &'static [&'static str] {
        match self {
            Self::WhatsApp => &["image", "audio", "video", "file"],
            Self::Rcs => &["image", "video", "file"],
        }
    }
}

/// Time after a person's last message in which WhatsApp takes what a sender writes.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// The senders of the account, and who uses the channels.
#[derive(Debug, Default)]
pub(super) struct Channels {
    senders: Vec<(Channel, String)>,
    /// The last message of each phone on each channel.
    written: HashMap<(Channel, String), Timestamp>,
    /// The phones that are not on a channel any more.
    left: HashSet<(Channel, String)>,
}

impl Channels {
    pub(super) fn new(senders: Vec<(Channel, String)>) -> Self {
        Self { senders, ..Self::default() }
    }

    /// True if this is a sender of the account.
    pub(super) fn has_sender(&self, channel: Channel, sender: &str) -> bool {
        self.senders.iter().any(|(one, name)| *one == channel && name == sender)
    }

    /// Notes a message of a phone.
    pub(super) fn note(&mut self, channel: Channel, phone: &str, now: Timestamp) {
        self.written.insert((channel, phone.to_owned()), now);
    }

    /// Returns the code with which a channel rejects a message to a phone, if it does. Who has not written for a day gets no `is_free`
    /// message, but one by a template.
    pub(super) fn rejection(
        &self,
        channel: Channel,
        phone: &str,
        is_free: bool,
        now: Timestamp,
    ) -> Option<&'static str> {
        let key = (channel, phone.to_owned());
        let is_open =
            !is_free || channel == Channel::Rcs || self.written.get(&key).is_some_and(|at| now < *at + WINDOW);
        if self.left.contains(&key) { Some("1300") } else { (!is_open).then_some("1340") }
    }
}

/// A phone that is on a channel, or is not any more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Presence {
    phone: String,
    channel: Channel,
    present: bool,
}

/// Handles `PUT /simulator/channels`.
pub(super) async fn set(State(simulator): Shared, bytes: Bytes) -> Result<StatusCode, Problem> {
    let Presence { phone, channel, present } = body(&bytes)?;
    let key = (channel, phones::digits(&phone));
    let mut channels = simulator.channels();
    if present {
        channels.left.remove(&key);
    } else {
        channels.left.insert(key);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A message of a phone to a sender.
pub(super) struct Written<'a> {
    pub(super) channel: Channel,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) text: &'a str,
    /// The type of its file, and the address.
    pub(super) file: Option<(&'a str, Option<&'a str>)>,
    /// The message that it quotes.
    pub(super) quotes: Option<&'a str>,
}

impl Written<'_> {
    /// Returns its webhook.
    pub(super) fn body(&self, now: Timestamp) -> Map<String, Value> {
        let mut body = json!({
            "channel": self.channel.as_str(),
            "message_uuid": Uuid::new_v4().to_string(),
            "to": self.to,
            "from": self.from,
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "context_status": if self.quotes.is_some() { "available" } else { "none" },
        });
        match self.file {
            None => (body["message_type"], body["text"]) = (json!("text"), json!(self.text)),
            Some((kind, url)) => {
                let own = || format!("https://api-eu.nexmo.com/v3/media/{}", Uuid::new_v4());
                let mut file = json!({"url": url.map_or_else(own, str::to_owned), "name": format!("a.{kind}")});
                if !self.text.is_empty() {
                    file["caption"] = json!(self.text);
                }
                (body["message_type"], body[kind]) = (json!(kind), file);
            }
        }
        if self.channel == Channel::WhatsApp {
            body["profile"] = json!({"name": "Jane Smith"});
        }
        if let Some(quoted) = self.quotes {
            body["context"] = json!({"message_uuid": quoted, "message_from": self.to});
        }
        body.as_object().cloned().unwrap_or_default()
    }
}
