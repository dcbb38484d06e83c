//! Strict reading of request bodies. A problem names the field at fault, and never quotes its value, which may be a phone
//! number.

use std::fmt;
use std::marker::PhantomData;

use lambda_http::Request;
use lambda_http::http::StatusCode;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Problem;
use super::json::{Fault, Json};

/// Size of the largest body that the API accepts, in bytes.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// A JSON object. A derived `Deserialize` alone would also accept an array that lists the members by position.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// Returns the body, or a problem if it has more than `max_bytes`.
pub(super) fn body_of_at_most(max_bytes: usize, request: &Request) -> Result<&[u8], Problem> {
    let body: &[u8] = request.body();
    if body.len() > max_bytes {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "Body too large",
            format!("A body may have at most {max_bytes} bytes."),
        ));
    }
    Ok(body)
}

/// Reads a JSON object from the body. The content type does not matter.
pub fn read_json<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let body = body_of_at_most(MAX_BODY_BYTES, request)?;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let json = Json::deserialize(&mut deserializer).map_err(|error| malformed(&error))?;
    let Object(value) =
        serde_path_to_error::deserialize(json).map_err(|error| invalid(&error.path().to_string(), error.inner()))?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::malformed(format!("The body is not one JSON object. See line {line}, column {column}."))
}

/// Returns the problem of a fault in the value at `path`.
fn invalid(path: &str, fault: &Fault) -> Problem {
    let path = if path == "." { "" } else { path };
    let member = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match fault {
        Fault::Missing(name) => Problem::invalid(member(name), "This field is required."),
        Fault::Duplicate(name) => Problem::invalid(member(name), "This field is duplicated."),
        Fault::Unknown { allowed } => {
            Problem::invalid(masked(path), format!("This field is unknown. Expected one of {}.", allowed.join(", ")))
        }
        Fault::NotA(name) => Problem::invalid(masked(path), format!("Expected {name}.")),
        Fault::NotOneOf(allowed) => Problem::invalid(masked(path), format!("Expected one of {}.", allowed.join(", "))),
        Fault::Refused(message) => Problem::invalid(masked(path), sentence(message)),
        Fault::Unfit => Problem::invalid(masked(path), "This value cannot be used."),
    }
}

/// Returns `path`, or nothing if it could contain a phone number: the client chooses the name of an unknown field.
fn masked(path: &str) -> &str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte));
    let digits = path.bytes().filter(u8::is_ascii_digit).count();
    if is_plain && digits < 7 { path } else { "" }
}

/// Tells a null from a field that is not there: for `deserialize_with`, beside `default`.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

