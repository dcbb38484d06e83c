//! Compares the outcome of a step with the model and moves the model on.

use std::collections::BTreeSet;
use std::fmt::Write;

use shared::domain::call::Direction;
use shared::domain::conversation::ConversationId;
use shared::domain::phone::VirtualNumber;
use shared::service::update::Change;

use crate::answer::Answer;
use crate::case::Case;
use crate::checks;
use crate::healing;
use crate::late::{self, LateKey};
use crate::legs::CallEvent;
use crate::missed_calls::{self, CallStep};
use crate::model::{Model, ModelConversation, RouteKey, Verdict, ensure};
use crate::on_write::OnWrite;
use crate::phones::dialling_keys;
use crate::pins::PinTry;
use crate::placing::PlaceOrder;
use crate::recordings;
use crate::safety::KeyPress;
use crate::scenario::owner;
use crate::system::{Operation, Outcome};
use crate::table::Table;
use crate::voice::DialledCall;

/// An operation and its outcome. The outcome is `None` if the process crashed.
pub struct Execution {
    pub operation: Operation,
    pub outcome: Option<Outcome>,
}

impl Execution {
    pub fn answer(&self) -> Option<Answer> {
        self.outcome.as_ref().map(Answer::of)
    }
}

/// The state after a step.
struct Observed<'a> {
    table: &'a Table,
    /// The numbers that the Vonage account rents. Empty if no operation of the step provisions numbers.
    rented: &'a BTreeSet<String>,
    /// True if only one operation ran and no process crashed.
    undisturbed: bool,
    /// True if an operation of the step may hold a number for somebody who only receives.
    may_hold: bool,
    /// The events of calls that arrived.
    events: &'a [&'a CallEvent],
    /// The steps of calls for which Vonage asked.
    steps: &'a [&'a CallStep],
    /// The PINs that were typed.
    tries: &'a [&'a PinTry],
    /// The keys that were pressed in calls.
    presses: &'a [&'a KeyPress],
    /// All operations, and the outcome if there was only one.
    operations: &'a [&'a Operation],
    outcome: Option<&'a Outcome>,
    /// The requests to place calls, and all calls that Vonage has placed by now.
    orders: &'a [&'a PlaceOrder],
    calls: &'a [DialledCall],
    /// True if no process crashed.
    answered: bool,
}

/// Writes of a step that came before its operations, because another operation ran in between.
#[derive(Debug, Clone)]
struct Beginning {
    /// The holds of the step are there already.
    holds_first: bool,
    begun: Option<BegunEnd>,
}

/// A conversation that is being ended or erased.
#[derive(Debug, Clone)]
pub struct BegunEnd {
    pub conversation: ConversationId,
    /// The routes that are closed.
    pub closed: Vec<RouteKey>,
    /// Number of routes that are tombstones already.
    pub replaced: usize,
}

/// A sequence of events that explains the state after a step.
struct Explanation {
    model: Model,
    /// For each operation, true if its process crashed but the operation was carried out.
    carried_out: Vec<bool>,
}

