//! Creating a conversation: verify both numbers, choose a virtual number for each side, store everything in one
//! transaction, and text both participants.

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
    /// Its lifetime.
    pub lifetime: Lifetime,
    /// Length of the quarantine of its route keys, in seconds.
    pub quarantine_seconds: u32,
    /// Limits of each of its calls.
    pub limits: CallLimits,
    /// True to text both participants.
    pub notify: bool,
    /// The creator's own name for it.
    pub reference: Option<Reference>,
}

/// A participant of a new conversation.
#[derive(Clone)]
pub struct NewParticipant {
    /// The real number, as people write it.
    pub number: String,
    /// The country of a number in national form.
    pub country: Option<Country>,
    /// Name of this participant in the other side's text message.
    pub label: Option<Label>,
}

impl std::fmt::Debug for NewParticipant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewParticipant").field("country", &self.country).finish_non_exhaustive()
    }
}

/// A conversation was not created. Nothing is stored, unless the table gave no answer.
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
    /// Other creations took the chosen numbers first, too often.
    #[error("other requests took the chosen numbers in each attempt")]
    Contended,
    /// The idempotency key was used for a different request.
    #[error("the idempotency key was used for a different request")]
    OtherRequest,
    /// The same request has created a conversation that has been erased since.
    #[error("the conversation has been erased")]
    Erased,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The conversation of a request.
#[derive(Debug)]
pub struct Created {
    /// The conversation.
    pub conversation: Conversation,
    /// True if the same request had created it before.
    pub is_replay: bool,
}

/// Creates conversations.
pub struct Creator<L, T> {
    /// The table.
    pub store: Store,
    /// The carrier lookup.
    pub lookup: L,
    /// The rules for participants' numbers.
    pub callable: DialPolicy,
    /// Sends text messages.
    pub texts: T,
    /// The clock.
    pub clock: SharedClock,
    /// Countries whose numbers people of any country may get if their own country has none.
    pub fallback: Vec<Country>,
    /// The longest time that one text message takes to send, with its repetitions.
    pub text_time_limit: Duration,
    /// Records the numbers that refused conversations lack.
    pub demand: DemandRecorder,
    /// Data about the pool that one creation leaves for the next.
    pub cache: PoolCache,
}

/// Number of attempts to choose numbers before a creation fails as contended. With the pauses in between this takes about
/// as long as a function may run.
const ATTEMPTS: u32 = 150;

