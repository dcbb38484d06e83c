//! Words that are spoken into a call that is up.

use crate::domain::call::Leg;
use crate::domain::conversation::Conversation;
use crate::domain::side::Side;
use crate::domain::words::own_text::OwnText;
use crate::domain::words::sentence::Spoken;
use crate::domain::words::{Utterance, Words};
use crate::store::StoreError;
use crate::vonage::VonageError;
use crate::vonage::call_steps::speech_to;
use crate::vonage::calls::{CallsApi, Commanded};

/// The words to speak.
#[derive(Debug, Clone)]
pub enum What {
    /// A text, in the voice of each participant's language.
    Text(OwnText),
    /// A sentence of the catalogue, in each participant's language.
    Sentence(Spoken),
    /// The time that is left for the call, in seconds.
    TimeLeft(u32),
}

/// A failure while words are spoken. Some of the legs may have heard them.
#[derive(Debug, thiserror::Error)]
pub enum SpeakError {
    /// A failed use of the table.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A failed request to Vonage.
    #[error(transparent)]
    Vonage(#[from] VonageError),
}

/// Speaks into the `legs` of a call of the `conversation`, or only into those of the side `to`. Returns the sides that hear it: a leg
/// that is over, or that Vonage does not let speak into yet, hears nothing. It is not repeated, or somebody would hear it twice.
pub async fn speak(
    api: &CallsApi,
    words: &Words,
    conversation: &Conversation,
    legs: &[Leg],
    to: Option<Side>,
    what: &What,
) -> Result<Vec<Side>, SpeakError> {
    let mut hear = Vec::new();
    for leg in legs.iter().filter(|leg| leg.is_up() && to.is_none_or(|side| leg.side == side)) {
        let utterance = utterance(words, conversation, leg.side, what);
        if api.speak(&leg.uuid, &utterance).await? == Commanded::Accepted && !hear.contains(&leg.side) {
            hear.push(leg.side);
        }
    }
    Ok(Side::BOTH.into_iter().filter(|side| hear.contains(side)).collect())
}

fn utterance(words: &Words, conversation: &Conversation, side: Side, what: &What) -> Utterance {
    let speech = speech_to(words, conversation, side);
    match what {
        What::Text(text) => speech.say_text(text),
        What::Sentence(sentence) => speech.say(*sentence),
        What::TimeLeft(seconds) if *seconds < 60 => speech.say(Spoken::SecondsLeft),
        What::TimeLeft(seconds) => speech.with_minutes(seconds / 60).say(Spoken::MinutesLeft),
    }
}
