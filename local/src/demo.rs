//! The demo: one conversation from start to end on a stack of its own, with a check of every step.

/// Prints a line. Whoever reads the demo may have enough of it, such as `head`.
macro_rules! say {
    ($($words:tt)*) => { crate::output::show(&(format!($($words)*) + "\n"))? };
}

mod account;
mod full;
mod tenants;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::domain::phone::PhoneNumber;

use self::tenants::TenantWords;
use crate::decision_backend::{DecisionBackend, Reply};
use crate::settings::Settings;
use crate::stack::{Options, Stack, StartError};

/// The demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The stack did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A service did not answer.
    #[error("a service did not answer: {0}")]
    Http(#[from] reqwest::Error),
    /// The backend of the demo did not start.
    #[error("the backend of the demo does not listen: {0}")]
    Backend(#[source] std::io::Error),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
    /// A step had another result than expected.
    #[error("unexpected result: {0}")]
    Wrong(String),
}

const RIDER: &str = "447700900001";
const DRIVER: &str = "447700900002";
const OUTSIDER: &str = "447700900999";

/// The length of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// One conversation.
    Short,
    /// Every feature of a call as well, and the set-up of an account.
    Full,
}

/// Runs the demo on free ports, with the functions' settings in `settings`.
///
/// # Errors
/// Names the step whose result was not the expected one.
pub async fn run(settings: Settings, story: Story) -> Result<(), DemoError> {
    let stack = Stack::start(Options { settings: settings.clone(), ..Options::default() }).await?;
    let result = Demo { http: crate::loopback_client(), stack: &stack }.run(story).await;
    stack.stop().await;
    result?;
    if story == Story::Full {
        // On a stack of its own, whose clock moves by a minute, and whose tenants have words of their own.
        let (clock, words) = (ManualClock::at(Timestamp::now()), TenantWords::write()?);
        let with_words = settings.clone().with("WORDS_FILE", &words.path().to_string_lossy());
        let options = Options { settings: with_words, clock: Arc::new(clock.clone()), ..Options::default() };
        let stack = Stack::start(options).await?;
        let result = Demo { http: crate::loopback_client(), stack: &stack }.set_a_number_aside(&clock).await;
        stack.stop().await;
        result?;
        // On a stack of its own, because here every stranger is asked for a PIN.
        let with_pins = settings.clone().with("PINS", "on").with("MAX_CALLS_PER_SECOND", "3");
        let stack = Stack::start(Options { settings: with_pins, ..Options::default() }).await?;
        let result = Demo { http: crate::loopback_client(), stack: &stack }.run_features_of_strangers().await;
        stack.stop().await;
        result?;
        let backend = DecisionBackend::start(Reply::Never).await.map_err(DemoError::Backend)?;
        let mut with_backend = settings.clone();
        for (name, value) in backend.variables() {
            with_backend = with_backend.with(name, value);
        }
        let receiver = DecisionBackend::start(Reply::Raw(204, String::new())).await.map_err(DemoError::Backend)?;
        let with_backend = with_backend.with("WEBHOOK_URL", &receiver.url);
        // Events go to the bus by pipes, and from there to the backend in the background.
        let schedule = Some(Duration::from_secs(3600));
        let options = Options { settings: with_backend, pipes: true, schedule, ..Options::default() };
        let stack = Stack::start(options).await?;
        let demo = Demo { http: crate::loopback_client(), stack: &stack };
        let result = demo.run_features_of_a_backend(&backend, &receiver).await;
        stack.stop().await;
        result?;
        let stack = Stack::start(Options { settings, ..Options::default() }).await?;
        let result = Demo { http: crate::loopback_client(), stack: &stack }.set_an_account_up().await;
        stack.stop().await;
        result?;
    }
    let next = if story == Story::Full { "cargo run" } else { "cargo run -- demo --full, or cargo run" };
    say!("\nThe demo is complete. Next: {next}");
    Ok(())
}

