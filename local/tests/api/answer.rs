//! `/webhooks/answer`, and `/webhooks/fallback` when that fails.

use std::time::{Duration, Instant};

use local::simulator::HttpMethod;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

const NOBODY: &str = "Sorry, this number cannot connect you. Please call from the phone that you gave us. Goodbye.";
const HIDDEN: &str =
    "Sorry, your caller ID is hidden, so we cannot connect you. Please show it and call again. Goodbye.";
const UNCLEAR: &str = "Sorry, your network sent your caller ID in a form that we cannot read, so we cannot connect you. \
                       Goodbye.";

async fn ask(laptop: &Laptop, from: &str, to: &str) -> Answer {
    let body =
        json!({"from": from, "to": to, "uuid": "0779a56d002f1c7f47f82ef5fe84ab79", "conversation_uuid": "CON-1"});
    laptop.signed_post("/webhooks/answer", &body.to_string()).await
}

fn only_talks(ncco: &Value) -> &str {
    assert_eq!(ncco.as_array().unwrap().len(), 1, "{ncco}");
    assert_eq!(ncco[0]["action"], "talk");
    text(ncco, "/0/text")
}

#[tokio::test]
async fn each_side_is_connected_to_other_with_its_mask() {
    for method in [HttpMethod::Get, HttpMethod::Post] {
        let laptop = Laptop::builder().answer_method(method).numbers("GB", 2).start().await;
        let conversation = laptop.create().await;
        let dials = [0, 1].map(|side| conversation["participants"][side]["dials"].clone());
        for (from, dialled, reaches, shows) in
            [(RIDER, &dials[0], DRIVER, &dials[1]), (DRIVER, &dials[1], RIDER, &dials[0])]
        {
            let call = laptop.call(json!({"from": from, "to": dialled})).await;
            assert_eq!(call["ncco"][0]["action"], "talk");
            assert_eq!(
                call["ncco"][1],
                json!({"action": "connect", "from": shows, "timeout": 45, "limit": 7150,
                       "endpoint": [{"type": "phone", "number": reaches}]})
            );
            assert_eq!(call["phones"]["callee"]["display"], *shows);
            assert_eq!(call["phones"]["caller"]["connected"], true);
        }
    }
}

#[tokio::test]
async fn stranger_is_refused_with_message() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let dialled = text(&conversation, "/participants/0/dials");
    for stranger in [DRIVER, "447700900003", "+447700900003", "07700900003"] {
        let answer = ask(&laptop, stranger, dialled).await;
        assert_eq!((answer.status, answer.content_type()), (200, "application/json"), "{stranger}");
        assert_eq!(only_talks(&answer.body), NOBODY);
    }
    let not_rented = ask(&laptop, RIDER, "447451000200").await;
    assert_eq!(only_talks(&not_rented.body), NOBODY);
}

/// Asks by GET, with both values encoded.
async fn ask_by_get(laptop: &Laptop, from: &str, to: &str) -> Answer {
    let url = format!("{}/webhooks/answer", laptop.stack.gateway_url);
    let query = [("from", from), ("to", to), ("conversation_uuid", "CON-1")];
    Answer::to(laptop.http.get(url).query(&query).bearer_auth(laptop.signature(None))).await
}

#[tokio::test]
async fn caller_id_in_any_spelling_is_same_caller() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let dialled = text(&conversation, "/participants/0/dials");
    let dialled = [dialled.to_owned(), format!("+{dialled}"), format!("00{dialled}"), format!(" {dialled}")];
    for from in [
        RIDER,
        " 447700900001",
        "+447700900001",
        "00447700900001",
        "+44 7700 900 001",
        "+44 (0)7700 900001",
        "tel:+447700900001",
        "447700900001@203.0.113.5",
        "sip:+447700900001@203.0.113.5;user=phone",
        "07700900001",
        "07700 900001",
    ] {
        for to in &dialled {
            for answer in [ask(&laptop, from, to).await, ask_by_get(&laptop, from, to).await] {
                assert_eq!(answer.body[1]["endpoint"][0]["number"], DRIVER, "{from} {to} {answer:?}");
            }
        }
    }
    // A "+" that is not encoded arrives as a blank.
    let url = format!("{}/webhooks/answer?from=+{RIDER}&to=+{}", laptop.stack.gateway_url, dialled[0]);
    let answer = Answer::to(laptop.http.get(url).bearer_auth(laptop.signature(None))).await;
    assert_eq!(answer.body[1]["action"], "connect");
    let numeric = json!({"from": 447_700_900_001_u64, "to": dialled[0]}).to_string();
    assert_eq!(laptop.signed_post("/webhooks/answer", &numeric).await.body[1]["action"], "connect");
}

