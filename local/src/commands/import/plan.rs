//! The conversations that an export becomes, and the reasons why some of its sessions become none.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use shared::domain::country::Country;
use shared::domain::lifetime::Lifetime;
use shared::domain::phone::{PhoneNumber, dial_policy, parse, plan};
use shared::domain::text::Reference;

use super::Source;
use super::export::{End, Export, Person, Session};

/// The shortest conversation in seconds.
const SHORTEST: i64 = 60;

/// The fate of each session of an export.
pub(super) struct Plan {
    pub(super) source: Source,
    pub(super) services: usize,
    pub(super) numbers: Vec<Number>,
    pub(super) entries: Vec<Entry>,
    /// The numbers that each country needs: as many as its busiest phone has conversations.
    pub(super) needed: BTreeMap<Country, u64>,
    /// The conversations of each phone.
    pub(super) of_phone: BTreeMap<PhoneNumber, u64>,
}

/// A virtual number of the other service.
pub(super) struct Number {
    pub(super) number: String,
    pub(super) country: Option<String>,
    /// The people who dial it in a session that is carried over.
    pub(super) dialled_by: u64,
}

/// A session, and the conversation that it becomes.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) notes: Vec<String>,
    /// The conversation, or the reason why there is none.
    pub(super) wish: Result<Wish, String>,
}

/// A conversation to create.
pub(super) struct Wish {
    pub(super) reference: String,
    /// In the one spelling that each phone has for us.
    pub(super) phones: [PhoneNumber; 2],
    participants: [Value; 2],
    /// None: the API's own default.
    pub(super) expires_in: Option<i64>,
    extend_on_use: Option<u64>,
    dials: [Option<String>; 2],
}

impl Wish {
    /// Returns the request for the conversation.
    pub(super) fn request(&self, notify: bool) -> Value {
        let mut request = json!({"participants": self.participants, "reference": self.reference, "notify": notify});
        if let Some(seconds) = self.expires_in {
            request["expires_in"] = json!(seconds);
        }
        if let Some(seconds) = self.extend_on_use {
            request["extend_on_use"] = json!(seconds);
        }
        request
    }
}

impl Plan {
    /// Makes the plan at `now`. National forms are of `country`, unless the export says another one.
    pub(super) fn new(source: Source, export: Export, country: Option<Country>, now: Timestamp) -> Self {
        let shared = shared_references(&export.sessions);
        let entry = |session: Session| {
            let mut notes = session.notes.clone();
            let wish = wish(&session, country, now, &shared, &mut notes);
            Entry { id: session.id, notes: if wish.is_ok() { notes } else { Vec::new() }, wish }
        };
        let entries: Vec<Entry> = export.sessions.into_iter().map(entry).collect();
        let mut of_phone: BTreeMap<PhoneNumber, u64> = BTreeMap::new();
        for phone in wishes(&entries).flat_map(|wish| &wish.phones) {
            *of_phone.entry(phone.clone()).or_default() += 1;
        }
        let mut needed: BTreeMap<Country, u64> = BTreeMap::new();
        for (phone, conversations) in &of_phone {
            if let Some(country) = plan::country(phone) {
                let most = needed.entry(country).or_default();
                *most = (*most).max(*conversations);
            }
        }
        let mut numbers: BTreeMap<String, Number> = BTreeMap::new();
        let mut add = |written: &str, country: Option<String>, dialled_by: u64| {
            let number = parse::read(written, None);
            let own = number.as_ref().ok().and_then(plan::country).map(|country| country.to_string());
            let number = number.map_or_else(|_| written.to_owned(), |number| format!("+{}", number.expose()));
            let known = numbers.entry(number.clone()).or_insert(Number { number, country: None, dialled_by: 0 });
            known.country = known.country.take().or(country).or(own);
            known.dialled_by += dialled_by;
        };
        export.numbers.into_iter().for_each(|old| add(&old.number, old.country, 0));
        wishes(&entries).flat_map(|wish| wish.dials.iter().flatten()).for_each(|dials| add(dials, None, 1));
        let numbers = numbers.into_values().collect();
        Self { source, services: export.services, numbers, entries, needed, of_phone }
    }
}

fn wishes(entries: &[Entry]) -> impl Iterator<Item = &Wish> {
    entries.iter().filter_map(|entry| entry.wish.as_ref().ok())
}

