//! Explanations of calls: what one meets now, met or will meet at another time, and by which items. The decision is the answer
//! webhook's own.
//!
//! The table keeps the present state of a route and of its conversation, and no log of their changes. So about the past it knows
//! when a conversation began and ended, and which ones had the route key before. Where a change since then may have led to
//! another decision, the explanation says so.

use jiff::{SignedDuration, Timestamp};

use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::decision::Decision;
use crate::domain::number_settings::NumberSettings;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{Destination, KeyOwner, Route, destination};
use crate::domain::side::Side;
use crate::domain::tenant::Owner;
use crate::domain::words::addressee::Addressee;
use crate::store::{Decided, KeyOwners, ROUTES_KEPT, Store, StoreError};

/// A decision with what led to it.
#[derive(Debug)]
pub struct Explanation {
    /// The decision. `None` if the table no longer tells what the call met.
    pub decision: Option<Decision>,
    /// The time that it is about.
    pub at: Timestamp,
    /// The items under the route key that decided, with the caller in their keys. If none of them did, all that are there.
    pub owners: KeyOwners,
    /// The conversation of the decision, if it can be read.
    pub conversation: Option<Conversation>,
    /// The side of the other participant, whom a connected call reaches.
    pub callee: Option<Side>,
    /// The reason for which the decision is not certain.
    pub doubt: Option<Doubt>,
    /// The settings of the dialled number, unless the question is about the past, of which they tell nothing.
    pub settings: Option<NumberSettings>,
}

impl Explanation {
    /// Returns what the words for the caller depend on, if a route decided.
    pub fn addressee(&self) -> Option<Addressee> {
        self.owners.0.iter().find_map(|(_, owner)| owner.as_ref()?.addressee())
    }

    /// Returns the owner whose words the caller hears: that of the route, or else of the number.
    pub fn speaker(&self) -> Owner {
        let of_route = self.owners.0.iter().find_map(|(_, owner)| owner.as_ref()?.speaker());
        of_route.or_else(|| self.settings.as_ref().map(|settings| settings.owner)).unwrap_or_default()
    }
}

/// A reason for which a decision about another time than now is not certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The time has not come.
    Future,
    /// The conversation has changed since it was created.
    Changed,
    /// The route changed in the second that was asked about, or could have.
    SameSecond,
    /// A conversation that was erased since may have had the route key.
    Erased,
    /// An item that cannot be read may have decided.
    Unreadable,
    /// The item that was there has been deleted.
    Deleted,
}

impl Doubt {
    /// Returns the reason in one sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Future => {
                "This is the present state at that time: the conversation may change, end or be erased before."
            }
            Self::Changed => {
                "The conversation was changed or reached a limit, and the times of such changes are not all kept."
            }
            Self::SameSecond => "Times are kept to the second, and something changed in this one.",
            Self::Erased => "A conversation that has been erased since may have been there.",
            Self::Unreadable => "An item that cannot be read may have been another one then.",
            Self::Deleted => "What was there then has been deleted.",
        }
    }
}

/// The past of a route key, as far as it is known.
struct Past {
    destination: Option<Destination>,
    side: Option<Side>,
    conversation: Option<Conversation>,
    doubt: Option<Doubt>,
}

/// Explains the decision about a call from `caller` to `dialled` at `at`, as it is known at `now`. Up to five reads.
pub async fn explain(
    store: &Store,
    caller: CallerId,
    dialled: &VirtualNumber,
    [at, now]: [Timestamp; 2],
) -> Result<Explanation, StoreError> {
    let caller = match caller {
        CallerId::Phone(caller) => RealNumber::from(caller),
        CallerId::Hidden | CallerId::NotUnderstood { .. } => {
            let Decided { decision, settings, .. } = store.decide_call(&caller, Some(dialled), now).await?;
            let owners = KeyOwners::default();
            return Ok(Explanation {
                decision: Some(decision),
                at,
                owners,
                conversation: None,
                callee: None,
                doubt: None,
                settings: settings.filter(|_| at >= now),
            });
        }
    };
    let (owners, settings) = store.key_owners_and_settings(&caller, dialled, [at, now]).await?;
    if at < now {
        return in_the_past(store, (&caller, dialled), owners, [at, now]).await;
    }
    let best = owners.best(at);
    let (decided, side) = decided(&owners, best, at);
    let conversation = conversation_of(store, &decided, now).await?;
    Ok(Explanation {
        decision: Some(Decision::Routed(decided)),
        at,
        owners: deciding(owners, best),
        conversation,
        callee: side.map(Side::other),
        doubt: (at > now).then_some(Doubt::Future),
        settings,
    })
}

