//! The choice of numbers for a conversation, refusals, and the quarantine of route keys.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

async fn pair(laptop: &Laptop, a: &str, b: &str) -> Value {
    let order = json!({"participants": [{"number": a}, {"number": b}], "expires_in": 60, "notify": false});
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn dials(conversation: &Value) -> [&str; 2] {
    [0, 1].map(|side| text(conversation, &format!("/participants/{side}/dials")))
}

#[tokio::test]
async fn create_is_refused_only_without_free_number() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    laptop.create().await;
    let order = |number: &str| json!({"participants": [{"number": "+447700900003"}, {"number": number}]});
    let refused = laptop.post("/conversations", &order("+447700900001")).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (409, "participants[1].number"));
    assert!(laptop.keys("447700900003").await.is_empty(), "the other one holds nothing");
    let others = laptop.post("/conversations", &order("+447700900004")).await;
    assert_eq!(others.status, 201, "the number serves everybody else");
}

#[tokio::test]
async fn refusal_returns_pool_state_and_time_of_next_free_number() {
    let laptop = Laptop::builder()
        .env(&[("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "1000")])
        .numbers("GB", 2)
        .start()
        .await;
    let first = pair(&laptop, "+447700900001", "+447700900002").await;
    pair(&laptop, "+447700900001", "+447700900003").await;
    laptop.advance(10);
    let ended = laptop.delete(&format!("/conversations/{}", text(&first, "/id"))).await.body;
    let mut with_another = conversation();
    with_another["participants"][1]["number"] = json!("+447700900004");
    let refused = laptop.post("/conversations", &with_another).await;
    let ended_at: jiff::Timestamp = text(&ended, "/ended_at").parse().unwrap();
    let next_free_at = ended_at + jiff::SignedDuration::from_secs(1000);
    assert_eq!((refused.status, refused.retry_after()), (409, None), "{refused:?}");
    assert_eq!(
        refused.body,
        json!({
            "type": "urn:maskline:problem:no-number-free", "title": "No virtual number is free for a participant",
            "status": 409, "field": "participants[0].number", "country": "GB", "countries": ["GB"], "ready": 2, "live": 1,
            "quarantined": 1, "next_free_at": next_free_at.to_string(),
            "detail": format!("GB has 2 ready numbers. This participant uses 1 in live conversations and 1 in \
                               quarantine. The next number becomes free at {next_free_at}."),
        })
    );
    // The time is right to the second.
    laptop.advance(999);
    assert_eq!(laptop.post("/conversations", &with_another).await.status, 409);
    laptop.advance(1);
    assert_eq!(laptop.post("/conversations", &with_another).await.status, 201);
}

#[tokio::test]
async fn refusal_reports_empty_pool() {
    let laptop = Laptop::start().await;
    let refused = laptop.post("/conversations", &conversation()).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:no-number-free"));
    assert!(text(&refused.body, "/detail").contains("GB has 0 ready numbers"));
    assert_eq!((refused.retry_after(), &refused.body["next_free_at"]), (None, &Value::Null));
}

#[tokio::test]
async fn number_of_same_calling_code_serves_country_without_any() {
    let builder = Laptop::builder().env(&[("CALLABLE_COUNTRIES", "*")]);
    let laptop = builder.numbers("GB", 1).numbers("US", 1).start().await;
    let canadian = "+14165550123";
    let [canada_dials, britain_dials] = dials(&pair(&laptop, canadian, "+447700900001").await).map(str::to_owned);
    assert_eq!((canada_dials.as_str(), britain_dials.as_str()), ("12015550100", "447451000001"));
    let french = json!({"participants": [{"number": "+33644630001"}, {"number": "+447700900003"}]});
    let refused = laptop.post("/conversations", &french).await;
    assert_eq!((refused.status, text(&refused.body, "/country")), (409, "FR"));
}

#[tokio::test]
async fn fallback_countries_serve_in_configured_order() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "US, GB"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("GB", 1)
        .numbers("US", 1)
        .start()
        .await;
    let given = dials(&pair(&laptop, "+33644630001", "+447700900001").await).map(str::to_owned);
    assert_eq!(given, ["12015550100", "447451000001"]);
    let next = dials(&pair(&laptop, "+33644630001", "+447700900002").await).map(str::to_owned);
    assert_eq!(next, ["447451000001", "447451000001"]);
}

#[tokio::test]
async fn create_reuses_numbers_of_same_pair() {
    let laptop = Laptop::builder()
        .env(&[("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "60")])
        .numbers("GB", 6)
        .start()
        .await;
    let first = pair(&laptop, "+447700900001", "+447700900002").await;
    laptop.advance(120);
    for other in ["+447700900003", "+447700900004"] {
        pair(&laptop, "+447700900001", other).await;
        pair(&laptop, other, "+447700900002").await;
        laptop.advance(120);
    }
    let more = laptop.post("/numbers", &json!({"country": "GB", "count": 12})).await;
    assert_eq!(more.status, 200);
    assert_eq!(dials(&pair(&laptop, "+447700900001", "+447700900002").await), dials(&first));
    laptop.advance(120);
    let other_way_round = pair(&laptop, "+447700900002", "+447700900001").await;
    assert_eq!(dials(&other_way_round), [dials(&first)[1], dials(&first)[0]]);
}

#[tokio::test]
async fn own_quarantine_keeps_late_caller_from_strangers() {
    let laptop = Laptop::builder().env(&[("MAX_CALL_SECONDS", "60")]).numbers("GB", 1).start().await;
    let mut order = conversation();
    order["quarantine"] = json!(100);
    order["expires_in"] = json!(60);
    assert_eq!(laptop.post("/conversations", &order).await.status, 201);
    laptop.advance(59);
    let dials = "447451000001";
    let call = async || laptop.call(json!({"from": RIDER, "to": dials})).await;
    assert_eq!(call().await["phones"]["callee"]["number"], DRIVER);
    // The quarantine ends to the second, without a write.
    laptop.advance(1);
    let late = call().await;
    assert!(
        late["phones"]["callee"].is_null() && late["phones"]["caller"]["heard"][0].to_string().contains("has ended")
    );
    let everybody_else = pair(&laptop, "+447700900007", "+447700900008").await;
    assert_eq!(everybody_else["participants"][0]["dials"], dials);
    laptop.advance(99);
    order["participants"][1]["number"] = json!("+447700900003");
    assert_eq!(laptop.post("/conversations", &order).await.status, 409);
    laptop.advance(1);
    assert_eq!(laptop.post("/conversations", &order).await.status, 201);
}
