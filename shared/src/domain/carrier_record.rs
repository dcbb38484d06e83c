//! What the carrier keeps of a conversation for itself, known by the ids that it gave: what it is asked to redact when
//! the conversation is erased. An id says nothing of anybody.

use serde::{Deserialize, Serialize};

use crate::domain::call::{Direction, Leg};

/// A record of the carrier's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierRecord {
    /// The carrier's id: of a leg its `uuid`, of each part of a text its `message-id`, of a lookup its `request_id`.
    pub id: String,
    /// Of which kind it is.
    pub product: Product,
    /// Which way that went, seen from the carrier.
    pub direction: Direction,
}

/// A kind of records, in the words of Vonage's Redact API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// A leg of a call.
    Voice,
    /// A part of a text message.
    Sms,
    /// A number that was looked up.
    NumberInsight,
}

impl Product {
    /// The product's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Sms => "sms",
            Self::NumberInsight => "number-insight",
        }
    }
}

impl CarrierRecord {
    /// The record of a leg.
    pub fn of_leg(uuid: &str, direction: Direction) -> Self {
        Self { id: uuid.to_owned(), product: Product::Voice, direction }
    }

    /// The record of a part of a text message that was sent.
    pub fn of_text(message_id: String) -> Self {
        Self { id: message_id, product: Product::Sms, direction: Direction::Outbound }
    }

    /// The record of a lookup.
    pub fn of_lookup(request_id: String) -> Self {
        Self { id: request_id, product: Product::NumberInsight, direction: Direction::Outbound }
    }
}

impl From<&Leg> for CarrierRecord {
    fn from(leg: &Leg) -> Self {
        Self::of_leg(&leg.uuid, leg.direction)
    }
}
