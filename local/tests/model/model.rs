//! The expected state in plain maps, and the one correct answer to each operation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use shared::domain::conversation::{Conversation, ConversationId, Notification, Participant};
use shared::domain::country::Country;
use shared::domain::invitation::InvitationReceipts;
use shared::domain::judge::Judge;
use shared::domain::language::Language;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::safety_key::SafetyPresses;
use shared::domain::side::Side;
use shared::domain::tenant::{Owner, Pool};
use shared::domain::text::Label;
use shared::domain::text_masking::TextMasking;
use shared::domain::verdict::RememberedVerdicts;
use shared::service::create::NewConversation;
use shared::service::provision::{Drained, Moved, Rotated};
use shared::service::update::NewPhone;
use shared::store::IdempotentRequest;

use crate::answer::Answer;
use crate::carrier::label;
use crate::expectations::BegunEnd;
use crate::legs::StoredLeg;
use crate::lists::list_key;
use crate::missed_calls::Telling;
use crate::on_write::OnWrite;
use crate::phones::{Caller, dialling_keys, further_after, keys_of, members, twice};
use crate::pins::Pins;
use crate::placing::Placing;
use crate::pool::GRACE;
use crate::recordings::Recordings;
use crate::safety::PressedKeys;
use crate::scenario::{INVALID_PHONE, Scenario, canonical, country_of, keyed_as, language_of, number};
use crate::system::{Operation, Outcome};
use crate::table::Table;

pub const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Time after the quarantine for which a conversation can be read and a route keeps its history, and for which an erased one is
/// remembered.
pub const RECORDS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Time after the quarantine after which the table may delete a conversation that the schedule has not erased.
pub const NET: SignedDuration = SignedDuration::from_hours(395 * 24);

/// Number of conversations in the history of a route, the present one included.
const REMEMBERED: usize = 13;

/// A participant's phone in its canonical spelling and the number that it dials.
pub type RouteKey = (RealNumber, VirtualNumber);

#[derive(Debug, Clone)]
pub struct Model {
    pub now: Timestamp,
    pub fallback: Vec<Country>,
    /// Number of routes of a participant that one creation reads.
    pub routes_read: u16,
    pub conversations: OnWrite<BTreeMap<ConversationId, OnWrite<ModelConversation>>>,
    /// Erased conversations, each with the end of the time for which its tombstone stays.
    pub erased: OnWrite<BTreeMap<ConversationId, Timestamp>>,
    /// Start of the present or the last pass of retention, and true if it is complete.
    pub retention: Option<(Timestamp, bool)>,
    /// Carrier records of erased conversations that Vonage has to redact.
    pub redactions: OnWrite<BTreeSet<String>>,
    pub routes: OnWrite<BTreeMap<RouteKey, ModelRoute>>,
    pub requests: OnWrite<BTreeMap<String, RememberedRequest>>,
    pub numbers: OnWrite<BTreeMap<VirtualNumber, PoolNumber>>,
    /// Numbers that were cancelled, each with the end of the time for which nobody can use it as their own phone.
    pub released: OnWrite<BTreeMap<VirtualNumber, Timestamp>>,
    /// Numbers of the pool that Vonage has taken away.
    pub away: OnWrite<BTreeSet<VirtualNumber>>,
    /// The count of the open order of each country, with its identity.
    pub orders: OnWrite<BTreeMap<Country, (String, usize)>>,
    /// The conversations that are listed for healing, each with the time of its next try.
    pub heals: OnWrite<BTreeMap<ConversationId, Timestamp>>,
    /// All route keys under which each conversation has had a route, also an erased one, each with the end of its quarantine there.
    pub routed: OnWrite<BTreeMap<ConversationId, BTreeMap<RouteKey, Timestamp>>>,
    /// The legs of calls by conversation and id.
    pub legs: OnWrite<BTreeMap<(ConversationId, String), StoredLeg>>,
    /// Legs one of whose events was cut off, so that their parts may be in two conversations.
    pub cut_off: OnWrite<BTreeSet<String>>,
    /// The times at which people were last told of missed calls, or asked to call back.
    pub told: OnWrite<BTreeMap<Telling, Timestamp>>,
    pub pins: OnWrite<Pins>,
    /// The keys that were pressed in calls, by conversation and leg.
    pub pressed: OnWrite<BTreeMap<(ConversationId, String), PressedKeys>>,
    pub placing: OnWrite<Placing>,
    pub recordings: OnWrite<Recordings>,
    /// Conversations that the table has deleted because their time was over.
    pub forgotten: OnWrite<BTreeSet<ConversationId>>,
    /// The route keys that each conversation has and had, as far as the journal has to know them.
    pub keys: OnWrite<BTreeMap<ConversationId, BTreeSet<RouteKey>>>,
}

