//! The choice of the virtual numbers that two people dial, or see.
//!
//! A number is free for a caller who has no live or quarantined route under it, whoever else uses it. So a country needs as
//! many numbers as its busiest caller has routes, and not one more. A number in the quarantine of the same two people's last
//! conversation is free for the two: a late call still reaches whom it was meant for. Somebody who only receives needs one
//! number for all conversations.
//!
//! Of each country, the choice looks at the window of the pair of callers. Its cost therefore does not grow with the pool.

use std::cmp::Reverse;
use std::collections::HashSet;

use jiff::Timestamp;

use crate::domain::caller_routes::{CallerRoute, CallerRoutes, RoutesInUse};
use crate::domain::conversation::ConversationId;
use crate::domain::country::Country;
use crate::domain::hash::hash;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::ready_pool::{PartName, ReadyNumber, ReadyPool};
use crate::domain::side::Side;

/// Minimum length of a window.
const WINDOW: usize = 128;

/// A caller who needs a number to dial.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The real number.
    pub number: &'a RealNumber,
    /// Its country.
    pub country: Country,
    /// Its calling code, such as `44`.
    pub calling_code: &'a str,
    /// The routes that this caller has and had, as far as they are known.
    pub routes: &'a CallerRoutes,
    /// True if this participant will not dial the number, but only see it.
    pub only_receives: bool,
}

/// The criteria of the choice, other than the two callers.
#[derive(Debug, Clone, Copy)]
pub struct Criteria<'a> {
    /// The numbers to choose from.
    pub ready: &'a ReadyPool,
    /// Countries whose numbers are given to callers of any country if neither their own country nor their calling code has
    /// a free one. The preferred country comes first.
    pub fallback: &'a [Country],
    /// True if each number will send a text message.
    pub texts: bool,
    /// True if two people may have a number back that is in their own quarantine.
    pub in_own_quarantine: bool,
    /// The current time.
    pub now: Timestamp,
}

/// The reason of a refusal: no number is free for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoFreeNumber {
    /// The side of the caller.
    pub side: Side,
    /// The caller's country.
    pub country: Country,
    /// The countries whose numbers would do, the best first: the caller's own, those with ready numbers of its calling code,
    /// and the fallback countries.
    pub countries: Vec<Country>,
    /// Count of ready numbers in the caller's country.
    pub ready: usize,
    /// The routes that this caller uses.
    pub in_use: RoutesInUse,
    /// The time at which the next suitable number becomes free for this caller, if there is a suitable number.
    pub next_free_at: Option<Timestamp>,
}

