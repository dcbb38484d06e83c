//! One case: a world, and steps in it, each of which is checked before the next one.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use shared::domain::conversation::ConversationId;
use shared::domain::route::{Destination, KeyOwner, destination};

use crate::checks::PeakUsage;
use crate::cutting::Moment;
use crate::judging::Done;
use crate::model::{DAY, KeyName, Model, Verdict, ensure};
use crate::steps::{Deed, Order, Step, Who};
use crate::system::System;
use crate::table::{Reader, Table};
use crate::tally::Tally;
use crate::telling::Told;
use crate::world::{Kind, World};

/// More numbers than these are not rented: a small world stays small.
pub const MOST_NUMBERS: usize = 7;

/// A case that runs.
pub struct Case {
    pub system: System,
    pub reader: Reader,
    /// The table as it was read last.
    pub table: Table,
    pub model: Model,
    pub told: Told,
    pub peak_usage: PeakUsage,
    /// All conversations, in the order in which they were created.
    pub ids: Vec<ConversationId>,
    /// Orders that came with an idempotency key.
    pub with_key: Vec<Order>,
    pub attempts: u32,
    pub tally: Tally,
    pub trace: String,
}

/// Where a case failed, and why.
pub struct Failure {
    /// How many steps were taken.
    pub steps: usize,
    /// All steps so far with their outcomes, and what is wrong.
    pub report: String,
}

impl Case {
    pub async fn run(world: &World, steps: &[Step]) -> Result<Tally, Failure> {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let system = System::start(world, start).await;
        let mut reader = Reader::default();
        let table = reader.read(&system.database, start);
        let mut case = Self {
            model: Model::new(start, world.fallback.clone(), table.numbers.clone()),
            system,
            reader,
            table,
            told: Told::default(),
            peak_usage: PeakUsage::default(),
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
                let outcome = Some(self.system.process.perform(&act).await);
                self.settle(vec![Done { act, outcome }]).await
            }
            Step::Together(one, other) => self.together(one, other).await,
            Step::Crash { deed, nth, moment, beside } => self.crash(deed, *nth, *moment, beside.as_ref()).await,
        }
    }

    async fn together(&mut self, one: &Deed, other: &Deed) -> Verdict {
        let (Some(one), Some(other)) = (self.act(one), self.act(other)) else { return self.skip() };
        self.tally.count("two at once", "");
        let process = &self.system.process;
        let (first, second) = tokio::join!(process.perform(&one), process.perform(&other));
        let done = [(one, first), (other, second)].map(|(act, outcome)| Done { act, outcome: Some(outcome) });
        self.settle(done.into()).await
    }

    async fn crash(&mut self, deed: &Deed, nth: u8, moment: Moment, beside: Option<&Deed>) -> Verdict {
        let Some(act) = self.act(deed) else { return self.skip() };
        let beside = beside.and_then(|deed| self.act(deed));
        let System { process, mortal, cutter, .. } = &self.system;
        let cut_off = cutter.run(mortal.perform(&act), nth, moment);
        let (outcome, other) = tokio::join!(cut_off, async {
            match &beside {
                Some(act) => Some(process.perform(act).await),
                None => None,
            }
        });
        if outcome.is_some() {
            self.tally.count("crash", "came too late");
        } else {
            let beside = if other.is_some() { ", beside another one" } else { "" };
            self.tally.count("crash", &format!("{moment:?} a request was carried out{beside}").to_lowercase());
            self.system.bury().await;
            self.system.process.settle_erasures().await;
        }
        let mut done = vec![Done { act, outcome }];
        done.extend(beside.zip(other).map(|(act, outcome)| Done { act, outcome: Some(outcome) }));
        self.settle(done).await
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
        let deleted = self.table.sweep(&self.system.database, self.model.now, some);
        self.table = self.reader.read(&self.system.database, self.model.now);
        let what = if deleted.is_empty() { "nothing" } else { "something" };
        self.tally.count("sweep", what);
        let _ = write!(self.trace, " => {} items", deleted.len());
        self.model.forget(&deleted)?;
        self.ids.retain(|id| self.model.talks.contains_key(id) || self.model.erased.contains_key(id));
        self.check()
    }

    async fn call(&mut self, caller: Who, number: usize) -> Verdict {
        let Some(dialled) = self.virtual_number(number) else { return self.skip() };
        let key = (self.phone(caller), dialled);
        let store = self.system.process.store();
        let keys = store.caller_routes(&key.0, self.model.now).await.map_err(|error| error.to_string())?;
        self.model.check_keys(&key.0, &keys)?;
        let right = self.model.destination(&key);
        let outcome = format!("{right:?}");
        self.tally.count("call", outcome.split_once([' ', '(']).map_or(outcome.as_str(), |(kind, _)| kind));
        for (item, holder) in self.reader.may_be_found(&key, self.model.now) {
            self.system.stale_reads.find(item);
            self.call_finding(&key, holder, &right).await?;
        }
        Ok(())
    }

    /// A call whose first look finds `holder`, which may be out of date. If that would connect it, it is connected within
    /// the same conversation; else it goes where is `right`. And its event is the conversation's whose the key is.
    async fn call_finding(&mut self, key: &KeyName, holder: Option<KeyOwner>, right: &Destination) -> Verdict {
        let (now, store) = (self.model.now, &self.system.stale_store);
        let connects = holder.as_ref().is_some_and(|holder| holder.connects(now));
        let expected = if connects { destination(holder, now) } else { right.clone() };
        let found = store.destination(&key.0, &key.1, now).await.map_err(|error| error.to_string())?;
        let owner = self.model.keys.get(key).filter(|key| key.is_held(now)).map(|key| key.history[0]);
        if expected != *right {
            self.tally.count("call out of date", "connected");
            let reached =
                matches!(expected, Destination::Participant { conversation, .. } if owner == Some(conversation));
            ensure(reached, || format!("{key:?} may lead to {expected:?}, and is {owner:?}'s"))?;
        }
        ensure(found == expected, || format!("{key:?} leads to {found:?}, and {expected:?} would be right"))?;
        let held = store.holder_at(&key.0, &key.1, now).await.map_err(|error| error.to_string())?;
        let held = held.map(|holder| holder.conversation());
        ensure(held == owner, || format!("{key:?} is {held:?}'s, and {owner:?}'s would be right"))
    }

    async fn add_by_hand(&mut self) -> Verdict {
        if self.model.numbers.len() >= MOST_NUMBERS {
            return self.skip();
        }
        self.tally.count("add a number", "by hand");
        self.system.add_by_hand().await;
        self.table = self.reader.read(&self.system.database, self.model.now);
        let old = self.table.numbers.iter().filter(|(number, _)| self.model.numbers.contains_key(*number));
        ensure(old.eq(&self.model.numbers), || "another number has changed".to_owned())?;
        self.model.numbers.clone_from(&self.table.numbers);
        self.check()
    }
}
