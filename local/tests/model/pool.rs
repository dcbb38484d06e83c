//! Rules for provisioning. Vonage decides which number is rented, and a crash can stop a run anywhere. So the test
//! reads the changes from the table and checks that each of them is allowed.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use shared::domain::pool::{LossNotes, NumberState, PoolNumber};
use shared::domain::tenant::Pool;

use crate::model::{Model, Verdict, ensure};
use crate::system::Operation;
use crate::table::Table;

/// Least time between the drain of a number and its cancellation, and longest time between the choice of a number and its use.
pub const GRACE: SignedDuration = SignedDuration::from_secs(60);

impl Model {
    /// Takes over the changes of `operation` to the pool. `finished`: the process did not crash. `rented`: the numbers
    /// that the account rents now.
    pub fn accept_pool(
        &mut self,
        operation: &Operation,
        finished: bool,
        table: &Table,
        rented: &BTreeSet<String>,
    ) -> Verdict {
        for (name, number) in &self.numbers {
            match table.numbers.get(name) {
                Some(now) => ensure(self.may_become(number, now, operation), || {
                    format!("number changed from {number:?} to {now:?}")
                })?,
                None => self.check_removal(number, rented)?,
            }
        }
        for number in table.numbers.values().filter(|number| !self.numbers.contains_key(&number.number)) {
            let known = self.released.get(&number.number).is_some_and(|until| self.now < *until);
            let may_come = matches!(operation, Operation::Rent(..) | Operation::Orders) && !known;
            ensure(may_come, || format!("number {} entered the pool without being ordered", number.number))?;
        }
        if finished {
            self.check_finished(operation, table)?;
        }
        for name in self.numbers.keys().filter(|name| !table.numbers.contains_key(*name)) {
            if let Some(Some(until)) = table.own_numbers.get(name) {
                self.released.insert(name.clone(), *until);
            }
        }
        self.numbers.take_over(&table.numbers);
        if self.released.keys().any(|number| self.numbers.contains_key(number)) {
            self.released.retain(|number, _| !self.numbers.contains_key(number));
        }
        // An interrupted purchase of a number that was taken away is made again.
        self.away.retain(|number| self.numbers.contains_key(number) && !rented.contains(number.as_str()));
        Ok(())
    }

    fn check_removal(&self, number: &PoolNumber, rented: &BTreeSet<String>) -> Verdict {
        let name = &number.number;
        ensure(!rented.contains(name.as_str()), || format!("number {name} is rented, but left the pool"))?;
        let is_given_back = self.must_be_cancelled(number) && number.moves_to.is_none();
        let may_go = number.state == NumberState::Renting || is_given_back;
        ensure(may_go, || format!("{number:?} left the pool too early"))
    }

    /// True if an upkeep run has to cancel the number now.
    fn must_be_cancelled(&self, number: &PoolNumber) -> bool {
        let is_due = number.draining_since.is_some_and(|since| since + GRACE <= self.now);
        is_due && number.leased_until <= self.now && !self.has_routes_in_use(number)
    }

    /// True if the number has a live or quarantined route.
    fn has_routes_in_use(&self, number: &PoolNumber) -> bool {
        self.routes.iter().any(|((_, dialled), route)| *dialled == number.number && route.is_in_use(self.now))
    }

    fn check_finished(&self, operation: &Operation, table: &Table) -> Verdict {
        for number in self.numbers.values() {
            let begun = matches!(number.state, NumberState::Renting | NumberState::Linking);
            let concerned = match operation {
                Operation::Rent(kind, _) => number.pool() == Pool::own(kind.country()),
                // The orders of the moment before were accepted already.
                Operation::Place(..) | Operation::Orders => false,
                _ => true,
            };
            let now = table.numbers.get(&number.number);
            if begun && concerned && number.leased_until <= self.now {
                let is_ready = now.is_some_and(|number| number.state == NumberState::Ready);
                ensure(is_ready, || format!("renting of {number:?} was not finished: {now:?}"))?;
            }
            if matches!(operation, Operation::Upkeep) {
                let is_gone = match number.moves_to {
                    // One that was taken away stays, because it would be bought again.
                    Some(_) if self.away.contains(&number.number) => true,
                    Some(to) => now.is_some_and(|now| now.pool() == to),
                    None => now.is_none(),
                };
                let stays = self.must_be_cancelled(number) && !is_gone;
                ensure(!stays, || format!("the schedule did not cancel {number:?}"))?;
                let right = match (number.state, self.away.contains(&number.number)) {
                    (NumberState::Ready | NumberState::Lost, true) => NumberState::Lost,
                    (NumberState::Ready | NumberState::Lost, false) => NumberState::Ready,
                    _ => continue,
                };
                ensure(now.is_some_and(|now| now.state == right), || {
                    format!("{number:?} should be {right:?} after the schedule, but is {now:?}")
                })?;
            }
        }
        if let Operation::Rent(kind, count) = operation {
            let own = Pool::own(kind.country());
            let of_country = |number: &&PoolNumber| number.pool() == own && number.state.counts();
            let have = table.numbers.values().filter(of_country).count();
            let waits = have < *count && self.waits_for_draining(kind.country(), table);
            ensure(have == *count || waits, || format!("{count} numbers were ordered, but there are {have}"))?;
        }
        Ok(())
    }

