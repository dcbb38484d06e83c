//! The deployment's own backend, which decides about calls at a decision URL.
//!
//! Source: Standard Webhooks 1.0.0, "Payload structure".

use jiff::Timestamp;
use reqwest::{StatusCode, Url};
use serde::Serialize;

use crate::config::{ConfigError, DecisionUrls, Environment, UrlNotAllowed};
use crate::domain::conversation::ConversationId;
use crate::domain::phone::E164;
use crate::domain::text::{Label, Reference};
use crate::domain::verdict::Verdict;
use crate::standard_webhooks::{Message, WebhookClient};

/// Size of the longest answer, in bytes.
const MOST_BYTES: usize = 4 * 1024;

/// The backend.
#[derive(Debug)]
pub struct Backend {
    urls: DecisionUrls,
    client: WebhookClient,
}

/// A question about a call. It has no number of a person.
#[derive(Debug, Serialize)]
pub struct Question<'a> {
    /// Vonage's id of the call.
    pub call: Option<&'a str>,
    /// The kind of the caller: `participant`, or that of a [stranger](crate::domain::stranger::Stranger).
    pub kind: &'static str,
    /// The conversation. None for a stranger.
    pub conversation: Option<ConversationId>,
    /// The backend's own name for it.
    pub reference: Option<&'a Reference>,
    /// The side that calls. None for a stranger or a late caller.
    pub caller: Option<Person<'a>>,
    /// The side that is called.
    pub callee: Option<Person<'a>>,
    /// The number that the caller dialled, which masks the callee.
    pub dialled: E164,
    /// The number that masks the caller.
    pub presented: Option<E164>,
}

/// A participant, as a question names one.
#[derive(Debug, Serialize)]
pub struct Person<'a> {
    /// The side: `a` or `b`.
    pub side: &'static str,
    /// The label.
    pub label: Option<&'a Label>,
    /// The names of the owners of the phones, in the order in which they are called.
    pub phones: Vec<PhoneOfPerson<'a>>,
}

/// A phone of a participant, by its owner.
#[derive(Debug, Serialize)]
pub struct PhoneOfPerson<'a> {
    /// The name of the owner.
    pub name: Option<&'a Label>,
    /// True if it is called at this hour.
    pub is_open: bool,
}

/// The backend gave no answer that is understood. No error has a part of what it sent, which may contain a phone number.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The deployment does not allow the URL, by now.
    #[error("the decision URL is not allowed")]
    NotAllowed(#[source] UrlNotAllowed),
    /// There was no answer in time.
    #[error("the backend did not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The status is not 200. A redirect is not followed.
    #[error("the backend answered with HTTP status {0}")]
    Status(u16),
    /// The answer is too long.
    #[error("the answer of the backend has more than {MOST_BYTES} bytes")]
    TooLong,
    /// The answer is not a [`Verdict`].
    #[error("the answer of the backend is no decision, at line {line}, column {column}")]
    NotUnderstood {
        /// Line of the fault.
        line: usize,
        /// Column of the fault.
        column: usize,
    },
}

impl Backend {
    /// Reads `DECISIONS` and, if they are on, `DECISION_URLS`, `DECISION_SECRET` and `DECISION_TIME_LIMIT_MS`. Sends nothing.
    /// `None` if they are off.
    pub fn from_environment(env: &Environment) -> Result<Option<Self>, ConfigError> {
        let Some(urls) = env.decision_urls()? else { return Ok(None) };
        let (secrets, time_limit) = (env.decision_secrets()?, env.decision_time_limit()?);
        let client = WebhookClient::new(env, &secrets, time_limit, urls.has_loopback())?;
        Ok(Some(Self { urls, client }))
    }

    /// Returns the URL that is asked about strangers, and about late callers whose conversation names none.
    pub fn first_url(&self) -> Option<&str> {
        self.urls.first().map(Url::as_str)
    }

    /// Asks the backend at `url`, once, at `now`. A question about the same call and side has the same id, so the backend can
    /// tell that Vonage asked twice.
    pub async fn ask(&self, url: &str, question: &Question<'_>, now: Timestamp) -> Result<Verdict, BackendError> {
        let url = self.urls.allowed(url).map_err(BackendError::NotAllowed)?;
        let message = Message { r#type: "call.decision", timestamp: now, data: question };
        let call = question.call.map_or_else(|| format!("{:016x}", fastrand::u64(..)), str::to_owned);
        let conversation = question.conversation.map(|id| id.to_string());
        let side = question.caller.as_ref().map(|caller| caller.side);
        let id = format!("decision-{}-{call}-{}", conversation.as_deref().unwrap_or("none"), side.unwrap_or("none"));
        let mut response = self.client.post(url, &id, now, &message).send().await.map_err(no_answer)?;
        if response.status() != StatusCode::OK {
            return Err(BackendError::Status(response.status().as_u16()));
        }
        let mut answer = Vec::new();
        while let Some(part) = response.chunk().await.map_err(no_answer)? {
            if answer.len() + part.len() > MOST_BYTES {
                return Err(BackendError::TooLong);
            }
            answer.extend_from_slice(&part);
        }
        serde_json::from_slice(&answer)
            .map_err(|error| BackendError::NotUnderstood { line: error.line(), column: error.column() })
    }
}

/// Returns the error without the URL, which may have anything in its query.
fn no_answer(error: reqwest::Error) -> BackendError {
    BackendError::NoAnswer(error.without_url())
}
