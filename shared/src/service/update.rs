//! Changing an active conversation: another expiry, other limits, other languages, another handling of calls, a block of a side, a
//! new phone of one participant, or further phones that join and leave. Both virtual numbers and the direction stay.

use jiff::Timestamp;

use crate::clock::{SharedClock, whole_second};
use crate::domain::attempt::Attempt;
use crate::domain::call_handling::CallHandling;
use crate::domain::caller_routes::{CallerRoute, CallerRoutes};
use crate::domain::channel::ChosenChannel;
use crate::domain::contact_card::ContactCards;
use crate::domain::conversation::{Conversation, ConversationId, FurtherPhone, Notification, Participant, SidePhone};
use crate::domain::country::Country;
use crate::domain::decision_url::DecisionUrl;
use crate::domain::guard::Guard;
use crate::domain::language::Language;
use crate::domain::lifetime::Lifetime;
use crate::domain::missed_calls::MissedCalls;
use crate::domain::phone::{PhoneNumber, RealNumber};
use crate::domain::pin::PinKey;
use crate::domain::route::Route;
use crate::domain::side::{Blocked, Side};
use crate::domain::sliding_end::SlidingEnd;
use crate::domain::text::Label;
use crate::domain::text_masking::TextMasking;
use crate::domain::usage::UsageLimits;
use crate::domain::words::Words;
use crate::retry;
use crate::service::create::{NewFurtherPhone, ROUTES_READ};
use crate::service::pool_cache::PoolCache;
use crate::service::prolong;
use crate::service::verify_number::{self, NumberVerifier, ParticipantNumberError, VerifiedNumber};
use crate::store::{ChangeError, Store, StoreError, UsageAsRead};
use crate::vonage::number_lookup::NumberLookup;

/// A change of a conversation.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The revisions of which the conversation has to have one. `None` if it may have any.
    pub expected: Option<Vec<u32>>,
    /// New lifetime, from now on.
    pub lifetime: Option<Lifetime>,
    /// Another sliding end, or none any more.
    pub sliding_end: SlidingEndChange,
    /// The new phone of one participant.
    pub phone: Option<NewPhone>,
    /// The further phones that sides A and B have from now on. `None` leaves them as they are.
    pub further: [Option<Vec<NewFurtherPhone>>; 2],
    /// The new names of the owners of the first phones.
    pub names: [Option<Label>; 2],
    /// The new handling of calls. What is not given stays.
    pub handling: HandlingChange,
    /// The new masking of contact details in texts.
    pub text_masking: Option<TextMasking>,
    /// The names in its contact cards, `Some(None)` for no cards any more. `None` leaves them as they are.
    pub contact_card: Option<Option<ContactCards>>,
    /// The address at which the backend decides about calls from now on, `Some(None)` for none. `None` leaves it as it is.
    pub decision: Option<Option<DecisionUrl>>,
    /// The new languages of sides A and B.
    pub languages: [Option<Language>; 2],
    /// The channels on which sides A and B are texted from now on, `Some(None)` if that is left to the participant. `None` leaves them
    /// as they are.
    pub channels: [Option<Option<ChosenChannel>>; 2],
    /// New limits of all calls together. Those that are not given stay.
    pub limits: UsageLimits,
    /// The sides that are blocked from now on, `Some(None)` for none of them. `None` leaves them as they are.
    pub blocked: Option<Option<Blocked>>,
}

/// A change of the rule by which the end slides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlidingEndChange {
    /// The time from the last call or text to the end, `Some(None)` for an end that does not slide. `None` leaves it as it is.
    pub after_use: Option<Option<Lifetime>>,
    /// The time beyond which the end does not slide.
    pub latest: Option<Timestamp>,
}

impl SlidingEndChange {
    /// Returns the rule after the change at `now`. Fails if there is a latest end of an end that does not slide.
    fn of(self, before: Option<SlidingEnd>, now: Timestamp) -> Result<Option<SlidingEnd>, UpdateError> {
        if self == Self::default() {
            return Ok(before);
        }
        let latest = self.latest.or(before.map(|before| before.latest));
        match self.after_use.unwrap_or(before.map(|before| before.after_use)) {
            Some(after_use) => Ok(Some(SlidingEnd::new(after_use, latest, now))),
            None if self.latest.is_some() => Err(UpdateError::NothingSlides),
            None => Ok(None),
        }
    }
}

