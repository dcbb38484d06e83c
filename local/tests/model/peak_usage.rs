//! Peak usage: the largest numbers of routes that callers had at once, by country.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use shared::domain::country::Country;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::NumberState;
use shared::domain::tenant::Pool;

use crate::model::{Model, ModelConversation, Verdict, ensure};
use crate::table::Table;

/// The largest numbers of routes under numbers of one country that callers had at once, and what the table says about them.
#[derive(Debug, Default)]
pub struct PeakUsage {
    /// The least peak usage that must be stored, by country and last day on which it counts.
    least: BTreeMap<(Country, Date), usize>,
    /// The largest number of routes that any caller had at once or asked for, by country of the numbers.
    most: BTreeMap<Country, usize>,
}

impl PeakUsage {
    /// Records the routes in use of the participant of a conversation that was just acknowledged who has more of them; the
    /// other one's may be stored by a later creation. `before` and `after` are the states around the step. Another operation
    /// of the same step may have had its share, so the result is a lower bound.
    pub fn note(&mut self, before: &Model, after: &Model, created: &ModelConversation) {
        // Of one who only receives, a creation may know nothing but the line. Of several phones any one may have the largest
        // number.
        // That of tenants is not recorded.
        if !created.expected.owner.is_deployment() {
            return;
        }
        let is_pair = created.expected.participants.iter().all(|participant| participant.further.is_empty());
        if created.expected.direction.receiver().is_some() || !is_pair {
            return;
        }
        let until = day(before.now + 7 * crate::model::DAY);
        let is_ready = |model: &Model, number: &VirtualNumber, of: Country| {
            let found = model.numbers.get(number);
            found.is_some_and(|number| number.state == NumberState::Ready && number.pool() == Pool::own(of))
        };
        let held = created.expected.participants.each_ref().map(|participant| {
            let country = after.numbers.get(&participant.sees)?.country;
            // A number that comes back in its quarantine counts once.
            let routes = before.routes_in_use(&participant.number).map(|(number, _)| number);
            let routes = routes.filter(|number| **number != participant.sees);
            let ready = |number: &VirtualNumber| [before, after].map(|model| is_ready(model, number, country));
            let (mut least, mut most) = (1, 1);
            for [before, after] in routes.map(ready) {
                least += usize::from(before && after);
                most += usize::from(before || after);
            }
            (ready(&participant.sees) == [true; 2]).then_some((least, most, country))
        });
        let [Some(a), Some(b)] = held else { return };
        let ((held, _, country), other) = if a >= b { (a, b) } else { (b, a) };
        // Then the mark of the other one may be the stored one.
        if other.1 >= held && other.2 != country {
            return;
        }
        let least = self.least.entry((country, until)).or_default();
        *least = held.max(*least);
    }

    /// Checks the peak usage as the schedule reads it.
    pub fn check_as_read(&self, now: Timestamp, found: &shared::domain::peak_usage::PeakUsage) -> Verdict {
        let today = day(now);
        for ((country, until), least) in self.least.iter().filter(|((_, until), _)| *until >= today) {
            let mark = found.of(*country, today);
            ensure(mark >= *least, || {
                format!("the peak usage of {country} until {until} is {least}, but {mark} is read")
            })?;
        }
        Ok(())
    }

    pub fn check(&mut self, model: &Model, table: &Table) -> Verdict {
        let mut held: BTreeMap<(&RealNumber, Country), usize> = BTreeMap::new();
        for ((caller, number), _) in model.routes.iter().filter(|(_, route)| route.is_in_use(model.now)) {
            if let Some(number) = model.numbers.get(number) {
                *held.entry((caller, number.country)).or_default() += 1;
            }
        }
        for ((_, country), held) in held {
            let most = self.most.entry(country).or_default();
            *most = held.max(*most);
        }
        let today = day(model.now);
        self.least.retain(|(_, until), _| *until >= today);
        for ((country, until), least) in &self.least {
            let marks = table.peak_usage.iter().filter(|((of, day), _)| of == country && day >= until);
            let mark = marks.map(|(_, held)| *held).max().unwrap_or_default();
            ensure(mark >= *least, || {
                format!("a caller of {country} had {least} routes, but the stored peak usage until {until} is {mark}")
            })?;
        }
        for ((country, day), held) in &table.peak_usage {
            // The mark is written at the same time as the conversation, which may be refused.
            let most = self.most.get(country).copied().unwrap_or_default() + 1;
            ensure(*held <= most, || {
                format!(
                    "the stored peak usage of {country} on {day} is {held}, but no caller had more than {most} routes"
                )
            })?;
        }
        Ok(())
    }
}

fn day(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}
