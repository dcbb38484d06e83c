//! `record`: the recording of a leg, its file and its event.

use jiff::Timestamp;
use serde_json::{Map, json};
use uuid::Uuid;

use super::super::leg::{self, Event};
use super::super::ncco::Record;
use super::Call;
use super::follow::Left;
use super::line::Side;
use super::script::Keys;

/// Time for the key that ends a recording, in seconds.
const KEY_SECONDS: f64 = 0.5;

impl Call {
    /// Records a leg. With a condition of its end it blocks, or else it runs to the end of the leg.
    pub(super) async fn record(&mut self, side: Side, record: &Record) -> Result<(), Left> {
        let start = self.clock;
        self.line_mut(side).recordings.push((start, record.clone()));
        if record.is_asynchronous() {
            return Ok(());
        }
        let end = match self.message_end(side, record) {
            Some(seconds) => self.pass(side, seconds),
            // Only a key ends it, and nobody presses it.
            None => Err(self.wait_in_vain(side).await),
        };
        if end.is_ok() {
            let recorded = self.line_mut(side).recordings.pop();
            self.end_recording(side, recorded);
        }
        end
    }

    /// Returns the duration of a blocking recording, in seconds. `None` if it does not end by itself.
    fn message_end(&mut self, side: Side, record: &Record) -> Option<f64> {
        let message = if side == Side::Caller { self.request.message_seconds } else { 0.0 };
        let line = self.line_mut(side);
        let ends_by_key = record.end_on_key.is_some_and(|key| {
            let pressed = line.presses.front().and_then(Option::as_ref);
            pressed.is_some_and(|Keys(keys)| keys.len() == 1 && keys.starts_with(key))
        });
        let own_end = if ends_by_key {
            line.presses.pop_front();
            Some(message + KEY_SECONDS)
        } else {
            record.end_on_silence.map(|silence| message + silence)
        };
        match (own_end, record.timeout) {
            (Some(end), Some(timeout)) => Some(end.min(timeout)),
            (end, timeout) => end.or(timeout),
        }
    }

    /// Ends all recordings of a leg that has ended.
    pub(super) fn end_recordings(&mut self, side: Side) {
        for recorded in std::mem::take(&mut self.line_mut(side).recordings) {
            self.end_recording(side, Some(recorded));
        }
    }

    /// Keeps the file of a recording, and adds its event, which has no `status`. Source: Vonage Voice API, webhook
    /// reference.
    fn end_recording(&mut self, side: Side, recorded: Option<(Timestamp, Record)>) {
        let Some((start, record)) = recorded else { return };
        let seconds = self.clock.duration_since(start).as_secs_f64();
        let (id, size) = self.simulator.recordings().add(record.format, seconds, self.simulator.clock.now());
        let mut body = Map::new();
        for (name, value) in [
            ("start_time", json!(leg::second(start))),
            ("recording_url", json!(format!("{}/v1/files/{id}", self.address))),
            ("size", json!(size)),
            // Not the ID in the URL.
            ("recording_uuid", json!(Uuid::new_v4().to_string())),
            ("end_time", json!(leg::second(self.clock))),
            ("conversation_uuid", json!(self.conversation_uuid)),
            ("timestamp", json!(leg::milliseconds(self.clock))),
        ] {
            body.insert(name.into(), value);
        }
        let leg = Some(self.line(side).leg.uuid.clone());
        let webhook = record.webhook.or_else(|| self.voice.webhooks.event_url.clone());
        self.recordings.push(body.clone().into());
        self.events.push(Event { status: "record", leg, webhook, synchronous: false, body });
    }
}
