//! The numbers that a creation or a healing may choose from, the choice, and the attempts to store a creation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::receiver::HeldLine;
use super::{CreationError, Creator, NewConversation, SideNumbers, SidePhones};
use crate::clock::SharedClock;
use crate::domain::caller_routes::{CallerRoute, CallerRoutes, Extent};
use crate::domain::choice::{self, Caller, Criteria, NoFreeNumber};
use crate::domain::conversation::{Conversation, Notification, SidePhone};
use crate::domain::country::Country;
use crate::domain::judge::Judge;
use crate::domain::opt_out::OPTED_OUT;
use crate::domain::peak_usage::Mark;
use crate::domain::phone::{RealNumber, VirtualNumber, parse};
use crate::domain::ready_pool::{PartName, ReadyPool};
use crate::domain::route::Route;
use crate::domain::side::{Side, WhoDials};
use crate::domain::tenant::Owner;
use crate::domain::words::Words;
use crate::retry;
use crate::service::pool_cache::PoolCache;
use crate::service::verify_number::{ParticipantNumberError, VerifiedNumber, VerifiedSide};
use crate::store::{CreateError, IdempotentRequest, PartState, Store, StoreError};
use crate::vonage::number_lookup::NumberLookup;
use crate::vonage::texts::TextSender;

/// Number of routes that a creation looks for, one read unit each, if a caller has more routes than it reads. The next
/// hub of 10,000 conversations on 12,000 numbers that finds none of them free is one in 100,000.
const ROUTES_PROBED: usize = 64;

/// The data that the choice of numbers depends on, read in parallel.
pub(super) struct Snapshot {
    routes: [CallerRoutes; 2],
    further: [Vec<CallerRoutes>; 2],
    parts: BTreeMap<PartName, PartState>,
}

/// The numbers to choose from, with what is known about the callers' routes.
pub(in crate::service) struct Options {
    /// Those of the first phone of each side.
    routes: [CallerRoutes; 2],
    /// All routes of each further phone of each side.
    further: [Vec<CallerRoutes>; 2],
    ready: ReadyPool,
}

/// The reads that a choice needs, and the choice.
#[derive(Clone, Copy)]
pub(in crate::service) struct FreeNumbers<'a> {
    pub(in crate::service) store: &'a Store,
    pub(in crate::service) clock: &'a SharedClock,
    pub(in crate::service) cache: &'a PoolCache,
    pub(in crate::service) fallback: &'a [Country],
    pub(in crate::service) routes_read: u16,
    /// The purpose of the numbers.
    pub(in crate::service) purpose: Purpose,
}

/// The purpose of numbers that are chosen.
#[derive(Clone, Copy)]
pub(in crate::service) struct Purpose {
    /// The owner of the conversation, and so of the numbers.
    pub(in crate::service) owner: Owner,
    /// The sides that dial.
    pub(in crate::service) direction: WhoDials,
    /// True if text messages will be sent.
    pub(in crate::service) texts: bool,
    /// True if a new conversation begins, so that two people may have their numbers back in their own quarantine.
    pub(in crate::service) is_new: bool,
}

