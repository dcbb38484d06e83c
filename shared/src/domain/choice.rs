//! Which virtual number each of two people gets to dial.
//!
//! A number is free for a caller to whom no live or quarantined route under it belongs, whatever it is to everybody
//! else. So a country needs as many numbers as its busiest caller holds keys, and not one more.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::domain::caller_routes::{CallerRoutes, Held};
use crate::domain::conversation::ConversationId;
use crate::domain::country::Country;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::side::Side;

/// A number that conversations may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyNumber {
    /// The number.
    pub number: VirtualNumber,
    /// The country that it is rented in.
    pub country: Country,
    /// Whether texts can be sent from it.
    pub texts: bool,
}

/// Somebody who is to dial a number.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The own phone.
    pub number: &'a RealNumber,
    /// Its country.
    pub country: Country,
    /// Its calling code, such as `44`.
    pub calling_code: &'a str,
    /// What this caller holds and has held.
    pub keys: &'a CallerRoutes,
}

/// What the choice depends on beside the two callers.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The numbers that may be given.
    pub ready: &'a [ReadyNumber],
    /// Countries whose numbers may be given to people of any country, the preferred one first, when neither their own
    /// country nor their calling code has one.
    pub fallback: &'a [Country],
    /// Whether a text is to be sent from each number.
    pub texts: bool,
    /// The time.
    pub now: Timestamp,
}

/// No number is free for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoneFree {
    /// For whom.
    pub side: Side,
    /// In which country.
    pub country: Country,
    /// How many numbers of that country conversations may be given.
    pub ready: usize,
    /// How many keys this caller holds.
    pub held: Held,
    /// When the next number that this caller may be given falls free, if there is any such number.
    pub next_free_at: Option<Timestamp>,
    /// How many seconds that is from now.
    pub next_free_in: Option<u32>,
}

/// A number for each of two callers, free for that caller.
///
/// The same two people get the same numbers again. Otherwise a caller's own country comes first, then its calling code,
/// then the fallback; numbers that can send texts come first where texts are sent; among those, the ones that this
/// caller has never had, then those that it had longest ago; and among equals a different one for each two people, so
/// that all numbers are used evenly. The two numbers differ where neither caller loses anything by it.
///
/// Tells of each caller for whom none is free.
pub fn choose_pair(callers: [Caller<'_>; 2], terms: Terms<'_>) -> Result<[VirtualNumber; 2], Vec<NoneFree>> {
    let [a, b] = callers;
    let last = last_in_common(a.keys, b.keys);
    let choose = |side: Side, caller: Caller<'_>, other: Caller<'_>| {
        choose(caller, other, last, terms).ok_or_else(|| none_free(side, caller, terms))
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
    /// The next best, if it is as near and can do as much.
    next: Option<(Merit, &'a VirtualNumber)>,
}

/// What makes a number better for a caller than another one: the less, the better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Merit {
    /// Not the one that this caller dialled last to reach the same person.
    new: bool,
    tier: usize,
    /// No text can be sent from it, one is to be sent, and another number as near could.
    mute: bool,
    last_had: Option<Timestamp>,
    spread: u64,
}

fn choose<'a>(
    caller: Caller<'_>,
    other: Caller<'_>,
    last: Option<ConversationId>,
    terms: Terms<'a>,
) -> Option<Choice<'a>> {
    let free: Vec<_> = terms
        .ready
        .iter()
        .filter(|ready| !caller.keys.hold(&ready.number, terms.now))
        .filter_map(|ready| Some((ready, tier(caller, ready, terms.fallback)?)))
        .collect();
    // The farthest that a number which can send texts is away matters only where there is one.
    let texting: HashSet<usize> = free.iter().filter(|(ready, _)| ready.texts).map(|(_, tier)| *tier).collect();
    let mut ranked: Vec<_> = free
        .into_iter()
        .map(|(ready, tier)| {
            let key = caller.keys.by_number.get(&ready.number);
            let mute = terms.texts && !ready.texts && texting.contains(&tier);
            let again = !mute && last.is_some_and(|last| key.is_some_and(|key| key.history().any(|id| id == last)));
            let last_had = key.map(|key| key.quarantined_until);
            let spread = spread(&ready.number, caller.number, other.number);
            (Merit { new: !again, tier, mute, last_had, spread }, &ready.number)
        })
        .collect();
    ranked.sort_unstable_by_key(|(merit, _)| *merit);
    let (best, number) = *ranked.first()?;
    let next = ranked.get(1).filter(|(next, _)| (next.new, next.tier, next.mute) == (best.new, best.tier, best.mute));
    Some(Choice { best: number, next: next.copied() })
}

