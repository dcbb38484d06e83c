//! Signs events of webhooks as the laptop's Vonage does.

use jiff::Timestamp;
use serde_json::Value;

use crate::settings::Settings;
use crate::simulator::sign_webhook;

/// An event could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It is not a payload 2.0 event.
    #[error("not an API Gateway event of payload format 2.0 with a body as text")]
    NotAnEvent,
    /// Vonage signs webhooks only.
    #[error("it is for {0}, which is no webhook, so Vonage does not sign it")]
    NoWebhook(String),
    /// The signature could not be made.
    #[error("cannot be signed: {0}")]
    Unsigned(#[from] jsonwebtoken::errors::Error),
}

/// Returns the event in `text`, of payload format 2.0, with a new signature in its `authorization` header. The account is
/// that of `settings`.
pub fn sign_event(text: &str, settings: &Settings) -> Result<String, SignError> {
    let mut event: Value = serde_json::from_str(text)?;
    if event["isBase64Encoded"] == true {
        return Err(SignError::NotAnEvent);
    }
    let path = event["rawPath"].as_str().unwrap_or_default();
    if !path.starts_with("/webhooks/") {
        return Err(SignError::NoWebhook(path.to_owned()));
    }
    let body =
        (event["requestContext"]["http"]["method"] == "POST").then(|| event["body"].as_str().unwrap_or_default());
    let body = body.map(str::as_bytes);
    let (secret, key, application) = (settings.signature_secret(), settings.api_key(), settings.application_id());
    let token = sign_webhook(&secret, &key, &application, body, Timestamp::now())?;
    let headers = event.get_mut("headers").and_then(Value::as_object_mut).ok_or(SignError::NotAnEvent)?;
    headers.insert("authorization".to_owned(), format!("Bearer {token}").into());
    Ok(serde_json::to_string_pretty(&event)?)
}
