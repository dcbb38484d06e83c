//! The choice of the virtual numbers that two people dial.
//!
//! A number is free for a caller who has no live or quarantined route under it, whoever else uses it. So a country needs as
//! many numbers as its busiest caller has routes, and not one more.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::domain::caller_routes::{CallerRoutes, RoutesInUse};
use crate::domain::conversation::ConversationId;
use crate::domain::country::Country;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::side::Side;

/// A number that can be given to conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyNumber {
    /// The number.
    pub number: VirtualNumber,
    /// The country that it is rented in.
    pub country: Country,
    /// True if it can send text messages.
    pub texts: bool,
}

/// A caller who needs a number to dial.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The real number.
    pub number: &'a RealNumber,
    /// Its country.
    pub country: Country,
    /// Its calling code, such as `44`.
    pub calling_code: &'a str,
    /// The routes that this caller has and had.
    pub routes: &'a CallerRoutes,
}

/// The criteria of the choice, other than the two callers.
#[derive(Debug, Clone, Copy)]
pub struct Criteria<'a> {
    /// The numbers to choose from.
    pub ready: &'a [ReadyNumber],
    /// Countries whose numbers are given to callers of any country if neither their own country nor their calling code has
    /// a free one. The preferred country comes first.
    pub fallback: &'a [Country],
    /// True if each number will send a text message.
    pub texts: bool,
    /// The current time.
    pub now: Timestamp,
}

/// The reason of a refusal: no number is free for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFreeNumber {
    /// The side of the caller.
    pub side: Side,
    /// The caller's country.
    pub country: Country,
    /// Count of ready numbers in that country.
    pub ready: usize,
    /// The routes that this caller uses.
    pub in_use: RoutesInUse,
    /// The time at which the next suitable number becomes free for this caller, if there is a suitable number.
    pub next_free_at: Option<Timestamp>,
    /// Seconds from now until that time.
    pub next_free_in: Option<u32>,
}

/// Chooses a number for each of two callers that is free for that caller.
///
/// The same two people get the same numbers again. Otherwise numbers are preferred in this order:
///
/// 1. of the caller's own country, then with its calling code, then of the fallback countries;
/// 2. able to send text messages, if text messages will be sent;
/// 3. never used by this caller, then unused for the longest time;
/// 4. by a hash of the two callers and the number, so that all numbers are used evenly.
///
/// The two numbers differ if neither caller then gets a worse one.
///
/// Returns an error for each caller without a free number.
pub fn choose_pair(callers: [Caller<'_>; 2], criteria: Criteria<'_>) -> Result<[VirtualNumber; 2], Vec<NoFreeNumber>> {
    let [a, b] = callers;
    let last = latest_shared_conversation(a.routes, b.routes);
    let choose = |side: Side, caller: Caller<'_>, other: Caller<'_>| {
        choose(caller, other, last, criteria).ok_or_else(|| no_free_number(side, caller, criteria))
    };
    let (a, b) = match (choose(Side::A, a, b), choose(Side::B, b, a)) {
        (Ok(a), Ok(b)) => (a, b),
        (a, b) => return Err([a.err(), b.err()].into_iter().flatten().collect()),
    };
    let pair = match (a.best == b.best, a.next, b.next) {
        (true, Some(next_a), Some(next_b)) if next_a.0 < next_b.0 => [next_a.1, b.best],
        (true, _, Some((_, next))) => [a.best, next],
        (true, Some((_, next)), None) => [next, b.best],
        _ => [a.best, b.best],
    };
    Ok(pair.map(VirtualNumber::clone))
}

struct Choice<'a> {
    best: &'a VirtualNumber,
    /// The second best, if it equals the best in all but its last use and its hash.
    next: Option<(Rank, &'a VirtualNumber)>,
}

/// The rank of a number for a caller. The lowest is the best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// True unless this caller last dialled it to reach the same person.
    is_new: bool,
    /// See [`tier`].
    tier: usize,
    /// True if it cannot send the text message, and another free number of the same tier can.
    lacks_texts: bool,
    /// End of this caller's last quarantine under it. `None`, for never used, is the lowest.
    last_used: Option<Timestamp>,
    hash: u64,
}