impl Case {
    /// Checks operations that ran at the same time.
    pub async fn verify(&mut self, executions: Vec<Execution>) -> Verdict {
        let mut table = std::mem::take(&mut self.table);
        let mut counted_before = table.health;
        self.reader.update(&mut table, &self.system.database, self.model.now).await;
        let undisturbed = executions.len() == 1 && executions[0].outcome.is_some();
        for outcome in executions.iter().filter_map(|execution| execution.outcome.as_ref()) {
            let _ = write!(self.trace, "\n         => {outcome}");
        }
        let provisioning = executions.iter().any(|execution| execution.operation.provisions());
        let rented = if provisioning { self.system.rented().await } else { BTreeSet::new() };
        let may_hold = executions.iter().any(|execution| match &execution.operation {
            Operation::Create { new, .. } => new.direction.receiver().is_some(),
            operation => matches!(operation, Operation::Update(..) | Operation::Heal | Operation::Event(_)),
        });
        let events: Vec<&CallEvent> = executions.iter().filter_map(|execution| execution.operation.event()).collect();
        let events_of_legs: Vec<CallEvent> = events.iter().map(|event| (*event).clone()).collect();
        let steps: Vec<&CallStep> = executions.iter().filter_map(|execution| execution.operation.step()).collect();
        let tries: Vec<&PinTry> = executions.iter().filter_map(|execution| execution.operation.pin()).collect();
        let presses: Vec<&KeyPress> = executions.iter().filter_map(|execution| execution.operation.press()).collect();
        let presses = &*presses;
        let operations: Vec<&Operation> = executions.iter().map(|execution| &execution.operation).collect();
        let answered = executions.iter().all(|execution| execution.outcome.is_some());
        let orders: Vec<&PlaceOrder> = executions.iter().filter_map(|execution| execution.operation.order()).collect();
        let (events, steps, tries, orders) = (&*events, &*steps, &*tries, &*orders);
        let calls = &self.system.voice.calls();
        let observed = Observed {
            table: &table,
            rented: &rented,
            undisturbed,
            may_hold,
            events,
            steps,
            tries,
            presses,
            operations: &operations,
            outcome: if undisturbed { executions[0].outcome.as_ref() } else { None },
            orders,
            calls,
            answered,
        };
        let explanation = self.explain(&executions, &observed)?;
        let before = std::mem::replace(&mut self.model, explanation.model);
        self.count(&executions, &explanation.carried_out, &before);
        self.check_ended(&before, &executions)?;
        let sent = self.system.texts.take_sent();
        sent.iter().for_each(|text| self.coverage.count("text", &format!("{:?}", text.outcome).to_lowercase()));
        let keys: Vec<&LateKey> = executions.iter().filter_map(|execution| execution.operation.late()).collect();
        let sent = late::check_texts([&before, &self.model], &keys, sent, undisturbed)?;
        let sent = recordings::check_texts([&before, &self.model], &table, sent, undisturbed)?;
        self.check_files(&table)?;
        self.count_recordings(&before);
        let sent = missed_calls::check_texts([&before, &self.model], steps, sent, undisturbed)?;
        self.sms.check(&before, &self.model, &executions, &sent, undisturbed)?;
        let events = self.system.bus.events();
        healing::check_events(&before, &self.model, &events[self.events..], undisturbed)?;
        self.events = events.len();
        if undisturbed && let Some(given) = executions[0].outcome.as_ref().and_then(Outcome::conversation) {
            let found = table.conversations.get(&given.id);
            ensure(found == Some(given), || format!("the answer is {given:?}, but the table has {found:?}"))?;
        }
        if executions.iter().any(|execution| {
            matches!(execution.operation, Operation::Drain(_) | Operation::Rotate(_) | Operation::Move(..))
                || execution.operation.provisions()
        }) {
            self.check_pool_as_read().await?;
        }
        self.count_moved(&before);
        if has_moved(&before, &self.model) {
            // What is known of the calls of a number is forgotten when it moves.
            counted_before = table.health;
        }
        self.check_health(&events_of_legs, counted_before, &table)?;
        self.check_costs(&events_of_legs, &before, &table)?;
        self.record_created(&before, &executions, &table);
        self.note_attempts(&executions);
        self.note_typed(&executions);
        self.note_agreed(&executions);
        self.note_legs(&executions);
        self.note_made(&executions);
        self.sms.check_unsent(&self.model, &table)?;
        self.peak_usage.check(&self.model, &table)?;
        self.table = table;
        Ok(())
    }

    /// Checks that each leg to a called phone counts once for the health of a number.
    fn check_health(&mut self, events: &[CallEvent], counted_before: u64, table: &Table) -> Verdict {
        let ends = |event: &&CallEvent| event.status.ends() && event.direction == Direction::Outbound;
        let ends: BTreeSet<String> = events.iter().filter(ends).map(|event| event.event().uuid).collect();
        let new: BTreeSet<String> = ends.difference(&self.ended).cloned().collect();
        let counted = table.health.saturating_sub(counted_before);
        ensure(table.health >= counted_before && counted <= new.len() as u64, || {
            format!("{counted} calls were counted for the health of numbers, but only {new:?} ended")
        })?;
        if counted > 0 {
            self.coverage.count("health", "counted");
        }
        let has_ended = |uuid: &String| {
            let mut legs = table.legs.iter().filter(|((_, leg), _)| leg == uuid);
            legs.any(|(_, leg)| leg.statuses.iter().any(|status| status.ends()))
        };
        let all_counted = counted == new.len() as u64;
        self.ended.extend(new.into_iter().filter(|uuid| all_counted || has_ended(uuid)));
        Ok(())
    }