/// How far a number is from home for a caller: 0 in the own country; none if it may not be given.
fn tier(caller: Caller<'_>, ready: &ReadyNumber, fallback: &[Country]) -> Option<usize> {
    if ready.country == caller.country {
        return Some(0);
    }
    // No calling code is the beginning of another one.
    if ready.number.as_str().starts_with(caller.calling_code) {
        return Some(1);
    }
    fallback.iter().position(|country| *country == ready.country).map(|position| position + 2)
}

/// The latest conversation that both callers remember: one of theirs with each other.
fn last_in_common(a: &CallerRoutes, b: &CallerRoutes) -> Option<ConversationId> {
    let of_b: HashSet<_> = b.by_number.values().flat_map(|key| key.history()).collect();
    a.by_number.values().flat_map(|key| key.history()).filter(|id| of_b.contains(id)).max()
}

/// An order of the numbers of its own for each two people: FNV-1a, and splitmix64's end, without which the last digits
/// would hardly count. Unlike the standard library's hash it stays the same for good.
fn spread(number: &VirtualNumber, caller: &RealNumber, other: &RealNumber) -> u64 {
    let bytes = [caller.expose(), other.expose(), number.as_str()].into_iter().flat_map(str::bytes);
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn none_free(side: Side, caller: Caller<'_>, terms: Terms<'_>) -> NoneFree {
    let may_be_given = |number: &VirtualNumber| {
        let mut ready = terms.ready.iter().filter(|ready| ready.number == *number);
        ready.any(|ready| tier(caller, ready, terms.fallback).is_some())
    };
    let next_free_at = caller
        .keys
        .held(terms.now)
        .filter(|(number, _)| may_be_given(number))
        .map(|(_, key)| key.quarantined_until)
        .min();
    let seconds = |time: Timestamp| u32::try_from(time.as_second() - terms.now.as_second()).ok();
    NoneFree {
        side,
        country: caller.country,
        ready: terms.ready.iter().filter(|ready| ready.country == caller.country).count(),
        held: caller.keys.count(terms.now),
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

    /// Keys by (number, conversation, free again after that many seconds).
    fn keys(keys: &[(&str, ConversationId, i64)]) -> CallerRoutes {
        let key = |(digits, conversation, seconds): &(&str, ConversationId, i64)| {
            let (expires_at, quarantined_until) = (after(seconds - 60), after(*seconds));
            let key =
                CallerRoute { conversation: Some(*conversation), expires_at, quarantined_until, earlier: Vec::new() };
            (number(digits), key)
        };
        CallerRoutes { by_number: keys.iter().map(key).collect(), is_virtual: false }
    }

    fn held(numbers: &[&str]) -> CallerRoutes {
        keys(&numbers.iter().map(|digits| (*digits, ConversationId::generate(now()), 100)).collect::<Vec<_>>())
    }

    struct Case<'a> {
        ready: &'a [(&'a str, &'a str)],
        fallback: &'a [&'a str],
        texts: bool,
    }

    const GB2: Case<'static> = Case { ready: &[("GB", "4474001"), ("GB", "4474002")], fallback: &[], texts: false };

    impl Case<'_> {
        fn choose(&self, rider: &CallerRoutes, driver: &CallerRoutes) -> Result<[String; 2], Vec<NoneFree>> {
            let ready = ready(self.ready);
            let fallback: Vec<_> = self.fallback.iter().map(|code| country(code)).collect();
            let terms = Terms { ready: &ready, fallback: &fallback, texts: self.texts, now: now() };
            let numbers = [number(RIDER), number(DRIVER)];
            let caller = |index: usize, keys| Caller {
                number: &numbers[index],
                country: country("GB"),
                calling_code: "44",
                keys,
            };
            choose_pair([caller(0, rider), caller(1, driver)], terms).map(|pair| pair.map(|number| number.to_string()))
        }
    }

    #[test]
    fn each_caller_gets_a_number_that_is_free_for_that_caller_and_two_different_ones_where_there_are_two() {
        let nothing = held(&[]);
        for (rider, driver, expected) in [
            (held(&["4474001"]), held(&[]), ["4474002", "4474001"]),
            (held(&["4474002"]), held(&[]), ["4474001", "4474002"]),
            (held(&[]), held(&["4474001"]), ["4474001", "4474002"]),
            (held(&["4474002"]), held(&["4474002"]), ["4474001", "4474001"]),
        ] {
            assert_eq!(GB2.choose(&rider, &driver).unwrap(), expected);
        }
        let [rider, driver] = GB2.choose(&nothing, &nothing).unwrap();
        assert_ne!(rider, driver);
        let one = Case { ready: &[("GB", "4474001")], ..GB2 };
        assert_eq!(one.choose(&nothing, &nothing).unwrap(), ["4474001", "4474001"]);
    }

    #[test]
    fn a_refusal_says_for_whom_what_is_held_and_when_the_next_number_falls_free() {
        let mut driver = keys(&[("4474001", id(0), 100), ("4474002", id(0), 50), ("33600001", id(0), 10)]);
        driver
            .by_number
            .insert(number("4474009"), keys(&[("4474009", id(0), -1)]).by_number[&number("4474009")].clone());
        let [refused] = GB2.choose(&held(&[]), &driver).unwrap_err().try_into().unwrap();
        assert_eq!(
            refused,
            NoneFree {
                side: Side::B,
                country: country("GB"),
                ready: 2,
                held: Held { live: 1, quarantined: 2 },
                next_free_at: Some(after(50)),
                next_free_in: Some(50),
            }
        );
        let empty = Case { ready: &[], ..GB2 };
        let refused = empty.choose(&held(&[]), &held(&[])).unwrap_err();
        assert_eq!(refused.iter().map(|none| none.side).collect::<Vec<_>>(), Side::BOTH);
        assert_eq!((refused[0].ready, refused[0].next_free_at), (0, None));
    }

    #[test]
    fn the_own_country_comes_first_then_the_calling_code_then_the_fallback_in_its_order() {
        let all = [("FR", "33600001"), ("US", "12010001"), ("JE", "4477001"), ("GB", "4474001")];
        let nothing = held(&[]);
        let mut taken = Vec::new();
        for expected in ["4474001", "4477001", "12010001", "33600001"] {
            let case = Case { ready: &all, fallback: &["US", "FR"], texts: false };
            assert_eq!(case.choose(&held(&taken), &nothing).unwrap()[0], expected);
            taken.push(expected);
        }
        let refusing = Case { ready: &all, fallback: &[], texts: false };
        assert!(refusing.choose(&held(&["4474001", "4477001"]), &nothing).is_err());
    }

    #[test]
    fn where_texts_are_sent_numbers_that_can_send_them_come_first_within_the_country() {
        let all = [("GB", "4420001"), ("GB", "4474001"), ("JE", "4477001")];
        let texting = Case { ready: &all, fallback: &[], texts: true };
        assert_eq!(texting.choose(&held(&[]), &held(&["4474001"])).unwrap(), ["4474001", "4420001"]);
    }

    #[test]
    fn the_same_two_people_get_the_same_numbers_again() {
        let five: Vec<_> = ["4474001", "4474002", "4474003", "4474004", "4474005"].map(|digits| ("GB", digits)).into();
        let case = Case { ready: &five, fallback: &[], texts: false };
        // Their last one was 20; the rider has used its number for somebody else since.
        let [first, last] = [id(10), id(20)];
        let mut rider = keys(&[("4474003", id(30), -1), ("4474004", first, -1), ("4474005", id(25), -1)]);
        rider.by_number.get_mut(&number("4474003")).unwrap().earlier = vec![last];
        let driver = keys(&[("4474002", last, -1), ("4474001", first, -1)]);
        assert_eq!(case.choose(&rider, &driver).unwrap(), ["4474003", "4474002"]);
        // Where one of them is not free, the other one still is the same.
        rider.by_number.get_mut(&number("4474003")).unwrap().quarantined_until = after(1);
        let [elsewhere, again] = case.choose(&rider, &driver).unwrap();
        assert!(elsewhere != "4474003" && again == "4474002");
    }

    #[test]
    fn the_same_numbers_again_come_before_texts_only_where_no_other_number_as_near_can_text() {
        let last = id(1);
        let (rider, driver) = (keys(&[("4420001", last, -1)]), keys(&[("4420002", last, -1)]));
        let mute = [("GB", "4420001"), ("GB", "4420002"), ("GB", "4420003"), ("JE", "4477001")];
        let all_mute = Case { ready: &mute, fallback: &[], texts: true };
        assert_eq!(all_mute.choose(&rider, &driver).unwrap(), ["4420001", "4420002"]);
        let texting = [("GB", "4420001"), ("GB", "4420002"), ("GB", "4474001"), ("GB", "4474002")];
        let some_text = Case { ready: &texting, fallback: &[], texts: true };
        assert!(some_text.choose(&rider, &driver).unwrap().iter().all(|number| number.starts_with("4474")));
    }

    #[test]
    fn a_number_that_the_caller_never_had_comes_first_then_the_one_had_longest_ago() {
        let three = [("GB", "4474001"), ("GB", "4474002"), ("GB", "4474003")];
        let case = Case { ready: &three, fallback: &[], texts: false };
        let rider = keys(&[("4474001", id(1), -10), ("4474002", id(2), -20)]);
        assert_eq!(case.choose(&rider, &held(&["4474001"])).unwrap()[0], "4474003");
        let rider = keys(&[("4474001", id(1), -10), ("4474002", id(2), -20), ("4474003", id(3), 1)]);
        assert_eq!(case.choose(&rider, &held(&["4474001"])).unwrap()[0], "4474002");
    }

    #[test]
    fn one_caller_gets_another_number_for_each_other_person() {
        let ready: Vec<_> = (0..10).map(|index| format!("44740000{index}")).collect();
        let ready = super::tests::ready(&ready.iter().map(|digits| ("GB", digits.as_str())).collect::<Vec<_>>());
        let order = |other: u32| {
            let (rider, other) = (number(RIDER), number(&format!("44770091{other:04}")));
            ready.iter().map(|ready| spread(&ready.number, &rider, &other)).enumerate().min_by_key(|(_, hash)| *hash)
        };
        let firsts: HashSet<_> = (0..10).filter_map(|other| order(other).map(|(index, _)| index)).collect();
        assert!(firsts.len() >= 4, "{firsts:?}");
    }

    #[test]
    fn numbers_are_used_evenly_over_many_callers() {
        let ready: Vec<_> = (0..10).map(|index| format!("44740000{index}")).collect();
        let ready: Vec<_> = ready.iter().map(|digits| ("GB", digits.as_str())).collect();
        let ready = super::tests::ready(&ready);
        let terms = Terms { ready: &ready, fallback: &[], texts: false, now: now() };
        let nothing = CallerRoutes::default();
        let mut uses = std::collections::HashMap::<String, u32>::new();
        for index in 0..5_000 {
            let numbers = [number(&format!("44770090{index:04}")), number(&format!("44770091{index:04}"))];
            let caller = |index: usize| Caller {
                number: &numbers[index],
                country: country("GB"),
                calling_code: "44",
                keys: &nothing,
            };
            for chosen in choose_pair([caller(0), caller(1)], terms).unwrap() {
                *uses.entry(chosen.to_string()).or_default() += 1;
            }
        }
        // 1000 each, give or take four standard deviations.
        assert!(uses.len() == 10 && uses.values().all(|uses| (880..1120).contains(uses)), "{uses:?}");
    }
}
