//! One case: a world, and steps in it, each of which is checked before the next one.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use shared::conversation::{Conversation, ConversationId, Label, Lifetime, Side};
use shared::creation::{Created, NewConversation, NewParticipant};
use shared::phone::{RealNumber, VirtualNumber};
use shared::pool::NumberState;
use shared::provisioning::Drained;
use shared::route::destination;
use shared::store::IdempotentRequest;
use shared::update::{Change, NewPhone};

use crate::answer::Answer;
use crate::carrier::{Fate, label};
use crate::checks::{self, HighWater};
use crate::model::{DAY, Model, Verdict, ensure};
use crate::steps::{Deed, Order, Step, Which, Who};
use crate::system::{Act, Outcome, System};
use crate::table::{Reader, Table};
use crate::tally::Tally;
use crate::telling::Told;
use crate::world::{Kind, NOBODYS, World, number, person};

/// More numbers than these are not rented: a small world stays small.
const MOST_NUMBERS: usize = 7;

/// A case that runs.
pub struct Case {
    system: System,
    reader: Reader,
    model: Model,
    told: Told,
    high_water: HighWater,
    /// All conversations, in the order in which they were created.
    ids: Vec<ConversationId>,
    /// Orders that came with an idempotency key.
    with_key: Vec<Order>,
    attempts: u32,
    tally: Tally,
    trace: String,
}

/// An act and what came of it: nothing that is known, if it was cut off.
pub struct Done {
    pub act: Act,
    pub outcome: Option<Outcome>,
    pub acknowledged: bool,
}

/// Where a case failed, and why.
pub struct Failure {
    /// How many steps were taken.
    pub steps: usize,
    /// All steps so far with their outcomes, and what is wrong.
    pub report: String,
}

impl Done {
    pub fn answer(&self) -> Option<Answer> {
        self.outcome.as_ref().map(Answer::of)
    }
}

impl Case {
    pub async fn run(world: &World, steps: &[Step]) -> Result<Tally, Failure> {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let system = System::start(world, start).await;
        let mut reader = Reader::default();
        let numbers = reader.read(&system.database).numbers;
        let mut case = Self {
            model: Model::new(start, world.fallback.clone(), numbers),
            system,
            reader,
            told: Told::default(),
            high_water: HighWater::default(),
            ids: Vec::new(),
            with_key: Vec::new(),
            attempts: 0,
            tally: Tally::default(),
            trace: format!("  {world:?}\n"),
        };
        for (index, step) in steps.iter().enumerate() {
            let second = case.model.now.duration_since(start).as_secs_f64();
            let _ = write!(case.trace, "  {:3}. at {second} s: {step:?}", index + 1);
            let verdict = case.step(step).await;
            case.trace.push('\n');
            if let Err(problem) = verdict {
                return Err(Failure { steps: index + 1, report: format!("{}  {problem}", case.trace) });
            }
        }
        Ok(case.tally)
    }

