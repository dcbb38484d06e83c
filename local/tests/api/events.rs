//! `/webhooks/event`.

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

const CALL: &str = "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab";

/// Returns an event of the call from rider to driver, `seconds` after the conversation was created.
fn event(laptop: &Laptop, conversation: &Value, direction: &str, status: &str, seconds: i64) -> Value {
    let dials = |side: usize| text(&conversation["participants"][side], "/dials").to_owned();
    let (from, to, uuid) = match direction {
        "inbound" => (RIDER.to_owned(), dials(0), "0779a56d002f1c7f47f82ef5fe84ab79"),
        _ => (dials(1), DRIVER.to_owned(), "63f61863-4a51-4f6b-86e1-46edebcf9356"),
    };
    let timestamp = laptop.clock.now() + SignedDuration::from_secs(seconds);
    json!({"headers": {}, "from": from, "to": to, "uuid": uuid, "conversation_uuid": CALL, "status": status,
           "direction": direction, "timestamp": format!("{timestamp:.3}")})
}

async fn calls(laptop: &Laptop, conversation: &Value) -> Value {
    laptop.get(&format!("/conversations/{}", text(conversation, "/id"))).await.body["calls"].clone()
}

#[tokio::test]
async fn call_is_same_for_any_order_and_repetition_of_events() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let dialled = &conversation["participants"][0]["dials"];
    let mut outcomes = Vec::new();
    for order in ["in_order", "reversed", "twice"] {
        let placed = laptop.call(json!({"from": RIDER, "to": dialled, "events": order})).await;
        for event in placed["events"].as_array().unwrap() {
            assert_eq!(event["http_status"], 204);
        }
        let read = calls(&laptop, &conversation).await;
        let call =
            read.as_array().unwrap().iter().find(|call| call["conversation_uuid"] == placed["conversation_uuid"]);
        let facts = |leg: &Value| {
            (leg["direction"].clone(), leg["status"].clone(), leg["duration"].clone(), leg["price"].clone())
        };
        outcomes.push(call.unwrap()["legs"].as_array().unwrap().iter().map(facts).collect::<Vec<_>>());
    }
    assert_eq!(outcomes[0].len(), 2);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
}

#[tokio::test]
async fn first_time_of_status_is_kept() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    for seconds in [5, 9] {
        assert_eq!(laptop.event(&event(&laptop, &conversation, "inbound", "answered", seconds)).await.status, 204);
    }
    let expected = event(&laptop, &conversation, "inbound", "answered", 5)["timestamp"].clone();
    let read = calls(&laptop, &conversation).await;
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time(&read[0]["legs"][0]["statuses"]["answered"]), time(&expected));
}

#[tokio::test]
async fn call_goes_on_in_its_own_conversation_after_the_next_one() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let first = laptop.create().await;
    let event_of_call = |direction: &str, status: &str| event(&laptop, &first, direction, status, 0);
    for direction in ["inbound", "outbound"] {
        assert_eq!(laptop.event(&event_of_call(direction, "started")).await.status, 204);
    }
    let late = event_of_call("outbound", "ringing");
    laptop.advance(10);
    laptop.delete(&format!("/conversations/{}", text(&first, "/id"))).await;
    let next = laptop.create().await;
    assert_eq!(next["participants"][0]["dials"], first["participants"][0]["dials"]);
    laptop.advance(30);
    for event in [event_of_call("outbound", "completed"), late, event_of_call("inbound", "completed")] {
        assert_eq!(laptop.event(&event).await.status, 204);
    }
    let read = calls(&laptop, &first).await;
    let legs: Vec<_> = read[0]["legs"].as_array().unwrap().iter().map(|leg| leg["status"].clone()).collect();
    assert_eq!(legs, ["completed", "completed"]);
    assert_eq!(read[0]["legs"][1]["statuses"].as_object().unwrap().len(), 3);
    assert_eq!(calls(&laptop, &next).await, json!([]));
}

