//! Routes: one GetItem for a call, one Query for the choice of a number. They are written together with their
//! conversation, in one transaction.

use jiff::Timestamp;

use super::item::{self, Key, OWN_NUMBER};
use super::retention::RECORDS_KEPT;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::caller_routes::CallerRoutes;
use crate::domain::conversation::{Conversation, ConversationId, Participant};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{Destination, KeyOwner, Route, destination};
use crate::domain::side::Side;

impl Store {
    /// Returns the destination of a call from `caller` to `dialled` at `now`.
    ///
    /// A live route is accepted from one eventually consistent read. Any other result is read again consistently. So a
    /// conversation connects calls from the moment of its creation, and no call is refused on stale data. A call that is
    /// connected can be based on data about a second old: on a conversation that has just ended or been erased, or on a
    /// phone that has just been replaced. It never reaches another conversation's participant, because a route key stays
    /// in quarantine for at least a minute after an end, and by then every read returns the end.
    pub async fn destination(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        now: Timestamp,
    ) -> Result<Destination, StoreError> {
        let owner = self.get_if_enough(Key::Route { caller, dialled }, |owner: &KeyOwner| owner.connects(now)).await?;
        Ok(destination(owner, now))
    }

    /// Returns the owner of the route key of `caller` and `dialled` at `time`, which is close to the present.
    ///
    /// An owner that covers `time` is accepted from one eventually consistent read, for the reason given at
    /// [`Store::destination`]. Any other result is read again consistently, so that no event of a conversation that has
    /// just started is lost.
    pub async fn key_owner_at(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        time: Timestamp,
    ) -> Result<Option<KeyOwner>, StoreError> {
        let covers = |owner: &KeyOwner| owner.covers(time);
        Ok(self.get_if_enough(Key::Route { caller, dialled }, covers).await?.filter(covers))
    }

    /// Returns the present or last owner of the route key of `caller` and `dialled`. One consistent read.
    pub async fn key_owner(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
    ) -> Result<Option<KeyOwner>, StoreError> {
        self.get(Key::Route { caller, dialled }).await
    }

    /// Returns all present and past routes of `caller`. One consistent query.
    pub async fn caller_routes(&self, caller: &RealNumber, now: Timestamp) -> Result<CallerRoutes, StoreError> {
        let items = self.query(item::caller_partition(caller.expose()), None).await?;
        let mut routes = CallerRoutes::default();
        for item in items {
            if item::sort_key(&item) == OWN_NUMBER {
                // A number that was given back to Vonage stays known as ours for a day.
                routes.is_virtual = item::time(&item, "ttl").is_none_or(|until| now < until);
            } else if let Some(dialled) = item::dialled(&item) {
                routes.by_number.insert(dialled, item::read(item)?);
            }
        }
        Ok(routes)
    }
}

/// Creates a route under a key that is free at `now` and has the history that the route was built with.
pub(super) fn create(conversation: &Conversation, route: &Route, now: Timestamp) -> Result<Write, StoreError> {
    put(conversation, route, now, is_free_as_read(&route.history))
}

/// Creates the route of a participant who has another phone from `now` on. The key may be the conversation's own already.
pub(super) fn move_to_phone(conversation: &Conversation, route: &Route, now: Timestamp) -> Result<Write, StoreError> {
    let condition = format!("{} OR {}", is_free_as_read(&route.history), is_own_as_read(&route.history));
    Ok(put(conversation, route, now, condition)?.bind(":id", item::string(conversation.id)))
}

/// Puts a route's item. It is retained as long as the conversation's records, so that the same two people are given the
/// same numbers again.
fn put(conversation: &Conversation, route: &Route, now: Timestamp, condition: String) -> Result<Write, StoreError> {
    let participant = conversation.participant(route.side);
    let key = Key::Route { caller: &participant.number, dialled: &participant.dials };
    let item = key.with(route, Some(route.quarantined_until + RECORDS_KEPT))?;
    let put = Write::put(item).when(condition).bind(":now", item::seconds(now));
    let history = route.history.iter().enumerate();
    Ok(history.fold(put, |put, (nth, id)| put.bind(format!(":earlier{nth}"), item::string(*id))))
}

/// Ends the route of a participant at `now`, so that its key is in quarantine from then on.
pub(super) fn close(conversation: &Conversation, participant: &Participant, now: Timestamp) -> Write {
    set(conversation, participant, now)
}

/// Updates the route of a participant whose own phone stays the same to the end and the other phone of `conversation`.
pub(super) fn follow(conversation: &Conversation, side: Side) -> Write {
    let connect_to = &conversation.participant(side.other()).number;
    set(conversation, conversation.participant(side), conversation.expires_at)
        .set("connect_to = :to")
        .bind(":to", item::string(connect_to.expose()))
}

fn set(conversation: &Conversation, participant: &Participant, end: Timestamp) -> Write {
    let until = conversation.quarantined_until(end);
    Write::update(Key::Route { caller: &participant.number, dialled: &participant.dials })
        .set("expires_at = :end, quarantined_until = :until")
        .set_ttl(until + RECORDS_KEPT)
        .when("conversation = :id")
        .bind(":end", item::seconds(end))
        .bind(":until", item::seconds(until))
        .bind(":id", item::string(conversation.id))
}

/// Condition under which a free route key can be given to a conversation at `:now`. The key's history has to be the one
/// that was read, because one of its conversations may have been erased since.
fn is_free_as_read(history: &[ConversationId]) -> String {
    if history.is_empty() {
        return "(attribute_not_exists(pk) OR quarantined_until <= :now)".to_owned();
    }
    let others = (1..history.len()).map(|nth| format!(" AND earlier[{}] = :earlier{nth}", nth - 1));
    format!("(quarantined_until <= :now AND conversation = :earlier0{})", others.collect::<String>())
}

/// The same condition for a route key that the conversation `:id` owns already.
fn is_own_as_read(history: &[ConversationId]) -> String {
    let others = (0..history.len()).map(|nth| format!(" AND earlier[{nth}] = :earlier{nth}"));
    format!("(conversation = :id{})", others.collect::<String>())
}
