//! The settings of a Voice application: its webhooks, its key and its privacy.
//!
//! Source: Vonage Application API v2. An update replaces the whole application, so fields that are unknown here are
//! sent back unchanged.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::public_key::PublicKey;

/// An application, as JSON that can be sent back.
#[derive(Debug, Clone, PartialEq)]
pub struct Application(Map<String, Value>);

/// The settings that an application is to have. What is not named here stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The URL of the deployment that gets the webhooks. `None`: it is not known yet.
    pub public_url: Option<&'a str>,
    /// True to set the time-outs of the webhooks of calls too.
    pub timeouts: bool,
    /// The region that holds its calls.
    pub region: Option<&'a str>,
    /// The key that verifies its tokens.
    pub public_key: Option<&'a PublicKey>,
}

/// A setting that is another one than before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The name of the setting.
    pub what: &'static str,
    /// Its value before; null if there was none.
    pub was: Value,
    /// Its value now.
    pub now: Value,
}

const ANSWER_PATH: &str = "/webhooks/answer";

/// A webhook of the Voice capability: its name, its path in this product, and its longest time for an answer in milliseconds,
/// which is Vonage's default too. A shorter one would end calls that a cold start delays.
type VoiceWebhook = (&'static str, &'static str, u32);

/// The webhooks of the Voice capability.
const VOICE_WEBHOOKS: [VoiceWebhook; 3] = [
    ("answer_url", ANSWER_PATH, 5_000),
    ("fallback_answer_url", "/webhooks/fallback", 5_000),
    ("event_url", "/webhooks/event", 10_000),
];

/// Longest time for a connection to a webhook, in milliseconds.
const CONNECT_TIMEOUT: u32 = 1_000;

/// The webhooks of the Messages capability, and the path of each in this product.
const MESSAGE_WEBHOOKS: [(&str, &str); 2] =
    [("inbound_url", "/webhooks/message"), ("status_url", "/webhooks/message-status")];

/// The settings that are compared, with their places.
const SETTINGS: [(&str, &str); 10] = [
    ("public_key", "/keys/public_key"),
    ("improve_ai", "/privacy/improve_ai"),
    ("region", "/capabilities/voice/region"),
    ("signed_callbacks", "/capabilities/voice/signed_callbacks"),
    ("answer_url", "/capabilities/voice/webhooks/answer_url"),
    ("fallback_answer_url", "/capabilities/voice/webhooks/fallback_answer_url"),
    ("event_url", "/capabilities/voice/webhooks/event_url"),
    ("messages_version", "/capabilities/messages/version"),
    ("inbound_url", "/capabilities/messages/webhooks/inbound_url"),
    ("status_url", "/capabilities/messages/webhooks/status_url"),
];

impl Application {
    /// Removes the fields that only a response has.
    pub(super) fn new(mut response: Map<String, Value>) -> Self {
        response.retain(|name, _| name != "id" && name != "_links");
        Self(response)
    }

    /// Creates an application with this name and nothing else.
    pub fn named(name: &str) -> Self {
        Self([("name".to_owned(), json!(name))].into_iter().collect())
    }

    /// Gives the application another name.
    pub fn rename(&mut self, name: &str) {
        self.0.insert("name".to_owned(), json!(name));
    }

    /// Returns what is sent to Vonage.
    pub(super) fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Returns the value at a JSON pointer, such as `/name`.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        let mut steps = pointer.strip_prefix('/')?.split('/');
        let first = self.0.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        self.at("/name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the address of a webhook of the Voice or Messages capability, such as `answer_url`.
    pub fn address_of(&self, webhook: &str) -> Option<&str> {
        let (_, pointer) = SETTINGS.iter().find(|(name, _)| *name == webhook)?;
        self.at(pointer)?.get("address")?.as_str()
    }

    /// True if its calls go to a deployment of this product other than the one that has these URLs.
    pub fn serves_other_deployment<'a>(&self, own_urls: impl IntoIterator<Item = &'a str>) -> bool {
        let address = self.address_of("answer_url").unwrap_or_default();
        address.ends_with(ANSWER_PATH) && !own_urls.into_iter().any(|url| self.leads_to(url))
    }

    /// True if its calls go to the deployment at `public_url`.
    pub fn leads_to(&self, public_url: &str) -> bool {
        self.address_of("answer_url").is_some_and(|address| address == self::address(public_url, ANSWER_PATH))
    }

    /// Gives the application these settings, and returns those that changed. Its webhooks go to the deployment, by POST, because
    /// the signature of a GET does not cover the parameters, and Vonage delivers texts in no other way. They are signed.
    /// `improve_ai` is off: by default it lets Vonage use the content of calls for its products.
    pub fn configure(&mut self, wanted: Wanted) -> Vec<Change> {
        let before = self.clone();
        if let Some(public_url) = wanted.public_url {
            self.lead_calls(public_url, wanted.timeouts);
            self.lead_texts(public_url);
        }
        if let Some(region) = wanted.region {
            member(member(&mut self.0, "capabilities"), "voice").insert("region".to_owned(), json!(region));
        }
        if let Some(key) = wanted.public_key
            && !self.at("/keys/public_key").and_then(Value::as_str).is_some_and(|pem| key.is(pem))
        {
            member(&mut self.0, "keys").insert("public_key".to_owned(), json!(key.pem()));
        }
        member(&mut self.0, "privacy").insert("improve_ai".to_owned(), json!(false));
        self.changes_since(&before)
    }