/// A change of the handling of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HandlingChange {
    /// The measures about missed calls.
    pub missed_calls: Option<MissedCalls>,
    /// The guard.
    pub guard: Option<Guard>,
    /// True if callers may press the safety key.
    pub safety_key: Option<bool>,
    /// Most phones of a side that one call tries.
    pub max_attempts: Option<u8>,
    /// Seconds from the first ring of a call until no further phone is tried.
    pub max_ring_seconds: Option<u32>,
}

impl HandlingChange {
    fn of(self, before: CallHandling) -> CallHandling {
        CallHandling {
            missed_calls: self.missed_calls.unwrap_or(before.missed_calls),
            guard: self.guard.unwrap_or(before.guard),
            recording: before.recording,
            safety_key: self.safety_key.unwrap_or(before.safety_key),
            max_attempts: self.max_attempts.or(before.max_attempts),
            max_ring_seconds: self.max_ring_seconds.or(before.max_ring_seconds),
            decision: before.decision,
        }
    }
}

impl Change {
    /// Fails if the conversation has another revision than it has to have.
    fn check_revision(&self, before: &Conversation) -> Result<(), UpdateError> {
        match &self.expected {
            Some(expected) if !expected.contains(&before.revision) => Err(UpdateError::OtherRevision),
            _ => Ok(()),
        }
    }

    /// True if it changes nothing but the block.
    fn is_block_only(&self) -> bool {
        let keeps_phones = self.phone.is_none() && self.further.iter().all(Option::is_none);
        let keeps_handling = self.handling == HandlingChange::default() && self.decision.is_none();
        let keeps_calls = self.limits.is_none() && keeps_handling && self.text_masking.is_none();
        let keeps_channels = self.channels.iter().all(Option::is_none);
        let keeps_end = self.lifetime.is_none() && self.sliding_end == SlidingEndChange::default();
        self.blocked.is_some()
            && keeps_end
            && keeps_channels
            && keeps_phones
            && keeps_calls
            && self.contact_card.is_none()
    }
}

