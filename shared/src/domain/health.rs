//! The health of virtual numbers: how many calls that show a number are answered, and which number falls off against the others of
//! its country. Phones show a number as spam long before anybody complains; then fewer people answer it. Often it is one network that
//! does so, and the people of all others answer as before.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::call::{Direction, LegEvent, Status};
use crate::domain::network::Network;
use crate::domain::phone::VirtualNumber;

/// Number of days of which the health is shown and judged, the present one included.
pub const DAYS: i64 = 7;

/// Least number of calls of a number, and of the others of its country, for a judgement.
const LEAST_CALLS: u64 = 50;

/// Least score of the difference, in standard deviations. Of equal numbers, one in 30,000 has it by chance.
const LEAST_SCORE: f64 = 4.0;

/// The same for the people of one network. There are many more comparisons of these; of equal numbers, one in three million has it by
/// chance.
const LEAST_SCORE_WITH_NETWORK: f64 = 5.0;

/// Most networks of which the calls with a number are counted apart on one day.
pub const MOST_NETWORKS: u64 = 20;

/// Least number of calls to people of a network for showing them: fewer tell more of persons than of the network.
pub const LEAST_SHOWN: u64 = 10;

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

/// Sums of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Number of calls.
    pub calls: u64,
    /// Number of calls that were answered.
    pub answered: u64,
    /// Seconds of the answered ones together.
    pub seconds: u64,
}

impl Calls {
    /// Adds other sums.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.seconds += other.seconds;
    }

    /// Returns the mean length of an answered call, in seconds, if there was any.
    pub fn mean_seconds(&self) -> Option<u64> {
        self.seconds.checked_div(self.answered)
    }

    /// Returns the sums without those of a part.
    fn without(self, part: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(part.calls),
            answered: self.answered.saturating_sub(part.answered),
            seconds: self.seconds.saturating_sub(part.seconds),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn rate(self) -> f64 {
        self.answered as f64 / self.calls.max(1) as f64
    }
}

/// The calls that show a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// All of them.
    pub all: Calls,
    /// Those that nobody answered, by reason.
    pub failed: BTreeMap<Failure, u64>,
    /// Those to phones of a network, for no more than [`MOST_NETWORKS`] of them a day. The rest of the calls is in none.
    pub networks: BTreeMap<Network, Calls>,
    /// The networks with which the number was found to fall off today.
    pub falls_off_with: BTreeSet<Network>,
}

impl Health {
    /// Adds the calls of another day.
    pub fn add(&mut self, other: Self) {
        self.all.add(other.all);
        for (failure, count) in other.failed {
            *self.failed.entry(failure).or_default() += count;
        }
        for (network, calls) in other.networks {
            self.networks.entry(network).or_default().add(calls);
        }
        self.falls_off_with.extend(other.falls_off_with);
    }

    /// Returns the calls by network. `None` stands for those that are in none.
    fn by_network(&self) -> ByNetwork {
        let mut rest = self.all;
        for calls in self.networks.values() {
            rest = rest.without(*calls);
        }
        let networks = self.networks.iter().map(|(network, calls)| (Some(*network), *calls));
        networks.chain([(None, rest)]).filter(|(_, calls)| calls.calls > 0).collect()
    }
}

/// Calls by the network of the called phone.
type ByNetwork = BTreeMap<Option<Network>, Calls>;

/// The comparison of the calls of one number with those of others, network by network: people of one network are compared only with
/// people of the same, so that a number is not blamed for the networks that its callees have. A Cochran-Mantel-Haenszel test; with
/// one network it is the two-proportion z-test.
#[derive(Default)]
struct Comparison {
    /// Calls of the number with networks that the others have too.
    calls: u64,
    /// Calls of the others with networks that the number has too.
    of_others: u64,
    /// Sum of the weights of the networks.
    weight: f64,
    /// Differences of the answer rates, weighted.
    drop: f64,
    /// Variance of `drop` if all numbers are equal.
    variance: f64,
}

