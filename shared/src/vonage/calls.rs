//! The Voice API for calls that are up: lists their legs, ends a leg, and speaks into one.
//!
//! Source: Vonage Voice API 1. Each region knows its own calls only and answers 404 about others, so the regions are asked one
//! after the other. A request acts on one leg. Within two seconds of its creation a leg refuses requests with 400.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::application_token::ApplicationToken;
use super::client::{Payload, Vonage, parse, parse_ok};
use super::error::VonageError;
use super::event::call_identifier;
use super::ncco::Ncco;
use super::retry::Idempotency;
use crate::clock::SharedClock;
use crate::config::{ConfigError, Environment, VoiceConfig, VonageConfig};
use crate::domain::call::Status;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::words::Utterance;
use crate::domain::words::voice::Voice;

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

/// Most pages of calls that are searched for one that may have been placed.
const MOST_PAGES: u32 = 20;

/// Largest difference between Vonage's clock and ours when a call is looked for.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(2);

/// Vonage's ids of a call and of a leg.
type LegIds = (String, String);

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
    conversation_uuid: Option<String>,
    status: String,
    to: Option<ShownPhone>,
    from: Option<ShownPhone>,
}

#[derive(Deserialize)]
struct ShownPhone {
    number: Option<String>,
}

impl ShownLeg {
    fn is_between(&self, from: &VirtualNumber, to: &RealNumber) -> bool {
        let is = |phone: &Option<ShownPhone>, digits: &str| {
            let number = phone.as_ref().and_then(|phone| phone.number.as_deref());
            number.is_some_and(|number| number.trim_start_matches('+') == digits)
        };
        is(&self.from, from.as_str()) && is(&self.to, to.expose())
    }

    fn ids(&self) -> Option<LegIds> {
        call_identifier(self.conversation_uuid.as_deref()?).zip(call_identifier(&self.uuid))
    }
}

#[derive(Serialize)]
struct Since<'a> {
    date_start: &'a str,
    page_size: u8,
    record_index: u32,
}

/// A call to place.
#[derive(Debug)]
pub struct NewCall<'a> {
    /// The phone that is called.
    pub to: &'a RealNumber,
    /// The number that it shows.
    pub from: &'a VirtualNumber,
    /// The actions on its leg.
    pub ncco: Ncco,
    /// The address of the events of its leg.
    pub event_url: String,
    /// The longest ringing time, in seconds, 1 to 120.
    pub ringing_timer: u32,
    /// The longest duration, in seconds, 1 to 86400.
    pub length_timer: u32,
}

/// The body of the request. It never has `random_from_number`: a number that the callee does not know would lead nowhere.
#[derive(Serialize)]
struct CreateCall<'a> {
    to: [Phone<'a>; 1],
    from: Phone<'a>,
    ncco: &'a Ncco,
    event_url: [&'a str; 1],
    ringing_timer: u32,
    length_timer: u32,
}

#[derive(Serialize)]
struct Phone<'a> {
    r#type: &'static str,
    number: &'a str,
}

impl<'a> From<&'a NewCall<'a>> for CreateCall<'a> {
    fn from(call: &'a NewCall<'a>) -> Self {
        let phone = |number| Phone { r#type: "phone", number };
        Self {
            to: [phone(call.to.expose())],
            from: phone(call.from.as_str()),
            ncco: &call.ncco,
            event_url: [&call.event_url],
            ringing_timer: call.ringing_timer,
            length_timer: call.length_timer,
        }
    }
}

#[derive(Deserialize)]
struct Created {
    uuid: String,
    conversation_uuid: String,
}

#[derive(Serialize)]
struct Modification {
    action: &'static str,
}

#[derive(Serialize)]
struct Talk<'a> {
    text: &'a str,
    #[serde(flatten)]
    voice: &'a Voice,
}

#[derive(Serialize)]
struct Stream<'a> {
    stream_url: [&'a str; 1],
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

    /// Connects to the application's region, so that the first request does not wait for a connection. It signs no token: a list of
    /// calls needs none, and a signature takes about as long as the rest of a start.
    pub async fn warm_up(&self) {
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
                return Ok(up.filter_map(|leg| call_identifier(&leg.uuid)).collect());
            }
        }
        Ok(Vec::new())
    }

    /// Places a call, and returns Vonage's ids of it and of its first leg. Only the application's own region is asked, and only once.
    pub async fn create(&self, call: &NewCall<'_>) -> Result<LegIds, VonageError> {
        let region = self.regions.first().map_or("", String::as_str);
        let body = CreateCall::from(call);
        let (status, body) = self.ask(region, PATH, Payload::Json(&body), Idempotency::Unsafe).await?;
        if status != StatusCode::CREATED {
            return Err(VonageError::refused(status.as_str(), "a call"));
        }
        let Created { uuid, conversation_uuid } = parse(&body)?;
        let ids = call_identifier(&conversation_uuid).zip(call_identifier(&uuid));
        ids.ok_or(VonageError::NotUnderstood(None))
    }

    /// Looks for a leg from our number to a phone that was created at `since` or later.
    pub async fn find(
        &self,
        to: &RealNumber,
        from: &VirtualNumber,
        since: Timestamp,
    ) -> Result<Option<LegIds>, VonageError> {
        let date_start = since.saturating_sub(CLOCKS_DIFFER).unwrap_or(since).as_second();
        let date_start = Timestamp::from_second(date_start).unwrap_or(since).to_string();
        for region in &self.regions {
            for page in 0..MOST_PAGES {
                let query =
                    Since { date_start: &date_start, page_size: MOST_LEGS, record_index: page * u32::from(MOST_LEGS) };
                let (status, body) = self.ask(region, PATH, Payload::Query(&query), Idempotency::Safe).await?;
                if status == StatusCode::NOT_FOUND {
                    break;
                }
                let legs = parse_ok::<List>(status, &body)?._embedded.calls;
                let is_last = legs.len() < MOST_LEGS.into();
                if let Some(ids) = legs.iter().filter(|leg| leg.is_between(from, to)).find_map(ShownLeg::ids) {
                    return Ok(Some(ids));
                }
                if is_last {
                    break;
                }
                if page + 1 == MOST_PAGES {
                    return Err(VonageError::refused("too many calls", "a look for a call"));
                }
            }
        }
        Ok(None)
    }

    /// Ends a leg. The other leg of its call may go on.
    pub async fn hang_up(&self, leg: &str) -> Result<Commanded, VonageError> {
        let hang_up = Payload::PutJson(&Modification { action: "hangup" });
        self.command(&format!("{PATH}/{leg}"), hang_up, Idempotency::Safe).await
    }

    /// Speaks into a leg, or plays an audio file. Only this leg hears it.
    pub async fn speak(&self, leg: &str, utterance: &Utterance) -> Result<Commanded, VonageError> {
        match utterance {
            Utterance::Talk(text, voice) => {
                let talk = Payload::PutJson(&Talk { text, voice });
                self.command(&format!("{PATH}/{leg}/talk"), talk, Idempotency::Unsafe).await
            }
            Utterance::Audio(url) => {
                let stream = Payload::PutJson(&Stream { stream_url: [url] });
                self.command(&format!("{PATH}/{leg}/stream"), stream, Idempotency::Unsafe).await
            }
        }
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
