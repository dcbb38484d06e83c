//! The phones of a side: the first one, and further ones that are called after it and dial the same number. They join and leave
//! while the conversation lives.

use std::sync::LazyLock;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use shared::domain::conversation::{Conversation, FurtherPhone, Notification, Participant};
use shared::domain::hours::{Hours, NewHours};
use shared::domain::judge::Judge;
use shared::domain::language::Language;
use shared::domain::phone::RealNumber;
use shared::domain::side::Side;
use shared::domain::tenant::Owner;
use shared::service::create::NewFurtherPhone;

use crate::case::Case;
use crate::model::{RouteKey, real_number};
use crate::scenario::{LANGUAGES, canonical, country_of, keyed_as, language};
use crate::steps::PhoneRef;

/// Index of the first further phone of a participant in records of calls.
const FIRST_FURTHER: usize = 1_001;

/// Hours that are given to phones: the days, counted from Monday, the minutes of the day, and the zone with its distance from UTC
/// in minutes. A case begins on a Friday at 8:00 UTC.
const WRITTEN_HOURS: [([&str; 2], [&str; 2], &str); 4] = [
    (["mon", "sun"], ["00:00", "24:00"], "UTC"),
    (["fri", "sat"], ["08:00", "08:20"], "UTC"),
    (["fri", "wed"], ["08:20", "06:00"], "UTC"),
    (["thu", "fri"], ["13:35", "14:30"], "Asia/Kolkata"),
];

/// The same as numbers.
const OPEN: [([i64; 2], [i64; 2], i64); 4] =
    [([0, 6], [0, 1440], 0), ([4, 5], [480, 500], 0), ([4, 2], [500, 360], 0), ([3, 4], [815, 870], 330)];

static HOURS: LazyLock<[Hours; 4]> = LazyLock::new(|| {
    WRITTEN_HOURS.map(|(days, [from, to], zone)| {
        let written = json!({"days": days, "from": from, "to": to, "zone": zone});
        serde_json::from_value::<NewHours>(written).unwrap().0
    })
});

/// The `nth` hours.
pub fn hours(nth: usize) -> Hours {
    HOURS[nth].clone()
}

/// True if a phone with these hours is called at `now`.
pub fn is_open(hours: Option<&Hours>, now: Timestamp) -> bool {
    let Some(hours) = hours else { return true };
    let (days, [from, to], east) = OPEN[HOURS.iter().position(|known| known == hours).unwrap()];
    let minutes = now.as_second().div_euclid(60) + east;
    // The first day of 1970 was a Thursday.
    let (day, minute) = ((minutes.div_euclid(1440) + 3).rem_euclid(7), minutes.rem_euclid(1440));
    let is_on = |day: i64| days.contains(&day);
    match from < to {
        true => is_on(day) && (from..to).contains(&minute),
        false => is_on(day) && from <= minute || is_on((day + 6) % 7) && minute < to,
    }
}

/// A further phone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FurtherSpec {
    pub who: PhoneRef,
    /// Its hours and its language, by their places.
    pub hours: Option<usize>,
    pub language: Option<usize>,
}

impl FurtherSpec {
    pub fn any() -> impl Strategy<Value = Self> {
        let language = prop::option::weighted(0.2, 0..LANGUAGES.len());
        (PhoneRef::any(), any_hours(), language).prop_map(|(who, hours, language)| Self { who, hours, language })
    }

    /// The further phones of a side. Most sides have none.
    pub fn some() -> impl Strategy<Value = Vec<Self>> {
        prop_oneof![6 => Just(Vec::new()), 1 => prop::collection::vec(Self::any(), 1..=2)]
    }
}

pub fn any_hours() -> impl Strategy<Value = Option<usize>> {
    prop::option::weighted(0.2, 0..WRITTEN_HOURS.len())
}

impl Case {
    pub fn new_further(&self, spec: FurtherSpec) -> NewFurtherPhone {
        NewFurtherPhone {
            number: self.in_e164(spec.who),
            country: None,
            // A named one would be texted too.
            name: None,
            language: spec.language.map(language),
            hours: spec.hours.map(hours),
            only_dials: false,
        }
    }
}

/// A phone that a side has now.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    pub number: &'a RealNumber,
    /// Its index in records of calls.
    pub index: usize,
    pub hours: Option<&'a Hours>,
    pub language: Option<&'a Language>,
}

