//! Whether what was done is right, and what is true from then on.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::answer::Answer;
use crate::case::Case;
use crate::checks;
use crate::model::{Model, Verdict, ensure};
use crate::system::{Act, Outcome};
use crate::table::Table;

/// An act and what came of it: nothing that anybody knows, if it was cut off.
pub struct Done {
    pub act: Act,
    pub outcome: Option<Outcome>,
}

impl Done {
    pub fn answer(&self) -> Option<Answer> {
        self.outcome.as_ref().map(Answer::of)
    }
}

/// What is there after a step.
struct Seen<'a> {
    table: &'a Table,
    /// The numbers that the Vonage account rents, if that was looked at.
    rented: &'a BTreeSet<String>,
    /// Only one thing was done, and nothing cut it off.
    exactly: bool,
}

/// What is true if things happened in a certain way.
struct Explanation {
    model: Model,
    /// Of each act that was cut off, whether it was carried out.
    carried_out: Vec<bool>,
}

impl Case {
    /// Judges what was done at the same time.
    pub async fn settle(&mut self, done: Vec<Done>) -> Verdict {
        let table = self.reader.read(&self.system.database, self.model.now);
        let exactly = done.len() == 1 && done[0].outcome.is_some();
        for outcome in done.iter().filter_map(|done| done.outcome.as_ref()) {
            let _ = write!(self.trace, "\n         => {outcome}");
        }
        let provisioning = done.iter().any(|done| matches!(done.act, Act::Rent(..) | Act::Upkeep));
        let rented = if provisioning { self.system.rented().await } else { BTreeSet::new() };
        let explanation = self.explain(&done, &Seen { table: &table, rented: &rented, exactly })?;
        let before = std::mem::replace(&mut self.model, explanation.model);
        self.count(&done, &explanation.carried_out, &before);
        let sent = self.system.texts.take_sent();
        sent.iter().for_each(|text| self.tally.count("text", &format!("{:?}", text.fate).to_lowercase()));
        self.told.check(&before, &self.model, &done, &sent, exactly)?;
        if exactly && let Some(given) = done[0].outcome.as_ref().and_then(Outcome::conversation) {
            let found = table.conversations.get(&given.id);
            ensure(found == Some(given), || format!("{given:?} is given, and the table has {found:?}"))?;
        }
        if done.iter().any(|done| matches!(done.act, Act::Drain(_) | Act::Rent(..) | Act::Upkeep)) {
            self.check_pool_as_read().await?;
        }
        self.note_created(&before, &done, &table);
        self.told.check_claims(&self.model, &table)?;
        self.peak_usage.check(&self.model, &table)?;
        self.table = table;
        Ok(())
    }

    /// How the answers and the table can have come about: what was done at the same time was done in one order or the
    /// other, and what was cut off was carried out or was not, as a whole.
    fn explain(&self, done: &[Done], seen: &Seen<'_>) -> Result<Explanation, String> {
        let mut problems = String::new();
        let orders = if done.len() == 1 { vec![vec![0]] } else { vec![vec![0, 1], vec![1, 0]] };
        for order in orders {
            for carried_out in [[false; 2], [true, false], [false, true], [true; 2]] {
                let carried_out = carried_out[..done.len()].to_vec();
                let is_sensible = done.iter().zip(&carried_out).all(|(done, yes)| done.outcome.is_none() || !yes);
                if !is_sensible || carried_out.len() < done.len() {
                    continue;
                }
                let in_order = order.iter().map(|index| (&done[*index], carried_out[*index]));
                match follow(&self.model, in_order, seen) {
                    Ok(model) => return Ok(Explanation { model, carried_out }),
                    Err(problem) => {
                        let _ = write!(
                            problems,
                            "\n  if in the order {order:?}, cut off and done {carried_out:?}: {problem}"
                        );
                    }
                }
            }
        }
        Err(problems)
    }

    fn count(&mut self, done: &[Done], carried_out: &[bool], before: &Model) {
        for (done, carried_out) in done.iter().zip(carried_out) {
            let kind = match &done.act {
                Act::Create { .. } => "create",
                Act::End(_) => "end",
                Act::Erase(_) => "erase",
                Act::Update(..) => "update",
                Act::Drain(_) => "drain",
                Act::Rent(..) => "add a number",
                Act::Upkeep => "upkeep",
            };
            match done.answer() {
                Some(answer) => self.tally.count(kind, answer.label()),
                // How far it came shows in its numbers only.
                None if matches!(done.act, Act::Rent(..) | Act::Upkeep) => self.tally.count(kind, "cut off"),
                None if *carried_out => self.tally.count(kind, "cut off, all done"),
                None => self.tally.count(kind, "cut off, nothing done"),
            }
            if let (Some(Answer::Created), Some(given)) =
                (done.answer(), done.outcome.as_ref().and_then(Outcome::conversation))
            {
                self.tally.count("choice", before.kind_of_choice(given));
            }
        }
    }

    /// Notes what is new, in the order in which it was asked for.
    fn note_created(&mut self, before: &Model, done: &[Done], table: &Table) {
        for done in done {
            let Act::Create { attempt, .. } = &done.act else { continue };
            let created = self.model.talks.values().find(|talk| talk.attempt == *attempt);
            if let Some(talk) = created.filter(|talk| table.conversations.contains_key(&talk.is.id)) {
                self.ids.push(talk.is.id);
                if done.outcome.is_some() {
                    self.peak_usage.note(before, talk);
                }
            }
        }
    }

    /// The list of ready numbers and the high-water marks, as the product reads them.
    async fn check_pool_as_read(&self) -> Verdict {
        let store = self.system.process.store();
        let ready = store.ready_pool().await.map_err(|error| error.to_string())?;
        let marks = store.peak_usage(self.model.now).await.map_err(|error| error.to_string())?;
        self.model.check_ready(&ready)?;
        self.peak_usage.check_as_read(self.model.now, &marks)
    }

    /// Whether all that has to be true is true of the table as it was read last.
    pub fn check(&mut self) -> Verdict {
        checks::check(&self.model, &self.table)?;
        self.told.check_claims(&self.model, &self.table)?;
        self.peak_usage.check(&self.model, &self.table)
    }
}

/// What is true after all that, if the table agrees.
fn follow<'a>(model: &Model, done: impl Iterator<Item = (&'a Done, bool)>, seen: &Seen<'_>) -> Result<Model, String> {
    let mut model = model.clone();
    for (Done { act, outcome }, carried_out) in done {
        if let Act::Rent(..) | Act::Upkeep = act {
            model.accept_pool(act, outcome.is_some(), seen.table, seen.rented)?;
        }
        match outcome {
            Some(outcome) => model.accept(act, outcome)?,
            None if carried_out => model.accept_unseen(act, seen.table)?,
            None => {}
        }
    }
    model.accept_texts(seen.table, seen.exactly)?;
    checks::check(&model, seen.table)?;
    Ok(model)
}