fn choose<'a>(
    caller: Caller<'_>,
    other: Caller<'_>,
    last: Option<ConversationId>,
    criteria: Criteria<'a>,
) -> Option<Choice<'a>> {
    let free: Vec<_> = criteria
        .ready
        .iter()
        .filter(|ready| !caller.routes.uses(&ready.number, criteria.now))
        .filter_map(|ready| Some((ready, tier(caller, ready, criteria.fallback)?)))
        .collect();
    let tiers_with_texts: HashSet<usize> =
        free.iter().filter(|(ready, _)| ready.texts).map(|(_, tier)| *tier).collect();
    let mut ranked: Vec<_> = free
        .into_iter()
        .map(|(ready, tier)| {
            let route = caller.routes.by_number.get(&ready.number);
            let lacks_texts = criteria.texts && !ready.texts && tiers_with_texts.contains(&tier);
            let was_shared = last.is_some_and(|last| route.is_some_and(|route| route.history().any(|id| id == last)));
            let is_new = lacks_texts || !was_shared;
            let last_used = route.map(|route| route.quarantined_until);
            let hash = pair_hash(&ready.number, caller.number, other.number);
            (Rank { is_new, tier, lacks_texts, last_used, hash }, &ready.number)
        })
        .collect();
    ranked.sort_unstable_by_key(|(rank, _)| *rank);
    let (best, number) = *ranked.first()?;
    let class = |rank: Rank| (rank.is_new, rank.tier, rank.lacks_texts);
    let next = ranked.get(1).filter(|(next, _)| class(*next) == class(best));
    Some(Choice { best: number, next: next.copied() })
}

/// Returns the distance of a number for a caller: 0 in the own country, 1 with the same calling code, then the position in the
/// fallback list. Returns `None` if the number must not be given to this caller.
fn tier(caller: Caller<'_>, ready: &ReadyNumber, fallback: &[Country]) -> Option<usize> {
    if ready.country == caller.country {
        return Some(0);
    }
    // No calling code is the prefix of another one.
    if ready.number.as_str().starts_with(caller.calling_code) {
        return Some(1);
    }
    fallback.iter().position(|country| *country == ready.country).map(|position| position + 2)
}

/// Returns the latest conversation that is in the history of both callers.
fn latest_shared_conversation(a: &CallerRoutes, b: &CallerRoutes) -> Option<ConversationId> {
    let of_b: HashSet<_> = b.by_number.values().flat_map(|route| route.history()).collect();
    a.by_number.values().flat_map(|route| route.history()).filter(|id| of_b.contains(id)).max()
}

