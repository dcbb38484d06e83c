//! Creating a conversation: both numbers checked, a virtual number chosen for each side, everything stored at once, and
//! then both participants told.

use crate::backoff;
use crate::clock::{SharedClock, whole_second};
use crate::conversation::{Conversation, ConversationId, Label, Lifetime, Notification, Participant, Reference, Side};
use crate::country::Country;
use crate::phone::{PhoneNumber, VirtualNumber};
use crate::pool::{Feature, choose_pair};
use crate::store::{CallerKeys, CreateError, Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::number_insight::{LookedUpNumber, NumberLookup};
use crate::vonage::sms::TextSender;
use crate::written_number::{self, UnreadableNumber};

/// A conversation to create.
#[derive(Debug, Clone)]
pub struct NewConversation {
    /// Sides A and B.
    pub participants: [NewParticipant; 2],
    /// How long it lasts.
    pub lifetime: Lifetime,
    /// Whether to text both participants.
    pub notify: bool,
    /// The creator's own name for it.
    pub reference: Option<Reference>,
}

/// A participant to be.
#[derive(Clone)]
pub struct NewParticipant {
    /// The real number, as people write it.
    pub number: String,
    /// The country of a number in national form.
    pub country: Option<Country>,
    /// How the other side's text message names this participant.
    pub label: Option<Label>,
}

impl std::fmt::Debug for NewParticipant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewParticipant").field("country", &self.country).finish_non_exhaustive()
    }
}