    /// Finds a sequence that explains the answers and the table. Concurrent operations ran in one order or the other.
    /// An operation whose process crashed was carried out as a whole or not at all.
    fn explain(&self, executions: &[Execution], observed: &Observed<'_>) -> Result<Explanation, String> {
        let mut problems = String::new();
        let begun = begun_ends(&self.model, executions);
        let orders = if executions.len() == 1 { vec![vec![0]] } else { vec![vec![0, 1], vec![1, 0]] };
        for order in orders {
            for carried_out in [[false; 2], [true, false], [false, true], [true; 2]] {
                let carried_out = carried_out[..executions.len()].to_vec();
                let is_sensible =
                    executions.iter().zip(&carried_out).all(|(execution, yes)| execution.outcome.is_none() || !yes);
                if !is_sensible || carried_out.len() < executions.len() {
                    continue;
                }
                // A hold is written before the conversation, and another operation may run in between. So the holds of a
                // step may be there before its operations, unless there was only one that answered.
                let holds_first = if observed.undisturbed { &[false][..] } else { &[false, true] };
                for (holds_first, begun) in
                    holds_first.iter().flat_map(|first| begun.iter().map(move |begun| (*first, begun.clone())))
                {
                    let in_order = order.iter().map(|index| (&executions[*index], carried_out[*index]));
                    let beginning = Beginning { holds_first, begun };
                    match apply_all(&self.model, in_order, observed, &beginning) {
                        Ok(model) => return Ok(Explanation { model, carried_out }),
                        Err(problem) => {
                            let _ = write!(
                                problems,
                                "\n  in the order {order:?}, with crashed operations carried out {carried_out:?}, after {beginning:?}: {problem}"
                            );
                        }
                    }
                }
            }
        }
        Err(problems)
    }

    fn count(&mut self, executions: &[Execution], carried_out: &[bool], before: &Model) {
        for id in before.conversations.keys().filter(|id| self.model.conversations.contains_key(id)) {
            let healed = |model: &Model| {
                let participants = model.conversations[id].expected.participants.iter();
                participants.map(|participant| participant.previously_seen.len()).sum::<usize>()
            };
            match healed(&self.model) - healed(before) {
                0 => {}
                1 => self.coverage.count("healing", "one side"),
                _ => self.coverage.count("healing", "both sides"),
            }
        }
        self.count_legs(before);
        for (execution, carried_out) in executions.iter().zip(carried_out) {
            if let (Operation::Heal, Some(Outcome::Heal(Ok(done)))) = (&execution.operation, &execution.outcome)
                && done.unhealed > 0
            {
                self.coverage.count("healing", "none is free");
            }
            let kind = match &execution.operation {
                Operation::Create { .. } => "create",
                Operation::End(_) => "end",
                Operation::Erase(_) => "erase",
                Operation::EraseNumber(_) => "erase a person by number",
                Operation::Update(..) => "update",
                Operation::Drain(_) => "drain",
                Operation::Rotate(_) => "rotate",
                Operation::Move(..) => "move a number",
                Operation::Rent(..) => "add a number",
                Operation::Place(..) => "place an order",
                Operation::Orders => "carry out orders",
                Operation::Upkeep => "upkeep",
                Operation::Heal => "heal",
                Operation::Retention => "end retention",
                Operation::TakeAway(_) => "take a number away",
                Operation::GiveBack(_) => "give a number back",
                Operation::Event(_) => "event",
                Operation::Step(step) => step.asked.name(),
                Operation::Pin(_) => "PIN",
                Operation::Late(_) => "lost property",
                Operation::Dial(_) => "place a call",
                Operation::HangUp(_) => "hang up a call",
                Operation::Press(_) => "safety key",
                Operation::Recorded(_) => "event of a recording",
                Operation::Keep => "keep recordings",
            };
            if let Some(done) = execution.outcome.as_ref().and_then(Outcome::retired) {
                self.coverage.count("retention", if done.erased > 0 { "erased" } else { "nothing to erase" });
                let had_legs = before.legs.len() > self.model.legs.len();
                self.coverage.count("retention", if had_legs { "with legs" } else { "without legs" });
            }
            match execution.answer() {
                Some(_) if let Operation::Step(step) = &execution.operation => {
                    self.coverage.count(kind, self.model.became(step, before));
                }
                Some(_) if let Operation::Press(press) = &execution.operation => {
                    self.coverage.count(kind, self.model.describe_press(press, before));
                }
                Some(_) if let Operation::Late(key) = &execution.operation => {
                    self.coverage.count(kind, before.describe_late(key));
                }
                Some(_) if let Operation::Pin(pin) = &execution.operation => {
                    self.coverage.count(kind, before.describe_try(pin));
                }
                Some(answer) => self.coverage.count(kind, answer.label()),
                // Only the numbers, the conversations or the text messages show how far it came.
                None if execution.operation.shows_itself() => self.coverage.count(kind, "crashed"),
                None if *carried_out => self.coverage.count(kind, "crashed, carried out"),
                None => self.coverage.count(kind, "crashed, not carried out"),
            }
            if let (Operation::Update(id, Change { phone: Some(phone), .. }), Some(answer)) =
                (&execution.operation, execution.answer())
                && before.has_other_spelling_of(*id, phone)
            {
                self.coverage.count("update to the other spelling", answer.label());
            }
            if let Operation::Create { new, .. } = &execution.operation
                && !new.owner.is_deployment()
            {
                match execution.answer() {
                    Some(Answer::Created) => self.coverage.count("tenant", "creates"),
                    Some(Answer::NoneFree(_)) => self.coverage.count("tenant", "has no number free"),
                    _ => {}
                }
            }
            if let (Some(Answer::Created), Some(given)) =
                (execution.answer(), execution.outcome.as_ref().and_then(Outcome::conversation))
            {
                self.coverage.count("choice", before.describe_choice(given));
            }
        }
    }