/// Chooses a number for each of two callers that is free for that caller.
///
/// The same two people get the same numbers again. Otherwise numbers are preferred in this order:
///
/// 1. of the caller's own country, then with its calling code, then of the fallback countries;
/// 2. able to send text messages, if text messages will be sent;
/// 3. not one from which this caller wants no texts. Calls come first, so a number of a farther country is no better;
/// 4. never used by this caller, then unused for the longest time;
/// 5. by a hash of the two callers and the number, so that all numbers are used evenly.
///
/// The two numbers differ if neither caller then gets a worse one.
///
/// A participant who only receives keeps the number under which that is so already, if it is still given to conversations.
/// The first one is chosen by 1 and 4, the same for whoever calls, so that many first conversations at once agree on one.
///
/// Returns an error for each caller without a free number.
pub fn choose_pair(callers: [Caller<'_>; 2], criteria: Criteria<'_>) -> Result<[VirtualNumber; 2], Vec<NoFreeNumber>> {
    let [a, b] = callers;
    let last = latest_shared_conversation(a.routes, b.routes).max(latest_call(a, b)).max(latest_call(b, a));
    let choose = |side: Side, caller: Caller<'_>, other: Caller<'_>| {
        let search = Search { caller, other: other.number, criteria };
        search.choose(last).ok_or_else(|| search.no_free_number(side))
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

/// Chooses a number for the `caller` on `side` of a conversation in which the `other` one keeps dialling `kept`, in the same
/// order as [`choose_pair`]. It differs from `kept` if the caller then gets no worse one.
pub fn choose_one(
    side: Side,
    caller: Caller<'_>,
    other: Caller<'_>,
    kept: &VirtualNumber,
    criteria: Criteria<'_>,
) -> Result<VirtualNumber, NoFreeNumber> {
    let search = Search { caller, other: other.number, criteria };
    let choice = search.choose(latest_shared_conversation(caller.routes, other.routes));
    let choice = choice.ok_or_else(|| search.no_free_number(side))?;
    Ok(match choice.next {
        Some((_, next)) if choice.best == kept => next.clone(),
        _ => choice.best.clone(),
    })
}

struct Choice<'a> {
    best: &'a VirtualNumber,
    /// The second best, if it differs from the best in nothing but its last use and its hash.
    next: Option<(Rank, &'a VirtualNumber)>,
}

/// The rank of a number for a caller. The lowest is the best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// True unless this caller last dialled it to reach the same person.
    is_new: bool,
    /// See [`Search::tier`].
    tier: usize,
    /// True if this caller wants no texts from it.
    is_opted_out: bool,
    /// End of this caller's last quarantine under it. `None`, for never used, is the lowest.
    last_used: Option<Timestamp>,
    /// A hash of both callers and the number, which gives each pair of callers its own order of the numbers.
    hash: u64,
}

/// Returns up to `count` numbers whose routes decide the choice for a `caller` of whom only some routes were read. The
/// best ones come first.
pub fn to_probe(caller: Caller<'_>, other: &RealNumber, criteria: Criteria<'_>, count: usize) -> Vec<VirtualNumber> {
    let search = Search { caller, other, criteria };
    // Numbers that can send text messages are as good as others if none will be sent.
    let windows = search.tiers().flat_map(|tier| [(tier, true), (tier, false)]);
    let numbers = windows.flat_map(|(tier, texts)| search.window(tier, texts));
    numbers.take(count).map(|ready| ready.number.clone()).collect()
}

/// True if a participant only receives, and has a number for that already which is still given to conversations.
pub fn has_number(caller: Caller<'_>, other: &RealNumber, criteria: Criteria<'_>) -> bool {
    Search { caller, other, criteria }.held().is_some()
}

/// The search of a number for one caller.
#[derive(Clone, Copy)]
struct Search<'c, 'a> {
    caller: Caller<'c>,
    /// The real number of the other caller.
    other: &'c RealNumber,
    criteria: Criteria<'a>,
}

impl<'a> Search<'_, 'a> {
    fn choose(&self, last: Option<ConversationId>) -> Option<Choice<'a>> {
        if let Some(best) = self.held() {
            return Some(Choice { best, next: None });
        }
        let last = last.filter(|_| !self.caller.only_receives);
        let again = last.map(|last| self.again(last)).unwrap_or_default();
        let mut ranked = match again.is_empty() {
            false => again,
            true => self.tiers().map(|tier| self.free(tier)).find(|free| !free.is_empty())?,
        };
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        let (best, number) = *ranked.first()?;
        let is_as_good = |next: &Rank| (next.tier, next.is_opted_out) == (best.tier, best.is_opted_out);
        let next = ranked.get(1).filter(|(next, _)| is_as_good(next) && !self.caller.only_receives);
        Some(Choice { best: number, next: next.copied() })
    }

    /// Returns the number under which a participant who only receives does so already: of several the one that is held for the
    /// longest time.
    fn held(&self) -> Option<&'a VirtualNumber> {
        let is_held = |(_, route): &(&VirtualNumber, &CallerRoute)| route.is_held(self.criteria.now);
        let held = self.caller.routes.by_number.iter().filter(|_| self.caller.only_receives).filter(is_held);
        let usable = held.filter_map(|(number, hold)| {
            let (part, ready) = self.criteria.ready.find(number)?;
            self.tier(part).map(|tier| (hold.quarantined_until, Reverse(tier), &ready.number))
        });
        usable.max().map(|(_, _, number)| number)
    }

    /// Returns the free numbers that this caller dialled in the conversation `last`, but not one that cannot send the text
    /// message if another free number of its tier can, and not one from which the caller wants no texts if there is another.
    fn again(&self, last: ConversationId) -> Vec<(Rank, &'a VirtualNumber)> {
        let routes = self.caller.routes.by_number.iter().filter(|(_, route)| self.is_free(route));
        let shared = routes.filter(|(_, route)| route.history().any(|id| id == last));
        let ranked = shared.filter_map(|(number, _)| {
            let (part, ready) = self.criteria.ready.find(number)?;
            let tier = self.tier(part)?;
            let lacks_texts = self.sends_texts() && !ready.texts && !self.free_of_kind(tier, true).is_empty();
            let is_unwanted = self.is_opted_out(number) && self.has_wanted(tier);
            (!lacks_texts && !is_unwanted).then(|| (Rank { is_new: false, ..self.rank(tier, ready) }, &ready.number))
        });
        ranked.collect()
    }

    /// Returns the free numbers of a tier: those that can send text messages, if text messages will be sent and there are
    /// such.
    fn free(&self, tier: usize) -> Vec<(Rank, &'a VirtualNumber)> {
        let mut numbers = self.free_of_kind(tier, true);
        if !self.sends_texts() || numbers.is_empty() {
            numbers.extend(self.free_of_kind(tier, false));
        }
        numbers.into_iter().map(|ready| (self.rank(tier, ready), &ready.number)).collect()
    }

    /// Returns the free numbers of a tier that can send text messages, or those that cannot.
    fn free_of_kind(&self, tier: usize, texts: bool) -> Vec<&'a ReadyNumber> {
        let mut numbers = self.window(tier, texts);
        numbers.retain(|ready| match self.caller.routes.by_number.get(&ready.number) {
            Some(route) => self.is_free(route),
            None => self.caller.routes.has_no(&ready.number),
        });
        numbers
    }

    /// True if this caller wants no texts from the number.
    fn is_opted_out(&self, number: &VirtualNumber) -> bool {
        self.caller.routes.opted_out.contains(number)
    }

    /// True if a number of a tier is free from which this caller takes texts.
    fn has_wanted(&self, tier: usize) -> bool {
        let is_wanted = |(rank, _): &(Rank, &VirtualNumber)| !rank.is_opted_out;
        self.free(tier).iter().any(is_wanted)
    }

    /// True if the number of a route is free for this caller. In the quarantine of the same two people it is, but not for a
    /// hold, which stays after them.
    fn is_free(&self, route: &CallerRoute) -> bool {
        let now = self.criteria.now;
        match self.criteria.in_own_quarantine && !self.caller.only_receives {
            true => route.is_free_with(self.other, now),
            false => !route.is_in_use(now),
        }
    }

    fn window(&self, tier: usize, texts: bool) -> Vec<&'a ReadyNumber> {
        let position = hash(self.pair());
        // A free number is in it if there is one, and a second one.
        let routes = self.caller.routes;
        let count = WINDOW.max(routes.by_number.len() + routes.opted_out.len() + 2);
        self.criteria.ready.window(|part| self.tier(part) == Some(tier), texts, position, count)
    }

    fn rank(&self, tier: usize, ready: &ReadyNumber) -> Rank {
        let last_used = self.caller.routes.by_number.get(&ready.number).map(|route| route.quarantined_until);
        let hash = hash(self.pair().into_iter().chain([ready.number.as_str()]));
        Rank { is_new: true, tier, is_opted_out: self.is_opted_out(&ready.number), last_used, hash }
    }

    /// Returns the people who have an order of the numbers of their own: a pair of callers, or one who only receives.
    fn pair(&self) -> [&str; 2] {
        [self.caller.number.expose(), if self.caller.only_receives { "" } else { self.other.expose() }]
    }

    fn sends_texts(&self) -> bool {
        self.criteria.texts && !self.caller.only_receives
    }

    fn tiers(&self) -> std::ops::Range<usize> {
        0..2 + self.criteria.fallback.len()
    }

    /// Returns the distance of a part's numbers for the caller: 0 in the own country, 1 with the same calling code, then the
    /// position in the fallback list. Returns `None` if they must not be given to this caller.
    fn tier(&self, part: &PartName) -> Option<usize> {
        if part.country == self.caller.country {
            return Some(0);
        }
        if part.calling_code == self.caller.calling_code {
            return Some(1);
        }
        let fallback = self.criteria.fallback;
        fallback.iter().position(|country| *country == part.country).map(|position| position + 2)
    }

    fn suitable_countries(&self) -> Vec<Country> {
        let near = self.criteria.ready.parts.iter().filter(|(_, part)| part.numbers().next().is_some());
        let near = near.map(|(name, _)| name).filter(|name| self.tier(name) == Some(1)).map(|name| name.country);
        let mut countries = vec![self.caller.country];
        for country in near.chain(self.criteria.fallback.iter().copied()) {
            if !countries.contains(&country) {
                countries.push(country);
            }
        }
        countries
    }

    fn no_free_number(&self, side: Side) -> NoFreeNumber {
        let (caller, ready, now) = (self.caller, self.criteria.ready, self.criteria.now);
        let is_suitable =
            |number: &VirtualNumber| ready.find(number).is_some_and(|(part, _)| self.tier(part).is_some());
        let in_use = caller.routes.in_use(now).filter(|(number, _)| is_suitable(number));
        let next_free_at = in_use.map(|(_, route)| route.quarantined_until).min();
        NoFreeNumber {
            side,
            country: caller.country,
            countries: self.suitable_countries(),
            ready: ready.count(caller.country),
            in_use: caller.routes.count_in_use(now),
            next_free_at,
        }
    }
}

