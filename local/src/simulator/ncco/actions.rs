//! Decoding of the actions that speak, listen and record.

use serde_json::{Map, Value};

use super::super::applications::VoiceWebhook;
use super::Action;
use super::fields::{Fields, LONGEST};

/// Length of the longest `text` of a talk without SSML, in characters.
const LONGEST_TALK: usize = 1_500;

/// An `input` of keys.
#[derive(Clone, Debug)]
pub(in super::super) struct Input {
    /// The webhook for its event, if it is not the application's.
    pub(in super::super) webhook: Option<VoiceWebhook>,
    /// Absent in the asynchronous mode, which does not wait for keys.
    pub(in super::super) dtmf: Option<Dtmf>,
}

/// The end of an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Dtmf {
    /// Number of keys after which it ends.
    pub(in super::super) max_digits: usize,
    /// Time after the last key, in seconds.
    pub(in super::super) timeout: f64,
    /// True if `#` ends it.
    pub(in super::super) submit_on_hash: bool,
}

/// A `record`.
#[derive(Clone, Debug)]
pub(in super::super) struct Record {
    /// The webhook for its event, if it is not the application's.
    pub(in super::super) webhook: Option<VoiceWebhook>,
    pub(in super::super) format: Format,
    /// Seconds of silence that end it.
    pub(in super::super) end_on_silence: Option<f64>,
    /// The key that ends it.
    pub(in super::super) end_on_key: Option<char>,
    /// Its longest duration, in seconds.
    pub(in super::super) timeout: Option<f64>,
}

impl Record {
    /// True if the next action starts at once, and the recording runs to the end of the call. Any condition of an end
    /// makes it block.
    pub(in super::super) fn is_asynchronous(&self) -> bool {
        self.end_on_silence.is_none() && self.end_on_key.is_none() && self.timeout.is_none()
    }
}

/// The format of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Format {
    Mp3,
    Wav,
}

/// A `notify`.
#[derive(Clone, Debug)]
pub(in super::super) struct Notify {
    pub(in super::super) payload: Map<String, Value>,
    pub(in super::super) webhook: VoiceWebhook,
}

pub(super) fn talk(fields: Fields<'_>) -> Result<Action, String> {
    let text = fields.string("text")?.ok_or("talk needs a \"text\"")?;
    if text.trim().is_empty() || text.chars().count() > LONGEST_TALK {
        return Err(format!("the \"text\" of talk has 1 to {LONGEST_TALK} characters"));
    }
    fields.within("level", -1.0, 1.0)?;
    if fields.string("language")?.is_some_and(|language| !is_language_tag(language)) {
        return Err("\"language\" is a BCP 47 tag".to_owned());
    }
    fields.whole("style", 0.0, f64::MAX)?;
    fields.boolean("premium")?;
    let barge_in = fields.boolean("bargeIn")?.unwrap_or_default();
    Ok(Action::Talk { text: text.to_owned(), loops: fields.loops()?, barge_in })
}

fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let is_part = |part: &str| (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase()) && parts.all(is_part)
}

pub(super) fn stream(fields: Fields<'_>) -> Result<Action, String> {
    let url = fields.single_url("streamUrl")?.ok_or("stream needs a \"streamUrl\"")?;
    fields.within("level", -1.0, 1.0)?;
    let barge_in = fields.boolean("bargeIn")?.unwrap_or_default();
    Ok(Action::Stream { url: url.to_owned(), loops: fields.loops()?, barge_in })
}

pub(super) fn conversation(fields: Fields<'_>) -> Result<Action, String> {
    if fields.string("name")?.is_none_or(str::is_empty) {
        return Err("conversation needs a \"name\"".to_owned());
    }
    for name in ["startOnEnter", "endOnExit", "record", "mute"] {
        fields.boolean(name)?;
    }
    fields.event_webhook()?;
    let is_list = |value: &Value| value.as_array().is_some_and(|legs| legs.iter().all(Value::is_string));
    if let Some(name) =
        ["canSpeak", "canHear"].into_iter().find(|name| fields.0.get(*name).is_some_and(|v| !is_list(v)))
    {
        return Err(format!("\"{name}\" is an array of legs"));
    }
    if fields.0.contains_key("canSpeak") && fields.boolean("mute")? == Some(true) {
        return Err("\"mute\" and \"canSpeak\" exclude each other".to_owned());
    }
    let music = fields.any_url("musicOnHoldUrl")?;
    Ok(Action::Conversation { music: music.map(str::to_owned) })
}

