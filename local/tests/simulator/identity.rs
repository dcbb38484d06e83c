//! The Identity Insights API.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::ManualClock;

use crate::support::{APPLICATION, KEY, SECRET, Vonage, answer, token};

const PATH: &str = "/identity-insights/v1/requests";
const START: i64 = 1_800_000_000;

async fn start() -> (Vonage, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_second(START).unwrap());
    (Vonage::start_at(Arc::new(clock.clone())).await, clock)
}

fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"application_id": APPLICATION, "iat": START, "exp": START + 900, "jti": "1"})
}

async fn ask(vonage: &Vonage, body: &Value) -> (u16, Value) {
    let request = vonage.client.post(format!("{}{PATH}", vonage.base)).bearer_auth(token(&header(), &claims()));
    answer(request.json(body)).await
}

async fn ask_with(vonage: &Vonage, token: &str) -> u16 {
    let body = json!({"phone_number": "447700900001", "insights": {"format": {}}});
    let request = vonage.client.post(format!("{}{PATH}", vonage.base)).bearer_auth(token).json(&body);
    answer(request).await.0
}

#[tokio::test]
async fn each_insight_has_a_status_of_its_own() {
    let (vonage, _) = start().await;
    let insights = json!({"format": {}, "original_carrier": {}, "current_carrier": {}, "sim_swap": {}});
    let (status, body) = ask(&vonage, &json!({"phone_number": "+44 7700-900001", "insights": insights})).await;
    assert_eq!((status, body["request_id"].as_str().unwrap().len()), (200, 36));
    let success = json!({"code": "OK", "message": "Success"});
    let format = json!({"country_code": "GB", "country_name": "United Kingdom", "country_prefix": "44",
        "number_international": "+447700900001", "number_national": "07700 900001", "is_format_valid": true,
        "status": success});
    assert_eq!(body["insights"]["format"], format);
    let carrier = json!({"name": "Simulated Telecom", "network_type": "MOBILE", "country_code": "GB",
        "network_code": "23410", "status": success});
    assert_eq!([&body["insights"]["original_carrier"], &body["insights"]["current_carrier"]], [&carrier; 2]);
    assert_eq!(body["insights"]["sim_swap"]["status"]["code"], "UNAUTHORIZED");
}

#[tokio::test]
async fn invalid_number_is_an_answer_and_no_error() {
    let (vonage, _) = start().await;
    for number in ["441111111111", "07700900001", "00447700900001", "1", "99999999999999999999999999"] {
        let body = json!({"phone_number": number, "insights": {"format": {}, "current_carrier": {}}});
        let (status, body) = ask(&vonage, &body).await;
        let format = &body["insights"]["format"];
        assert_eq!((status, &format["is_format_valid"]), (200, &json!(false)), "{number} {body}");
        for insight in [format, &body["insights"]["current_carrier"]] {
            assert_eq!(insight["status"]["code"], "INVALID_NUMBER_FORMAT", "{number}");
        }
    }
    // A number of a country without an entry.
    let (_, body) = ask(&vonage, &json!({"phone_number": "37612345678", "insights": {"current_carrier": {}}})).await;
    let (_, valid) = ask(&vonage, &json!({"phone_number": "376312345", "insights": {"current_carrier": {}}})).await;
    let code = |body: &Value| body["insights"]["current_carrier"]["status"]["code"].clone();
    assert_eq!((code(&body), code(&valid)), (json!("INVALID_NUMBER_FORMAT"), json!("NO_COVERAGE")));
}

#[tokio::test]
async fn request_errors_are_problems_in_vonages_words() {
    let (vonage, _) = start().await;
    for (body, parameter) in [
        (json!({"insights": {"format": {}}}), "phone_number"),
        (json!({"phone_number": 447_700_900_001_u64, "insights": {"format": {}}}), "phone_number"),
        (json!({"phone_number": "hello", "insights": {"format": {}}}), "phone_number"),
        (json!({"phone_number": "447700900001"}), "insights"),
        (json!({"phone_number": "447700900001", "insights": {}}), "insights"),
        (json!({"phone_number": "447700900001", "insights": {"format": true}}), "insights"),
    ] {
        let (status, problem) = ask(&vonage, &body).await;
        assert_eq!((status, &problem["title"]), (422, &json!("Bad Request")), "{body}");
        assert_eq!(problem["invalid_parameters"][0]["name"], parameter, "{body}");
    }
    let request = || vonage.client.post(format!("{}{PATH}", vonage.base)).bearer_auth(token(&header(), &claims()));
    let malformed = request().header("content-type", "application/json").body("{").send().await.unwrap();
    assert_eq!(malformed.status(), 400);
    assert_eq!(malformed.headers()["content-type"], "application/problem+json");
    let (status, problem) = answer(request().form(&[("phone_number", "447700900001")])).await;
    assert_eq!((status, &problem["title"]), (415, &json!("Unsupported Media Type")));
    let get = vonage.client.get(format!("{}{PATH}", vonage.base));
    assert_eq!(answer(get).await.0, 405);
}

#[tokio::test]
async fn token_must_be_the_applications_and_of_now() {
    let (vonage, clock) = start().await;
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        token(&header(), &claims)
    };
    let good = token(&header(), &claims());
    assert_eq!(ask_with(&vonage, &good).await, 200);
    assert_eq!(ask_with(&vonage, &good).await, 200, "a token may be used again");
    assert_eq!(ask_with(&vonage, &with("exp", Value::Null)).await, 200, "15 minutes are the default");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = with("jti", json!("2"));
    let (first, _) = other.rsplit_once('.').unwrap();
    for (what, token) in [
        ("another application", with("application_id", json!("another"))),
        ("no jti", with("jti", Value::Null)),
        ("no iat", with("iat", Value::Null)),
        ("from the future", with("iat", json!(START + 61))),
        ("too long", with("exp", json!(START + 24 * 3600 + 1))),
        ("too short", with("exp", json!(START + 29))),
        ("another algorithm", token(&json!({"alg": "HS256"}), &claims())),
        ("another's signature", format!("{first}.{signature}")),
        ("no signature", format!("{signed}.")),
        ("no token", "token".to_owned()),
    ] {
        assert_eq!(ask_with(&vonage, &token).await, 401, "{what}");
    }
    clock.advance(SignedDuration::from_secs(900));
    assert_eq!(ask_with(&vonage, &good).await, 401, "expired");
    let basic = vonage.client.post(format!("{}{PATH}", vonage.base)).basic_auth(KEY, Some(SECRET));
    let body = json!({"phone_number": "447700900001", "insights": {"format": {}}});
    let (status, problem) = answer(basic.json(&body)).await;
    let expected = json!("https://developer.vonage.com/api-errors#unauthorized");
    assert_eq!((status, &problem["type"]), (401, &expected));
}
