//! All that fails, with numbers in everything that comes back.

use axum::Router;
use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::laptop::{
    DRIVER, Laptop, NEW_PHONE, REAL, RIDER, answer, assert_nothing_was_logged, order, serve, with_table_at,
};

fn status(status: u16, body: Value) -> Value {
    json!({"kind": "status", "status": status, "body": body})
}

/// Everything that Vonage can answer, with a number in it where it could be.
fn faults() -> Vec<Value> {
    let number = number_of(RIDER);
    let quoted = format!("Invalid request :: Not valid number format detected [ {RIDER} ]");
    let kinds = ["not_json", "close_before", "close_after", "hang", "hang_after"].map(|kind| json!({"kind": kind}));
    let statuses = [400, 401, 402, 404, 420, 429, 500, 503].map(|code| status(code, json!({"detail": quoted})));
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
    ];
    let codes = [1, 3, 4, 5, 6, 7, 9, 15, 29, 99].into_iter().flat_map(|code| {
        let text = json!({"message-count": "1", "messages": [{"status": code.to_string(), "error-text": quoted}]});
        [json!({"status": code, "status_message": quoted}), text]
    });
    let bodies = bodies.into_iter().chain(codes).map(|body| status(200, body));
    kinds.into_iter().chain(statuses).chain(bodies).collect()
}

#[tokio::test]
async fn vonage_failing_in_every_way_tells_no_real_number() {
    // A number for each conversation that comes about: the same two hold those before it.
    let laptop = Laptop::start(&[("VONAGE_TIME_LIMIT_MS", "200")]).await.with_numbers(60).await;
    let id = laptop.create().await["id"].as_str().unwrap().to_owned();
    let new_phone = json!({"participants": [{"number": format!("+{NEW_PHONE}")}, null]}).to_string();
    let mut refused = 0;
    for fault in faults() {
        for path in ["/ni/basic/json", "/sms/json"] {
            laptop.fault(path, 4, &fault).await;
            let (status, answered) = laptop.send(Method::POST, "/conversations", order().to_string()).await;
            refused += u32::from(status >= 400);
            for participant in answered["participants"].as_array().into_iter().flatten() {
                // The number is its owner's to see, but not in what is told of a failure.
                let told = format!("{}{}", participant["notification"], participant["notification_reason"]);
                REAL.assert_untold("the fate of a text", &told);
            }
            laptop.simulator(Method::DELETE, "faults", Value::Null).await;
        }
        laptop.fault("/ni/basic/json", 2, &fault).await;
        laptop.send(Method::PATCH, &format!("/conversations/{id}"), new_phone.clone()).await;
        laptop.simulator(Method::DELETE, "faults", Value::Null).await;
    }
    assert!(refused > 10, "{refused}");
    laptop.assert_nothing_leaked().await;
}

#[tokio::test]
async fn a_number_that_cannot_be_bought_is_refused_without_a_word_of_whom_it_was_for() {
    let laptop = Laptop::start(&[("VONAGE_TIME_LIMIT_MS", "200"), ("AUTO_RENT_MAX", "GB=1")]).await;
    let refusal = status(420, json!({"error-code": "420", "error-code-label": format!("not for {RIDER}")}));
    for fault in
        [refusal, status(401, json!({"error-code": RIDER})), status(200, json!({"error-code": number_of(RIDER)}))]
    {
        laptop.fault("/number/buy", 1, &fault).await;
        let (status, answered) =
            laptop.send(Method::POST, "/numbers", json!({"country": "GB", "count": 1}).to_string()).await;
        REAL.assert_untold("a shortfall", &answered.to_string());
        assert!(status == 200 || status >= 500, "{fault} {answered}");
    }
    laptop.fault("/number/search", 1, &json!({"kind": "not_json"})).await;
    assert_eq!(laptop.send(Method::POST, "/conversations", order().to_string()).await.0, 503);
    laptop.assert_nothing_leaked().await;
}

fn number_of(digits: &str) -> u64 {
    digits.parse().unwrap()
}

/// A table whose every answer is `status` and quotes a key.
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
async fn a_table_that_fails_tells_no_real_number() {
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
            let (status, _) = laptop.signed(&format!("/webhooks/{path}"), &call).await;
            assert_ne!(status, 401);
        }
        let conversation = "/conversations/01M81PZXZPCX9PBRT5SWKY25Z7";
        for (method, path, body) in [
            (Method::POST, "/conversations", order()),
            (Method::PATCH, conversation, json!({"participants": [{"number": format!("+{NEW_PHONE}")}, null]})),
            (Method::GET, conversation, Value::Null),
            (Method::DELETE, conversation, Value::Null),
            (Method::GET, "/numbers", Value::Null),
            (Method::POST, "/numbers", json!({"country": "GB", "count": 2})),
            (Method::DELETE, "/numbers/447451000001", Value::Null),
        ] {
            laptop.send(method, path, body.to_string()).await;
        }
        laptop.stack.run_schedule().await.unwrap();
    }
    assert_nothing_was_logged();
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_not_quoted() {
    let laptop = Laptop::start(&[]).await.with_numbers(2).await;
    let conversation = laptop.create().await;
    let dialled = conversation["participants"][0]["dials"].as_str().unwrap();
    let items = laptop.dynamodb("Scan", json!({"TableName": "maskline"})).await["Items"].clone();
    let of_the_rider = |item: &&Value| item["pk"]["S"] == format!("CALLER#{RIDER}");
    let route = items.as_array().unwrap().iter().find(of_the_rider).unwrap();
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
        assert_eq!(laptop.signed("/webhooks/answer", &call).await.0, 503, "{name}");
        laptop.send(Method::POST, "/conversations", order().to_string()).await;
    }
    assert_nothing_was_logged();
}

#[tokio::test]
async fn a_number_in_the_wrong_place_of_a_request_is_not_told_again() {
    let laptop = Laptop::start(&[]).await.with_numbers(2).await;
    let number = number_of(RIDER);
    let with = |path: &str, value: Value| {
        let mut order = order();
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
    let paths = ["/conversations/01M81PZXZPCX9PBRT5SWKY25Z7", "/conversations", "/numbers"];
    for body in &bodies {
        for (method, path) in [Method::PATCH, Method::POST, Method::POST].into_iter().zip(paths) {
            let (status, answered) = laptop.send(method, path, body.clone()).await;
            assert!((400..500).contains(&status), "{path} {body} {answered}");
        }
    }
    for (method, path) in [
        (Method::GET, "/conversations/447700900147"),
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
        let (status, answered) = laptop.send(method, path, "").await;
        assert!((400..500).contains(&status), "{path} {answered}");
    }
    let with_key = |key: String, order: Value| {
        laptop.request(Method::POST, "/conversations").header("Idempotency-Key", key).body(order.to_string())
    };
    assert_eq!(answer(with_key(RIDER.to_owned(), order())).await.0, 201);
    assert_eq!(answer(with_key(RIDER.to_owned(), json!({"participants": order()["participants"]}))).await.0, 422);
    assert_eq!(answer(with_key(RIDER.repeat(30), order())).await.0, 422);
    // All two numbers that there are have been given to the rider already, in the conversations of the keys.
    assert_eq!(answer(with_key("another".to_owned(), order())).await.0, 201);
    assert_eq!(answer(with_key("a third".to_owned(), order())).await.0, 503);
    laptop.assert_nothing_leaked().await;
}