/// Hashes a number with two callers, which gives each pair of callers its own order of the numbers.
///
/// FNV-1a, followed by the finalizer of splitmix64: without it the last digits would hardly change the order. Unlike the
/// standard library's hash, it never changes.
fn pair_hash(number: &VirtualNumber, caller: &RealNumber, other: &RealNumber) -> u64 {
    let bytes = [caller.expose(), other.expose(), number.as_str()].into_iter().flat_map(str::bytes);
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn no_free_number(side: Side, caller: Caller<'_>, criteria: Criteria<'_>) -> NoFreeNumber {
    let is_suitable = |number: &VirtualNumber| {
        let mut ready = criteria.ready.iter().filter(|ready| ready.number == *number);
        ready.any(|ready| tier(caller, ready, criteria.fallback).is_some())
    };
    let next_free_at = caller
        .routes
        .in_use(criteria.now)
        .filter(|(number, _)| is_suitable(number))
        .map(|(_, route)| route.quarantined_until)
        .min();
    let seconds = |time: Timestamp| u32::try_from(time.as_second() - criteria.now.as_second()).ok();
    NoFreeNumber {
        side,
        country: caller.country,
        ready: criteria.ready.iter().filter(|ready| ready.country == caller.country).count(),
        in_use: caller.routes.count_in_use(criteria.now),
        next_free_at,
        next_free_in: next_free_at.and_then(seconds),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::caller_routes::CallerRoute;
    use crate::domain::phone::PhoneNumber;

    const RIDER: &str = "447700900001";
    const DRIVER: &str = "447700900002";

    fn number<T: From<PhoneNumber>>(digits: &str) -> T {
        PhoneNumber::try_from(digits).unwrap().into()
    }

    fn country(code: &str) -> Country {
        Country::try_from(code).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn after(seconds: i64) -> Timestamp {
        now() + SignedDuration::from_secs(seconds)
    }

    fn id(second: i64) -> ConversationId {
        ConversationId::generate(after(second))
    }

    fn ready(numbers: &[(&str, &str)]) -> Vec<ReadyNumber> {
        let ready = |(code, digits): &(&str, &str)| ReadyNumber {
            number: number(digits),
            country: country(code),
            texts: !digits.starts_with("442"),
        };
        numbers.iter().map(ready).collect()
    }

    /// Routes by (number, conversation, seconds until it is free).
    fn routes(routes: &[(&str, ConversationId, i64)]) -> CallerRoutes {
        let route = |(digits, conversation, seconds): &(&str, ConversationId, i64)| {
            let (expires_at, quarantined_until) = (after(seconds - 60), after(*seconds));
            let conversation = Some(*conversation);
            (number(digits), CallerRoute { conversation, expires_at, quarantined_until, previous: Vec::new() })
        };
        CallerRoutes { by_number: routes.iter().map(route).collect(), is_virtual: false }
    }

    fn in_use(numbers: &[&str]) -> CallerRoutes {
        routes(&numbers.iter().map(|digits| (*digits, ConversationId::generate(now()), 100)).collect::<Vec<_>>())
    }

    struct Case<'a> {
        ready: &'a [(&'a str, &'a str)],
        fallback: &'a [&'a str],
        texts: bool,
    }

    const GB2: Case<'static> = Case { ready: &[("GB", "4474001"), ("GB", "4474002")], fallback: &[], texts: false };

    impl Case<'_> {
        fn choose(&self, rider: &CallerRoutes, driver: &CallerRoutes) -> Result<[String; 2], Vec<NoFreeNumber>> {
            let ready = ready(self.ready);
            let fallback: Vec<_> = self.fallback.iter().map(|code| country(code)).collect();
            let criteria = Criteria { ready: &ready, fallback: &fallback, texts: self.texts, now: now() };
            let numbers = [number(RIDER), number(DRIVER)];
            let caller = |index: usize, routes| Caller {
                number: &numbers[index],
                country: country("GB"),
                calling_code: "44",
                routes,
            };
            choose_pair([caller(0, rider), caller(1, driver)], criteria)
                .map(|pair| pair.map(|number| number.to_string()))
        }
    }

    #[test]
    fn each_caller_gets_a_free_number_and_both_differ_if_possible() {
        let nothing = in_use(&[]);
        for (rider, driver, expected) in [
            (in_use(&["4474001"]), in_use(&[]), ["4474002", "4474001"]),
            (in_use(&["4474002"]), in_use(&[]), ["4474001", "4474002"]),
            (in_use(&[]), in_use(&["4474001"]), ["4474001", "4474002"]),
            (in_use(&["4474002"]), in_use(&["4474002"]), ["4474001", "4474001"]),
        ] {
            assert_eq!(GB2.choose(&rider, &driver).unwrap(), expected);
        }
        let [rider, driver] = GB2.choose(&nothing, &nothing).unwrap();
        assert_ne!(rider, driver);
        let one = Case { ready: &[("GB", "4474001")], ..GB2 };
        assert_eq!(one.choose(&nothing, &nothing).unwrap(), ["4474001", "4474001"]);
    }

    #[test]
    fn refusal_names_side_routes_in_use_and_next_free_time() {
        let mut driver = routes(&[("4474001", id(0), 100), ("4474002", id(0), 50), ("33600001", id(0), 10)]);
        driver
            .by_number
            .insert(number("4474009"), routes(&[("4474009", id(0), -1)]).by_number[&number("4474009")].clone());
        let [refused] = GB2.choose(&in_use(&[]), &driver).unwrap_err().try_into().unwrap();
        assert_eq!(
            refused,
            NoFreeNumber {
                side: Side::B,
                country: country("GB"),
                ready: 2,
                in_use: RoutesInUse { live: 1, quarantined: 2 },
                next_free_at: Some(after(50)),
                next_free_in: Some(50),
            }
        );
        let empty = Case { ready: &[], ..GB2 };
        let refused = empty.choose(&in_use(&[]), &in_use(&[])).unwrap_err();
        assert_eq!(refused.iter().map(|refused| refused.side).collect::<Vec<_>>(), Side::BOTH);
        assert_eq!((refused[0].ready, refused[0].next_free_at), (0, None));
    }

    #[test]
    fn own_country_precedes_calling_code_and_fallback() {
        let all = [("FR", "33600001"), ("US", "12010001"), ("JE", "4477001"), ("GB", "4474001")];
        let nothing = in_use(&[]);
        let mut taken = Vec::new();
        for expected in ["4474001", "4477001", "12010001", "33600001"] {
            let case = Case { ready: &all, fallback: &["US", "FR"], texts: false };
            assert_eq!(case.choose(&in_use(&taken), &nothing).unwrap()[0], expected);
            taken.push(expected);
        }
        let refusing = Case { ready: &all, fallback: &[], texts: false };
        assert!(refusing.choose(&in_use(&["4474001", "4477001"]), &nothing).is_err());
    }

    #[test]
    fn numbers_that_can_text_come_first_if_texts_are_sent() {
        let all = [("GB", "4420001"), ("GB", "4474001"), ("JE", "4477001")];
        let texting = Case { ready: &all, fallback: &[], texts: true };
        assert_eq!(texting.choose(&in_use(&[]), &in_use(&["4474001"])).unwrap(), ["4474001", "4420001"]);
    }

    #[test]
    fn same_two_people_get_the_same_numbers_again() {
        let five: Vec<_> = ["4474001", "4474002", "4474003", "4474004", "4474005"].map(|digits| ("GB", digits)).into();
        let case = Case { ready: &five, fallback: &[], texts: false };
        // Their last conversation started at 20. The rider has used its number for somebody else since.
        let [first, last] = [id(10), id(20)];
        let mut rider = routes(&[("4474003", id(30), -1), ("4474004", first, -1), ("4474005", id(25), -1)]);
        rider.by_number.get_mut(&number("4474003")).unwrap().previous = vec![last];
        let driver = routes(&[("4474002", last, -1), ("4474001", first, -1)]);
        assert_eq!(case.choose(&rider, &driver).unwrap(), ["4474003", "4474002"]);
        // If one number is not free, the other one stays the same.
        rider.by_number.get_mut(&number("4474003")).unwrap().quarantined_until = after(1);
        let [elsewhere, again] = case.choose(&rider, &driver).unwrap();
        assert!(elsewhere != "4474003" && again == "4474002");
    }

    #[test]
    fn same_numbers_are_kept_only_if_no_equal_number_can_text() {
        let last = id(1);
        let (rider, driver) = (routes(&[("4420001", last, -1)]), routes(&[("4420002", last, -1)]));
        let mute = [("GB", "4420001"), ("GB", "4420002"), ("GB", "4420003"), ("JE", "4477001")];
        let all_mute = Case { ready: &mute, fallback: &[], texts: true };
        assert_eq!(all_mute.choose(&rider, &driver).unwrap(), ["4420001", "4420002"]);
        let texting = [("GB", "4420001"), ("GB", "4420002"), ("GB", "4474001"), ("GB", "4474002")];
        let some_text = Case { ready: &texting, fallback: &[], texts: true };
        assert!(some_text.choose(&rider, &driver).unwrap().iter().all(|number| number.starts_with("4474")));
    }

    #[test]
    fn unused_number_precedes_the_one_unused_for_longest() {
        let three = [("GB", "4474001"), ("GB", "4474002"), ("GB", "4474003")];
        let case = Case { ready: &three, fallback: &[], texts: false };
        let rider = routes(&[("4474001", id(1), -10), ("4474002", id(2), -20)]);
        assert_eq!(case.choose(&rider, &in_use(&["4474001"])).unwrap()[0], "4474003");
        let rider = routes(&[("4474001", id(1), -10), ("4474002", id(2), -20), ("4474003", id(3), 1)]);
        assert_eq!(case.choose(&rider, &in_use(&["4474001"])).unwrap()[0], "4474002");
    }

    #[test]
    fn caller_gets_different_numbers_for_different_people() {
        let ready: Vec<_> = (0..10).map(|index| format!("44740000{index}")).collect();
        let ready = super::tests::ready(&ready.iter().map(|digits| ("GB", digits.as_str())).collect::<Vec<_>>());
        let order = |other: u32| {
            let (rider, other) = (number(RIDER), number(&format!("44770091{other:04}")));
            ready.iter().map(|ready| pair_hash(&ready.number, &rider, &other)).enumerate().min_by_key(|(_, hash)| *hash)
        };
        let firsts: HashSet<_> = (0..10).filter_map(|other| order(other).map(|(index, _)| index)).collect();
        assert!(firsts.len() >= 4, "{firsts:?}");
    }

    #[test]
    fn numbers_are_used_evenly_over_many_callers() {
        let ready: Vec<_> = (0..10).map(|index| format!("44740000{index}")).collect();
        let ready: Vec<_> = ready.iter().map(|digits| ("GB", digits.as_str())).collect();
        let ready = super::tests::ready(&ready);
        let criteria = Criteria { ready: &ready, fallback: &[], texts: false, now: now() };
        let nothing = CallerRoutes::default();
        let mut uses = std::collections::HashMap::<String, u32>::new();
        for index in 0..5_000 {
            let numbers = [number(&format!("44770090{index:04}")), number(&format!("44770091{index:04}"))];
            let caller = |index: usize| Caller {
                number: &numbers[index],
                country: country("GB"),
                calling_code: "44",
                routes: &nothing,
            };
            for chosen in choose_pair([caller(0), caller(1)], criteria).unwrap() {
                *uses.entry(chosen.to_string()).or_default() += 1;
            }
        }
        // 1000 each, give or take four standard deviations.
        assert!(uses.len() == 10 && uses.values().all(|uses| (880..1120).contains(uses)), "{uses:?}");
    }
}
