//! Warnings before the end of a call's limit.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

/// Creates a conversation of a German rider and a French driver with these fields.
async fn create(laptop: &Laptop, fields: Value) -> Value {
    let participant = |number: &str, language: &str| json!({"number": format!("+{number}"), "language": language});
    let mut order = json!({"participants": [participant(RIDER, "de"), participant(DRIVER, "fr")], "notify": false});
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

/// Has the rider call the driver. The call stays up.
async fn live(laptop: &Laptop, conversation: &Value) -> String {
    let dials = text(conversation, "/participants/0/dials");
    let call = laptop.call(json!({"from": RIDER, "to": dials, "lives": true, "events": "twice"})).await;
    text(&call, "/conversation_uuid").to_owned()
}

async fn run(laptop: &Laptop) -> [Value; 3] {
    let report = laptop.stack.run_warnings().await.unwrap();
    ["spoken", "over", "unspoken"].map(|name| report[name].clone())
}

/// Returns what both people have heard.
async fn heard(laptop: &Laptop, call: &str) -> [String; 2] {
    let told = laptop.simulator(&format!("calls/{call}")).await;
    [told["phones"]["caller"]["heard"].to_string(), told["callees"][0]["heard"].to_string()]
}

#[tokio::test]
async fn both_hear_what_is_left_before_the_limit() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    for limit in [json!({"max_call_seconds": 300}), json!({"max_minutes": 4})] {
        let mut fields = json!({"warn_minutes": 1});
        fields.as_object_mut().unwrap().extend(limit.as_object().unwrap().clone());
        let created = create(&laptop, fields).await;
        assert_eq!(created["warn_minutes"], 1);
        let call = live(&laptop, &created).await;
        assert_eq!(run(&laptop).await, [0, 0, 0], "not due yet");
        laptop.advance(210);
        assert_eq!(run(&laptop).await, [1, 0, 0], "{limit}");
        assert_eq!(run(&laptop).await, [0, 0, 0], "once");
        let [rider, driver] = heard(&laptop, &call).await;
        assert!(rider.contains("Verbleibende Minuten für dieses Gespräch: 1."), "{rider}");
        assert!(driver.contains("Minutes restantes pour cet appel : 1."), "{driver}");
        assert_eq!(laptop.delete(&format!("/conversations/{}?hang_up=true", text(&created, "/id"))).await.status, 200);
        laptop.stack.background_runs_finished().await;
    }
}

#[tokio::test]
async fn call_that_is_over_or_short_is_not_warned() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"warn_minutes": 1, "max_call_seconds": 300})).await;
    let call = live(&laptop, &created).await;
    laptop.advance(3);
    let path = format!("/conversations/{}", text(&created, "/id"));
    assert_eq!(laptop.delete(&format!("{path}/calls/{call}")).await.status, 200);
    laptop.advance(210);
    assert_eq!(run(&laptop).await, [0, 1, 0]);
    laptop.delete(&path).await;
    let short = create(&laptop, json!({"warn_minutes": 1, "max_call_seconds": 100})).await;
    live(&laptop, &short).await;
    laptop.advance(60);
    assert_eq!(run(&laptop).await, [0, 0, 0], "it began with less than that");
    laptop.delete(&format!("/conversations/{}?erase=true", text(&short, "/id"))).await;
}

#[tokio::test]
async fn warning_that_vonage_refuses_is_not_repeated() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"warn_minutes": 1, "max_call_seconds": 300})).await;
    live(&laptop, &created).await;
    laptop.advance(210);
    let down = json!({"path": "*", "times": 9, "fault": {"kind": "status", "status": 503}});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", down).await.status, 204);
    assert_eq!(run(&laptop).await, [0, 0, 1]);
    laptop.no_more_faults().await;
    assert_eq!(run(&laptop).await, [0, 0, 0]);
}

#[tokio::test]
async fn warning_needs_control_of_calls() {
    let order = |minutes: u8| json!({"participants": [{"number": format!("+{RIDER}")}, {"number": format!("+{DRIVER}")}], "warn_minutes": minutes});
    let off =
        Laptop::builder().env(&[("CALL_CONTROL", "off"), ("DEFAULT_WARN_MINUTES", "2")]).numbers("GB", 2).start().await;
    let refused = off.post("/conversations", &order(1)).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:call-control-off"));
    let created = off.post("/conversations", &order(0)).await;
    assert_eq!((created.status, created.body.get("warn_minutes")), (201, None));
    assert_eq!(off.post("/conversations", &order(6)).await.status, 422);

    let laptop = Laptop::builder().env(&[("DEFAULT_WARN_MINUTES", "2")]).numbers("GB", 2).start().await;
    assert_eq!(create(&laptop, json!({})).await["warn_minutes"], 2);
    assert_eq!(create(&laptop, json!({"warn_minutes": 0})).await.get("warn_minutes"), None);
}
