//! The lookup of participants' numbers: which judge decides, what happens if the carrier gives no verdict, and how long a
//! verdict is remembered.

use std::sync::Arc;

use create_conversation::CreateConversation;
use local::stack::account;
use reqwest::Method;
use serde_json::{Value, json};
use shared::config::ConfigError;
use shared::edge::function::HttpFunction;
use testkit::{Answer, Builder, DRIVER, Laptop, RIDER, text};
use update_conversation::UpdateConversation;

const NUMBER_INSIGHT: &str = "/ni/basic/json";
const IDENTITY_INSIGHTS: &str = "/identity-insights/v1/requests";

/// The carrier's judges, each with its path.
const CARRIER: [(&str, &str); 2] = [("number-insight", NUMBER_INSIGHT), ("identity-insights", IDENTITY_INSIGHTS)];

/// The time for which a verdict is remembered, in seconds.
const REMEMBERED: i64 = 30 * 86_400;

fn builder(judge: &str, when_it_fails: &str) -> Builder {
    let variables = [
        ("NUMBER_LOOKUP", judge),
        ("WHEN_LOOKUP_FAILS", when_it_fails),
        ("VONAGE_TIME_LIMIT_MS", "300"),
        ("CALLABLE_COUNTRIES", "*"),
    ];
    Laptop::builder().env(&variables).numbers("GB", 2)
}

/// Returns a laptop that asks this judge, and accepts a number if it gives no verdict.
async fn accepting(judge: &str) -> Laptop {
    builder(judge, "accept").start().await
}

/// Returns the laptop's phone number `n`.
fn phone(n: usize) -> String {
    format!("+447700900{n:03}")
}

/// Returns the body of a `POST /conversations` that pairs these phones.
fn pair(a: &str, b: &str) -> Value {
    json!({"participants": [{"number": a}, {"number": b}], "notify": false})
}

async fn create(laptop: &Laptop, a: &str, b: &str) -> Answer {
    laptop.post("/conversations", &pair(a, b)).await
}

fn judges(answer: &Answer) -> [&str; 2] {
    assert!(answer.status < 300, "{answer:?}");
    [0, 1].map(|side| text(&answer.body["participants"][side], "/verified_by"))
}

fn status(status: u16) -> Value {
    json!({"kind": "status", "status": status})
}

fn body(body: Value) -> Value {
    json!({"kind": "status", "status": 200, "body": body})
}

/// Returns an answer of Identity Insights whose insight has this status.
fn insight(code: &str) -> Value {
    body(json!({"request_id": "r", "insights": {"format": {"status": {"code": code, "message": "…"}}}}))
}

/// Returns the answers by which the carrier gives no verdict, with the status of a creation that refuses the number then.
fn without_verdict(judge: &str) -> Vec<(Value, u16)> {
    let of_all = [
        (json!({"kind": "hang"}), 503),
        (json!({"kind": "close_before"}), 503),
        (json!({"kind": "not_json"}), 502),
        (status(301), 502),
        (status(308), 502),
        (status(402), 502),
        (status(404), 502),
        (status(410), 502),
        (status(429), 503),
        (status(500), 503),
        (status(503), 503),
    ];
    let of_one = if judge == "number-insight" {
        let other = json!({"status": 0, "international_format_number": "447700900999", "country_code": "GB"});
        vec![
            (body(json!({"status": 1, "status_message": "Throttled"})), 503),
            (body(json!({"status": 5, "status_message": "Internal error"})), 503),
            (body(json!({"status": 9, "status_message": "Partner quota exceeded"})), 502),
            (body(json!({"status": 0})), 502),
            (body(other), 502),
        ]
    } else {
        let other = json!({"number_international": "+447700900999", "country_code": "GB", "is_format_valid": true,
                           "status": {"code": "OK"}});
        vec![
            (insight("NOT_FOUND"), 502),
            (insight("NO_COVERAGE"), 502),
            (insight("UNSUPPORTED_NETWORK_TYPE"), 502),
            (insight("SUPPLIER_ERROR"), 503),
            (insight("INTERNAL_ERROR"), 503),
            (insight("A_NEW_CODE"), 502),
            (insight("OK"), 502),
            (body(json!({"insights": {"format": other}})), 502),
        ]
    };
    of_all.into_iter().chain(of_one).collect()
}

