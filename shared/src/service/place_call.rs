//! A call that a request places ("click to call"): Vonage rings one participant from the number that masks the other one. Whoever
//! presses 1 there is connected as if they had dialled that number.
//!
//! Vonage's request is not idempotent, so it is claimed in the table first, and Vonage is asked for the call before it is asked to
//! place one again. So a request is carried out once, whatever fails in between: at worst there is no call.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use crate::clock::SharedClock;
use crate::domain::conversation::Conversation;
use crate::domain::decision::Decision;
use crate::domain::pace::{Pace, Turn};
use crate::domain::phone::caller_id::CallerId;
use crate::domain::route::Destination;
use crate::domain::side::Side;
use crate::domain::words::Words;
use crate::service::pace::Pacer;
use crate::store::{IdempotentRequest, LegIds, PlacedCall, Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::call_steps;
use crate::vonage::call_urls::{CallUrls, StepKind};
use crate::vonage::calls::{CallsApi, NewCall};

/// Time after a claim in which its request to Vonage may still be under way: longer than the function that sends it may run.
const UNDER_WAY: SignedDuration = SignedDuration::from_secs(120);

/// The longest time for which a request waits for its turn.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(2);

/// Number of looks for a call of which Vonage's answer did not arrive.
const LOOKS: u32 = 4;

/// Places calls.
pub struct Placer {
    /// The table.
    pub store: Store,
    /// Vonage.
    pub api: Arc<CallsApi>,
    /// The words for people.
    pub words: Words,
    /// Pause between two looks for a call.
    pub pause: Duration,
    /// None if calls do not wait for their turn.
    pub pacer: Option<Pacer>,
    /// The clock.
    pub clock: SharedClock,
}

/// A request to place a call.
#[derive(Debug)]
pub struct CallOrder<'a> {
    /// The conversation.
    pub conversation: &'a Conversation,
    /// The side that is called first, and then connected with the other one.
    pub from: Side,
    /// The request, which may come again.
    pub request: &'a IdempotentRequest,
    /// The addresses of the conversation.
    pub urls: CallUrls,
}

/// A call that was placed.
#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    /// Vonage's ids of the call and of its first leg.
    pub ids: LegIds,
    /// True if an earlier run of the same request placed it.
    pub is_replay: bool,
}

