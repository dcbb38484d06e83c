//! The deployment's own backend, which gets events by HTTP.
//!
//! Source: Standard Webhooks 1.0.0, "Payload structure" and "Delivery success and failure".

use std::sync::OnceLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Response, StatusCode, Url, header};
use serde::Serialize;
use serde_json::Value;

use crate::config::{self, ConfigError, Environment};
use crate::domain::bus_event::BusEvent;
use crate::standard_webhooks::WebhookSigner;
use crate::vonage::http_client;

/// The backend.
#[derive(Debug)]
pub struct EventReceiver {
    url: Url,
    signer: WebhookSigner,
    /// Time for the connection, the request and the status.
    time_limit: Duration,
    /// PEM certificates of the authorities that TLS trusts; `None` trusts Mozilla's list.
    authorities: Option<Vec<u8>>,
    /// Made for the first event.
    http: OnceLock<reqwest::Client>,
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

#[derive(Serialize)]
struct Message<'a> {
    r#type: String,
    timestamp: Timestamp,
    data: &'a Value,
}

impl EventReceiver {
    /// Reads `WEBHOOK_URL` and, if it is set, `WEBHOOK_SECRET` and `WEBHOOK_TIME_LIMIT_MS`. Sends nothing. `None` if it is not set.
    pub fn from_environment(env: &Environment) -> Result<Option<Self>, ConfigError> {
        let Some(url) = env.webhook_url()? else { return Ok(None) };
        Ok(Some(Self {
            url,
            signer: WebhookSigner::new(&env.webhook_secrets()?),
            time_limit: env.webhook_time_limit()?,
            authorities: config::authorities(env)?,
            http: OnceLock::new(),
        }))
    }

    /// Sends an event, once, at `now`. Each attempt has the same id and the same body.
    pub async fn deliver(&self, event: &BusEvent, now: Timestamp) -> Result<(), NotTaken> {
        let message = Message { r#type: event.kind(), timestamp: event.time, data: &event.detail };
        // Only a map whose keys are not text fails to serialize, and no event has one.
        let body = serde_json::to_string(&message).unwrap_or_default();
        let request = self.http().post(self.url.clone()).timeout(self.time_limit);
        let request = self.signer.sign(request, &event.id(), now, body);
        let response = request.send().await.map_err(|error| NotTaken::NoAnswer(error.without_url()))?;
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(NotTaken::Gone),
            status => Err(NotTaken::Status { status: status.as_u16(), retry_after: retry_after(&response) }),
        }
    }

    fn http(&self) -> &reqwest::Client {
        self.http.get_or_init(|| {
            let mut http = http_client(self.authorities.as_deref());
            if self.url.scheme() == "http" {
                // The laptop: no proxy leads there.
                http = http.no_proxy();
            }
            http.connect_timeout(self.time_limit)
                // Connections are dead when Lambda resumes a function that was frozen for a while.
                .pool_idle_timeout(Duration::from_secs(10))
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("the settings of the client go together")
        })
    }
}

/// Returns the pause of `Retry-After`, if it is given in seconds.
fn retry_after(response: &Response) -> Option<SignedDuration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(SignedDuration::from_secs(seconds))
}
