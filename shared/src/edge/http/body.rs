//! Request bodies, read strictly, with the field at fault named and no value told again: it may be a phone number.

use std::fmt;
use std::marker::PhantomData;

use lambda_http::Request;
use lambda_http::http::StatusCode;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Problem;

/// The largest body that the API takes, in bytes.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// A JSON object. By itself, deserializing takes an array for one too, its members by position.
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

/// The body, if it has no more than `max_bytes`.
pub(super) fn body_of_at_most(max_bytes: usize, request: &Request) -> Result<&[u8], Problem> {
    let body: &[u8] = request.body();
    if body.len() > max_bytes {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The body is too large",
            format!("A body may have at most {max_bytes} bytes."),
        ));
    }
    Ok(body)
}

/// Reads a JSON object from the body, whatever its content type.
pub fn read_json<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let body = body_of_at_most(MAX_BODY_BYTES, request)?;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| problem(&error.path().to_string(), error.inner()))?;
    deserializer.end().map_err(|error| problem(".", &error))?;
    Ok(value)
}

fn problem(path: &str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return Problem::malformed(format!(
            "The body is not one JSON object: see line {}, column {}.",
            error.line(),
            error.column()
        ));
    }
    let text = error.to_string();
    let text = &text[..text.rfind(" at line ").unwrap_or(text.len())];
    let path = if path == "." { "" } else { path };
    if let Some(name) = between_backticks(text, "missing field ") {
        let dot = if path.is_empty() { "" } else { "." };
        return Problem::invalid(format!("{path}{dot}{name}"), "This field is required.");
    }
    if let Some(name) = between_backticks(text, "duplicate field ") {
        return Problem::invalid(name, "This field is there twice.");
    }
    // What came is in the first half of the sentence, what would have been right at its end.
    let detail = match text.rsplit_once(", expected ") {
        Some((_, expected)) if text.starts_with("unknown field") => {
            format!("There is no such field; expected {expected}.")
        }
        Some((_, expected)) => format!("Expected {}.", in_json_words(expected)),
        None => sentence(text),
    };
    // A field that does not exist has a name of the sender's choice.
    let harmless =
        path.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-.[]".contains(&byte) || byte.is_ascii_digit());
    let digits = path.bytes().filter(u8::is_ascii_digit).count();
    Problem::invalid(if harmless && digits < 7 { path } else { "" }, detail)
}

fn in_json_words(expected: &str) -> &str {
    match expected {
        "u64" | "usize" | "i64" => "a whole number",
        "a sequence" => "an array",
        other => other,
    }
}

/// An error's text as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    format!("{}{}.", first.map(String::from).unwrap_or_default(), letters.as_str())
}

fn between_backticks<'a>(text: &'a str, after: &str) -> Option<&'a str> {
    text.strip_prefix(after)?.strip_prefix('`')?.strip_suffix('`')
}
