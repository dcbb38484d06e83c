//! Decoding of `connect`.

use serde_json::{Map, Value};

use super::super::applications::VoiceWebhook;
use super::fields::{Fields, LONGEST};

/// A `connect` to a phone.
#[derive(Clone, Debug)]
pub(in super::super) struct Connect {
    pub(in super::super) from: String,
    /// E.164 digits.
    pub(in super::super) number: String,
    /// Longest ringing time, in seconds.
    pub(in super::super) timeout: f64,
    /// Longest talking time, in seconds.
    pub(in super::super) limit: f64,
    /// The webhook for the events of its leg, if it is not the application's.
    pub(in super::super) webhook: Option<VoiceWebhook>,
    /// True if the events are sent within the call, and the response to a failure may be an NCCO.
    pub(in super::super) synchronous: bool,
    /// The sound for the caller while the phone rings.
    pub(in super::super) ringback: Option<String>,
    pub(in super::super) on_answer: Option<OnAnswer>,
    pub(in super::super) machine_detection: Option<MachineDetection>,
}

/// An NCCO for the called phone, before it is joined with the caller.
#[derive(Clone, Debug)]
pub(in super::super) struct OnAnswer {
    pub(in super::super) url: String,
    /// The sound for the caller meanwhile.
    pub(in super::super) ringback: Option<String>,
}

/// The reaction to an answering machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct MachineDetection {
    /// True if it ends the leg of a machine.
    pub(in super::super) hangs_up: bool,
    /// True if the call goes on only after the detection.
    pub(in super::super) is_synchronous: bool,
}

pub(super) fn read(fields: Fields<'_>) -> Result<Connect, String> {
    let endpoint = phone_endpoint(fields.0)?;
    let number = endpoint.0.get("number").and_then(Value::as_str).filter(|number| is_e164(number));
    let number = number.ok_or("the \"number\" of a phone is 7 to 15 digits, without \"+\"")?;
    if let Some(keys) = endpoint.string("dtmfAnswer")?
        && !keys.bytes().all(|key| key.is_ascii_digit() || matches!(key, b'#' | b'*' | b'p'))
    {
        return Err("\"dtmfAnswer\" has digits, \"*\", \"#\" and \"p\"".to_owned());
    }
    let is_digits = |from: &&str| !from.is_empty() && from.bytes().all(|byte| byte.is_ascii_digit());
    let from = fields.0.get("from").and_then(Value::as_str).filter(is_digits);
    let from = from.ok_or("connect needs a \"from\" of digits")?;
    Ok(Connect {
        from: from.to_owned(),
        number: number.to_owned(),
        timeout: fields.seconds("timeout", 60.0, 1.0)?,
        limit: fields.seconds("limit", LONGEST, 1.0)?,
        webhook: fields.event_webhook()?,
        synchronous: fields.word("eventType", &["synchronous"])?.is_some(),
        ringback: fields.any_url("ringbackTone")?.map(str::to_owned),
        on_answer: endpoint.object("onAnswer")?.map(on_answer).transpose()?,
        machine_detection: machine_detection(fields)?,
    })
}

fn phone_endpoint(fields: &Map<String, Value>) -> Result<Fields<'_>, String> {
    let endpoints = fields.get("endpoint").and_then(Value::as_array);
    let [Value::Object(endpoint)] = endpoints.map(Vec::as_slice).unwrap_or_default() else {
        return Err("connect has exactly one \"endpoint\", in an array".to_owned());
    };
    if endpoint.get("type").is_none_or(|kind| kind != "phone") {
        return Err("the endpoint of connect is of type \"phone\"".to_owned());
    }
    Ok(Fields(endpoint))
}

fn on_answer(fields: Fields<'_>) -> Result<OnAnswer, String> {
    let url = fields.url("url")?.ok_or("\"onAnswer\" needs a \"url\"")?;
    // Vonage's libraries know both names.
    let ringback = match fields.url("ringbackTone")? {
        None => fields.url("ringback")?,
        found => found,
    };
    Ok(OnAnswer { url: url.to_owned(), ringback: ringback.map(str::to_owned) })
}

fn machine_detection(fields: Fields<'_>) -> Result<Option<MachineDetection>, String> {
    const BEHAVIORS: [&str; 2] = ["continue", "hangup"];
    // The advanced one has priority.
    if let Some(advanced) = fields.object("advancedMachineDetection")? {
        let behavior = advanced.word("behavior", &BEHAVIORS)?;
        let mode = advanced.word("mode", &["default", "detect", "detect_beep"])?;
        advanced.within("beep_timeout", 45.0, 120.0)?;
        let is_synchronous = mode.is_some_and(|mode| mode != "default");
        return Ok(Some(MachineDetection { hangs_up: behavior == Some("hangup"), is_synchronous }));
    }
    let behavior = fields.word("machineDetection", &BEHAVIORS)?;
    Ok(behavior.map(|word| MachineDetection { hangs_up: word == "hangup", is_synchronous: false }))
}

fn is_e164(number: &str) -> bool {
    (7..=15).contains(&number.len()) && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit())
}
