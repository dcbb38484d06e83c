//! Changing a live conversation: another end by the clock, or another phone of one participant with the masks kept.

use jiff::Timestamp;

use crate::backoff;
use crate::clock::{SharedClock, whole_second};
use crate::conversation::{Conversation, ConversationId, Lifetime, Notification, Side};
use crate::country::Country;
use crate::store::{ChangeError, Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::number_insight::{LookedUpNumber, NumberLookup};
use crate::written_number::{self, UnreadableNumber};

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

/// Why a conversation was not changed. It is as it was then.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// There is no such conversation.
    #[error("no such conversation")]
    Unknown,
    /// It has ended or expired, and does not come back.
    #[error("the conversation has ended")]
    Ended,
    /// The new number cannot be read.
    #[error("the number of a participant cannot be read")]
    Unreadable(Side, #[source] UnreadableNumber),
    /// The carrier says that the new number is not valid.
    #[error("the number of a participant is not valid")]
    NotValid(Side),
    /// It is the other participant's.
    #[error("both participants have the same number")]
    SameNumber(Side),
    /// It is one of our own virtual numbers.
    #[error("the number of a participant is a virtual number")]
    VirtualNumber(Side),
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
    /// The carrier lookup failed.
    #[error("the carrier lookup failed")]
    Lookup(#[source] VonageError),
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
    /// The time.
    pub clock: SharedClock,
}

/// How often a change is tried that meets another one of the same conversation.
const ATTEMPTS: u32 = 10;

impl<L: NumberLookup> Updater<L> {
    /// Changes the conversation and its routes in one transaction. The old phone's key goes into quarantine: who still
    /// calls from it hears that the conversation has ended.
    pub async fn update(&self, id: ConversationId, change: &Change) -> Result<Conversation, UpdateError> {
        let phone = match &change.phone {
            Some(phone) => Some((phone.side, self.look_up(phone).await?)),
            None => None,
        };
        for attempt in 0..ATTEMPTS {
            let now = self.clock.now();
            let before = self.store.conversation(id, now).await?.ok_or(UpdateError::Unknown)?;
            if !before.is_active(now) {
                return Err(UpdateError::Ended);
            }
            let after = changed(&before, change.lifetime, phone.as_ref(), now)?;
            match self.store.change_conversation(&before, &after, now).await {
                Ok(()) => return Ok(after),
                Err(ChangeError::Changed) => backoff::pause(attempt).await,
                Err(ChangeError::KeyTaken) => return Err(self.mask_taken(&after, phone.as_ref()).await?),
                Err(ChangeError::Store(error)) => return Err(error.into()),
            }
        }
        Err(UpdateError::Contended)
    }

    async fn look_up(&self, phone: &NewPhone) -> Result<LookedUpNumber, UpdateError> {
        let side = phone.side;
        let number =
            written_number::read(&phone.number, phone.country).map_err(|error| UpdateError::Unreadable(side, error))?;
        let found = self.lookup.look_up(&number).await.map_err(UpdateError::Lookup)?;
        let found = found.ok_or(UpdateError::NotValid(side))?;
        if self.store.caller_keys(&found.number, self.clock.now()).await?.is_virtual {
            return Err(UpdateError::VirtualNumber(side));
        }
        Ok(found)
    }

    async fn mask_taken(
        &self,
        after: &Conversation,
        phone: Option<&(Side, LookedUpNumber)>,
    ) -> Result<UpdateError, StoreError> {
        let Some((side, _)) = phone else { return Ok(UpdateError::Contended) };
        let participant = after.participant(*side);
        let route = self.store.route(&participant.number, &participant.dials).await?;
        Ok(UpdateError::MaskTaken { side: *side, free_at: route.map(|route| route.quarantined_until) })
    }
}

fn changed(
    before: &Conversation,
    lifetime: Option<Lifetime>,
    phone: Option<&(Side, LookedUpNumber)>,
    now: Timestamp,
) -> Result<Conversation, UpdateError> {
    let mut after = Conversation { revision: before.revision + 1, ..before.clone() };
    if let Some(lifetime) = lifetime {
        after.expires_at = whole_second(now) + lifetime.duration();
    }
    if let Some((side, found)) = phone {
        if found.number == before.participant(side.other()).number {
            return Err(UpdateError::SameNumber(*side));
        }
        let participant = &mut after.participants[side.index()];
        if participant.number != found.number {
            participant.number = found.number.clone();
            participant.country = found.country;
            // The text that was sent went to the old phone.
            participant.notification = Notification::Off;
        }
    }
    Ok(after)
}
