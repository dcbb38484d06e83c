//! Routes: one GetItem for a call, one Query for the choice of a number. They are written together with their
//! conversation, in one transaction.
//!
//! The caller in a route key has the canonical spelling. Keys that were stored under the other spelling of a phone before
//! are found too, until they are free; this costs a read more, for those phones only.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::item::{self, Item, Key, OWN_NUMBER};
use super::passed_over::PassedOver;
use super::retention::ROUTES_KEPT;
use super::write::Write;
use super::{Store, StoreError, number_settings, opt_outs};
use crate::domain::caller_routes::{CallerRoute, CallerRoutes, Extent};
use crate::domain::channel::Sender;
use crate::domain::conversation::{Conversation, ConversationId, SidePhone};
use crate::domain::decision::Decision;
use crate::domain::number_settings::NumberSettings;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{Callee, Destination, KeyOwner, Route, destination};
use crate::domain::tenant::Owner;
use crate::domain::usage::Tally;
use crate::domain::words::addressee::Addressee;

/// The owners that are stored for a caller and a number, each with the spelling of the caller in its key. One that cannot be
/// read is `None`.
#[derive(Debug, Default)]
pub struct KeyOwners(pub Vec<(RealNumber, Option<KeyOwner>)>);

impl KeyOwners {
    /// Returns the position of the owner that decides a call at `time`: the one that connects calls, else one that uses the
    /// key.
    pub fn best(&self, time: Timestamp) -> Option<usize> {
        let find = |is: &dyn Fn(&KeyOwner) -> bool| self.0.iter().position(|(_, owner)| owner.as_ref().is_some_and(is));
        find(&|owner| owner.is_live(time)).or_else(|| find(&|owner| owner.is_in_use(time)))
    }

    pub(super) fn into_best(mut self, time: Timestamp) -> Option<KeyOwner> {
        let best = self.best(time)?;
        self.0.swap_remove(best).1
    }

    /// Returns the decision about a call at `now`, with what the words for the caller depend on, if there is a route.
    fn decision(self, now: Timestamp) -> (Decision, Option<Addressee>) {
        let owner = self.into_best(now);
        let addressee = owner.as_ref().and_then(KeyOwner::addressee);
        (Decision::Routed(destination(owner, now)), addressee)
    }
}

/// The decision about a call, with what was read for it.
#[derive(Debug)]
pub struct Decided {
    /// The decision by the route.
    pub decision: Decision,
    /// The facts on which the words for the caller depend, if there is a route.
    pub addressee: Option<Addressee>,
    /// The settings of the dialled number, if there are some and no route decides alone.
    pub settings: Option<NumberSettings>,
    /// The owner whose words the caller hears: that of the route, or else of the number.
    pub speaker: Owner,
}

impl Decided {
    /// Creates what is decided by no route.
    fn without_route(decision: Decision, settings: Option<NumberSettings>) -> Self {
        let speaker = settings.as_ref().map(|settings| settings.owner).unwrap_or_default();
        Self { decision, addressee: None, settings, speaker }
    }
}

/// Returns the decision about a call without a route key.
fn without_key(caller: &CallerId) -> Decision {
    match caller {
        CallerId::Phone(_) => Decision::NoNumber,
        CallerId::Hidden => Decision::Hidden,
        CallerId::NotUnderstood { .. } => Decision::Unclear,
    }
}

impl Store {
    /// Returns the decision about a call from `caller` to `dialled` at `now`, with what the words for the caller depend on, if there
    /// is a route. See [`Store::destination`].
    pub async fn decide(
        &self,
        caller: &CallerId,
        dialled: Option<&VirtualNumber>,
        now: Timestamp,
    ) -> Result<(Decision, Option<Addressee>), StoreError> {
        let decision = match (caller, dialled) {
            (CallerId::Phone(caller), Some(dialled)) => {
                let owners = self.key_owners(&caller.clone().into(), dialled, [now, now]).await?;
                return Ok(owners.decision(now));
            }
            _ => without_key(caller),
        };
        Ok((decision, None))
    }

    /// Like [`Store::decide`], with the settings of the dialled number, if no route decides alone. They are read at the same time
    /// as the route for the second time, and may be about a second old.
    pub async fn decide_call(
        &self,
        caller: &CallerId,
        dialled: Option<&VirtualNumber>,
        now: Timestamp,
    ) -> Result<Decided, StoreError> {
        let Some(dialled) = dialled else {
            return Ok(Decided::without_route(without_key(caller), None));
        };
        let CallerId::Phone(caller) = caller else {
            let settings = self.settings_in_call(dialled).await?;
            return Ok(Decided::without_route(without_key(caller), settings));
        };
        let read = self.key_owners_and_settings(&caller.clone().into(), dialled, [now, now]).await;
        let (owners, settings) = read?;
        let speaker = owners.best(now).and_then(|best| owners.0[best].1.as_ref()?.speaker());
        let (decision, addressee) = owners.decision(now);
        let decided = Decided::without_route(decision, settings);
        Ok(Decided { addressee, speaker: speaker.unwrap_or(decided.speaker), ..decided })
    }