    async fn step(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Wait(milliseconds) => self.wait("wait", SignedDuration::from_millis(*milliseconds)),
            Step::WaitForDays(days) => self.wait("wait for days", DAY * i32::try_from(*days).unwrap()),
            Step::WaitForBoundary { nth, just_before } => self.wait_for_boundary(*nth, *just_before),
            Step::Sweep { some } => self.sweep(*some),
            Step::Call { caller, number } => self.call(*caller, *number).await,
            Step::Do(Deed::AddNumber(Kind::Je)) => self.add_by_hand().await,
            Step::Do(deed) => {
                let Some(act) = self.act(deed) else { return self.skip() };
                let outcome = self.system.process.perform(&act).await;
                self.settle(vec![Done { act, outcome: Some(outcome), acknowledged: true }], true).await
            }
            Step::Together(one, other) => self.together(one, other).await,
            Step::Crash { deed, nth, moment } => {
                let Some(act) = self.act(deed) else { return self.skip() };
                let outcome = self.system.cutter.run(self.system.mortal.perform(&act), *nth, *moment).await;
                let acknowledged = outcome.is_some();
                if acknowledged {
                    self.tally.count("crash", "came too late");
                } else {
                    self.tally.count("crash", &format!("cut {moment:?}").to_lowercase());
                    self.system.bury();
                }
                self.settle(vec![Done { act, outcome, acknowledged }], acknowledged).await
            }
        }
    }

    async fn together(&mut self, one: &Deed, other: &Deed) -> Verdict {
        let (Some(one), Some(other)) = (self.act(one), self.act(other)) else {
            return self.skip();
        };
        self.tally.count("two at once", "");
        let process = &self.system.process;
        let (first, second) = tokio::join!(process.perform(&one), process.perform(&other));
        let done = |act, outcome| Done { act, outcome: Some(outcome), acknowledged: true };
        self.settle(vec![done(one, first), done(other, second)], false).await
    }

    fn skip(&mut self) -> Verdict {
        self.tally.count("skipped", "");
        self.trace.push_str(" (there is nothing to do it with)");
        Ok(())
    }

    fn wait(&mut self, name: &'static str, time: SignedDuration) -> Verdict {
        self.tally.count(name, "");
        self.system.clock.advance(time);
        self.model.now = self.system.now();
        self.check()
    }

    fn wait_for_boundary(&mut self, nth: usize, just_before: bool) -> Verdict {
        let keys = self.model.keys.values().flat_map(|key| [key.expires_at, key.quarantined_until]);
        let mut boundaries: Vec<_> = keys.filter(|boundary| *boundary > self.model.now).collect();
        boundaries.sort_unstable();
        boundaries.dedup();
        let Some(boundary) = boundaries.get(nth % boundaries.len().max(1)) else { return self.skip() };
        let time = boundary.duration_since(self.model.now) - SignedDuration::from_millis(just_before.into());
        self.wait(if just_before { "wait until just before" } else { "wait until a boundary" }, time)
    }

    fn sweep(&mut self, some: u64) -> Verdict {
        let deleted = self.reader.read(&self.system.database).sweep(&self.system.database, self.model.now, some);
        let what = if deleted.is_empty() { "nothing" } else { "something" };
        self.tally.count("sweep", what);
        let _ = write!(self.trace, " => {} items", deleted.len());
        self.model.forget(&deleted)?;
        self.ids.retain(|id| self.model.talks.contains_key(id));
        self.check()
    }

    async fn call(&mut self, caller: Who, number: usize) -> Verdict {
        let Some(dialled) = self.virtual_number(number) else { return self.skip() };
        let key = (self.phone(caller), dialled);
        let store = self.system.process.store();
        let route = store.route(&key.0, &key.1).await.map_err(|error| error.to_string())?;
        let keys = store.caller_keys(&key.0, self.model.now).await.map_err(|error| error.to_string())?;
        self.model.check_keys(&key.0, &keys)?;
        let (found, right) = (destination(route, self.model.now), self.model.destination(&key));
        let outcome = format!("{right:?}");
        self.tally.count("call", outcome.split_once([' ', '(']).map_or(outcome.as_str(), |(kind, _)| kind));
        ensure(found == right, || format!("{key:?} leads to {found:?}, and {right:?} would be right"))
    }

    async fn add_by_hand(&mut self) -> Verdict {
        if self.model.numbers.len() >= MOST_NUMBERS {
            return self.skip();
        }
        self.tally.count("add a number", "by hand");
        self.system.add_by_hand().await;
        let numbers = self.reader.read(&self.system.database).numbers;
        let old = numbers.iter().filter(|(number, _)| self.model.numbers.contains_key(*number));
        ensure(old.eq(&self.model.numbers), || "another number has changed".to_owned())?;
        self.model.numbers = numbers;
        self.check()
    }

    /// Judges what was done at the same time. `exactly`: it was one thing, and nothing cut it off.
    async fn settle(&mut self, mut done: Vec<Done>, exactly: bool) -> Verdict {
        let (table, before) = (self.reader.read(&self.system.database), self.model.clone());
        for done in &mut done {
            match &done.outcome {
                Some(outcome) => {
                    let _ = write!(self.trace, "\n         => {outcome}");
                }
                None => done.outcome = self.left_behind(&done.act, &table),
            }
            self.count(done);
            if let Act::Rent(..) | Act::Upkeep = done.act {
                let rented = self.system.rented().await;
                self.model.accept_pool(&done.act, done.acknowledged, &table, &rented)?;
            }
        }
        self.accept(&done)?;
        if done.iter().any(|done| matches!(done.act, Act::Drain(_) | Act::Rent(..) | Act::Upkeep)) {
            self.check_pool_as_read().await?;
        }
        let sent = self.system.texts.take_sent();
        sent.iter().for_each(|text| self.tally.count("text", &format!("{:?}", text.fate).to_lowercase()));
        self.told.check(&before, &self.model, &done, &sent, exactly)?;
        self.model.accept_texts(&table, exactly)?;
        for done in &done {
            if let (Some(Answer::Created), Some(given)) =
                (done.answer(), done.outcome.as_ref().and_then(Outcome::conversation))
            {
                self.ids.push(given.id);
                if done.acknowledged {
                    self.high_water.note(&before, &self.model.talks[&given.id]);
                }
            }
            if let Some(given) = done.outcome.as_ref().and_then(Outcome::conversation).filter(|_| exactly) {
                let found = table.conversations.get(&given.id);
                ensure(found == Some(given), || format!("{given:?} is given, and the table has {found:?}"))?;
            }
        }
        self.check_table(&table)
    }

    /// The list of ready numbers and the high-water marks, as the product reads them.
    async fn check_pool_as_read(&self) -> Verdict {
        let store = self.system.process.store();
        let ready = store.ready_pool().await.map_err(|error| error.to_string())?;
        let marks = store.high_water(self.model.now).await.map_err(|error| error.to_string())?;
        self.model.check_ready(&ready)?;
        self.high_water.check_as_read(self.model.now, &marks)
    }

    /// What was done at the same time has to be right in one order or the other.
    fn accept(&mut self, done: &[Done]) -> Verdict {
        let in_order = |model: &Model, order: &mut dyn Iterator<Item = &Done>| {
            let mut model = model.clone();
            for done in order {
                if let Some(outcome) = &done.outcome {
                    model.accept(&done.act, outcome)?;
                }
            }
            Ok::<_, String>(model)
        };
        let forwards = in_order(&self.model, &mut done.iter());
        self.model = match forwards {
            Err(problem) if done.len() > 1 => in_order(&self.model, &mut done.iter().rev())
                .map_err(|other| format!("in this order: {problem}\n  and in the other one: {other}"))?,
            model => model?,
        };
        Ok(())
    }

    fn count(&mut self, done: &Done) {
        let kind = match &done.act {
            Act::Create { .. } => "create",
            Act::End(_) => "end",
            Act::Update(..) => "update",
            Act::Drain(_) => "drain",
            Act::Rent(..) => "add a number",
            Act::Upkeep => "upkeep",
        };
        match (done.answer(), done.acknowledged) {
            (Some(answer), true) => self.tally.count(kind, answer.label()),
            (Some(answer), false) => self.tally.count(kind, &format!("cut off: {}", answer.label())),
            (None, _) => self.tally.count(kind, "cut off: nothing done"),
        }
    }

    /// What a process that was cut off has done, as the table shows it; none if it has done nothing, or nothing that is
    /// not judged anyway.
    fn left_behind(&self, act: &Act, table: &Table) -> Option<Outcome> {
        let found = |id: &ConversationId| table.conversations.get(id).cloned();
        let changed = |id: &ConversationId| -> Option<Conversation> {
            found(id).filter(|found| self.model.talks.get(id).is_some_and(|talk| talk.is.revision != found.revision))
        };
        match act {
            Act::Create { .. } => {
                let id = table.conversations.keys().find(|id| !self.model.talks.contains_key(id))?;
                found(id).map(|conversation| Outcome::Create(Ok(Created { conversation, before: false })))
            }
            Act::End(id) => changed(id).map(|conversation| Outcome::End(Ok(Some(conversation)))),
            Act::Update(id, _) => changed(id).map(|conversation| Outcome::Update(Ok(conversation))),
            Act::Drain(number) => {
                let (before, now) = (self.model.numbers.get(number)?, table.numbers.get(number)?);
                let drains = before.state != NumberState::Draining && now.state == NumberState::Draining;
                drains.then(|| Outcome::Drain(Ok(Drained::Draining(now.clone()))))
            }
            Act::Rent(..) | Act::Upkeep => None,
        }
    }

    fn check(&mut self) -> Verdict {
        let table = self.reader.read(&self.system.database);
        self.check_table(&table)
    }

    fn check_table(&mut self, table: &Table) -> Verdict {
        checks::check(&self.model, table)?;
        self.told.check_claims(&self.model, table)?;
        self.high_water.check(&self.model, table)
    }

    /// What a deed is at this moment; none if there is nothing that it can be about.
    fn act(&mut self, deed: &Deed) -> Option<Act> {
        self.system.texts.expect(&[]);
        match deed {
            Deed::Create(order, fates) => {
                self.with_key.extend(order.key.map(|_| order.clone()));
                Some(self.creation(order, fates))
            }
            Deed::CreateAgain { nth, otherwise } => {
                let mut order = self.with_key.iter().rev().nth(nth % self.with_key.len().max(1))?.clone();
                order.notify ^= otherwise;
                Some(self.creation(&order, &[]))
            }
            Deed::End(which) => Some(Act::End(self.id(*which))),
            Deed::Update { which, phone, lifetime } => {
                let phone = phone.map(|(side, who)| NewPhone { side, number: self.written(who), country: None });
                let lifetime = lifetime.map(|seconds| Lifetime::try_from(seconds).unwrap());
                Some(Act::Update(self.id(*which), Change { lifetime, phone }))
            }
            Deed::Drain(nth) => self.virtual_number(*nth).map(Act::Drain),
            Deed::AddNumber(kind) => {
                let counts = |number: &&shared::pool::PoolNumber| {
                    number.country == kind.country() && number.state != NumberState::Draining
                };
                let count = self.model.numbers.values().filter(counts).count();
                // Vonage has none of Jersey.
                let possible = *kind != Kind::Je && self.model.numbers.len() < MOST_NUMBERS;
                possible.then_some(Act::Rent(*kind, count + 1))
            }
            Deed::Upkeep => Some(Act::Upkeep),
        }
    }

    fn creation(&mut self, order: &Order, fates: &[Fate]) -> Act {
        self.system.texts.expect(fates);
        self.attempts += 1;
        let attempt = self.attempts.to_string();
        let participant = |side: Side| NewParticipant {
            number: self.written(order.people[side.index()]),
            country: None,
            label: Label::try_from(label(&attempt, side)).ok(),
        };
        let new = NewConversation {
            participants: Side::BOTH.map(participant),
            lifetime: Lifetime::try_from(order.lifetime).unwrap(),
            quarantine_seconds: order.quarantine,
            notify: order.notify,
            reference: None,
        };
        let request = order
            .key
            .map(|key| IdempotentRequest { key_hash: format!("key-{key}"), fingerprint: format!("{order:?}") });
        Act::Create { attempt, new, request }
    }

    fn id(&self, which: Which) -> ConversationId {
        let known = match which {
            Which::Last(nth) => self.ids.iter().rev().nth(nth % self.ids.len().max(1)),
            Which::Unknown => None,
        };
        known.copied().unwrap_or_else(|| ConversationId::generate(self.model.now))
    }

    fn phone(&self, who: Who) -> RealNumber {
        match who {
            Who::Person(index) => person(index),
            Who::Nobody => number(NOBODYS),
            Who::Virtual(nth) => number(self.virtual_number(nth).as_ref().map_or(NOBODYS, VirtualNumber::as_str)),
        }
    }

    fn written(&self, who: Who) -> String {
        format!("+{}", self.phone(who).expose())
    }

    /// A number that is or was in the pool.
    fn virtual_number(&self, nth: usize) -> Option<VirtualNumber> {
        let all: Vec<_> = self.model.numbers.keys().chain(self.model.gone.keys()).collect();
        all.get(nth % all.len().max(1)).map(|number| (*number).clone())
    }
}
