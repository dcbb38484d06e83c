//! The report of an import, for people and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::super::table::{Table, cell};
use super::create::{Outcome, told};
use super::plan::{Entry, Number, Plan};
use super::pool::Needed;
use super::{Options, Source};

/// Returns true for an outcome of one kind.
type Kind = fn(&Outcome) -> bool;

/// The report.
pub(super) struct Report {
    source: Source,
    services: usize,
    is_created: bool,
    notify: bool,
    numbers: Vec<Number>,
    pool: Vec<Needed>,
    sessions: Vec<(Entry, Outcome)>,
}

impl Report {
    pub(super) fn new(options: &Options, plan: Plan, pool: Vec<Needed>, outcomes: Vec<Outcome>) -> Self {
        Self {
            source: plan.source,
            services: plan.services,
            is_created: options.create,
            notify: options.notify,
            numbers: plan.numbers,
            pool,
            sessions: plan.entries.into_iter().zip(outcomes).collect(),
        }
    }

    /// Returns false if another run has something to do.
    pub(super) fn is_complete(&self) -> bool {
        let is_open =
            |outcome: &Outcome| matches!(outcome, Outcome::NeedsNumbers | Outcome::Refused(_) | Outcome::Later(_));
        !self.is_created || !self.sessions.iter().any(|(_, outcome)| is_open(outcome))
    }

    pub(super) fn json(&self) -> Value {
        let session = |(entry, outcome): &(Entry, Outcome)| {
            let (result, reason) = told(outcome, entry);
            let wish = entry.wish.as_ref().ok();
            let conversation = match outcome {
                Outcome::Created(id) => Some(id),
                Outcome::CreatedEarlier(id) => id.as_ref(),
                _ => None,
            };
            json!({
                "session": entry.id,
                "reference": wish.map(|wish| &wish.reference),
                "expires_in": wish.and_then(|wish| wish.expires_in),
                "result": result,
                "reason": reason,
                "conversation": conversation,
                "notes": entry.notes,
            })
        };
        let number = |number: &Number| json!({"number": number.number, "country": number.country, "dialled_by": number.dialled_by});
        json!({
            "source": self.source,
            "services": self.services,
            "create": self.is_created,
            "notify": self.notify,
            "old_numbers": self.numbers.iter().map(number).collect::<Vec<_>>(),
            "pool": self.pool,
            "sessions": self.sessions.iter().map(session).collect::<Vec<_>>(),
        })
    }

    fn count(&self, wanted: Kind) -> usize {
        self.sessions.iter().filter(|(_, outcome)| wanted(outcome)).count()
    }

    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: [(Kind, &str); 7] = [
            (|outcome| matches!(outcome, Outcome::WouldBeCreated), "would be created"),
            (|outcome| matches!(outcome, Outcome::Created(_)), "created"),
            (|outcome| matches!(outcome, Outcome::CreatedEarlier(_)), "created by an earlier import"),
            (|outcome| matches!(outcome, Outcome::NeedsNumbers), "wait for more numbers"),
            (
                |outcome| matches!(outcome, Outcome::Later(_)),
                "not tried, or without an answer; the next run tries them",
            ),
            (|outcome| matches!(outcome, Outcome::Refused(_)), "refused"),
            (|outcome| matches!(outcome, Outcome::LeftOut), "left out"),
        ];
        for (wanted, text) in kinds {
            let count = self.count(wanted);
            if count > 0 {
                writeln!(f, "{count:>7} {text}")?;
            }
        }
        Ok(())
    }

    fn write_sessions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons = Table::new(&["session", "why not"]);
        let mut changes = Table::new(&["session", "what changes"]);
        for (entry, outcome) in &self.sessions {
            let (_, reason) = told(outcome, entry);
            // Those that wait for numbers have one reason, which the counts say.
            if !reason.is_null() && *outcome != Outcome::NeedsNumbers {
                reasons.row([entry.id.clone(), cell(&reason)]);
            }
            for note in &entry.notes {
                changes.row([entry.id.clone(), note.clone()]);
            }
        }
        for table in [reasons, changes] {
            if !table.is_empty() {
                write!(f, "\n{table}")?;
            }
        }
        Ok(())
    }

    fn write_numbers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pool = Table::new(&["country", "numbers needed", "ready", "missing", "a month", "once"]);
        for Needed { country, needed, ready, missing, monthly_cost, initial_price, currency } in &self.pool {
            let price = |range: &Value| match [cell(&range["from"]), cell(&range["to"])] {
                [from, _] if from.is_empty() => "unknown".to_owned(),
                [from, to] if from == to => format!("{from} {}", cell(currency)),
                [from, to] => format!("{from} to {to} {}", cell(currency)),
            };
            let prices = if *missing > 0 { [price(monthly_cost), price(initial_price)] } else { Default::default() };
            let counts = [needed, ready, missing].map(u64::to_string);
            pool.row([country.clone()].into_iter().chain(counts).chain(prices));
        }
        if !pool.is_empty() {
            write!(f, "\n{pool}")?;
        }
        for needed in self.pool.iter().filter(|needed| needed.missing > 0) {
            writeln!(f, "Rent them: maskline numbers order {} {}", needed.country, needed.needed)?;
        }
        let mut old = Table::new(&["number until now", "country", "dialled by"]);
        for number in &self.numbers {
            let country = number.country.clone().unwrap_or_default();
            old.row([number.number.clone(), country, number.dialled_by.to_string()]);
        }
        if old.is_empty() { Ok(()) } else { write!(f, "\n{old}") }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (services, numbers, sessions) = (self.services, self.numbers.len(), self.sessions.len());
        writeln!(
            f,
            "Export of {}. Services: {services}, numbers: {numbers}, sessions: {sessions}.",
            self.source.name()
        )?;
        self.write_counts(f)?;
        self.write_sessions(f)?;
        self.write_numbers(f)?;
        if !self.numbers.is_empty() {
            writeln!(
                f,
                "People dial other numbers than these from now on. Port those that people may still call: docs/migrating.md"
            )?;
        }
        if !self.is_created {
            writeln!(
                f,
                "\nNothing was created and nobody was texted. To do it: --create, with --notify or --no-notify"
            )?;
        }
        Ok(())
    }
}
