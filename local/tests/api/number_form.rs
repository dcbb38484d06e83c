//! The form of phone numbers in answers, requests and events: E.164 with `+`.

use serde_json::{Value, json};
use testkit::{Laptop, RIDER, conversation, text};

/// Sends a request, and returns the status and the body as the API wrote it.
async fn raw(laptop: &Laptop, path: &str) -> (u16, Value) {
    let response = laptop.http.get(format!("{}{path}", laptop.stack.gateway_url)).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

async fn create(laptop: &Laptop, order: &Value) -> Value {
    let url = format!("{}/conversations", laptop.stack.gateway_url);
    let response = laptop.http.post(url).json(order).send().await.unwrap();
    assert_eq!(response.status(), 201);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Fails if `value` has a text that is a phone number without `+`.
fn assert_has_plus(value: &Value) {
    match value {
        Value::String(text) => {
            let is_bare = (10..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            assert!(!is_bare, "{text} has no +");
        }
        Value::Array(values) => values.iter().for_each(assert_has_plus),
        Value::Object(members) => members.values().for_each(assert_has_plus),
        _ => {}
    }
}

#[tokio::test]
async fn answers_have_plus_and_are_taken_back_as_they_are() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = create(&laptop, &conversation()).await;
    let path = |body: &Value| format!("/conversations/{}", text(body, "/id"));
    let [phone, dials] = ["number", "dials"].map(|name| text(&created["participants"][0], &format!("/{name}")));
    assert_eq!((phone, dials.starts_with("+44")), (format!("+{RIDER}").as_str(), true));
    laptop.call(json!({"from": RIDER, "to": dials.trim_start_matches('+')})).await;
    for at in [
        path(&created),
        "/numbers".to_owned(),
        format!("/numbers/{dials}"),
        format!("/numbers/%2B{}", &dials[1..]),
        format!("/numbers/{}", &dials[1..]),
        format!("/conversations?number={phone}"),
        format!("/conversations?number=%2B{RIDER}"),
        format!("/decisions?from={phone}&to={dials}"),
        format!("/decisions?from=%2B{RIDER}&to=%2B{}", &dials[1..]),
    ] {
        let (status, body) = raw(&laptop, &at).await;
        assert_eq!(status, 200, "{at}: {body}");
        assert_has_plus(&body);
        assert!(body.to_string().contains("\"+44"), "{at}: {body}");
    }
    let people = created["participants"].as_array().unwrap().iter().map(|person| json!({"number": person["number"]}));
    let again = create(&laptop, &json!({"participants": people.collect::<Vec<_>>()})).await;
    assert_eq!(again["participants"][1]["number"], created["participants"][1]["number"]);
}

#[tokio::test]
async fn digits_without_plus_or_country_stay_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let body = json!({"participants": [{"number": RIDER}, {"number": "+447700900002"}]});
    assert_eq!(laptop.post("/conversations", &body).await.status, 422);
    for query in [format!("number={RIDER}"), format!("number=+{RIDER}&country=GB"), "number=+hello".to_owned()] {
        assert_eq!(raw(&laptop, &format!("/conversations?{query}")).await.0, 422, "{query}");
    }
}

#[tokio::test]
async fn events_name_numbers_with_plus() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    let form = [("country", "GB"), ("msisdn", "447451000001")];
    assert_eq!(laptop.vonage_form("/number/cancel", &form).await.status, 200);
    let report = laptop.stack.run_schedule().await.unwrap();
    assert_eq!(report["lost"], json!(["+447451000001"]));
    let events = laptop.stack.bus.events();
    let lost = events.iter().find(|event| event["detail-type"] == "Number lost").unwrap();
    assert_eq!(lost["detail"]["number"], "+447451000001");
}
