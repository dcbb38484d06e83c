//! Changing a live conversation: another end by the clock, or another phone of one participant with the masks kept.

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

/// What is to be different.
#[derive(Debug, Clone)]
pub struct Change {
    /// How long the conversation lasts from now on.
    pub lifetime: Option<Lifetime>,
    /// The new phone of one participant.
    pub phone: Option<NewPhone>,
}

/// A participant's new phone.
#[derive(Clone)]
pub struct NewPhone {
    /// Whose.
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

/// Why a conversation was not changed. It is as it was then, unless the table gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// There is no such conversation.
    #[error("no such conversation")]
    Unknown,
    /// It has ended or expired, and does not come back.
    #[error("the conversation has ended")]
    Ended,
    /// The new number of the participant on this side cannot be used.
    #[error("the number of a participant cannot be used")]
    Number(Side, #[source] ParticipantNumberError),
    /// The new number is the other participant's.
    #[error("both participants have the same number")]
    SameNumber(Side),
    /// The new phone holds, in another conversation, the number that it would have to dial.
    #[error("the number to dial is not free for the new phone")]
    MaskTaken {
        /// Whose new phone.
        side: Side,
        /// When it falls free, at the latest.
        free_at: Option<Timestamp>,
    },
    /// Others change the conversation again and again.
    #[error("the conversation changes all the time")]
    Contended,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes conversations.
pub struct Updater<L> {
    /// The table.
    pub store: Store,
    /// Judges numbers.
    pub lookup: L,
    /// Which numbers people may bring.
    pub callable: DialPolicy,
    /// The time.
    pub clock: SharedClock,
}

/// A new phone as the carrier knows it, and what it holds.
struct FoundPhone {
    side: Side,
    found: LookedUpNumber,
    keys: CallerRoutes,
}

/// How often a change is tried that meets another one of the same conversation.
const ATTEMPTS: u32 = 10;

impl<L: NumberLookup> Updater<L> {
    /// Changes the conversation and its routes in one transaction. The old phone's key goes into quarantine: who still
    /// calls from it hears that the conversation has ended.
    pub async fn update(&self, id: ConversationId, change: &Change) -> Result<Conversation, UpdateError> {
        // What has ended is no reason to ask the carrier.
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
                        self.look_at_mask_again(&after, phone).await?;
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
        let keys = self.store.caller_routes(&found.number, self.clock.now()).await?;
        if keys.is_virtual {
            return Err(refused(ParticipantNumberError::Virtual));
        }
        Ok(FoundPhone { side, found, keys })
    }

    /// A longer conversation, or one more of another phone, may be more than anybody has held. No change fails for want
    /// of noting that.
    async fn raise_peak_usage(&self, conversation: &Conversation, now: Timestamp) {
        let [a, b] = &conversation.participants;
        let noted = async {
            let (mut known, keys_a, keys_b) = tokio::try_join!(
                self.store.peak_usage(now),
                self.store.caller_routes(&a.number, now),
                self.store.caller_routes(&b.number, now)
            )?;
            for (participant, keys) in [(a, keys_a), (b, keys_b)] {
                let ends = keys.in_use(now).map(|(_, key)| key.quarantined_until).collect();
                for mark in Mark::all(participant.country, ends) {
                    if known.is_exceeded_by(mark) {
                        self.store.raise_peak_usage(mark).await?;
                        known.insert(mark);
                    }
                }
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = noted.await {
            tracing::warn!(cause = %error, "a high-water mark was not written");
        }
    }

    /// Fails if the number to dial is in other hands for the new phone. Otherwise it was, or what it remembers has been
    /// erased, since that was read.
    async fn look_at_mask_again(&self, after: &Conversation, phone: &mut FoundPhone) -> Result<(), UpdateError> {
        let (now, side) = (self.clock.now(), phone.side);
        phone.keys = self.store.caller_routes(&phone.found.number, now).await?;
        let key = phone.keys.by_number.get(&after.participant(side).dials);
        match key.filter(|key| key.is_in_use(now) && key.conversation != Some(after.id)) {
            Some(key) => Err(UpdateError::MaskTaken { side, free_at: Some(key.quarantined_until) }),
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
            // The text that was sent went to the old phone.
            participant.notification = Notification::Off;
        }
    }
    Ok(after)
}

/// The route from the new phone; none if the phone is the same.
fn moved(before: &Conversation, after: &Conversation, phone: &FoundPhone, now: Timestamp) -> Option<Route> {
    let (side, old, new) = (phone.side, before.participant(phone.side), after.participant(phone.side));
    if old.number == new.number {
        return None;
    }
    let route = Route::new(after, side);
    Some(match phone.keys.by_number.get(&new.dials) {
        // Back to a phone that this conversation had before.
        Some(key) if key.conversation == Some(after.id) => Route { history: key.previous.clone(), ..route },
        Some(key) => Route { since: whole_second(now), history: key.history_for_next(), ..route },
        None => Route { since: whole_second(now), ..route },
    })
}
