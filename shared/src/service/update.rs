//! Changing an active conversation: another expiry, or a new phone of one participant that keeps both virtual numbers.

use jiff::Timestamp;

use crate::clock::{SharedClock, whole_second};
use crate::domain::caller_routes::CallerRoutes;
use crate::domain::conversation::{Conversation, ConversationId, Lifetime, Notification};
use crate::domain::country::Country;
use crate::domain::peak_usage::Mark;
use crate::domain::phone::dial_policy::DialPolicy;
use crate::domain::route::Route;
use crate::domain::side::Side;
use crate::retry;
use crate::service::verify_number::{self, ParticipantNumberError};
use crate::store::{ChangeError, Store, StoreError};
use crate::vonage::number_insight::{LookedUpNumber, NumberLookup};

/// A change of a conversation.
#[derive(Debug, Clone)]
pub struct Change {
    /// New lifetime, from now on.
    pub lifetime: Option<Lifetime>,
    /// The new phone of one participant.
    pub phone: Option<NewPhone>,
}

/// A participant's new phone.
#[derive(Clone)]
pub struct NewPhone {
    /// The side whose phone changes.
    pub side: Side,
    /// The real number, as people write it.
    pub number: String,
    /// The country of a number in national form.
    pub country: Option<Country>,
}

impl std::fmt::Debug for NewPhone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPhone").field("side", &self.side).finish_non_exhaustive()
    }
}

