//! The Voice application of an account: the webhooks for its calls, and its privacy settings.
//!
//! Source: Vonage Application API v2. An update replaces the whole application, so fields that are unknown here are
//! sent back unchanged.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::client::{Payload, Vonage, parse_ok};
use super::error::VonageError;
use super::retry::Idempotency;

/// A client of the Application API.
#[derive(Debug, Clone)]
pub struct ApplicationsApi(pub Vonage);

/// An application, as JSON that can be sent back.
#[derive(Debug, Clone, PartialEq)]
pub struct Application(Map<String, Value>);

impl ApplicationsApi {
    /// Reads the application with this ID.
    pub async fn read(&self, id: &str) -> Result<Application, VonageError> {
        let path = path(id);
        let budget = self.0.retry_budget(&path, Idempotency::Safe, None);
        let read = |limit| self.0.send_for_json(self.0.api(&path), Payload::Query(&()), limit);
        budget.run(read).await.map(Application::new)
    }

    /// Replaces the application with this ID.
    pub async fn replace(&self, id: &str, application: &Application) -> Result<(), VonageError> {
        let path = path(id);
        let budget = self.0.retry_budget(&path, Idempotency::Unsafe, None);
        budget.run(|limit| self.replace_once(&path, application, limit)).await
    }

    async fn replace_once(&self, path: &str, application: &Application, limit: Duration) -> Result<(), VonageError> {
        let (status, body) = self.0.send(self.0.api(path), Payload::PutJson(&application.0), limit).await?;
        parse_ok::<Map<String, Value>>(status, &body).map(drop)
    }
}

fn path(id: &str) -> String {
    format!("/v2/applications/{id}")
}

const ANSWER_PATH: &str = "/webhooks/answer";

/// The webhooks of the Voice capability, and the path of each in this product.
const WEBHOOKS: [(&str, &str); 3] =
    [("answer_url", ANSWER_PATH), ("fallback_answer_url", "/webhooks/fallback"), ("event_url", "/webhooks/event")];

impl Application {
    /// Removes the fields that only a response has.
    fn new(mut response: Map<String, Value>) -> Self {
        response.retain(|name, _| name != "id" && name != "_links");
        Self(response)
    }

    /// True if its calls go to a deployment of this product other than the one that has these URLs.
    pub fn serves_other_deployment<'a>(&self, own_urls: impl IntoIterator<Item = &'a str>) -> bool {
        let address = self.0.get("capabilities").and_then(|all| all.pointer("/voice/webhooks/answer_url/address"));
        let address = address.and_then(Value::as_str).unwrap_or_default();
        let is_own = || own_urls.into_iter().any(|url| address == self::address(url, ANSWER_PATH));
        address.ends_with(ANSWER_PATH) && !is_own()
    }

    /// Configures the application for the deployment at `public_url`, and returns the names of the settings that
    /// changed. Its webhooks go to this deployment, by POST, because the signature of a GET does not cover the
    /// parameters. They are signed. `improve_ai` is off: by default it lets Vonage use the content of calls for its
    /// products.
    pub fn configure(&mut self, public_url: &str) -> Vec<&'static str> {
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

/// Returns the object `name` in `object`, and creates it if it is missing or not an object.
fn member<'a>(object: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = object.entry(name).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("the value is an object")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(value: Value) -> Application {
        Application::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn application_of_other_deployment_is_recognised() {
        for (address, another) in [
            ("https://here/webhooks/answer", false),
            ("https://own.example/webhooks/answer", false),
            ("https://there/webhooks/answer", true),
            ("https://example.com/to-be-replaced", false),
        ] {
            let voice = json!({"voice": {"webhooks": {"answer_url": {"address": address}}}});
            let some = application(json!({"name": "Rides", "capabilities": voice}));
            assert_eq!(some.serves_other_deployment(["https://own.example", "https://here/"]), another, "{address}");
        }
        assert!(!application(json!({"name": "Rides"})).serves_other_deployment(["https://here"]));
    }

    #[test]
    fn configure_keeps_fields_that_are_not_ours() {
        let mut some = application(json!({
            "id": "1", "name": "Rides", "keys": {"public_key": "…"}, "privacy": {"improve_ai": true, "other": 1},
            "capabilities": {
                "voice": {"region": "eu-west", "signed_callbacks": true, "webhooks": {
                    "answer_url": {"address": "https://here/webhooks/answer", "http_method": "GET", "socket_timeout": 3000},
                    "event_url": {"address": "https://here/webhooks/event", "http_method": "POST"}}},
                "messages": {"version": "v1"}},
        }));
        assert_eq!(some.configure("https://here/"), ["improve_ai", "answer_url", "fallback_answer_url"]);
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
        assert_eq!(some.configure("https://here"), Vec::<&str>::new(), "a second call changes nothing");
    }

    #[test]
    fn configure_adds_the_voice_capability() {
        let mut bare = application(json!({"name": "Rides", "capabilities": null}));
        let all = ["improve_ai", "signed_callbacks", "answer_url", "fallback_answer_url", "event_url"];
        assert_eq!(bare.configure("https://here"), all);
    }
}
