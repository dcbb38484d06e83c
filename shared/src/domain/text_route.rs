//! The decision about a text: whom it reaches. It is that about a call, except that a text can wait on a phone outside its hours.

use jiff::{SignedDuration, Timestamp};

use crate::domain::conversation::ConversationId;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{KeyOwner, Route};
use crate::domain::side::Side;

/// Time before the beginning of a route in which a text still belongs to it, because clocks differ. Nobody else had the key then:
/// a quarantine is at least as long.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

/// The fate of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextRoute {
    /// It is passed on to the other participant.
    Relay(Relay),
    /// It reaches nobody.
    Nowhere {
        /// The reason.
        reason: Nowhere,
        /// The conversation, if there is or was one.
        conversation: Option<ConversationId>,
    },
}

/// The way of a text to the other participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The conversation.
    pub conversation: ConversationId,
    /// The side that wrote it.
    pub from: Side,
    /// The phone that gets it.
    pub to: RealNumber,
    /// The number that masks the writer.
    pub present_as: VirtualNumber,
    /// The end of the quarantine of the conversation, as far as it is known now.
    pub quarantined_until: Timestamp,
}

/// The reason for which a text reaches nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nowhere {
    /// The conversation is over, or had not begun when the text was written.
    Over,
    /// The writer is blocked, or a limit of the conversation is reached.
    Unavailable,
    /// The writer only receives by this number.
    ReceivesOnly,
    /// The writer has no conversation by this number.
    Unknown,
    /// The writer has several conversations on this channel, and does not say which one is meant.
    Several,
}

impl TextRoute {
    /// Returns the fate of a text that was written at `written_at`, given the owner of its route key at `now`. It may come after
    /// hours, when somebody else has the key, and never reaches that one.
    pub fn of(owner: Option<KeyOwner>, written_at: Timestamp, now: Timestamp) -> Self {
        let conversation = owner.as_ref().filter(|owner| owner.is_in_use(now)).and_then(KeyOwner::conversation);
        let nowhere = |reason| Self::Nowhere { reason, conversation };
        match owner {
            Some(KeyOwner::Route(route)) if route.is_live(now) => {
                let began = route.since.saturating_sub(CLOCKS_DIFFER).unwrap_or(Timestamp::MIN);
                if written_at < began {
                    nowhere(Nowhere::Over)
                } else if route.blocked || route.exhausted || route.is_paused(now) {
                    nowhere(Nowhere::Unavailable)
                } else {
                    Self::Relay(Relay::by(route, now))
                }
            }
            Some(KeyOwner::Held(hold)) if now < hold.quarantined_until => nowhere(Nowhere::ReceivesOnly),
            Some(owner) if owner.is_in_use(now) => nowhere(Nowhere::Over),
            _ => nowhere(Nowhere::Unknown),
        }
    }
}

impl Relay {
    fn by(route: Route, now: Timestamp) -> Self {
        Self {
            to: route.phone_for_texts(now).clone(),
            conversation: route.conversation,
            from: route.side,
            present_as: route.present_as,
            quarantined_until: route.quarantined_until,
        }
    }
}