    /// Returns the destination of a call from `caller` to `dialled` at `now`.
    ///
    /// A live route or a hold is accepted from one eventually consistent read. Any other result is read again consistently. So a
    /// conversation connects calls from the moment of its creation, and no call is refused on stale data. A call that is
    /// connected can be based on data about a second old: on a conversation that has just ended or been erased, or on a
    /// phone that has just been replaced. It never reaches anybody else, because a route key stays in quarantine for at
    /// least a minute after an end, and by then every read returns the end. Only the same two people may have it before.
    /// A route that cannot be read leads to nobody.
    pub async fn destination(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        now: Timestamp,
    ) -> Result<Destination, StoreError> {
        Ok(destination(self.key_owners(caller, dialled, [now, now]).await?.into_best(now), now))
    }

    /// Returns the owner of the route key of `caller` and `dialled` at `time`, which is close to the present. One consistent
    /// read, or two in parallel for a phone with two spellings.
    ///
    /// An older state would not do: the same two people may have got the key back a moment ago, and the event would be
    /// recorded in their last conversation. It fails if the owner may be one that cannot be read.
    pub async fn key_owner_at(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        time: Timestamp,
    ) -> Result<Option<KeyOwner>, StoreError> {
        let (caller, other) = (caller.canonical(), caller.other_spelling());
        let keys = route_keys(&caller, other.as_ref(), dialled);
        let items = try_join_all(keys.iter().map(|key| self.get_item(*key))).await?;
        let mut passed_over = PassedOver::default();
        let owners = items.into_iter().flatten().filter_map(|item| passed_over.take(item::read::<KeyOwner>(item)));
        let owners: Vec<_> = owners.collect();
        match (owners.into_iter().find(|owner| owner.covers(time)), passed_over.error()) {
            (None, Some(unreadable)) => Err(unreadable),
            (owner, _) => Ok(owner),
        }
    }

    /// Returns what is stored for a call from `caller` to `dialled` at `now`. If `time` is `now`, an owner that decides the
    /// call is accepted from one eventually consistent read. What is stored for another time is read consistently.
    pub async fn key_owners(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        times: [Timestamp; 2],
    ) -> Result<KeyOwners, StoreError> {
        Ok(self.owners(caller, dialled, times, None).await?.0)
    }

    /// Like [`Store::key_owners`], with the settings of the number, unless an owner was accepted from the first read.
    pub async fn key_owners_and_settings(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        times: [Timestamp; 2],
    ) -> Result<(KeyOwners, Option<NumberSettings>), StoreError> {
        let (owners, item) = self.owners(caller, dialled, times, Some(Key::NumberSettings(dialled))).await?;
        Ok((owners, item.and_then(number_settings::of_item)))
    }

    async fn owners(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        [time, now]: [Timestamp; 2],
        beside: Option<Key<'_>>,
    ) -> Result<(KeyOwners, Option<Item>), StoreError> {
        let (caller, other) = (caller.canonical(), caller.other_spelling());
        let decides = |owner: &KeyOwner| time == now && owner.decides(now);
        let keys = route_keys(&caller, other.as_ref(), dialled);
        let (read, beside) = self.get_if_enough(&keys, beside, decides).await?;
        let callers: Vec<RealNumber> = [Some(caller.into_owned()), other].into_iter().flatten().collect();
        let owners = read.into_iter().map(|(index, owner)| (callers[index].clone(), owner));
        Ok((KeyOwners(owners.collect()), beside))
    }

    /// Returns the present or last owner of exactly this route key. One consistent read.
    pub async fn key_owner(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
    ) -> Result<Option<KeyOwner>, StoreError> {
        self.get(Key::Route { caller, dialled }).await
    }

    /// Returns all present and past routes of `caller`. One consistent query, or two in parallel for a phone with two
    /// spellings.
    pub async fn caller_routes(&self, caller: &RealNumber, now: Timestamp) -> Result<CallerRoutes, StoreError> {
        let canonical = self.query(item::caller_partition(caller.canonical().expose()), None);
        let (items, others) = tokio::try_join!(Box::pin(canonical), self.under_other_spelling(caller))?;
        Ok(read_routes(items, others, now))
    }

