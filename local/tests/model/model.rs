//! What should be true: plain maps, and for each act the one answer that is right.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use shared::domain::conversation::{Conversation, ConversationId, Notification, Participant};
use shared::domain::country::Country;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::side::Side;
use shared::domain::text::Label;
use shared::service::create::NewConversation;
use shared::service::provision::Drained;
use shared::service::update::Change;
use shared::store::IdempotentRequest;

use crate::answer::Answer;
use crate::carrier::label;
use crate::system::{Act, Outcome};
use crate::table::Table;
use crate::world::{NOBODYS, country_of, number};

pub const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How long after its quarantine a conversation can be read and a key remembers.
pub const RECORDS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How many conversations a key remembers, the last one included.
const REMEMBERED: usize = 13;

/// The phone of a participant, and the number that it dials.
pub type KeyName = (RealNumber, VirtualNumber);

#[derive(Debug, Clone)]
pub struct Model {
    pub now: Timestamp,
    pub fallback: Vec<Country>,
    pub talks: BTreeMap<ConversationId, Talk>,
    /// Conversations that were erased, and until when that is remembered.
    pub erased: BTreeMap<ConversationId, Timestamp>,
    /// What Vonage is to redact of them.
    pub redactions: BTreeSet<String>,
    pub keys: BTreeMap<KeyName, Key>,
    pub requests: BTreeMap<String, Asked>,
    pub numbers: BTreeMap<VirtualNumber, PoolNumber>,
    /// Numbers that were given back, and until when they are known as having been ours.
    pub gone: BTreeMap<VirtualNumber, Timestamp>,
}

/// A conversation.
#[derive(Debug, Clone)]
pub struct Talk {
    pub is: Conversation,
    /// The attempt that created it.
    pub attempt: String,
    /// Whether the request that created it can come again.
    pub has_request: bool,
}

/// Whom a (caller, number) pair belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// None if its conversation was erased.
    pub side: Option<Side>,
    pub expires_at: Timestamp,
    pub quarantined_until: Timestamp,
    /// Its conversation, and earlier ones, latest first.
    pub history: Vec<ConversationId>,
}

/// A request that may come again.
#[derive(Debug, Clone)]
pub struct Asked {
    pub conversation: ConversationId,
    pub fingerprint: String,
    pub until: Timestamp,
}

pub type Verdict = Result<(), String>;

/// An error that says what is wrong, unless `holds`.
pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

impl Key {
    pub fn is_held(&self, now: Timestamp) -> bool {
        now < self.quarantined_until
    }

    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// The conversations that the next one on it remembers; an erased one is none.
    pub fn remembered(&self) -> &[ConversationId] {
        if self.side.is_some() { &self.history } else { &[] }
    }
}

impl Talk {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.is.ended_at.is_none() && now < self.is.expires_at
    }

    /// Whether it can be read at all.
    pub fn is_kept(&self, now: Timestamp) -> bool {
        now < self.quarantined_until() + RECORDS_KEPT
    }

    pub fn quarantined_until(&self) -> Timestamp {
        self.is.ended_at.unwrap_or(self.is.expires_at) + self.quarantine()
    }

    fn quarantine(&self) -> SignedDuration {
        SignedDuration::from_secs(self.is.quarantine_seconds.into())
    }
}

impl Model {
    pub fn new(now: Timestamp, fallback: Vec<Country>, numbers: BTreeMap<VirtualNumber, PoolNumber>) -> Self {
        let (talks, erased, redactions, keys, requests, gone) = Default::default();
        Self { now, fallback, talks, erased, redactions, keys, requests, numbers, gone }
    }

    /// The present second.
    pub fn second(&self) -> Timestamp {
        Timestamp::from_second(self.now.as_second()).unwrap()
    }

