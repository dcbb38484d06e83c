//! Changing an active conversation: another expiry, other limits, other languages, a block of a side, or a new phone of one
//! participant that keeps both virtual numbers. The direction stays.

use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::clock::{SharedClock, whole_second};
use crate::domain::caller_routes::{CallerRoute, CallerRoutes};
use crate::domain::conversation::{Conversation, ConversationId, Lifetime, Notification, SidePhone};
use crate::domain::country::Country;
use crate::domain::language::Language;
use crate::domain::peak_usage::Mark;
use crate::domain::phone::{RealNumber, VirtualNumber, parse};
use crate::domain::pin::PinKey;
use crate::domain::route::Route;
use crate::domain::side::{Blocked, Side};
use crate::domain::usage::UsageLimits;
use crate::domain::words::Words;
use crate::retry;
use crate::service::create::ROUTES_READ;
use crate::service::pool_cache::PoolCache;
use crate::service::verify_number::{self, NumberVerifier, ParticipantNumberError, VerifiedNumber};
use crate::store::{ChangeError, Store, StoreError, UsageAsRead};
use crate::vonage::number_lookup::NumberLookup;

/// A change of a conversation.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// New lifetime, from now on.
    pub lifetime: Option<Lifetime>,
    /// The new phone of one participant.
    pub phone: Option<NewPhone>,
    /// The new languages of sides A and B.
    pub languages: [Option<Language>; 2],
    /// New limits of all calls together. Those that are not given stay.
    pub limits: UsageLimits,
    /// The sides that are blocked from now on, `Some(None)` for none of them. `None` leaves them as they are.
    pub blocked: Option<Option<Blocked>>,
}