/// A conversation.
#[derive(Debug, Clone)]
pub struct ModelConversation {
    pub expected: Conversation,
    /// The attempt that created it.
    pub attempt: String,
    /// True if it was created with an idempotency key.
    pub has_request: bool,
    /// The phones under which it is listed, each with the time from which it is in the conversation.
    pub listed: BTreeMap<RealNumber, Timestamp>,
}

/// A live route, a route in quarantine, a tombstone or a hold.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRoute {
    /// The participant's side. `None` for a tombstone and a hold.
    pub side: Option<Side>,
    /// The other participant's phone, at the end of the route. `None` for a tombstone.
    pub reaches: Option<RealNumber>,
    pub expires_at: Timestamp,
    pub quarantined_until: Timestamp,
    /// True if its participant dials another number by now.
    pub is_replaced: bool,
    /// True if a late caller may ask for a call.
    pub cares: bool,
    /// The caller's language. `None` for a tombstone and a hold.
    pub language: Option<Language>,
    /// Its conversation and the previous ones, latest first. A hold has none.
    pub history: Vec<ConversationId>,
}

/// A request with an idempotency key.
#[derive(Debug, Clone)]
pub struct RememberedRequest {
    pub conversation: ConversationId,
    pub fingerprint: String,
    pub until: Timestamp,
}

pub type Verdict = Result<(), String>;

/// Returns an error with the text of `what` unless `holds`.
pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

impl ModelRoute {
    pub fn is_in_use(&self, now: Timestamp) -> bool {
        now < self.quarantined_until
    }

    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// The hold of somebody who only receives.
    pub fn hold(until: Timestamp) -> Self {
        let (reaches, history) = Default::default();
        let (is_replaced, cares, language) = (false, false, None);
        Self { side: None, reaches, expires_at: until, quarantined_until: until, is_replaced, cares, language, history }
    }

    pub fn is_hold(&self) -> bool {
        self.history.is_empty()
    }

    /// Removes everything but the key, its owner and its times.
    fn make_tombstone(&mut self) {
        (self.side, self.reaches, self.is_replaced, self.language) = (None, None, false, None);
        self.cares = false;
        self.history.truncate(1);
    }

    /// The time from which the table may delete it.
    pub fn kept_until(&self) -> Timestamp {
        self.quarantined_until + self.side.map_or(SignedDuration::ZERO, |_| RECORDS_KEPT)
    }

    /// The conversation that owns the key.
    pub fn owner(&self) -> Option<ConversationId> {
        self.history.first().copied()
    }

    /// The history for the next conversation on this route. A tombstone has none.
    pub fn remembered(&self) -> &[ConversationId] {
        if self.side.is_some() { &self.history } else { &[] }
    }
}

impl ModelConversation {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expected.ended_at.is_none() && now < self.expected.expires_at
    }

    /// True if its calls of the day are used up.
    pub fn is_paused(&self, now: Timestamp) -> bool {
        self.expected.paused_until.is_some_and(|until| now < until)
    }

    /// True if it can still be read.
    pub fn is_readable(&self, now: Timestamp) -> bool {
        now < self.quarantined_until() + RECORDS_KEPT
    }

    pub fn quarantined_until(&self) -> Timestamp {
        self.expected.ended_at.unwrap_or(self.expected.expires_at) + self.quarantine()
    }

    pub fn quarantine(&self) -> SignedDuration {
        SignedDuration::from_secs(self.expected.quarantine_seconds.into())
    }
}

/// True if a request that ends this conversation also ends its calls: half of them do.
pub fn ends_with_calls(id: ConversationId) -> bool {
    id.to_string().bytes().next_back().is_some_and(|last| last % 2 == 0)
}

impl Model {
    pub fn new(now: Timestamp, scenario: &Scenario, numbers: BTreeMap<VirtualNumber, PoolNumber>) -> Self {
        let (fallback, routes_read) = (scenario.fallback.clone(), scenario.routes_read);
        let (conversations, erased, redactions, routes, requests, released) = Default::default();
        let (away, orders, heals, retention, keys) = Default::default();
        let (routed, legs, cut_off, told, forgotten, pins, pressed, placing, recordings) = Default::default();
        Self {
            now,
            fallback,
            routes_read,
            conversations,
            erased,
            retention,
            redactions,
            routes,
            requests,
            numbers: numbers.into(),
            released,
            away,
            orders,
            heals,
            keys,
            routed,
            legs,
            cut_off,
            told,
            pins,
            pressed,
            placing,
            recordings,
            forgotten,
        }
    }