#[tokio::test]
async fn numbering_plan_judges_by_default_and_asks_nobody() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    assert_eq!(judges(&create(&laptop, "+44 7700 900001", "+44 7911 123456").await), ["numbering-plan"; 2]);
    let refused = create(&laptop, "+44 1111 111111", "+44 7700 900001").await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (422, "participants[0].number"));
    assert!(text(&refused.body, "/detail").contains("numbering plan"), "{refused:?}");
    for (_, path) in CARRIER {
        assert_eq!(laptop.asked(path).await, 0);
    }
}

#[tokio::test]
async fn answer_names_the_carriers_judge_of_each_participant() {
    for (judge, path) in CARRIER {
        let laptop = accepting(judge).await;
        let created = create(&laptop, "+44 7700 900001", "+1 201 555 0123").await;
        assert_eq!(created.status, 409, "no number of the US: {created:?}");
        let created = create(&laptop, "+44 7700 900001", "+44 7797 900001").await;
        assert_eq!(judges(&created), [judge; 2]);
        assert_eq!(created.body["participants"][1]["country"], "JE");
        let read = laptop.get(&format!("/conversations/{}", text(&created.body, "/id"))).await;
        assert_eq!(judges(&read), [judge; 2]);
        assert_eq!(laptop.asked(path).await, 4, "a refused creation remembers nothing");
    }
}

#[tokio::test]
async fn number_without_verdict_is_accepted_by_the_plan() {
    for (judge, path) in CARRIER {
        let laptop = accepting(judge).await;
        for (n, (fault, _)) in without_verdict(judge).into_iter().enumerate() {
            laptop.faults(path, 6, fault.clone()).await;
            let created = create(&laptop, &phone(2 * n), &phone(2 * n + 1)).await;
            assert_eq!((judges(&created), created.status), (["numbering-plan"; 2], 201), "{judge} {fault}");
            laptop.no_more_faults().await;
        }
        // Only a carrier's verdict is remembered.
        let before = laptop.asked(path).await;
        assert_eq!(judges(&create(&laptop, &phone(0), &phone(100)).await), [judge; 2]);
        assert_eq!(laptop.asked(path).await - before, 2);
    }
}

#[tokio::test]
async fn number_without_verdict_is_refused_if_so_configured() {
    for (judge, path) in CARRIER {
        let laptop = builder(judge, "refuse").start().await;
        for (fault, expected) in without_verdict(judge) {
            // The same happens at each attempt.
            laptop.faults(path, 6, fault.clone()).await;
            let refused = create(&laptop, &phone(1), &phone(2)).await;
            let problem = (refused.status, text(&refused.body, "/type"));
            assert_eq!(problem, (expected, "urn:maskline:problem:carrier-failed"), "{judge} {fault}");
            assert_eq!(refused.retry_after().is_some(), expected == 503, "{judge} {fault}");
            for secret in [RIDER, DRIVER, account::API_SECRET, "PRIVATE KEY", "127.0.0.1"] {
                assert!(!refused.body.to_string().contains(secret), "{judge} {fault} {refused:?}");
            }
            laptop.no_more_faults().await;
        }
        assert!(laptop.keys(RIDER).await.is_empty() && laptop.keys(DRIVER).await.is_empty());
    }
}

#[tokio::test]
async fn mistake_of_ours_is_an_error_whoever_decides() {
    for (judge, path) in CARRIER {
        let of_one = match judge {
            "number-insight" => vec![
                body(json!({"status": 4, "status_message": "Invalid credentials"})),
                body(json!({"status": 19, "status_message": "Facility not allowed"})),
            ],
            _ => vec![insight("UNAUTHORIZED"), insight("INVALID_PURPOSE"), status(422)],
        };
        let laptop = accepting(judge).await;
        for fault in [status(400), status(401), status(403), status(415)].into_iter().chain(of_one) {
            laptop.faults(path, 2, fault.clone()).await;
            let refused = create(&laptop, &phone(1), &phone(2)).await;
            let problem = (refused.status, text(&refused.body, "/type"));
            assert_eq!(problem, (502, "urn:maskline:problem:carrier-failed"), "{judge} {fault}");
            laptop.no_more_faults().await;
        }
        assert!(laptop.keys(RIDER).await.is_empty());
    }
}