pub(super) fn input(fields: Fields<'_>) -> Result<Input, String> {
    let types = fields.0.get("type").and_then(Value::as_array).ok_or("input needs a \"type\", an array")?;
    match types.as_slice() {
        [kind] if kind == "dtmf" => {}
        kinds if kinds.iter().any(|kind| kind == "speech") => {
            return Err("an input of \"speech\" is not simulated".to_owned());
        }
        _ => return Err("the \"type\" of input is [\"dtmf\"]".to_owned()),
    }
    if let Some(name) = ["maxDigits", "timeOut", "submitOnHash"].into_iter().find(|name| fields.0.contains_key(*name)) {
        return Err(format!("\"{name}\" is a member of \"dtmf\""));
    }
    let asynchronous = fields.word("mode", &["synchronous", "asynchronous"])? == Some("asynchronous");
    let settings = fields.object("dtmf")?;
    let webhook = fields.event_webhook()?;
    if asynchronous {
        return match settings.filter(|settings| !settings.0.is_empty()) {
            Some(_) => Err("the mode \"asynchronous\" has no \"dtmf\" settings".to_owned()),
            None => Ok(Input { webhook, dtmf: None }),
        };
    }
    let none = Map::new();
    let settings = settings.unwrap_or(Fields(&none));
    let dtmf = Dtmf {
        max_digits: settings.whole("maxDigits", 1.0, 20.0)?.map_or(4, |digits| digits as usize),
        timeout: settings.within("timeOut", 0.0, 10.0)?.unwrap_or(3.0),
        submit_on_hash: settings.boolean("submitOnHash")?.unwrap_or_default(),
    };
    Ok(Input { webhook, dtmf: Some(dtmf) })
}

pub(super) fn record(fields: Fields<'_>) -> Result<Record, String> {
    let channels = fields.whole("channels", 1.0, 32.0)?;
    let split = fields.word("split", &["conversation"])?;
    if channels.is_some_and(|channels| channels > 1) && split.is_none() {
        return Err("\"channels\" needs \"split\": \"conversation\"".to_owned());
    }
    let format = match fields.word("format", &["mp3", "wav", "ogg"])? {
        Some("ogg") => return Err("a recording in \"ogg\" is not simulated".to_owned()),
        Some("wav") => Format::Wav,
        None if channels.is_some_and(|channels| channels > 2) => Format::Wav,
        _ => Format::Mp3,
    };
    let end_on_key = fields.string("endOnKey")?.map(one_key).transpose()?;
    fields.boolean("beepStart")?;
    Ok(Record {
        webhook: fields.event_webhook()?,
        format,
        end_on_silence: fields.whole("endOnSilence", 3.0, 10.0)?.map(|seconds| seconds as f64),
        end_on_key,
        timeout: fields.whole("timeOut", 3.0, LONGEST)?.map(|seconds| seconds as f64),
    })
}

fn one_key(text: &str) -> Result<char, String> {
    let mut keys = text.chars();
    match (keys.next(), keys.next()) {
        (Some(key @ ('0'..='9' | '*' | '#')), None) => Ok(key),
        _ => Err("\"endOnKey\" is one key".to_owned()),
    }
}

pub(super) fn notify(fields: Fields<'_>) -> Result<Notify, String> {
    let payload = fields.object("payload")?.ok_or("notify needs a \"payload\", an object")?;
    let webhook = fields.event_webhook()?.ok_or("notify needs an \"eventUrl\"")?;
    Ok(Notify { payload: payload.0.clone(), webhook })
}