    /// Notes the route keys of the conversations that have changed since `before`.
    pub fn note_keys(&mut self, before: &Self) {
        let is_same = |(id, conversation): &(&ConversationId, &OnWrite<ModelConversation>)| {
            before.conversations.get(*id).is_some_and(|known| known.is_same(conversation))
        };
        for (id, conversation) in self.conversations.iter().filter(|found| !is_same(found)) {
            let keys = Side::BOTH.into_iter().flat_map(|side| keys_of(&conversation.expected, side));
            self.keys.entry(*id).or_default().extend(keys);
        }
    }

    /// The present time in whole seconds.
    pub fn second(&self) -> Timestamp {
        Timestamp::from_second(self.now.as_second()).unwrap()
    }

    /// Checks that the answer is the expected one and applies its effects.
    ///
    /// Of several phones a creation that runs beside another one may read some before that and some after it. It is refused in either
    /// order then, but for another phone.
    pub fn accept(&mut self, operation: &Operation, outcome: &Outcome, undisturbed: bool) -> Verdict {
        if let Operation::Event(event) = operation {
            return self.check_recorded(event, outcome);
        }
        if operation.is_of_call() {
            // See `Model::accept_step`, `Model::accept_try`, `Model::accept_late` and so on.
            return Ok(());
        }
        let (right, answer) = (self.expected_answer(operation), Answer::of(outcome));
        let is_mixed = !undisturbed && matches!((&answer, &right), (Answer::NoneFree(_), Answer::NoneFree(_)));
        ensure(answer == right || is_mixed, || format!("the answer is {answer:?}; expected {right:?}"))?;
        match (operation, outcome.conversation(), outcome) {
            (Operation::Create { attempt, new, request, .. }, Some(conversation), _) if answer == Answer::Created => {
                self.add_conversation(conversation, attempt, new, request.as_ref())?;
            }
            (Operation::Create { .. }, Some(given), _) => self.accept_replay(given),
            (Operation::Update(id, change), Some(_), _) => self.change(*id, change),
            (Operation::End(id), Some(_), _) => self.end(*id),
            (Operation::Erase(id), _, _) => self.erase(*id),
            (Operation::EraseNumber(phone), ..) => self.erase_number(phone),
            (Operation::TakeAway(number), ..) if answer == Answer::Account(true) => {
                self.away.insert(number.number.clone());
            }
            (Operation::GiveBack(number), ..) => {
                self.away.remove(&number.number);
            }
            (Operation::Drain(number), _, Outcome::Drain(Ok(Drained::Draining(given)))) => {
                self.drain(number);
                let expected = &self.numbers[number];
                return ensure(given == expected, || {
                    format!("the answer to the drain is {given:?}; expected {expected:?}")
                });
            }
            (Operation::Move(number, _), _, Outcome::Move(Ok(Moved::Moving(given)))) => {
                let to = given.moves_to.ok_or("the answer to a move names no pool")?;
                self.move_number(number, to);
                let expected = &self.numbers[number];
                return ensure(**given == *expected, || {
                    format!("the answer to the move is {given:?}; expected {expected:?}")
                });
            }
            (Operation::Rotate(number), _, Outcome::Rotate(Ok(Rotated::Rotating(given)))) => {
                self.rotate(number);
                let loss = given.loss.clone();
                let expected = PoolNumber { loss, ..self.numbers[number].clone() };
                return ensure(**given == expected, || {
                    format!("the answer to the rotation is {given:?}; expected {expected:?}")
                });
            }
            _ => {}
        }
        outcome.conversation().map_or(Ok(()), |given| self.is_as_given(given))
    }