/// Why a conversation was not created. Nothing is stored then.
#[derive(Debug, thiserror::Error)]
pub enum CreationError {
    /// A participant's number cannot be read.
    #[error("the number of a participant cannot be read")]
    Unreadable(Side, #[source] UnreadableNumber),
    /// The carrier says that a participant's number is not valid.
    #[error("the number of a participant is not valid")]
    NotValid(Side),
    /// Both participants have the same number.
    #[error("both participants have the same number")]
    SameNumber,
    /// A participant's number is one of our own virtual numbers.
    #[error("the number of a participant is a virtual number")]
    VirtualNumber(Side),
    /// No virtual number is free for a participant.
    #[error("no virtual number is free")]
    NoneFree {
        /// For whom.
        side: Side,
        /// In which country.
        country: Country,
        /// How many numbers serve that country.
        ready: usize,
        /// How many keys that participant holds.
        held: usize,
    },
    /// Others took the chosen numbers again and again.
    #[error("the chosen numbers were taken by others each time")]
    Contended,
    /// The carrier lookup failed.
    #[error("the carrier lookup failed")]
    Lookup(#[source] VonageError),
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates conversations.
pub struct Creator<L, T> {
    /// The table.
    pub store: Store,
    /// Judges numbers.
    pub lookup: L,
    /// Texts participants.
    pub texts: T,
    /// The time.
    pub clock: SharedClock,
    /// How long the keys of a conversation stay with it after its end, in seconds.
    pub quarantine_seconds: u32,
}

/// How often numbers are chosen before a conversation is refused because others were faster.
const ATTEMPTS: u32 = 8;

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Creates a conversation: two round trips to the table, one that reads and one that writes. Where texts are sent, a
    /// third writes down what became of them, because that cannot be known before. A text message that is not taken does
    /// not undo the conversation: it says so.
    pub async fn create(&self, new: NewConversation) -> Result<Conversation, CreationError> {
        let [a, b] = &new.participants;
        let (number_a, number_b) = (read(a, Side::A)?, read(b, Side::B)?);
        let (a, b) = tokio::join!(self.lookup.look_up(&number_a), self.lookup.look_up(&number_b));
        let found_a = a.map_err(CreationError::Lookup)?.ok_or(CreationError::NotValid(Side::A))?;
        let found_b = b.map_err(CreationError::Lookup)?.ok_or(CreationError::NotValid(Side::B))?;
        if found_a.number == found_b.number {
            return Err(CreationError::SameNumber);
        }
        let conversation = self.store_with_free_numbers(&new, [found_a, found_b]).await?;
        Ok(if new.notify { self.notify(conversation).await } else { conversation })
    }

    async fn store_with_free_numbers(
        &self,
        new: &NewConversation,
        found: [LookedUpNumber; 2],
    ) -> Result<Conversation, CreationError> {
        for attempt in 0..ATTEMPTS {
            let dials = self.choose(&found, new.notify).await?;
            let conversation = self.compose(new, &found, dials);
            match self.store.create_conversation(&conversation).await {
                Ok(()) => return Ok(conversation),
                Err(CreateError::KeyTaken) => backoff::pause(attempt).await,
                Err(CreateError::Store(error)) => return Err(error.into()),
            }
        }
        Err(CreationError::Contended)
    }

    /// The numbers that A and B are to dial. All that is read for it is read side by side.
    async fn choose(&self, found: &[LookedUpNumber; 2], texts: bool) -> Result<[VirtualNumber; 2], CreationError> {
        let now = self.clock.now();
        let [a, b] = found;
        let (keys_a, keys_b, pool_a, pool_b) = tokio::try_join!(
            self.store.caller_keys(&a.number, now),
            self.store.caller_keys(&b.number, now),
            self.ready(a.country, texts),
            async { if a.country == b.country { Ok(None) } else { self.ready(b.country, texts).await.map(Some) } },
        )?;
        let keys: [CallerKeys; 2] = [keys_a, keys_b];
        if let Some(side) = Side::BOTH.into_iter().find(|side| keys[side.index()].is_virtual) {
            return Err(CreationError::VirtualNumber(side));
        }
        let ready: [&[VirtualNumber]; 2] = [&pool_a, pool_b.as_ref().unwrap_or(&pool_a)];
        choose_pair(ready, [&keys[0].taken, &keys[1].taken]).map_err(|caller| CreationError::NoneFree {
            side: Side::BOTH[caller],
            country: found[caller].country,
            ready: ready[caller].len(),
            held: keys[caller].taken.len(),
        })
    }

    /// The numbers that serve a country; where texts are to be sent, those that can send them first.
    async fn ready(&self, country: Country, texts: bool) -> Result<Vec<VirtualNumber>, StoreError> {
        let mut numbers = self.store.pool_numbers(country).await?;
        if texts {
            numbers.sort_by_key(|number| !number.features.contains(&Feature::Sms));
        }
        Ok(numbers.into_iter().filter(|number| number.serves_conversations()).map(|number| number.number).collect())
    }

    fn compose(&self, new: &NewConversation, found: &[LookedUpNumber; 2], dials: [VirtualNumber; 2]) -> Conversation {
        let now = self.clock.now();
        let created_at = whole_second(now);
        let [dials_a, dials_b] = dials;
        let participant = |side: Side, dials| Participant {
            number: found[side.index()].number.clone(),
            country: found[side.index()].country,
            label: new.participants[side.index()].label.clone(),
            dials,
            notification: if new.notify { Notification::Pending } else { Notification::Off },
        };
        Conversation {
            id: ConversationId::generate(now),
            reference: new.reference.clone(),
            participants: [participant(Side::A, dials_a), participant(Side::B, dials_b)],
            created_at,
            expires_at: created_at + new.lifetime.duration(),
            ended_at: None,
            quarantine_seconds: self.quarantine_seconds,
        }
    }

    /// Texts both participants at the same time and writes down how that went.
    async fn notify(&self, mut conversation: Conversation) -> Conversation {
        let (a, b) = tokio::join!(self.text(&conversation, Side::A), self.text(&conversation, Side::B));
        for (side, outcome) in [(Side::A, a), (Side::B, b)] {
            conversation.participants[side.index()].notification = match outcome {
                Ok(()) => Notification::Sent,
                Err(error) => {
                    tracing::warn!(conversation.id = %conversation.id, cause = %error, "a text message was not taken");
                    Notification::Failed(error.to_string())
                }
            };
        }
        // The conversation stands and the texts are out: not being able to note that is no reason to refuse it.
        if let Err(error) = self.store.record_notifications(&conversation).await {
            tracing::error!(conversation.id = %conversation.id, cause = %error, "the fate of text messages was not recorded");
        }
        conversation
    }

    async fn text(&self, conversation: &Conversation, to: Side) -> Result<(), VonageError> {
        let participant = conversation.participant(to);
        let other = conversation.participant(to.other());
        let text = invitation(&participant.dials, other.label.as_ref());
        self.texts.send(&participant.dials, &participant.number, &text).await
    }
}

fn read(participant: &NewParticipant, side: Side) -> Result<PhoneNumber, CreationError> {
    written_number::read(&participant.number, participant.country)
        .map_err(|error| CreationError::Unreadable(side, error))
}

/// The text message that tells a participant which number to dial, and whom it reaches.
fn invitation(dials: &VirtualNumber, other: Option<&Label>) -> String {
    let whom = other.map_or("the other person", Label::as_str);
    format!("To reach {whom}, call +{dials}. It works from this phone only, and keeps your own number private.")
}
