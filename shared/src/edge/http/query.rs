//! Strict reading of query parameters. A problem names the parameter at fault, and never quotes its value, which may be a phone
//! number.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use lambda_http::{Request, RequestExt};

use super::Problem;
use crate::domain::country::Country;
use crate::domain::phone::PhoneNumber;
use crate::domain::phone::parse;

/// The query parameters of a request.
pub struct Query<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Query<'a> {
    /// Reads the parameters, of which only the `known` ones may be there, each once.
    pub fn read(request: &'a Request, known: &[&'static str]) -> Result<Self, Problem> {
        let mut read: Vec<(&'static str, &'a str)> = Vec::new();
        for (name, value) in request.query_string_parameters_ref().into_iter().flat_map(|parameters| parameters.iter())
        {
            let Some(known) = known.iter().find(|known| **known == name) else { return Err(unknown(name, known)) };
            if read.iter().any(|(other, _)| other == known) {
                return Err(Problem::invalid(*known, "Must be given once."));
            }
            read.push((known, value));
        }
        Ok(Self(read))
    }

    /// Refuses all parameters.
    pub fn refuse(request: &Request) -> Result<(), Problem> {
        Query::read(request, &[]).map(drop)
    }

    /// Returns the value of a parameter that is true or false. False, if it is not there.
    pub fn flag(&self, name: &'static str) -> Result<bool, Problem> {
        match self.value(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid(name, "Must be true or false.")),
        }
    }

    /// Returns the value of a parameter.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// Returns the number of a parameter within a range, or the `default`.
    pub fn number(&self, name: &'static str, range: RangeInclusive<u16>, default: u16) -> Result<u16, Problem> {
        let Some(value) = self.value(name) else { return Ok(default) };
        let number = value.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| Problem::invalid(name, format!("Must be from {} to {}.", range.start(), range.end())))
    }

    /// Returns the phone number in `number`, which needs a `country` in its national form.
    pub fn phone_number(&self) -> Result<PhoneNumber, Problem> {
        let written = self.value("number").ok_or_else(|| Problem::invalid("number", "This parameter is required."))?;
        let country = self.value("country").map(Country::try_from).transpose();
        let country = country.map_err(|error| Problem::invalid("country", format!("Is {error}.")))?;
        if country.is_some() && written.starts_with(' ') {
            // It could be a national number behind a blank.
            return Err(Problem::invalid("number", "In a URL, the + of a number has to be written as %2B."));
        }
        Ok(parse::read(&with_plus(written), country)?)
    }
}

/// Returns a number in international form with its `+`, which arrives as a blank where a URL has it unescaped.
pub fn with_plus(number: &str) -> Cow<'_, str> {
    match number.strip_prefix(' ') {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => format!("+{digits}").into(),
        _ => number.into(),
    }
}

/// Returns the problem of an unknown parameter. It is named if it looks like a name: a phone number does not.
fn unknown(name: &str, known: &[&'static str]) -> Problem {
    let is_name = (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphabetic() || b"_-".contains(&b));
    let field = if is_name { name } else { "" };
    let nearest = known.iter().min_by_key(|known| distance(name, known));
    let detail = match nearest.filter(|nearest| is_name && distance(name, nearest) <= nearest.len().div_ceil(3)) {
        Some(nearest) => format!("This query parameter is unknown. Perhaps {nearest} is meant."),
        None if known.is_empty() => "This operation takes no query parameter.".to_owned(),
        None => format!("This query parameter is unknown. Expected some of {}.", known.join(", ")),
    };
    Problem::invalid(field, detail)
}

/// Returns the number of letters to insert, delete or replace in one name for the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (nth, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], nth + 1);
        for (column, other) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, known: &[&'static str]) -> (String, String) {
        let problem = serde_json::from_slice::<serde_json::Value>(unknown(name, known).into_response().body()).unwrap();
        let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
        (text("field"), text("detail"))
    }

    #[test]
    fn unknown_parameter_is_named_and_the_nearest_one_suggested() {
        let known = ["erase", "hang_up"];
        for (name, nearest) in [("eraze", "erase"), ("Erase", "erase"), ("hangup", "hang_up"), ("hang-up", "hang_up")] {
            let detail = format!("This query parameter is unknown. Perhaps {nearest} is meant.");
            assert_eq!(refused(name, &known), (name.to_owned(), detail));
        }
        let all = "This query parameter is unknown. Expected some of erase, hang_up.";
        assert_eq!(refused("force", &known), ("force".to_owned(), all.to_owned()));
        assert_eq!(refused("447700900001", &known), (String::new(), all.to_owned()));
        let none = "This operation takes no query parameter.";
        assert_eq!(refused("erase", &[]), ("erase".to_owned(), none.to_owned()));
    }
}