#[tokio::test]
async fn hidden_and_unclear_callers_hear_why() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let dialled = text(&conversation, "/participants/0/dials");
    for (heard, sent) in [
        (HIDDEN, ["", "anonymous", "Restricted", "Unknown", "UNAVAILABLE", "Private number", "null", "0"].as_slice()),
        (
            UNCLEAR,
            ["alice", "900001", "+999123456789", "tel:+447700900001;ext=1", "07700900001,07700900002"].as_slice(),
        ),
    ] {
        for from in sent {
            for answer in [ask(&laptop, from, dialled).await, ask_by_get(&laptop, from, dialled).await] {
                assert_eq!((answer.status, only_talks(&answer.body)), (200, heard), "{from}");
            }
        }
    }
    for (heard, body) in [
        (HIDDEN, json!({"to": dialled})),
        (HIDDEN, json!({"from": null, "to": dialled})),
        (UNCLEAR, json!({"from": [RIDER], "to": dialled})),
        (NOBODY, json!({"from": RIDER})),
        (NOBODY, json!({"from": RIDER, "to": "07451000001"})),
    ] {
        let answer = laptop.signed_post("/webhooks/answer", &body.to_string()).await;
        assert_eq!(only_talks(&answer.body), heard, "{body}");
    }
}

#[tokio::test]
async fn national_form_is_of_the_dialled_country_only() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "US"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("US", 2)
        .start()
        .await;
    let conversation = laptop.create().await;
    let dialled = text(&conversation, "/participants/0/dials");
    assert!(dialled.starts_with('1'), "{dialled}");
    for from in [RIDER, "+447700900001", "011447700900001"] {
        assert_eq!(ask(&laptop, from, dialled).await.body[1]["action"], "connect", "{from}");
    }
    // Not a national form of the US.
    assert_eq!(only_talks(&ask(&laptop, "07700900001", dialled).await.body), UNCLEAR);
}

#[tokio::test]
async fn phone_with_two_spellings_is_one_caller() {
    let laptop = Laptop::builder()
        .env(&[("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "*")])
        .numbers("GB", 4)
        .start()
        .await;
    for (given, dialled_as, spellings) in [
        ("+54 9 11 2345 6789", "5491123456789", ["5491123456789", "541123456789", "+541123456789"]),
        ("+54 11 2345 6788", "541123456788", ["5491123456788", "541123456788", "+5491123456788"]),
        ("+52 55 1234 5678", "525512345678", ["5215512345678", "525512345678", "+52 1 55 1234 5678"]),
    ] {
        let caller = json!({"number": given, "language": "en"});
        let order = json!({"participants": [caller, {"number": "+447700900002"}], "notify": false});
        let conversation = laptop.post("/conversations", &order).await.body;
        assert_eq!(conversation["participants"][0]["number"], dialled_as, "{conversation}");
        let [dials, others] = [0, 1].map(|side| text(&conversation["participants"][side], "/dials").to_owned());
        for from in spellings {
            let answer = ask(&laptop, from, &dials).await;
            assert_eq!(answer.body[1]["endpoint"][0]["number"], DRIVER, "{from} {answer:?}");
        }
        let back = ask(&laptop, DRIVER, &others).await;
        assert_eq!(back.body[1]["endpoint"][0]["number"], dialled_as, "dialled as it was given");
        laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await;
        for from in spellings {
            assert!(only_talks(&ask(&laptop, from, &dials).await.body).contains("has ended"), "{from}");
        }
    }
}

#[tokio::test]
async fn call_is_refused_after_end() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await;
    for (from, side) in [(RIDER, 0), (DRIVER, 1)] {
        let dialled = text(&conversation["participants"][side], "/dials");
        let answer = ask(&laptop, from, dialled).await;
        assert!(only_talks(&answer.body).contains("has ended"), "{answer:?}");
    }
}

#[tokio::test]
async fn conversation_expires_to_the_second() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = testkit::conversation();
    order["expires_in"] = json!(60);
    let conversation = laptop.post("/conversations", &order).await.body;
    let dialled = text(&conversation, "/participants/0/dials");
    laptop.advance(59);
    assert_eq!(ask(&laptop, RIDER, dialled).await.body[1]["action"], "connect");
    laptop.advance(1);
    assert!(only_talks(&ask(&laptop, RIDER, dialled).await.body).contains("has ended"));
    laptop.advance(86_400);
    assert_eq!(only_talks(&ask(&laptop, RIDER, dialled).await.body), NOBODY);
}

#[tokio::test]
async fn unsigned_answer_request_returns_no_number() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let dialled = text(&conversation, "/participants/0/dials");
    let url = format!("{}/webhooks/answer?from={RIDER}&to={dialled}", laptop.stack.gateway_url);
    let unsigned = Answer::to(laptop.http.get(&url)).await;
    assert_eq!(unsigned.status, 503, "Vonage sends it again, signed");
    let forged = Answer::to(laptop.http.get(&url).bearer_auth("eyJhbGciOiJub25lIn0.e30.")).await;
    assert_eq!(forged.status, 401);
    let body = json!({"from": RIDER, "to": dialled}).to_string();
    let other_body = laptop.signature(Some("{}"));
    let url = format!("{}/webhooks/answer", laptop.stack.gateway_url);
    let replaced = Answer::to(laptop.http.post(&url).bearer_auth(other_body).body(body)).await;
    assert_eq!(replaced.status, 401);
    for answer in [unsigned, forged, replaced] {
        assert_eq!(answer.content_type(), "application/problem+json");
        assert!(!answer.body.to_string().contains(DRIVER));
    }
    let signed =
        Answer::to(laptop.http.get(format!("{url}?from={RIDER}&to={dialled}")).bearer_auth(laptop.signature(None)))
            .await;
    assert_eq!(signed.body[1]["action"], "connect");
}