/// Number of attempts to choose numbers before a creation fails as contended. With the pauses in between this takes about
/// as long as a function may run.
const ATTEMPTS: u32 = 150;

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Verifies all numbers, with the callers' routes in `snapshot`.
    pub(super) async fn verify(
        &self,
        owner: Owner,
        numbers: &[SideNumbers; 2],
        snapshot: &Snapshot,
    ) -> Result<[VerifiedSide; 2], CreationError> {
        self.check_served(owner, numbers, snapshot).await?;
        let verify = async |side: Side| {
            let SideNumbers { first, further } = &numbers[side.index()];
            let further = further.iter().zip(&snapshot.further[side.index()]).enumerate().map(
                async |(position, (number, routes))| {
                    let verified = self.verifier.verify(number, routes).await;
                    verified.map_err(|error| CreationError::FurtherNumber(side, position, error))
                },
            );
            let (first, further) =
                tokio::join!(self.verifier.verify(first, &snapshot.routes[side.index()]), try_join_all(further));
            let first = first.map_err(|error| CreationError::Number(side, error))?;
            Ok::<_, CreationError>(VerifiedSide { first, further: further? })
        };
        let (a, b) = tokio::join!(verify(Side::A), verify(Side::B));
        Ok([a?, b?])
    }

    /// Returns the numbers of each side as far as nothing has to be bought to verify them, with the judge of the first one.
    pub(super) fn known(
        &self,
        numbers: &[SideNumbers; 2],
        snapshot: &Snapshot,
    ) -> Result<[(VerifiedSide, Option<Judge>); 2], CreationError> {
        let of_side = |side: Side| {
            let SideNumbers { first, further } = &numbers[side.index()];
            let first = self.verifier.known(first, &snapshot.routes[side.index()]);
            let (first, judge) = first.map_err(|error| CreationError::Number(side, error))?;
            let further = further.iter().zip(&snapshot.further[side.index()]).enumerate();
            let further = further.map(|(position, (number, routes))| match self.verifier.known(number, routes) {
                Ok((known, _)) => Ok(known),
                Err(error) => Err(CreationError::FurtherNumber(side, position, error)),
            });
            Ok::<_, CreationError>((VerifiedSide { first, further: further.collect::<Result<_, _>>()? }, judge))
        };
        Ok([of_side(Side::A)?, of_side(Side::B)?])
    }

    /// Refuses numbers of the pool, and numbers that this deployment does not call.
    pub(super) async fn check_served(
        &self,
        owner: Owner,
        numbers: &[SideNumbers; 2],
        snapshot: &Snapshot,
    ) -> Result<(), CreationError> {
        no_virtual(&snapshot.routes, &snapshot.further)?;
        for side in Side::BOTH {
            let SideNumbers { first, further } = &numbers[side.index()];
            let served = self.verifier.check_served(first, owner, &snapshot.parts, &self.store).await?;
            served.map_err(|reason| CreationError::Number(side, reason.into()))?;
            for (position, number) in further.iter().enumerate() {
                let served = self.verifier.check_served(number, owner, &snapshot.parts, &self.store).await?;
                served.map_err(|reason| CreationError::FurtherNumber(side, position, reason.into()))?;
            }
        }
        Ok(())
    }

    /// Returns the choice of numbers for a new conversation.
    pub(super) fn free_numbers(&self, new: &NewConversation) -> FreeNumbers<'_> {
        let Self { store, clock, cache, fallback, .. } = self;
        let purpose = Purpose { owner: new.owner, direction: new.direction, texts: new.notify, is_new: true };
        FreeNumbers { store, clock, cache, fallback, routes_read: self.routes_read, purpose }
    }
}

