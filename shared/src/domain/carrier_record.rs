//! Records that the carrier stores about a conversation. When the conversation is erased here, the carrier is asked to redact
//! them. Their ids contain no personal data.

use serde::{Deserialize, Serialize};

use crate::domain::call::{Direction, Leg};
use crate::domain::channel::Channel;

/// One record at the carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierRecord {
    /// The carrier's id: the `uuid` of a leg, the `message-id` of a part of a text message or its `message_uuid`, the
    /// `request_id` of a number lookup.
    pub id: String,
    /// Its kind.
    pub product: Product,
    /// Its direction, seen from the carrier.
    pub direction: Direction,
    /// The channel of a message, if it is not SMS or MMS and if it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
}

/// A kind of record, in the words of Vonage's Redact API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// A leg of a call.
    Voice,
    /// A part of a text message.
    Sms,
    /// A text message that came or was sent by the Messages API.
    Messages,
    /// A number lookup.
    NumberInsight,
}

impl Product {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::NumberInsight, Self::Sms, Self::Voice, Self::Messages];

    /// Returns its position in [`Product::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::NumberInsight => 0,
            Self::Sms => 1,
            Self::Voice => 2,
            Self::Messages => 3,
        }
    }

    /// Returns Vonage's word for the product.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Sms => "sms",
            Self::Messages => "messages",
            Self::NumberInsight => "number-insight",
        }
    }
}

impl CarrierRecord {
    /// Returns the record of a leg.
    pub fn of_leg(uuid: &str, direction: Direction) -> Self {
        Self { id: uuid.to_owned(), product: Product::Voice, direction, channel: None }
    }

    /// Returns the record of one part of a text message that the SMS API sent.
    pub fn of_text(message_id: String) -> Self {
        Self { id: message_id, product: Product::Sms, direction: Direction::Outbound, channel: None }
    }

    /// Returns the record of a text message that the Messages API sent.
    pub fn of_message(message_uuid: String) -> Self {
        Self { id: message_uuid, product: Product::Messages, direction: Direction::Outbound, channel: None }
    }

    /// Returns the record of a message that the Messages API sent on a channel.
    pub fn of_message_on(channel: Channel, message_uuid: String) -> Self {
        Self { channel: Some(channel), ..Self::of_message(message_uuid) }
    }

    /// Returns the record of a part of a text of which nothing else is known. The ids of the Messages API are UUIDs, and those of the SMS
    /// API have no hyphen.
    ///
    /// Sources: Vonage Messages API v1, `message_uuid`; Vonage SMS API 1.5.1, `message-id`.
    pub fn of_part(id: String) -> Self {
        if id.contains('-') { Self::of_message(id) } else { Self::of_text(id) }
    }

    /// Returns the record of a number lookup.
    pub fn of_lookup(request_id: String) -> Self {
        Self { id: request_id, product: Product::NumberInsight, direction: Direction::Outbound, channel: None }
    }
}

impl From<&Leg> for CarrierRecord {
    fn from(leg: &Leg) -> Self {
        Self::of_leg(&leg.uuid, leg.direction)
    }
}