    /// Applies an operation that was carried out by a process that crashed before it answered.
    pub fn accept_unanswered(&mut self, operation: &Operation, table: &Table) -> Verdict {
        if operation.is_of_call() {
            return Ok(());
        }
        match (operation, self.expected_answer(operation)) {
            (Operation::Create { attempt, new, request, .. }, Answer::Created) => {
                let label = Label::try_from(label(attempt, Side::A)).ok();
                let created = table.conversations.values().find(|found| found.participants[0].label == label);
                self.add_conversation(
                    created.ok_or("the table has no conversation of this attempt")?,
                    attempt,
                    new,
                    request.as_ref(),
                )?;
            }
            (Operation::Update(id, change), Answer::Updated) => self.change(*id, change),
            (Operation::End(id), Answer::Ended) => self.end(*id),
            (Operation::Erase(id), Answer::Erased) => self.erase(*id),
            (Operation::EraseNumber(phone), Answer::ErasedNumber(_)) => self.erase_number(phone),
            (Operation::Drain(number), Answer::Draining) => self.drain(number),
            (Operation::Rotate(number), Answer::Draining) => self.rotate(number),
            (Operation::Move(number, owner), Answer::Draining) => {
                let country = self.numbers[number].country;
                self.move_number(number, Pool { owner: *owner, country });
            }
            (_, right) => return Err(format!("the operation cannot have been carried out: {right:?}")),
        }
        Ok(())
    }

    /// Applies a replay, which may have sent pending text messages.
    fn accept_replay(&mut self, given: &Conversation) {
        let conversation = self.conversations.get_mut(&given.id).expect("a replay leads to a known conversation");
        for (participant, given) in conversation.expected.participants.iter_mut().zip(&given.participants) {
            participant.notification.clone_from(&given.notification);
        }
        conversation.expected.carrier_records.clone_from(&given.carrier_records);
        conversation.expected.invitation_receipts.clone_from(&given.invitation_receipts);
    }

    /// Checks a conversation in an answer. Its notifications are left out, because another operation may change them at
    /// the same time.
    fn is_as_given(&self, given: &Conversation) -> Verdict {
        let expected = &self.conversations[&given.id].expected;
        ensure(without_texts(given) == without_texts(expected), || {
            format!("the answer is {given:?}; expected {expected:?}")
        })
    }

    fn expected_answer(&self, operation: &Operation) -> Answer {
        match operation {
            Operation::Create { new, request, .. } => self.expected_creation(new, request.as_ref()),
            Operation::End(id) => {
                match self.conversations.get(id).filter(|conversation| conversation.is_readable(self.now)) {
                    None => Answer::Unknown,
                    Some(conversation)
                        if conversation.is_live(self.now) || conversation.expected.ended_at.is_some() =>
                    {
                        Answer::Ended
                    }
                    Some(_) => Answer::Expired,
                }
            }
            Operation::Erase(id) if self.conversations.contains_key(id) => Answer::Erased,
            Operation::Erase(id) if self.erased.get(id).is_some_and(|until| self.now < *until) => Answer::Erased,
            Operation::Erase(_) => Answer::Unknown,
            Operation::EraseNumber(phone) => Answer::ErasedNumber(self.listed_under(phone).len() as u64),
            Operation::Update(id, change) => self.expected_change(*id, change),
            Operation::Drain(number) => match self.numbers.get(number) {
                None => Answer::Unknown,
                Some(number) if number.state == NumberState::Renting => Answer::Busy,
                Some(number) if number.state == NumberState::Linking && self.now < number.leased_until => Answer::Busy,
                Some(number) if number.moves_to.is_some() && self.is_given_back(number) => Answer::Busy,
                Some(_) => Answer::Draining,
            },
            Operation::Rotate(number) => match self.numbers.get(number) {
                None => Answer::Unknown,
                Some(number) if number.rotating_since.is_some() => Answer::Draining,
                Some(number) if number.state == NumberState::Renting => Answer::Busy,
                Some(number) if number.state == NumberState::Linking && self.now < number.leased_until => Answer::Busy,
                Some(number) if self.has_other(number) => Answer::Draining,
                Some(_) => Answer::NoOther,
            },
            Operation::Move(number, owner) => self.expected_move(number, *owner),
            Operation::Rent(..) | Operation::Place(..) | Operation::Orders | Operation::Upkeep | Operation::Heal => {
                Answer::Provisioned
            }
            Operation::Retention => Answer::Retired,
            Operation::TakeAway(number) => {
                let number = &number.number;
                Answer::Account(self.numbers.contains_key(number) && !self.away.contains(number))
            }
            Operation::GiveBack(number) => Answer::Account(self.away.contains(&number.number)),
            Operation::Event(_)
            | Operation::Step(_)
            | Operation::Pin(_)
            | Operation::Late(_)
            | Operation::Dial(_)
            | Operation::HangUp(_)
            | Operation::Press(_)
            | Operation::Recorded(_)
            | Operation::Keep => unreachable!("an event has several right answers"),
        }
    }

