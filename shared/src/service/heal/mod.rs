//! Healing: a participant of a live conversation who dials or sees a number that is lost, or rotated, gets another one.
//!
//! A scan of the table lists the live conversations on such a number. Each of them then gets another number in one
//! transaction, with the mark that both people and the backend are still to be told. Every step can be interrupted, and runs
//! at the same time do each step once.

mod texts;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{SharedClock, whole_second};
use crate::domain::card_link::CardLinks;
use crate::domain::channel::BrandSenders;
use crate::domain::choice::NoFreeNumber;
use crate::domain::conversation::{Conversation, Notification};
use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::PoolNumber;
use crate::domain::route::{KeyOwner, Route};
use crate::domain::side::Side;
use crate::domain::words::Words;
use crate::retry;
use crate::service::announce::{Announcer, conversation_event};
use crate::service::create::CreationError;
use crate::service::create::free_numbers::{FreeNumbers, Options, Purpose};
use crate::service::demand::DemandRecorder;
use crate::service::pool_cache::PoolCache;
use crate::service::scan_run::{GRACE, ScanProgress, ScanRun};
use crate::service::verify_number::VerifiedSide;
use crate::store::{Departure, Heal, Loss, MAX_NUMBERS, RouteScan, ScanPurpose, Store, StoreError};
use crate::vonage::texts::TextSender;

/// Time before the deadline at which a run stops listing conversations, to heal those that it has found.
const TIME_TO_HEAL: SignedDuration = SignedDuration::from_secs(30);

/// Time that reading, choosing and storing another number may take, without the text messages.
const TIME_FOR_ONE: SignedDuration = SignedDuration::from_secs(10);

/// Number of attempts at a conversation that others change at the same time. The next run tries again.
const ATTEMPTS: u32 = 5;

/// Number of attempts in which participants keep their PINs.
const KEEPS_PINS: u32 = 3;

/// Heals conversations.
pub struct Healer<T> {
    /// The table.
    pub store: Store,
    /// Sends text messages.
    pub texts: T,
    /// The deployment's senders on channels.
    pub senders: BrandSenders,
    /// The words of text messages.
    pub words: Words,
    /// The longest time that one text message takes to send, with its repetitions.
    pub text_time_limit: Duration,
    /// The clock.
    pub clock: SharedClock,
    /// Countries whose numbers people of any country may get if their own country has none.
    pub fallback: Vec<Country>,
    /// Data about the pool that one choice leaves for the next.
    pub cache: PoolCache,
    /// Number of routes of a participant that one choice reads.
    pub routes_read: u16,
    /// Records the numbers that unhealed conversations lack.
    pub demand: DemandRecorder,
    /// Tells the backend.
    pub announcer: Announcer,
    /// True if conversations on lost numbers get others; otherwise the backend is only told of them. Those on rotated numbers
    /// always do.
    pub heals: bool,
}

/// The result of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Healing {
    /// Number of participants who got another number.
    pub healed: usize,
    /// Number of participants who still dial a lost or rotated number.
    pub unhealed: usize,
    /// Number of conversations with a failed step, which the next run repeats.
    pub failed: usize,
    /// True if the time was over before all due conversations were settled.
    pub is_out_of_time: bool,
}

/// The result of an attempt to replace numbers.
enum Replaced {
    /// The conversation with other numbers for some or all sides that need one.
    Healed(Box<Conversation>),
    NoneFree,
    /// Something has changed since it was read.
    Changed,
}

/// Numbers for the sides that need one, and the reasons for which others get none.
type Picked = (Vec<(Side, VirtualNumber)>, Vec<NoFreeNumber>);

