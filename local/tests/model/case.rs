//! One case: a scenario and a list of steps. The table is checked after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use shared::domain::conversation::ConversationId;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::route::{Destination, KeyOwner, destination};
use shared::domain::side::Side;

use crate::attempts::Hunt;
use crate::connection::Moment;
use crate::coverage::Coverage;
use crate::database::{JOURNAL, TABLE};
use crate::decisions::MetCall;
use crate::expectations::Execution;
use crate::hang_up::Unsettled;
use crate::legs::{CALLS, PlacedCall};
use crate::missed_calls::{Asked, RINGING};
use crate::model::{DAY, Model, RouteKey, Verdict, ensure};
use crate::owners::Costs;
use crate::peak_usage::PeakUsage;
use crate::pin_steps::TypedCall;
use crate::placing::PlaceOrder;
use crate::recordings::Made;
use crate::scenario::{Scenario, canonical};
use crate::sms_checks::SmsLedger;
use crate::steps::{Action, NewConversationSpec, PhoneRef, Step};
use crate::system::{Operation, System};
use crate::table::{Reader, Table};
use crate::texting::Ledger;

/// The pool does not grow beyond this size, so that random conversations share numbers.
pub const MOST_NUMBERS: usize = 9;

/// A running case.
pub struct Case {
    pub system: System,
    pub reader: Reader,
    /// The table after the last step.
    pub table: Table,
    pub model: Model,
    pub sms: SmsLedger,
    pub peak_usage: PeakUsage,
    /// All conversations in order of creation.
    pub ids: Vec<ConversationId>,
    /// Creations that had an idempotency key.
    pub idempotent: Vec<NewConversationSpec>,
    pub attempts: u32,
    /// The last calls that were connected, oldest first.
    pub calls: Vec<PlacedCall>,
    /// The last calls of any kind, with what they met, oldest first.
    pub met: Vec<MetCall>,
    /// The last calls whose callers were asked for a PIN, oldest first.
    pub typed: Vec<TypedCall>,
    /// The last request of each key to place a call.
    pub orders: BTreeMap<u8, PlaceOrder>,
    /// Number of calls that were connected, or asked for a PIN.
    pub placed: usize,
    /// Conversations whose calls may go on, because a process crashed.
    pub unsettled: Unsettled,
    /// The last recordings that Vonage has made, oldest first, and the number of all.
    pub made: Vec<Made>,
    pub recorded: usize,
    pub texts: Ledger,
    /// Legs that count for the health of a number, or ended without.
    pub ended: BTreeSet<String>,
    /// The costs of the tenant when they were last checked.
    pub costs: Costs,
    /// Number of events that were checked.
    pub events: usize,
    pub coverage: Coverage,
    pub trace: String,
}

/// A failed case.
pub struct Failure {
    /// Number of steps up to and including the failed one.
    pub steps: usize,
    /// All steps with their outcomes, and the violated rule.
    pub report: String,
}

impl Case {
    pub async fn run(scenario: &Scenario, steps: &[Step]) -> Result<Coverage, Failure> {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let system = System::start(scenario, start).await;
        let (mut reader, mut table) = (Reader::default(), Table::default());
        reader.update(&mut table, &system.database, start).await;
        let mut case = Self {
            model: Model::new(start, scenario, table.numbers.clone()),
            system,
            reader,
            table,
            sms: SmsLedger::default(),
            peak_usage: PeakUsage::default(),
            ids: Vec::new(),
            idempotent: Vec::new(),
            attempts: 0,
            calls: Vec::new(),
            met: Vec::new(),
            typed: Vec::new(),
            orders: BTreeMap::new(),
            placed: 0,
            unsettled: Unsettled::default(),
            made: Vec::new(),
            recorded: 0,
            texts: Ledger::default(),
            ended: BTreeSet::new(),
            costs: Costs::default(),
            events: 0,
            coverage: Coverage::default(),
            trace: format!("  {scenario:?}\n"),
        };
        // The same one each time that this case runs.
        let (mut snapshot, earlier) = (None, steps.len() * 7 / (8 + steps.len() % 13));
        for (index, step) in steps.iter().enumerate() {
            if index == earlier {
                snapshot = Some(case.snapshot().await);
            }
            let second = case.model.now.duration_since(start).as_secs_f64();
            let _ = write!(case.trace, "  {:3}. at {second} s: {step:?}", index + 1);
            let verdict = case.step(step).await;
            case.trace.push('\n');
            if let Err(problem) = verdict {
                return Err(Failure { steps: index + 1, report: format!("{}  {problem}", case.trace) });
            }
        }
        case.system.database.check();
        case.check_table().await;
        if let Some(snapshot) = snapshot
            && let Err(problem) = case.check_restored(snapshot).await
        {
            let restored = format!("  restored to the state before step {}, and repaired", earlier + 1);
            return Err(Failure { steps: steps.len(), report: format!("{}{restored}\n  {problem}", case.trace) });
        }
        Ok(case.coverage)
    }

