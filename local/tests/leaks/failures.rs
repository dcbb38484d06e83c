//! Failures of every kind, with real numbers in every answer of Vonage and of the table.

use axum::Router;
use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Laptop, serve};

use crate::laptop::{
    DRIVER, NEW_PHONE, REAL, RIDER, STRANGER, assert_log_has_no_leak, assert_nothing_leaked, builder, conversation,
    create, log, signed, with_table_at,
};

fn status(status: u16, body: Value) -> Value {
    json!({"kind": "status", "status": status, "body": body})
}

/// Returns every kind of answer of Vonage, with a real number in it if possible.
fn faults() -> Vec<Value> {
    let number = number_of(RIDER);
    let quoted = format!("Invalid request :: Not valid number format detected [ {RIDER} ]");
    let kinds = ["not_json", "close_before", "close_after", "hang", "hang_after"].map(|kind| json!({"kind": kind}));
    let statuses = [301, 400, 401, 402, 403, 404, 410, 420, 422, 429, 500, 503]
        .map(|code| status(code, json!({"detail": quoted})));
    let bodies = [
        json!(number),
        json!(RIDER),
        json!([RIDER]),
        json!({"status": RIDER}),
        json!({"status": number}),
        json!({"status": 0, "country_code": RIDER, "international_format_number": number}),
        json!({"status": 0, "country_code": "GB", "international_format_number": format!("+{RIDER}")}),
        json!({"messages": RIDER}),
        json!({"messages": [{"status": number}]}),
        json!({"messages": [{"status": RIDER, "error-text": quoted}]}),
        json!({"error-code": "420", "error-code-label": "method failed"}),
        json!({"insights": {"format": RIDER}}),
        json!({"insights": {"format": {"status": {"code": RIDER, "message": quoted}}}}),
        json!({"insights": {"format": {"status": {"code": "OK"}, "number_international": format!("+{DRIVER}"),
                                       "country_code": RIDER}}}),
        json!({"insights": {"format": {"status": {"code": "OK"}, "number_international": format!("+{STRANGER}"),
                                       "country_code": "GB"}}}),
    ];
    let codes = [1, 3, 4, 5, 6, 7, 9, 15, 29, 99].into_iter().flat_map(|code| {
        let text = json!({"message-count": "1", "messages": [{"status": code.to_string(), "error-text": quoted}]});
        [json!({"status": code, "status_message": quoted}), text]
    });
    let bodies = bodies.into_iter().chain(codes).map(|body| status(200, body));
    kinds.into_iter().chain(statuses).chain(bodies).collect()
}