    fn expected_move(&self, number: &VirtualNumber, owner: Owner) -> Answer {
        let Some(number) = self.numbers.get(number) else { return Answer::Unknown };
        let to = Pool { owner, country: number.country };
        match number.state {
            _ if number.rotating_since.is_some() || number.missing_since.is_some() => Answer::Leaving,
            NumberState::Draining if number.moves_to == Some(to) => Answer::Draining,
            NumberState::Draining if number.moves_to.is_some() && to == number.pool() => Answer::Leaving,
            NumberState::Draining if self.is_given_back(number) => Answer::Busy,
            NumberState::Draining if to != number.pool() => Answer::Draining,
            _ if to == number.pool() => Answer::There,
            NumberState::Ready => Answer::Draining,
            _ => Answer::Busy,
        }
    }

    /// True if a run may give the number back to Vonage, or move it, at this moment.
    fn is_given_back(&self, number: &PoolNumber) -> bool {
        let is_over = number.draining_since.is_some_and(|since| since + GRACE <= self.now);
        is_over && self.now < number.leased_until
    }

    fn expected_creation(&self, new: &NewConversation, request: Option<&IdempotentRequest>) -> Answer {
        if let Some(request) = request
            && let Some(remembered) =
                self.requests.get(&request.key_hash).filter(|remembered| self.now < remembered.until)
        {
            let same = remembered.fingerprint == request.fingerprint;
            return match same {
                true if self.conversations.contains_key(&remembered.conversation) => {
                    Answer::Replayed(remembered.conversation)
                }
                true => Answer::RefusedErased,
                false => Answer::OtherRequest,
            };
        }
        self.refused_phone(new).or_else(|| self.none_free_for(new)).unwrap_or(Answer::Created)
    }

    /// The refusal of a phone of a new conversation: one that is there twice, a virtual number, or one that is not valid.
    fn refused_phone(&self, new: &NewConversation) -> Option<Answer> {
        let [a, b] = callers(new);
        let further = |side: Side, caller: &Caller| {
            let places = caller.further.iter().cloned().enumerate();
            places.map(move |(place, phone)| (side, Some(place), phone)).collect::<Vec<_>>()
        };
        let first = |side: Side, caller: &Caller| vec![(side, None, caller.first.clone())];
        let (further_a, further_b) = (further(Side::A, &a), further(Side::B, &b));
        let all = [first(Side::A, &a), first(Side::B, &b), further_a.clone(), further_b.clone()].concat();
        match twice(&all) {
            Some((_, None)) => return Some(Answer::SameNumber),
            Some((side, Some(place))) => return Some(Answer::SameFurther(side, place)),
            None => {}
        }
        let in_order = [first(Side::A, &a), further_a, first(Side::B, &b), further_b].concat();
        let found = |is: &dyn Fn(&RealNumber) -> bool| in_order.iter().find(|(_, _, phone)| is(phone));
        if let Some((side, place, _)) = found(&|phone| self.is_virtual(phone)) {
            return Some(Answer::VirtualNumber(*side, *place));
        }
        let invalid = found(&|phone| phone.expose() == INVALID_PHONE);
        invalid.map(|(side, place, _)| Answer::NotValid(*side, *place))
    }

    fn none_free_for(&self, new: &NewConversation) -> Option<Answer> {
        let callers = callers(new);
        let none = Side::BOTH.into_iter().find(|side| {
            let (caller, other) = (&callers[side.index()], &callers[side.other().index()]);
            match caller.receives {
                true => self.unused_numbers(caller).is_empty() && self.held_numbers(caller).is_empty(),
                false => self.free_numbers(caller, &other.first).is_empty(),
            }
        })?;
        Some(Answer::NoneFree(self.none_free(none, &callers[none.index()])))
    }

    pub fn is_virtual(&self, phone: &RealNumber) -> bool {
        let number: VirtualNumber = number(phone.expose());
        self.numbers.contains_key(&number) || self.released.get(&number).is_some_and(|until| self.now < *until)
    }

    /// True if one of the conversation's phones is this one in its other spelling.
    pub fn has_other_spelling_of(&self, id: ConversationId, phone: &NewPhone) -> bool {
        let new = real_number(&phone.number);
        let is_other = |number: &RealNumber| *number != new && canonical(number) == canonical(&new);
        let conversation = self.conversations.get(&id);
        conversation.is_some_and(|found| found.expected.participants.iter().any(|one| is_other(&one.number)))
    }