impl<T: TextSender> Healer<T> {
    /// Lists the live conversations on the `left` numbers, which are lost or rotated, and settles those that are due.
    /// The text messages name these `cards`.
    pub async fn run(
        &self,
        left: &[PoolNumber],
        cards: Option<&CardLinks>,
        deadline: Option<Timestamp>,
    ) -> Result<Healing, StoreError> {
        self.list_conversations(left, deadline).await?;
        let (mut done, mut from) = (Healing::default(), None);
        loop {
            let page = self.store.due_heals(self.clock.now(), from).await?;
            done.failed += page.unreadable;
            for heal in page.heals {
                if self.is_out_of_time(deadline) {
                    done.is_out_of_time = true;
                    return Ok(done);
                }
                let id = heal.conversation;
                match Box::pin(self.settle(heal, cards, &mut done)).await {
                    Ok(()) => {}
                    // The others would wait for the table too.
                    Err(error @ StoreError::NoAnswer(_)) => return Err(error),
                    Err(error) => {
                        tracing::error!(conversation.id = %id, cause = %error, schedule_failures = 1u64, "healing a conversation failed");
                        done.failed += 1;
                    }
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(done);
            }
        }
    }

    fn is_out_of_time(&self, deadline: Option<Timestamp>) -> bool {
        let Ok(texts) = SignedDuration::try_from(self.text_time_limit) else { return true };
        deadline.is_some_and(|deadline| self.clock.now() + texts + texts + TIME_FOR_ONE >= deadline)
    }

    /// Lists the live conversations on those numbers for which that is not done yet. A number that was lost or rotated a moment
    /// ago is scanned for again later, because a creation may be about to use it.
    async fn list_conversations(&self, numbers: &[PoolNumber], deadline: Option<Timestamp>) -> Result<(), StoreError> {
        let mut left: Vec<_> = numbers.iter().filter(|number| number.has_unlisted_conversations(self.heals)).collect();
        while !left.is_empty() {
            let saved = self.store.saved_route_scan(ScanPurpose::Healing).await?;
            let covers = |scan: &RouteScan, number: &PoolNumber| scan.numbers.contains(&number.number);
            let scan = saved.filter(|scan| left.iter().any(|number| covers(scan, number))).unwrap_or_else(|| {
                let numbers = left.iter().take(MAX_NUMBERS).map(|number| number.number.clone());
                RouteScan::new(numbers.collect(), self.clock.now())
            });
            for number in left.iter().filter(|number| covers(&scan, number)) {
                self.store.show_loss(number).await?;
            }
            let (store, clock, stop_at) = (&self.store, &self.clock, deadline.map(|deadline| deadline - TIME_TO_HEAL));
            let mut run = ScanRun { store, clock, purpose: ScanPurpose::Healing, scan, stop_at };
            loop {
                match run.next_page().await? {
                    ScanProgress::Page(conversations) => self.store.list_heals(&conversations, clock.now()).await?,
                    ScanProgress::Complete => break,
                    ScanProgress::OutOfTime => return Ok(()),
                }
            }
            let began_at = run.scan.began_at;
            for number in left.iter().filter(|number| covers(&run.scan, number)) {
                if number.left_since().is_some_and(|since| since + GRACE <= began_at) {
                    self.store.note_conversations_listed(number, self.heals).await?;
                }
            }
            left.retain(|number| !covers(&run.scan, number));
        }
        Ok(())
    }

    /// Replaces the lost and rotated numbers of a conversation, and tells both people and the backend. Its item stays if something is left
    /// to do.
    async fn settle(&self, mut heal: Heal, cards: Option<&CardLinks>, done: &mut Healing) -> Result<(), StoreError> {
        for attempt in 0..ATTEMPTS {
            let now = self.clock.now();
            let Some(mut conversation) = self.store.conversation(heal.conversation, now).await? else {
                return self.store.finish_heal(&heal).await;
            };
            let mut lost = self.losses(&conversation, now).await?;
            let to_move: Vec<_> = lost.iter().copied().filter(|loss| self.moves(loss)).collect();
            if !to_move.is_empty() {
                match self.replace(&conversation, &to_move, &mut heal, attempt).await? {
                    Replaced::Healed(healed) => {
                        let sees =
                            |conversation: &Conversation, loss: &Loss| conversation.participant(loss.side).sees.clone();
                        lost.retain(|loss| sees(&healed, loss) == sees(&conversation, loss));
                        conversation = *healed;
                    }
                    Replaced::NoneFree => {}
                    Replaced::Changed => {
                        retry::pause(attempt).await;
                        match self.store.heal(heal.conversation).await? {
                            Some(changed) => heal = changed,
                            None => return Ok(()),
                        }
                        continue;
                    }
                }
            }
            return self.tell(conversation, &lost, heal, cards, done).await;
        }
        Err(StoreError::Contended("a conversation"))
    }

    /// True if a participant gets another number.
    fn moves(&self, loss: &Loss) -> bool {
        self.heals || loss.is_rotation
    }

    /// Returns the losses and rotations of the numbers that the participants of an active conversation see.
    async fn losses(&self, conversation: &Conversation, now: Timestamp) -> Result<Vec<Loss>, StoreError> {
        if !conversation.is_active(now) {
            return Ok(Vec::new());
        }
        let left = self.store.departures(Side::BOTH.map(|side| &conversation.participant(side).sees)).await?;
        let loss = |side: Side| {
            let Departure { since, is_rotation } = left[side.index()]?;
            Some(Loss { side, since, is_rotation })
        };
        Ok(Side::BOTH.into_iter().filter_map(loss).collect())
    }

    /// Gives the participants whose numbers are `lost` or rotated other ones, as far as there are any that are free for them.
    async fn replace(
        &self,
        before: &Conversation,
        lost: &[Loss],
        heal: &mut Heal,
        attempt: u32,
    ) -> Result<Replaced, StoreError> {
        let (options, (picked, none_free)) = match self.pick(before, lost).await {
            Ok(picked) => picked,
            Err(CreationError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(conversation.id = %before.id, cause = %error, "no number can be chosen for a conversation");
                return Ok(Replaced::NoneFree);
            }
        };
        if !none_free.is_empty() {
            self.demand.record(before.owner, &none_free).await?;
        }
        if picked.is_empty() {
            return Ok(Replaced::NoneFree);
        }
        let (now, after) = (self.clock.now(), changed(before, &picked, attempt < KEEPS_PINS));
        let mut routes = Vec::new();
        for (side, number) in &picked {
            if !before.direction.includes(*side) {
                // Those who only receive have holds, which are no part of the transaction.
                let needed = before.quarantined_until(before.expires_at);
                for phone in after.phones(*side) {
                    if self.store.hold((phone.caller, number), after.owner, needed, now).await?.is_none() {
                        return Ok(Replaced::Changed);
                    }
                }
                continue;
            }
            let phones = before.phones(*side).zip(after.phones(*side)).zip(options.of_phones(*side));
            for ((old, new), known) in phones {
                let owner = self.store.key_owner(old.caller, old.sees).await?;
                let Some(KeyOwner::Route(old)) = owner.filter(|owner| owner.conversation() == Some(before.id)) else {
                    return Ok(Replaced::Changed);
                };
                let route = Route::joining(&after, new, known.by_number.get(number), whole_second(now));
                let route = route.with_spoken_names(&after, &self.words);
                routes.push(Route { looked_up: old.looked_up, left_seconds: old.left_seconds, ..route });
            }
        }
        let mut next = heal.clone();
        for (side, _) in &picked {
            next.reported.retain(|loss| loss.side != *side);
            next.healed.retain(|healed| healed != side);
            next.healed.push(*side);
            next.rotated.retain(|rotated| rotated != side);
            next.rotated
                .extend(lost.iter().filter(|loss| loss.side == *side && loss.is_rotation).map(|loss| loss.side));
        }
        let sides: Vec<Side> = picked.iter().map(|(side, _)| *side).collect();
        if !self.store.heal_conversation([before, &after], &sides, &routes, &next, now).await? {
            return Ok(Replaced::Changed);
        }
        *heal = Heal { revision: next.revision + 1, ..next };
        let marks: Vec<_> = picked.iter().flat_map(|(side, _)| options.marks_of(*side, &after, now)).collect();
        self.cache.record(&self.store, before.owner, &marks).await;
        Ok(Replaced::Healed(Box::new(after)))
    }

    /// Chooses numbers as a creation does: among those that are free for each caller.
    async fn pick(&self, conversation: &Conversation, lost: &[Loss]) -> Result<(Options, Picked), CreationError> {
        let verified = conversation.participants.each_ref().map(VerifiedSide::of);
        let texts = lost.iter().any(|loss| conversation.participant(loss.side).notification != Notification::Off);
        let free = FreeNumbers {
            store: &self.store,
            clock: &self.clock,
            cache: &self.cache,
            fallback: &self.fallback,
            routes_read: self.routes_read,
            purpose: Purpose { owner: conversation.owner, direction: conversation.direction, texts, is_new: false },
        };
        let pick = |options: &Options| -> Picked {
            let both = if lost.len() > 1 { free.choose(&verified, options).ok() } else { None };
            if let Some(numbers) = both {
                return (Side::BOTH.into_iter().zip(numbers).collect(), Vec::new());
            }
            let mut picked: Picked = Default::default();
            for Loss { side, .. } in lost.iter().copied() {
                let kept = &conversation.participant(side.other()).sees;
                match free.choose_one(side, &verified, options, kept) {
                    Ok(number) => picked.0.push((side, number)),
                    Err(none_free) => picked.1.push(none_free),
                }
            }
            picked
        };
        let options = free.usual_options(&verified).await?;
        let picked = pick(&options);
        // Only all routes of a caller show that no number is free.
        let unsure = picked.1.iter().map(|none_free| none_free.side).filter(|side| options.of(*side).is_partial());
        let unsure: Vec<Side> = unsure.collect();
        if unsure.is_empty() {
            return Ok((options, picked));
        }
        let options = free.all_options(&verified, unsure.into_iter()).await?;
        let picked = pick(&options);
        Ok((options, picked))
    }

    /// Texts the people who dial another number, and tells the backend.
    async fn tell(
        &self,
        mut conversation: Conversation,
        lost: &[Loss],
        mut heal: Heal,
        cards: Option<&CardLinks>,
        done: &mut Healing,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        if conversation.is_active(now) {
            self.text(&mut conversation, &heal.healed, cards).await?;
        }
        let is_rotated = |side: &Side| heal.rotated.contains(side);
        let healed = heal.healed.iter().map(|side| conversation_event(&conversation, *side, is_rotated(side), true));
        let unhealed = lost.iter().filter(|loss| !heal.reported.contains(loss));
        let unhealed = unhealed.map(|loss| conversation_event(&conversation, loss.side, loss.is_rotation, false));
        let events: Vec<_> = healed.chain(unhealed).collect();
        if let Err(error) = self.announcer.send(&events).await {
            let id = conversation.id;
            tracing::error!(conversation.id = %id, cause = %error, schedule_failures = 1u64, "an event was not sent; the next run sends it");
            done.failed += 1;
            return Ok(());
        }
        done.healed += heal.healed.len();
        done.unhealed += lost.len();
        heal.healed.clear();
        heal.rotated.clear();
        heal.reported = lost.to_vec();
        if lost.is_empty() {
            return self.store.finish_heal(&heal).await;
        }
        if lost.iter().any(|loss| self.moves(loss)) {
            heal.postpone(now);
        } else {
            heal.put_aside(now);
        }
        self.store.save_heal(&heal).await.map(drop)
    }
}

/// Returns the conversation in which the participants see the `picked` numbers from now on.
///
/// They keep their PINs if `keeps_pins`. Without that they lose them, because somebody else has the same PIN on that number.
fn changed(before: &Conversation, picked: &[(Side, VirtualNumber)], keeps_pins: bool) -> Conversation {
    let mut after = Conversation { revision: before.revision + 1, ..before.clone() };
    for (side, number) in picked {
        let participant = &mut after.participants[side.index()];
        participant.previously_seen.push(std::mem::replace(&mut participant.sees, number.clone()));
        participant.keyed_as = participant.number.respelled();
        participant.pin = participant.pin.take().filter(|_| keeps_pins);
        let further = participant.further.iter_mut().filter(|phone| phone.left_at.is_none());
        for notification in further.map(|phone| &mut phone.notification).chain([&mut participant.notification]) {
            if *notification != Notification::Off {
                *notification = Notification::Pending;
            }
        }
    }
    after
}