#[tokio::test]
async fn leg_moves_to_the_conversation_of_its_first_event() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let first = laptop.create().await;
    let started = event(&laptop, &first, "inbound", "started", 0);
    laptop.advance(10);
    laptop.delete(&format!("/conversations/{}", text(&first, "/id"))).await;
    let next = laptop.create().await;
    laptop.advance(10);
    assert_eq!(laptop.event(&event(&laptop, &next, "inbound", "completed", 0)).await.status, 204);
    assert_eq!(calls(&laptop, &next).await[0]["legs"][0]["status"], "completed");
    assert_eq!(laptop.event(&started).await.status, 204);
    assert_eq!(calls(&laptop, &next).await, json!([]));
    assert_eq!(calls(&laptop, &first).await[0]["legs"][0]["statuses"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn every_status_of_leg_is_merged() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let statuses = [
        "started",
        "ringing",
        "answered",
        "completed",
        "busy",
        "cancelled",
        "timeout",
        "unanswered",
        "rejected",
        "failed",
        "human",
        "machine",
        "disconnected",
    ];
    for status in statuses {
        let mut event = event(&laptop, &conversation, "outbound", status, 1);
        if ["human", "machine"].contains(&status) {
            event["call_uuid"] = event["uuid"].take();
        }
        assert_eq!(laptop.event(&event).await.status, 204, "{status}");
    }
    let read = calls(&laptop, &conversation).await;
    assert_eq!(read[0]["legs"].as_array().unwrap().len(), 1);
    assert_eq!(read[0]["legs"][0]["statuses"].as_object().unwrap().len(), statuses.len());
}

#[tokio::test]
async fn event_without_leg_changes_nothing() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let dtmf = {
        let mut event = event(&laptop, &conversation, "inbound", "", 1);
        event.as_object_mut().unwrap().remove("status");
        event["dtmf"] = json!({"digits": "1", "timed_out": false});
        event
    };
    let mut stranger = event(&laptop, &conversation, "inbound", "answered", 1);
    stranger["from"] = json!("447700900003");
    let mut withheld = event(&laptop, &conversation, "inbound", "answered", 1);
    withheld["from"] = json!("anonymous");
    for body in [
        json!({"conversation_uuid_from": CALL, "conversation_uuid_to": "CON-2", "uuid": "u", "timestamp": "2026-11-22T12:00:00.000Z"}),
        json!({"recording_url": "https://api.nexmo.com/v1/files/1", "recording_uuid": "r", "size": 1, "conversation_uuid": CALL}),
        json!({"reason": "Syntax error in NCCO. Invalid value type or action.", "conversation_uuid": CALL, "timestamp": "2026-11-22T12:00:00.000Z"}),
        json!({"payload": {"a": 1}, "conversation_uuid": CALL}),
        json!({"speech": {"results": []}, "conversation_uuid": CALL}),
        json!({"status": "transcribed", "conversation_uuid": CALL}),
        json!({}),
        dtmf,
        stranger,
        withheld,
    ] {
        let answer = laptop.event(&body).await;
        assert_eq!((answer.status, &answer.body), (204, &Value::Null), "{body}");
    }
    assert_eq!(calls(&laptop, &conversation).await, json!([]));
}