    /// Adds a new conversation after checking its numbers and its times.
    fn add_conversation(
        &mut self,
        given: &Conversation,
        attempt: &str,
        new: &NewConversation,
        request: Option<&IdempotentRequest>,
    ) -> Verdict {
        let callers = callers(new);
        let phones = callers.each_ref().map(|caller| caller.first.clone());
        let sees = given.participants.each_ref().map(|participant| participant.sees.clone());
        self.check_choice(&callers, &sees, new)?;
        let has_pin = |side: Side| given.participants[side.index()].pin.is_some();
        let is_right = |side: &Side| has_pin(*side) == (new.pins.is_some() && new.direction.includes(*side));
        ensure(Side::BOTH.iter().all(is_right), || format!("{given:?} has other PINs than {new:?} asks for"))?;
        ensure(given.id.created_at() == self.now, || {
            format!("conversation {:?} has the wrong creation time", given.id)
        })?;
        ensure(!self.conversations.contains_key(&given.id), || format!("conversation {:?} existed before", given.id))?;
        let participant = |side: Side| Participant {
            number: phones[side.index()].clone(),
            keyed_as: keyed_as(&phones[side.index()]),
            country: country_of(phones[side.index()].expose()),
            verified_by: Judge::NumberInsight,
            label: Label::try_from(label(attempt, side)).ok(),
            language: Some(language_of(new.participants[side.index()].language.as_ref(), &phones[side.index()])),
            channel: new.participants[side.index()].channel,
            sees: sees[side.index()].clone(),
            notification: given.participants[side.index()].notification.clone(),
            previous_numbers: Vec::new(),
            pin: given.participants[side.index()].pin.clone(),
            previously_seen: Vec::new(),
            hours: new.participants[side.index()].hours.clone(),
            name: None,
            further: further_after(&[], &new.participants[side.index()].further, None),
        };
        let is = Conversation {
            id: given.id,
            owner: new.owner,
            reference: new.reference.clone(),
            participants: Side::BOTH.map(participant),
            direction: new.direction,
            created_at: self.second(),
            expires_at: self.second() + new.lifetime.duration(),
            ended_at: None,
            hangs_up: false,
            quarantine_seconds: self.quarantine_to_keep(&phones, &sees).max(new.quarantine_seconds),
            limits: new.limits,
            handling: new.handling,
            late: new.late.clone(),
            sliding_end: new.sliding_end,
            contact_card: None,
            usage_limits: new.usage_limits,
            limit_reached_at: None,
            paused_until: None,
            blocked: None,
            decision_url: None,
            verdicts: RememberedVerdicts::default(),
            text_masking: TextMasking::Off,
            safety: SafetyPresses::default(),
            revision: 0,
            carrier_records: given.carrier_records.clone(),
            invitation_receipts: given.invitation_receipts.clone(),
            listed: Some(list_key().listed(new.reference.as_ref())),
        };
        let all = callers.iter().flat_map(|caller| caller.further.iter().chain([&caller.first]));
        let listed = all.map(|phone| (canonical(phone), self.now)).collect();
        let (attempt, has_request) = (attempt.to_owned(), request.is_some());
        let conversation = ModelConversation { expected: is, attempt, has_request, listed };
        self.assign_routes(&conversation, Side::BOTH);
        if let Some(request) = request {
            let (fingerprint, until) = (request.fingerprint.clone(), self.second() + DAY);
            self.requests
                .insert(request.key_hash.clone(), RememberedRequest { conversation: given.id, fingerprint, until });
        }
        self.conversations.insert(given.id, conversation.into());
        Ok(())
    }

    /// The longest quarantine, in seconds, in which the numbers of a new conversation are.
    fn quarantine_to_keep(&self, phones: &[RealNumber; 2], dials: &[VirtualNumber; 2]) -> u32 {
        let of_side = |side: Side| self.routes.get(&(canonical(&phones[side.index()]), dials[side.index()].clone()));
        let rests = Side::BOTH.into_iter().filter_map(of_side).filter(|route| route.is_in_use(self.now));
        let seconds = |route: &ModelRoute| route.quarantined_until.as_second() - route.expires_at.as_second();
        rests.map(seconds).max().map_or(0, |seconds| u32::try_from(seconds).unwrap())
    }