    /// Fails if the table that was brought up to date after each step is not what its items say.
    async fn check_table(&mut self) {
        let database = &self.system.database;
        self.reader.update(&mut self.table, database, self.model.now).await;
        let items = [database.items(TABLE).await, database.items(JOURNAL).await];
        assert!(self.reader.has_all(items.iter().flatten()), "other items were read");
        assert!(self.reader.table() == self.table, "the table differs from its items");
    }

    pub async fn step(&mut self, step: &Step) -> Verdict {
        // A step that was skipped may have left some.
        self.system.voice.forget_fates();
        match step {
            Step::Wait(milliseconds) => self.wait("wait", SignedDuration::from_millis(*milliseconds)),
            Step::WaitForDays(days) => self.wait("wait for days", DAY * i32::try_from(*days).unwrap()),
            Step::WaitForBoundary { nth, just_before } => self.wait_for_boundary(*nth, *just_before),
            Step::Sweep { some } => self.sweep(*some).await,
            Step::Call { caller, number } => self.call(*caller, *number).await,
            Step::Do(action) => {
                let Some(operation) = self.operation(action) else { return self.skip() };
                let outcome = Some(self.system.process.perform(&operation).await);
                self.verify(vec![Execution { operation, outcome }]).await
            }
            Step::Concurrently(one, other) => self.concurrently(one, other).await,
            Step::Crash { action, nth, moment, concurrent } => {
                self.crash(action, *nth, *moment, concurrent.as_ref()).await
            }
            Step::Lose { number, crash } => {
                let heal = match *crash {
                    Some((nth, moment)) => Step::Crash { action: Action::Heal, nth, moment, concurrent: None },
                    None => Step::Do(Action::Heal),
                };
                self.all(&[Step::Do(Action::TakeAway(*number)), Step::Do(Action::Upkeep), heal]).await
            }
            Step::Rotate { number, crash } => {
                let heal = match *crash {
                    Some((nth, moment)) => Step::Crash { action: Action::Heal, nth, moment, concurrent: None },
                    None => Step::Do(Action::Heal),
                };
                self.all(&[Step::Do(Action::Rotate(*number)), heal]).await
            }
            Step::Age(crash) => {
                let retain = match *crash {
                    Some((nth, moment)) => Step::Crash { action: Action::Retain, nth, moment, concurrent: None },
                    None => Step::Do(Action::Retain),
                };
                self.all(&[Step::WaitForDays(31), retain]).await
            }
            Step::Ring { nth, side, all, crash } => self.ring(*nth, *side, all, *crash).await,
            Step::LoseProperty { nth, caller, agrees, crash } => {
                self.lose_property(*nth, *caller, *agrees, *crash).await
            }
            Step::Protect { nth, side, crash } => self.protect(*nth, *side, *crash).await,
            Step::CutOff { nth, side, is_known, crash } => self.cut_off(*nth, *side, *is_known, *crash).await,
            Step::Record { nth, side, agrees, late, crash } => self.record(*nth, *side, *agrees, *late, *crash).await,
            Step::Use { nth, side, crash } => self.use_sliding(*nth, *side, *crash).await,
            Step::Bill { nth, side, crash } => self.bill(*nth, *side, *crash).await,
            Step::Text(texting) => {
                Box::pin(self.text(*texting)).await?;
                self.check_texts_paid().await
            }
            Step::Chat(chatting) => {
                Box::pin(self.chat(*chatting)).await?;
                self.check_texts_paid().await
            }
            Step::TextDuring { nth, side, action } => {
                Box::pin(self.text_during(*nth, *side, action)).await?;
                self.check_texts_paid().await
            }
            Step::Hunt { nth, side, tries } => self.hunt(*nth, *side, tries).await,
            Step::Guess { pin, from, calls, crash } => self.guess(*pin, *from, *calls, *crash).await,
            Step::Find(number) => {
                let steps = [Action::GiveBack(*number), Action::Upkeep, Action::Heal];
                self.all(&steps.map(Step::Do)).await
            }
        }
    }