    fn count_legs(&mut self, before: &Model) {
        let was_reached = |id: &ConversationId| {
            before.conversations.get(id).is_some_and(|found| found.expected.limit_reached_at.is_some())
        };
        let reached = |(id, found): &(&ConversationId, &OnWrite<ModelConversation>)| {
            found.expected.limit_reached_at.is_some() && !was_reached(id)
        };
        if self.model.conversations.iter().any(|one| reached(&one)) {
            self.coverage.count("limit", "reached");
        }
        let was_paused = |id: &ConversationId| {
            before.conversations.get(id).is_some_and(|found| found.expected.paused_until.is_some())
        };
        if self.model.conversations.iter().any(|(id, one)| one.expected.paused_until.is_some() && !was_paused(id)) {
            self.coverage.count("limit", "of a day reached");
        }
        let moved = |(id, uuid): &&(ConversationId, String)| {
            let other = |(of, leg): &(ConversationId, String)| leg == uuid && of != id;
            !self.model.legs.contains_key(&(*id, uuid.clone())) && self.model.legs.keys().any(other)
        };
        if before.legs.keys().any(|leg| moved(&leg)) {
            self.coverage.count("leg", "moved");
        }
    }

    /// Records new conversations in the order of their requests.
    fn record_created(&mut self, before: &Model, executions: &[Execution], table: &Table) {
        for execution in executions {
            let Operation::Create { attempt, .. } = &execution.operation else { continue };
            let created = self.model.conversations.values().find(|conversation| conversation.attempt == *attempt);
            if let Some(conversation) =
                created.filter(|conversation| table.conversations.contains_key(&conversation.expected.id))
            {
                self.ids.push(conversation.expected.id);
                if execution.outcome.is_some() {
                    self.peak_usage.note(before, &self.model, conversation);
                }
            }
        }
    }

    /// Checks the ready list and the peak usage as the product reads them.
    async fn check_pool_as_read(&self) -> Verdict {
        let store = self.system.process.store();
        for owner in [false, true].map(owner) {
            let ready = store.ready_pool(owner).await.map_err(|error| error.to_string())?;
            self.model.check_ready(owner, &ready)?;
        }
        let marks = store.peak_usage(self.model.now).await.map_err(|error| error.to_string())?;
        self.peak_usage.check_as_read(self.model.now, &marks)
    }

    /// Checks all invariants against the last table dump.
    pub fn check(&mut self) -> Verdict {
        self.check_noted_costs()?;
        checks::check(&self.model, &self.table)?;
        self.sms.check_unsent(&self.model, &self.table)?;
        self.peak_usage.check(&self.model, &self.table)
    }
}

/// True if a number has another owner than before.
fn has_moved(before: &Model, after: &Model) -> bool {
    let owner = |model: &Model, number: &VirtualNumber| model.numbers.get(number).map(|number| number.owner);
    after
        .numbers
        .keys()
        .any(|number| before.numbers.contains_key(number) && owner(before, number) != owner(after, number))
}

