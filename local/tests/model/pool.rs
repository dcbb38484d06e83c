//! What provisioning may do to the pool. Which number it rents is Vonage's to say, and where it was when it was cut off
//! is nobody's; so what it did is read from the table, and each change has to be one that may happen.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use shared::domain::pool::{NumberState, PoolNumber};

use crate::model::{Model, Verdict, ensure};
use crate::system::Act;
use crate::table::Table;

/// How long a number is at least drained before it is cancelled.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

impl Model {
    /// Takes over what `act` has done to the pool. `finished`: it was not cut off. `rented`: what the account rents now.
    pub fn accept_pool(&mut self, act: &Act, finished: bool, table: &Table, rented: &BTreeSet<String>) -> Verdict {
        for (name, number) in &self.numbers {
            match table.numbers.get(name) {
                Some(now) => ensure(may_become(number, now), || format!("{number:?} has become {now:?}"))?,
                None => self.check_removal(number, rented)?,
            }
        }
        for number in table.numbers.values().filter(|number| !self.numbers.contains_key(&number.number)) {
            let known = self.gone.get(&number.number).is_some_and(|until| self.now < *until);
            let may_come = matches!(act, Act::Rent(..)) && !known;
            ensure(may_come, || format!("{} came into the pool", number.number))?;
        }
        if finished {
            self.check_finished(act, table)?;
        }
        for name in self.numbers.keys().filter(|name| !table.numbers.contains_key(*name)) {
            if let Some(Some(until)) = table.own_numbers.get(name) {
                self.gone.insert(name.clone(), *until);
            }
        }
        self.numbers.clone_from(&table.numbers);
        for number in self.numbers.keys() {
            self.gone.remove(number);
        }
        self.check_account(rented)
    }

    fn check_removal(&self, number: &PoolNumber, rented: &BTreeSet<String>) -> Verdict {
        let name = &number.number;
        ensure(!rented.contains(name.as_str()), || format!("{name} is rented and has left the pool"))?;
        let may_go = number.state == NumberState::Renting || self.is_to_go(number);
        ensure(may_go, || format!("{number:?} has left the pool"))
    }

    /// Whether an upkeep has to give it back now.
    fn is_to_go(&self, number: &PoolNumber) -> bool {
        let is_due = number.draining_since.is_some_and(|since| since + GRACE <= self.now);
        is_due && number.leased_until <= self.now && !self.is_in_use(number)
    }

    /// Whether a live or quarantined route leads from it.
    fn is_in_use(&self, number: &PoolNumber) -> bool {
        self.keys.iter().any(|((_, dialled), key)| *dialled == number.number && key.is_held(self.now))
    }

    fn check_finished(&self, act: &Act, table: &Table) -> Verdict {
        for number in self.numbers.values() {
            let begun = matches!(number.state, NumberState::Renting | NumberState::Linking);
            let concerned = match act {
                Act::Rent(kind, _) => number.country == kind.country(),
                _ => true,
            };
            let now = table.numbers.get(&number.number);
            if begun && concerned && number.leased_until <= self.now {
                let is_ready = now.is_some_and(|number| number.state == NumberState::Ready);
                ensure(is_ready, || format!("{number:?} was begun and is not finished: {now:?}"))?;
            }
            let stays = matches!(act, Act::Upkeep) && self.is_to_go(number) && now.is_some();
            ensure(!stays, || format!("{number:?} could have been given back"))?;
        }
        if let Act::Rent(kind, count) = act {
            let of_country =
                |number: &&PoolNumber| number.country == kind.country() && number.state != NumberState::Draining;
            let have = table.numbers.values().filter(of_country).count();
            ensure(have == *count, || format!("{count} numbers were ordered, and there are {have}"))?;
        }
        Ok(())
    }

    /// A number that was bought is in the pool, and a number in use is rented. Of Jersey Vonage has none.
    fn check_account(&self, rented: &BTreeSet<String>) -> Verdict {
        let lost = rented.iter().find(|rented| !self.numbers.keys().any(|number| number.as_str() == *rented));
        ensure(lost.is_none(), || format!("{lost:?} is rented and not in the pool"))?;
        let mut of_vonage = self.numbers.values().filter(|number| number.country.as_str() != "JE");
        let cancelled = of_vonage.find(|number| {
            let needed = number.state == NumberState::Ready || self.is_in_use(number);
            needed && !rented.contains(number.number.as_str())
        });
        ensure(cancelled.is_none(), || format!("{cancelled:?} is in use and not rented"))
    }
}

fn may_become(before: &PoolNumber, now: &PoolNumber) -> bool {
    use NumberState::{Linking, Ready, Renting};
    let grows = match before.state {
        Renting => matches!(now.state, Renting | Linking | Ready),
        Linking => matches!(now.state, Linking | Ready),
        state => state == now.state,
    };
    let same = PoolNumber {
        state: now.state,
        leased_until: now.leased_until,
        missing_since: now.missing_since,
        ..before.clone()
    };
    grows && same == *now
}