/// Returns the destination by the owner at this position, and the caller's side.
fn decided(owners: &KeyOwners, best: Option<usize>, at: Timestamp) -> (Destination, Option<Side>) {
    let owner = best.and_then(|best| owners.0[best].1.clone());
    let side = match &owner {
        Some(KeyOwner::Route(route)) => Some(route.side),
        _ => None,
    };
    (destination(owner, at), side)
}

async fn conversation_of(
    store: &Store,
    destination: &Destination,
    now: Timestamp,
) -> Result<Option<Conversation>, StoreError> {
    match Decision::Routed(destination.clone()).conversation() {
        Some(id) => readable(store, id, now).await,
        None => Ok(None),
    }
}

/// Returns a conversation. One that cannot be read explains nothing.
async fn readable(store: &Store, id: ConversationId, now: Timestamp) -> Result<Option<Conversation>, StoreError> {
    match store.conversation(id, now).await {
        Err(StoreError::Unreadable(..)) => Ok(None),
        conversation => conversation,
    }
}

/// Keeps the owner that decided, or all if none did.
fn deciding(owners: KeyOwners, best: Option<usize>) -> KeyOwners {
    let kept = owners.0.into_iter().enumerate().filter(|(index, _)| best.is_none_or(|best| best == *index));
    KeyOwners(kept.map(|(_, owner)| owner).collect())
}

async fn in_the_past(
    store: &Store,
    key: (&RealNumber, &VirtualNumber),
    owners: KeyOwners,
    [at, now]: [Timestamp; 2],
) -> Result<Explanation, StoreError> {
    // Of two spellings, that which connected calls or used the key then, else the one that is there.
    let was_there =
        |(_, owner): &(RealNumber, Option<KeyOwner>)| owner.as_ref().is_some_and(|owner| since(owner) <= at);
    let best = owners.0.iter().position(|owner| was_there(owner) && owner.1.as_ref().is_some_and(|it| it.is_live(at)));
    let best = best.or_else(|| {
        owners.0.iter().position(|owner| was_there(owner) && owner.1.as_ref().is_some_and(|it| it.is_in_use(at)))
    });
    let best = best.or_else(|| owners.0.iter().position(|(_, owner)| owner.is_some()));
    let mut past = match best.and_then(|best| owners.0[best].1.clone()) {
        Some(KeyOwner::Route(route)) if since(&KeyOwner::Route(route.clone())) <= at => {
            of_route(store, route, [at, now]).await?
        }
        Some(KeyOwner::Route(route)) => of_history(store, &route, key, [at, now]).await?,
        Some(owner) => without_route(&owner, at),
        None if at < now - ROUTES_KEPT => unknown(Doubt::Deleted),
        None => Past { doubt: Some(Doubt::Erased), ..nobody() },
    };
    if owners.0.iter().any(|(_, owner)| owner.is_none()) {
        past.doubt = Some(Doubt::Unreadable);
    } else if owners.0.len() > 1 {
        // The other spelling may have had a conversation that is gone.
        past.doubt = past.doubt.or(Some(Doubt::Erased).filter(|_| past.side.is_none()));
    }
    Ok(Explanation {
        decision: past.destination.map(Decision::Routed),
        at,
        owners: deciding(owners, best),
        conversation: past.conversation,
        callee: past.side.map(Side::other),
        doubt: past.doubt,
        settings: None,
    })
}

fn nobody() -> Past {
    Past { destination: Some(Destination::Nobody), side: None, conversation: None, doubt: None }
}

fn unknown(doubt: Doubt) -> Past {
    Past { destination: None, doubt: Some(doubt), ..nobody() }
}

/// Returns the time from which the owner has the key.
fn since(owner: &KeyOwner) -> Timestamp {
    match owner {
        // A conversation's id knows it to the millisecond.
        KeyOwner::Route(route) if is_same_second(route.since, route.conversation.created_at()) => {
            route.conversation.created_at()
        }
        KeyOwner::Route(route) => route.since,
        KeyOwner::Erased(erased) => erased.since,
        KeyOwner::Held(hold) => hold.held_at,
    }
}