    /// Like [`Store::caller_routes`], but returns the first `limit` items only. One consistent read. Routes under the other
    /// spelling of a phone are returned all: there are no new ones.
    pub async fn first_routes(
        &self,
        caller: &RealNumber,
        limit: u16,
        now: Timestamp,
    ) -> Result<CallerRoutes, StoreError> {
        let canonical = self.first_items(item::caller_partition(caller.canonical().expose()), limit);
        let ((items, more), others) = tokio::try_join!(Box::pin(canonical), self.under_other_spelling(caller))?;
        let extent = if more { Extent::Some { probed: HashSet::new() } } else { Extent::All };
        Ok(CallerRoutes { extent, ..read_routes(items, others, now) })
    }

    /// Returns the present and past routes of `caller` under these `numbers`, of which there may be up to 99. One
    /// consistent read, or two in parallel for a phone with two spellings.
    pub async fn probe_routes(
        &self,
        caller: &RealNumber,
        numbers: &[VirtualNumber],
        now: Timestamp,
    ) -> Result<CallerRoutes, StoreError> {
        let probe = async |caller: &RealNumber| {
            let own = VirtualNumber::from(caller.as_phone().clone());
            let routes = numbers.iter().map(|dialled| Key::Route { caller, dialled });
            self.batch_get(routes.chain([Key::OwnNumber(&own)])).await
        };
        let (canonical, other) = (caller.canonical(), caller.other_spelling());
        let others = async {
            match &other {
                Some(other) => Box::pin(probe(other)).await,
                None => Ok(Vec::new()),
            }
        };
        let (items, others) = tokio::try_join!(Box::pin(probe(&canonical)), others)?;
        Ok(CallerRoutes {
            extent: Extent::Some { probed: numbers.iter().cloned().collect() },
            ..read_routes(items, others, now)
        })
    }

    /// Returns the items under the other spelling of a phone, if it has two.
    async fn under_other_spelling(&self, caller: &RealNumber) -> Result<Vec<Item>, StoreError> {
        match caller.other_spelling() {
            // Boxed, so that the futures of all other callers do not grow.
            Some(other) => Box::pin(self.query(item::caller_partition(other.expose()), None)).await,
            None => Ok(Vec::new()),
        }
    }
}

/// Returns the route keys of a caller and a number: under the canonical spelling, and under the other one if there is one.
fn route_keys<'a>(
    canonical: &'a RealNumber,
    other: Option<&'a RealNumber>,
    dialled: &'a VirtualNumber,
) -> Vec<Key<'a>> {
    [Some(canonical), other].into_iter().flatten().map(|caller| Key::Route { caller, dialled }).collect()
}

/// Reads the items of a caller: those under the canonical spelling, and those under the other one. A number whose route
/// cannot be read is in use.
fn read_routes(items: Vec<Item>, others: Vec<Item>, now: Timestamp) -> CallerRoutes {
    let mut passed_over = PassedOver::default();
    let mut read = |item| passed_over.take(item::read(item)).unwrap_or_else(|| CallerRoute::unknown(now));
    let is_virtual = items.iter().chain(&others).any(|item| is_own_number(item, now));
    let mut routes = CallerRoutes { is_virtual, ..CallerRoutes::default() };
    for item in items {
        if let Some(sender) = item::declined(&item) {
            if let Sender::Number(number) = sender
                && opt_outs::holds(&item)
            {
                routes.opted_out.insert(number.into_owned());
            }
        } else if let Some(dialled) = item::dialled(&item) {
            routes.by_number.insert(dialled, read(item));
        }
    }
    for item in others {
        if let Some(dialled) = item::dialled(&item) {
            routes.add_other_spelling(dialled, read(item), now);
        }
    }
    routes
}

/// True if the item marks one of our own numbers. One that was given back to Vonage stays known as ours for a day.
pub(super) fn is_own_number(item: &Item, now: Timestamp) -> bool {
    item::sort_key(item) == OWN_NUMBER && item::time(item, "ttl").is_none_or(|until| now < until)
}

/// Creates a route under a key that is free at `now` and has the history that the route was built with. If calls of that
/// history may go on, the key may also be in the quarantine of the same two people.
pub(super) fn create(conversation: &Conversation, route: &Route, now: Timestamp) -> Result<Write, StoreError> {
    if route.overlap_until.is_none() || route.history.is_empty() {
        return put(conversation, route, now, is_free_as_read(&route.history));
    }
    let condition = format!(
        "expires_at <= :now AND attribute_not_exists(is_replaced) AND connect_to IN (:to, :other) AND {}",
        has_history(&route.history)
    );
    let other = route.connect_to.other_spelling();
    let other = other.as_ref().unwrap_or(&route.connect_to);
    Ok(put(conversation, route, now, condition)?
        .bind(":to", item::string(route.connect_to.canonical().expose()))
        .bind(":other", item::string(other.expose())))
}