#[tokio::test]
async fn answer_returns_503_and_fallback_200_when_table_hangs() {
    let (_hangs, url) = testkit::listen().await;
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let dialled = text(&laptop.create().await, "/participants/0/dials").to_owned();
    // The same functions with a table that never answers.
    let usual = ("DYNAMODB_TIME_LIMIT_MS", "");
    let broken = Laptop::builder().env(&[("AWS_ENDPOINT_URL_DYNAMODB", &url), usual]).start().await;
    let started = Instant::now();
    let failed = ask(&broken, RIDER, &dialled).await;
    assert_eq!((failed.status, failed.retry_after()), (503, Some("1")));
    assert!(started.elapsed() < Duration::from_secs(5), "Vonage waits 5 s");

    let body = json!({"from": RIDER, "to": dialled, "reason": "Connection closed."}).to_string();
    let by_get = format!("{}/webhooks/fallback?from={RIDER}&to={dialled}", broken.stack.gateway_url);
    let by_get = Answer::to(broken.http.get(by_get).bearer_auth(broken.signature(None))).await;
    let signed = broken.signed_post("/webhooks/fallback", &body).await;
    let unsigned = broken.send(Method::POST, "/webhooks/fallback", body).await;
    let garbage = broken.send(Method::POST, "/webhooks/fallback", "\u{0}{\"from\": ").await;
    let wrong = broken.http.post(format!("{}/webhooks/fallback", broken.stack.gateway_url)).bearer_auth("a.b.c");
    for answer in [by_get, signed, unsigned, garbage, Answer::to(wrong).await] {
        assert_eq!((answer.status, answer.content_type()), (200, "application/json"));
        assert!(only_talks(&answer.body).contains("try again"));
    }
}

#[tokio::test]
async fn answer_returns_400_on_bad_json() {
    let laptop = Laptop::start().await;
    for body in ["", "x", "\"text\"", r#"["447700900001", "447451000001"]"#] {
        let answer = laptop.signed_post("/webhooks/answer", body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
}

#[tokio::test]
async fn webhooks_return_413_on_long_body() {
    let laptop = Laptop::start().await;
    for path in ["/webhooks/answer", "/webhooks/event"] {
        let of_length = |length: usize| json!({"padding": "x".repeat(length - 14)}).to_string();
        assert_eq!(of_length(64 * 1024).len(), 64 * 1024);
        assert!(laptop.signed_post(path, &of_length(64 * 1024)).await.status < 300, "{path}");
        let answer = laptop.signed_post(path, &of_length(64 * 1024 + 1)).await;
        assert_eq!((answer.status, answer.content_type()), (413, "application/problem+json"), "{path}");
    }
}
