//! Phone numbers in a text.
//!
//! A run is digits with at most three signs between two of them. A run without its dates, times and prices is a phone number if it
//! has 7 to 15 digits and
//! - begins with `+`, `00` or `011` and a calling code, or
//! - is a national number of one of the countries, with or without its trunk prefix, or has their calling code, or
//! - begins with one 0 and has 9 to 12 digits: that is how national numbers of most countries begin, or
//! - is written as numbers of North America are: 212-555-0123.
//!
//! Other digits are an order number, an amount or the like. So are unbroken digits behind a `#` without a prefix.

use std::ops::Range;

use numbering_plan::{Dialling, Number};

use crate::domain::country::Country;

/// Stands in a text for what was masked. It is in the GSM alphabet and shorter than anything that it replaces, so a masked text
/// never needs more parts. No phone number goes on behind it.
pub const MARK: &str = "***";

/// Digits of a phone number, with its calling code. Source: ITU-T E.164 has at most 15.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Most signs between two digits of a phone number: `) - (` is written, but longer gaps separate words.
const LONGEST_GAP: usize = 3;

/// Prefixes of international calls of the most countries, and of North America.
const INTERNATIONAL: [&str; 2] = ["00", "011"];

/// Digits without a sign between them.
#[derive(Debug, Clone)]
struct Group<'t> {
    place: Range<usize>,
    digits: &'t str,
}

/// Returns the places of phone numbers in a plain text.
pub fn find(text: &str, countries: &[Country]) -> Vec<Range<usize>> {
    let known: Vec<Dialling> =
        countries.iter().filter_map(|country| Dialling::of_code(&country.calling_code()?)).collect();
    let mut found = Vec::new();
    for run in runs(text) {
        for part in without_other_figures(text, &run) {
            find_in(text, part, &known, &mut found);
        }
    }
    found
}

/// Adds the phone numbers of a run. If the whole is none, it may be several: the longest ones that begin first are taken.
fn find_in(text: &str, run: &[Group<'_>], known: &[Dialling], found: &mut Vec<Range<usize>>) {
    let mut start = 0;
    while start < run.len() {
        let ends = (start + 1..=run.len()).rev().filter(|_| may_begin(text, run, start));
        let end = ends.into_iter().find(|end| is_phone_number(text, &run[start..*end], known));
        match end {
            Some(end) => {
                let first = run[start].place.start;
                let opening = text[..first].len() - prefix(text, first).len();
                found.push(opening..run[end - 1].place.end);
                start = end;
            }
            None => start += 1,
        }
    }
}

/// True if a phone number may begin with this group: not behind a decimal point, unless it has a trunk prefix.
fn may_begin(text: &str, run: &[Group<'_>], start: usize) -> bool {
    let before = start.checked_sub(1).map(|before| &text[run[before].place.end..run[start].place.start]);
    !matches!(before, Some("." | "-" | ":" | "'" | "_")) || run[start].digits.starts_with('0')
}

/// Splits a text into runs of digits.
fn runs(text: &str) -> Vec<Vec<Group<'_>>> {
    let mut runs: Vec<Vec<Group<'_>>> = Vec::new();
    let mut rest = 0;
    while let Some(start) = text[rest..].find(|c: char| c.is_ascii_digit()).map(|at| rest + at) {
        let end = text[start..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |at| start + at);
        let group = Group { place: start..end, digits: &text[start..end] };
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| is_gap(&text[last.place.end..start])) => run.push(group),
            _ => runs.push(vec![group]),
        }
        rest = end;
    }
    runs
}

fn is_gap(between: &str) -> bool {
    let is_sign =
        |c: char| c.is_whitespace() || (c.is_ascii_punctuation() && !"#@%$&".contains(c)) || !c.is_alphanumeric();
    between.chars().count() <= LONGEST_GAP && between != MARK && between.chars().all(is_sign)
}