impl FreeNumbers<'_> {
    /// Reads the first routes of both callers, or the line of one who only receives, and the versions of the ready numbers.
    pub(super) async fn snapshot(&self, phones: &[SidePhones; 2]) -> Result<Snapshot, StoreError> {
        let routes = async |side: Side| {
            let number = &phones[side.index()].first;
            match self.purpose.direction.includes(side) {
                true => self.store.first_routes(number, self.routes_read, self.clock.now()).await,
                false => Box::pin(self.line_or_first_routes(number)).await,
            }
        };
        let further =
            |side: Side| try_join_all(phones[side.index()].further.iter().map(|phone| self.all_routes(phone)));
        let ((a, b, parts), further_a, further_b) = tokio::try_join!(
            async { tokio::try_join!(routes(Side::A), routes(Side::B), self.store.ready_parts(self.purpose.owner)) },
            further(Side::A),
            further(Side::B)
        )?;
        Ok(Snapshot { routes: [a, b], further: [further_a, further_b], parts })
    }

    /// Reads all routes of a further phone: a number has to be free for each phone of a side.
    async fn all_routes(&self, phone: &RealNumber) -> Result<CallerRoutes, StoreError> {
        let first = self.store.first_routes(phone, self.routes_read, self.clock.now()).await?;
        if first.is_partial() { self.store.caller_routes(phone, self.clock.now()).await } else { Ok(first) }
    }

    /// Reads the line of a participant who only receives, or the participant's first routes if there is no line.
    async fn line_or_first_routes(&self, number: &RealNumber) -> Result<CallerRoutes, StoreError> {
        match self.store.line(number, self.clock.now()).await? {
            Some(line) => Ok(line),
            None => self.store.first_routes(number, self.routes_read, self.clock.now()).await,
        }
    }

    /// Completes a snapshot to what the choice needs. Fails if a participant's number is in the pool.
    pub(super) async fn options(
        &self,
        verified: &[VerifiedSide; 2],
        snapshot: Snapshot,
    ) -> Result<Options, CreationError> {
        let callers = self.callers(verified);
        let serves = |part: &PartName| callers.are_served_by(part) || self.fallback.contains(&part.country);
        let ready = self.cache.ready(self.store, &snapshot.parts, serves).await?;
        let [a, b] = snapshot.routes;
        let complete = |side, routes| self.complete(&callers, side, routes, &ready);
        let (a, b) = tokio::try_join!(complete(Side::A, a), complete(Side::B, b))?;
        let (routes, further) = ([a, b], snapshot.further);
        no_virtual(&routes, &further)?;
        Ok(Options { routes, further, ready })
    }

    /// Reads the options, as far as the choice usually needs them.
    pub(in crate::service) async fn usual_options(
        &self,
        verified: &[VerifiedSide; 2],
    ) -> Result<Options, CreationError> {
        self.options(verified, self.snapshot(&verified.each_ref().map(SidePhones::from)).await?).await
    }

    /// Reads the options again, with all routes of the callers on these `sides`.
    pub(in crate::service) async fn all_options(
        &self,
        verified: &[VerifiedSide; 2],
        sides: impl Iterator<Item = Side>,
    ) -> Result<Options, CreationError> {
        let mut options = self.usual_options(verified).await?;
        for side in sides {
            let number = &verified[side.index()].first.number;
            options.routes[side.index()] = self.store.caller_routes(number, self.clock.now()).await?;
        }
        Ok(options)
    }

    /// Adds those routes of the caller on `side` that decide the choice, if not all of its routes were read.
    async fn complete(
        &self,
        callers: &Callers<'_>,
        side: Side,
        mut routes: CallerRoutes,
        ready: &ReadyPool,
    ) -> Result<CallerRoutes, StoreError> {
        let ([number, other], criteria) = (callers.numbers_from(side), self.criteria(ready));
        let is_enough = |routes: &CallerRoutes| {
            !routes.is_partial() || choice::has_number(callers.caller(side, routes), other, criteria)
        };
        if routes.extent == Extent::Line && !is_enough(&routes) {
            routes = Box::pin(self.store.first_routes(number, self.routes_read, self.clock.now())).await?;
        }
        if !is_enough(&routes) {
            let numbers = choice::to_probe(callers.caller(side, &routes), other, criteria, ROUTES_PROBED);
            routes.learn(self.store.probe_routes(number, &numbers, self.clock.now()).await?);
        }
        Ok(routes)
    }

    /// Chooses the numbers that A and B see.
    pub(in crate::service) fn choose(
        &self,
        verified: &[VerifiedSide; 2],
        options: &Options,
    ) -> Result<[VirtualNumber; 2], Vec<NoFreeNumber>> {
        let callers = self.callers(verified);
        let routes = self.routes_of_sides(options);
        let callers = Side::BOTH.map(|side| callers.caller(side, &routes[side.index()]));
        choice::choose_pair(callers, self.criteria(&options.ready))
    }

    /// Chooses another number for the participant on `side`, while the other one keeps `kept`.
    pub(in crate::service) fn choose_one(
        &self,
        side: Side,
        verified: &[VerifiedSide; 2],
        options: &Options,
        kept: &VirtualNumber,
    ) -> Result<VirtualNumber, NoFreeNumber> {
        let callers = self.callers(verified);
        let routes = self.routes_of_sides(options);
        let [caller, other] = [side, side.other()].map(|side| callers.caller(side, &routes[side.index()]));
        choice::choose_one(side, caller, other, kept, self.criteria(&options.ready))
    }

    /// Returns the routes that decide for each side: those of its first phone, and what its further phones occupy.
    fn routes_of_sides<'o>(&self, options: &'o Options) -> [Cow<'o, CallerRoutes>; 2] {
        Side::BOTH.map(|side| {
            let (first, further) = (options.of(side), &options.further[side.index()]);
            if further.is_empty() {
                return Cow::Borrowed(first);
            }
            let (now, mut all) = (self.clock.now(), first.clone());
            for routes in further {
                all.occupy(routes, !self.purpose.direction.includes(side), now);
            }
            Cow::Owned(all)
        })
    }

    fn callers<'v>(&self, verified: &'v [VerifiedSide; 2]) -> Callers<'v> {
        Callers::new(verified, self.purpose.direction)
    }

    fn criteria<'a>(&'a self, ready: &'a ReadyPool) -> Criteria<'a> {
        let Purpose { texts, is_new, .. } = self.purpose;
        Criteria { ready, fallback: self.fallback, texts, in_own_quarantine: is_new, now: self.clock.now() }
    }
}

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Stores the conversation. Returns `None` if a parallel run of the same request was faster.
    pub(super) async fn store_with_free_numbers(
        &self,
        new: &NewConversation,
        verified: &[VerifiedSide; 2],
        snapshot: Snapshot,
        request: Option<&IdempotentRequest>,
    ) -> Result<Option<Conversation>, CreationError> {
        let free = self.free_numbers(new);
        let mut options = free.options(verified, snapshot).await?;
        for attempt in 0..ATTEMPTS {
            match free.choose(verified, &options) {
                Ok(sees) => {
                    let quarantine_seconds =
                        options.quarantine_seconds(&sees, self.clock.now()).max(new.quarantine_seconds);
                    let mut conversation = self.compose(new, verified, sees, quarantine_seconds);
                    options.heed_opt_outs(&mut conversation);
                    match self.hold_and_store(&conversation, verified, &mut options, request).await {
                        Ok(()) => return Ok(Some(conversation)),
                        Err(CreateError::RequestTaken) => return Ok(None),
                        Err(CreateError::KeyTaken) => retry::pause(attempt).await,
                        Err(CreateError::Store(error)) => return Err(error.into()),
                    }
                }
                // Only all routes of a caller show that none of them is free.
                Err(none_free) if none_free.iter().any(|none_free| options.of(none_free.side).is_partial()) => {
                    let sides = none_free.iter().map(|none_free| none_free.side);
                    options = free.all_options(verified, sides).await?;
                    continue;
                }
                Err(none_free) => {
                    // The route keys in use may be those of this same request, by a parallel run.
                    if self.remembered(request).await?.is_some() {
                        return Ok(None);
                    }
                    // The snapshot may be outdated after the carrier lookup. Only a fresh one justifies a refusal.
                    if attempt > 0
                        && let Some((none_free, renting)) = self.demand.record(new.owner, &none_free).await?
                    {
                        return Err(CreationError::NoneFree(none_free, renting));
                    }
                }
            }
            options = free.usual_options(verified).await?;
        }
        Err(CreationError::Contended)
    }

    /// Stores the conversation, after making sure that the number which a participant who only receives will see is held. A
    /// creation that dies in between leaves the hold, which is harmless and ends by itself.
    async fn hold_and_store(
        &self,
        conversation: &Conversation,
        verified: &[VerifiedSide; 2],
        options: &mut Options,
        request: Option<&IdempotentRequest>,
    ) -> Result<(), CreateError> {
        let mut held = None;
        if let Some(side) = conversation.direction.receiver() {
            let verdict = verified[side.index()].first.looked_up;
            let until = conversation.quarantined_until(conversation.expires_at);
            for phone in conversation.receiving_phones().skip(1) {
                let hold =
                    self.store.hold((phone.caller, phone.sees), conversation.owner, until, conversation.created_at);
                Box::pin(hold).await?.ok_or(CreateError::KeyTaken)?;
            }
            let hold = Box::pin(self.hold(conversation, side, options.of(side), verdict)).await?;
            let hold = hold.ok_or(CreateError::KeyTaken)?;
            let route = CallerRoute::held(hold.line.held_until, conversation.created_at);
            options.routes[side.index()].by_number.insert(hold.line.number.clone(), route);
            held = Some(hold);
        }
        self.store_with_notes(conversation, verified, options, held.as_ref(), request).await
    }

    /// Stores the conversation, and at the same time a mark of peak usage and the line of a participant who only receives, if
    /// they are news. The answer hardly waits for these: if they are late, a later creation stores them.
    async fn store_with_notes(
        &self,
        conversation: &Conversation,
        verified: &[VerifiedSide; 2],
        options: &Options,
        held: Option<&HeldLine>,
        request: Option<&IdempotentRequest>,
    ) -> Result<(), CreateError> {
        let (routes, marks) = (options.new_routes(conversation, verified, &self.words), options.marks(conversation));
        let mut stored = pin!(self.store.create_conversation(conversation, &routes, request));
        let line = async {
            if let Some(held) = held {
                Box::pin(self.remember_line(conversation, held)).await;
            }
        };
        let mut noted = pin!(async { tokio::join!(self.cache.record(&self.store, conversation.owner, &marks), line) });
        tokio::select! {
            stored = &mut stored => {
                let _ = tokio::time::timeout(self.usage_time_limit, noted).await;
                stored
            }
            _ = &mut noted => stored.await,
        }
    }
}

