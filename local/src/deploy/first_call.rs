//! The first conversation, and the wait for its first call.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::report::State;
use crate::commands::api::{Api, ApiError, Call};
use crate::commands::conversations::one;
use crate::commands::table::{cell, number};

/// The reference by which a run that goes on finds the conversation of the one before.
const REFERENCE: &str = "maskline-deploy";

/// The time between two looks at the conversation.
const PAUSE: Duration = Duration::from_secs(3);

/// Finds the conversation of the two phones, or creates it, which texts both.
pub(super) async fn conversation(api: &Api, phones: [&str; 2]) -> Result<(State, Value), ApiError> {
    let list = Call::new(Method::GET, &["conversations"]).query("number", Some(phones[0]));
    let list = list.query("reference", Some(REFERENCE)).query("state", Some("active"));
    let listed = api.send(list).await?;
    let mut listed = listed["conversations"].as_array().into_iter().flatten();
    if let Some(found) = listed.find(|one| is_with(one, phones[1])) {
        return Ok((State::Unchanged, found.clone()));
    }
    let participants = phones.map(|phone| json!({"number": phone}));
    let body = json!({"participants": participants, "reference": REFERENCE});
    let created = api.send(Call::new(Method::POST, &["conversations"]).body(&body)).await?;
    Ok((State::Done, created))
}

/// True if the second participant has this phone. An answer may show its last three digits only.
fn is_with(conversation: &Value, phone: &str) -> bool {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let shown = number(&conversation["participants"][1]["number"]);
    shown.trim_start_matches('+') == digits
        || shown.contains('…') && digits.ends_with(shown.rsplit('…').next().unwrap_or_default())
}

/// Says who dials what.
pub(super) fn invitation(conversation: &Value) -> String {
    let [first, second] = [0, 1].map(|side| {
        let participant = &conversation["participants"][side];
        ["number", "dials", "masked_by"].map(|name| number(&participant[name]))
    });
    format!(
        "{}\nCall {} from {}: {} rings, and sees {}.",
        one(conversation).trim_end(),
        first[1],
        first[0],
        second[0],
        first[2]
    )
}

/// Waits at most `seconds` for a call that is connected.
pub(super) async fn wait(api: &Api, id: &str, seconds: u64) -> Result<Option<Value>, ApiError> {
    let looks = seconds / PAUSE.as_secs() + 1;
    first_connected(looks, PAUSE, async || api.send(Call::new(Method::GET, &["conversations", id])).await).await
}

async fn first_connected<E>(
    looks: u64,
    pause: Duration,
    mut look: impl AsyncFnMut() -> Result<Value, E>,
) -> Result<Option<Value>, E> {
    for nth in 0..looks {
        if nth > 0 {
            tokio::time::sleep(pause).await;
        }
        let conversation = look().await?;
        let calls = conversation["calls"].as_array().into_iter().flatten();
        if let Some(call) = calls.into_iter().find(|call| call["connected_at"].is_string()) {
            return Ok(Some(call.clone()));
        }
    }
    Ok(None)
}

/// Says that a call was connected.
pub(super) fn connected(call: &Value) -> String {
    let [caller, callee] = ["caller", "callee"].map(|name| number(&call[name]));
    format!("{caller} and {callee} were connected at {}: the first masked call", cell(&call["connected_at"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wait_for(answers: Vec<Value>, looks: u64) -> Option<Value> {
        let mut answers = answers.into_iter();
        let look = async || Ok::<_, ()>(answers.next().unwrap());
        first_connected(looks, Duration::ZERO, look).await.unwrap()
    }

    #[tokio::test]
    async fn wait_ends_with_the_first_connected_call() {
        let ringing = json!({"calls": [{"connected_at": null}]});
        let talking = json!({"calls": [{"connected_at": null}, {"connected_at": "2026-12-01T12:00:00Z"}]});
        let answers = vec![json!({"calls": []}), ringing.clone(), talking, json!("never read")];
        assert_eq!(wait_for(answers, 9).await.unwrap()["connected_at"], "2026-12-01T12:00:00Z");
        assert_eq!(wait_for(vec![ringing.clone(), ringing], 2).await, None);
    }

    #[test]
    fn conversation_is_known_by_whole_and_by_masked_numbers() {
        let with = |shown: &str| json!({"participants": [{"number": "+447700900001"}, {"number": shown}]});
        for (shown, is_same) in
            [("+447700900002", true), ("+44…002", true), ("+447700900003", false), ("+44…003", false)]
        {
            assert_eq!(is_with(&with(shown), "+44 7700 900002"), is_same, "{shown}");
        }
    }
}
