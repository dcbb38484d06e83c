//! `GET /decisions`: what a call meets, or met. It agrees with the answer webhook in everything.

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, RIDER, conversation, string, text};

/// Encodes a query parameter.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn decision_at(laptop: &Laptop, from: &str, to: &str, at: &str) -> Value {
    let answer = laptop.get(&format!("/decisions?from={}&to={}{at}", encoded(from), encoded(to))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// Asks for the decision about a call now, and compares it with what the answer webhook does with that call.
async fn decision(laptop: &Laptop, from: &str, to: &str) -> Value {
    let decision = decision_at(laptop, from, to, "").await;
    let body = json!({"from": from, "to": to, "conversation_uuid": "CON-1"}).to_string();
    let ncco = laptop.signed_post("/webhooks/answer", &body).await.body;
    let said = ncco.as_array().unwrap().iter().filter_map(|action| action["text"].as_str());
    assert_eq!(decision["hears"], said.collect::<Vec<_>>().join(" "), "{from} {to}");
    let connect = ncco.as_array().unwrap().iter().find(|action| action["action"] == "connect");
    match connect {
        Some(connect) => {
            let shown = &decision["connects"];
            assert_eq!(
                [&shown["number"], &shown["from"], &shown["ring_seconds"], &shown["talk_seconds"]],
                [&connect["endpoint"][0]["number"], &connect["from"], &connect["timeout"], &connect["limit"]]
            );
        }
        None => assert!(decision.get("connects").is_none(), "{decision}"),
    }
    assert_eq!((&decision["certain"], decision.get("doubt")), (&json!(true), None), "{decision}");
    decision
}

fn outcome(decision: &Value) -> &str {
    text(decision, "/outcome")
}

fn at(laptop: &Laptop, seconds: i64) -> String {
    format!("&at={}", laptop.clock.now() + SignedDuration::from_secs(seconds))
}

async fn create(laptop: &Laptop, fields: Value) -> Value {
    let mut order = conversation();
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

fn dials(conversation: &Value, side: usize) -> String {
    string(&conversation["participants"][side]["dials"])
}

#[tokio::test]
async fn connected_call_is_explained_with_its_items() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({"expires_in": 600})).await;
    let (id, to) = (&created["id"], dials(&created, 0));
    let shown = decision(&laptop, RIDER, &to).await;
    assert_eq!((outcome(&shown), &shown["conversation"]), ("routed", id));
    assert_eq!(shown["at"], laptop.clock.now().to_string());
    let connects = &shown["connects"];
    assert_eq!((&connects["side"], &connects["number"]), (&json!("B"), &json!(DRIVER)));
    assert_eq!((&connects["from"], &connects["max_call_seconds"]), (&json!(dials(&created, 1)), &json!(7200)));
    let [route, of] = [0, 1].map(|index| &shown["items"][index]);
    assert_eq!((&route["kind"], &route["caller"], &route["number"]), (&json!("route"), &json!(RIDER), &json!(to)));
    assert_eq!([&route["conversation"], &route["side"], &of["kind"]], [id, &json!("A"), &json!("conversation")]);
    assert_eq!([&route["since"], &route["expires_at"]], [&created["created_at"], &created["expires_at"]]);
    assert_eq!([&of["id"], &of["expires_at"], &of["ended_at"]], [id, &created["expires_at"], &Value::Null]);
    assert_eq!(route["quarantined_until"], of["quarantined_until"]);
    assert_eq!(decision(&laptop, DRIVER, &dials(&created, 1)).await["connects"]["side"], "A");
}