#[tokio::test]
async fn leg_is_recorded_in_every_spelling_of_its_numbers() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let spellings = [
        "{}",
        "+{}",
        "00{}",
        " {} ",
        "tel:+{}",
        "{}@203.0.113.5",
        "sip:+{}@203.0.113.5;user=phone",
        "+{};cpc=ordinary",
    ];
    let mut legs = 0;
    for direction in ["inbound", "outbound"] {
        for field in ["from", "to"] {
            for spelling in spellings {
                let mut event = event(&laptop, &conversation, direction, "answered", 1);
                event[field] = json!(spelling.replace("{}", text(&event, &format!("/{field}"))));
                legs += 1;
                event["uuid"] = json!(format!("leg-{legs}"));
                assert_eq!(laptop.event(&event).await.status, 204, "{event}");
            }
        }
    }
    for (nth, from) in ["07700900001", "07700 900001", "+44 (0)7700 900001"].into_iter().enumerate() {
        let mut event = event(&laptop, &conversation, "inbound", "answered", 1);
        (event["from"], event["uuid"]) = (json!(from), json!(format!("national-{nth}")));
        assert_eq!(laptop.event(&event).await.status, 204);
        legs += 1;
    }
    let calls = calls(&laptop, &conversation).await;
    let recorded = calls[0]["legs"].as_array().unwrap();
    assert_eq!(recorded.len(), legs, "{calls}");
    for leg in recorded {
        assert_eq!(leg["number"], if leg["direction"] == "inbound" { RIDER } else { DRIVER }, "{leg}");
    }
}

#[tokio::test]
async fn leg_of_other_spelling_belongs_to_same_person() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("GB", 2)
        .start()
        .await;
    let order = json!({"participants": [{"number": "+5491123456789"}, {"number": "+447700900002"}], "notify": false});
    let conversation = laptop.post("/conversations", &order).await.body;
    for (nth, from) in ["5491123456789", "541123456789", "+541123456789"].into_iter().enumerate() {
        let mut event = event(&laptop, &conversation, "inbound", "answered", 1);
        (event["from"], event["uuid"]) = (json!(from), json!(format!("leg-{nth}")));
        assert_eq!(laptop.event(&event).await.status, 204);
    }
    let calls = calls(&laptop, &conversation).await;
    assert_eq!(calls[0]["legs"].as_array().unwrap().len(), 3, "{calls}");
    assert_eq!(calls[0]["caller"], "5491123456789");
}

#[tokio::test]
async fn event_from_before_conversation_is_ignored() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    assert_eq!(laptop.event(&event(&laptop, &conversation, "inbound", "completed", -1)).await.status, 204);
    assert_eq!(calls(&laptop, &conversation).await, json!([]));
}

#[tokio::test]
async fn last_event_is_merged_after_conversation_ended() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    laptop.event(&event(&laptop, &conversation, "inbound", "answered", 1)).await;
    laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await;
    laptop.event(&event(&laptop, &conversation, "inbound", "completed", 7200)).await;
    assert_eq!(calls(&laptop, &conversation).await[0]["legs"][0]["status"], "completed");
}

