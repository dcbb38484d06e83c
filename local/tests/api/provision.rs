//! `POST /numbers` and `GET /numbers`.

use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::VonageConfig;
use shared::domain::country::Country;
use shared::domain::tenant::Owner;
use shared::vonage::Vonage;
use shared::vonage::numbers::Search;
use testkit::{Laptop, text};

async fn order(laptop: &Laptop, country: &str, count: usize) -> Value {
    let answer = laptop.post("/numbers", &json!({"country": country, "count": count})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn numbers(added: &Value) -> Vec<&str> {
    added.as_array().unwrap().iter().map(|number| text(number, "/number")).collect()
}

/// Returns the numbers that the Vonage account owns, with the application of each.
async fn owned(laptop: &Laptop) -> Vec<(String, Value)> {
    let listed = laptop.owned_numbers().await;
    listed.iter().map(|number| (text(number, "/msisdn").to_owned(), number["app_id"].clone())).collect()
}

fn linked(numbers: &[&str]) -> Vec<(String, Value)> {
    numbers.iter().map(|number| ((*number).to_owned(), json!(local::stack::account::APPLICATION_ID))).collect()
}

#[tokio::test]
async fn order_rents_links_and_shows_numbers() {
    let laptop = Laptop::start().await;
    let done = order(&laptop, "GB", 2).await;
    assert_eq!(numbers(&done["added"]), ["447451000001", "447451000002"]);
    assert_eq!((&done["ready"], &done["monthly_cost"], &done["currency"]), (&json!(2), &json!("2.50"), &json!("EUR")));
    assert_eq!(done["shortfall"], json!([]));
    assert_eq!(owned(&laptop).await, linked(&["447451000001", "447451000002"]));

    order(&laptop, "US", 1).await;
    let pool = laptop.get("/numbers").await.body;
    let [gb, us]: [Value; 2] = pool["countries"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!((&gb["country"], &gb["ready"], &gb["monthly_cost"]), (&json!("GB"), &json!(2), &json!("2.50")));
    assert_eq!(us["numbers"][0]["state"], "ready");
    assert_eq!(us["numbers"][0]["features"], json!(["VOICE", "SMS", "MMS"]));
}

#[tokio::test]
async fn order_count_is_total_and_not_increase() {
    let laptop = Laptop::start().await;
    order(&laptop, "GB", 2).await;
    let again = order(&laptop, "GB", 2).await;
    assert_eq!((&again["added"], &again["ready"]), (&json!([]), &json!(2)));
    assert_eq!(laptop.asked("/number/buy").await, 2);
    assert_eq!(numbers(&order(&laptop, "GB", 3).await["added"]), ["447451000003"]);
    assert_eq!(order(&laptop, "GB", 1).await["ready"], 3);
}

#[tokio::test]
async fn order_selects_type_features_and_pattern() {
    let laptop = Laptop::start().await;
    let landline = json!({"country": "GB", "count": 1, "features": ["VOICE"], "type": "landline", "pattern": "0044"});
    let done = laptop.post("/numbers", &landline).await.body;
    assert_eq!(numbers(&done["added"]), ["442080000044"]);
}

#[tokio::test]
async fn order_skips_pages_of_restricted_numbers() {
    let laptop = Laptop::start().await;
    assert_eq!(numbers(&order(&laptop, "NL", 2).await["added"]), ["3197010200121", "3197010200122"]);
    let searches = laptop.asked("/number/search").await;
    assert_eq!(searches, 2, "two pages, once");
}

#[tokio::test]
async fn order_returns_each_shortfall_reason() {
    let laptop = Laptop::start().await;
    let none_left = order(&laptop, "IE", 5).await;
    assert_eq!(
        (none_left["added"].as_array().unwrap().len(), text(&none_left, "/shortfall/0/reason")),
        (3, "none_left")
    );

    let needs_address = order(&laptop, "DE", 1).await;
    assert_eq!(text(&needs_address, "/shortfall/0/reason"), "address_required");
    assert!(text(&needs_address, "/shortfall/0/detail").contains("local address"));

    laptop.vonage(Method::PUT, "/simulator/account", json!({"balance": "1.30"})).await;
    let low_balance = order(&laptop, "GB", 2).await;
    assert_eq!((low_balance["ready"].clone(), text(&low_balance, "/shortfall/0/reason")), (json!(1), "low_balance"));

    assert_eq!(text(&order(&laptop, "ZW", 1).await, "/shortfall/0/reason"), "none_left");
    let last_of_three = json!({"country": "IE", "count": 4, "pattern": "353861000003"});
    let other = Laptop::start().await;
    order(&other, "IE", 2).await;
    other.vonage(Method::PUT, "/simulator/account", json!({"balance": "0"})).await;
    let refused = other.post("/numbers", &last_of_three).await.body;
    assert_eq!(text(&refused, "/shortfall/0/reason"), "low_balance", "not none_left: {refused}");
    let states: Vec<Value> = laptop.get("/numbers").await.body["countries"].as_array().unwrap().clone();
    for country in states {
        assert_eq!(country["renting"], 0, "what was refused is not in the pool: {country}");
    }
}

#[tokio::test]
async fn order_skips_number_that_somebody_else_bought() {
    let laptop = Laptop::start().await;
    let taken = json!({"error-code": "420", "error-code-label": "method failed"});
    laptop.fault("/number/buy", json!({"kind": "status", "status": 420, "body": taken})).await;
    let done = order(&laptop, "GB", 1).await;
    assert_eq!((numbers(&done["added"]), &done["shortfall"]), (vec!["447451000002"], &json!([])));
}

#[tokio::test]
async fn purchase_is_checked_and_not_repeated_after_lost_answer() {
    let laptop = Laptop::builder().env(&[("VONAGE_TIME_LIMIT_MS", "300")]).start().await;
    for (country, kind) in [("GB", "close_after"), ("US", "hang_after")] {
        laptop.fault("/number/buy", json!({"kind": kind})).await;
        let done = order(&laptop, country, 2).await;
        assert_eq!((done["added"].as_array().unwrap().len(), &done["ready"]), (2, &json!(2)), "{done}");
    }
    assert_eq!((owned(&laptop).await.len(), laptop.asked("/number/buy").await), (4, 4));
}

#[tokio::test]
async fn later_run_finishes_purchase_of_unknown_outcome() {
    let laptop = Laptop::start().await;
    laptop.fault("/number/buy", json!({"kind": "close_after"})).await;
    laptop.faults("/account/numbers", 3, json!({"kind": "close_before"})).await;
    let first = laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
    assert_eq!(first.status, 503, "{first:?}");
    let started = laptop.get("/numbers").await.body;
    assert_eq!(started["countries"][0]["renting"], 1);

    let too_early = order(&laptop, "GB", 1).await;
    assert_eq!(
        (&too_early["ready"], &too_early["in_progress"]),
        (&json!(0), &json!(1)),
        "the first may still be at it"
    );
    // A later run with a clear failure does not make the pool forget the number either.
    for (fault, times) in [(401, 1), (429, 3)] {
        laptop.advance(61);
        laptop.faults("/account/numbers", times, json!({"kind": "status", "status": fault})).await;
        laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
        assert_eq!(laptop.get("/numbers").await.body["countries"][0]["renting"], 1);
    }
    laptop.advance(61);
    assert_eq!(order(&laptop, "GB", 1).await["ready"], 1);
    assert_eq!((owned(&laptop).await, laptop.asked("/number/buy").await), (linked(&["447451000001"]), 1));
}

#[tokio::test]
async fn later_run_links_bought_number() {
    let laptop = Laptop::start().await;
    laptop.fault("/number/update", json!({"kind": "status", "status": 500})).await;
    let first = laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
    assert_eq!(first.status, 503);
    assert_eq!(laptop.get("/numbers").await.body["countries"][0]["linking"], 1);
    laptop.advance(61);
    let second = order(&laptop, "GB", 1).await;
    assert_eq!(numbers(&second["added"]), ["447451000001"]);
    assert_eq!((owned(&laptop).await.len(), laptop.asked("/number/buy").await), (1, 1));
}

/// Starts a laptop whose account loses a number between purchase and linking.
async fn with_a_lost_number() -> Laptop {
    let laptop = Laptop::start().await;
    laptop.fault("/number/update", json!({"kind": "status", "status": 500})).await;
    laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
    let form = [("country", "GB"), ("msisdn", "447451000001")];
    let cancelled = laptop.vonage_form("/number/cancel", &form).await;
    assert_eq!(cancelled.status, 200);
    laptop.advance(61);
    laptop
}

#[tokio::test]
async fn later_run_rents_again_when_vonage_took_number_back() {
    let laptop = with_a_lost_number().await;
    let done = order(&laptop, "GB", 1).await;
    assert_eq!((numbers(&done["added"]), &done["shortfall"]), (vec!["447451000001"], &json!([])));
    assert_eq!(owned(&laptop).await, linked(&["447451000001"]));
}

#[tokio::test]
async fn later_run_gives_up_number_that_somebody_else_has() {
    let laptop = with_a_lost_number().await;
    let taken = json!({"error-code": "420", "error-code-label": "method failed"});
    laptop.fault("/number/buy", json!({"kind": "status", "status": 420, "body": taken})).await;
    let done = order(&laptop, "GB", 1).await;
    assert_eq!((&done["ready"], text(&done, "/shortfall/0/reason")), (&json!(1), "released"));
    assert_eq!(owned(&laptop).await.len(), 1);
}

#[tokio::test]
async fn pool_keeps_bought_number_missing_from_list() {
    let laptop = Laptop::start().await;
    let nothing = json!({"kind": "status", "status": 200, "body": {}});
    laptop.fault("/account/numbers", nothing.clone()).await;
    let first = order(&laptop, "GB", 1).await;
    assert_eq!((&first["in_progress"], text(&first, "/shortfall/0/reason")), (&json!(1), "unconfirmed"));
    laptop.advance(61);
    laptop.fault("/account/numbers", nothing).await;
    assert_eq!(order(&laptop, "GB", 1).await["ready"], 1);
    assert_eq!(owned(&laptop).await, linked(&["447451000001"]));
}

#[tokio::test]
async fn pool_keeps_possible_purchase_when_all_requests_fail() {
    for (fault, times) in [(json!({"kind": "status", "status": 401}), 1), (json!({"kind": "status", "status": 429}), 3)]
    {
        let laptop = Laptop::start().await;
        // The number is bought and not listed yet.
        laptop.fault("/account/numbers", json!({"kind": "status", "status": 200, "body": {}})).await;
        order(&laptop, "GB", 1).await;
        laptop.advance(61);
        laptop.fault("/account/numbers", json!({"kind": "status", "status": 200, "body": {}})).await;
        laptop.faults("/number/buy", times, fault).await;
        laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
        laptop.advance(61);
        assert_eq!(order(&laptop, "GB", 1).await["ready"], 1);
        assert_eq!(owned(&laptop).await, linked(&["447451000001"]));
    }
}

/// The answer 420 "method failed", by which Vonage refuses almost anything.
fn method_failed() -> Value {
    let body = json!({"error-code": "420", "error-code-label": "method failed"});
    json!({"kind": "status", "status": 420, "body": body})
}

#[tokio::test]
async fn refused_link_is_no_low_balance_and_is_tried_again() {
    let laptop = Laptop::start().await;
    // The purchase takes the last money.
    laptop.vonage(Method::PUT, "/simulator/account", json!({"balance": "1.25"})).await;
    laptop.faults("/number/update", 2, method_failed()).await;
    let first = order(&laptop, "GB", 1).await;
    assert_eq!((&first["in_progress"], text(&first, "/shortfall/0/reason")), (&json!(1), "refused"));
    laptop.advance(61);
    let again = order(&laptop, "GB", 1).await;
    assert_eq!((&again["in_progress"], text(&again, "/shortfall/0/reason")), (&json!(1), "refused"));
    laptop.advance(61);
    laptop.run_schedule().await;
    assert_eq!(laptop.settled_pool().await.len(), 1);
    assert_eq!((laptop.asked("/number/buy").await, laptop.asked("/account/get-balance").await), (1, 0));
}

#[tokio::test]
async fn refused_purchase_is_low_balance_only_if_balance_says_so() {
    for (balance, reads, reason) in [
        ("1.24", None, "low_balance"),
        ("1.25", None, "refused"),
        ("0", Some(json!({"kind": "status", "status": 500})), "refused"),
        ("0", Some(json!({"kind": "not_json"})), "refused"),
        ("9", Some(json!({"kind": "status", "status": 200, "body": {"value": "0.5"}})), "low_balance"),
        ("9", Some(json!({"kind": "status", "status": 200, "body": {"value": -3}})), "low_balance"),
    ] {
        let laptop = Laptop::start().await;
        laptop.vonage(Method::PUT, "/simulator/account", json!({"balance": balance})).await;
        laptop.faults("/number/buy", 3, method_failed()).await;
        if let Some(fault) = reads {
            laptop.faults("/account/get-balance", 9, fault).await;
        }
        let done = order(&laptop, "GB", 1).await;
        assert_eq!(text(&done, "/shortfall/0/reason"), reason, "{balance} {done}");
        assert_eq!(done["in_progress"], 0);
    }
}

#[tokio::test]
async fn refused_search_needs_no_address_and_no_money() {
    let laptop = Laptop::start().await;
    for label in ["valid local address", "low balance", "method failed"] {
        let body = json!({"error-code": "420", "error-code-label": label});
        laptop.fault("/number/search", json!({"kind": "status", "status": 420, "body": body})).await;
        assert_eq!(text(&order(&laptop, "GB", 1).await, "/shortfall/0/reason"), "refused", "{label}");
    }
}

#[tokio::test]
async fn order_stops_buying_when_linking_fails() {
    let laptop =
        Laptop::builder().env(&[("VONAGE_APPLICATION_ID", "99999999-0000-4000-8000-000000000009")]).start().await;
    let done = order(&laptop, "GB", 3).await;
    assert_eq!((&done["ready"], &done["in_progress"]), (&json!(0), &json!(1)));
    assert_eq!(text(&done, "/shortfall/0/number"), "447451000001");
    assert_eq!(laptop.asked("/number/buy").await, 1);
}

#[tokio::test]
async fn order_reports_progress_at_deadline() {
    use shared::service::provision::{Order, Provisioner, ShortfallReason};
    let laptop = Laptop::start().await;
    let (env, clock) = (&laptop.stack.environment, laptop.clock.clone());
    let vonage = Vonage::new(VonageConfig::from_environment(env).unwrap());
    let provisioner = Provisioner::new(env, laptop.store(), vonage, std::sync::Arc::new(clock)).unwrap();
    let order = Order {
        owner: Owner::Deployment,
        search: Search::usual(Country::try_from("GB").unwrap()),
        count: 1,
        cap: None,
    };
    let done = provisioner.provision(&order, Some(laptop.clock.now())).await.unwrap();
    assert_eq!(
        done.shortfalls.iter().map(|shortfall| shortfall.reason).collect::<Vec<_>>(),
        [ShortfallReason::OutOfTime]
    );
    assert_eq!(laptop.asked("/number/buy").await, 0);
}

#[tokio::test]
async fn concurrent_orders_rent_only_ordered_count() {
    let laptop = Laptop::start().await;
    let body = json!({"country": "GB", "count": 3});
    let run = || laptop.post("/numbers", &body);
    let answers = tokio::join!(run(), run(), run(), run());
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!((owned(&laptop).await.len(), laptop.asked("/number/buy").await), (3, 3));
    assert_eq!(order(&laptop, "GB", 3).await["ready"], 3);
}

#[tokio::test]
async fn linking_keeps_other_settings_of_number() {
    let laptop = Laptop::start().await;
    laptop.fault("/number/update", json!({"kind": "status", "status": 500})).await;
    laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
    let form = [
        ("country", "GB"),
        ("msisdn", "447451000001"),
        ("voiceCallbackType", "tel"),
        ("voiceCallbackValue", "447700900009"),
        ("messagesCallbackType", "app"),
        ("messagesCallbackValue", "x"),
    ];
    let set = laptop.vonage_form("/number/update", &form).await;
    assert_eq!(set.status, 200, "{set:?}");
    laptop.advance(61);
    order(&laptop, "GB", 1).await;
    let [record] = laptop.owned_numbers().await.try_into().unwrap();
    assert_eq!((&record["messagesCallbackType"], &record["messagesCallbackValue"]), (&json!("app"), &json!("x")));
    assert!(record["voiceCallbackType"].is_null(), "it would win over the application: {record}");
}

#[tokio::test]
async fn order_fails_when_vonage_fails_and_next_one_succeeds() {
    let unauthorized = json!({"error-code": "401", "error-code-label": "authentication failed"});
    for (fault, status) in [
        (json!({"kind": "status", "status": 401, "body": unauthorized}), 502),
        (json!({"kind": "status", "status": 200, "body": unauthorized}), 502),
        (json!({"kind": "status", "status": 429}), 503),
        (json!({"kind": "status", "status": 502}), 503),
        (json!({"kind": "not_json"}), 502),
        (json!({"kind": "hang"}), 503),
        (json!({"kind": "close_before"}), 503),
    ] {
        for path in ["/number/search", "/number/buy"] {
            if path == "/number/search" && fault["status"] == 200 {
                continue;
            }
            let laptop = Laptop::builder().env(&[("VONAGE_TIME_LIMIT_MS", "200")]).start().await;
            // These are repeated: a search after any failure, and a purchase after 429.
            laptop.faults(path, 3, fault.clone()).await;
            let answer = laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
            assert_eq!(
                (answer.status, text(&answer.body, "/type")),
                (status, "urn:maskline:problem:carrier-failed"),
                "{path} {fault} {answer:?}"
            );
            assert_eq!(owned(&laptop).await, [], "{path} {fault}");
            laptop.no_more_faults().await;
            laptop.advance(61);
            assert_eq!(order(&laptop, "GB", 1).await["ready"], 1, "{path} {fault}");
            assert_eq!(owned(&laptop).await.len(), 1, "{path} {fault}");
        }
    }
}

#[tokio::test]
async fn order_names_field_on_bad_body() {
    let laptop = Laptop::start().await;
    for (body, field) in [
        (json!({"count": 1}), "country"),
        (json!({"country": "gb", "count": 1}), "country"),
        (json!({"country": "GB", "count": 0}), "count"),
        (json!({"country": "GB", "count": 100_001}), "count"),
        (json!({"country": "GB", "count": "two"}), "count"),
        (json!({"country": "GB", "count": 1, "features": ["SMS"]}), "features"),
        (json!({"country": "GB", "count": 1, "features": ["FAX"]}), "features[0]"),
        (json!({"country": "GB", "count": 1, "type": "satellite"}), "type"),
        (json!({"country": "GB", "count": 1, "pattern": "+44"}), "pattern"),
        (json!({"country": "GB", "count": 1, "budget": 10}), "budget"),
        (json!({"country": "GB", "count": 1, "area_codes": []}), "area_codes"),
        (json!({"country": "GB", "count": 1, "area_codes": ["London"]}), "area_codes[0]"),
        (json!({"country": "GB", "count": 1, "area_codes": ["161", "0"]}), "area_codes[1]"),
        (json!({"country": "GB", "count": 1, "area_codes": ["20", "020"]}), "area_codes[1]"),
        (json!({"country": "GB", "count": 1, "area_codes": ["20"], "pattern": "007"}), "area_codes"),
        (json!({"country": "GB", "count": 1, "required": true}), "required"),
    ] {
        let answer = laptop.post("/numbers", &body).await;
        assert_eq!(
            (answer.status, answer.body["field"].as_str().unwrap_or_default()),
            (422, field),
            "{body} {answer:?}"
        );
    }
    assert_eq!(laptop.asked("/number/search").await, 0);
}