#[tokio::test]
async fn each_outcome_is_the_answer_webhooks() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let created = create(&laptop, json!({"max_calls": 1})).await;
    let (to, back) = (dials(&created, 0), dials(&created, 1));
    for from in ["anonymous", "Restricted", "withheld"] {
        assert_eq!(outcome(&decision(&laptop, from, &to).await), "no caller id");
    }
    assert_eq!(outcome(&decision(&laptop, "alice", &to).await), "caller id not understood");
    for from in [RIDER, "+447700900001", "00447700900001", "07700 900001", "sip:+447700900001@203.0.113.5"] {
        for to in [to.clone(), format!("+{to}")] {
            assert_eq!(outcome(&decision(&laptop, from, &to).await), "routed", "{from}");
        }
    }
    let stranger = decision(&laptop, "447700900555", &to).await;
    assert_eq!((outcome(&stranger), &stranger["items"]), ("unknown caller", &json!([])));
    assert_eq!(outcome(&decision(&laptop, RIDER, "447451000222").await), "unknown caller");
    laptop.call(json!({"from": RIDER, "to": to, "talk_seconds": 5})).await;
    let reached = decision(&laptop, DRIVER, &back).await;
    assert_eq!((outcome(&reached), &reached["conversation"]), ("limit reached", &created["id"]));
    assert!(reached["items"][1]["limit_reached_at"].is_string(), "{reached}");

    let one_way = json!({"participants": [{"number": "+447700900011"}, {"number": "+447700900012"}],
                         "direction": "a_to_b", "notify": false});
    let one_way = laptop.post("/conversations", &one_way).await.body;
    let seen = text(&one_way, "/participants/0/masked_by");
    let back = decision(&laptop, "447700900012", seen).await;
    assert_eq!((outcome(&back), &back["items"][0]["kind"]), ("receives only", &json!("hold")));

    laptop.delete(&path(&created)).await;
    let ended = decision(&laptop, RIDER, &to).await;
    assert_eq!((outcome(&ended), &ended["items"][1]["kind"]), ("ended", &json!("conversation")));
    assert!(ended["items"][1]["ended_at"].is_string(), "{ended}");
    laptop.delete(&format!("{}?erase=true", path(&created))).await;
    let erased = decision(&laptop, RIDER, &to).await;
    assert_eq!((outcome(&erased), &erased["items"][0]["kind"]), ("ended", &json!("tombstone")));
    assert_eq!(erased["items"].as_array().unwrap().len(), 1);
    laptop.advance(86_400);
    assert_eq!(outcome(&decision(&laptop, RIDER, &to).await), "unknown caller");
}

#[tokio::test]
async fn lost_number_is_explained_as_replaced() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let created = create(&laptop, json!({})).await;
    let lost = dials(&created, 0);
    laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &lost)]).await;
    laptop.run_schedule().await;
    assert_eq!(outcome(&decision(&laptop, RIDER, &lost).await), "number replaced");
}

#[tokio::test]
async fn other_times_are_answered_as_far_as_they_are_known() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.advance(1);
    let first = create(&laptop, json!({"expires_in": 600, "quarantine": 7200})).await;
    let to = dials(&first, 0);
    let ask = async |seconds: i64| {
        let shown = decision_at(&laptop, RIDER, &to, &at(&laptop, seconds)).await;
        (outcome(&shown).to_owned(), shown["conversation"].clone(), shown["certain"] == true)
    };
    let id = &first["id"];
    let (routed, ended, nobody) = ("routed".to_owned(), "ended".to_owned(), "unknown caller".to_owned());
    assert_eq!(ask(500).await, (routed.clone(), id.clone(), false), "the future is not certain");
    assert_eq!(ask(601).await, (ended.clone(), id.clone(), false));
    assert_eq!(ask(600 + 7201).await, (nobody.clone(), Value::Null, false));
    laptop.advance(100);
    assert_eq!(ask(-50).await, (routed.clone(), id.clone(), true));
    laptop.delete(&path(&first)).await;
    laptop.advance(100);
    assert_eq!(ask(-150).await, (routed.clone(), id.clone(), true), "before its end");
    assert_eq!(ask(-100).await, (ended.clone(), id.clone(), false), "in the second of its end");
    assert_eq!(ask(-50).await, (ended.clone(), id.clone(), true));
    assert_eq!(ask(-5_000).await, ("not known".to_owned(), Value::Null, false), "before the first conversation");

    // The same two people get the same numbers again.
    let second = create(&laptop, json!({})).await;
    assert_eq!(dials(&second, 0), to);
    laptop.advance(100);
    assert_eq!(ask(-50).await, (routed.clone(), second["id"].clone(), true));
    assert_eq!(ask(-250).await, (routed.clone(), id.clone(), true), "by the history of the route");
    assert_eq!(ask(-150).await, (ended, id.clone(), false), "one that was erased may have been there");
    // A change of which no time is kept.
    let phone = json!({"participants": [null, {"number": "+447700900009"}]});
    assert_eq!(laptop.patch(&path(&second), &phone).await.status, 200);
    laptop.advance(10);
    assert_eq!(ask(-50).await, (routed, second["id"].clone(), false));
    laptop.delete(&format!("{}?erase=true", path(&second))).await;
    laptop.advance(10);
    assert_eq!(ask(-50).await, ("not known".to_owned(), Value::Null, false));
    let stranger = decision_at(&laptop, "447700900555", &to, &at(&laptop, -50)).await;
    assert_eq!((outcome(&stranger), &stranger["certain"]), ("unknown caller", &json!(false)));
    assert!(stranger["doubt"].is_string());
    let long_ago = decision_at(&laptop, "447700900555", &to, &at(&laptop, -31 * 86_400)).await;
    assert_eq!((outcome(&long_ago), &long_ago["hears"]), ("not known", &Value::Null));
}