/// Meets every kind of answer in each lookup and in each text message.
async fn fail_in_every_way(judge: &str, lookup: &str) {
    let variables = [("NUMBER_LOOKUP", judge), ("WHEN_LOOKUP_FAILS", "refuse"), ("VONAGE_TIME_LIMIT_MS", "200")];
    let laptop = builder().env(&variables).numbers("GB", 4).start().await;
    let others = json!({"participants": [{"number": format!("+{STRANGER}")}, {"number": format!("+{}", testkit::RIDER)}],
                        "notify": false});
    let new_phone = json!({"participants": [{"number": format!("+{NEW_PHONE}")}, null]}).to_string();
    let mut refused = 0;
    for fault in faults() {
        // No verdict of the carrier holds any more, and all numbers are free.
        laptop.advance(31 * 86_400);
        for path in [lookup, "/sms/json"] {
            laptop.faults(path, 6, fault.clone()).await;
            let Answer { status, body: answered, .. } =
                laptop.send(Method::POST, "/conversations", conversation().to_string()).await;
            refused += u32::from(status >= 400);
            for participant in answered["participants"].as_array().into_iter().flatten() {
                // A participant's number is part of the answer, but not of the reason of a failure.
                let shown = format!("{}{}", participant["notification"], participant["notification_reason"]);
                REAL.assert_no_leak("the outcome of a text message", &shown);
            }
            laptop.no_more_faults().await;
        }
        let other = laptop.post("/conversations", &others).await;
        assert_eq!(other.status, 201, "{other:?}");
        laptop.faults(lookup, 3, fault.clone()).await;
        let path = format!("/conversations/{}", other.body["id"].as_str().unwrap());
        laptop.send(Method::PATCH, &path, new_phone.clone()).await;
        laptop.no_more_faults().await;
    }
    assert!(refused > 30, "{refused}");
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn no_failure_of_number_insight_or_texts_leaks_number() {
    fail_in_every_way("number-insight", "/ni/basic/json").await;
}

#[tokio::test]
async fn no_failure_of_identity_insights_leaks_number_or_key() {
    fail_in_every_way("identity-insights", "/identity-insights/v1/requests").await;
}

#[tokio::test]
async fn log_names_judges_and_why_the_carrier_was_none() {
    let laptop = builder().numbers("GB", 2).start().await;
    let path = "/identity-insights/v1/requests";
    let gone = json!({"path": path, "contains": DRIVER, "times": 9, "fault": status(410, json!({"detail": DRIVER}))});
    laptop.vonage(Method::POST, "/simulator/faults", gone).await;
    let id = create(&laptop).await["id"].as_str().unwrap().to_owned();
    let log = log();
    let answered = log.lines().find(|line| line.contains("request answered") && line.contains(&id)).unwrap();
    assert!(answered.contains(r#""verified_by":"identity-insights,numbering-plan""#), "{answered}");
    let undecided =
        log.lines().any(|line| line.contains("the number lookup gave no verdict") && line.contains("Gone (code 410)"));
    assert!(undecided, "{log}");
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn failed_purchase_leaks_no_number() {
    let laptop = builder().env(&[("VONAGE_TIME_LIMIT_MS", "200"), ("AUTO_RENT_MAX", "GB=1")]).start().await;
    laptop.faults("/number/search", 9, json!({"kind": "not_json"})).await;
    assert_eq!(laptop.send(Method::POST, "/conversations", conversation().to_string()).await.status, 503);
    laptop.stack.background_runs_finished().await;
    laptop.no_more_faults().await;
    let refusal = status(420, json!({"error-code": "420", "error-code-label": format!("not for {RIDER}")}));
    for fault in
        [refusal, status(401, json!({"error-code": RIDER})), status(200, json!({"error-code": number_of(RIDER)}))]
    {
        // Vonage refuses as many numbers as an order tries.
        laptop.faults("/number/buy", 3, fault.clone()).await;
        let Answer { status, body: answered, .. } =
            laptop.send(Method::POST, "/numbers", json!({"country": "GB", "count": 1}).to_string()).await;
        REAL.assert_no_leak("a shortfall", &answered.to_string());
        assert!(status == 200 || status >= 500, "{fault} {answered}");
        assert_ne!(answered["ready"], 1, "{fault} {answered}");
        laptop.no_more_faults().await;
    }
    assert_nothing_leaked(&laptop).await;
}

fn number_of(digits: &str) -> u64 {
    digits.parse().unwrap()
}

/// Starts a laptop whose table answers everything with `status` and quotes an item key.
async fn with_table_that_answers(status: StatusCode, kind: &'static str, whole: bool) -> Laptop {
    let message = format!("no item under CALLER#{RIDER}, NUMBER#447451000001");
    let body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": message,
                      "Item": {"connect_to": {"S": DRIVER}}})
    .to_string();
    let body = if whole { body } else { body[..body.len() - 9].to_owned() };
    let answer = move || {
        let body = body.clone();
        async move { (status, [("content-type", "application/x-amz-json-1.0")], body) }
    };
    with_table_at(&serve(Router::new().fallback(answer)).await).await
}

#[tokio::test]
async fn no_failure_of_table_leaks_number() {
    let refused = with_table_at("http://127.0.0.1:9").await;
    let mut laptops = vec![refused];
    for (status, kind, whole) in [
        (StatusCode::BAD_REQUEST, "ValidationException", true),
        (StatusCode::BAD_REQUEST, "ConditionalCheckFailedException", true),
        (StatusCode::BAD_REQUEST, "TransactionCanceledException", true),
        (StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException", true),
        (StatusCode::BAD_REQUEST, "AccessDeniedException", false),
        (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", true),
        (StatusCode::OK, "none", true),
        (StatusCode::OK, "none", false),
    ] {
        laptops.push(with_table_that_answers(status, kind, whole).await);
    }
    for laptop in &laptops {
        let call = json!({"from": RIDER, "to": "447451000001", "uuid": "u", "conversation_uuid": "CON-1",
                          "status": "answered", "direction": "inbound", "timestamp": jiff::Timestamp::now().to_string()});
        for path in ["answer", "event"] {
            assert_ne!(signed(laptop, &format!("/webhooks/{path}"), &call).await.status, 401);
        }
        let its_path = "/conversations/01M81PZXZPCX9PBRT5SWKY25Z7";
        for (method, path, body) in [
            (Method::POST, "/conversations", conversation()),
            (Method::PATCH, its_path, json!({"participants": [{"number": format!("+{NEW_PHONE}")}, null]})),
            (Method::GET, its_path, Value::Null),
            (Method::DELETE, its_path, Value::Null),
            (Method::GET, "/conversations?number=%2B447700900147&cursor=01M81PZXZPCX9PBRT5SWKY25Z7", Value::Null),
            (Method::GET, "/decisions?from=%2B447700900147&to=447451000001", Value::Null),
            (Method::POST, "/erasures", json!({"number": format!("+{RIDER}")})),
            (Method::GET, "/erasures/01M81PZXZPCX9PBRT5SWKY25Z7", Value::Null),
            (Method::GET, "/numbers", Value::Null),
            (Method::POST, "/numbers", json!({"country": "GB", "count": 2})),
            (Method::DELETE, "/numbers/447451000001", Value::Null),
        ] {
            laptop.send(method, path, body.to_string()).await;
        }
        laptop.run_schedule().await;
        laptop.stack.run_erasure_schedule().await.unwrap();
    }
    assert_log_has_no_leak();
}

#[tokio::test]
async fn malformed_item_is_not_quoted() {
    let laptop = builder().numbers("GB", 2).start().await;
    let created = create(&laptop).await;
    let dialled = created["participants"][0]["dials"].as_str().unwrap();
    let items = laptop.items().await;
    let of_the_rider = |item: &&Value| item["pk"]["S"] == format!("CALLER#{RIDER}");
    let route = items.iter().find(of_the_rider).unwrap();
    for (name, value) in [
        ("connect_to", json!({"N": DRIVER})),
        ("connect_to", json!({"S": format!("+{DRIVER}")})),
        ("connect_to", json!({"L": [{"S": DRIVER}]})),
        ("side", json!({"S": DRIVER})),
        ("conversation", json!({"S": DRIVER})),
        ("since", json!({"S": DRIVER})),
        ("phone", json!({"S": DRIVER})),
    ] {
        let mut broken = route.clone();
        broken[name] = value;
        laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": broken})).await;
        let call = json!({"from": RIDER, "to": dialled, "uuid": "u", "conversation_uuid": "CON-1"});
        // The caller hears the same as somebody without a conversation.
        assert_eq!(signed(&laptop, "/webhooks/answer", &call).await.status, 200, "{name}");
        laptop.send(Method::POST, "/conversations", conversation().to_string()).await;
    }
    // Each conversation of the rider's list is damaged, and is no part of the answer.
    for item in laptop.items().await {
        if item["sk"]["S"] == "CONVERSATION" {
            let mut broken = item.clone();
            broken["participants"]["L"][0]["M"]["number"] = json!({"S": format!("+{DRIVER}")});
            laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": broken})).await;
        }
    }
    let listed = laptop.get(&format!("/conversations?number=%2B{RIDER}")).await;
    assert_eq!((listed.status, &listed.body["conversations"]), (200, &json!([])));
    let erasure = laptop.post("/erasures", &json!({"number": format!("+{RIDER}")})).await;
    assert_eq!((erasure.status, erasure.body["state"].as_str()), (202, Some("running")), "{erasure:?}");
    laptop.stack.run_erasure_schedule().await.unwrap();
    let is_counted =
        |line: &str| line.contains(r#""unreadable_items":1"#) && line.contains("a route in the table cannot be read");
    assert!(log().lines().any(is_counted), "it is counted in a metric");
    assert_log_has_no_leak();
}

#[tokio::test]
async fn number_in_wrong_field_of_request_is_not_repeated() {
    let laptop = builder().numbers("GB", 2).start().await;
    let number = number_of(RIDER);
    let with = |path: &str, value: Value| {
        let mut order = conversation();
        match path.rsplit_once('/') {
            Some((parent, name)) => order.pointer_mut(parent).unwrap()[name] = value,
            None => order[path] = value,
        }
        order.to_string()
    };
    let mut bodies =
        vec![RIDER.to_owned(), format!("\"+{RIDER}\""), format!("[\"{RIDER}\"]"), format!("{{\"{RIDER}\": 1")];
    for path in ["participants", "expires_in", "quarantine", "notify", RIDER, "+44 7700 900147", "44-7700-900147"] {
        bodies.extend(
            [json!(number), json!(RIDER), json!({RIDER: RIDER}), json!([RIDER])].map(|value| with(path, value)),
        );
    }
    for name in ["number", "country", "label", RIDER, "+44 7700 900147"] {
        let path = format!("/participants/0/{name}");
        bodies.extend([json!(number), json!({RIDER: RIDER}), json!([RIDER])].map(|value| with(&path, value)));
    }
    for written in
        ["+44 7700 900147 900258", "07700 900147", "+1 7700 900147", "tel:+447700900147;ext=1", "447700900147x"]
    {
        bodies.push(with("/participants/0/number", json!(written)));
    }
    bodies.push(with("/participants/1/number", json!(format!("+{RIDER}"))));
    bodies.push(with("/participants/0/country", json!("FR")));
    bodies.push(json!({"number": RIDER, "country": "FR"}).to_string());
    bodies.push(json!({"number": "07700 900147"}).to_string());
    let paths = ["/conversations/01M81PZXZPCX9PBRT5SWKY25Z7", "/conversations", "/numbers", "/erasures"];
    for body in &bodies {
        for (method, path) in [Method::PATCH, Method::POST, Method::POST, Method::POST].into_iter().zip(paths) {
            let Answer { status, body: answered, .. } = laptop.send(method, path, body.clone()).await;
            assert!((400..500).contains(&status), "{path} {body} {answered}");
        }
    }
    for (method, path) in [
        (Method::GET, "/conversations/447700900147"),
        (Method::GET, "/conversations/01M81PZXZPCX9PBRT5SWKY25Z7?447700900147=1"),
        (Method::GET, "/conversations/01M81PZXZPCX9PBRT5SWKY25Z7?calls_limit=447700900147"),
        (Method::GET, "/conversations?number=447700900147"),
        (Method::GET, "/conversations?number=+447700900147&country=GB"),
        (Method::GET, "/conversations?number=%2B447700900147&country=FR"),
        (Method::GET, "/conversations?number=%2B447700900147&limit=447700900147"),
        (Method::GET, "/conversations?number=%2B447700900147&cursor=447700900147"),
        (Method::GET, "/conversations?number=%2B447700900147&447700900147=%2B447700900147"),
        (Method::GET, "/conversations?masked_by=447700900147"),
        (Method::GET, "/conversations?reference=%22447700900147"),
        (Method::GET, "/conversations?created_from=447700900147"),
        (Method::GET, "/decisions?from=447700900147"),
        (Method::GET, "/decisions?from=+447700900147&to=+0447700900147"),
        (Method::GET, "/decisions?from=447700900147&to=0447700900147"),
        (Method::GET, "/decisions?from=447700900147&to=447451000001&at=447700900147"),
        (Method::GET, "/decisions?from=447700900147&to=447451000001&447700900147=1"),
        (Method::GET, "/erasures/447700900147"),
        (Method::POST, "/erasures?number=%2B447700900147"),
        (Method::PATCH, "/conversations/+44%207700%20900147"),
        (Method::DELETE, "/conversations/%2B447700900147?number=447700900147"),
        (Method::DELETE, "/numbers/447700900147"),
        (Method::DELETE, "/numbers/+447700900147"),
        (Method::DELETE, "/numbers/07700%20900147"),
        (Method::GET, "/numbers?concurrent=447700900147"),
        (Method::GET, "/447700900147"),
        (Method::PUT, "/numbers/447700900147"),
        (Method::POST, "/conversations?number=447700900147"),
    ] {
        let Answer { status, body: answered, .. } = laptop.send(method, path, "").await;
        assert!((400..500).contains(&status), "{path} {answered}");
    }
    let shorter = json!({"participants": conversation()["participants"]});
    assert_eq!(laptop.post_with_key(RIDER, &conversation()).await.status, 201);
    assert_eq!(laptop.post_with_key(RIDER, &shorter).await.status, 422);
    assert_eq!(laptop.post_with_key(&RIDER.repeat(30), &conversation()).await.status, 422);
    // Both numbers are in use by the rider, in the conversations of the keys.
    assert_eq!(laptop.post_with_key("another", &conversation()).await.status, 201);
    assert_eq!(laptop.post_with_key("a third", &conversation()).await.status, 409);
    assert_nothing_leaked(&laptop).await;
}