/// Returns the latest conversation that is in the history of both callers.
fn latest_shared_conversation(a: &CallerRoutes, b: &CallerRoutes) -> Option<ConversationId> {
    let of_b: HashSet<_> = b.by_number.values().flat_map(|route| route.history()).collect();
    a.by_number.values().flat_map(|route| route.history()).filter(|id| of_b.contains(id)).max()
}

/// Returns the latest conversation in which the caller dialled the phone of a `receiver`, whose own routes say nothing about it.
fn latest_call(caller: Caller<'_>, receiver: Caller<'_>) -> Option<ConversationId> {
    let routes = caller.routes.by_number.values().filter(|_| receiver.only_receives);
    let to_receiver =
        routes.filter(|route| route.connect_to.as_ref().is_some_and(|phone| phone.is_same_phone(receiver.number)));
    to_receiver.filter_map(|route| route.conversation).max()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::caller_routes::Extent;
    use crate::domain::phone::PhoneNumber;

    const RIDER: &str = "447700900001";
    const DRIVER: &str = "447700900002";
    const NONE: [&str; 0] = [];

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

    fn ready(numbers: &[(&str, &str)]) -> ReadyPool {
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
            let route = CallerRoute {
                conversation: Some(*conversation),
                expires_at: after(seconds - 60),
                held_at: None,
                ..CallerRoute::held(after(*seconds), now())
            };
            (number(digits), route)
        };
        CallerRoutes { by_number: routes.iter().map(route).collect(), ..CallerRoutes::default() }
    }

    fn in_use(numbers: &[impl AsRef<str>]) -> CallerRoutes {
        let numbers = numbers.iter().map(|digits| (digits.as_ref(), ConversationId::generate(now()), 100));
        routes(&numbers.collect::<Vec<_>>())
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
            let criteria =
                Criteria { ready: &ready, fallback: &fallback, texts: self.texts, in_own_quarantine: true, now: now() };
            let numbers = [number(RIDER), number(DRIVER)];
            choose_pair([caller(&numbers[0], rider), caller(&numbers[1], driver)], criteria)
                .map(|pair| pair.map(|number| number.to_string()))
        }
    }

    #[test]
    fn each_caller_gets_a_free_number_and_both_differ_if_possible() {
        let nothing = in_use(&NONE);
        for (rider, driver, expected) in [
            (in_use(&["4474001"]), in_use(&NONE), ["4474002", "4474001"]),
            (in_use(&["4474002"]), in_use(&NONE), ["4474001", "4474002"]),
            (in_use(&NONE), in_use(&["4474001"]), ["4474001", "4474002"]),
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
    fn one_caller_gets_a_free_number_other_than_the_kept_one() {
        let numbers = [number(RIDER), number(DRIVER)];
        let choose = |ready: &[(&str, &str)], in_use_by_rider: &[&str]| {
            let (ready, routes, nothing) = (self::ready(ready), in_use(in_use_by_rider), CallerRoutes::default());
            let criteria = Criteria { ready: &ready, fallback: &[], texts: false, in_own_quarantine: true, now: now() };
            let callers = [caller(&numbers[0], &routes), caller(&numbers[1], &nothing)];
            let chosen = choose_one(Side::B, callers[0], callers[1], &number("4474002"), criteria);
            chosen.map(|number| number.to_string()).map_err(|none_free| (none_free.side, none_free.ready))
        };
        assert_eq!(choose(GB2.ready, &[]), Ok("4474001".to_owned()));
        assert_eq!(choose(GB2.ready, &["4474001"]), Ok("4474002".to_owned()));
        assert_eq!(choose(GB2.ready, &["4474001", "4474002"]), Err((Side::B, 2)));
        // A number of the own country is better than one that differs.
        assert_eq!(choose(&[("GB", "4474002"), ("JE", "4474003")], &[]), Ok("4474002".to_owned()));
    }

    #[test]
    fn refusal_names_side_routes_in_use_and_next_free_time() {
        let mut driver = routes(&[("4474001", id(0), 100), ("4474002", id(0), 50), ("33600001", id(0), 10)]);
        driver
            .by_number
            .insert(number("4474009"), routes(&[("4474009", id(0), -1)]).by_number[&number("4474009")].clone());
        let [refused] = GB2.choose(&in_use(&NONE), &driver).unwrap_err().try_into().unwrap();
        assert_eq!(
            refused,
            NoFreeNumber {
                side: Side::B,
                country: country("GB"),
                countries: vec![country("GB")],
                ready: 2,
                in_use: RoutesInUse { live: 1, quarantined: 2 },
                next_free_at: Some(after(50)),
            }
        );
        let empty = Case { ready: &[], ..GB2 };
        let refused = empty.choose(&in_use(&NONE), &in_use(&NONE)).unwrap_err();
        assert_eq!(refused.iter().map(|refused| refused.side).collect::<Vec<_>>(), Side::BOTH);
        assert_eq!((refused[0].ready, refused[0].next_free_at), (0, None));
    }

    #[test]
    fn own_country_precedes_calling_code_and_fallback() {
        let all = [("FR", "33600001"), ("US", "12010001"), ("JE", "4477001"), ("GB", "4474001")];
        let nothing = in_use(&NONE);
        let mut taken = Vec::new();
        for expected in ["4474001", "4477001", "12010001", "33600001"] {
            let case = Case { ready: &all, fallback: &["US", "FR"], texts: false };
            assert_eq!(case.choose(&in_use(&taken), &nothing).unwrap()[0], expected);
            taken.push(expected);
        }
        let refusing = Case { ready: &all, fallback: &[], texts: false };
        assert!(refusing.choose(&in_use(&["4474001", "4477001"]), &nothing).is_err());
        let case = Case { ready: &all, fallback: &["US", "GB", "FR"], texts: false };
        let refused = case.choose(&in_use(&taken), &nothing).unwrap_err().remove(0);
        assert_eq!(refused.countries, ["GB", "JE", "US", "FR"].map(country));
    }

    #[test]
    fn numbers_that_can_text_come_first_if_texts_are_sent() {
        let all = [("GB", "4420001"), ("GB", "4474001"), ("JE", "4477001")];
        let texting = Case { ready: &all, fallback: &[], texts: true };
        assert_eq!(texting.choose(&in_use(&NONE), &in_use(&["4474001"])).unwrap(), ["4474001", "4420001"]);
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
    fn two_people_get_their_numbers_back_during_their_quarantine() {
        let case = Case { ready: &[("GB", "4474001"), ("GB", "4474002"), ("GB", "4474003")], ..GB2 };
        let last = id(-100);
        let ended = |digits, other: &str, quarantine| {
            let mut routes = routes(&[(digits, last, quarantine)]);
            routes.by_number.values_mut().for_each(|route| route.connect_to = Some(number(other)));
            routes
        };
        let driver = ended("4474002", RIDER, 30);
        assert_eq!(case.choose(&ended("4474001", DRIVER, 30), &driver).unwrap(), ["4474001", "4474002"]);
        // The other participant had another phone at the end, so a late call is meant for that one.
        let [elsewhere, again] = case.choose(&ended("4474001", "447700900003", 30), &driver).unwrap();
        assert!(elsewhere != "4474001" && again == "4474002");
        // A live conversation, and one that was erased.
        for (other, quarantine) in [(Some(DRIVER), 61), (None, 30)] {
            let mut rider = ended("4474001", DRIVER, quarantine);
            rider.by_number.values_mut().for_each(|route| route.connect_to = other.map(number));
            assert_ne!(case.choose(&rider, &driver).unwrap()[0], "4474001");
        }
        let only = Case { ready: &[("GB", "4474001")], ..GB2 };
        let same = ended("4474001", DRIVER, 30);
        assert_eq!(only.choose(&same, &ended("4474001", RIDER, 30)).unwrap(), ["4474001", "4474001"]);
    }

    #[test]
    fn numbers_rest_after_many_conversations_in_the_longest_call() {
        let case = Case { ready: &[("GB", "4474001"), ("GB", "4474002"), ("GB", "4474003")], ..GB2 };
        let chosen = |previous: usize, apart: i64| {
            let ids: Vec<_> = (0..=previous).map(|nth| id(-100 - apart * nth as i64)).collect();
            let routes = |digits, other: &str| {
                let mut routes = routes(&[(digits, ids[0], 30)]);
                let route = routes.by_number.values_mut().next().unwrap();
                (route.connect_to, route.previous) = (Some(number(other)), ids[1..].to_vec());
                routes
            };
            case.choose(&routes("4474001", DRIVER), &routes("4474002", RIDER)).unwrap()
        };
        assert_eq!(chosen(3, 60), ["4474001", "4474002"]);
        let rested = chosen(4, 60);
        assert!(rested[0] != "4474001" && rested[1] != "4474002");
        assert_eq!(chosen(4, 7200), ["4474001", "4474002"]);
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
        let ready = ready_range(10);
        let first = |other: u32| {
            let [rider, other] = [number(RIDER), number(&format!("44770091{other:04}"))];
            choose_of(&ready, [&rider, &other], [&in_use(&NONE), &in_use(&NONE)]).unwrap()[0].to_string()
        };
        let firsts: HashSet<_> = (0..10).map(first).collect();
        assert!(firsts.len() >= 4, "{firsts:?}");
    }

    fn ready_range(count: usize) -> ReadyPool {
        let digits: Vec<_> = (0..count).map(|index| format!("447400{index:05}")).collect();
        ready(&digits.iter().map(|digits| ("GB", digits.as_str())).collect::<Vec<_>>())
    }

    fn choose_of(
        ready: &ReadyPool,
        numbers: [&RealNumber; 2],
        routes: [&CallerRoutes; 2],
    ) -> Result<[VirtualNumber; 2], Vec<NoFreeNumber>> {
        let criteria = Criteria { ready, fallback: &[], texts: false, in_own_quarantine: true, now: now() };
        let caller = |side: usize| caller(numbers[side], routes[side]);
        choose_pair([caller(0), caller(1)], criteria)
    }

    fn caller<'a>(number: &'a RealNumber, routes: &'a CallerRoutes) -> Caller<'a> {
        Caller { number, country: country("GB"), calling_code: "44", routes, only_receives: false }
    }

    /// Counts the uses of each number by many pairs of people.
    fn uses(ready: &ReadyPool, pairs: u32) -> std::collections::HashMap<String, u32> {
        let mut uses = std::collections::HashMap::<String, u32>::new();
        for index in 0..pairs {
            let numbers = [number(&format!("4477{index:08}")), number(&format!("4478{index:08}"))];
            let nothing = CallerRoutes::default();
            for chosen in choose_of(ready, numbers.each_ref(), [&nothing, &nothing]).unwrap() {
                *uses.entry(chosen.to_string()).or_default() += 1;
            }
        }
        uses
    }

    #[test]
    fn numbers_are_used_evenly_over_many_callers() {
        // 1000 each, give or take four standard deviations.
        let few = uses(&ready_range(10), 5_000);
        assert!(few.len() == 10 && few.values().all(|uses| (880..1120).contains(uses)), "{few:?}");
        // 20 each; the windows of a large pool are not all equally large.
        let many = uses(&ready_range(1_000), 10_000);
        let most = many.values().max().unwrap();
        assert!(many.len() > 990 && *most < 60, "{} {most}", many.len());
    }

    #[test]
    fn caller_with_many_routes_gets_a_free_number_of_a_large_pool() {
        let ready = ready_range(1_000);
        // As many routes as one bounded read shows, wherever they are.
        let routes = in_use(&(0..100).map(|index| format!("447400{:05}", index * 7)).collect::<Vec<_>>());
        for index in 0..200 {
            let numbers = [number(RIDER), number(&format!("4478{index:08}"))];
            let [dials, _] = choose_of(&ready, numbers.each_ref(), [&routes, &in_use(&NONE)]).unwrap();
            assert!(!routes.by_number.contains_key(&dials));
        }
    }

    /// Holds by (number, seconds until the end).
    fn held(holds: &[(&str, i64)]) -> CallerRoutes {
        let mut held = routes(&holds.iter().map(|(digits, seconds)| (*digits, id(0), *seconds)).collect::<Vec<_>>());
        for hold in held.by_number.values_mut() {
            (hold.conversation, hold.held_at) = (None, Some(now()));
        }
        held
    }

    /// Returns the number that a support line is called by from the phone at `index`, and the one that the phone dials.
    fn receive(ready: &ReadyPool, index: u32, line: &CallerRoutes) -> [String; 2] {
        let (caller_number, line_number) = (number(&format!("44770091{index:04}")), number(RIDER));
        let line = Caller { only_receives: true, ..caller(&line_number, line) };
        let nothing = CallerRoutes::default();
        let criteria = Criteria { ready, fallback: &[], texts: true, in_own_quarantine: true, now: now() };
        let pair = choose_pair([line, caller(&caller_number, &nothing)], criteria);
        pair.unwrap().map(|number| number.to_string())
    }

    #[test]
    fn whoever_calls_first_a_receiver_gets_the_same_number() {
        let ready = ready_range(1_000);
        let pairs: Vec<_> = (0..50).map(|index| receive(&ready, index, &in_use(&NONE))).collect();
        assert!(pairs.iter().all(|[receives, dials]| *receives == pairs[0][0] && receives != dials), "{pairs:?}");
        assert!(pairs.iter().map(|[_, dials]| dials).collect::<HashSet<_>>().len() > 40);
    }

    #[test]
    fn receiver_keeps_its_number_while_it_is_held_and_ready() {
        let ready = ready_range(10);
        let [first, _] = receive(&ready, 0, &in_use(&NONE));
        let others: Vec<_> =
            ready.numbers().map(|ready| ready.number.to_string()).filter(|other| *other != first).collect();
        let [one, two] = [&others[0], &others[1]];
        assert_eq!(receive(&ready, 0, &held(&[(one, 50), (two, 100)]))[0], *two);
        assert_eq!(
            receive(&ready, 0, &held(&[(one, 50), ("447400099999", 100)]))[0],
            *one,
            "the other one has left the pool"
        );
        assert_eq!(receive(&ready, 0, &held(&[(one, 0)]))[0], first, "the hold is over");
        // What it holds, and no more, was read.
        let line = |holds: &[(&str, i64)]| CallerRoutes { extent: Extent::Line, ..held(holds) };
        assert_eq!(receive(&ready, 0, &line(&[(one, 50)]))[0], *one);
    }

    #[test]
    fn caller_of_a_receiver_gets_the_same_number_again() {
        let five: Vec<_> = ["4474001", "4474002", "4474003", "4474004", "4474005"].map(|digits| ("GB", digits)).into();
        let ready = ready(&five);
        let (rider_number, line_number) = (number(RIDER), number(DRIVER));
        let (line, mut rider) =
            (held(&[("4474001", 100)]), routes(&[("4474003", id(10), -1), ("4474005", id(20), -1)]));
        rider.by_number.get_mut(&number("4474003")).unwrap().connect_to = Some(number(DRIVER));
        rider.by_number.get_mut(&number("4474005")).unwrap().connect_to = Some(number("447700900009"));
        let receiver = Caller { only_receives: true, ..caller(&line_number, &line) };
        let criteria = Criteria { ready: &ready, fallback: &[], texts: false, in_own_quarantine: true, now: now() };
        let chosen = choose_pair([caller(&rider_number, &rider), receiver], criteria).unwrap();
        assert_eq!(chosen.map(|number| number.to_string()), ["4474003", "4474001"]);
    }

    #[test]
    fn held_number_is_not_free_for_a_conversation_of_both() {
        let line = held(&[("4474001", 100)]);
        assert_eq!(GB2.choose(&line, &in_use(&NONE)).unwrap(), ["4474002", "4474001"]);
        let refused = GB2.choose(&held(&[("4474001", 100), ("4474002", 50)]), &in_use(&NONE)).unwrap_err();
        assert_eq!((refused[0].in_use.total(), refused[0].next_free_at), (2, Some(after(50))));
    }

    #[test]
    fn only_known_numbers_are_given_to_a_caller_read_in_part() {
        let ready = ready_range(1_000);
        let (hub, driver) = (number(RIDER), number(DRIVER));
        let nothing = CallerRoutes::default();
        let mut partial = CallerRoutes { extent: Extent::Some { probed: HashSet::new() }, ..in_use(&["44740000001"]) };
        assert!(choose_of(&ready, [&hub, &driver], [&partial, &nothing]).is_err());
        let criteria = Criteria { ready: &ready, fallback: &[], texts: false, in_own_quarantine: true, now: now() };
        let probed = to_probe(caller(&hub, &partial), &driver, criteria, 50);
        assert_eq!(probed.iter().collect::<HashSet<_>>().len(), 50);
        partial.extent = Extent::Some { probed: HashSet::from([probed[7].clone()]) };
        assert_eq!(choose_of(&ready, [&hub, &driver], [&partial, &nothing]).unwrap()[0], probed[7]);
    }
}
