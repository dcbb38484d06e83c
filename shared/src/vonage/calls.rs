//! The Voice API for calls that are up: lists their legs, ends a leg, and speaks into one.
//!
//! Source: Vonage Voice API 1. Each region knows its own calls only and answers 404 about others, so the regions are asked one
//! after the other. A request acts on one leg. Within two seconds of its creation a leg refuses requests with 400.

use std::time::Duration;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::application_token::ApplicationToken;
use super::client::{Payload, Vonage, parse, parse_ok};
use super::error::VonageError;
use super::event::identifier;
use super::retry::Idempotency;
use crate::clock::SharedClock;
use crate::config::{ConfigError, Environment, VoiceConfig, VonageConfig};
use crate::domain::call::Status;

/// A client of the Voice API, whose requests the application signs.
pub struct CallsApi {
    vonage: Vonage,
    token: ApplicationToken,
    /// URLs of the regions, the application's own first.
    regions: Vec<String>,
}

/// The effect of a command for a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commanded {
    /// Vonage carries it out.
    Accepted,
    /// The leg is too new. The same command works later.
    TooEarly,
    /// No region has such a leg that is up.
    NotUp,
}

const PATH: &str = "/v1/calls";

/// Most legs of one call that are read. A call has two, and one more for each further phone that is tried.
const MOST_LEGS: u8 = 100;

#[derive(Serialize)]
struct LegsOf<'a> {
    conversation_uuid: &'a str,
    page_size: u8,
}

#[derive(Deserialize)]
struct List {
    _embedded: Embedded,
}

#[derive(Deserialize)]
struct Embedded {
    calls: Vec<ShownLeg>,
}

#[derive(Deserialize)]
struct ShownLeg {
    uuid: String,
    status: String,
}

#[derive(Serialize)]
struct Modification {
    action: &'static str,
}

impl CallsApi {
    /// Reads `VONAGE_REGION`, `VONAGE_VOICE_URLS` and what requests of the application need. `None` without
    /// `VONAGE_PRIVATE_KEY`.
    pub fn from_environment(env: &Environment, clock: SharedClock) -> Result<Option<Self>, ConfigError> {
        let config = VoiceConfig::from_environment(env)?;
        if env.optional("VONAGE_PRIVATE_KEY").is_none() {
            return Ok(None);
        }
        let token = ApplicationToken::from_environment(env, clock)?;
        let vonage = Vonage::new(VonageConfig::of_application(env)?);
        Ok(Some(Self { vonage, token, regions: config.urls }))
    }

    /// Signs a token and connects to the application's region, so that the first request waits for neither.
    pub async fn warm_up(&self) {
        // If this fails, the first request reports it.
        let _ = self.token.current();
        if let Some(region) = self.regions.first() {
            self.vonage.warm_up(format!("{region}/")).await;
        }
    }

    /// Returns the legs of a call that are up: their `uuid`s.
    pub async fn legs_up(&self, call: &str) -> Result<Vec<String>, VonageError> {
        let query = LegsOf { conversation_uuid: call, page_size: MOST_LEGS };
        for region in &self.regions {
            let (status, body) = self.ask(region, PATH, Payload::Query(&query), Idempotency::Safe).await?;
            if status == StatusCode::NOT_FOUND {
                continue;
            }
            let legs = parse_ok::<List>(status, &body)?._embedded.calls;
            if !legs.is_empty() {
                // A status that is not known here may be of a leg that is up.
                let is_up = |leg: &ShownLeg| status_of(&leg.status).is_none_or(|status| !status.ends());
                let up = legs.into_iter().filter(is_up);
                return Ok(up.filter_map(|leg| identifier(Some(&leg.uuid), [&None, &None])).collect());
            }
        }
        Ok(Vec::new())
    }

    /// Ends a leg. The other leg of its call may go on.
    pub async fn hang_up(&self, leg: &str) -> Result<Commanded, VonageError> {
        let hang_up = Payload::PutJson(&Modification { action: "hangup" });
        self.command(&format!("{PATH}/{leg}"), hang_up, Idempotency::Safe).await
    }

    /// Sends a command to the region that has the leg.
    async fn command<P: Serialize>(
        &self,
        path: &str,
        payload: Payload<'_, P>,
        idempotency: Idempotency,
    ) -> Result<Commanded, VonageError> {
        for region in &self.regions {
            let (status, body) = self.ask(region, path, payload, idempotency).await?;
            match status {
                StatusCode::NOT_FOUND => {}
                StatusCode::BAD_REQUEST => return refused_early(&body),
                status if status.is_success() => return Ok(Commanded::Accepted),
                status => return Err(VonageError::refused(status.as_str(), "a command for a leg")),
            }
        }
        Ok(Commanded::NotUp)
    }

    async fn ask<P: Serialize>(
        &self,
        region: &str,
        path: &str,
        payload: Payload<'_, P>,
        idempotency: Idempotency,
    ) -> Result<(StatusCode, Vec<u8>), VonageError> {
        let token = self.token.current()?;
        let url = format!("{region}{path}");
        let send = |limit: Duration| self.vonage.send_as_application(&token, url.clone(), payload, limit);
        self.vonage.retry_budget(PATH, idempotency, None).run(send).await
    }
}

/// Reads the 400 of a command. One that names a parameter other than the leg is a mistake of ours, and stays one.
fn refused_early(body: &[u8]) -> Result<Commanded, VonageError> {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(default)]
        invalid_parameters: serde_json::Map<String, serde_json::Value>,
    }
    let invalid = parse::<Refusal>(body).map(|refusal| refusal.invalid_parameters).unwrap_or_default();
    match invalid.keys().any(|name| name != "uuid") {
        true => Err(VonageError::refused("400", "a command for a leg")),
        false => Ok(Commanded::TooEarly),
    }
}

fn status_of(word: &str) -> Option<Status> {
    serde_json::from_value(word.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_leg_itself_passes_by_itself() {
        for (body, passes) in [
            (r#"{"type": "BAD_REQUEST", "error_title": "Bad Request"}"#, true),
            (r#"{"invalid_parameters": {"uuid": "is of a call that is not ready yet"}}"#, true),
            ("", true),
            (r#"{"invalid_parameters": {"action": "is not known"}}"#, false),
        ] {
            assert_eq!(refused_early(body.as_bytes()).ok(), passes.then_some(Commanded::TooEarly), "{body}");
        }
    }
}