/// Creates the route of a participant who has another route key from `now` on. The key may be the conversation's own already.
pub(super) fn join(conversation: &Conversation, route: &Route, now: Timestamp) -> Result<Write, StoreError> {
    let condition = format!("{} OR {}", is_free_as_read(&route.history), is_own_as_read(&route.history));
    Ok(put(conversation, route, now, condition)?.bind(":id", item::string(conversation.id)))
}

/// Puts a route's item. It stays for a while after its quarantine, unless its conversation is erased before, so that the same
/// two people are given the same numbers again.
fn put(conversation: &Conversation, route: &Route, now: Timestamp, condition: String) -> Result<Write, StoreError> {
    let key = key_of(conversation.phone_at(route.side, route.phone));
    // It may have had the key before the conversations that were read.
    let earlier = route.history.iter().copied().filter(|earlier| *earlier != conversation.id).collect();
    let stored = Route { history: earlier, ..route.clone() };
    let item = key.with(&stored, Some(route.quarantined_until + ROUTES_KEPT))?;
    let put = Write::put(item).when(condition).bind(":now", item::seconds(now));
    let history = route.history.iter().enumerate();
    Ok(history.fold(put, |put, (nth, id)| put.bind(format!(":earlier{nth}"), item::string(*id))))
}

/// Ends the route of a `phone` at `now`, so that its key is in quarantine from then on.
pub(super) fn close(conversation: &Conversation, phone: SidePhone<'_>, now: Timestamp) -> Write {
    set(conversation, phone, now)
}

/// Marks an ended conversation or its closed route: calls that are answered after all are to be hung up.
pub(super) fn mark_to_hang_up(end: Write) -> Write {
    end.set("hangs_up = :hangs_up").bind(":hangs_up", AttributeValue::Bool(true))
}

/// Like [`close`], for a phone that dials another number by the route `new` from `now` on. The old route has to leave as much for a
/// call as the new one.
pub(super) fn replace(conversation: &Conversation, new: &Route, now: Timestamp) -> Write {
    let replace = close(conversation, conversation.phone_at(new.side, new.phone), now);
    let replace = replace.set("is_replaced = :true").bind(":true", AttributeValue::Bool(true));
    if !conversation.usage_limits.cut_calls() {
        return replace;
    }
    match new.left_seconds {
        Some(left) => replace.when("left_seconds = :left").bind(":left", item::integer(left)),
        None => replace.when("attribute_not_exists(left_seconds)"),
    }
}

/// Updates the route of a `phone` that stays to the end, the block and the other side's phones of `conversation`, and to what is
/// left for a call after this `tally`.
pub(super) fn follow(
    conversation: &Conversation,
    phone: SidePhone<'_>,
    tally: Option<&Tally>,
) -> Result<Write, StoreError> {
    let other = phone.side.other();
    let follow = set(conversation, phone, conversation.expires_at)
        .set("connect_to = :to")
        .bind(":to", item::string(conversation.participant(other).number.expose()));
    let callees = Callee::of(conversation, other);
    let follow = match callees.is_empty() {
        true => follow.remove("callees"),
        false => follow.set("callees = :callees").bind(":callees", item::value(callees)?),
    };
    let follow = with_sliding_end(with_handling(follow, conversation)?, conversation)?;
    let follow = match phone.language {
        Some(language) => follow
            .set("#language = :language")
            .name("#language", "language")
            .bind(":language", item::string(language.as_str())),
        None => follow,
    };
    Ok(with_left(with_block(marked(follow, conversation), conversation, phone), conversation, phone, tally))
}

/// Sets or removes the handling of calls.
pub(super) fn with_handling(change: Write, after: &Conversation) -> Result<Write, StoreError> {
    Ok(match after.handling.is_plain() {
        true => change.remove("handling"),
        false => change.set("handling = :handling").bind(":handling", item::value(after.handling)?),
    })
}

/// Sets or removes the rule by which the end slides.
pub(super) fn with_sliding_end(change: Write, after: &Conversation) -> Result<Write, StoreError> {
    Ok(match after.sliding_end {
        None => change.remove("sliding_end"),
        Some(sliding) => change.set("sliding_end = :sliding").bind(":sliding", item::value(sliding)?),
    })
}