/// A conversation was not changed. Nothing is stored, unless the table gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// There is no such conversation.
    #[error("no such conversation")]
    Unknown,
    /// It has ended or expired.
    #[error("the conversation has ended")]
    Ended,
    /// The new number of the participant on this side cannot be used.
    #[error("the number of a participant cannot be used")]
    Number(Side, #[source] ParticipantNumberError),
    /// The new number is the other participant's.
    #[error("both participants have the same number")]
    SameNumber(Side),
    /// The new phone has a route by the same number in another conversation.
    #[error("the number to dial is not free for the new phone")]
    MaskTaken {
        /// The side of the new phone.
        side: Side,
        /// Latest time at which the number becomes free for it.
        free_at: Option<Timestamp>,
    },
    /// Other requests changed the conversation first, too often.
    #[error("other requests changed the conversation in each attempt")]
    Contended,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes conversations.
pub struct Updater<L> {
    /// The table.
    pub store: Store,
    /// The carrier lookup.
    pub lookup: L,
    /// The rules for participants' numbers.
    pub callable: DialPolicy,
    /// The clock.
    pub clock: SharedClock,
}

/// A new phone as the carrier knows it, with its routes.
struct FoundPhone {
    side: Side,
    found: LookedUpNumber,
    routes: CallerRoutes,
}

/// Number of attempts at a change that loses races against others.
const ATTEMPTS: u32 = 10;

impl<L: NumberLookup> Updater<L> {
    /// Changes the conversation and its routes in one transaction. The old phone's route key goes into quarantine: a call
    /// from it hears that the conversation has ended.
    pub async fn update(&self, id: ConversationId, change: &Change) -> Result<Conversation, UpdateError> {
        // Checked first, to save a lookup.
        let mut before = self.active(id).await?;
        let mut phone = match &change.phone {
            Some(phone) => Some(self.look_up(phone).await?),
            None => None,
        };
        for attempt in 0..ATTEMPTS {
            let now = self.clock.now();
            if !before.is_active(now) {
                return Err(UpdateError::Ended);
            }
            let after = changed(&before, change.lifetime, phone.as_ref(), now)?;
            let moved = phone.as_ref().and_then(|phone| moved(&before, &after, phone, now));
            match self.store.change_conversation(&before, &after, moved.as_ref(), now).await {
                Ok(()) => {
                    if moved.is_some() || after.expires_at > before.expires_at {
                        self.raise_peak_usage(&after, now).await;
                    }
                    return Ok(after);
                }
                Err(ChangeError::Changed) => retry::pause(attempt).await,
                Err(ChangeError::KeyTaken) => {
                    if let Some(phone) = &mut phone {
                        self.reload_routes(&after, phone).await?;
                    }
                    retry::pause(attempt).await;
                }
                Err(ChangeError::Store(error)) => return Err(error.into()),
            }
            before = self.active(id).await?;
        }
        Err(UpdateError::Contended)
    }

    async fn active(&self, id: ConversationId) -> Result<Conversation, UpdateError> {
        let now = self.clock.now();
        let conversation = self.store.conversation(id, now).await?.ok_or(UpdateError::Unknown)?;
        if conversation.is_active(now) { Ok(conversation) } else { Err(UpdateError::Ended) }
    }

    async fn look_up(&self, phone: &NewPhone) -> Result<FoundPhone, UpdateError> {
        let side = phone.side;
        let refused = |error| UpdateError::Number(side, error);
        let number = verify_number::read(&phone.number, phone.country).map_err(refused)?;
        let found = verify_number::look_up(&number, &self.lookup, &self.callable).await.map_err(refused)?;
        let routes = self.store.caller_routes(&found.number, self.clock.now()).await?;
        if routes.is_virtual {
            return Err(refused(ParticipantNumberError::Virtual));
        }
        Ok(FoundPhone { side, found, routes })
    }

    /// Records the peak usage, which a longer conversation or another phone may raise. A failure does not fail the change.
    async fn raise_peak_usage(&self, conversation: &Conversation, now: Timestamp) {
        let [a, b] = &conversation.participants;
        let recorded = async {
            let (mut known, routes_a, routes_b) = tokio::try_join!(
                self.store.peak_usage(now),
                self.store.caller_routes(&a.number, now),
                self.store.caller_routes(&b.number, now)
            )?;
            for (participant, routes) in [(a, routes_a), (b, routes_b)] {
                let ends = routes.in_use(now).map(|(_, route)| route.quarantined_until).collect();
                for mark in Mark::all(participant.country, ends) {
                    if known.is_exceeded_by(mark) {
                        self.store.raise_peak_usage(mark).await?;
                        known.insert(mark);
                    }
                }
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = recorded.await {
            tracing::warn!(cause = %error, "recording a mark of peak usage failed");
        }
    }

    /// Reads the new phone's routes again after its route key was taken. Fails if another conversation has it.
    async fn reload_routes(&self, after: &Conversation, phone: &mut FoundPhone) -> Result<(), UpdateError> {
        let (now, side) = (self.clock.now(), phone.side);
        phone.routes = self.store.caller_routes(&phone.found.number, now).await?;
        let route = phone.routes.by_number.get(&after.participant(side).dials);
        match route.filter(|route| route.is_in_use(now) && route.conversation != Some(after.id)) {
            Some(route) => Err(UpdateError::MaskTaken { side, free_at: Some(route.quarantined_until) }),
            None => Ok(()),
        }
    }
}

fn changed(
    before: &Conversation,
    lifetime: Option<Lifetime>,
    phone: Option<&FoundPhone>,
    now: Timestamp,
) -> Result<Conversation, UpdateError> {
    let mut after = Conversation { revision: before.revision + 1, ..before.clone() };
    if let Some(lifetime) = lifetime {
        after.expires_at = whole_second(now) + lifetime.duration();
    }
    if let Some(FoundPhone { side, found, .. }) = phone {
        if found.number == before.participant(side.other()).number {
            return Err(UpdateError::SameNumber(*side));
        }
        after.carrier_records.extend(found.carrier_record.clone());
        let participant = &mut after.participants[side.index()];
        if participant.number != found.number {
            participant.previous_numbers.push(std::mem::replace(&mut participant.number, found.number.clone()));
            participant.country = found.country;
            // The text message went to the old phone.
            participant.notification = Notification::Off;
        }
    }
    Ok(after)
}

/// Returns the route of the new phone, or `None` if the phone is the same.
fn moved(before: &Conversation, after: &Conversation, phone: &FoundPhone, now: Timestamp) -> Option<Route> {
    let (side, old, new) = (phone.side, before.participant(phone.side), after.participant(phone.side));
    if old.number == new.number {
        return None;
    }
    let route = Route::new(after, side);
    Some(match phone.routes.by_number.get(&new.dials) {
        // The participant is back at a phone that this conversation had before.
        Some(own) if own.conversation == Some(after.id) => Route { history: own.previous.clone(), ..route },
        Some(other) => Route { since: whole_second(now), history: other.history_for_next(), ..route },
        None => Route { since: whole_second(now), ..route },
    })
}