/// A participant's new phone.
#[derive(Clone)]
pub struct NewPhone {
    /// The side whose phone changes.
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

/// A conversation was not changed. Nothing is stored, unless the table gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// There is no such conversation.
    #[error("no such conversation")]
    Unknown,
    /// It has ended or expired.
    #[error("the conversation has ended")]
    Ended,
    /// It has changed since the client read it.
    #[error("the conversation has another revision")]
    OtherRevision,
    /// The new number of the participant on this side cannot be used.
    #[error("the number of a participant cannot be used")]
    Number(Side, #[source] ParticipantNumberError),
    /// The further phone at this position of the participant on this side cannot be used.
    #[error("a further phone of a participant cannot be used")]
    FurtherNumber(Side, usize, #[source] ParticipantNumberError),
    /// The new number is in the conversation already.
    #[error("both participants have the same number")]
    SameNumber(Side),
    /// The further phone at this position is in the conversation already.
    #[error("a further phone is in the conversation already")]
    SameFurtherNumber(Side, usize),
    /// More phones than are kept have been in the conversation on this side.
    #[error("too many phones have joined and left")]
    TooManyPhones(Side),
    /// Messages of callers can only be asked for when a conversation is created.
    #[error("voicemail cannot be turned on in a conversation")]
    VoicemailAdded,
    /// A latest end was given, but the end does not slide.
    #[error("the end of the conversation does not slide")]
    NothingSlides,
    /// A call would not have time for all attempts, the guard and the words. It needs this number of seconds.
    #[error("calls are too short for the new handling")]
    CallsTooShort(u32),
    /// The new phone has a route by the same number in another conversation, or only receives under it.
    #[error("the virtual number is not free for the new phone")]
    MaskTaken {
        /// The side of the new phone.
        side: Side,
        /// Its position among the further phones, if it is one.
        further: Option<usize>,
        /// Latest time at which the number becomes free for it.
        free_at: Option<Timestamp>,
    },
    /// Other requests changed the conversation first, too often.
    #[error("other requests changed the conversation in each attempt")]
    Contended,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes conversations.
pub struct Updater<L> {
    /// The table.
    pub store: Store,
    /// Verifies participants' numbers.
    pub verifier: NumberVerifier<L>,
    /// The words of calls.
    pub words: Words,
    /// The clock.
    pub clock: SharedClock,
    /// The secret of PINs, if the deployment has them.
    pub pin_key: Option<PinKey>,
    /// Data about the pool that one change leaves for the next.
    pub cache: PoolCache,
}

/// A new phone after its verification, with its routes.
struct VerifiedPhone {
    side: Side,
    /// Its position among the further phones of the change, if it is one.
    further: Option<usize>,
    verified: VerifiedNumber,
    routes: CallerRoutes,
}

/// Number of attempts at a change that loses races against others.
const ATTEMPTS: u32 = 10;

impl<L: NumberLookup> Updater<L> {
    /// Changes the conversation and its routes in one transaction. The old phone's route key goes into quarantine: a call
    /// from it hears that the conversation has ended.
    pub async fn update(&self, id: ConversationId, change: &Change) -> Result<Conversation, UpdateError> {
        // Checked first, to save a lookup.
        let mut before = self.active(id).await?;
        change.check_revision(&before)?;
        let asked = numbers(change)?;
        let mut phones = Vec::new();
        if let Some(NewPhone { side, number, country }) = &change.phone {
            let number = verify_number::read(number, *country).map_err(|error| UpdateError::Number(*side, error))?;
            phones.push(self.verify(&before, (*side, None), &number).await?);
        }
        for attempt in 0..ATTEMPTS {
            let now = self.clock.now();
            if !before.is_active(now) {
                return Err(UpdateError::Ended);
            }
            self.verify_further(&before, &asked, &mut phones).await?;
            let mut after = changed(&before, change, &asked, &phones, now)?;
            after.blocked = change.blocked.unwrap_or(before.blocked);
            if let Some(cards) = &change.contact_card {
                let brand = self.words.of(before.owner).brand();
                after.contact_card = cards.clone().map(|cards| cards.or_brand(brand));
            }
            if change.is_block_only() && after.blocked == before.blocked {
                // Sent again, it is no change.
                return Ok(before);
            }
            let lost = Side::BOTH.map(|side| has_lost_a_phone(&before, &after, side));
            for side in Side::BOTH.into_iter().filter(|side| lost[side.index()]) {
                // Whoever had the old phone knows the PIN.
                let pin = &mut after.participants[side.index()].pin;
                *pin = pin.take().zip(self.pin_key.as_ref()).map(|(old, key)| key.issue_again(&old));
            }
            let moves = after.dialling_phones().any(|phone| is_new(&before, &phone));
            let usage = self.limit(&before, &mut after, (change.limits, moves), now).await?;
            let joining = joining(&before, &after, &phones, &self.words, usage.as_ref(), now)?;
            match self.hold_and_change([&before, &after], &joining, usage.as_ref(), now).await {
                Ok(()) => {
                    if !phones.is_empty() || after.expires_at > before.expires_at {
                        prolong::raise_peak_usage(&self.store, &self.cache, &after, now).await;
                    }
                    return Ok(after);
                }
                Err(ChangeError::Changed) => retry::pause(attempt).await,
                Err(ChangeError::KeyTaken) => {
                    for phone in &mut phones {
                        self.reload_routes(&after, phone).await?;
                    }
                    retry::pause(attempt).await;
                }
                Err(ChangeError::Store(error)) => return Err(error.into()),
            }
            before = self.active(id).await?;
            change.check_revision(&before)?;
        }
        Err(UpdateError::Contended)
    }

    /// Stores a change, after what it needs is held.
    async fn hold_and_change(
        &self,
        change: [&Conversation; 2],
        joining: &[Route],
        usage: Option<&UsageAsRead>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        prolong::hold(&self.store, change, now).await?;
        self.store.change_conversation_and_limits(change, joining, usage, now).await
    }

    /// Gives a conversation other `limits`, and finds out if its calls have reached one of them. Returns the usage that it read
    /// for that, or because a new route needs to know what is left for a call. `None` if neither is so.
    async fn limit(
        &self,
        before: &Conversation,
        after: &mut Conversation,
        (limits, moves): (UsageLimits, bool),
        now: Timestamp,
    ) -> Result<Option<UsageAsRead>, StoreError> {
        after.usage_limits = limits.or(before.usage_limits);
        if after.usage_limits == before.usage_limits {
            let is_needed = moves && after.usage_limits.cut_calls();
            return if is_needed { self.store.usage(before.id).await.map(Some) } else { Ok(None) };
        }
        let read = self.store.usage(before.id).await?;
        let reached_at = before.limit_reached_at.unwrap_or(whole_second(now));
        after.limit_reached_at = after.usage_limits.are_reached(&read.tally.sum).then_some(reached_at);
        after.paused_until = after.usage_limits.paused_until(&read.tally.by_day, now);
        Ok(Some(read))
    }

    async fn active(&self, id: ConversationId) -> Result<Conversation, UpdateError> {
        let now = self.clock.now();
        let conversation = self.store.conversation(id, now).await?.ok_or(UpdateError::Unknown)?;
        if conversation.is_active(now) { Ok(conversation) } else { Err(UpdateError::Ended) }
    }

    /// Verifies those of the further phones that are not in the conversation and not verified yet.
    async fn verify_further(
        &self,
        before: &Conversation,
        asked: &[Option<Vec<PhoneNumber>>; 2],
        verified: &mut Vec<VerifiedPhone>,
    ) -> Result<(), UpdateError> {
        for side in Side::BOTH {
            for (position, number) in asked[side.index()].iter().flatten().enumerate() {
                let real = RealNumber::from(number.clone());
                let is_in = before.participant(side).present().any(|phone| phone.number.is_same_phone(&real));
                let place = (side, Some(position));
                if !is_in && !verified.iter().any(|phone| (phone.side, phone.further) == place) {
                    verified.push(self.verify(before, place, number).await?);
                }
            }
        }
        Ok(())
    }

    /// Verifies a new phone, and reads its route under the number that it is to see.
    async fn verify(
        &self,
        before: &Conversation,
        (side, further): (Side, Option<usize>),
        number: &PhoneNumber,
    ) -> Result<VerifiedPhone, UpdateError> {
        let (owner, sees) = (before.owner, &before.participant(side).sees);
        let refused = |error| match further {
            Some(position) => UpdateError::FurtherNumber(side, position, error),
            None => UpdateError::Number(side, error),
        };
        let (real, now) = (RealNumber::from(number.clone()), self.clock.now());
        let (mut routes, parts) =
            tokio::try_join!(self.store.first_routes(&real, ROUTES_READ, now), self.store.ready_parts(owner))?;
        let served = self.verifier.check_served(number, owner, &parts, &self.store).await?;
        served.map_err(|reason| refused(reason.into()))?;
        if routes.is_partial() {
            routes.learn(self.store.probe_routes(&real, std::slice::from_ref(sees), now).await?);
        }
        if routes.is_virtual {
            return Err(refused(ParticipantNumberError::Virtual));
        }
        let verified = self.verifier.verify(number, &routes).await.map_err(refused)?;
        Ok(VerifiedPhone { side, further, verified, routes })
    }

    /// Reads the new phone's routes again after its route key was taken. Fails if another conversation has it.
    async fn reload_routes(&self, after: &Conversation, phone: &mut VerifiedPhone) -> Result<(), UpdateError> {
        let now = self.clock.now();
        let sees = &after.participant(phone.side).sees;
        phone.routes = self.store.probe_routes(&phone.verified.number, std::slice::from_ref(sees), now).await?;
        check_free(after, phone, now)
    }
}

/// Reads the numbers of the further phones of a change.
fn numbers(change: &Change) -> Result<[Option<Vec<PhoneNumber>>; 2], UpdateError> {
    let read = |side: Side| {
        let phones = change.further[side.index()].as_ref()?.iter().enumerate();
        let number = |(position, phone): (usize, &NewFurtherPhone)| {
            let number = verify_number::read(&phone.number, phone.country);
            number.map_err(|error| UpdateError::FurtherNumber(side, position, error))
        };
        Some(phones.map(number).collect::<Result<Vec<_>, _>>())
    };
    Ok([read(Side::A).transpose()?, read(Side::B).transpose()?])
}

/// Fails if another conversation has the new phone's route key, or if the phone only receives under it and is to dial. Those
/// who only receive share a hold.
fn check_free(after: &Conversation, phone: &VerifiedPhone, now: Timestamp) -> Result<(), UpdateError> {
    let (side, further) = (phone.side, phone.further);
    let route = phone.routes.by_number.get(&after.participant(side).sees);
    let is_own = |route: &CallerRoute| match after.direction.includes(side) {
        true => route.conversation == Some(after.id),
        false => route.is_held(now),
    };
    match route.filter(|route| route.is_in_use(now) && !is_own(route)) {
        Some(route) => Err(UpdateError::MaskTaken { side, further, free_at: Some(route.quarantined_until) }),
        None => Ok(()),
    }
}

fn changed(
    before: &Conversation,
    change: &Change,
    asked: &[Option<Vec<PhoneNumber>>; 2],
    phones: &[VerifiedPhone],
    now: Timestamp,
) -> Result<Conversation, UpdateError> {
    let mut after = Conversation { revision: before.revision + 1, ..before.clone() };
    if let Some(lifetime) = change.lifetime {
        after.expires_at = whole_second(now) + lifetime.duration();
    }
    after.sliding_end = change.sliding_end.of(before.sliding_end, now)?;
    if change.lifetime.is_some() {
        after.sliding_end = after.sliding_end.map(|sliding| sliding.renewed(now));
    }
    let people = after.participants.iter_mut().zip(&change.languages).zip(&change.names);
    for ((participant, language), name) in people {
        participant.language = language.clone().or(participant.language.take());
        participant.name = name.clone().or(participant.name.take());
    }
    for (participant, channel) in after.participants.iter_mut().zip(change.channels) {
        participant.channel = channel.unwrap_or(participant.channel);
    }
    after.carrier_records.extend(phones.iter().filter_map(|phone| phone.verified.carrier_record.clone()));
    for side in Side::BOTH {
        if let (Some(new), Some(asked)) = (&change.further[side.index()], &asked[side.index()]) {
            let of_side = |phone: &&VerifiedPhone| phone.side == side;
            let joining: Vec<_> = phones.iter().filter(of_side).collect();
            let further = further(before.participant(side), new.iter().zip(asked), &joining, now)
                .map_err(|position| UpdateError::SameFurtherNumber(side, position))?;
            if further.len() > FurtherPhone::MOST_EVER {
                return Err(UpdateError::TooManyPhones(side));
            }
            after.participants[side.index()].further = further;
        }
    }
    if let Some(VerifiedPhone { side, verified, .. }) = phones.iter().find(|phone| phone.further.is_none()) {
        let participant = &mut after.participants[side.index()];
        if participant.number.is_same_phone(&verified.number) {
            if participant.number != verified.number {
                // Another spelling changes what is dialled, and not the route.
                participant.keyed_as = Some(participant.route_caller().clone());
                participant.number = verified.number.clone();
            }
        } else {
            participant.keyed_as = verified.number.respelled();
            participant.previous_numbers.push(std::mem::replace(&mut participant.number, verified.number.clone()));
            participant.country = verified.country;
            participant.verified_by = verified.judge;
            // The text message went to the old phone.
            participant.notification = Notification::Off;
        }
    }
    check_distinct(&after, change)?;
    after.handling = change.handling.of(before.handling);
    after.text_masking = change.text_masking.unwrap_or(before.text_masking);
    if let Some(decision) = &change.decision {
        after.set_decision(decision.clone());
    }
    if after.handling.records() && !before.handling.records() {
        return Err(UpdateError::VoicemailAdded);
    }
    let has_several = Side::BOTH.into_iter().any(|side| after.ringing_phones(side).count() > 1);
    after.handling.max_attempts = after.handling.max_attempts.or(has_several.then_some(Attempt::USUAL));
    let least = after.limits.least_call_seconds(after.handling);
    if after.handling != before.handling && after.limits.max_call_seconds < least {
        return Err(UpdateError::CallsTooShort(least));
    }
    Ok(after)
}

/// Returns the further phones of a participant: those that are asked for, in their order, and those that have left. Fails with
/// the position of one that is asked for twice.
fn further<'a>(
    before: &Participant,
    asked: impl Iterator<Item = (&'a NewFurtherPhone, &'a PhoneNumber)>,
    joining: &[&VerifiedPhone],
    now: Timestamp,
) -> Result<Vec<FurtherPhone>, usize> {
    let mut next_id = before.further.iter().map(|phone| phone.id).max().unwrap_or_default() + 1;
    let mut known = before.further.clone();
    let mut after: Vec<FurtherPhone> = Vec::new();
    for (position, (new, number)) in asked.enumerate() {
        let real = RealNumber::from(number.clone());
        if after.iter().any(|phone| phone.number.is_same_phone(&real)) {
            return Err(position);
        }
        let is_it = |phone: &FurtherPhone| phone.left_at.is_none() && phone.number.is_same_phone(&real);
        let asked = (new.name.clone(), new.language.clone(), new.hours.clone());
        let only_dials = new.only_dials;
        if let Some(found) = known.iter().position(is_it) {
            let (name, language, hours) = asked;
            after.push(FurtherPhone { name, language, hours, only_dials, ..known.remove(found) });
        } else if let Some(phone) = joining.iter().find(|phone| phone.further == Some(position)) {
            let VerifiedNumber { number, country, judge, .. } = &phone.verified;
            let (name, language, hours) = asked;
            let (keyed_as, joined_at) = (number.respelled(), Some(whole_second(now)));
            after.push(FurtherPhone {
                id: next_id,
                number: number.clone(),
                keyed_as,
                country: *country,
                verified_by: *judge,
                name,
                // A change texts nobody.
                notification: Notification::Off,
                language,
                hours,
                only_dials,
                joined_at,
                left_at: None,
            });
            next_id += 1;
        }
    }
    let left_at = Some(whole_second(now));
    after.extend(known.into_iter().map(|phone| FurtherPhone { left_at: phone.left_at.or(left_at), ..phone }));
    Ok(after)
}

/// Refuses a phone that would be in the conversation twice.
fn check_distinct(after: &Conversation, change: &Change) -> Result<(), UpdateError> {
    let phones: Vec<_> = Side::BOTH.into_iter().flat_map(|side| after.phones(side).enumerate()).collect();
    let is_twice =
        |one: &SidePhone<'_>| phones.iter().filter(|(_, other)| other.number.is_same_phone(one.number)).count() > 1;
    let changes = |place: usize, phone: &SidePhone<'_>| match place {
        0 => change.phone.as_ref().is_some_and(|new| new.side == phone.side),
        _ => change.further[phone.side.index()].is_some(),
    };
    match phones.iter().rev().find(|(place, phone)| is_twice(phone) && changes(*place, phone)) {
        None => Ok(()),
        Some((0, phone)) => Err(UpdateError::SameNumber(phone.side)),
        Some((place, phone)) => Err(UpdateError::SameFurtherNumber(phone.side, place - 1)),
    }
}

/// True if a phone was not in the conversation at this place before, and is not only spelled otherwise.
fn is_new(before: &Conversation, phone: &SidePhone<'_>) -> bool {
    !before.phones(phone.side).any(|old| old.index == phone.index)
}

/// True if a phone of `side` is in the conversation no more.
fn has_lost_a_phone(before: &Conversation, after: &Conversation, side: Side) -> bool {
    let stays = |old: SidePhone<'_>| after.phones(side).any(|phone| phone.number.is_same_phone(old.number));
    !before.phones(side).all(stays)
}

/// Returns the routes of the new phones that dial. Fails if another conversation has one of the keys, because the transaction
/// notices only what is stored under the same spelling.
fn joining(
    before: &Conversation,
    after: &Conversation,
    phones: &[VerifiedPhone],
    words: &Words,
    usage: Option<&UsageAsRead>,
    now: Timestamp,
) -> Result<Vec<Route>, UpdateError> {
    let mut routes = Vec::new();
    for phone in Side::BOTH.into_iter().flat_map(|side| after.phones(side)).filter(|phone| is_new(before, phone)) {
        let is_it = |new: &&VerifiedPhone| new.side == phone.side && new.verified.number.is_same_phone(phone.number);
        let Some(new) = phones.iter().find(is_it) else { continue };
        check_free(after, new, now)?;
        if after.direction.includes(phone.side) {
            let key = new.routes.by_number.get(phone.sees);
            let route = Route::joining(after, phone, key, whole_second(now));
            let tally = usage.map(|usage| &usage.tally);
            let left_seconds = tally.and_then(|tally| after.seconds_left(tally, phone.side));
            let looked_up = new.verified.looked_up;
            routes.push(Route { looked_up, left_seconds, ..route.with_spoken_names(after, words) });
        }
    }
    Ok(routes)
}
