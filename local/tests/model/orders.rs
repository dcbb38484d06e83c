//! Rules for orders: how many numbers they may buy, and when they end.

use std::collections::BTreeSet;

use shared::domain::country::Country;
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::tenant::Pool;

use crate::model::{Model, Verdict, ensure};
use crate::system::Operation;
use crate::table::Table;

impl Operation {
    /// True if it may change the pool.
    pub fn provisions(&self) -> bool {
        matches!(self, Self::Rent(..) | Self::Place(..) | Self::Orders | Self::Upkeep)
    }

    /// True if it changes one conversation after the other, and a crash may leave some of them changed.
    pub fn is_many_changes(&self) -> bool {
        matches!(self, Self::Heal | Self::Retention)
    }
}

impl Model {
    /// Returns the number of numbers that count towards an order. Only the deployment itself orders numbers.
    pub fn towards_order(&self, country: Country) -> usize {
        towards_order(self.numbers.values(), country)
    }

    /// Returns the number of numbers that open orders may still buy.
    pub fn still_ordered(&self) -> usize {
        let open = self.orders.iter();
        open.map(|(country, (_, count))| count.saturating_sub(self.towards_order(*country))).sum()
    }

    /// True if a run may give a draining number of the country back at this moment. An order buys nothing in its place yet.
    pub fn waits_for_draining(&self, country: Country, table: &Table) -> bool {
        let of_country =
            |number: &&PoolNumber| number.pool() == Pool::own(country) && number.state == NumberState::Draining;
        table.numbers.values().filter(of_country).any(|number| self.now < number.leased_until)
    }

    /// Takes over the open orders after `operation`. `undisturbed`: nothing else ran, and no process crashed.
    pub fn accept_orders(&mut self, operation: &Operation, undisturbed: bool, table: &Table) -> Verdict {
        let asked = |country: Country| match operation {
            Operation::Rent(kind, count) | Operation::Place(kind, count) if kind.country() == country => Some(*count),
            _ => None,
        };
        let after = table.orders.values().map(|open| (open.ordered.country, (open.id.clone(), open.ordered.count)));
        let after: std::collections::BTreeMap<_, _> = after.collect();
        let of_numbers = table.numbers.values().chain(self.numbers.values()).map(|number| number.country);
        let countries: BTreeSet<_> = of_numbers.chain(after.keys().chain(self.orders.keys()).copied()).collect();
        for country in countries {
            let (was, is, asked) = (self.orders.get(&country), after.get(&country), asked(country));
            let is_allowed = is.is_none() || is == was || is.map(|(_, count)| *count) == asked;
            ensure(is_allowed, || format!("the order of {country} became {is:?} by {operation:?}"))?;
            let ordered = match operation {
                Operation::Orders => was.map(|(_, count)| *count),
                _ => asked,
            };
            let (had, have) = (self.towards_order(country), towards_order(table.numbers.values(), country));
            let bought_for = ordered.unwrap_or_default();
            ensure(matches!(operation, Operation::Upkeep) || have <= had.max(bought_for), || {
                format!("{have} numbers of {country} after an order for {bought_for}; there were {had}")
            })?;
            if let Some(ordered) = ordered.filter(|_| undisturbed) {
                let of_country =
                    |number: &&PoolNumber| number.pool() == Pool::own(country) && number.state == NumberState::Ready;
                let ready = table.numbers.values().filter(of_country).count();
                ensure(is.is_some() == (ready < ordered), || {
                    format!("the order for {ordered} numbers of {country} is {is:?}, and {ready} are ready")
                })?;
                let waits = matches!(operation, Operation::Place(..)) || self.waits_for_draining(country, table);
                ensure(have >= ordered || waits, || format!("{have} of {ordered} numbers of {country} were bought"))?;
            }
        }
        self.orders.take_over(&after);
        Ok(())
    }
}

fn towards_order<'a>(numbers: impl Iterator<Item = &'a PoolNumber>, country: Country) -> usize {
    numbers.filter(|number| number.pool() == Pool::own(country) && number.state.counts()).count()
}