impl Options {
    /// Returns the routes of the caller on `side`.
    pub(in crate::service) fn of(&self, side: Side) -> &CallerRoutes {
        &self.routes[side.index()]
    }

    /// Returns the routes of a new conversation, each with the previous conversations of its key.
    fn new_routes(&self, conversation: &Conversation, verified: &[VerifiedSide; 2], words: &Words) -> Vec<Route> {
        let route = |((phone, routes), verified): ((SidePhone<'_>, &CallerRoutes), &VerifiedNumber)| {
            let previous = routes.by_number.get(phone.sees);
            let history = previous.map(CallerRoute::history_for_next).unwrap_or_default();
            let overlap_until = previous.and_then(|previous| previous.overlap_at(conversation.created_at));
            let route = Route::of_phone(conversation, phone).with_spoken_names(conversation, words);
            Route { history, overlap_until, looked_up: verified.looked_up, ..route }
        };
        let of_side = |side: Side| {
            conversation.phones(side).zip(self.of_phones(side)).zip(verified[side.index()].all()).map(route)
        };
        conversation.direction.sides().flat_map(of_side).collect()
    }

    /// Returns the routes of each phone on `side`, in order.
    pub(in crate::service) fn of_phones(&self, side: Side) -> impl Iterator<Item = &CallerRoutes> {
        std::iter::once(self.of(side)).chain(&self.further[side.index()])
    }

    /// Returns the longest quarantine, in seconds, in which the numbers that A and B see still are. The next one must not end
    /// before it.
    fn quarantine_seconds(&self, sees: &[VirtualNumber; 2], now: Timestamp) -> u32 {
        let of_side = |side: Side| self.of(side).by_number.get(&sees[side.index()]);
        let rests = Side::BOTH.into_iter().filter_map(of_side).filter(|route| route.is_in_use(now));
        rests.map(CallerRoute::quarantine_seconds).max().unwrap_or_default()
    }

    /// Withholds the text messages of a new conversation from people who want none from the number that they got.
    fn heed_opt_outs(&self, conversation: &mut Conversation) {
        let is_pending = |notification: &Notification| *notification == Notification::Pending;
        let pending: Vec<_> =
            Side::BOTH.into_iter().flat_map(|side| conversation.recipients(side, is_pending)).collect();
        for to in pending {
            let routes = match to.further {
                Some(position) => self.further[to.side.index()].get(position),
                None => Some(self.of(to.side)),
            };
            if routes.is_some_and(|routes| routes.opted_out.contains(&conversation.participant(to.side).sees)) {
                conversation.set_notification(to, Notification::Failed(OPTED_OUT.to_owned()));
            }
        }
    }

    /// Returns the marks of peak usage with a new conversation.
    fn marks(&self, conversation: &Conversation) -> Vec<Mark> {
        let of_side = |side: Side| self.marks_of(side, conversation, conversation.created_at);
        Side::BOTH.into_iter().flat_map(of_side).collect()
    }

    /// Returns the marks of peak usage with a new route of the participant on `side`. The hold of one who only receives is among
    /// the routes already.
    pub(in crate::service) fn marks_of(&self, side: Side, conversation: &Conversation, now: Timestamp) -> Vec<Mark> {
        let until = conversation.quarantined_until(conversation.expires_at);
        let new = conversation.direction.includes(side).then_some(until);
        let sees = &conversation.participant(side).sees;
        self.of_phones(side).flat_map(|routes| Mark::of_caller(routes, sees, &self.ready, new, now)).collect()
    }
}

/// Refuses a phone whose number is in the pool.
fn no_virtual(routes: &[CallerRoutes; 2], further: &[Vec<CallerRoutes>; 2]) -> Result<(), CreationError> {
    for side in Side::BOTH {
        if routes[side.index()].is_virtual {
            return Err(CreationError::Number(side, ParticipantNumberError::Virtual));
        }
        if let Some(position) = further[side.index()].iter().position(|routes| routes.is_virtual) {
            return Err(CreationError::FurtherNumber(side, position, ParticipantNumberError::Virtual));
        }
    }
    Ok(())
}

/// Both participants as callers.
struct Callers<'a> {
    verified: &'a [VerifiedSide; 2],
    /// Their first phones in the canonical spelling.
    numbers: [Cow<'a, RealNumber>; 2],
    calling_codes: [String; 2],
    direction: WhoDials,
}

impl<'a> Callers<'a> {
    fn new(verified: &'a [VerifiedSide; 2], direction: WhoDials) -> Self {
        let numbers = verified.each_ref().map(|verified| verified.first.number.canonical());
        let calling_codes = verified.each_ref().map(|verified| parse::calling_code(verified.first.number.expose()));
        Self { verified, numbers, calling_codes, direction }
    }

    /// Returns both numbers, that of `side` first.
    fn numbers_from(&self, side: Side) -> [&RealNumber; 2] {
        [side, side.other()].map(|side| &*self.numbers[side.index()])
    }

    fn are_served_by(&self, part: &PartName) -> bool {
        let is_near = |(verified, code): (&VerifiedSide, &String)| {
            verified.first.country == part.country || *code == part.calling_code
        };
        self.verified.iter().zip(&self.calling_codes).any(is_near)
    }

    fn caller<'c>(&'c self, side: Side, routes: &'c CallerRoutes) -> Caller<'c> {
        let (number, country) = (&self.numbers[side.index()], self.verified[side.index()].first.country);
        let calling_code = &self.calling_codes[side.index()];
        Caller { number, country, calling_code, routes, only_receives: !self.direction.includes(side) }
    }
}