#[tokio::test]
async fn longest_call_ends_before_shortest_quarantine() {
    let laptop = Laptop::builder()
        .env(&[("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "60")])
        .numbers("GB", 2)
        .start()
        .await;
    let mut order = testkit::conversation();
    order["expires_in"] = json!(60);
    let first = laptop.post("/conversations", &order).await.body;
    laptop.advance(59);
    let dialled = &first["participants"][0]["dials"];
    let call = laptop.call(json!({"from": RIDER, "to": dialled, "talk_seconds": 7200})).await;
    let connect = &call["ncco"][1];
    let longest = connect["timeout"].as_i64().unwrap() + connect["limit"].as_i64().unwrap();
    assert!(longest < 60, "{connect}");
    // The last event of the call, as late as it can happen, and the next conversation on the same route keys.
    laptop.advance(61);
    let next = laptop.post("/conversations", &order).await.body;
    assert_eq!(next["participants"][0]["dials"], *dialled);
    laptop.event(&event(&laptop, &first, "inbound", "completed", -1)).await;
    assert_eq!(calls(&laptop, &next).await, json!([]));
}

#[tokio::test]
async fn leg_is_recorded_although_its_times_and_values_are_odd() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let started = laptop.clock.now() + SignedDuration::from_secs(1);
    let send = async |direction: &str, status: &str, odd: Value| {
        let mut event = event(&laptop, &conversation, direction, status, 1);
        event.as_object_mut().unwrap().remove("timestamp");
        event.as_object_mut().unwrap().extend(odd.as_object().unwrap().clone());
        assert_eq!(laptop.event(&event).await.status, 204, "{event}");
    };
    send("inbound", "started", json!({"timestamp": started.as_second()})).await;
    send("inbound", "ringing", json!({"timestamp": started.as_millisecond().to_string()})).await;
    let no_zone = started.to_string().replace('T', " ").replace('Z', "");
    send("inbound", "answered", json!({"timestamp": no_zone})).await;
    send("inbound", "completed", json!({})).await;
    send("outbound", "completed", json!({"timestamp": 0, "duration": 12.0, "price": "0,0036", "sip_code": 0})).await;
    let call = calls(&laptop, &conversation).await[0].clone();
    let [inbound, outbound] = [&call["legs"][0], &call["legs"][1]];
    let times = inbound["statuses"].as_object().unwrap();
    assert_eq!(times.keys().collect::<Vec<_>>(), ["answered", "ringing", "started"], "{call}");
    for time in times.values() {
        let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
        assert_eq!(time.as_second(), started.as_second(), "{call}");
    }
    assert_eq!([&inbound["status"], &outbound["status"]], ["completed", "completed"], "{call}");
    assert_eq!((&outbound["duration"], &outbound["price"]), (&json!(12), &json!("0.0036")), "{call}");
    assert_eq!((&outbound["statuses"], outbound.get("sip_code"), inbound.get("price")), (&json!({}), None, None));
    assert_eq!((&call["ended_at"], &call["price"]), (&Value::Null, &json!("0.0036")), "{call}");
}

#[tokio::test]
async fn price_that_no_event_said_is_unknown_and_not_0() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    laptop.event(&event(&laptop, &conversation, "inbound", "answered", 1)).await;
    assert_eq!(calls(&laptop, &conversation).await[0]["price"], Value::Null);
}

#[tokio::test]
async fn unsigned_event_changes_nothing() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let body = event(&laptop, &conversation, "inbound", "answered", 1).to_string();
    let url = format!("{}/webhooks/event", laptop.stack.gateway_url);
    let unsigned = Answer::to(laptop.http.post(&url).body(body.clone())).await;
    assert_eq!((unsigned.status, text(&unsigned.body, "/type")), (503, "urn:maskline:problem:not-signed"));
    assert_eq!(
        Answer::to(laptop.http.post(&url).bearer_auth(laptop.signature(Some("{}"))).body(body)).await.status,
        401
    );
    assert_eq!(calls(&laptop, &conversation).await, json!([]));
}

#[tokio::test]
async fn unsigned_webhooks_come_again_signed_and_are_taken() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    for webhook in ["answer_url", "event_url"] {
        let rule = json!({"webhook": webhook, "times": 1, "fault": {"kind": "unsigned"}});
        assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
    }
    let call = laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"]})).await;
    let answers = call["webhooks"].as_array().unwrap().iter();
    let answers: Vec<_> = answers.map(|attempt| (text(attempt, "/url_kind"), attempt["status"].as_u64())).collect();
    assert_eq!(answers, [("answer_url", Some(503)), ("answer_url", Some(200))]);
    assert_eq!(call["phones"]["caller"]["connected"], true, "{call}");
    let unsigned = call["events"].as_array().unwrap().iter().filter(|event| event["fault"]["kind"] == "unsigned");
    assert_eq!(unsigned.map(|event| event["http_status"].as_u64()).collect::<Vec<_>>(), [Some(503), Some(204)]);
    let calls = calls(&laptop, &conversation).await;
    let statuses = |leg: &Value| leg["statuses"].as_object().unwrap().len();
    let legs = calls[0]["legs"].as_array().unwrap();
    assert_eq!(legs.iter().map(statuses).collect::<Vec<_>>(), [4, 4], "{calls}");
}

#[tokio::test]
async fn event_returns_503_when_table_is_unavailable() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let broken = Laptop::builder().env(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")]).start().await;
    assert_eq!(broken.event(&event(&laptop, &conversation, "inbound", "answered", 1)).await.status, 503);
}
