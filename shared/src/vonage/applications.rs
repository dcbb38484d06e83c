//! The Voice application: where Vonage sends an account's calls, and what it may do with them.
//!
//! Source: Vonage Application API v2. A change sends the whole application, so what is not known here is sent back as it
//! came.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::client::{Payload, Vonage, parse_ok};
use super::error::VonageError;
use super::retry::Idempotency;

/// The Application API.
#[derive(Debug, Clone)]
pub struct ApplicationsApi(pub Vonage);

/// An application, as Vonage shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Application(Map<String, Value>);

impl ApplicationsApi {
    /// The application with this id.
    pub async fn read(&self, id: &str) -> Result<Application, VonageError> {
        let path = path(id);
        let tries = self.0.tries(&path, Idempotency::Safe);
        let read = |limit| self.0.ask_json(self.0.api(&path), Payload::Query(&()), limit);
        tries.make(read).await.map(Application::new)
    }

    /// Makes the application with this id what `application` says.
    pub async fn replace(&self, id: &str, application: &Application) -> Result<(), VonageError> {
        let path = path(id);
        let tries = self.0.tries(&path, Idempotency::Unsafe);
        tries.make(|limit| self.replace_once(&path, application, limit)).await
    }

    async fn replace_once(&self, path: &str, application: &Application, limit: Duration) -> Result<(), VonageError> {
        let (status, body) = self.0.ask(self.0.api(path), Payload::Put(&application.0), limit).await?;
        parse_ok::<Map<String, Value>>(status, &body).map(drop)
    }
}

fn path(id: &str) -> String {
    format!("/v2/applications/{id}")
}

const ANSWER_PATH: &str = "/webhooks/answer";

/// The webhooks of the Voice capability, with the path at which this product answers each.
const WEBHOOKS: [(&str, &str); 3] =
    [("answer_url", ANSWER_PATH), ("fallback_answer_url", "/webhooks/fallback"), ("event_url", "/webhooks/event")];

impl Application {
    /// Without what only an answer has.
    fn new(mut shown: Map<String, Value>) -> Self {
        shown.retain(|name, _| name != "id" && name != "_links");
        Self(shown)
    }

    /// Whether its calls go to another deployment of this product than the one at `public_url`.
    pub fn serves_another(&self, public_url: &str) -> bool {
        let address = self.0.get("capabilities").and_then(|all| all.pointer("/voice/webhooks/answer_url/address"));
        let address = address.and_then(Value::as_str).unwrap_or_default();
        address.ends_with(ANSWER_PATH) && address != self::address(public_url, ANSWER_PATH)
    }

    /// Makes it what a deployment needs that Vonage reaches at `public_url`, and gives the names of what was otherwise: the
    /// webhooks lead here, by POST, because only then their signature covers what they say; they are signed; and Vonage
    /// does not use what people say on the phone to improve its products.
    pub fn serve(&mut self, public_url: &str) -> Vec<&'static str> {
        let before = self.clone();
        let voice = member(member(&mut self.0, "capabilities"), "voice");
        voice.insert("signed_callbacks".to_owned(), json!(true));
        let webhooks = member(voice, "webhooks");
        for (name, path) in WEBHOOKS {
            let webhook = member(webhooks, name);
            webhook.insert("address".to_owned(), json!(address(public_url, path)));
            webhook.insert("http_method".to_owned(), json!("POST"));
        }
        member(&mut self.0, "privacy").insert("improve_ai".to_owned(), json!(false));
        let names = [
            ("improve_ai", "/privacy/improve_ai"),
            ("signed_callbacks", "/capabilities/voice/signed_callbacks"),
            ("answer_url", "/capabilities/voice/webhooks/answer_url"),
            ("fallback_answer_url", "/capabilities/voice/webhooks/fallback_answer_url"),
            ("event_url", "/capabilities/voice/webhooks/event_url"),
        ];
        let at = |application: &Self, pointer: &str| Value::Object(application.0.clone()).pointer(pointer).cloned();
        let differs = |pointer: &str| at(&before, pointer) != at(self, pointer);
        names.into_iter().filter(|(_, pointer)| differs(pointer)).map(|(name, _)| name).collect()
    }
}

fn address(public_url: &str, path: &str) -> String {
    format!("{}{path}", public_url.trim_end_matches('/'))
}

/// The object `name` in `object`; an empty one is put there if there is none.
fn member<'a>(object: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = object.entry(name).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object just now")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(value: Value) -> Application {
        Application::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn an_application_that_serves_another_deployment_is_known() {
        for (address, another) in [
            ("https://here/webhooks/answer", false),
            ("https://there/webhooks/answer", true),
            ("https://example.com/to-be-replaced", false),
        ] {
            let voice = json!({"voice": {"webhooks": {"answer_url": {"address": address}}}});
            let some = application(json!({"name": "Rides", "capabilities": voice}));
            assert_eq!(some.serves_another("https://here/"), another, "{address}");
        }
        assert!(!application(json!({"name": "Rides"})).serves_another("https://here"));
    }

    #[test]
    fn what_is_not_ours_stays_as_it_was() {
        let mut some = application(json!({
            "id": "1", "name": "Rides", "keys": {"public_key": "…"}, "privacy": {"improve_ai": true, "other": 1},
            "capabilities": {
                "voice": {"region": "eu-west", "signed_callbacks": true, "webhooks": {
                    "answer_url": {"address": "https://here/webhooks/answer", "http_method": "GET", "socket_timeout": 3000},
                    "event_url": {"address": "https://here/webhooks/event", "http_method": "POST"}}},
                "messages": {"version": "v1"}},
        }));
        assert_eq!(some.serve("https://here/"), ["improve_ai", "answer_url", "fallback_answer_url"]);
        let expected = json!({
            "id": "1", "name": "Rides", "keys": {"public_key": "…"}, "privacy": {"improve_ai": false, "other": 1},
            "capabilities": {
                "voice": {"region": "eu-west", "signed_callbacks": true, "webhooks": {
                    "answer_url": {"address": "https://here/webhooks/answer", "http_method": "POST", "socket_timeout": 3000},
                    "fallback_answer_url": {"address": "https://here/webhooks/fallback", "http_method": "POST"},
                    "event_url": {"address": "https://here/webhooks/event", "http_method": "POST"}}},
                "messages": {"version": "v1"}},
        });
        assert_eq!(some, application(expected));
        assert_eq!(some.serve("https://here"), Vec::<&str>::new(), "and then there is nothing to change");
    }

    #[test]
    fn an_application_without_voice_gets_it() {
        let mut bare = application(json!({"name": "Rides", "capabilities": null}));
        let all = ["improve_ai", "signed_callbacks", "answer_url", "fallback_answer_url", "event_url"];
        assert_eq!(bare.serve("https://here"), all);
    }
}