/// Reason why no call was placed, or why it is not known if one was.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A call by this side would not be connected, with the outcome that it would have.
    #[error("a call by this participant would not be connected: {0}")]
    NotConnected(&'static str),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    OtherRequest,
    /// Another run of the same request may be asking Vonage.
    #[error("another run of the same request is under way")]
    UnderWay,
    /// Too many calls wait for their turn. Nothing was placed, and in so many seconds it may be tried again.
    #[error("too many calls wait for their turn")]
    TooManyCalls(u32),
    /// Vonage did not answer, and does not show the call yet.
    #[error("Vonage may have placed the call")]
    InDoubt(#[source] VonageError),
    /// A failed use of the table.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Vonage placed no call.
    #[error(transparent)]
    Vonage(VonageError),
}

impl Placer {
    /// Places the call, or finds the one that an earlier run has placed.
    pub async fn place(&self, order: &CallOrder<'_>) -> Result<Placed, PlaceError> {
        let now = self.clock.now();
        let key = &order.request.key_hash;
        if let Some(known) = self.store.placed_call(key, now).await? {
            return self.go_on(order, &known).await;
        }
        self.check(order).await?;
        self.wait_for_turn().await?;
        // Read again: two requests at the same moment must not share a claim.
        let claimed_at = self.clock.now();
        if self.store.claim_call(order.request, order.conversation.id, claimed_at).await? {
            return self.dial(order, claimed_at).await;
        }
        match self.store.placed_call(key, claimed_at).await? {
            Some(known) => self.go_on(order, &known).await,
            None => Err(PlaceError::UnderWay),
        }
    }

    /// Goes on with a request that was claimed before.
    async fn go_on(&self, order: &CallOrder<'_>, known: &PlacedCall) -> Result<Placed, PlaceError> {
        if known.fingerprint != order.request.fingerprint || known.conversation != order.conversation.id {
            return Err(PlaceError::OtherRequest);
        }
        if let Some(ids) = known.ids() {
            return Ok(Placed { ids, is_replay: true });
        }
        if let Some(ids) = self.look(order, known.claimed_at).await.map_err(PlaceError::InDoubt)? {
            return self.note(order, ids, true).await;
        }
        let now = self.clock.now();
        if now.duration_since(known.claimed_at) < UNDER_WAY {
            return Err(PlaceError::UnderWay);
        }
        self.check(order).await?;
        self.wait_for_turn().await?;
        let now = self.clock.now();
        match self.store.take_over_call(&order.request.key_hash, known.claimed_at, now).await? {
            true => self.dial(order, now).await,
            false => Err(PlaceError::UnderWay),
        }
    }

    /// Fails unless a call that the participant dialled would be connected: blocks, limits, the end and the direction hold here too.
    async fn check(&self, order: &CallOrder<'_>) -> Result<(), PlaceError> {
        let decision = decide(&self.store, order.conversation, order.from, self.clock.now()).await?;
        match &decision {
            Decision::Routed(Destination::Participant { .. }) => Ok(()),
            other => Err(PlaceError::NotConnected(other.outcome())),
        }
    }

    /// Waits until it is the call's turn, if that is soon. Fails without a claim, so that the request may come again.
    async fn wait_for_turn(&self) -> Result<(), PlaceError> {
        let Some(pacer) = &self.pacer else { return Ok(()) };
        let wait = match pacer.turn().await? {
            Turn::At(at) => self.clock.now().duration_until(at),
            Turn::TooMany => Pace::LONGEST_WAIT,
        };
        if wait > LONGEST_WAIT {
            return Err(PlaceError::TooManyCalls(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX)));
        }
        tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
        Ok(())
    }

    /// Asks Vonage for the call, once.
    async fn dial(&self, order: &CallOrder<'_>, claimed_at: jiff::Timestamp) -> Result<Placed, PlaceError> {
        let participant = order.conversation.participant(order.from);
        let limits = order.conversation.limits;
        let call = NewCall {
            to: &participant.number,
            from: &participant.sees,
            ncco: call_steps::invite(&self.words, order.conversation, order.from, &order.urls),
            event_url: order.urls.step(StepKind::Placed, order.from, None),
            ringing_timer: limits.ring_seconds,
            // With its ringing it is no longer than the longest call, which the quarantine covers.
            length_timer: limits.max_call_seconds.saturating_sub(limits.ring_seconds),
        };
        let error = match self.api.create(&call).await {
            Ok((call, leg)) => return self.note(order, LegIds { call, leg }, false).await,
            Err(error) if error.outcome_is_unknown() => error,
            Err(error) => {
                self.store.give_up_call(&order.request.key_hash, claimed_at).await?;
                return Err(PlaceError::Vonage(error));
            }
        };
        for _ in 0..LOOKS {
            if let Ok(Some(ids)) = self.look(order, claimed_at).await {
                return self.note(order, ids, false).await;
            }
            tokio::time::sleep(self.pause).await;
        }
        Err(PlaceError::InDoubt(error))
    }

    /// Looks at Vonage for the first leg of a call that was placed under this claim. A call that the other one has dialled at the
    /// same time looks the same: the two are being connected then, and one call too few is better than one too many.
    async fn look(&self, order: &CallOrder<'_>, since: jiff::Timestamp) -> Result<Option<LegIds>, VonageError> {
        let participant = order.conversation.participant(order.from);
        let found = self.api.find(&participant.number, &participant.sees, since).await?;
        Ok(found.map(|(call, leg)| LegIds { call, leg }))
    }

    async fn note(&self, order: &CallOrder<'_>, ids: LegIds, is_replay: bool) -> Result<Placed, PlaceError> {
        self.store.note_placed_call(&order.request.key_hash, &ids).await?;
        Ok(Placed { ids, is_replay })
    }
}

/// Returns the decision about a call that the participant on this side would dial at `now`.
pub async fn decide(
    store: &Store,
    conversation: &Conversation,
    from: Side,
    now: jiff::Timestamp,
) -> Result<Decision, StoreError> {
    let participant = conversation.participant(from);
    let caller = CallerId::Phone(participant.route_caller().as_phone().clone());
    let (decision, _) = store.decide(&caller, Some(&participant.sees), now).await?;
    // The number may lead to the next conversation of the same two people.
    Ok(match decision.conversation() {
        Some(id) if id != conversation.id => Decision::Routed(Destination::Ended(conversation.id)),
        _ => decision,
    })
}