    /// Whether the answer is the right one; then what it says is true from now on.
    pub fn accept(&mut self, act: &Act, outcome: &Outcome) -> Verdict {
        let (right, answer) = (self.right_answer(act), Answer::of(outcome));
        ensure(answer == right, || format!("the answer is {answer:?}, and {right:?} would be right"))?;
        match (act, outcome.conversation(), outcome) {
            (Act::Create { attempt, new, request }, Some(conversation), _) if answer == Answer::Created => {
                self.admit(conversation, attempt, new, request.as_ref())?;
            }
            (Act::Create { .. }, Some(given), _) => self.take_texts(given),
            (Act::Update(id, change), Some(_), _) => self.change(*id, change),
            (Act::End(id), Some(_), _) => self.end(*id),
            (Act::Erase(id), _, _) => self.erase(*id),
            (Act::Drain(number), _, Outcome::Drain(Ok(Drained::Draining(given)))) => {
                self.drain(number);
                let expected = &self.numbers[number];
                return ensure(given == expected, || format!("{given:?} is given, and {expected:?} drains"));
            }
            _ => {}
        }
        outcome.conversation().map_or(Ok(()), |given| self.is_as_given(given))
    }

    /// An act that was carried out by somebody who did not live to answer.
    pub fn accept_unseen(&mut self, act: &Act, table: &Table) -> Verdict {
        match (act, self.right_answer(act)) {
            (Act::Create { attempt, new, request }, Answer::Created) => {
                let label = Label::try_from(label(attempt, Side::A)).ok();
                let created = table.conversations.values().find(|found| found.participants[0].label == label);
                self.admit(created.ok_or("nothing was created")?, attempt, new, request.as_ref())?;
            }
            (Act::Update(id, change), Answer::Updated) => self.change(*id, change),
            (Act::End(id), Answer::Ended) => self.end(*id),
            (Act::Erase(id), Answer::Erased) => self.erase(*id),
            (Act::Drain(number), Answer::Draining) => self.drain(number),
            (_, right) => return Err(format!("it cannot have been carried out: {right:?}")),
        }
        Ok(())
    }

    /// What a request that came again has done: it may have sent texts that were still owed.
    fn take_texts(&mut self, given: &Conversation) {
        let talk = self.talks.get_mut(&given.id).expect("a request leads to a conversation that is there");
        for (participant, given) in talk.is.participants.iter_mut().zip(&given.participants) {
            participant.notification.clone_from(&given.notification);
        }
        talk.is.carrier_records.clone_from(&given.carrier_records);
    }

    /// But for its texts, whose fate is written while others look.
    fn is_as_given(&self, given: &Conversation) -> Verdict {
        let expected = &self.talks[&given.id].is;
        ensure(without_texts(given) == without_texts(expected), || format!("{given:?} is given for {expected:?}"))
    }

    fn right_answer(&self, act: &Act) -> Answer {
        match act {
            Act::Create { new, request, .. } => self.right_creation(new, request.as_ref()),
            Act::End(id) => match self.talks.get(id).filter(|talk| talk.is_kept(self.now)) {
                None => Answer::Unknown,
                Some(talk) if talk.is_live(self.now) || talk.is.ended_at.is_some() => Answer::Ended,
                Some(_) => Answer::Expired,
            },
            Act::Erase(id) if self.talks.get(id).is_some_and(|talk| talk.is_kept(self.now)) => Answer::Erased,
            Act::Erase(id) if self.erased.get(id).is_some_and(|until| self.now < *until) => Answer::Erased,
            Act::Erase(_) => Answer::Unknown,
            Act::Update(id, change) => self.right_change(*id, change),
            Act::Drain(number) => match self.numbers.get(number) {
                None => Answer::Unknown,
                Some(number) if number.state == NumberState::Renting => Answer::Busy,
                Some(number) if number.state == NumberState::Linking && self.now < number.leased_until => Answer::Busy,
                Some(_) => Answer::Draining,
            },
            Act::Rent(..) | Act::Upkeep => Answer::Provisioned,
        }
    }

