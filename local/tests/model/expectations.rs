//! Compares the outcome of a step with the model and moves the model on.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::answer::Answer;
use crate::case::Case;
use crate::checks;
use crate::model::{Model, Verdict, ensure};
use crate::system::{Operation, Outcome};
use crate::table::Table;

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
    /// The numbers that the Vonage account rents. Empty if no operation of the step concerns them.
    rented: &'a BTreeSet<String>,
    /// True if only one operation ran and no process crashed.
    undisturbed: bool,
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
        let table = self.reader.read(&self.system.database, self.model.now);
        let undisturbed = executions.len() == 1 && executions[0].outcome.is_some();
        for outcome in executions.iter().filter_map(|execution| execution.outcome.as_ref()) {
            let _ = write!(self.trace, "\n         => {outcome}");
        }
        let provisioning =
            executions.iter().any(|execution| matches!(execution.operation, Operation::Rent(..) | Operation::Upkeep));
        let rented = if provisioning { self.system.rented().await } else { BTreeSet::new() };
        let explanation = self.explain(&executions, &Observed { table: &table, rented: &rented, undisturbed })?;
        let before = std::mem::replace(&mut self.model, explanation.model);
        self.count(&executions, &explanation.carried_out, &before);
        let sent = self.system.texts.take_sent();
        sent.iter().for_each(|text| self.coverage.count("text", &format!("{:?}", text.outcome).to_lowercase()));
        self.sms.check(&before, &self.model, &executions, &sent, undisturbed)?;
        if undisturbed && let Some(given) = executions[0].outcome.as_ref().and_then(Outcome::conversation) {
            let found = table.conversations.get(&given.id);
            ensure(found == Some(given), || format!("the answer is {given:?}, but the table has {found:?}"))?;
        }
        if executions.iter().any(|execution| {
            matches!(execution.operation, Operation::Drain(_) | Operation::Rent(..) | Operation::Upkeep)
        }) {
            self.check_pool_as_read().await?;
        }
        self.record_created(&before, &executions, &table);
        self.sms.check_unsent(&self.model, &table)?;
        self.peak_usage.check(&self.model, &table)?;
        self.table = table;
        Ok(())
    }

    /// Finds a sequence that explains the answers and the table. Concurrent operations ran in one order or the other.
    /// An operation whose process crashed was carried out as a whole or not at all.
    fn explain(&self, executions: &[Execution], observed: &Observed<'_>) -> Result<Explanation, String> {
        let mut problems = String::new();
        let orders = if executions.len() == 1 { vec![vec![0]] } else { vec![vec![0, 1], vec![1, 0]] };
        for order in orders {
            for carried_out in [[false; 2], [true, false], [false, true], [true; 2]] {
                let carried_out = carried_out[..executions.len()].to_vec();
                let is_sensible =
                    executions.iter().zip(&carried_out).all(|(execution, yes)| execution.outcome.is_none() || !yes);
                if !is_sensible || carried_out.len() < executions.len() {
                    continue;
                }
                let in_order = order.iter().map(|index| (&executions[*index], carried_out[*index]));
                match apply_all(&self.model, in_order, observed) {
                    Ok(model) => return Ok(Explanation { model, carried_out }),
                    Err(problem) => {
                        let _ = write!(
                            problems,
                            "\n  in the order {order:?}, with crashed operations carried out {carried_out:?}: {problem}"
                        );
                    }
                }
            }
        }
        Err(problems)
    }

    fn count(&mut self, executions: &[Execution], carried_out: &[bool], before: &Model) {
        for (execution, carried_out) in executions.iter().zip(carried_out) {
            let kind = match &execution.operation {
                Operation::Create { .. } => "create",
                Operation::End(_) => "end",
                Operation::Erase(_) => "erase",
                Operation::Update(..) => "update",
                Operation::Drain(_) => "drain",
                Operation::Rent(..) => "add a number",
                Operation::Upkeep => "upkeep",
            };
            match execution.answer() {
                Some(answer) => self.coverage.count(kind, answer.label()),
                // Only the numbers show how far it came.
                None if matches!(execution.operation, Operation::Rent(..) | Operation::Upkeep) => {
                    self.coverage.count(kind, "crashed")
                }
                None if *carried_out => self.coverage.count(kind, "crashed, carried out"),
                None => self.coverage.count(kind, "crashed, not carried out"),
            }
            if let (Some(Answer::Created), Some(given)) =
                (execution.answer(), execution.outcome.as_ref().and_then(Outcome::conversation))
            {
                self.coverage.count("choice", before.describe_choice(given));
            }
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
                    self.peak_usage.note(before, conversation);
                }
            }
        }
    }

    /// Checks the ready list and the peak usage as the product reads them.
    async fn check_pool_as_read(&self) -> Verdict {
        let store = self.system.process.store();
        let ready = store.ready_pool().await.map_err(|error| error.to_string())?;
        let marks = store.peak_usage(self.model.now).await.map_err(|error| error.to_string())?;
        self.model.check_ready(&ready)?;
        self.peak_usage.check_as_read(self.model.now, &marks)
    }

    /// Checks all invariants against the last table dump.
    pub fn check(&mut self) -> Verdict {
        checks::check(&self.model, &self.table)?;
        self.sms.check_unsent(&self.model, &self.table)?;
        self.peak_usage.check(&self.model, &self.table)
    }
}

/// Applies the operations in order. Returns the new model if the table agrees with it.
fn apply_all<'a>(
    model: &Model,
    executions: impl Iterator<Item = (&'a Execution, bool)>,
    observed: &Observed<'_>,
) -> Result<Model, String> {
    let mut model = model.clone();
    for (Execution { operation, outcome }, carried_out) in executions {
        if let Operation::Rent(..) | Operation::Upkeep = operation {
            model.accept_pool(operation, outcome.is_some(), observed.table, observed.rented)?;
        }
        match outcome {
            Some(outcome) => model.accept(operation, outcome)?,
            None if carried_out => model.accept_unanswered(operation, observed.table)?,
            None => {}
        }
    }
    model.accept_texts(observed.table, observed.undisturbed)?;
    checks::check(&model, observed.table)?;
    Ok(model)
}
