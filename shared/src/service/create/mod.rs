//! Creating a conversation: both numbers checked, a virtual number chosen for each side, everything stored at once, and
//! then both participants told.

mod cache;
mod texts;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{SharedClock, whole_second};
use crate::domain::call_limits::CallLimits;
use crate::domain::caller_routes::{CallerRoute, CallerRoutes};
use crate::domain::choice::{self, Caller, Criteria, NoFreeNumber};
use crate::domain::conversation::{Conversation, ConversationId, Lifetime, Notification, Participant};
use crate::domain::country::Country;
use crate::domain::peak_usage::Mark;
use crate::domain::phone::dial_policy::DialPolicy;
use crate::domain::phone::parse;
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use crate::domain::side::Side;
use crate::domain::text::{Label, Reference};
use crate::retry;
use crate::service::demand::{DemandRecorder, Renting};
use crate::service::verify_number::{self, ParticipantNumberError};
use crate::store::{CreateError, IdempotentRequest, ReadyPool, RememberedRequest, Store, StoreError};
use crate::vonage::number_insight::{LookedUpNumber, NumberLookup};
use crate::vonage::sms::TextSender;

pub use cache::PoolCache;

/// A conversation to create.
#[derive(Debug, Clone)]
pub struct NewConversation {
    /// Sides A and B.
    pub participants: [NewParticipant; 2],
    /// How long it lasts.
    pub lifetime: Lifetime,
    /// How long after its end its (caller, number) keys are given to nobody, in seconds.
    pub quarantine_seconds: u32,
    /// How long each of its calls may take.
    pub limits: CallLimits,
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

/// Why a conversation was not created. Nothing is stored then, unless the table gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CreationError {
    /// The number of the participant on this side cannot be used.
    #[error("the number of a participant cannot be used")]
    Number(Side, #[source] ParticipantNumberError),
    /// Both participants have the same number.
    #[error("both participants have the same number")]
    SameNumber,
    /// No virtual number is free for a participant.
    #[error("no virtual number is free")]
    NoneFree(NoFreeNumber, Renting),
    /// Others took the chosen numbers again and again.
    #[error("the chosen numbers were taken by others each time")]
    Contended,
    /// Another request has come under the same idempotency key.
    #[error("the idempotency key belongs to another request")]
    OtherRequest,
    /// The same request has created a conversation that has been erased since.
    #[error("the conversation has been erased")]
    Erased,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A conversation that a request has led to.
#[derive(Debug)]
pub struct Created {
    /// The conversation.
    pub conversation: Conversation,
    /// Whether the same request had created it before.
    pub before: bool,
}

/// Creates conversations.
pub struct Creator<L, T> {
    /// The table.
    pub store: Store,
    /// Judges numbers.
    pub lookup: L,
    /// Which numbers people may bring.
    pub callable: DialPolicy,
    /// Texts participants.
    pub texts: T,
    /// The time.
    pub clock: SharedClock,
    /// Countries whose numbers may be given to people of any country, when their own has none.
    pub fallback: Vec<Country>,
    /// The longest time that one text message takes to send, with its repetitions.
    pub text_time_limit: Duration,
    /// Records the numbers that refused conversations lack.
    pub demand: DemandRecorder,
    /// What is known from one creation to the next.
    pub cache: PoolCache,
}

/// How often numbers are chosen before a conversation is refused because others were faster each time. With the pauses
/// in between that takes about as long as a function may run.
const ATTEMPTS: u32 = 150;

/// What the choice of numbers depends on, read side by side.
struct PoolSnapshot {
    keys: [CallerRoutes; 2],
    ready: Arc<ReadyPool>,
}

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Reads what is true of the pool as a whole, so that the first creation asks for no more than any other. What fails here
    /// is read by that.
    pub async fn warm_up(&self) {
        if let Err(error) = self.cache.ready(&self.store).await {
            tracing::warn!(cause = %error, "the pool cannot be read yet");
            return;
        }
        // After the other, over its connection.
        self.cache.learn_peak_usage(&self.store, self.clock.now()).await;
    }

    /// Creates a conversation, or finds the one that the same `request` has created before.
    ///
    /// Two round trips to the table: one that reads, beside the carrier lookup, and one that writes. What became of texts
    /// cannot be known before and is written down after them; and where the request may come again, that a text is about
    /// to be sent is written down before it. A text message that is not taken does not undo the conversation: it says so.
    ///
    /// Nothing that takes long is begun that could not end before `ends_at`.
    pub async fn create(
        &self,
        new: NewConversation,
        request: Option<IdempotentRequest>,
        ends_at: Option<Timestamp>,
    ) -> Result<Created, CreationError> {
        let [a, b] = &new.participants;
        let numbers = [read(a, Side::A)?, read(b, Side::B)?];
        let (mut earlier, mut around) = (pin!(self.earlier(request.as_ref())), pin!(self.load_inputs(&numbers)));
        // A request that came before does not wait for the carrier.
        let (found, surroundings) = tokio::select! {
            biased;
            earlier = &mut earlier => match earlier? {
                Some(earlier) => return self.again(earlier, ends_at).await,
                None => around.await?,
            },
            around = &mut around => match earlier.await? {
                Some(earlier) => return self.again(earlier, ends_at).await,
                None => around?,
            },
        };
        let stored = self.store_with_free_numbers(&new, found, surroundings, request.as_ref()).await?;
        let Some((conversation, marks)) = stored else {
            let earlier = self.earlier(request.as_ref()).await?.ok_or(CreationError::Contended)?;
            return self.again(earlier, ends_at).await;
        };
        let told = self.notify(conversation, request.is_some(), ends_at);
        let (conversation, ()) = tokio::join!(told, self.cache.record(&self.store, &marks));
        Ok(Created { conversation, before: false })
    }

    /// What the same request has led to. One that asks for something else under the same key is refused.
    async fn earlier(&self, request: Option<&IdempotentRequest>) -> Result<Option<RememberedRequest>, CreationError> {
        let Some(request) = request else { return Ok(None) };
        let earlier = self.store.remembered_request(&request.key_hash, self.clock.now()).await?;
        match earlier {
            Some(earlier) if earlier.fingerprint != request.fingerprint => Err(CreationError::OtherRequest),
            earlier => Ok(earlier),
        }
    }

    /// The conversation of a request that came before, with those texts sent that are still owed.
    async fn again(&self, earlier: RememberedRequest, ends_at: Option<Timestamp>) -> Result<Created, CreationError> {
        let now = self.clock.now();
        let conversation = self.store.conversation(earlier.conversation, now).await?;
        // It is kept for longer than the request is remembered.
        let conversation = conversation.ok_or(CreationError::Erased)?;
        let conversation =
            if conversation.is_active(now) { self.notify(conversation, true, ends_at).await } else { conversation };
        Ok(Created { conversation, before: true })
    }

    /// Has both numbers looked up and reads at the same time what these callers hold; that is right unless the carrier
    /// writes a number differently.
    async fn load_inputs(
        &self,
        numbers: &[PhoneNumber; 2],
    ) -> Result<([LookedUpNumber; 2], PoolSnapshot), CreationError> {
        let [a, b] = numbers;
        let real = [RealNumber::from(a.clone()), RealNumber::from(b.clone())];
        let now = self.clock.now();
        let look_up = |number| verify_number::look_up(number, &self.lookup, &self.callable);
        let (found_a, found_b, surroundings, ()) = tokio::join!(
            look_up(a),
            look_up(b),
            self.surroundings(&real),
            self.cache.learn_peak_usage(&self.store, now),
        );
        let refused = |side| move |error| CreationError::Number(side, error);
        let found = [found_a.map_err(refused(Side::A))?, found_b.map_err(refused(Side::B))?];
        if found[0].number == found[1].number {
            return Err(CreationError::SameNumber);
        }
        let is_as_read = found.iter().zip(&real).all(|(found, real)| found.number == *real);
        let surroundings = if is_as_read { surroundings? } else { self.surroundings(&numbers_of(&found)).await? };
        if let Some(side) = Side::BOTH.into_iter().find(|side| surroundings.keys[side.index()].is_virtual) {
            return Err(CreationError::Number(side, ParticipantNumberError::Virtual));
        }
        Ok((found, surroundings))
    }

    async fn surroundings(&self, numbers: &[RealNumber; 2]) -> Result<PoolSnapshot, StoreError> {
        let now = self.clock.now();
        let [a, b] = numbers;
        let (keys_a, keys_b, ready) = tokio::try_join!(
            self.store.caller_routes(a, now),
            self.store.caller_routes(b, now),
            self.cache.ready(&self.store),
        )?;
        Ok(PoolSnapshot { keys: [keys_a, keys_b], ready })
    }

    /// The stored conversation with what its participants then hold. None if another run of the same request was faster.
    async fn store_with_free_numbers(
        &self,
        new: &NewConversation,
        found: [LookedUpNumber; 2],
        mut surroundings: PoolSnapshot,
        request: Option<&IdempotentRequest>,
    ) -> Result<Option<(Conversation, Vec<Mark>)>, CreationError> {
        let real = numbers_of(&found);
        for attempt in 0..ATTEMPTS {
            match self.choose(&found, &surroundings, new.notify) {
                Ok(dials) => {
                    let conversation = self.compose(new, &found, dials);
                    let earlier = Side::BOTH.map(|side| history(&surroundings, &conversation, side));
                    match self.store.create_conversation(&conversation, earlier, request).await {
                        Ok(()) => {
                            let marks =
                                Side::BOTH.into_iter().flat_map(|side| marks(&surroundings, &conversation, side));
                            let marks = marks.collect();
                            return Ok(Some((conversation, marks)));
                        }
                        Err(CreateError::RequestTaken) => return Ok(None),
                        Err(CreateError::KeyTaken) => retry::pause(attempt).await,
                        Err(CreateError::Store(error)) => return Err(error.into()),
                    }
                }
                Err(none_free) => {
                    // The keys in the way may be those of this very request, carried out by another run.
                    if self.earlier(request).await?.is_some() {
                        return Ok(None);
                    }
                    // What was read beside the carrier lookup may be old by now. Nobody is refused for that.
                    if attempt > 0 {
                        if let Some((none_free, renting)) = self.demand.record(&none_free).await? {
                            return Err(CreationError::NoneFree(none_free, renting));
                        }
                    }
                }
            }
            surroundings = self.surroundings(&real).await?;
        }
        Err(CreationError::Contended)
    }

    /// The numbers that A and B are to dial.
    fn choose(
        &self,
        found: &[LookedUpNumber; 2],
        surroundings: &PoolSnapshot,
        texts: bool,
    ) -> Result<[VirtualNumber; 2], Vec<NoFreeNumber>> {
        let codes = found.each_ref().map(|found| parse::calling_code(&found.number));
        let caller = |side: Side| Caller {
            number: &found[side.index()].number,
            country: found[side.index()].country,
            calling_code: &codes[side.index()],
            routes: &surroundings.keys[side.index()],
        };
        let ready = &surroundings.ready.numbers;
        let criteria = Criteria { ready, fallback: &self.fallback, texts, now: self.clock.now() };
        choice::choose_pair(Side::BOTH.map(caller), criteria)
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
            previous_numbers: Vec::new(),
        };
        Conversation {
            id: ConversationId::generate(now),
            reference: new.reference.clone(),
            participants: [participant(Side::A, dials_a), participant(Side::B, dials_b)],
            created_at,
            expires_at: created_at + new.lifetime.duration(),
            ended_at: None,
            quarantine_seconds: new.quarantine_seconds,
            limits: new.limits,
            revision: 0,
            carrier_records: found.iter().filter_map(|found| found.carrier_record.clone()).collect(),
        }
    }
}

fn read(participant: &NewParticipant, side: Side) -> Result<PhoneNumber, CreationError> {
    let number = verify_number::read(&participant.number, participant.country);
    number.map_err(|error| CreationError::Number(side, error))
}

fn numbers_of(found: &[LookedUpNumber; 2]) -> [RealNumber; 2] {
    found.each_ref().map(|found| found.number.clone())
}

/// The conversations that the key of the participant on `side` remembers.
fn history(surroundings: &PoolSnapshot, conversation: &Conversation, side: Side) -> Vec<ConversationId> {
    let key = surroundings.keys[side.index()].by_number.get(&conversation.participant(side).dials);
    key.map(CallerRoute::history_for_next).unwrap_or_default()
}

/// What the participant on `side` holds with this conversation, for how long: all of it until the first key falls free, one
/// less until the second does, and so on.
fn marks(surroundings: &PoolSnapshot, conversation: &Conversation, side: Side) -> Vec<Mark> {
    let held = surroundings.keys[side.index()].in_use(conversation.created_at).map(|(_, key)| key.quarantined_until);
    let ends = held.chain([conversation.quarantined_until(conversation.expires_at)]).collect();
    Mark::all(conversation.participant(side).country, ends)
}
