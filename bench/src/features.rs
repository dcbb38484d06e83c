//! The cost of an answer with each feature of a call turned on, beside one with all of them off.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::BenchError;
use crate::deployment::{DECISION_URL, Deployment, nobody};
use crate::programs::{ANSWER, Functions};
use crate::running::{Cost, Running};
use crate::tls::Authority;

/// Answers to the calls of one conversation.
#[derive(Debug, Deserialize, Serialize)]
pub struct FeatureAnswers {
    /// The feature, or [`OFF`].
    pub feature: String,
    /// Number of reads of an answer.
    #[serde(default = "one")]
    pub reads: u32,
    /// Size of the caller's route in bytes of DynamoDB's JSON. A read unit holds 4 KB of a smaller form.
    pub route_bytes: usize,
    /// Size of the answer's body in bytes.
    pub answer_bytes: usize,
    /// Cost of an answer: the median of batches.
    pub answer: Cost,
}

fn one() -> u32 {
    1
}

/// The name of the row with no feature.
pub const OFF: &str = "all off";

/// The part of an answer that asks the backend.
const ASKS: &str = "/decide-b";

/// A way to turn a feature on.
struct Feature {
    name: &'static str,
    /// Variables of the function.
    environment: &'static [(&'static str, &'static str)],
    /// Changes the request that creates the conversation.
    turn_on: fn(&mut Value),
    /// True if a phone calls that is in no conversation.
    is_stranger: bool,
    /// A part of the answer that is there only with the feature.
    expected: &'static str,
}

impl Feature {
    /// A feature of a conversation, which `turn_on` turns on.
    const fn of_conversation(name: &'static str, turn_on: fn(&mut Value), expected: &'static str) -> Self {
        Self { name, environment: &[], turn_on, is_stranger: false, expected }
    }
}

const FEATURES: [Feature; 12] = [
    Feature::of_conversation(OFF, |_| (), "Connecting your call"),
    Feature::of_conversation(
        "another language",
        |request| request["participants"][0]["language"] = json!("de"),
        "Sie werden verbunden",
    ),
    Feature::of_conversation(
        "missed calls",
        |request| request["missed_calls"] = json!(["say", "text", "call_back"]),
        "synchronous",
    ),
    Feature::of_conversation("guard: press_1", |request| request["guard"] = json!("press_1"), "onAnswer"),
    Feature::of_conversation("guard: detect", |request| request["guard"] = json!("detect"), "advancedMachineDetection"),
    Feature::of_conversation(
        "minutes and calls a day",
        |request| {
            request["max_minutes"] = json!(30);
            request["max_calls_per_day"] = json!(10);
        },
        "Minutes left",
    ),
    Feature::of_conversation(
        "several phones with hours",
        |request| {
            let hours = json!({"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
                               "from": "00:00", "to": "24:00", "zone": "Europe/London"});
            request["participants"][1]["hours"] = hours.clone();
            request["participants"][1]["phones"] = json!([{"number": format!("+{}", nobody()), "hours": hours}]);
        },
        "/leg-b-1.",
    ),
    Feature::of_conversation(
        "recording: announce",
        |request| request["recording"] = json!("announce"),
        "This call is recorded",
    ),
    Feature::of_conversation("safety key", |request| request["safety_key"] = json!(true), "asynchronous"),
    Feature {
        name: "pace",
        environment: &[("MAX_CALLS_PER_SECOND", "30")],
        turn_on: |_| (),
        is_stranger: false,
        expected: "/webhooks/event/turn",
    },
    // A caller who is not known is looked for twice.
    Feature {
        name: "PIN of a caller who is not known",
        environment: &[("PINS", "on")],
        turn_on: |_| (),
        is_stranger: true,
        expected: "/webhooks/event/pin/1",
    },
    Feature::of_conversation(
        "decision URL",
        |request| request["decision"] = json!({"url": DECISION_URL, "on_failure": "connect"}),
        ASKS,
    ),
];

/// Measures answers with each feature, in turns.
pub async fn measure(
    authority: &Authority,
    functions: &Functions,
    batches: usize,
) -> Result<Vec<FeatureAnswers>, BenchError> {
    const BATCH: usize = 50;
    let function = functions.binary(ANSWER)?;
    let deployment = Deployment::start(authority, 2).await?;
    let mut subjects = Vec::new();
    for feature in FEATURES {
        let call = deployment.call_with(feature.turn_on, feature.is_stranger).await?;
        let mut program = deployment.program(&[&function]);
        let own = feature.environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        program.environment.extend(own);
        let (running, _) = Running::start(&program).await?;
        subjects.push((feature, call, running, Vec::new(), 0));
    }
    for batch in 0..=batches {
        for (feature, call, running, costs, bytes) in &mut subjects {
            let mut sum = Cost::default();
            for _ in 0..BATCH {
                let (answer, cost) = running.answer(call.event.clone()).await?;
                let body = answer["body"].as_str().unwrap_or_default();
                // The backend decides before anybody is connected.
                let connects = feature.expected != ASKS && !feature.is_stranger;
                if body.contains(&call.other) != connects || !body.contains(feature.expected) {
                    return Err(BenchError::Function(format!("{}: a call was answered with {answer}", feature.name)));
                }
                *bytes = body.len();
                sum = sum + cost;
            }
            // The first batch fills the caches.
            if batch > 0 {
                costs.push(sum.each_of(BATCH));
            }
        }
    }
    let mut measured = Vec::new();
    for (feature, call, running, costs, answer_bytes) in subjects {
        let reads = if feature.is_stranger { 2 } else { 1 };
        let (feature, answer) = (feature.name.to_owned(), Cost::median(costs.iter().copied()));
        measured.push(FeatureAnswers { feature, reads, route_bytes: call.route_bytes, answer_bytes, answer });
        running.into_process().end().await?;
    }
    deployment.stop().await;
    Ok(measured)
}
