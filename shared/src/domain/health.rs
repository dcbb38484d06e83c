//! The health of virtual numbers: how many calls that show a number are answered, and which number falls off against the others of
//! its country. Phones show a number as spam long before anybody complains; then fewer people answer it.

use std::collections::BTreeMap;

use crate::domain::call::{Direction, LegEvent, Status};
use crate::domain::phone::VirtualNumber;

/// Number of days of which the health is shown and judged, the present one included.
pub const DAYS: i64 = 7;

/// Least number of calls of a number, and of the others of its country, for a judgement.
const LEAST_CALLS: u64 = 50;

/// Least score of the difference, in standard deviations. Of equal numbers, one in 30,000 has it by chance.
const LEAST_SCORE: f64 = 4.0;

/// Least difference of the answer rates. A difference below it is of no use to anybody, however certain it is.
const LEAST_DROP: f64 = 0.15;

/// The end of a call to a person, as the leg to that person's phone tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegEnd {
    /// Somebody answered, or a voicemail, and talked for so long.
    Answered {
        /// Seconds from the answer.
        seconds: u32,
    },
    /// Nobody answered.
    Failed(Failure),
}

/// The reason for which nobody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The line was busy.
    Busy,
    /// The caller hung up before an answer.
    Cancelled,
    /// It rang for too long.
    Timeout,
    /// No answer, or the phone could not be reached.
    Unanswered,
    /// Refused by the callee or the carrier.
    Rejected,
    /// Could not be placed.
    Failed,
}

impl Failure {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::Busy, Self::Cancelled, Self::Timeout, Self::Unanswered, Self::Rejected, Self::Failed];

    /// Returns the carrier's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Unanswered => "unanswered",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

impl LegEnd {
    /// Returns the end that an event of a leg tells, if it ends the leg to a called phone.
    pub fn of(direction: Direction, event: &LegEvent) -> Option<Self> {
        if direction != Direction::Outbound {
            return None;
        }
        let failure = match event.status {
            Status::Completed | Status::Disconnected => match event.facts.duration.unwrap_or_default() {
                0 => Failure::Unanswered,
                seconds => return Some(Self::Answered { seconds }),
            },
            Status::Busy => Failure::Busy,
            Status::Cancelled => Failure::Cancelled,
            Status::Timeout => Failure::Timeout,
            Status::Unanswered => Failure::Unanswered,
            Status::Rejected => Failure::Rejected,
            Status::Failed => Failure::Failed,
            Status::Started | Status::Ringing | Status::Answered | Status::Human | Status::Machine => return None,
        };
        Some(Self::Failed(failure))
    }
}

/// Sums of the calls that show a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Number of calls.
    pub calls: u64,
    /// Number of calls that were answered.
    pub answered: u64,
    /// Seconds of the answered ones together.
    pub seconds: u64,
    /// The others, by reason.
    pub failed: BTreeMap<Failure, u64>,
}

impl Health {
    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.seconds += other.seconds;
        for (failure, count) in &other.failed {
            *self.failed.entry(*failure).or_default() += count;
        }
    }

    /// Returns the mean length of an answered call, in seconds, if there was any.
    pub fn mean_seconds(&self) -> Option<u64> {
        self.seconds.checked_div(self.answered)
    }

    /// Returns the calls and answers without those of a part.
    fn without(&self, part: &Self) -> Self {
        Self { calls: self.calls - part.calls, answered: self.answered - part.answered, ..Self::default() }
    }

    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn rate(&self) -> f64 {
        self.answered as f64 / self.calls.max(1) as f64
    }

    /// True if far fewer calls are answered than of the `others`: a one-sided two-proportion z-test, with a least number of calls
    /// and a least difference.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn falls_off(&self, others: &Self) -> bool {
        if self.calls < LEAST_CALLS || others.calls < LEAST_CALLS {
            return false;
        }
        let pooled = (self.answered + others.answered) as f64 / (self.calls + others.calls) as f64;
        let variance = pooled * (1.0 - pooled) * (1.0 / self.calls as f64 + 1.0 / others.calls as f64);
        let drop = others.rate() - self.rate();
        drop >= LEAST_DROP && drop >= LEAST_SCORE * variance.sqrt()
    }
}