impl Comparison {
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn of(own: &ByNetwork, others: &ByNetwork) -> Self {
        let mut comparison = Self::default();
        for (network, own) in own {
            let Some(others) = others.get(network).filter(|others| others.calls > 0) else { continue };
            let (calls, of_others) = (own.calls as f64, others.calls as f64);
            let pooled = (own.answered + others.answered) as f64 / (calls + of_others);
            let weight = calls * of_others / (calls + of_others);
            comparison.calls += own.calls;
            comparison.of_others += others.calls;
            comparison.weight += weight;
            comparison.drop += weight * (others.rate() - own.rate());
            comparison.variance += weight * pooled * (1.0 - pooled);
        }
        comparison
    }

    /// True if there are enough calls for a judgement.
    fn has_enough(&self) -> bool {
        self.calls >= LEAST_CALLS && self.of_others >= LEAST_CALLS
    }

    /// True if far fewer calls of the number are answered: one-sided, with a least difference.
    fn falls_off(&self, least_score: f64) -> bool {
        let is_large = self.drop >= LEAST_DROP * self.weight;
        self.has_enough() && is_large && self.drop >= least_score * self.variance.sqrt()
    }
}

/// Returns the numbers that fall off against the others, which are all of one country, each network compared with the same.
pub fn unhealthy(numbers: &BTreeMap<VirtualNumber, Health>) -> Vec<&VirtualNumber> {
    let numbers = numbers.iter().map(|(number, health)| (number, health.by_network())).collect();
    falling_off(&numbers, LEAST_SCORE)
}

/// Returns the numbers that fall off with the people of a network, and these networks. One that blocks a number, or shows it as spam,
/// leaves the calls to all other people as they were.
pub fn unhealthy_with(numbers: &BTreeMap<VirtualNumber, Health>) -> BTreeMap<&VirtualNumber, BTreeSet<Network>> {
    let networks: BTreeSet<Network> = numbers.values().flat_map(|health| health.networks.keys().copied()).collect();
    let mut found: BTreeMap<&VirtualNumber, BTreeSet<Network>> = BTreeMap::new();
    for network in networks {
        let with_network = |(number, health): (_, &Health)| {
            let calls = health.networks.get(&network)?;
            Some((number, ByNetwork::from([(Some(network), *calls)])))
        };
        for number in falling_off(&numbers.iter().filter_map(with_network).collect(), LEAST_SCORE_WITH_NETWORK) {
            found.entry(number).or_default().insert(network);
        }
    }
    found
}

/// Returns the numbers that fall off against the others. The best of the others is left out if there are enough without it, so that
/// one number that is answered unusually often makes no others fall off.
fn falling_off<'a>(numbers: &BTreeMap<&'a VirtualNumber, ByNetwork>, least_score: f64) -> Vec<&'a VirtualNumber> {
    let mut all = ByNetwork::new();
    for (network, calls) in numbers.values().flatten() {
        all.entry(*network).or_default().add(*calls);
    }
    let sum = |calls: &ByNetwork| {
        let mut sum = Calls::default();
        calls.values().for_each(|calls| sum.add(*calls));
        sum
    };
    let judged = numbers.iter().map(|(number, calls)| (*number, calls, sum(calls)));
    let judged: Vec<_> = judged.filter(|(.., sum)| sum.calls >= LEAST_CALLS).collect();
    let best = judged.iter().max_by(|(.., one), (.., other)| one.rate().total_cmp(&other.rate()));
    let falls_off = |number: &VirtualNumber, calls: &ByNetwork| {
        let others = without(&all, calls);
        let without_best = best.filter(|(best, ..)| *best != number).map(|(_, best, _)| without(&others, best));
        let comparison = without_best.map(|rest| Comparison::of(calls, &rest)).filter(Comparison::has_enough);
        comparison.unwrap_or_else(|| Comparison::of(calls, &others)).falls_off(least_score)
    };
    let found = judged.iter().filter(|(number, calls, _)| falls_off(number, calls));
    found.map(|(number, ..)| *number).collect()
}

