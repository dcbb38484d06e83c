//! `maskline doctor`: examines a Vonage account and a deployment from outside, and says what to do about what it finds.
//!
//! It changes nothing, rents nothing, calls nobody and sends no text. It asks the webhooks as Vonage would.

mod account;
mod settings;
mod webhooks;

use std::fmt;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment, VonageConfig};
use shared::vonage::Vonage;
use shared::vonage::application::Application;

use crate::stack;

/// The options of the command.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    /// URL of the deployment (its output ApiUrl). Or PUBLIC_URL; without either the application's own URLs are asked
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
}

/// The weight of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and something is to be done.
    Warning,
    /// Something does not work.
    Error,
}

/// The finding of an examination about one thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The thing, in a word.
    pub check: &'static str,
    /// Its state.
    pub state: State,
    /// The finding, in one sentence.
    pub says: String,
    /// The remedy; null if none is needed.
    pub todo: Option<&'static str>,
}

impl Finding {
    fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Ok, says: says.into(), todo: None }
    }

    fn warning(check: &'static str, says: impl Into<String>, todo: &'static str) -> Self {
        Self { check, state: State::Warning, says: says.into(), todo: Some(todo) }
    }

    fn error(check: &'static str, says: impl Into<String>, todo: &'static str) -> Self {
        Self { check, state: State::Error, says: says.into(), todo: Some(todo) }
    }
}

/// All findings of an examination.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// True if nothing is an error.
    pub fn is_healthy(&self) -> bool {
        self.0.iter().all(|finding| finding.state != State::Error)
    }

    /// Returns the findings as JSON.
    pub fn json(&self) -> Value {
        json!({"healthy": self.is_healthy(), "findings": self.0})
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { check, state, says, todo } in &self.0 {
            let mark = match state {
                State::Ok => "ok     ",
                State::Warning => "warning",
                State::Error => "error  ",
            };
            writeln!(f, "{mark} {check}: {says}")?;
            if let Some(todo) = todo {
                writeln!(f, "          {todo}")?;
            }
        }
        let of = |state| self.0.iter().filter(|finding| finding.state == state).count();
        writeln!(f, "\nerrors: {}, warnings: {}, ok: {}", of(State::Error), of(State::Warning), of(State::Ok))
    }
}

/// Returns the environment to examine: that of the process if it names an account, or else that of a laptop stack on these ports.
pub fn environment(arguments: &Arguments, process: &Environment, port: u16, vonage_port: u16) -> Environment {
    let [gateway, vonage] = [port, vonage_port].map(|port| format!("http://127.0.0.1:{port}"));
    let examined = match process.optional("VONAGE_API_KEY") {
        Some(_) => process.clone(),
        None => stack::environment(["maskline", "maskline-journal"], &gateway, &vonage, &gateway)
            .with([("PUBLIC_URL".to_owned(), gateway)])
            .with(process.iter().map(|(name, value)| (name.to_owned(), value.to_owned()))),
    };
    examined.with(arguments.public_url.iter().map(|url| ("PUBLIC_URL".to_owned(), url.clone())))
}

/// Examines the account and the deployment that `environment` describes, by the time of `clock`.
///
/// # Errors
/// Fails if the environment does not say what to examine.
pub async fn examine(environment: &Environment, clock: SharedClock) -> Result<Findings, ConfigError> {
    let config = VonageConfig::from_environment(environment)?;
    let id = environment.required("VONAGE_APPLICATION_ID")?;
    let mut findings = vec![account::clock(environment, clock.now()).await];
    let vonage = Vonage::new(config);
    let may_ask = account::credentials(&vonage, &mut findings).await;
    if may_ask {
        let application = account::application(&vonage, &id, &mut findings).await;
        if let Some(application) = &application {
            settings::application(environment, application, &mut findings)?;
            webhooks::examine(environment, application, clock.now(), &mut findings).await?;
        }
        account::numbers(&vonage, environment.numbers_interval()?, &id, &mut findings).await;
        account::redaction(vonage, &mut findings).await;
    }
    settings::deployment(environment, clock.now(), &mut findings)?;
    Ok(Findings(findings))
}

/// Returns the public key of an application, in PEM.
fn public_key(application: &Application) -> Option<&str> {
    application.at("/keys/public_key").and_then(Value::as_str)
}