struct Demo<'a> {
    http: reqwest::Client,
    stack: &'a Stack,
}

/// The virtual numbers of the demo's conversation.
struct Masks {
    id: String,
    rider_dials: String,
    driver_dials: String,
}

impl Demo<'_> {
    async fn run(&self, story: Story) -> Result<(), DemoError> {
        say!("A rider (+{RIDER}) and a driver (+{DRIVER}) need to talk. Neither is to see the other's number.\n");
        self.rent().await?;
        let masks = self.create().await?;
        self.read_texts(&masks).await?;
        say!("\n4. The rider calls +{}, as the text says.", masks.rider_dials);
        self.call(RIDER, &masks.rider_dials, DRIVER, &masks.driver_dials).await?;
        say!("\n5. The driver calls back the number on the display.");
        self.call(DRIVER, &masks.driver_dials, RIDER, &masks.rider_dials).await?;
        say!("\n6. Somebody else (+{OUTSIDER}) calls the same number.");
        self.call_refused(OUTSIDER, &masks.rider_dials, "unknown caller").await?;
        self.end(&masks).await?;
        say!("\n8. The rider calls again.");
        self.call_refused(RIDER, &masks.rider_dials, "ended conversation").await?;
        self.read_back(&masks).await?;
        if story == Story::Full {
            self.run_features().await?;
        }
        Ok(())
    }

    async fn rent(&self) -> Result<(), DemoError> {
        say!("1. Rent two numbers in Great Britain.");
        let pool = self.post(&self.gateway("/numbers"), json!({"country": "GB", "count": 2})).await?;
        let added: Vec<&str> =
            pool["added"].as_array().into_iter().flatten().filter_map(|n| n["number"].as_str()).collect();
        say!("   Rented {}, for {} EUR a month.", added.join(" and "), text(&pool, "/monthly_cost"));
        check(added.len() == 2 && pool["ready"] == 2, "two numbers are rented", &pool)
    }

    async fn create(&self) -> Result<Masks, DemoError> {
        say!("\n2. Create a conversation.");
        let body = json!({
            "participants": [{"number": "+44 7700 900001", "label": "your rider"},
                             {"number": "07700 900002", "country": "GB", "label": "your driver"}],
            "expires_in": 86400, "reference": "ride-42",
        });
        let conversation = self.post(&self.gateway("/conversations"), body).await?;
        let masks = Masks {
            id: text(&conversation, "/id"),
            rider_dials: text(&conversation, "/participants/0/dials"),
            driver_dials: text(&conversation, "/participants/1/dials"),
        };
        say!("   {}: the rider dials +{}, the driver +{}.", masks.id, masks.rider_dials, masks.driver_dials);
        let sent = (0..2).all(|side| conversation["participants"][side]["notification"] == "sent");
        check(
            conversation["state"] == "active" && sent,
            "the conversation is active and both got a text message",
            &conversation,
        )?;
        Ok(masks)
    }

    async fn read_texts(&self, masks: &Masks) -> Result<(), DemoError> {
        say!("\n3. Both get a text message, from the very number that they are to call.");
        for (who, number, dials) in [("rider", RIDER, &masks.rider_dials), ("driver", DRIVER, &masks.driver_dials)] {
            let inbox = self.get(&format!("{}/simulator/messages?to={number}", self.stack.vonage_url)).await?;
            let message = &inbox["messages"][0];
            say!("   The {who}'s phone: from +{}: \"{}\"", text(message, "/from"), text(message, "/text"));
            let said = text(message, "/text");
            check(
                message["from"] == dials.as_str() && said.contains(dials.as_str()),
                "the text names its sender",
                &inbox,
            )?;
            check(!said.contains("7700900"), "the text names no real number", &inbox)?;
        }
        Ok(())
    }

    /// Places a call that must reach `reaches`, whose phone must show `display`.
    async fn call(&self, from: &str, dials: &str, reaches: &str, display: &str) -> Result<(), DemoError> {
        let call = self.place(from, dials).await?;
        let callee = &call["phones"]["callee"];
        say!("   The caller hears: \"{}\"", heard(&call));
        say!("   +{} rings. Its display shows +{}.", text(callee, "/number"), text(callee, "/display"));
        for leg in call["legs"].as_array().into_iter().flatten() {
            let statuses: Vec<String> =
                leg["statuses"].as_array().into_iter().flatten().map(|status| text(status, "/status")).collect();
            say!("   {:<8} leg: {}", text(leg, "/direction"), statuses.join(", "));
        }
        check(callee["number"] == reaches && callee["answered"] == true, "the other phone is reached", &call)?;
        check(callee["display"] == display, "the display shows the virtual number to call back", &call)
    }

    async fn call_refused(&self, from: &str, dials: &str, why: &str) -> Result<(), DemoError> {
        let call = self.place(from, dials).await?;
        say!("   The caller hears: \"{}\"", heard(&call));
        say!("   No other phone rings.");
        let legs = call["legs"].as_array().map_or(0, Vec::len);
        check(call["phones"]["callee"].is_null() && legs == 1 && !heard(&call).is_empty(), why, &call)
    }

    async fn end(&self, masks: &Masks) -> Result<(), DemoError> {
        say!("\n7. The ride is over: end the conversation.");
        let url = self.gateway(&format!("/conversations/{}", masks.id));
        let ended: Value = self.http.delete(url).send().await?.json().await?;
        say!("   It is {}.", text(&ended, "/state"));
        check(ended["state"] == "ended", "the conversation has ended", &ended)
    }

    async fn read_back(&self, masks: &Masks) -> Result<(), DemoError> {
        say!("\n9. What the conversation's record says.");
        let conversation = self.get(&self.gateway(&format!("/conversations/{}", masks.id))).await?;
        let calls = conversation["calls"].as_array().cloned().unwrap_or_default();
        for call in &calls {
            let connected = if call["connected_at"].is_null() {
                "was not connected".to_owned()
            } else {
                format!("talked for {} s", call["duration"])
            };
            say!(
                "   {} called at {}: {connected}; cost {} EUR.",
                who(&call["caller"]),
                text(call, "/started_at"),
                text(call, "/price")
            );
        }
        let connected = calls.iter().filter(|call| !call["connected_at"].is_null()).count();
        check(calls.len() == 3 && connected == 2, "it holds three calls, two of them connected", &conversation)
    }

    async fn place(&self, from: &str, to: &str) -> Result<Value, DemoError> {
        self.post(&format!("{}/simulator/calls", self.stack.vonage_url), json!({"from": from, "to": to})).await
    }

    fn gateway(&self, path: &str) -> String {
        format!("{}{path}", self.stack.gateway_url)
    }

    async fn post(&self, url: &str, body: Value) -> Result<Value, DemoError> {
        Ok(self.http.post(url).json(&body).send().await?.json().await?)
    }

    async fn get(&self, url: &str) -> Result<Value, DemoError> {
        Ok(self.http.get(url).send().await?.json().await?)
    }
}

fn who(number: &Value) -> &'static str {
    if text(number, "") == RIDER { "The rider" } else { "The driver" }
}

fn heard(call: &Value) -> String {
    let texts = call["phones"]["caller"]["heard"].as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

/// Returns the text at `pointer`; a phone number without the `+` that the API writes, as the phones of the simulator show it.
fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    let number = text.strip_prefix('+').filter(|digits| PhoneNumber::try_from(*digits).is_ok());
    number.unwrap_or(text).to_owned()
}

fn check(holds: bool, what: &str, seen: &Value) -> Result<(), DemoError> {
    if holds { Ok(()) } else { Err(DemoError::Wrong(format!("{what}; seen: {seen}"))) }
}