#[tokio::test]
async fn number_that_neither_judge_holds_valid_is_not_accepted() {
    for (judge, path) in CARRIER {
        let laptop = accepting(judge).await;
        laptop.faults(path, 6, status(503)).await;
        let refused = create(&laptop, "+44 1111 111111", "+44 7700 900001").await;
        assert_eq!((refused.status, text(&refused.body, "/type")), (503, "urn:maskline:problem:carrier-failed"));
        laptop.no_more_faults().await;
        let refused = create(&laptop, "+44 1111 111111", "+44 7700 900001").await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "participants[0].number"));
        assert!(text(&refused.body, "/detail").contains("carrier"), "{refused:?}");
    }
}

#[tokio::test]
async fn verdict_of_carrier_counts_more_than_the_plan() {
    let invalid_parameter = json!({"title": "Bad Request", "detail": "…",
                                   "invalid_parameters": [{"name": "phone_number", "reason": "must be valid"}]});
    let invalid_format = json!({"is_format_valid": false, "status": {"code": "OK"}});
    for (judge, path, verdict) in [
        ("number-insight", NUMBER_INSIGHT, body(json!({"status": 3, "status_message": "Invalid request"}))),
        ("identity-insights", IDENTITY_INSIGHTS, insight("INVALID_NUMBER_FORMAT")),
        ("identity-insights", IDENTITY_INSIGHTS, body(json!({"insights": {"format": invalid_format}}))),
        ("identity-insights", IDENTITY_INSIGHTS, json!({"kind": "status", "status": 422, "body": invalid_parameter})),
    ] {
        let laptop = accepting(judge).await;
        laptop.faults(path, 2, verdict.clone()).await;
        let refused = create(&laptop, &phone(1), &phone(2)).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "participants[0].number"), "{verdict}");
    }
}

#[tokio::test]
async fn lookup_is_repeated_after_any_passing_failure() {
    for (judge, path) in CARRIER {
        let laptop = builder(judge, "refuse").env(&[("VONAGE_TIME_LIMIT_MS", "20000")]).start().await;
        let faults = [
            json!({"kind": "status", "status": 429, "retry_after": 0}),
            status(500),
            json!({"kind": "not_json"}),
            json!({"kind": "truncated"}),
            json!({"kind": "close_before"}),
            json!({"kind": "close_after"}),
        ];
        for (n, fault) in faults.into_iter().enumerate() {
            laptop.faults(path, 2, fault.clone()).await;
            let created = create(&laptop, &phone(2 * n), &phone(2 * n + 1)).await;
            assert_eq!(judges(&created), [judge; 2], "{fault}");
        }
    }
}

#[tokio::test]
async fn refusal_passes_on_retry_after_of_vonage() {
    let laptop = builder("number-insight", "refuse").start().await;
    laptop.faults(NUMBER_INSIGHT, 2, json!({"kind": "status", "status": 429, "retry_after": 30})).await;
    let refused = create(&laptop, &phone(1), &phone(2)).await;
    assert_eq!((refused.status, refused.retry_after()), (503, Some("30")), "{refused:?}");
    assert_eq!(laptop.asked(NUMBER_INSIGHT).await, 2);
}

#[tokio::test]
async fn phone_is_looked_up_once_in_30_days() {
    for (judge, path) in CARRIER {
        let laptop = accepting(judge).await;
        for _ in 0..2 {
            assert_eq!(judges(&create(&laptop, &phone(1), &phone(2)).await), [judge; 2]);
        }
        assert_eq!(laptop.asked(path).await, 2);
        laptop.advance(REMEMBERED - 1);
        assert_eq!(judges(&create(&laptop, &phone(1), &phone(2)).await), [judge; 2]);
        assert_eq!(laptop.asked(path).await, 2, "a second before the end");
        laptop.advance(1);
        assert_eq!(judges(&create(&laptop, &phone(1), &phone(2)).await), [judge; 2]);
        assert_eq!(laptop.asked(path).await, 4, "a verdict is not prolonged by its use");
    }
}

#[tokio::test]
async fn verdict_survives_its_carrier_and_has_its_country() {
    let laptop = accepting("number-insight").await;
    let created = create(&laptop, &phone(1), "+44 7797 900001").await;
    assert_eq!(created.body["participants"][1]["country"], "JE");
    laptop.faults(NUMBER_INSIGHT, 100, status(410)).await;
    let again = create(&laptop, "+44 7797 900001", &phone(3)).await;
    assert_eq!(judges(&again), ["number-insight", "numbering-plan"]);
    assert_eq!(again.body["participants"][0]["country"], "JE");
}