/// Returns the names that several sessions have. They tell no conversation from another.
fn shared_references(sessions: &[Session]) -> BTreeSet<String> {
    let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for reference in sessions.iter().filter_map(|session| session.reference.as_ref()) {
        if !seen.insert(reference) {
            shared.insert(reference.clone());
        }
    }
    shared
}

fn wish(
    session: &Session,
    country: Option<Country>,
    now: Timestamp,
    shared: &BTreeSet<String>,
    notes: &mut Vec<String>,
) -> Result<Wish, String> {
    if let Some(reason) = &session.left_out {
        return Err(reason.clone());
    }
    let [first, second] = session.people.as_slice() else {
        return Err(format!("it has {} participants, and a conversation has two", session.people.len()));
    };
    let written = [phone(first, "first", country)?, phone(second, "second", country)?];
    let phones = written.each_ref().map(|phone| phone.canonical().into_owned());
    if phones[0] == phones[1] {
        return Err("both participants have the same phone".to_owned());
    }
    let (expires_in, extend_on_use) = lifetime(session.end, now, notes)?;
    let reference = reference(session, shared, notes)?;
    let participants = [participant(first, &written[0]), participant(second, &written[1])];
    let dials = [first.dials.clone(), second.dials.clone()];
    Ok(Wish { reference, phones, participants, expires_in, extend_on_use, dials })
}

fn phone(person: &Person, which: &str, country: Option<Country>) -> Result<PhoneNumber, String> {
    let of = |reason: &dyn std::fmt::Display| format!("its {which} participant: {reason}");
    // In the name of a messenger, such as `messenger:4829103752`, the digits would be read as somebody's phone.
    if person.phone.contains(|c: char| c == ':' || c.is_alphabetic()) {
        return Err(of(&"not a phone number"));
    }
    let own = match &person.country {
        Some(code) => Some(Country::try_from(code.as_str()).map_err(|error| of(&error))?),
        None => None,
    };
    // A number with its calling code needs no country, and may be of another one.
    let number = parse::read(&person.phone, None).or_else(|error| match own.or(country) {
        Some(country) => parse::read(&person.phone, Some(country)),
        None => Err(error),
    });
    let number = number.map_err(|error| of(&error))?;
    dial_policy::check_kind(&number).map_err(|error| of(&error))?;
    Ok(number)
}

