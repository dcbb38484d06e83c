//! The deployment's webhooks, asked as Vonage asks them: they answer what is signed, and refuse what is not.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use serde_json::{Value, json};
use shared::config::{ConfigError, Environment};
use shared::vonage::application::Application;

use super::{Finding, account};
use crate::simulator::sign_webhook;

/// Longest time for an answer: Vonage's own, for a connection and for the answer.
const LIMIT: Duration = Duration::from_secs(6);

/// The phone and the number of the trial call. Source: Ofcom, numbers for drama use, which nobody has.
const NOBODY: [&str; 2] = ["447700900990", "447700900991"];

/// The webhooks that need a signature, with a body that changes nothing even if it is taken: no event has this status, and no text
/// this form.
fn guarded() -> [(&'static str, Value); 3] {
    [
        (
            "answer_url",
            json!({"from": NOBODY[0], "to": NOBODY[1], "uuid": "doctor", "conversation_uuid": "CON-doctor"}),
        ),
        ("event_url", json!({"status": "doctor"})),
        ("inbound_url", json!({"doctor": true})),
    ]
}

/// Asks the webhooks of the application.
pub(super) async fn examine(
    environment: &Environment,
    application: &Application,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Result<(), ConfigError> {
    let mut open = Vec::new();
    let mut unreachable = Vec::new();
    for (name, body) in guarded() {
        let Some(address) = application.address_of(name) else { continue };
        match post(&account::client(address), address, &body, None).await {
            Ok((401 | 503, _)) => {}
            Ok((200..=299, _)) => open.push(name),
            Ok((status, _)) => unreachable.push(format!("{name} answers {status}")),
            Err(error) => unreachable.push(format!("{name}: {error}")),
        }
    }
    if let Some(address) = application.address_of("fallback_answer_url") {
        match post(&account::client(address), address, &json!({}), None).await {
            Ok((200, body)) if body.is_array() => {}
            Ok((status, _)) => unreachable.push(format!("fallback_answer_url answers {status}")),
            Err(error) => unreachable.push(format!("fallback_answer_url: {error}")),
        }
    }
    findings.push(if unreachable.is_empty() {
        Finding::ok("webhooks_answer", "the deployment answers at the application's URLs")
    } else {
        let todo = "Check that these URLs are those of the deployment, and that it is there.";
        Finding::error("webhooks_answer", unreachable.join(", "), todo)
    });
    findings.push(if open.is_empty() {
        Finding::ok("webhooks_guarded", "what is not signed is refused")
    } else {
        let todo = "Something else answers there, which takes anybody's requests: let the URLs lead to the deployment.";
        Finding::error("webhooks_guarded", format!("taken without a signature: {}", open.join(", ")), todo)
    });
    findings.extend(signature(environment, application, now).await?);
    Ok(())
}

/// Sends a trial call that is signed with the account's secret, and one that is signed with another. A stranger's call changes
/// nothing.
async fn signature(
    environment: &Environment,
    application: &Application,
    now: Timestamp,
) -> Result<Option<Finding>, ConfigError> {
    const CHECK: &str = "signature_secret";
    let Some(address) = application.address_of("answer_url") else { return Ok(None) };
    let Some(secret) = environment.optional("VONAGE_SIGNATURE_SECRET") else {
        let todo = "Set VONAGE_SIGNATURE_SECRET to the one in the Dashboard, under \"API settings\".";
        return Ok(Some(Finding::warning(CHECK, "it is not known here, so it was not tried", todo)));
    };
    let (key, id) = (environment.required("VONAGE_API_KEY")?, environment.required("VONAGE_APPLICATION_ID")?);
    let [(_, body), ..] = guarded();
    let client = account::client(address);
    let mut statuses = Vec::new();
    for secret in [secret.as_str(), "the secret of somebody else"] {
        let token = sign_webhook(secret, &key, &id, Some(body.to_string().as_bytes()), now).ok();
        statuses.push(post(&client, address, &body, token.as_deref()).await.ok().map(|(status, _)| status));
    }
    Ok(match statuses[..] {
        [Some(200), Some(401)] => Some(Finding::ok(CHECK, "the deployment takes Vonage's signature and no other")),
        [Some(401), _] => {
            let todo = "Put the account's signature secret into the deployment's secret, deploy with its version, and see the clock.";
            Some(Finding::error(CHECK, "the deployment refuses the signature of this account and application", todo))
        }
        [Some(200), Some(_)] => {
            let todo = "Something else answers there: let the URLs lead to the deployment.";
            Some(Finding::error(CHECK, "a wrong signature is not refused", todo))
        }
        // The other finding says so.
        _ => None,
    })
}

/// Sends a webhook, and returns the status and the body of the answer.
async fn post(client: &Client, url: &str, body: &Value, token: Option<&str>) -> Result<(u16, Value), String> {
    let request = client.post(url).header("Content-Type", "application/json").body(body.to_string()).timeout(LIMIT);
    let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
    let answer = request.send().await.map_err(|error| {
        if error.is_timeout() {
            "no answer in time".to_owned()
        } else {
            format!("no connection ({})", error.without_url())
        }
    })?;
    let status = answer.status().as_u16();
    Ok((status, answer.json().await.unwrap_or_default()))
}