#[tokio::test]
async fn new_phone_is_judged_and_remembered_like_the_first_one() {
    for (judge, path) in CARRIER {
        let laptop = accepting(judge).await;
        let created = create(&laptop, &phone(1), &phone(2)).await;
        let its_path = format!("/conversations/{}", text(&created.body, "/id"));
        let change = async |n: usize| {
            let change = json!({"participants": [null, {"number": phone(n)}]});
            laptop.patch(&its_path, &change).await
        };
        assert_eq!((judges(&change(3).await), laptop.asked(path).await), ([judge; 2], 3));
        assert_eq!((judges(&change(2).await), laptop.asked(path).await), ([judge; 2], 3));
        assert_eq!((judges(&create(&laptop, &phone(3), &phone(1)).await), laptop.asked(path).await), ([judge; 2], 3));
        laptop.faults(path, 3, status(404)).await;
        assert_eq!(judges(&change(4).await), [judge, "numbering-plan"]);
    }
}

#[tokio::test]
async fn erased_conversation_leaves_no_verdict() {
    let laptop = accepting("number-insight").await;
    let created = create(&laptop, &phone(1), &phone(2)).await;
    laptop.delete(&format!("/conversations/{}?erase=true", text(&created.body, "/id"))).await;
    let items = laptop.items().await;
    assert!(items.iter().all(|item| item.get("looked_up").is_none()), "{items:?}");
}

#[tokio::test]
async fn key_that_is_not_the_applications_is_refused() {
    let laptop = accepting("identity-insights").await;
    let path = format!("/v2/applications/{}", account::APPLICATION_ID);
    let mut application = laptop.vonage_get(&path).await.body;
    application["keys"]["public_key"] = json!(ANOTHER_PUBLIC_KEY);
    let request = laptop.http.request(Method::PUT, format!("{}{path}", laptop.stack.vonage_url)).json(&application);
    let replaced = Answer::to(request.basic_auth(account::API_KEY, Some(account::API_SECRET))).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    let refused = create(&laptop, &phone(1), &phone(2)).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (502, "urn:maskline:problem:carrier-failed"));
    assert!(text(&refused.body, "/detail").contains("credentials"), "{refused:?}");
}

/// The public part of some other key.
const ANOTHER_PUBLIC_KEY: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2Wo1k6n9g0ixVVwATaDK\n\
uup+WKkhK02rVoDD5w6PFndwSqEi4nQvDSmT+dm62v/lW0SJOJd6WwcRCej/jwZ8\n\
QFilS3o5kXGdH/jYVw2QHnRdxQo4zBmY56a4pk6Bj9WdYTEfv1ZuVrruoxWyhf2+\n\
a9UT3H0y24rRCCLabJ4au7dX+BfzMfP3Ka8GzsO21u3n/FOTTrFxFHzB+BBBxfWL\n\
LLnKmXWoJbcpktQM3eiTKZ15jj9ZXvTVNtO31zE+Q9J531qT4Eza5U1jtVUdebuh\n\
Nbr9AZ/vvmc30MMV910YZspyKzrDiV9wzloT9lvq6cIQnmLUyEl384Vtfe1VIREu\n\
XQIDAQAB\n\
-----END PUBLIC KEY-----\n";

#[tokio::test]
async fn key_is_required_with_identity_insights_only() {
    let laptop = Laptop::start().await;
    let start = |judge: &str, key: &str| {
        let variables = [("NUMBER_LOOKUP", judge), ("VONAGE_PRIVATE_KEY", key)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = laptop.stack.environment.clone().with(variables);
        let clock = || Arc::new(laptop.clock.clone());
        let created = CreateConversation::start(&environment, clock()).map(drop);
        let updated = UpdateConversation::start(&environment, clock()).map(drop);
        [created, updated]
    };
    for judge in ["number-insight", "numbering-plan", ""] {
        assert!(start(judge, "").iter().all(Result::is_ok), "{judge}");
    }
    for started in start("identity-insights", "") {
        assert!(matches!(started, Err(ConfigError::Missing("VONAGE_PRIVATE_KEY"))), "{started:?}");
    }
    for started in start("identity-insights", "hush") {
        let error = started.unwrap_err().to_string();
        assert!(error.contains("VONAGE_PRIVATE_KEY") && error.contains("PEM") && !error.contains("hush"), "{error}");
    }
    assert!(start("identity-insights", account::PRIVATE_KEY).iter().all(Result::is_ok));
}
