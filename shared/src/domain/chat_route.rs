//! The conversations that a message to the deployment's own sender may belong to. All people write to the same sender, so only their
//! phone tells, and it may be in several.

use jiff::Timestamp;

use crate::domain::conversation::ConversationId;
use crate::domain::route::KeyOwner;
use crate::domain::text_route::{Nowhere, TextRoute};

/// The owners of the route keys of the phone that wrote.
#[derive(Debug, Default)]
pub struct Candidates {
    /// The live ones that there were when it wrote, each conversation once.
    pub live: Vec<(ConversationId, KeyOwner)>,
    /// Another one, which says best why the message reaches nobody.
    pub other: Option<KeyOwner>,
}

impl Candidates {
    /// Sorts the owners of all route keys of a phone that wrote at `written_at`.
    pub fn of(owners: Vec<KeyOwner>, written_at: Timestamp, now: Timestamp) -> Self {
        let mut found = Self::default();
        let mut best = None;
        for owner in owners {
            match (TextRoute::of(Some(owner.clone()), written_at, now), owner.conversation()) {
                (TextRoute::Relay(_) | TextRoute::Nowhere { reason: Nowhere::Unavailable, .. }, Some(conversation)) => {
                    if found.live.iter().all(|(known, _)| *known != conversation) {
                        found.live.push((conversation, owner));
                    }
                }
                (TextRoute::Nowhere { reason, .. }, _) => {
                    let rank = rank(reason);
                    if best.is_none_or(|best| rank > best) {
                        (best, found.other) = (Some(rank), Some(owner));
                    }
                }
                (TextRoute::Relay(_), None) => {}
            }
        }
        found
    }
}

/// Returns how much a reason says.
fn rank(reason: Nowhere) -> u8 {
    match reason {
        Nowhere::Over => 2,
        Nowhere::ReceivesOnly => 1,
        Nowhere::Unavailable | Nowhere::Several | Nowhere::Unknown => 0,
    }
}