/// The data that the choice of numbers depends on, read in parallel.
struct PoolSnapshot {
    routes: [CallerRoutes; 2],
    ready: Arc<ReadyPool>,
}

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Reads the data about the pool, so that the first creation sends no more requests than any other. If this fails, the
    /// first creation reads it.
    pub async fn warm_up(&self) {
        if let Err(error) = self.cache.ready(&self.store).await {
            tracing::warn!(cause = %error, "reading the ready numbers while starting failed");
            return;
        }
        // One after the other, over one connection.
        self.cache.learn_peak_usage(&self.store, self.clock.now()).await;
    }

    /// Creates a conversation, or finds the one that the same `request` has created before.
    ///
    /// It takes two round trips to the table: reads in parallel with the carrier lookup, and one write. The outcome of the
    /// text messages is written after them. For a request with an idempotency key, a claim is written before them, so that
    /// a replay cannot send them twice. A text message that fails does not undo the conversation, which shows the failure.
    ///
    /// No step is started that might not end before `deadline`.
    pub async fn create(
        &self,
        new: NewConversation,
        request: Option<IdempotentRequest>,
        deadline: Option<Timestamp>,
    ) -> Result<Created, CreationError> {
        let [a, b] = &new.participants;
        let numbers = [read(a, Side::A)?, read(b, Side::B)?];
        let (mut remembered, mut inputs) = (pin!(self.remembered(request.as_ref())), pin!(self.load_inputs(&numbers)));
        // A replay does not wait for the carrier.
        let (found, snapshot) = tokio::select! {
            biased;
            remembered = &mut remembered => match remembered? {
                Some(remembered) => return self.replay(remembered, deadline).await,
                None => inputs.await?,
            },
            inputs = &mut inputs => match remembered.await? {
                Some(remembered) => return self.replay(remembered, deadline).await,
                None => inputs?,
            },
        };
        let stored = self.store_with_free_numbers(&new, found, snapshot, request.as_ref()).await?;
        let Some((conversation, marks)) = stored else {
            let remembered = self.remembered(request.as_ref()).await?.ok_or(CreationError::Contended)?;
            return self.replay(remembered, deadline).await;
        };
        let notified = self.notify(conversation, request.is_some(), deadline);
        let (conversation, ()) = tokio::join!(notified, self.cache.record(&self.store, &marks));
        Ok(Created { conversation, is_replay: false })
    }

    /// Returns the result of the same request, if it was sent before. Refuses a different request with the same idempotency
    /// key.
    async fn remembered(
        &self,
        request: Option<&IdempotentRequest>,
    ) -> Result<Option<RememberedRequest>, CreationError> {
        let Some(request) = request else { return Ok(None) };
        match self.store.remembered_request(&request.key_hash, self.clock.now()).await? {
            Some(remembered) if remembered.fingerprint != request.fingerprint => Err(CreationError::OtherRequest),
            remembered => Ok(remembered),
        }
    }

    /// Answers a replay with its conversation, and sends text messages that are still pending or failed.
    async fn replay(
        &self,
        remembered: RememberedRequest,
        deadline: Option<Timestamp>,
    ) -> Result<Created, CreationError> {
        let now = self.clock.now();
        let conversation = self.store.conversation(remembered.conversation, now).await?;
        // A conversation is kept for longer than the request is remembered.
        let conversation = conversation.ok_or(CreationError::Erased)?;
        let conversation =
            if conversation.is_active(now) { self.notify(conversation, true, deadline).await } else { conversation };
        Ok(Created { conversation, is_replay: true })
    }

    /// Looks both numbers up and reads the callers' routes at the same time. The routes are read again if the carrier
    /// writes a number differently.
    async fn load_inputs(
        &self,
        numbers: &[PhoneNumber; 2],
    ) -> Result<([LookedUpNumber; 2], PoolSnapshot), CreationError> {
        let [a, b] = numbers;
        let real = [RealNumber::from(a.clone()), RealNumber::from(b.clone())];
        let now = self.clock.now();
        let look_up = |number| verify_number::look_up(number, &self.lookup, &self.callable);
        let (found_a, found_b, snapshot, ()) =
            tokio::join!(look_up(a), look_up(b), self.snapshot(&real), self.cache.learn_peak_usage(&self.store, now),);
        let refused = |side| move |error| CreationError::Number(side, error);
        let found = [found_a.map_err(refused(Side::A))?, found_b.map_err(refused(Side::B))?];
        if found[0].number == found[1].number {
            return Err(CreationError::SameNumber);
        }
        let is_as_read = found.iter().zip(&real).all(|(found, real)| found.number == *real);
        let snapshot = if is_as_read { snapshot? } else { self.snapshot(&numbers_of(&found)).await? };
        if let Some(side) = Side::BOTH.into_iter().find(|side| snapshot.routes[side.index()].is_virtual) {
            return Err(CreationError::Number(side, ParticipantNumberError::Virtual));
        }
        Ok((found, snapshot))
    }

    async fn snapshot(&self, numbers: &[RealNumber; 2]) -> Result<PoolSnapshot, StoreError> {
        let now = self.clock.now();
        let [a, b] = numbers;
        let (routes_a, routes_b, ready) = tokio::try_join!(
            self.store.caller_routes(a, now),
            self.store.caller_routes(b, now),
            self.cache.ready(&self.store),
        )?;
        Ok(PoolSnapshot { routes: [routes_a, routes_b], ready })
    }

    /// Stores the conversation, and returns it with the marks of peak usage. Returns `None` if a parallel run of the same
    /// request was faster.
    async fn store_with_free_numbers(
        &self,
        new: &NewConversation,
        found: [LookedUpNumber; 2],
        mut snapshot: PoolSnapshot,
        request: Option<&IdempotentRequest>,
    ) -> Result<Option<(Conversation, Vec<Mark>)>, CreationError> {
        let real = numbers_of(&found);
        for attempt in 0..ATTEMPTS {
            match self.choose(&found, &snapshot, new.notify) {
                Ok(dials) => {
                    let conversation = self.compose(new, &found, dials);
                    let histories = Side::BOTH.map(|side| history(&snapshot, &conversation, side));
                    match self.store.create_conversation(&conversation, histories, request).await {
                        Ok(()) => {
                            let marks = Side::BOTH.into_iter().flat_map(|side| marks(&snapshot, &conversation, side));
                            let marks = marks.collect();
                            return Ok(Some((conversation, marks)));
                        }
                        Err(CreateError::RequestTaken) => return Ok(None),
                        Err(CreateError::KeyTaken) => retry::pause(attempt).await,
                        Err(CreateError::Store(error)) => return Err(error.into()),
                    }
                }
                Err(none_free) => {
                    // The route keys in use may be those of this same request, by a parallel run.
                    if self.remembered(request).await?.is_some() {
                        return Ok(None);
                    }
                    // The snapshot may be outdated after the carrier lookup. Only a fresh one justifies a refusal.
                    if attempt > 0
                        && let Some((none_free, renting)) = self.demand.record(&none_free).await?
                    {
                        return Err(CreationError::NoneFree(none_free, renting));
                    }
                }
            }
            snapshot = self.snapshot(&real).await?;
        }
        Err(CreationError::Contended)
    }

    /// Chooses the numbers that A and B dial.
    fn choose(
        &self,
        found: &[LookedUpNumber; 2],
        snapshot: &PoolSnapshot,
        texts: bool,
    ) -> Result<[VirtualNumber; 2], Vec<NoFreeNumber>> {
        let codes = found.each_ref().map(|found| parse::calling_code(&found.number));
        let caller = |side: Side| Caller {
            number: &found[side.index()].number,
            country: found[side.index()].country,
            calling_code: &codes[side.index()],
            routes: &snapshot.routes[side.index()],
        };
        let ready = &snapshot.ready.numbers;
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

/// Returns the previous conversations of the route key of the participant on `side`.
fn history(snapshot: &PoolSnapshot, conversation: &Conversation, side: Side) -> Vec<ConversationId> {
    let route = snapshot.routes[side.index()].by_number.get(&conversation.participant(side).dials);
    route.map(CallerRoute::history_for_next).unwrap_or_default()
}

/// Returns the marks of peak usage of the participant on `side` with this conversation: all routes until the first one is
/// free, one less until the second one is, and so on.
fn marks(snapshot: &PoolSnapshot, conversation: &Conversation, side: Side) -> Vec<Mark> {
    let routes = snapshot.routes[side.index()].in_use(conversation.created_at);
    let ends = routes
        .map(|(_, route)| route.quarantined_until)
        .chain([conversation.quarantined_until(conversation.expires_at)])
        .collect();
    Mark::all(conversation.participant(side).country, ends)
}
