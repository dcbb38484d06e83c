//! The deployment's own backend, which gets events by HTTP.
//!
//! Source: Standard Webhooks 1.0.0, "Payload structure" and "Delivery success and failure".

use jiff::{SignedDuration, Timestamp};
use reqwest::{Response, StatusCode, Url, header};

use crate::config::{ConfigError, Environment};
use crate::domain::bus_event::BusEvent;
use crate::standard_webhooks::{Message, WebhookClient};

/// The backend.
#[derive(Debug)]
pub struct EventReceiver {
    url: Url,
    client: WebhookClient,
}

/// The backend did not take an event. No error has a part of the URL or of the answer.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// There was no answer in time.
    #[error("the backend did not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The status is none of success. A redirect is not followed.
    #[error("the backend answered with HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
        /// The pause that it asks for with `Retry-After`.
        retry_after: Option<SignedDuration>,
    },
    /// The backend wants no events any more: status 410.
    #[error("the backend answered with HTTP status 410, so it wants no events")]
    Gone,
}

impl EventReceiver {
    /// Reads `WEBHOOK_URL` and, if it is set, `WEBHOOK_SECRET` and `WEBHOOK_TIME_LIMIT_MS`. Sends nothing. `None` if it is not set.
    pub fn from_environment(env: &Environment) -> Result<Option<Self>, ConfigError> {
        let Some(url) = env.webhook_url()? else { return Ok(None) };
        let (secrets, time_limit) = (env.webhook_secrets()?, env.webhook_time_limit()?);
        let client = WebhookClient::new(env, &secrets, time_limit, url.scheme() == "http")?;
        Ok(Some(Self { url, client }))
    }

    /// Sends an event, once, at `now`. Each attempt has the same id and the same body.
    pub async fn deliver(&self, event: &BusEvent, now: Timestamp) -> Result<(), NotTaken> {
        let message = Message { r#type: &event.kind(), timestamp: event.time, data: &event.detail };
        let request = self.client.post(self.url.clone(), &event.id(), now, &message);
        let response = request.send().await.map_err(|error| NotTaken::NoAnswer(error.without_url()))?;
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(NotTaken::Gone),
            status => Err(NotTaken::Status { status: status.as_u16(), retry_after: retry_after(&response) }),
        }
    }
}

/// Returns the pause of `Retry-After`, if it is given in seconds.
fn retry_after(response: &Response) -> Option<SignedDuration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(SignedDuration::from_secs(seconds))
}
