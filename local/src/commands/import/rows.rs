//! An export as CSV: a row for each conversation, under a line with the names of its columns.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord, Trim};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};

use super::export::{End, Export, OldNumber, Person, Session};

/// The columns. The first two are required.
const COLUMNS: [&str; 11] = [
    "first",
    "second",
    "country",
    "reference",
    "expires_at",
    "first_label",
    "second_label",
    "first_language",
    "second_language",
    "first_dials",
    "second_dials",
];

/// Reads an export.
///
/// # Errors
/// Names the column or the line, and shows nothing of its contents.
pub(super) fn read(export: &str) -> Result<Export, String> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(export.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers().map_err(|_| "the first line cannot be read".to_owned())?.clone();
    let columns: BTreeMap<&str, usize> = header.iter().enumerate().map(|(place, name)| (name, place)).collect();
    if let Some(unknown) = header.iter().find(|name| !COLUMNS.contains(name)) {
        return Err(format!("there is no column {unknown}; the columns are {}", COLUMNS.join(", ")));
    }
    if columns.len() < header.len() {
        return Err("a column is there twice".to_owned());
    }
    if let Some(missing) = COLUMNS[..2].iter().find(|name| !columns.contains_key(*name)) {
        return Err(format!("the column {missing} is missing"));
    }
    let mut export = Export::default();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for row in reader.records() {
        let row = row.map_err(|error| match error.position() {
            Some(position) => {
                format!("line {} cannot be read: it has other columns than the first one", position.line())
            }
            None => "it cannot be read".to_owned(),
        })?;
        let mut session = session(&row, &columns);
        let times = seen.entry(session.id.clone()).or_default();
        *times += 1;
        if *times > 1 {
            session.id = format!("{}-{times}", session.id);
            session.left_out = Some("its reference, or the same row without one, stands above it".to_owned());
        }
        let dialled = session.people.iter().filter_map(|person| person.dials.clone());
        export.numbers.extend(dialled.map(|number| OldNumber { number, country: None }));
        export.sessions.push(session);
    }
    Ok(export)
}

fn session(row: &StringRecord, columns: &BTreeMap<&str, usize>) -> Session {
    let cell = |name: &str| {
        let text = columns.get(name).and_then(|place| row.get(*place)).filter(|text| !text.is_empty());
        text.map(str::to_owned)
    };
    let person = |side: &str| Person {
        country: cell("country"),
        label: cell(&format!("{side}_label")),
        language: cell(&format!("{side}_language")),
        dials: cell(&format!("{side}_dials")),
        ..Person::new(cell(side).unwrap_or_default())
    };
    let (end, left_out) = match cell("expires_at").map(|text| text.parse::<Timestamp>()) {
        None => (End::Usual, None),
        Some(Ok(at)) => (End::At(at), None),
        Some(Err(_)) => (End::Usual, Some("its expires_at is no time such as 2026-12-24T18:00:00Z".to_owned())),
    };
    let reference = cell("reference");
    let id = reference.clone().unwrap_or_else(|| {
        // The same row has the same id in each run, wherever it stands.
        let contents = COLUMNS.map(|name| cell(name).unwrap_or_default()).join("\n");
        let hash = digest(&SHA256, contents.as_bytes());
        let hex: String = hash.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        format!("row-{hex}")
    });
    Session { id, reference, people: vec![person("first"), person("second")], end, left_out, notes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_columns_and_rows_are_named_without_their_contents() {
        for (export, expected) in [
            ("first,second,phone\n", "there is no column phone"),
            ("first,reference\n", "the column second is missing"),
            ("first,second,first\n", "a column is there twice"),
            ("first,second\n+447700900001\n", "line 2 cannot be read"),
        ] {
            let reason = read(export).err().unwrap();
            assert!(reason.starts_with(expected) && !reason.contains("7700"), "{reason}");
        }
    }

    #[test]
    fn row_has_the_same_id_wherever_it_stands_and_counts_once() {
        let rows = ["+447700900001,+447700900002,", "+447700900001,+447700900003,ride-42"];
        let read = |rows: &[&str]| read(&format!("\u{feff}first,second,reference\n{}\n", rows.join("\n"))).unwrap();
        let ids = |export: &Export| export.sessions.iter().map(|session| session.id.clone()).collect::<Vec<_>>();
        let [there, back] = [ids(&read(&rows)), ids(&read(&[rows[1], rows[0]]))];
        assert_eq!(there, [back[1].clone(), back[0].clone()]);
        assert_eq!(there[1], "ride-42");
        let twice = read(&[rows[1], rows[1]]);
        assert_eq!(ids(&twice), ["ride-42", "ride-42-2"]);
        assert!(twice.sessions[0].left_out.is_none() && twice.sessions[1].left_out.is_some());
    }
}
