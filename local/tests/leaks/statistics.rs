//! The statistics of calls and texts in the log, of which CloudWatch makes metrics.

use serde_json::{Value, json};

use crate::laptop::{DRIVER, RIDER, assert_nothing_leaked, builder, create, log};

/// Returns the log lines about a conversation.
fn lines_about(id: &str) -> Vec<Value> {
    log().lines().filter(|line| line.contains(id)).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sum(lines: &[Value], metric: &str) -> f64 {
    lines.iter().filter_map(|line| line[metric].as_f64()).sum()
}

#[tokio::test]
async fn log_tells_answers_talk_and_cost_by_country() {
    let laptop = builder().numbers("GB", 2).start().await;
    let created = create(&laptop).await;
    let (id, dials) = (created["id"].as_str().unwrap(), &created["participants"][0]["dials"]);
    laptop.call(json!({"from": RIDER, "to": dials})).await;
    laptop.call(json!({"from": RIDER, "to": dials, "callee": "busy"})).await;
    laptop.text(json!({"from": DRIVER, "to": created["participants"][1]["dials"], "text": "Five minutes"})).await;
    laptop.receipts(json!({"format": "sms_form", "keep": true})).await;
    let shown = laptop.get(&format!("/conversations/{id}")).await.body;
    let calls = shown["calls"].as_array().unwrap();
    let price = |of: &Value| of["price"].as_str().map_or(0.0, |price| price.parse::<f64>().unwrap());

    let lines = lines_about(id);
    assert_eq!(sum(&lines, "calls_answered"), 1.0);
    let talked: Vec<&Value> =
        lines.iter().map(|line| &line["talk_seconds"]).filter(|seconds| !seconds.is_null()).collect();
    assert_eq!(talked, [calls.iter().map(|call| &call["duration"]).find(|seconds| !seconds.is_null()).unwrap()]);
    let of_calls: f64 = calls.iter().map(price).sum();
    assert!(of_calls > 0.0 && (sum(&lines, "call_cost") - of_calls).abs() < 1e-9, "{of_calls} {lines:?}");
    // Each of both was told which number to dial, and the third text is between them.
    let of_texts = 3.0 * price(&shown["texts"][0]);
    assert!(of_texts > 0.0 && (sum(&lines, "text_cost") - of_texts).abs() < 1e-9, "{of_texts} {lines:?}");
    for line in lines.iter().filter(|line| line.get("call_cost").or(line.get("text_cost")).is_some()) {
        assert_eq!(line["country"], "GB", "{line}");
        let by_country = json!([["country"]]);
        let metrics = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        assert!(metrics.iter().any(|metric| metric["Dimensions"] == by_country), "{line}");
    }
    let request = lines.iter().find(|line| line["outcome"] == "created").unwrap();
    assert!(request["request_id"].is_string(), "{request}");
    assert_nothing_leaked(&laptop).await;
}