fn is_same_second(one: Timestamp, other: Timestamp) -> bool {
    one.as_second() == other.as_second()
}

/// The past of a key that has had this route since before `at`.
async fn of_route(store: &Store, mut route: Route, [at, now]: [Timestamp; 2]) -> Result<Past, StoreError> {
    let conversation = readable(store, route.conversation, now).await?;
    let mut doubt = None;
    match &conversation {
        Some(conversation) => {
            if let Some(reached_at) = conversation.limit_reached_at {
                route.exhausted = reached_at <= at;
            }
            let limit_reached_at = conversation.limit_reached_at;
            // What is left for a call changes with each call.
            if may_differ(conversation) || conversation.usage_limits.cut_calls() {
                doubt = Some(Doubt::Changed);
            } else if limit_reached_at.is_some_and(|reached| is_same_second(reached, at)) {
                doubt = Some(Doubt::SameSecond);
            }
        }
        None => doubt = Some(Doubt::Erased),
    }
    if [route.since, route.expires_at, route.quarantined_until].into_iter().any(|moment| is_same_second(moment, at)) {
        doubt = Some(Doubt::SameSecond);
    }
    let side = Some(route.side);
    let found = destination(Some(KeyOwner::Route(route)), at);
    // Changes of a conversation matter only while it connects calls.
    let is_over = matches!(
        found,
        Destination::Ended(_) | Destination::Late { .. } | Destination::Replaced(_) | Destination::Nobody
    );
    let doubt = doubt.filter(|doubt| *doubt == Doubt::SameSecond || !is_over);
    let conversation = conversation.filter(|_| found != Destination::Nobody);
    Ok(Past { destination: Some(found), side, conversation, doubt })
}

/// True if a conversation has changed in a way of which the table does not keep the time.
fn may_differ(conversation: &Conversation) -> bool {
    let known = u32::from(conversation.ended_at.is_some()) + u32::from(conversation.limit_reached_at.is_some());
    conversation.revision > known
}

/// The past of a key that got its present route after `at`.
async fn of_history(
    store: &Store,
    route: &Route,
    (caller, dialled): (&RealNumber, &VirtualNumber),
    [at, now]: [Timestamp; 2],
) -> Result<Past, StoreError> {
    let begun = route.history.iter().copied().find(|id| id.created_at() <= at);
    let Some(id) = begun else { return Ok(unknown(Doubt::Erased)) };
    let Some(conversation) = readable(store, id, now).await? else { return Ok(unknown(Doubt::Erased)) };
    // The callee's numbers are those of the caller as well: a participant's phone, and the number that this one sees.
    let Some((side, phone)) = conversation.callee(caller, dialled) else { return Ok(unknown(Doubt::Erased)) };
    let then = Route { expires_at: conversation.end(), ..Route::new(&conversation, side) };
    let then = Route { quarantined_until: conversation.rests_until(), phone, ..then };
    let past = of_route(store, then, [at, now]).await?;
    let was_live = at < conversation.end() - SignedDuration::from_secs(1);
    let doubt = past.doubt.or((!was_live).then_some(Doubt::Erased));
    let doubt = if conversation.moves() > 0 { Some(Doubt::Changed) } else { doubt };
    Ok(Past { doubt, ..past })
}

/// The past of a key that no route has.
fn without_route(owner: &KeyOwner, at: Timestamp) -> Past {
    let has_begun = since(owner) <= at;
    match owner {
        KeyOwner::Erased(erased) if has_begun && at < erased.expires_at => unknown(Doubt::Erased),
        _ if !has_begun => unknown(Doubt::Deleted),
        owner => {
            let is_edge = is_same_second(since(owner), at) || is_same_second(owner.quarantined_until(), at);
            // A tombstone does not say which of the rules for a quarantine was in force before the erasure.
            let is_tombstone = matches!(owner, KeyOwner::Erased(_)) && owner.is_in_use(at);
            let doubt = is_tombstone.then_some(Doubt::Erased).or(is_edge.then_some(Doubt::SameSecond));
            Past { destination: Some(destination(Some(owner.clone()), at)), doubt, ..nobody() }
        }
    }
}
