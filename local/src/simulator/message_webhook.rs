//! Webhooks of texts: their formats, and their signatures.
//!
//! Sources: Vonage, "Signed webhooks" (Messages API); Vonage SMS API, "Signing messages".

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::HttpMethod;
use super::applications::VoiceWebhook;
use super::webhook::{Deliverer, Sender, hex};

/// The form of a webhook: that of the Messages API, or one of the SMS API's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// The Messages API's: POST with a JSON body.
    #[default]
    Messages,
    /// The SMS API's, as a form in a POST.
    SmsForm,
    /// The SMS API's, as a JSON body in a POST.
    SmsJson,
    /// The SMS API's, in the query of a GET.
    SmsQuery,
}

/// The signature of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Signing {
    /// A JWT, as of the Voice API.
    Jwt,
    /// `sig` by HMAC-SHA256, the SMS API's.
    Sha256,
    /// `sig` by HMAC-SHA512.
    Sha512,
    /// None, as the SMS API sends them unless support has switched signing on.
    None,
}

impl Format {
    /// Returns how Vonage signs webhooks of this format, if it signs them.
    pub(super) fn usual_signing(self) -> Signing {
        match self {
            Self::Messages => Signing::Jwt,
            Self::SmsForm | Self::SmsJson | Self::SmsQuery => Signing::Sha256,
        }
    }
}

/// The address of a webhook of texts, with its form and signature.
#[derive(Clone)]
pub(super) struct MessageWebhook {
    pub(super) webhook: VoiceWebhook,
    pub(super) format: Format,
    pub(super) signing: Signing,
    pub(super) application_id: String,
}

impl MessageWebhook {
    /// Sends a webhook once. Returns the HTTP status of the response, if there was one.
    pub(super) async fn send(
        &self,
        deliverer: &Deliverer,
        body: &Map<String, Value>,
        signed_at: Timestamp,
    ) -> Option<u16> {
        let sender = Sender { application_id: self.application_id.clone(), signed: self.signing == Signing::Jwt };
        let body = match self.signing {
            Signing::Sha256 => &deliverer.signed_sms(body, hmac::HMAC_SHA256, signed_at),
            Signing::Sha512 => &deliverer.signed_sms(body, hmac::HMAC_SHA512, signed_at),
            Signing::Jwt | Signing::None => body,
        };
        let http_method = if self.format == Format::SmsQuery { HttpMethod::Get } else { HttpMethod::Post };
        let webhook = VoiceWebhook { http_method, ..self.webhook.clone() };
        let reply = match self.format {
            Format::SmsForm => deliverer.send_form(&webhook, body).await,
            _ => deliverer.send_signed_at(&webhook, &sender, body, signed_at).await,
        };
        reply.ok().map(|reply| reply.status.as_u16())
    }
}

impl Deliverer {
    /// Returns the parameters with `timestamp`, `nonce` and `sig`.
    fn signed_sms(&self, body: &Map<String, Value>, algorithm: hmac::Algorithm, at: Timestamp) -> Map<String, Value> {
        let mut signed = body.clone();
        signed.insert("timestamp".to_owned(), json!(at.as_second().to_string()));
        signed.insert("nonce".to_owned(), json!(Uuid::new_v4().to_string()));
        let sorted: BTreeMap<_, _> = signed.iter().collect();
        let one = |(name, value): (&String, &Value)| {
            format!("&{name}={}", value.as_str().unwrap_or_default().replace(['&', '='], "_"))
        };
        let text: String = sorted.into_iter().map(one).collect();
        let key = hmac::Key::new(algorithm, self.signature_secret().as_bytes());
        signed.insert("sig".to_owned(), json!(hex(hmac::sign(&key, text.as_bytes()).as_ref())));
        signed
    }
}