    /// Gives the phones of these sides their routes, as the conversation is now.
    pub fn assign_routes(&mut self, conversation: &ModelConversation, sides: impl IntoIterator<Item = Side>) {
        let is = &conversation.expected;
        let (expires_at, quarantined_until) = (is.expires_at, conversation.quarantined_until());
        for side in sides.into_iter().filter(|side| is.direction.includes(*side)) {
            let cares = is.late.lost_property && is.direction.receiver().is_none() && !is.is_blocked(side);
            for (member, name) in members(is, side).zip(keys_of(is, side)) {
                let mut earlier = self.remembered(&name);
                earlier.retain(|earlier| *earlier != is.id);
                let route = ModelRoute {
                    side: Some(side),
                    reaches: Some(is.participant(side.other()).number.clone()),
                    expires_at,
                    quarantined_until,
                    is_replaced: false,
                    cares,
                    language: member.language.cloned(),
                    history: std::iter::once(is.id).chain(earlier).take(REMEMBERED).collect(),
                };
                self.routed.entry(is.id).or_default().insert(name.clone(), quarantined_until);
                self.routes.insert(name, route);
            }
        }
    }

    /// The history of a route.
    pub fn remembered(&self, name: &RouteKey) -> Vec<ConversationId> {
        self.routes.get(name).map(|route| route.remembered().to_vec()).unwrap_or_default()
    }

    /// Puts a route into quarantine from now on.
    pub fn quarantine_route(&mut self, name: &RouteKey, quarantine: SignedDuration) {
        let now = self.second();
        let route = self.routes.get_mut(name).expect("a live conversation has its routes");
        (route.expires_at, route.quarantined_until) = (now, now + quarantine);
        if let Some(id) = route.owner() {
            self.routed.entry(id).or_default().insert(name.clone(), now + quarantine);
        }
    }

    fn end(&mut self, id: ConversationId) {
        let now = self.second();
        let Some(conversation) = self.conversations.get_mut(&id).filter(|conversation| conversation.is_live(self.now))
        else {
            return;
        };
        conversation.expected.ended_at = Some(now);
        conversation.expected.hangs_up = ends_with_calls(id);
        conversation.expected.revision += 1;
        let conversation = conversation.clone();
        self.close_routes(&conversation, &dialling_keys(&conversation.expected));
    }

    /// Closes routes of a conversation that is being ended, and replaces the first ones by tombstones if it is being erased.
    pub fn begin_end(&mut self, begun: &BegunEnd) {
        let Some(conversation) = self.conversations.get(&begun.conversation).cloned() else { return };
        if conversation.is_live(self.now) {
            self.close_routes(&conversation, &begun.closed);
        }
        for key in dialling_keys(&conversation.expected).iter().take(begun.replaced) {
            let route = self.routes.get_mut(key);
            if let Some(route) = route.filter(|route| route.owner() == Some(begun.conversation)) {
                route.make_tombstone();
            }
        }
    }

    /// Puts these routes of a conversation into quarantine, unless another conversation has them by now.
    fn close_routes(&mut self, conversation: &ModelConversation, keys: &[RouteKey]) {
        for name in keys {
            if self.routes.get(name).is_some_and(|route| route.owner() == Some(conversation.expected.id)) {
                self.quarantine_route(name, conversation.quarantine());
                if ends_with_calls(conversation.expected.id) {
                    self.routes.entry(name.clone()).and_modify(|route| route.cares = false);
                }
            }
        }
    }

    /// The conversations that are listed under a phone.
    fn listed_under(&self, phone: &RealNumber) -> Vec<ConversationId> {
        let phone = canonical(phone);
        let of_phone = self.conversations.iter().filter(|(_, conversation)| conversation.listed.contains_key(&phone));
        of_phone.map(|(id, _)| *id).collect()
    }

    /// Removes all conversations of a phone, and what nobody can read any more under its route keys.
    fn erase_number(&mut self, phone: &RealNumber) {
        for id in self.listed_under(phone) {
            self.erase(id);
        }
        let (now, phone) = (self.now, canonical(phone));
        self.routes.retain(|name, route| name.0 != phone || now < route.kept_until());
    }

    /// Removes a conversation. Only the tombstones of its routes stay.
    pub fn erase(&mut self, id: ConversationId) {
        self.end(id);
        let Some(conversation) = self.conversations.remove(&id) else { return };
        let is = &conversation.expected;
        self.redactions.extend(is.carrier_records.iter().map(|record| record.id.clone()));
        self.redactions.extend(is.invitation_receipts.carrier_records().map(|record| record.id));
        self.redactions.extend(self.legs.keys().filter(|(of, _)| *of == id).map(|(_, uuid)| uuid.clone()));
        let until = is.quarantined_until(is.ended_at.unwrap_or(is.expires_at)).max(self.second()) + RECORDS_KEPT;
        self.erased.insert(id, until);
        let now = self.now;
        if until <= now + RECORDS_KEPT {
            self.keys.remove(&id);
        }
        self.routes.retain(|_, route| route.side.is_none() || route.history[0] != id || route.is_in_use(now));
        for route in self.routes.values_mut().filter(|route| route.side.is_some()) {
            if route.history[0] == id {
                route.make_tombstone();
            } else {
                route.history.retain(|earlier| *earlier != id);
            }
        }
    }

