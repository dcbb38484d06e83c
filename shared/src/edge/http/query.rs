//! Strict reading of query parameters. A problem names the parameter at fault, and never quotes its value, which may be a phone
//! number.

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
            let Some(known) = known.iter().find(|known| **known == name) else {
                let detail = format!("A query parameter is unknown. Expected some of {}.", known.join(", "));
                return Err(Problem::invalid("", detail));
            };
            if read.iter().any(|(other, _)| other == known) {
                return Err(Problem::invalid(*known, "Must be given once."));
            }
            read.push((known, value));
        }
        Ok(Self(read))
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
        if written.starts_with(' ') {
            return Err(Problem::invalid("number", "In a URL, the + of a number has to be written as %2B."));
        }
        let country = self.value("country").map(Country::try_from).transpose();
        let country = country.map_err(|error| Problem::invalid("country", format!("Is {error}.")))?;
        Ok(parse::read(written, country)?)
    }
}
