//! A carrier that knows every phone of the scenario and records each text message.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use shared::domain::carrier_record::CarrierRecord;
use shared::domain::channel::OnChannel;
use shared::domain::conversation::ConversationId;
use shared::domain::invitation::Invitation;
use shared::domain::judge::Judge;
use shared::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use shared::domain::side::Side;
use shared::vonage::VonageError;
use shared::vonage::number_lookup::{LookedUpNumber, NumberLookup};
use shared::vonage::texts::{InvitationWay, TextSender};

use crate::scenario::{INVALID_PHONE, country_of};

/// A number lookup that answers from the scenario.
#[derive(Debug, Clone)]
pub struct Directory;

impl NumberLookup for Directory {
    fn judge(&self) -> Judge {
        Judge::NumberInsight
    }

    async fn look_up(&self, number: &PhoneNumber) -> Result<Option<LookedUpNumber>, VonageError> {
        let (country, number) = (country_of(number.expose()), number.clone().into());
        let found = LookedUpNumber { number, country, carrier: None, carrier_record: None };
        Ok((found.number.expose() != INVALID_PHONE).then_some(found))
    }
}

/// The carrier's answer to a text message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmsOutcome {
    Accepted,
    /// The carrier refused the message, so it was certainly not sent.
    Refused,
    /// The request failed. The message may have been sent.
    NoAnswer,
}

/// A text message that the carrier was asked to send.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The attempt to create a conversation that caused the message.
    pub attempt: String,
    /// The side that receives the message.
    pub side: Side,
    pub from: VirtualNumber,
    pub to: RealNumber,
    pub text: String,
    pub outcome: SmsOutcome,
    /// The carrier's id of the message.
    pub id: String,
}

/// A sender of text messages with prepared outcomes.
#[derive(Debug, Clone, Default)]
pub struct Texts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    outcomes: VecDeque<SmsOutcome>,
    sent: Vec<Sent>,
    /// Number of all text messages.
    count: usize,
}

impl Texts {
    /// Prepares the outcomes of the next text messages of this step. All later ones are accepted.
    pub fn expect(&self, outcomes: &[SmsOutcome]) {
        self.0.lock().unwrap().outcomes.extend(outcomes);
    }

    /// Returns the text messages of this step and forgets them.
    pub fn take_sent(&self) -> Vec<Sent> {
        let mut state = self.0.lock().unwrap();
        state.outcomes.clear();
        std::mem::take(&mut state.sent)
    }
}

impl TextSender for Texts {
    fn carries_files(&self) -> bool {
        false
    }

    async fn send(&self, from: &VirtualNumber, to: &RealNumber, text: &str) -> Result<Vec<CarrierRecord>, VonageError> {
        tokio::task::yield_now().await;
        let (attempt, other) = mentioned(text).expect("a text message names the other participant");
        // Who only receives is told of a missed call without a number to dial.
        let is_named = text.contains(&format!("+{from}")) || !text.contains('+');
        assert!(is_named, "a text message comes from another number than it names: {text}");
        let mut state = self.0.lock().unwrap();
        let outcome = state.outcomes.pop_front().unwrap_or(SmsOutcome::Accepted);
        state.count += 1;
        let id = format!("text-{attempt}-{other:?}-{from}-{}", state.count);
        let (from, to, text) = (from.clone(), to.clone(), text.to_owned());
        state.sent.push(Sent { attempt, side: other.other(), from, to, text, outcome, id: id.clone() });
        match outcome {
            SmsOutcome::Accepted => Ok(vec![CarrierRecord::of_text(id)]),
            SmsOutcome::Refused => Err(VonageError::RateLimited { retry_after: None }),
            SmsOutcome::NoAnswer => Err(VonageError::Failed(500)),
        }
    }

    async fn send_on(
        &self,
        _: OnChannel<'_>,
        _: Option<&VirtualNumber>,
        _: &RealNumber,
        _: &str,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        unreachable!("nobody in the model has a channel of the backend's choice")
    }

    async fn invite(
        &self,
        _: (ConversationId, Invitation),
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        _: InvitationWay<'_>,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        self.send(from, to, text).await
    }
}

/// The label of a participant. It encodes the attempt and the side, so that a text message can be traced to both.
pub fn label(attempt: &str, side: Side) -> String {
    format!("{attempt}{side:?}")
}

fn mentioned(text: &str) -> Option<(String, Side)> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter_map(|word| Some((word.strip_suffix(['A', 'B'])?, word))).find_map(|(attempt, word)| {
        let is_label = !attempt.is_empty() && attempt.bytes().all(|byte| byte.is_ascii_digit());
        is_label.then(|| (attempt.to_owned(), if word.ends_with('A') { Side::A } else { Side::B }))
    })
}