/// The phones of a side, in the order in which they are called.
pub fn members(is: &Conversation, side: Side) -> impl Iterator<Item = Member<'_>> {
    let one = is.participant(side);
    let first = Member {
        number: &one.number,
        index: one.previous_numbers.len(),
        hours: one.hours.as_ref(),
        language: one.language.as_ref(),
    };
    let further = one.further.iter().filter(|phone| phone.left_at.is_none()).map(move |phone| Member {
        number: &phone.number,
        index: FIRST_FURTHER - 1 + usize::from(phone.id),
        hours: phone.hours.as_ref(),
        language: phone.language.as_ref().or(first.language),
    });
    std::iter::once(first).chain(further)
}

/// The phone that records of calls mean by an index.
pub fn phone_at(one: &Participant, index: usize) -> Option<&RealNumber> {
    match index.checked_sub(FIRST_FURTHER - 1) {
        Some(id) => one.further.iter().find(|phone| usize::from(phone.id) == id).map(|phone| &phone.number),
        None => one.previous_numbers.iter().chain([&one.number]).nth(index),
    }
}

/// The keys of the routes, or of the holds, of a side's phones.
pub fn keys_of(is: &Conversation, side: Side) -> impl Iterator<Item = RouteKey> {
    members(is, side).map(move |member| (canonical(member.number), is.participant(side).sees.clone()))
}

/// The keys of all routes of a conversation.
pub fn dialling_keys(is: &Conversation) -> Vec<RouteKey> {
    is.direction.sides().flat_map(|side| keys_of(is, side)).collect()
}

/// True if a route key is one of this side's.
pub fn has_key(is: &Conversation, side: Side, (phone, dialled): &RouteKey) -> bool {
    is.participant(side).sees == *dialled && members(is, side).any(|member| canonical(member.number) == *phone)
}

/// Number of changes of the phones and numbers of a conversation.
pub fn moves(participants: &[Participant; 2]) -> usize {
    let of_phone = |phone: &FurtherPhone| usize::from(phone.joined_at.is_some()) + usize::from(phone.left_at.is_some());
    let of_one = |one: &Participant| {
        one.previous_numbers.len() + one.previously_seen.len() + one.further.iter().map(of_phone).sum::<usize>()
    };
    participants.iter().map(of_one).sum()
}

/// The further phones of a participant after a request that asks for these at `now`: those in their order, and then those that
/// have left.
pub fn further_after(before: &[FurtherPhone], asked: &[NewFurtherPhone], now: Option<Timestamp>) -> Vec<FurtherPhone> {
    let mut id = before.iter().map(|phone| phone.id).max().unwrap_or(0);
    let (mut left, mut after) = (before.to_vec(), Vec::new());
    for new in asked {
        let number = real_number(&new.number);
        let is_it = |phone: &FurtherPhone| phone.left_at.is_none() && canonical(&phone.number) == canonical(&number);
        let known = left.iter().position(is_it).map(|place| left.remove(place));
        let phone = known.unwrap_or_else(|| {
            id += 1;
            FurtherPhone {
                id,
                keyed_as: keyed_as(&number),
                country: country_of(number.expose()),
                number,
                verified_by: Judge::NumberInsight,
                name: None,
                notification: Notification::Off,
                language: None,
                hours: None,
                only_dials: false,
                joined_at: now,
                left_at: None,
            }
        });
        after.push(FurtherPhone { language: new.language.clone(), hours: new.hours.clone(), ..phone });
    }
    after.extend(left.into_iter().map(|phone| FurtherPhone { left_at: phone.left_at.or(now), ..phone }));
    after
}

/// One side as a caller who needs a number: its phones, and true if it only receives.
#[derive(Debug, Clone)]
pub struct Caller {
    pub first: RealNumber,
    pub further: Vec<RealNumber>,
    pub receives: bool,
    /// The owner of the conversation, whose numbers it may get.
    pub owner: Owner,
}

impl Caller {
    /// The side of a conversation as a caller.
    pub fn of(is: &Conversation, side: Side) -> Self {
        let mut phones = members(is, side).map(|member| member.number.clone());
        let first = phones.next().unwrap();
        Self { first, further: phones.collect(), receives: !is.direction.includes(side), owner: is.owner }
    }
}

/// The first of all phones that is twice among them, with its side and its place behind the first one, if it is a further one.
pub fn twice(phones: &[(Side, Option<usize>, RealNumber)]) -> Option<(Side, Option<usize>)> {
    let is_known =
        |nth: usize, phone: &RealNumber| phones[..nth].iter().any(|(_, _, other)| canonical(other) == canonical(phone));
    let found = phones.iter().enumerate().find(|(nth, (_, _, phone))| is_known(*nth, phone));
    found.map(|(_, (side, place, _))| (*side, *place))
}