    fn right_creation(&self, new: &NewConversation, request: Option<&IdempotentRequest>) -> Answer {
        if let Some(request) = request
            && let Some(asked) = self.requests.get(&request.key_hash).filter(|asked| self.now < asked.until)
        {
            let same = asked.fingerprint == request.fingerprint;
            return match same {
                true if self.talks.contains_key(&asked.conversation) => Answer::Earlier(asked.conversation),
                true => Answer::Gone,
                false => Answer::OtherRequest,
            };
        }
        let phones = phones(new);
        let on_side = |is: &dyn Fn(&RealNumber) -> bool| Side::BOTH.into_iter().find(|side| is(&phones[side.index()]));
        if let Some(side) = on_side(&|phone| phone.expose() == NOBODYS) {
            Answer::NotValid(side)
        } else if phones[0] == phones[1] {
            Answer::SameNumber
        } else if let Some(side) = on_side(&|phone| self.is_virtual(phone)) {
            Answer::VirtualNumber(side)
        } else if let Some(side) = on_side(&|phone| self.free_numbers(phone).is_empty()) {
            Answer::NoneFree(self.none_free(side, &phones[side.index()]))
        } else {
            Answer::Created
        }
    }

    pub fn is_virtual(&self, phone: &RealNumber) -> bool {
        let number: VirtualNumber = number(phone.expose());
        self.numbers.contains_key(&number) || self.gone.get(&number).is_some_and(|until| self.now < *until)
    }

    fn right_change(&self, id: ConversationId, change: &Change) -> Answer {
        let Some(talk) = self.talks.get(&id).filter(|talk| talk.is_kept(self.now)) else { return Answer::Unknown };
        if !talk.is_live(self.now) {
            return Answer::Over;
        }
        let phone = change.phone.as_ref().map(|phone| (phone.side, real_number(&phone.number)));
        if let Some((side, phone)) = &phone {
            if phone.expose() == NOBODYS {
                return Answer::NotValid(*side);
            }
            if self.is_virtual(phone) {
                return Answer::VirtualNumber(*side);
            }
        }
        let Some((side, phone)) = phone else { return Answer::Updated };
        if phone == talk.is.participants[side.other().index()].number {
            return Answer::SameNumber;
        }
        let key = self.keys.get(&(phone, talk.is.participants[side.index()].dials.clone()));
        match key.filter(|key| key.is_held(self.now) && (key.side.is_none() || key.history[0] != id)) {
            Some(key) => Answer::MaskTaken { side, free_at: Some(key.quarantined_until) },
            None => Answer::Updated,
        }
    }

    /// A new conversation: as it was ordered, and with numbers that may be given.
    fn admit(
        &mut self,
        given: &Conversation,
        attempt: &str,
        new: &NewConversation,
        request: Option<&IdempotentRequest>,
    ) -> Verdict {
        let phones = phones(new);
        let dials = given.participants.each_ref().map(|participant| participant.dials.clone());
        self.check_choice(&phones, &dials, new.notify)?;
        ensure(given.id.created_at() == self.now, || format!("{:?} is not of this moment", given.id))?;
        ensure(!self.talks.contains_key(&given.id), || format!("{:?} was there before", given.id))?;
        let participant = |side: Side| Participant {
            number: phones[side.index()].clone(),
            country: country_of(phones[side.index()].expose()),
            label: Label::try_from(label(attempt, side)).ok(),
            dials: dials[side.index()].clone(),
            notification: given.participants[side.index()].notification.clone(),
            former: Vec::new(),
        };
        let is = Conversation {
            id: given.id,
            reference: None,
            participants: Side::BOTH.map(participant),
            created_at: self.second(),
            expires_at: self.second() + new.lifetime.duration(),
            ended_at: None,
            quarantine_seconds: new.quarantine_seconds,
            limits: new.limits,
            revision: 0,
            carrier_records: given.carrier_records.clone(),
        };
        let talk = Talk { is, attempt: attempt.to_owned(), has_request: request.is_some() };
        for side in Side::BOTH {
            let name = (phones[side.index()].clone(), dials[side.index()].clone());
            let earlier = self.remembered(&name);
            self.give(name, &talk, side, earlier);
        }
        if let Some(request) = request {
            let (fingerprint, until) = (request.fingerprint.clone(), self.second() + DAY);
            self.requests.insert(request.key_hash.clone(), Asked { conversation: given.id, fingerprint, until });
        }
        self.talks.insert(given.id, talk);
        Ok(())
    }

    fn give(&mut self, name: KeyName, talk: &Talk, side: Side, earlier: Vec<ConversationId>) {
        let history = std::iter::once(talk.is.id).chain(earlier).take(REMEMBERED).collect();
        let (expires_at, quarantined_until) = (talk.is.expires_at, talk.quarantined_until());
        self.keys.insert(name, Key { side: Some(side), expires_at, quarantined_until, history });
    }

