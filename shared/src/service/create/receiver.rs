//! The participant who only receives: one number serves all such conversations, and one item shows it.

use super::Creator;
use crate::domain::caller_routes::{CallerRoutes, Extent};
use crate::domain::conversation::Conversation;
use crate::domain::judge::LookedUp;
use crate::domain::side::Side;
use crate::store::{Line, StoreError};
use crate::vonage::number_lookup::NumberLookup;
use crate::vonage::texts::TextSender;

/// The line that the participant on a side of a new conversation has then.
pub(super) struct HeldLine {
    pub(super) side: Side,
    pub(super) line: Line,
    /// True unless it is stored like that already.
    is_news: bool,
}

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Holds the number that the participant on `side` will see, until the quarantine of `conversation` is over. Nearly always
    /// it is held for that long already. Returns `None` if another conversation has taken the route key meanwhile. `verdict` is
    /// the carrier's about this participant.
    pub(super) async fn hold(
        &self,
        conversation: &Conversation,
        side: Side,
        routes: &CallerRoutes,
        verdict: Option<LookedUp>,
    ) -> Result<Option<HeldLine>, StoreError> {
        let (participant, now) = (conversation.participant(side), conversation.created_at);
        let needed = conversation.quarantined_until(conversation.expires_at);
        let known = routes.by_number.get(&participant.sees).filter(|route| route.is_held(now));
        let held_until = match known.map(|hold| hold.quarantined_until).filter(|until| *until >= needed) {
            Some(until) => Some(until),
            None => {
                let key = (participant.route_caller(), &participant.sees);
                self.store.hold(key, conversation.owner, needed, now).await?
            }
        };
        let is_stored = |until| {
            let same = known.is_some_and(|hold| (hold.quarantined_until, hold.looked_up) == (until, verdict));
            routes.extent == Extent::Line && same
        };
        Ok(held_until.map(|held_until| {
            let line = Line { number: participant.sees.clone(), held_until, looked_up: verdict };
            HeldLine { side, line, is_news: !is_stored(held_until) }
        }))
    }

    /// Remembers the line of the participant who only receives. If that fails, a later creation does it.
    pub(super) async fn remember_line(&self, conversation: &Conversation, held: &HeldLine) {
        if !held.is_news {
            return;
        }
        let caller = conversation.participant(held.side).route_caller();
        if let Err(error) = self.store.remember_line(caller, &held.line).await {
            tracing::warn!(cause = %error, "remembering the line of a participant who only receives failed");
        }
    }
}