/// Returns an error's text as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    format!("{}{}.", first.map(String::from).unwrap_or_default(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::country::Country;
    use crate::domain::lifetime::Lifetime;
    use crate::domain::text::{Label, Reference};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code)]
    struct Outer {
        people: Vec<Object<Person>>,
        #[serde(default)]
        lifetime: Option<Lifetime>,
        #[serde(default)]
        reference: Option<Reference>,
        #[serde(default)]
        notify: bool,
        #[serde(default)]
        seconds: Option<u32>,
        #[serde(default)]
        colours: Vec<Colour>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code)]
    struct Person {
        number: String,
        #[serde(default)]
        country: Option<Country>,
        #[serde(default)]
        label: Option<Label>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
    }

    /// Returns the status, field and detail of the problem of `body`.
    fn problem(body: &str) -> (u16, String, String) {
        let problem = read_json::<Outer>(&Request::new(Body::from(body))).unwrap_err();
        let status = problem.status().as_u16();
        let response = problem.into_response();
        let Body::Text(text) = response.body() else { panic!("{response:?}") };
        let body: Value = serde_json::from_str(text).unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (status, text("field"), text("detail"))
    }

    /// The texts are written out, so that a release of serde that changes its own cannot change these unnoticed.
    #[test]
    fn each_kind_of_fault_has_its_field_and_its_text() {
        const OUTER: &str =
            "This field is unknown. Expected one of people, lifetime, reference, notify, seconds, colours.";
        const PERSON: &str = "This field is unknown. Expected one of number, country, label.";
        let meant = "Not the code of a country of two capital letters (ISO 3166-1); perhaps GB is meant.";
        let no_country = "Not the code of a country of two capital letters (ISO 3166-1), such as GB.";
        let label = "Must be visible text of 1 to 40 characters (160 code points), without line breaks, control characters \
                     and direction overrides.";
        for (body, field, detail) in [
            (json!({}), "people", "This field is required."),
            (json!({"people": [{"number": "1"}, {}]}), "people[1].number", "This field is required."),
            (json!({"people": [], "name": "x"}), "name", OUTER),
            (json!({"people": [{"number": "1", "name": "x"}]}), "people[0].name", PERSON),
            (json!({"people": [], "+447700900001": 1}), "", OUTER),
            (json!({"people": [], "447700900001": 1}), "", OUTER),
            (json!({"people": "447700900001"}), "people", "Expected an array."),
            (json!({"people": null}), "people", "Expected an array."),
            (json!({"people": ["447700900001"]}), "people[0]", "Expected an object."),
            (json!({"people": [["447700900001"]]}), "people[0]", "Expected an object."),
            (json!({"people": [{"number": 447700900001u64}]}), "people[0].number", "Expected text."),
            (json!({"people": [], "notify": "447700900001"}), "notify", "Expected true or false."),
            (json!({"people": [], "seconds": "447700900001"}), "seconds", "Expected a whole number."),
            (json!({"people": [], "seconds": 447700900001u64}), "seconds", "Expected a whole number."),
            (json!({"people": [], "seconds": -1}), "seconds", "Expected a whole number."),
            (json!({"people": [], "seconds": 1.5}), "seconds", "Expected a whole number."),
            (json!({"people": [], "colours": ["red", "447700900001"]}), "colours[1]", "Expected one of red, green."),
            (json!({"people": [], "colours": [{"red": 1}]}), "colours[0]", "Expected one of red, green."),
            (json!({"people": [{"number": "1", "country": "gb"}]}), "people[0].country", meant),
            (json!({"people": [{"number": "1", "country": "UK"}]}), "people[0].country", meant),
            (json!({"people": [{"number": "1", "country": "447700900001"}]}), "people[0].country", no_country),
            (json!({"people": [{"number": "1", "label": ""}]}), "people[0].label", label),
            (json!({"people": [], "reference": "\\"}), "reference", "Must have no quotation mark and no backslash."),
            (json!({"people": [], "lifetime": 59}), "lifetime", "Must be from 60 to 14688000 seconds (170 days)."),
            (json!([]), "", "Expected an object."),
            (json!("447700900001"), "", "Expected an object."),
        ] {
            assert_eq!(problem(&body.to_string()), (422, field.to_owned(), detail.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_duplicated_field_is_refused_by_its_path() {
        let body = r#"{"people": [{"number": "1", "number": "2"}]}"#;
        let expected = (422, "people[0].number".to_owned(), "This field is duplicated.".to_owned());
        assert_eq!(problem(body), expected);
    }

    #[test]
    fn a_body_that_is_not_json_is_refused_with_its_position() {
        for (body, line, column) in [("", 1, 0), ("{", 1, 1), ("nope", 1, 2), ("{\"people\":\n[]} {}", 2, 5)] {
            let detail = format!("The body is not one JSON object. See line {line}, column {column}.");
            assert_eq!(problem(body), (400, String::new(), detail), "{body}");
        }
    }

    #[test]
    fn a_complete_body_is_read() {
        let body = json!({"people": [{"number": "1", "country": "GB", "label": null}], "lifetime": 60, "notify": true,
                          "seconds": 7, "colours": ["green"], "reference": "ride-42"});
        read_json::<Outer>(&Request::new(Body::from(body.to_string()))).unwrap();
    }
}