/// The states in which another operation can find a conversation that is being ended or erased. A creation reads the routes
/// of one phone before those of the other, so it may find only one of them closed. An erasure replaces one closed route after
/// the other.
fn begun_ends(model: &Model, executions: &[Execution]) -> Vec<Option<BegunEnd>> {
    let concurrent = executions.iter().filter(|_| executions.len() > 1);
    let ends = concurrent.flat_map(|execution| {
        let (conversation, erases) = match execution.operation {
            Operation::End(id) => (id, false),
            Operation::Erase(id) => (id, true),
            _ => return Vec::new(),
        };
        let keys =
            model.conversations.get(&conversation).map(|found| dialling_keys(&found.expected)).unwrap_or_default();
        let some = (1..1_u32 << keys.len()).map(|some| {
            let closed = keys.iter().enumerate().filter(|(nth, _)| some >> nth & 1 == 1);
            BegunEnd { conversation, closed: closed.map(|(_, key)| key.clone()).collect(), replaced: 0 }
        });
        let replaced = (1..keys.len()).filter(|_| erases);
        let replaced = replaced.map(|replaced| BegunEnd { conversation, closed: keys.clone(), replaced });
        some.chain(replaced).collect()
    });
    std::iter::once(None).chain(ends.map(Some)).collect()
}

/// Applies the operations in order. Returns the new model if the table agrees with it.
fn apply_all<'a>(
    model: &Model,
    executions: impl Iterator<Item = (&'a Execution, bool)>,
    observed: &Observed<'_>,
    beginning: &Beginning,
) -> Result<Model, String> {
    let before = model;
    let mut model = before.clone();
    if let Some(begun) = &beginning.begun {
        model.begin_end(begun);
    }
    if beginning.holds_first {
        model.accept_holds(observed.table, observed.may_hold)?;
    }
    for (Execution { operation, outcome }, carried_out) in executions {
        if operation.provisions() {
            // It compares the numbers with those before.
            model.accept_orders(operation, observed.undisturbed, observed.table)?;
            model.accept_pool(operation, outcome.is_some(), observed.table, observed.rented)?;
        }
        if let Operation::Event(event) = operation
            && (outcome.is_some() || carried_out)
        {
            model.accept_limits(event, observed.table)?;
            model.slide(event, outcome.as_ref(), observed.table);
        }
        if let Operation::Step(step) = operation {
            model.accept_step(step, outcome.as_ref(), observed.table, observed.undisturbed)?;
        }
        if let Operation::Pin(pin) = operation {
            model.accept_try(pin, outcome.as_ref(), observed.undisturbed)?;
        }
        if let Operation::Dial(order) = operation {
            model.accept_order(order, outcome.as_ref(), observed.undisturbed)?;
        }
        if let Operation::Late(key) = operation {
            model.accept_late(key, outcome.as_ref(), observed.table, observed.undisturbed)?;
        }
        if let Operation::Press(press) = operation {
            model.accept_press(press, outcome.as_ref(), observed.table, observed.undisturbed)?;
        }
        if let Operation::Heal = operation {
            model.accept_healing(outcome.is_some(), observed.table)?;
        }
        if let Operation::Retention = operation {
            let done = outcome.as_ref().and_then(Outcome::retired);
            model.accept_retention(done, observed.table)?;
        }
        match outcome {
            Some(outcome) => model.accept(operation, outcome, observed.undisturbed)?,
            None if carried_out => model.accept_unanswered(operation, observed.table)?,
            None => {}
        }
        if let Operation::Rotate(number) = operation
            && (carried_out || outcome.is_some())
        {
            model.accept_rotation_note(number, observed.answered, observed.table)?;
        }
        model.note_keys(before);
    }
    if !observed.rented.is_empty() {
        model.check_account(observed.rented)?;
    }
    model.accept_holds(observed.table, observed.may_hold)?;
    model.accept_texts(observed.table, observed.undisturbed)?;
    model.accept_placed(before, observed.table, observed.calls, observed.orders)?;
    model.accept_pins(observed.table, observed.tries, observed.undisturbed)?;
    let others = (observed.steps, observed.tries, observed.presses);
    model.accept_legs(observed.table, observed.events, others, observed.answered)?;
    model.accept_recordings(observed.table, observed.operations, observed.outcome)?;
    checks::check(&model, observed.table)?;
    model.heals.take_over(&observed.table.heals);
    model.retention = observed.table.retention;
    Ok(model)
}