#[tokio::test]
async fn item_that_cannot_be_read_leads_to_nobody_and_is_told() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, json!({})).await;
    let to = dials(&created, 0);
    let item = json!({"pk": {"S": format!("CALLER#{RIDER}")}, "sk": {"S": format!("NUMBER#{to}")}, "v": {"N": "99"}});
    let put = laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": item})).await;
    assert_eq!(put.status, 200, "{put:?}");
    let shown = decision(&laptop, RIDER, &to).await;
    assert_eq!((outcome(&shown), &shown["items"][0]["kind"]), ("unknown caller", &json!("unreadable")));
    assert!(text(&shown, "/rule").contains("cannot be read"), "{shown}");
    // The conversation's own item does not decide.
    let id = text(&created, "/id");
    let item = json!({"pk": {"S": format!("CONVERSATION#{id}")}, "sk": {"S": "CONVERSATION"}, "v": {"N": "99"}});
    laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": item})).await;
    let shown = decision(&laptop, DRIVER, &dials(&created, 1)).await;
    assert_eq!((outcome(&shown), shown["items"].as_array().unwrap().len()), ("routed", 1));
}

#[tokio::test]
async fn question_with_other_parameters_is_refused() {
    let laptop = Laptop::start().await;
    let good = format!("from={RIDER}&to=447451000001");
    assert_eq!(laptop.get(&format!("/decisions?{good}")).await.status, 200);
    for (query, field) in [
        (String::new(), json!("from")),
        (format!("from=&to={DRIVER}"), json!("from")),
        (format!("from={}&to={DRIVER}", "1".repeat(257)), json!("from")),
        (format!("from={RIDER}"), json!("to")),
        (format!("from={RIDER}&to=alice"), json!("to")),
        (format!("from={RIDER}&to=07451000001"), json!("to")),
        (format!("{good}&at=yesterday"), json!("at")),
        (format!("{good}&at="), json!("at")),
        (format!("{good}&from={RIDER}"), json!("from")),
        (format!("{good}&at=2026-01-01T00:00:00Z&at=2026-01-01T00:00:00Z"), json!("at")),
        (format!("{good}&number=1"), json!("number")),
    ] {
        let answer = laptop.get(&format!("/decisions?{query}")).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &field), "{query} {answer:?}");
        assert!(!answer.body.to_string().contains("7700900"), "{answer:?}");
    }
}

#[tokio::test]
async fn phone_with_two_spellings_is_explained_under_both() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("GB", 2)
        .start()
        .await;
    let (one, other) = ("+5491123456789", "+541123456789");
    let order = json!({"participants": [{"number": one}, {"number": format!("+{DRIVER}")}], "notify": false});
    let created = laptop.post("/conversations", &order).await.body;
    for from in [one, other] {
        assert_eq!(outcome(&decision(&laptop, from, &dials(&created, 0)).await), "routed", "{from}");
    }
}