/// Returns the calls by network without those of a part.
fn without(all: &ByNetwork, part: &ByNetwork) -> ByNetwork {
    let left = |(network, calls): (&Option<Network>, &Calls)| {
        (*network, calls.without(part.get(network).copied().unwrap_or_default()))
    };
    all.iter().map(left).collect()
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
        Health { all: Calls { calls, answered, ..Calls::default() }, ..Health::default() }
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
    fn number_without_calls_is_neither_found_nor_compared_with() {
        assert_eq!(found(&[]), []);
        assert_eq!(found(&[health(0, 0)]), []);
        assert_eq!(found(&[health(0, 0), health(0, 0), health(0, 0)]), []);
        assert_eq!(found(&[health(0, 0), health(100, 0)]), [], "nobody else has called");
        assert_eq!(found(&[health(0, 0), health(100, 70), health(100, 20)]), [number(2)]);
        let with = |answered| by_network(&[("GB-23410", 100, answered), ("GB-23415", 0, 0)]);
        assert_eq!(found_with(&[with(70), with(70), with(10)]), [(number(2), vec!["GB-23410".to_owned()])]);
        assert_eq!(Calls::default().mean_seconds(), None);
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

    /// The calls to people of each network, and how many of these were answered.
    fn by_network(networks: &[(&str, u64, u64)]) -> Health {
        let mut health = Health::default();
        for (network, calls, answered) in networks {
            let calls = Calls { calls: *calls, answered: *answered, ..Calls::default() };
            health.add(Health {
                all: calls,
                networks: BTreeMap::from([(network.parse().unwrap(), calls)]),
                ..Health::default()
            });
        }
        health
    }

    fn found_with(healths: &[Health]) -> Vec<(VirtualNumber, Vec<String>)> {
        let numbers = healths.iter().cloned().zip(0..).map(|(health, nth)| (number(nth), health)).collect();
        let found = unhealthy_with(&numbers).into_iter();
        found.map(|(number, networks)| (number.clone(), networks.iter().map(ToString::to_string).collect())).collect()
    }

    #[test]
    fn number_that_one_network_blocks_is_found_with_that_network() {
        let good = || by_network(&[("GB-23410", 100, 70), ("GB-23415", 100, 60), ("GB", 100, 65)]);
        let blocked = by_network(&[("GB-23410", 100, 70), ("GB-23415", 60, 3), ("GB", 400, 260)]);
        let numbers = [good(), good(), blocked];
        assert_eq!(found(&numbers), [], "the people of all other networks answer it");
        assert_eq!(found_with(&numbers), [(number(2), vec!["GB-23415".to_owned()])]);
    }

    #[test]
    fn network_whose_people_answer_nobody_makes_no_number_fall_off() {
        let with = |good, bad| by_network(&[("GB-23410", good, good * 7 / 10), ("GB-23415", bad, bad / 10)]);
        // The last one is shown mostly to people of the bad network.
        let numbers = [with(300, 60), with(300, 60), with(20, 300)];
        assert_eq!(found(&numbers), []);
        assert_eq!(found_with(&numbers), []);
    }

    #[test]
    fn number_that_falls_off_with_all_networks_is_found() {
        let with = |of_ten: u64| by_network(&[("GB-23410", 100, 10 * of_ten), ("FR-20801", 40, 4 * of_ten)]);
        assert_eq!(found(&[with(7), with(6), with(2)]), [number(2)]);
        // Calls that are in no network are compared with their like, of which the others have none.
        let mut older = with(7);
        older.add(health(500, 50));
        assert_eq!(found(&[with(7), with(6), older]), []);
    }

    #[test]
    fn few_calls_with_a_network_are_no_finding() {
        let with = |calls, answered| by_network(&[("GB-23415", calls, answered), ("GB", 500, 350)]);
        assert_eq!(found_with(&[with(200, 140), with(49, 0)]), []);
        assert_eq!(found_with(&[with(49, 49), with(200, 0)]), [], "there is nothing to compare with");
    }
}