    async fn all(&mut self, steps: &[Step]) -> Verdict {
        for step in steps {
            Box::pin(self.step(step)).await?;
        }
        Ok(())
    }

    async fn concurrently(&mut self, one: &Action, other: &Action) -> Verdict {
        let (Some(one), Some(other)) = (self.operation(one), self.operation(other)) else { return self.skip() };
        self.coverage.count("two concurrent actions", "");
        let process = &self.system.process;
        let (first, second) = tokio::join!(process.perform(&one), process.perform(&other));
        let executions =
            [(one, first), (other, second)].map(|(operation, outcome)| Execution { operation, outcome: Some(outcome) });
        self.verify(executions.into()).await
    }

    async fn crash(&mut self, action: &Action, nth: u8, moment: Moment, concurrent: Option<&Action>) -> Verdict {
        let Some(operation) = self.operation(action) else { return self.skip() };
        // Others may come between its changes. The suite `race` has that.
        let is_many_changes = operation.is_many_changes() || matches!(operation, Operation::EraseNumber(_));
        let concurrent = concurrent.filter(|_| !is_many_changes);
        let concurrent = concurrent.and_then(|action| self.operation(action));
        let System { process, crashing_process, crashing_connection, .. } = &self.system;
        let cut_off = crashing_connection.run(crashing_process.perform(&operation), nth, moment);
        let (outcome, other) = tokio::join!(cut_off, async {
            match &concurrent {
                Some(operation) => Some(process.perform(operation).await),
                None => None,
            }
        });
        if outcome.is_some() {
            self.coverage.count("crash", "not reached");
        } else {
            let concurrent = if other.is_some() { ", with a concurrent action" } else { "" };
            self.coverage.count("crash", &format!("{moment:?} a request is carried out{concurrent}").to_lowercase());
            self.system.replace_crashed_process();
            self.system.process.settle_erasures().await;
        }
        let mut executions = vec![Execution { operation, outcome }];
        executions
            .extend(concurrent.zip(other).map(|(operation, outcome)| Execution { operation, outcome: Some(outcome) }));
        self.verify(executions).await
    }

    pub fn skip(&mut self) -> Verdict {
        self.coverage.count("skipped", "");
        self.trace.push_str(" (skipped: it applies to nothing)");
        Ok(())
    }

    pub fn wait(&mut self, name: &'static str, time: SignedDuration) -> Verdict {
        self.coverage.count(name, "");
        self.system.clock.advance(time);
        self.model.now = self.system.now();
        self.check()
    }

    fn wait_for_boundary(&mut self, nth: usize, just_before: bool) -> Verdict {
        let routes = self.model.routes.values().flat_map(|route| [route.expires_at, route.quarantined_until]);
        let mut boundaries: Vec<_> = routes.filter(|boundary| *boundary > self.model.now).collect();
        boundaries.sort_unstable();
        boundaries.dedup();
        let Some(boundary) = boundaries.get(nth % boundaries.len().max(1)) else { return self.skip() };
        let time = boundary.duration_since(self.model.now) - SignedDuration::from_millis(just_before.into());
        self.wait(if just_before { "wait until just before a boundary" } else { "wait until a boundary" }, time)
    }

    /// Brings the table up to date after texts, and checks what the tenant has paid for them.
    async fn check_texts_paid(&mut self) -> Verdict {
        self.reader.update(&mut self.table, &self.system.database, self.model.now).await;
        self.check_noted_costs()
    }

    async fn sweep(&mut self, some: u64) -> Verdict {
        let deleted = self.table.sweep(&self.system.database, self.model.now, some).await;
        self.reader.update(&mut self.table, &self.system.database, self.model.now).await;
        // What is deleted so late may be a note, or a sum.
        self.costs = self.table.costs;
        let what = if deleted.is_empty() { "nothing" } else { "something" };
        self.coverage.count("sweep", what);
        let _ = write!(self.trace, " => {} items", deleted.len());
        self.model.forget(&deleted)?;
        self.ids.retain(|id| self.model.conversations.contains_key(id) || self.model.erased.contains_key(id));
        self.check()
    }

    async fn call(&mut self, caller: PhoneRef, number: usize) -> Verdict {
        let Some(dialled) = self.virtual_number(number) else { return self.skip() };
        let name = if caller == PhoneRef::OtherSpelling { "call by the other spelling" } else { "call" };
        self.call_from(name, self.phone(caller), dialled).await
    }