fn participant(person: &Person, phone: &PhoneNumber) -> Value {
    let given = [
        ("number", Some(format!("+{}", phone.expose()))),
        ("label", person.label.clone()),
        ("language", person.language.clone()),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    Value::Object(given.collect::<Map<_, _>>())
}

/// Returns the seconds until the end, and those by which it slides.
fn lifetime(end: End, now: Timestamp, notes: &mut Vec<String>) -> Result<(Option<i64>, Option<u64>), String> {
    let longest = Lifetime::LONGEST.duration().as_secs();
    let (left, slides) = match end {
        End::Usual => return Ok((None, None)),
        End::Never => {
            notes.push("it has no end; here it ends after 170 days".to_owned());
            return Ok((Some(longest), None));
        }
        End::At(at) => (at.as_second() - now.as_second(), None),
        End::AfterUse { seconds, last_use } => {
            let end = last_use.as_second().saturating_add_unsigned(seconds);
            (end.saturating_sub(now.as_second()), Some(seconds))
        }
    };
    if left < SHORTEST {
        let reason = if left <= 0 { "its end is over" } else { "it ends in less than a minute" };
        return Err(reason.to_owned());
    }
    if left > longest {
        notes.push("it ends in more than 170 days; here it ends after 170 days".to_owned());
    }
    let slides = slides.map(|seconds| seconds.clamp(SHORTEST.unsigned_abs(), longest.unsigned_abs()));
    Ok((Some(left.min(longest)), slides))
}

/// Returns the name of the session, or its id if the name is none here or others have it too.
fn reference(session: &Session, shared: &BTreeSet<String>, notes: &mut Vec<String>) -> Result<String, String> {
    let checked = |text: &str| Reference::try_from(text.to_owned()).map(|reference| reference.as_str().to_owned());
    let name = session.reference.as_deref().filter(|name| *name != session.id);
    match name {
        Some(name) if shared.contains(name) => {
            notes.push("others have its name too; its id is the reference".to_owned())
        }
        Some(name) => match checked(name) {
            Ok(reference) => return Ok(reference),
            Err(_) => notes.push("its name cannot be a reference here; its id is the reference".to_owned()),
        },
        None => {}
    }
    checked(&session.id).map_err(|error| format!("its reference {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-12-01T12:00:00Z";

    fn session(id: &str, phones: [&str; 2]) -> Session {
        let people = phones.map(|phone| Person::new(phone.to_owned()));
        Session {
            id: id.to_owned(),
            reference: None,
            people: people.into(),
            end: End::Usual,
            left_out: None,
            notes: Vec::new(),
        }
    }

    fn plan_of(sessions: Vec<Session>) -> Plan {
        let export = Export { sessions, ..Export::default() };
        Plan::new(Source::Csv, export, Country::try_from("GB").ok(), NOW.parse().unwrap())
    }

    fn reason(session: Session) -> String {
        plan_of(vec![session]).entries.remove(0).wish.err().unwrap()
    }

    #[test]
    fn sessions_without_two_phones_that_can_be_called_are_left_out() {
        for (phones, expected) in [
            (["+447700900001", "messenger:4829103752"], "its second participant: not a phone number"),
            (["+447700900001", "+44 7700 900001"], "both participants have the same phone"),
            (["07700 900001", "0900 123"], "its second participant: "),
            (["", "+447700900001"], "its first participant: "),
        ] {
            let told = reason(session("a", phones));
            assert!(told.starts_with(expected) && !told.contains("7700"), "{told}");
        }
        let mut alone = session("a", ["+447700900001", "+447700900002"]);
        alone.people.pop();
        assert_eq!(reason(alone), "it has 1 participants, and a conversation has two");
    }

    #[test]
    fn end_becomes_a_lifetime_within_the_limits() {
        let now: Timestamp = NOW.parse().unwrap();
        let at = |seconds: i64| End::At(Timestamp::from_second(now.as_second() + seconds).unwrap());
        let used = |seconds, ago: i64| End::AfterUse {
            seconds,
            last_use: Timestamp::from_second(now.as_second() - ago).unwrap(),
        };
        for (end, expected) in [
            (at(3600), Ok((Some(3600), None))),
            (at(60), Ok((Some(60), None))),
            (at(59), Err("it ends in less than a minute")),
            (at(-1), Err("its end is over")),
            (at(20_000_000), Ok((Some(14_688_000), None))),
            (used(3600, 600), Ok((Some(3000), Some(3600)))),
            (used(3600, 3700), Err("its end is over")),
            (used(u64::MAX, 0), Ok((Some(14_688_000), Some(14_688_000)))),
            (End::Never, Ok((Some(14_688_000), None))),
            (End::Usual, Ok((None, None))),
        ] {
            assert_eq!(lifetime(end, now, &mut Vec::new()), expected.map_err(str::to_owned), "{end:?}");
        }
    }

    #[test]
    fn name_is_the_reference_unless_it_is_shared_or_impossible() {
        let named = |id: &str, name: &str| {
            let mut session = session(id, ["+447700900001", "+447700900002"]);
            session.reference = Some(name.to_owned());
            session
        };
        let plan =
            plan_of(vec![named("KC1", "ride-1"), named("KC2", "ride"), named("KC3", "ride"), named("KC4", "a \"b\"")]);
        let references =
            plan.entries.iter().map(|entry| (entry.wish.as_ref().ok().unwrap().reference.as_str(), entry.notes.len()));
        assert_eq!(references.collect::<Vec<_>>(), [("ride-1", 0), ("KC2", 1), ("KC3", 1), ("KC4", 1)]);
    }

    #[test]
    fn country_needs_the_numbers_of_its_busiest_phone() {
        let driver = "+447700900009";
        let mut sessions: Vec<Session> =
            ["07700 900001", "+447700900002", "+14155550123"].map(|rider| session(rider, [driver, rider])).into();
        sessions[0].people[0].dials = Some("+44 7451 000001".to_owned());
        sessions[1].people[0].dials = Some("+447451000001".to_owned());
        let plan = plan_of(sessions);
        let needed: Vec<_> = plan.needed.iter().map(|(country, count)| (country.to_string(), *count)).collect();
        assert_eq!(needed, [("GB".to_owned(), 3), ("US".to_owned(), 1)]);
        let numbers: Vec<_> = plan.numbers.iter().map(|number| (number.number.as_str(), number.dialled_by)).collect();
        assert_eq!(numbers, [("+447451000001", 2)]);
    }
}
