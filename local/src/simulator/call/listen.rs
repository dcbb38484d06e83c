//! `input`: the keys of a user, as one event with a response, or one by one during the call.

use serde_json::{Map, Value, json};

use super::super::applications::VoiceWebhook;
use super::super::leg::{self, Event};
use super::super::ncco::{Dtmf, Input};
use super::Call;
use super::follow::{Left, Step};
use super::line::Side;
use super::script::Owner;

/// Time for one key, in seconds.
const KEY_SECONDS: f64 = 0.5;

/// The keys that an input has taken.
pub(super) struct Taken {
    pub(super) digits: String,
    /// Number of keys that were pressed.
    pressed: usize,
    pub(super) timed_out: bool,
}

impl Call {
    /// Waits for keys and asks the webhook. The asynchronous mode does neither.
    pub(super) async fn listen(&mut self, side: Side, input: &Input) -> Step {
        let webhook = input.webhook.clone().or_else(|| self.voice.webhooks.event_url.clone());
        let Some(dtmf) = input.dtmf else {
            self.line_mut(side).listener = webhook;
            return Ok(None);
        };
        if self.request.by_hand && !self.line(side).reaction.is_machine() {
            let (digits, timed_out) = self.type_by_hand(side, dtmf).await?;
            return self.take_digits(side, digits, timed_out, webhook).await;
        }
        let keys = if self.wait_for_owner(side, dtmf.timeout)? { self.line_mut(side).next_keys() } else { None };
        let taken = take(keys.as_ref().map_or("", |keys| &keys.0), dtmf);
        self.pass(side, taken.pressed as f64 * KEY_SECONDS)?;
        if taken.timed_out {
            self.pass(side, dtmf.timeout)?;
        }
        self.take_digits(side, taken.digits, taken.timed_out, webhook).await
    }

    /// Tells the webhook which keys an input has taken.
    async fn take_digits(
        &mut self,
        side: Side,
        digits: String,
        timed_out: bool,
        webhook: Option<VoiceWebhook>,
    ) -> Step {
        let body = self.input_body(side, &digits, timed_out);
        self.line_mut(side).pressed.push(digits);
        let leg = Some(self.line(side).leg.uuid.clone());
        self.ask_about(Event { status: "input", leg, webhook, synchronous: true, body }).await.replacement()
    }

    /// Waits for the owner of a phone that screens calls, who may decline. Returns false if there is no decision within
    /// this time, so that nobody presses a key.
    fn wait_for_owner(&mut self, side: Side, seconds: f64) -> Result<bool, Left> {
        let line = self.line(side);
        let (owner, decides_at) = (line.owner, line.decides_at);
        let Some(decides_at) = decides_at else { return Ok(true) };
        let wait = decides_at.duration_since(self.clock).as_secs_f64().max(0.0);
        if wait > seconds {
            return Ok(false);
        }
        self.pass(side, wait)?;
        let line = self.line_mut(side);
        line.decides_at = None;
        line.show_reason();
        match (owner, side) {
            (Owner::Accepts, _) => Ok(true),
            (Owner::Declines, Side::Caller) => Err(Left::Caller),
            (Owner::Declines, Side::Callee) => Err(Left::Callee),
        }
    }

    /// Presses the keys of the script for the time of the call. Each is an event if an asynchronous input listens.
    pub(super) async fn press_during_call(&mut self, side: Side) -> Result<(), Left> {
        let line = self.line_mut(side);
        let keys: String = line.presses_during_call.drain(..).map(|keys| keys.0).collect();
        for key in keys.chars() {
            self.pass(Side::Callee, KEY_SECONDS)?;
            let webhook = self.line(side).listener.clone();
            if webhook.is_none() {
                continue;
            }
            let body = self.input_body(side, &key.to_string(), false);
            let leg = Some(self.line(side).leg.uuid.clone());
            self.emit(Event { status: "input", leg, webhook, synchronous: true, body }).await;
        }
        Ok(())
    }

    /// Returns the body of an input event, which has no `status`. Source: Vonage Voice API, webhook reference.
    fn input_body(&self, side: Side, digits: &str, timed_out: bool) -> Map<String, Value> {
        let leg = &self.line(side).leg;
        let mut body = Map::new();
        for (name, value) in [
            ("dtmf", json!({"digits": digits, "timed_out": timed_out})),
            ("to", json!(leg.to)),
            ("uuid", json!(leg.uuid)),
            ("conversation_uuid", json!(self.conversation_uuid)),
            ("timestamp", json!(leg::milliseconds(self.clock))),
        ] {
            body.insert(name.into(), value);
        }
        if let Some(from) = &leg.from {
            body.insert("from".into(), json!(from));
        }
        body
    }
}

/// Returns what an input takes of the keys.
pub(super) fn take(keys: &str, dtmf: Dtmf) -> Taken {
    let mut digits = String::new();
    let mut pressed = 0;
    for key in keys.chars() {
        pressed += 1;
        if key == '#' && dtmf.submit_on_hash {
            return Taken { digits, pressed, timed_out: false };
        }
        digits.push(key);
        if digits.len() == dtmf.max_digits {
            return Taken { digits, pressed, timed_out: false };
        }
    }
    Taken { digits, pressed, timed_out: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_ends_after_hash_or_last_digit_or_time() {
        let taken = |keys, max_digits, submit_on_hash| {
            let taken = take(keys, Dtmf { max_digits, timeout: 3.0, submit_on_hash });
            (taken.digits, taken.pressed, taken.timed_out)
        };
        assert_eq!(taken("1234", 4, false), ("1234".to_owned(), 4, false));
        assert_eq!(taken("123456", 4, false), ("1234".to_owned(), 4, false));
        assert_eq!(taken("12#4", 4, true), ("12".to_owned(), 3, false));
        assert_eq!(taken("12#4", 4, false), ("12#4".to_owned(), 4, false));
        assert_eq!(taken("12", 4, true), ("12".to_owned(), 2, true));
        assert_eq!(taken("", 1, false), (String::new(), 0, true));
    }
}