    /// Points the webhooks of calls to the deployment.
    fn lead_calls(&mut self, public_url: &str, timeouts: bool) {
        let voice = member(member(&mut self.0, "capabilities"), "voice");
        voice.insert("signed_callbacks".to_owned(), json!(true));
        let webhooks = member(voice, "webhooks");
        for (name, path, socket_timeout) in VOICE_WEBHOOKS {
            let webhook = member(webhooks, name);
            webhook.insert("address".to_owned(), json!(address(public_url, path)));
            webhook.insert("http_method".to_owned(), json!("POST"));
            if timeouts {
                webhook.insert("connect_timeout".to_owned(), json!(CONNECT_TIMEOUT));
                webhook.insert("socket_timeout".to_owned(), json!(socket_timeout));
            }
        }
    }

    /// Points the webhooks of texts and of their receipts to the deployment. Version `v1` is the form that it reads.
    fn lead_texts(&mut self, public_url: &str) {
        let messages = member(member(&mut self.0, "capabilities"), "messages");
        messages.insert("version".to_owned(), json!("v1"));
        let webhooks = member(messages, "webhooks");
        for (name, path) in MESSAGE_WEBHOOKS {
            let webhook = member(webhooks, name);
            webhook.insert("address".to_owned(), json!(address(public_url, path)));
            webhook.insert("http_method".to_owned(), json!("POST"));
        }
    }

    /// Returns the settings that are others than `before`.
    fn changes_since(&self, before: &Self) -> Vec<Change> {
        let changed = SETTINGS.into_iter().filter_map(|(what, pointer)| {
            let [was, now] = [before, self].map(|some| some.at(pointer).cloned().unwrap_or_default());
            (was != now).then_some(Change { what, was, now })
        });
        changed.collect()
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

    const HERE: Wanted = Wanted { public_url: Some("https://here/"), timeouts: false, region: None, public_key: None };

    fn application(value: Value) -> Application {
        Application::new(value.as_object().unwrap().clone())
    }

    fn names(changes: &[Change]) -> Vec<&'static str> {
        changes.iter().map(|change| change.what).collect()
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
                "messages": {"version": "v1", "authenticate_inbound_media": true, "webhooks": {
                    "inbound_url": {"address": "https://elsewhere/", "http_method": "POST", "other": 2}}},
                "rtc": {"webhooks": {}}},
        }));
        let changes = some.configure(HERE);
        let changed = ["improve_ai", "answer_url", "fallback_answer_url", "inbound_url", "status_url"];
        assert_eq!(names(&changes), changed);
        assert_eq!((&changes[0].was, &changes[0].now), (&json!(true), &json!(false)));
        assert_eq!((&changes[2].was, &changes[4].was), (&Value::Null, &Value::Null));
        let expected = json!({
            "id": "1", "name": "Rides", "keys": {"public_key": "…"}, "privacy": {"improve_ai": false, "other": 1},
            "capabilities": {
                "voice": {"region": "eu-west", "signed_callbacks": true, "webhooks": {
                    "answer_url": {"address": "https://here/webhooks/answer", "http_method": "POST", "socket_timeout": 3000},
                    "fallback_answer_url": {"address": "https://here/webhooks/fallback", "http_method": "POST"},
                    "event_url": {"address": "https://here/webhooks/event", "http_method": "POST"}}},
                "messages": {"version": "v1", "authenticate_inbound_media": true, "webhooks": {
                    "inbound_url": {"address": "https://here/webhooks/message", "http_method": "POST", "other": 2},
                    "status_url": {"address": "https://here/webhooks/message-status", "http_method": "POST"}}},
                "rtc": {"webhooks": {}}},
        });
        assert_eq!(some, application(expected));
        assert_eq!(some.configure(HERE), [], "a second call changes nothing");
    }

    #[test]
    fn configure_adds_both_capabilities() {
        let mut bare = application(json!({"name": "Rides", "capabilities": null}));
        let all = [
            "improve_ai",
            "signed_callbacks",
            "answer_url",
            "fallback_answer_url",
            "event_url",
            "messages_version",
            "inbound_url",
            "status_url",
        ];
        assert_eq!(names(&bare.configure(HERE)), all);
        let mut old = application(json!({"name": "Rides", "capabilities": {"messages": {"version": "v0.1"}}}));
        assert!(names(&old.configure(HERE)).contains(&"messages_version"), "the older form is not read here");
    }

    #[test]
    fn key_with_other_line_breaks_is_the_same_key() {
        let key = PublicKey::try_from(include_str!("../../../local/src/account/public_key.pem")).unwrap();
        let wanted = Wanted { public_key: Some(&key), region: Some("eu-west"), ..Wanted::default() };
        let mut some = Application::named("Rides");
        assert_eq!(names(&some.configure(wanted)), ["public_key", "improve_ai", "region"]);
        let stored = key.pem().replace('\n', "\r\n");
        let mut same = application(json!({"name": "Rides", "keys": {"public_key": stored.trim_end()}}));
        assert_eq!(names(&same.configure(wanted)), ["improve_ai", "region"]);
    }
}