/// Returns the numbers that fall off against the others, which are all of one country. The best of the others is left out if
/// there are enough without it, so that one number that is answered unusually often makes no others fall off.
pub fn unhealthy(numbers: &BTreeMap<VirtualNumber, Health>) -> Vec<&VirtualNumber> {
    let mut all = Health::default();
    numbers.values().for_each(|health| all.add(health));
    let judged = numbers.iter().filter(|(_, health)| health.calls >= LEAST_CALLS);
    let best = judged.max_by(|(_, one), (_, other)| one.rate().total_cmp(&other.rate()));
    let falls_off = |number: &VirtualNumber, health: &Health| {
        let others = all.without(health);
        let best = best.filter(|(best, _)| *best != number).map(|(_, health)| others.without(health));
        health.falls_off(&best.filter(|rest| rest.calls >= LEAST_CALLS).unwrap_or(others))
    };
    numbers.iter().filter(|(number, health)| falls_off(number, health)).map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::call::LegFacts;
    use crate::domain::phone::PhoneNumber;

    fn number(nth: u64) -> VirtualNumber {
        PhoneNumber::try_from((447_451_000_001 + nth).to_string().as_str()).unwrap().into()
    }

    fn health(calls: u64, answered: u64) -> Health {
        Health { calls, answered, ..Health::default() }
    }

    fn found(healths: &[Health]) -> Vec<VirtualNumber> {
        let numbers = healths.iter().cloned().zip(0..).map(|(health, nth)| (number(nth), health)).collect();
        unhealthy(&numbers).into_iter().cloned().collect()
    }

    #[test]
    fn leg_ends_once_with_an_answer_or_a_reason() {
        let event = |status, duration| LegEvent {
            conversation_uuid: "CON-1".to_owned(),
            uuid: "1".to_owned(),
            status,
            timestamp: None,
            facts: LegFacts { duration, ..LegFacts::default() },
        };
        let end = |status, duration| LegEnd::of(Direction::Outbound, &event(status, duration));
        assert_eq!(end(Status::Completed, Some(42)), Some(LegEnd::Answered { seconds: 42 }));
        assert_eq!(end(Status::Completed, Some(0)), Some(LegEnd::Failed(Failure::Unanswered)));
        assert_eq!(end(Status::Rejected, None), Some(LegEnd::Failed(Failure::Rejected)));
        assert_eq!(end(Status::Answered, None), None);
        assert_eq!(LegEnd::of(Direction::Inbound, &event(Status::Completed, Some(42))), None);
    }

    #[test]
    fn number_that_few_people_answer_is_found() {
        assert_eq!(found(&[health(100, 70), health(100, 68), health(100, 20)]), [number(2)]);
        assert_eq!(found(&[health(60, 45), health(60, 10)]), [number(1)]);
        // One that is answered more often than usual makes no others fall off.
        assert_eq!(found(&[health(100, 40), health(100, 40), health(100, 95)]), []);
    }

    #[test]
    fn few_calls_and_small_differences_are_no_finding() {
        assert_eq!(found(&[health(1000, 700), health(49, 0)]), []);
        assert_eq!(found(&[health(49, 49), health(100, 0)]), [], "there is nothing to compare with");
        assert_eq!(found(&[health(100, 0)]), []);
        let many = 1_000_000;
        assert_eq!(found(&[health(many, many / 2), health(many, many * 4 / 10)]), [], "certain, but small");
        assert_eq!(found(&[health(100, 0), health(100, 0)]), [], "a whole country that nobody answers");
    }

    #[test]
    fn equal_numbers_raise_no_false_alarm() {
        let mut random = fastrand::Rng::with_seed(20_261_130);
        for week in 0..500 {
            let rate = 0.2 + 0.6 * random.f64();
            let mut one = || {
                let calls = random.u64(50..400);
                health(calls, (0..calls).filter(|_| random.f64() < rate).count() as u64)
            };
            let week_of_20: Vec<_> = (0..20).map(|_| one()).collect();
            assert_eq!(found(&week_of_20), [], "week {week}, answer rate {rate}");
        }
    }

    #[test]
    fn number_that_loses_half_of_its_answers_is_found_in_most_weeks() {
        let mut random = fastrand::Rng::with_seed(20_261_130);
        let mut one = |rate| health(200, (0..200).filter(|_| random.f64() < rate).count() as u64);
        let weeks = (0..200).filter(|_| {
            let mut week: Vec<_> = (0..20).map(|_| one(0.6)).collect();
            week.push(one(0.3));
            found(&week) == [number(20)]
        });
        assert!(weeks.count() >= 190);
    }
}