/// Updates the route of a `phone` to the end, the limits, the handling of calls and the block of the conversation.
pub(super) fn restate(
    conversation: &Conversation,
    phone: SidePhone<'_>,
    tally: Option<&Tally>,
) -> Result<Write, StoreError> {
    let restated = marked(set(conversation, phone, conversation.end()), conversation);
    let restated = with_sliding_end(with_handling(restated, conversation)?, conversation)?;
    Ok(with_left(with_block(restated, conversation, phone), conversation, phone, tally))
}

/// Updates the route of a `phone` to the conversation's limits, and to what is left for a call after this `tally`.
pub(super) fn meter(conversation: &Conversation, phone: SidePhone<'_>, tally: &Tally) -> Write {
    with_left(marked(of(conversation, phone), conversation), conversation, phone, Some(tally))
}

/// Updates the route of a `phone` to what is left for a call after this `tally`.
pub(super) fn leave(conversation: &Conversation, phone: SidePhone<'_>, tally: &Tally) -> Write {
    with_left(of(conversation, phone), conversation, phone, Some(tally))
}

fn key_of(phone: SidePhone<'_>) -> Key<'_> {
    Key::Route { caller: phone.caller, dialled: phone.sees }
}

/// Starts an update of the route of a `phone`.
fn of(conversation: &Conversation, phone: SidePhone<'_>) -> Write {
    Write::update(key_of(phone)).when("conversation = :id").bind(":id", item::string(conversation.id))
}

/// Sets or removes what is left for a call, if the `tally` is given and the conversation has limits for that.
fn with_left(route: Write, conversation: &Conversation, phone: SidePhone<'_>, tally: Option<&Tally>) -> Write {
    let Some(tally) = tally.filter(|_| conversation.usage_limits.cut_calls()) else { return route };
    match conversation.seconds_left(tally, phone.side) {
        Some(left) => route.set("left_seconds = :left").bind(":left", item::integer(left)),
        None => route.remove("left_seconds"),
    }
}

/// Adds the marks of a conversation that has limits, so that its routes always have those of the conversation.
fn marked(route: Write, conversation: &Conversation) -> Write {
    if conversation.usage_limits.is_none() {
        return route;
    }
    let metered = route.set("metered = :metered").bind(":metered", AttributeValue::Bool(true));
    let metered = match conversation.paused_until {
        Some(time) => metered.set("paused_until = :paused").bind(":paused", item::seconds(time)),
        None => metered.remove("paused_until"),
    };
    match conversation.limit_reached_at {
        Some(_) => metered.set("exhausted = :exhausted").bind(":exhausted", AttributeValue::Bool(true)),
        None => metered.remove("exhausted"),
    }
}

/// Sets or removes the mark of a side that is blocked.
fn with_block(route: Write, conversation: &Conversation, phone: SidePhone<'_>) -> Write {
    if conversation.is_blocked(phone.side) {
        return route.set("blocked = :blocked").bind(":blocked", AttributeValue::Bool(true));
    }
    route.remove("blocked")
}

/// Updates the route of a `phone` to the number that masks it, because the other side dials another number.
pub(super) fn present(conversation: &Conversation, phone: SidePhone<'_>) -> Write {
    let mask = item::string(conversation.masked_by(phone.side).as_str());
    of(conversation, phone).set("present_as = :mask").bind(":mask", mask)
}

fn set(conversation: &Conversation, phone: SidePhone<'_>, end: Timestamp) -> Write {
    let until = conversation.quarantined_until(end);
    of(conversation, phone)
        .set("expires_at = :end, quarantined_until = :until")
        .set_ttl(until + ROUTES_KEPT)
        .bind(":end", item::seconds(end))
        .bind(":until", item::seconds(until))
}

/// Condition under which a free route key can be given to a conversation at `:now`. The key's history has to be the one
/// that was read, because one of its conversations may have been erased since.
fn is_free_as_read(history: &[ConversationId]) -> String {
    if history.is_empty() {
        return "(attribute_not_exists(pk) OR quarantined_until <= :now)".to_owned();
    }
    format!("(quarantined_until <= :now AND {})", has_history(history))
}

/// Condition under which a route and its history are these conversations.
fn has_history(history: &[ConversationId]) -> String {
    let others = (1..history.len()).map(|nth| format!(" AND earlier[{}] = :earlier{nth}", nth - 1));
    format!("conversation = :earlier0{}", others.collect::<String>())
}

/// The same condition for a route key that the conversation `:id` owns already.
fn is_own_as_read(history: &[ConversationId]) -> String {
    let others = (0..history.len()).map(|nth| format!(" AND earlier[{nth}] = :earlier{nth}"));
    format!("(conversation = :id{})", others.collect::<String>())
}
