//! Decoding of a request to create a call. Source: Vonage Voice API, "Create an outbound call".

use serde_json::Value;

use super::HttpMethod;
use super::applications::VoiceWebhook;
use super::call::{Flow, Order};
use super::ncco::{MachineDetection, NccoReader};

/// The name of a parameter, and the reason for which it is not valid.
type Invalid = (&'static str, String);

/// Decodes a request.
pub(super) fn read(body: &Value, nccos: &NccoReader) -> Result<Order, Invalid> {
    let to = match body["to"].as_array().map(Vec::as_slice) {
        Some([endpoint]) => phone(endpoint),
        _ => None,
    };
    let to = to.ok_or(("to", "must be an array of one phone, with its digits".to_owned()))?;
    if !body["random_from_number"].is_null() {
        return Err(("random_from_number", "is not simulated".to_owned()));
    }
    let from = phone(&body["from"]).ok_or(("from", "must be a phone, with its digits".to_owned()))?;
    let machine_detection = match &body["machine_detection"] {
        Value::Null => None,
        Value::String(word) if word == "continue" || word == "hangup" => {
            Some(MachineDetection { hangs_up: word == "hangup", is_synchronous: true })
        }
        _ => return Err(("machine_detection", "must be continue or hangup".to_owned())),
    };
    Ok(Order {
        to,
        from,
        flow: flow(body, nccos)?,
        webhook: webhook(body, "event_url", "event_method", HttpMethod::Post)?,
        ringing_timer: timer(body, "ringing_timer", 60, 120)?,
        length_timer: timer(body, "length_timer", 7_200, 86_400)?,
        machine_detection,
    })
}

fn phone(endpoint: &Value) -> Option<String> {
    let is_e164 = |number: &&str| {
        (7..=15).contains(&number.len()) && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let number = endpoint["number"].as_str().filter(|_| endpoint["type"] == "phone").filter(is_e164);
    number.map(str::to_owned)
}

fn flow(body: &Value, nccos: &NccoReader) -> Result<Flow, Invalid> {
    let answer_url = webhook(body, "answer_url", "answer_method", HttpMethod::Get)?;
    match (body.get("ncco"), answer_url) {
        (Some(actions), None) => {
            let read = nccos.read(actions).map_err(|reason| ("ncco", reason))?;
            Ok(Flow::Ncco(read, actions.clone()))
        }
        (None, Some(webhook)) => Ok(Flow::AnswerUrl(webhook)),
        _ => Err(("ncco", "either it or answer_url is required".to_owned())),
    }
}

fn webhook(
    body: &Value,
    url: &'static str,
    method: &'static str,
    usual: HttpMethod,
) -> Result<Option<VoiceWebhook>, Invalid> {
    let http_method = match body[method].as_str() {
        None if body[method].is_null() => usual,
        Some("GET") => HttpMethod::Get,
        Some("POST") => HttpMethod::Post,
        _ => return Err((method, "must be GET or POST".to_owned())),
    };
    let address = match &body[url] {
        Value::Null => return Ok(None),
        Value::Array(urls) => match urls.as_slice() {
            [Value::String(address)] if address.starts_with("http") => address.clone(),
            _ => return Err((url, "must be an array of one URL".to_owned())),
        },
        _ => return Err((url, "must be an array of one URL".to_owned())),
    };
    Ok(Some(VoiceWebhook { address, http_method, ..VoiceWebhook::unset() }))
}

fn timer(body: &Value, name: &'static str, usual: u64, longest: u64) -> Result<f64, Invalid> {
    let seconds = match &body[name] {
        Value::Null => Some(usual),
        value => value.as_u64().filter(|seconds| (1..=longest).contains(seconds)),
    };
    seconds.map(|seconds| seconds as f64).ok_or_else(|| (name, format!("must be from 1 to {longest}")))
}