impl Change {
    /// True if it changes nothing but the block.
    fn is_block_only(&self) -> bool {
        self.blocked.is_some() && self.lifetime.is_none() && self.phone.is_none() && self.limits.is_none()
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
    /// The new number of the participant on this side cannot be used.
    #[error("the number of a participant cannot be used")]
    Number(Side, #[source] ParticipantNumberError),
    /// The new number is the other participant's.
    #[error("both participants have the same number")]
    SameNumber(Side),
    /// The new phone has a route by the same number in another conversation, or only receives under it.
    #[error("the virtual number is not free for the new phone")]
    MaskTaken {
        /// The side of the new phone.
        side: Side,
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
        let mut phone = match &change.phone {
            Some(phone) => Some(self.verify(phone, &before.participant(phone.side).sees).await?),
            None => None,
        };
        for attempt in 0..ATTEMPTS {
            let now = self.clock.now();
            if !before.is_active(now) {
                return Err(UpdateError::Ended);
            }
            let mut after = changed(&before, change, phone.as_ref(), now)?;
            after.blocked = change.blocked.unwrap_or(before.blocked);
            if change.is_block_only() && after.blocked == before.blocked {
                // Sent again, it is no change.
                return Ok(before);
            }
            let new_phone = phone.as_ref().filter(|phone| is_new_phone(&before, &after, phone.side));
            if let Some(VerifiedPhone { side, .. }) = new_phone {
                // Whoever had the old phone knows the PIN.
                let pin = &mut after.participants[side.index()].pin;
                *pin = pin.take().zip(self.pin_key.as_ref()).map(|(old, key)| key.issue(old.is_in_texts()));
            }
            let moves = new_phone.is_some_and(|phone| after.direction.includes(phone.side));
            let usage = self.limit(&before, &mut after, (change.limits, moves), now).await?;
            if let Some(phone) = new_phone {
                // The transaction notices only what is stored under the same spelling.
                check_free(&after, phone, now)?;
            }
            let moved = new_phone.filter(|phone| after.direction.includes(phone.side));
            let moved = moved.map(|phone| moved_route(&after, phone, &self.words, usage.as_ref(), now));
            match self.hold_and_change([&before, &after], moved.as_slice(), usage.as_ref(), now).await {
                Ok(()) => {
                    if new_phone.is_some() || after.expires_at > before.expires_at {
                        self.raise_peak_usage(&after, now).await;
                    }
                    return Ok(after);
                }
                Err(ChangeError::Changed) => retry::pause(attempt).await,
                Err(ChangeError::KeyTaken) => {
                    if let Some(phone) = &mut phone {
                        self.reload_routes(&after, phone).await?;
                    }
                    retry::pause(attempt).await;
                }
                Err(ChangeError::Store(error)) => return Err(error.into()),
            }
            before = self.active(id).await?;
        }
        Err(UpdateError::Contended)
    }

    /// Stores a change, after making sure that the number which a participant who only receives sees is held for the new phone,
    /// and until the new end.
    async fn hold_and_change(
        &self,
        [before, after]: [&Conversation; 2],
        joining: &[Route],
        usage: Option<&UsageAsRead>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let was_held = |phone: &SidePhone<'_>| before.receiving_phones().any(|old| old.caller == phone.caller);
        let until = after.quarantined_until(after.expires_at);
        let is_longer = after.expires_at > before.expires_at;
        for phone in after.receiving_phones().filter(|phone| is_longer || !was_held(phone)) {
            let held = Box::pin(self.store.hold(phone.caller, phone.sees, until, now)).await?;
            held.ok_or(ChangeError::KeyTaken)?;
        }
        self.store.change_conversation_and_limits([before, after], joining, usage, now).await
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

    /// Verifies the new phone, and reads its route under the number that it is to see.
    async fn verify(&self, phone: &NewPhone, sees: &VirtualNumber) -> Result<VerifiedPhone, UpdateError> {
        let side = phone.side;
        let refused = |error| UpdateError::Number(side, error);
        let number = verify_number::read(&phone.number, phone.country).map_err(refused)?;
        let (real, now) = (RealNumber::from(number.clone()), self.clock.now());
        let (mut routes, parts) =
            tokio::try_join!(self.store.first_routes(&real, ROUTES_READ, now), self.store.ready_parts())?;
        self.verifier.check_served(&number, &parts, &self.store).await?.map_err(|reason| refused(reason.into()))?;
        if routes.is_partial() {
            routes.learn(self.store.probe_routes(&real, std::slice::from_ref(sees), now).await?);
        }
        if routes.is_virtual {
            return Err(refused(ParticipantNumberError::Virtual));
        }
        let verified = self.verifier.verify(&number, &routes).await.map_err(refused)?;
        Ok(VerifiedPhone { side, verified, routes })
    }

    /// Records the peak usage of all phones, which a longer conversation or another phone may raise. A failure does not
    /// fail the change. Creations count for a participant with very many routes.
    async fn raise_peak_usage(&self, conversation: &Conversation, now: Timestamp) {
        let phones = || Side::BOTH.into_iter().flat_map(|side| conversation.phones(side));
        let read = async {
            let routes = phones().map(|phone| self.store.first_routes(phone.number, ROUTES_READ, now));
            let (routes, parts) = tokio::try_join!(try_join_all(routes), self.store.ready_parts())?;
            let codes = Side::BOTH.map(|side| parse::calling_code(conversation.participant(side).sees.as_str()));
            let ready = self.cache.ready(&self.store, &parts, |part| codes.contains(&part.calling_code)).await?;
            Ok::<_, StoreError>((phones().zip(routes).collect::<Vec<_>>(), ready))
        };
        match read.await {
            Ok((callers, ready)) => {
                let complete = callers.iter().filter(|(_, routes)| !routes.is_partial());
                let marks = complete.flat_map(|(phone, routes)| Mark::of_caller(routes, phone.sees, &ready, None, now));
                self.cache.record(&self.store, &marks.collect::<Vec<_>>()).await;
            }
            Err(error) => tracing::warn!(cause = %error, "reading the peak usage of a changed conversation failed"),
        }
    }

    /// Reads the new phone's routes again after its route key was taken. Fails if another conversation has it.
    async fn reload_routes(&self, after: &Conversation, phone: &mut VerifiedPhone) -> Result<(), UpdateError> {
        let now = self.clock.now();
        let sees = &after.participant(phone.side).sees;
        phone.routes = self.store.probe_routes(&phone.verified.number, std::slice::from_ref(sees), now).await?;
        check_free(after, phone, now)
    }
}

/// Fails if another conversation has the new phone's route key, or if the phone only receives under it and is to dial. Those
/// who only receive share a hold.
fn check_free(after: &Conversation, phone: &VerifiedPhone, now: Timestamp) -> Result<(), UpdateError> {
    let side = phone.side;
    let route = phone.routes.by_number.get(&after.participant(side).sees);
    let is_own = |route: &CallerRoute| match after.direction.includes(side) {
        true => route.conversation == Some(after.id),
        false => route.is_held(now),
    };
    match route.filter(|route| route.is_in_use(now) && !is_own(route)) {
        Some(route) => Err(UpdateError::MaskTaken { side, free_at: Some(route.quarantined_until) }),
        None => Ok(()),
    }
}

fn changed(
    before: &Conversation,
    change: &Change,
    phone: Option<&VerifiedPhone>,
    now: Timestamp,
) -> Result<Conversation, UpdateError> {
    let mut after = Conversation { revision: before.revision + 1, ..before.clone() };
    if let Some(lifetime) = change.lifetime {
        after.expires_at = whole_second(now) + lifetime.duration();
    }
    for (participant, language) in after.participants.iter_mut().zip(&change.languages) {
        if let Some(language) = language {
            participant.language = Some(language.clone());
        }
    }
    if let Some(VerifiedPhone { side, verified, .. }) = phone {
        let mut others = before.phones(side.other()).chain(before.phones(*side).skip(1));
        if others.any(|phone| phone.number.is_same_phone(&verified.number)) {
            return Err(UpdateError::SameNumber(*side));
        }
        after.carrier_records.extend(verified.carrier_record.clone());
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
    Ok(after)
}

/// True if the participant on `side` gets another phone, and not only another spelling.
fn is_new_phone(before: &Conversation, after: &Conversation, side: Side) -> bool {
    !before.participant(side).number.is_same_phone(&after.participant(side).number)
}

/// Returns the route of a new phone that dials.
fn moved_route(
    after: &Conversation,
    phone: &VerifiedPhone,
    words: &Words,
    usage: Option<&UsageAsRead>,
    now: Timestamp,
) -> Route {
    let key = phone.routes.by_number.get(&after.participant(phone.side).sees);
    let route = Route::joining(after, after.first_phone(phone.side), key, whole_second(now));
    let tally = usage.map(|usage| &usage.tally);
    let left_seconds = tally.and_then(|tally| after.seconds_left(tally, phone.side));
    Route { looked_up: phone.verified.looked_up, left_seconds, ..route.with_spoken_names(after, words) }
}
