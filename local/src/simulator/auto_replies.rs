//! Phones that answer each text by themselves, as one in a driving mode does.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::control::body;
use super::phones;
use super::problem::Problem;
use super::texts::{self, NewText};
use super::{Shared, Simulator};

/// Most answers that follow one text: two phones may answer each other without end.
const MOST: usize = 1_000;

/// The words of each phone that answers by itself.
#[derive(Debug, Default)]
pub(super) struct AutoReplies {
    words: HashMap<String, String>,
    /// Number of received messages that are answered, or are from before.
    seen: usize,
}

/// A phone that answers each text by itself, or no longer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AutoReply {
    phone: String,
    text: Option<String>,
}

/// Handles `PUT /simulator/auto-replies`.
pub(super) async fn set(State(simulator): Shared, bytes: Bytes) -> Result<StatusCode, Problem> {
    let AutoReply { phone, text } = body(&bytes)?;
    let seen = simulator.inboxes().messages(None).len();
    let mut replies = simulator.auto_replies();
    replies.seen = seen;
    match text {
        Some(text) => replies.words.insert(phones::digits(&phone), text),
        None => replies.words.remove(&phones::digits(&phone)),
    };
    Ok(StatusCode::NO_CONTENT)
}

/// Has the phones answer the messages that they have received, and the answers to these. Returns the number of answers.
pub(super) async fn answer(simulator: &Simulator) -> usize {
    let mut count = 0;
    while count < MOST {
        let Some(reply) = next(simulator) else { break };
        // A message of a sender that is no number of the account cannot be answered.
        if texts::send_one(simulator, &reply).await.is_ok() {
            count += 1;
        }
    }
    count
}

fn next(simulator: &Simulator) -> Option<NewText> {
    let received = simulator.inboxes().messages(None);
    let mut replies = simulator.auto_replies();
    if replies.words.is_empty() {
        return None;
    }
    while let Some(message) = received.get(replies.seen) {
        replies.seen += 1;
        if let Some(words) = replies.words.get(&message.to) {
            return Some(NewText::new(&message.to, &message.from, words));
        }
    }
    None
}