    /// The conversations that a key remembers.
    fn remembered(&self, name: &KeyName) -> Vec<ConversationId> {
        self.keys.get(name).map(|key| key.remembered().to_vec()).unwrap_or_default()
    }

    /// Quarantines a key from now on.
    fn close(&mut self, name: &KeyName, quarantine: SignedDuration) {
        let now = self.second();
        let key = self.keys.get_mut(name).expect("a live conversation holds its keys");
        (key.expires_at, key.quarantined_until) = (now, now + quarantine);
    }

    fn end(&mut self, id: ConversationId) {
        let now = self.second();
        let Some(talk) = self.talks.get_mut(&id).filter(|talk| talk.is_live(self.now)) else { return };
        talk.is.ended_at = Some(now);
        talk.is.revision += 1;
        let (names, quarantine) = (Side::BOTH.map(|side| key_name(&talk.is, side)), talk.quarantine());
        names.iter().for_each(|name| self.close(name, quarantine));
    }

    /// Leaves nothing of a conversation but its keys in quarantine.
    fn erase(&mut self, id: ConversationId) {
        if !self.talks.get(&id).is_some_and(|talk| talk.is_kept(self.now)) {
            return;
        }
        self.end(id);
        let Some(Talk { is, .. }) = self.talks.remove(&id) else { return };
        self.redactions.extend(is.carrier_records.iter().map(|record| record.id.clone()));
        let until = is.quarantined_until(is.ended_at.unwrap_or(is.expires_at)) + RECORDS_KEPT;
        self.erased.insert(id, until);
        let now = self.now;
        self.keys.retain(|_, key| key.side.is_none() || key.history[0] != id || key.is_held(now));
        for key in self.keys.values_mut().filter(|key| key.side.is_some()) {
            if key.history[0] == id {
                (key.side, key.history) = (None, vec![id]);
            } else {
                key.history.retain(|earlier| *earlier != id);
            }
        }
    }

    fn change(&mut self, id: ConversationId, change: &Change) {
        let mut talk = self.talks[&id].clone();
        talk.is.revision += 1;
        if let Some(lifetime) = change.lifetime {
            talk.is.expires_at = self.second() + lifetime.duration();
        }
        if let Some(phone) = &change.phone {
            let old_name = key_name(&talk.is, phone.side);
            let participant = &mut talk.is.participants[phone.side.index()];
            let new_number = real_number(&phone.number);
            if participant.number != new_number {
                participant.country = country_of(new_number.expose());
                participant.former.push(std::mem::replace(&mut participant.number, new_number));
                participant.notification = Notification::Off;
                self.close(&old_name, talk.quarantine());
            }
        }
        for side in Side::BOTH {
            let name = key_name(&talk.is, side);
            let mut earlier = self.remembered(&name);
            earlier.retain(|earlier| *earlier != id);
            self.give(name, &talk, side, earlier);
        }
        self.talks.insert(id, talk);
    }

    fn drain(&mut self, number: &VirtualNumber) {
        let now = self.second();
        if let Some(number) = self.numbers.get_mut(number).filter(|number| number.state != NumberState::Draining) {
            number.state = NumberState::Draining;
            number.draining_since = Some(now);
        }
    }
}

/// The phone that the participant on `side` has now, and the number that it dials.
pub fn key_name(conversation: &Conversation, side: Side) -> KeyName {
    let participant = &conversation.participants[side.index()];
    (participant.number.clone(), participant.dials.clone())
}

pub fn without_texts(conversation: &Conversation) -> Conversation {
    let mut conversation = conversation.clone();
    for participant in &mut conversation.participants {
        participant.notification = Notification::Off;
    }
    conversation.carrier_records.clear();
    conversation
}

fn phones(new: &NewConversation) -> [RealNumber; 2] {
    new.participants.each_ref().map(|participant| real_number(&participant.number))
}

/// A number as the steps write it: with a plus.
fn real_number(written: &str) -> RealNumber {
    number(written.trim_start_matches('+'))
}
