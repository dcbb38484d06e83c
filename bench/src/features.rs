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
    /// Size of the caller's route in bytes of DynamoDB's JSON. A read unit holds 4 KB of a smaller form.
    pub route_bytes: usize,
    /// Size of the answer's body in bytes.
    pub answer_bytes: usize,
    /// Cost of an answer: the median of batches.
    pub answer: Cost,
}

/// The name of the row with no feature.
pub const OFF: &str = "all off";

/// The part of an answer that asks the backend.
const ASKS: &str = "/decide-b";

/// A way to turn a feature on.
struct Feature {
    name: &'static str,
    /// Changes the request that creates the conversation.
    turn_on: fn(&mut Value),
    /// A part of the answer that is there only with the feature.
    expected: &'static str,
}

const FEATURES: [Feature; 10] = [
    Feature { name: OFF, turn_on: |_| (), expected: "Connecting your call" },
    Feature {
        name: "another language",
        turn_on: |request| request["participants"][0]["language"] = json!("de"),
        expected: "Sie werden verbunden",
    },
    Feature {
        name: "missed calls",
        turn_on: |request| request["missed_calls"] = json!(["say", "text", "call_back"]),
        expected: "synchronous",
    },
    Feature { name: "guard: press_1", turn_on: |request| request["guard"] = json!("press_1"), expected: "onAnswer" },
    Feature {
        name: "guard: detect",
        turn_on: |request| request["guard"] = json!("detect"),
        expected: "advancedMachineDetection",
    },
    Feature {
        name: "minutes and calls a day",
        turn_on: |request| {
            request["max_minutes"] = json!(30);
            request["max_calls_per_day"] = json!(10);
        },
        expected: "Minutes left",
    },
    Feature {
        name: "several phones with hours",
        turn_on: |request| {
            let hours = json!({"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
                               "from": "00:00", "to": "24:00", "zone": "Europe/London"});
            request["participants"][1]["hours"] = hours.clone();
            request["participants"][1]["phones"] = json!([{"number": format!("+{}", nobody()), "hours": hours}]);
        },
        expected: "/leg-b-1.",
    },
    Feature {
        name: "recording: announce",
        turn_on: |request| request["recording"] = json!("announce"),
        expected: "This call is recorded",
    },
    Feature { name: "safety key", turn_on: |request| request["safety_key"] = json!(true), expected: "asynchronous" },
    Feature {
        name: "decision URL",
        turn_on: |request| request["decision"] = json!({"url": DECISION_URL, "on_failure": "connect"}),
        expected: ASKS,
    },
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
        let call = deployment.call_with(feature.turn_on).await?;
        let (running, _) = Running::start(&deployment.program(&[&function])).await?;
        subjects.push((feature, call, running, Vec::new(), 0));
    }
    for batch in 0..=batches {
        for (feature, call, running, costs, bytes) in &mut subjects {
            let mut sum = Cost::default();
            for _ in 0..BATCH {
                let (answer, cost) = running.answer(call.event.clone()).await?;
                let body = answer["body"].as_str().unwrap_or_default();
                // The backend decides before anybody is connected.
                let connects = feature.expected == ASKS || body.contains(&call.other);
                if !connects || !body.contains(feature.expected) {
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
        let (feature, answer) = (feature.name.to_owned(), Cost::median(costs.iter().copied()));
        measured.push(FeatureAnswers { feature, route_bytes: call.route_bytes, answer_bytes, answer });
        running.into_process().end().await?;
    }
    deployment.stop().await;
    Ok(measured)
}