    /// True if the country of a number has another ready one.
    fn has_other(&self, number: &PoolNumber) -> bool {
        let is_other = |other: &PoolNumber| other.pool() == number.pool() && other.number != number.number;
        self.numbers.values().any(|other| other.state == NumberState::Ready && is_other(other))
    }

    fn rotate(&mut self, number: &VirtualNumber) {
        // One that moves drains already, and leaves the pool instead.
        if let Some(number) = self.numbers.get_mut(number).filter(|number| number.rotating_since.is_none()) {
            number.moves_to = None;
        }
        self.drain_unless_draining(number);
        let now = self.second();
        if let Some(number) = self.numbers.get_mut(number).filter(|number| number.rotating_since.is_none()) {
            number.rotating_since = Some(now);
            number.loss.conversations_listed = None;
        }
    }

    /// Takes over from the table if the backend is still to be told of a rotation. A crash may prevent that. With it the backend is
    /// told what is left of an earlier loss and return.
    pub fn accept_rotation_note(&mut self, number: &VirtualNumber, finished: bool, table: &Table) -> Verdict {
        let (Some(number), Some(found)) = (self.numbers.get_mut(number), table.numbers.get(number)) else {
            return Ok(());
        };
        let note = found.loss.unannounced_rotation;
        ensure(note.is_none() || !finished && note == number.rotating_since, || {
            format!("the note about the rotation of {number:?} is {note:?}")
        })?;
        number.loss.unannounced_rotation = note;
        for (known, found) in [
            (&mut number.loss.unannounced_loss, found.loss.unannounced_loss),
            (&mut number.loss.unannounced_return, found.loss.unannounced_return),
        ] {
            if found.is_none() {
                *known = None;
            }
        }
        Ok(())
    }

    /// A number that was to move is to be given back.
    fn drain(&mut self, number: &VirtualNumber) {
        let now = self.second();
        if let Some(number) = self.numbers.get_mut(number).filter(|number| number.moves_to.is_some()) {
            number.moves_to = None;
            number.leased_until = now;
        }
        self.drain_unless_draining(number);
    }

    /// Has a number drain for the pool `to`.
    fn move_number(&mut self, number: &VirtualNumber, to: Pool) {
        let now = self.second();
        if let Some(number) = self.numbers.get_mut(number)
            && number.moves_to != Some(to)
        {
            number.moves_to = Some(to);
            if number.state == NumberState::Draining {
                number.leased_until = now;
            }
        }
        self.drain_unless_draining(number);
    }

    fn drain_unless_draining(&mut self, number: &VirtualNumber) {
        let now = self.second();
        if let Some(number) = self.numbers.get_mut(number).filter(|number| number.state != NumberState::Draining) {
            number.state = NumberState::Draining;
            number.draining_since = Some(now);
            number.part = None;
        }
    }
}

/// The key of the current route of the participant on `side`, or of the hold of one who only receives.
pub fn route_key(conversation: &Conversation, side: Side) -> RouteKey {
    let participant = &conversation.participants[side.index()];
    (canonical(&participant.number), participant.sees.clone())
}

pub fn without_texts(conversation: &Conversation) -> Conversation {
    let mut conversation = conversation.clone();
    for participant in &mut conversation.participants {
        participant.notification = Notification::Off;
        // Only the table knows a new one; see `Model::accept_pins`.
        participant.pin = None;
    }
    conversation.carrier_records.clear();
    conversation.invitation_receipts = InvitationReceipts::default();
    conversation
}

/// Both sides of a new conversation.
fn callers(new: &NewConversation) -> [Caller; 2] {
    Side::BOTH.map(|side| {
        let participant = &new.participants[side.index()];
        let further = participant.further.iter().map(|phone| real_number(&phone.number));
        let (first, receives) = (real_number(&participant.number), !new.direction.includes(side));
        Caller { first, further: further.collect(), receives, owner: new.owner }
    })
}

/// Parses a number as the steps write it: with a plus.
pub fn real_number(written: &str) -> RealNumber {
    number(written.trim_start_matches('+'))
}