/// Returns the sign before a number that belongs to it: `+` or an opening bracket.
fn prefix(text: &str, start: usize) -> &str {
    let before = text[..start].trim_end_matches(['+', '(', ' ']);
    text[before.len()..start].trim_start()
}

/// Cuts dates, times and prices out of a run. Returns what is between them.
fn without_other_figures<'r, 't>(text: &str, run: &'r [Group<'t>]) -> Vec<&'r [Group<'t>]> {
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    while at < run.len() {
        match figure(text, &run[at..], at == 0 || is_apart(text, &run[at - 1], &run[at])) {
            Some(length) => {
                parts.push(&run[begin..at]);
                at += length;
                begin = at;
            }
            None => at += 1,
        }
    }
    parts.push(&run[begin..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// True if a blank, a `T`, a comma or a dash between blanks is between two groups, so that a new figure may begin.
fn is_apart(text: &str, left: &Group<'_>, right: &Group<'_>) -> bool {
    let between = &text[left.place.end..right.place.start];
    between.contains([' ', '\n', ',']) || between == "-"
}

/// Returns the number of groups of a date, a time or a price with which a run begins, if it does.
fn figure(text: &str, run: &[Group<'_>], may_begin: bool) -> Option<usize> {
    if !may_begin {
        return None;
    }
    let sign = |nth: usize| Some(&text[run.get(nth)?.place.end..run.get(nth + 1)?.place.start]);
    let ends = |length: usize| run.get(length).is_none_or(|next| is_apart(text, &run[length - 1], next));
    let value = |nth: usize| run.get(nth)?.digits.parse::<u32>().ok();
    let length = |nth: usize| run.get(nth).map_or(0, |group| group.digits.len());
    // A date.
    let same_signs = sign(0) == sign(1) && matches!(sign(0), Some("." | "/" | "-"));
    if same_signs
        && ends(3)
        && let (Some(first), Some(second), Some(third)) = (value(0), value(1), value(2))
    {
        let is_day_and_month =
            |one: u32, other: u32| (1..=31).contains(&one) && (1..=31).contains(&other) && one.min(other) <= 12;
        let is_year = |nth: usize, year: u32| (length(nth) == 4 && (1900..2100).contains(&year)) || length(nth) == 2;
        let is_short = |nth: usize| length(nth) <= 2;
        let from_day = is_short(0) && is_short(1) && is_day_and_month(first, second) && is_year(2, third);
        let from_year =
            length(0) == 4 && (1900..2100).contains(&first) && is_short(2) && is_day_and_month(second, third);
        if from_day || from_year {
            return Some(3);
        }
    }
    // A time.
    let is_minute = |nth: usize| length(nth) == 2 && value(nth).is_some_and(|minute| minute < 60);
    if length(0) <= 2 && value(0).is_some_and(|hour| hour < 24) && sign(0) == Some(":") && is_minute(1) {
        let has_seconds = sign(1) == Some(":") && is_minute(2);
        let groups = if has_seconds { 3 } else { 2 };
        if ends(groups) {
            return Some(groups);
        }
    }
    price(text, run)
}

/// Returns the number of groups of a price with which a run begins: whole thousands, or up to eight digits, beside a currency.
fn price(text: &str, run: &[Group<'_>]) -> Option<usize> {
    let first = run.first()?;
    let grouped = run.windows(2).take_while(|pair| {
        let between = &text[pair[0].place.end..pair[1].place.start];
        matches!(between, "," | "." | " " | "'") && pair[1].digits.len() <= 3
    });
    let length = 1 + grouped.count();
    let (leading, last) = (&first.digits, &run[length - 1]);
    let inner = if length > 2 { &run[1..length - 1] } else { &[] };
    let is_amount = !leading.starts_with('0')
        && inner.iter().all(|group| group.digits.len() == 3)
        && if length == 1 { leading.len() <= 8 } else { leading.len() <= 3 };
    (is_amount && has_currency(&text[..first.place.start], &text[last.place.end..])).then_some(length)
}

fn has_currency(before: &str, after: &str) -> bool {
    const SIGNS: &[char] = &['£', '$', '€', '¥', '₹', '₺', '₽', '₩', '₪', '₫', '₦', '฿', '¢'];
    const NAMES: &[&str] = &[
        "eur", "euro", "usd", "gbp", "chf", "cad", "aud", "inr", "jpy", "cny", "sek", "nok", "dkk", "pln", "kr", "zl",
        "rs",
    ];
    let (before, after) = (before.trim_end_matches(' '), after.trim_start_matches(' '));
    let is_name = |word: &str| NAMES.contains(&word.to_lowercase().as_str());
    let word_before = before.rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    let word_after = after.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    before.ends_with(SIGNS) || after.starts_with(SIGNS) || is_name(word_before) || is_name(word_after)
}

fn is_phone_number(text: &str, run: &[Group<'_>], known: &[Dialling]) -> bool {
    let digits: String = run.iter().map(|group| group.digits).collect();
    let prefix = prefix(text, run[0].place.start);
    if prefix.contains('+') {
        return is_international(digits.strip_prefix("00").unwrap_or(&digits));
    }
    if INTERNATIONAL
        .iter()
        .filter_map(|prefix| digits.strip_prefix(prefix))
        .any(|rest| rest.len() >= 8 && is_international(rest))
    {
        return true;
    }
    if !DIGITS.contains(&digits.len()) || is_list(text, run) {
        return false;
    }
    let is_unbroken = run.len() == 1;
    let is_labelled = is_unbroken && text[..run[0].place.start].trim_end_matches(' ').ends_with('#');
    let is_of = |dialling: &Dialling| is_national(&digits, dialling, is_unbroken, is_labelled);
    known.iter().any(is_of) || has_trunk_zero(&digits) || is_written_as_in_north_america(run)
}

/// True if two numbers with a comma between them are more likely than one: `101, 102`. Such a list has groups of the same length.
fn is_list(text: &str, run: &[Group<'_>]) -> bool {
    let commas = run.windows(2).filter(|pair| text[pair[0].place.end..pair[1].place.start].contains(','));
    let commas = commas.count();
    commas > 0 && commas + 1 == run.len() && run.iter().all(|group| group.digits.len() > 1)
}

/// True if these digits behind `+` are a number with a calling code.
fn is_international(digits: &str) -> bool {
    let known = Dialling::split(digits).filter(|(_, national)| national.len() >= 4);
    DIGITS.contains(&digits.len()) && known.is_some()
}

/// True if these are the digits of a number of this calling code: with its trunk prefix, with the code, or alone.
fn is_national(digits: &str, dialling: &Dialling, is_unbroken: bool, is_labelled: bool) -> bool {
    let trunk = dialling.trunk_prefix;
    if !trunk.is_empty() && digits.strip_prefix(trunk).is_some_and(|national| dialling.is_complete(national)) {
        return true;
    }
    let code = dialling.calling_code.to_string();
    if digits.len() > 9
        && digits.strip_prefix(&code).is_some_and(|national| dialling.is_complete(national.trim_start_matches('0')))
    {
        return true;
    }
    if is_labelled || !dialling.is_complete(digits) {
        return false;
    }
    // Where numbers have a trunk prefix, few people leave it out, and unbroken digits are more often an order number.
    match trunk.is_empty() {
        true => true,
        false if is_unbroken => {
            Number::from_international(&format!("{code}{digits}")).is_some_and(|number| number.is_valid())
        }
        false => digits.len() >= 9,
    }
}

fn has_trunk_zero(digits: &str) -> bool {
    digits.starts_with('0') && !digits.starts_with("00") && (9..=12).contains(&digits.len())
}

fn is_written_as_in_north_america(run: &[Group<'_>]) -> bool {
    let [area, exchange, line] = run else { return false };
    let is_code =
        |group: &Group<'_>| group.digits.len() == 3 && group.digits.starts_with(|c: char| ('2'..='9').contains(&c));
    is_code(area) && is_code(exchange) && line.digits.len() == 4
}