    /// Checks that every rented number is in the pool, and that every number in use is rented, but for those that were
    /// taken away.
    pub fn check_account(&self, rented: &BTreeSet<String>) -> Verdict {
        let unknown = rented.iter().find(|rented| !self.numbers.keys().any(|number| number.as_str() == *rented));
        ensure(unknown.is_none(), || format!("number {unknown:?} is rented, but not in the pool"))?;
        let cancelled = self.numbers.values().find(|number| {
            let needed = number.state == NumberState::Ready || self.has_routes_in_use(number);
            needed && !rented.contains(number.number.as_str()) && !self.away.contains(&number.number)
        });
        ensure(cancelled.is_none(), || format!("{cancelled:?} is in use, but not rented"))
    }

    /// True if a number has moved to another owner: when nobody knew it any more, and as if it were new there.
    fn has_moved(&self, before: &PoolNumber, now: &PoolNumber, operation: &Operation) -> bool {
        use NumberState::{Linking, Ready};
        let is_over = matches!(operation, Operation::Upkeep) && self.must_be_cancelled(before);
        let moved = PoolNumber {
            owner: now.owner,
            state: now.state,
            leased_until: now.leased_until,
            draining_since: None,
            moves_to: None,
            part: now.part,
            loss: LossNotes::default(),
            ..before.clone()
        };
        let is_there = before.moves_to == Some(now.pool()) && matches!(now.state, Linking | Ready);
        is_over && is_there && moved == *now
    }

    fn may_become(&self, before: &PoolNumber, now: &PoolNumber, operation: &Operation) -> bool {
        use NumberState::{Draining, Linking, Lost, Ready, Renting};
        if before.owner != now.owner {
            return self.has_moved(before, now, operation);
        }
        let compared = matches!(operation, Operation::Upkeep);
        let away = self.away.contains(&before.number);
        let is_order = matches!(operation, Operation::Rent(..) | Operation::Place(..) | Operation::Orders);
        let is_promised = before.moves_to.is_some();
        let takes_back = is_order && before.rotating_since.is_none() && before.missing_since.is_none() && !is_promised;
        let grows = match before.state {
            Renting => matches!(now.state, Renting | Linking | Ready),
            Linking => matches!(now.state, Linking | Ready),
            Ready if compared && away => matches!(now.state, Ready | Lost),
            Lost if compared && !away => matches!(now.state, Lost | Linking | Ready),
            // An order takes it back before it rents another one.
            Draining if takes_back => matches!(now.state, Draining | Linking | Ready),
            state => state == now.state,
        };
        let mut same = PoolNumber { state: now.state, leased_until: now.leased_until, ..before.clone() };
        // The time of a loss is that of the run that notices it.
        same.missing_since = match now.state {
            Lost => Some(before.missing_since.unwrap_or(self.second())),
            Draining => before.missing_since,
            Renting | Linking | Ready | NumberState::SettingAside | NumberState::Standing => None,
        };
        if before.state == Draining && now.state != Draining {
            same.draining_since = None;
        }
        same.part = match (before.state, now.state) {
            (Ready, Ready) => before.part,
            (_, Ready) => now.part,
            _ => None,
        };
        // What is left to do about a loss. The events and the healed conversations show that it was done.
        same.loss = now.loss.clone();
        grows && same == *now
    }
}