    /// Somebody calls in a conversation, and Vonage asks what comes next.
    async fn ring(&mut self, nth: usize, side: Side, all: &[Asked], crash: Option<(u8, Moment)>) -> Verdict {
        let keys = self.model.handled(side);
        let Some((caller, dialled)) = keys.get(nth % keys.len().max(1)).cloned() else { return self.skip() };
        let placed = self.placed;
        self.call_from("call", caller, dialled).await?;
        if self.placed == placed {
            return Ok(());
        }
        self.wait("wait", RINGING)?;
        for asked in all {
            let action = Action::Next { call: 0, asked: *asked };
            let step = match crash {
                Some((nth, moment)) => Step::Crash { action, nth, moment, concurrent: None },
                None => Step::Do(action),
            };
            Box::pin(self.step(&step)).await?;
        }
        Ok(())
    }

    pub async fn call_from(&mut self, name: &'static str, spelled: RealNumber, dialled: VirtualNumber) -> Verdict {
        let key = (canonical(&spelled), dialled);
        let store = self.system.process.store();
        let found = store.caller_routes(&spelled, self.model.now).await.map_err(|error| error.to_string())?;
        self.model.check_caller_routes(&key.0, &found)?;
        self.check_seen(&spelled).await?;
        let right = self.model.destination(&key);
        let outcome = format!("{right:?}");
        self.coverage.count(name, outcome.split_once([' ', '(']).map_or(outcome.as_str(), |(kind, _)| kind));
        for (item, owner_read) in self.reader.possible_stale_reads(&key, self.model.now) {
            self.system.stale_reads.find(item);
            self.call_with_stale_read(&spelled, &key, owner_read, &right).await?;
        }
        self.check_explanations(&spelled, &key, &right).await?;
        if let Destination::Participant {
            conversation,
            connect_to,
            present_as,
            one_way,
            handling,
            caller: side,
            attempt,
            ..
        } = right
        {
            let (caller, callee) = ((spelled, key.1), (connect_to, present_as));
            let (id, at) = (self.placed, self.model.now);
            self.placed += 1;
            self.calls.drain(..(self.calls.len() + 1).saturating_sub(CALLS));
            let callee_side = side.other();
            let is_named = one_way || handling.needs_addresses() || attempt.is_some();
            let hunt = attempt.map(|attempt| Hunt::begin(attempt, &callee.0, at));
            let is_by_pin = false;
            self.calls.push(PlacedCall {
                id,
                conversation,
                at,
                caller,
                callee,
                callee_side,
                is_named,
                is_by_pin,
                hunt,
            });
            self.note_legs(&[]);
        }
        Ok(())
    }

    /// Checks a call whose eventually consistent read returns `owner_read`, which may be out of date. If that state still
    /// decides the call, the call stays within the same conversation, or one of the same two people. Otherwise the call goes to
    /// `right`. The event of
    /// the call belongs to the conversation that owns the route.
    async fn call_with_stale_read(
        &mut self,
        spelled: &RealNumber,
        key: &RouteKey,
        owner_read: Option<KeyOwner>,
        right: &Destination,
    ) -> Verdict {
        let (now, store) = (self.model.now, &self.system.stale_store);
        let decides = owner_read.as_ref().is_some_and(|owner_read| owner_read.decides(now));
        let expected = if decides { destination(owner_read, now) } else { right.clone() };
        let found = store.destination(spelled, &key.1, now).await.map_err(|error| error.to_string())?;
        let owner = self.model.routes.get(key).filter(|route| route.is_in_use(now)).and_then(|route| route.owner());
        let is_theirs = |id| owner == Some(id) || self.model.was_between(id, &key.0, right);
        if expected != *right {
            self.coverage.count("call on stale data", "connected");
            let reached =
                matches!(&expected, Destination::Participant { conversation, .. } if is_theirs(*conversation));
            ensure(reached, || {
                format!("a stale read of {key:?} leads to {expected:?}, but the route belongs to {owner:?}")
            })?;
        }
        ensure(found == expected, || format!("a call on {key:?} leads to {found:?}; expected {expected:?}"))?;
        let assigned = store.key_owner_at(spelled, &key.1, now).await.map_err(|error| error.to_string())?;
        let assigned = assigned.and_then(|owner_read| owner_read.conversation());
        ensure(assigned == owner, || format!("an event on {key:?} is assigned to {assigned:?}; expected {owner:?}"))
    }
}
