//! Draining, the schedule, and both in `GET /numbers`.

use std::collections::BTreeSet;

use local::stack::account;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

const QUICK: [(&str, &str); 2] = [("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "100")];

async fn country(laptop: &Laptop, query: &str) -> Value {
    laptop.get(&format!("/numbers{query}")).await.body["countries"][0].clone()
}

async fn owned(laptop: &Laptop) -> Vec<String> {
    laptop.owned_numbers().await.iter().map(|number| text(number, "/msisdn").to_owned()).collect()
}

/// Buys a number in Vonage's dashboard, outside of the pool, and links it.
async fn buy(laptop: &Laptop, number: &str, link: bool) {
    let form = [("country", "GB"), ("msisdn", number), ("app_id", account::APPLICATION_ID)];
    assert_eq!(laptop.vonage_form("/number/buy", &form[..2]).await.status, 200);
    if link {
        assert_eq!(laptop.vonage_form("/number/update", &form).await.status, 200);
    }
}

#[tokio::test]
async fn drained_number_is_released_after_quarantine_of_last_route() {
    let laptop = Laptop::builder().env(&QUICK).numbers("GB", 1).start().await;
    let conversation = laptop.create().await;
    let drained = laptop.delete("/numbers/447451000001").await;
    assert_eq!((drained.status, text(&drained.body, "/state")), (200, "draining"));
    assert_eq!(laptop.delete("/numbers/+447451000001").await.body, drained.body, "again");
    let others = json!({"participants": [{"number": "+447700900003"}, {"number": "+447700900004"}]});
    assert_eq!(laptop.post("/conversations", &others).await.status, 409);

    laptop.advance(3600);
    let call = laptop.call(json!({"from": RIDER, "to": "447451000001"})).await;
    assert_eq!(call["phones"]["callee"]["number"], DRIVER, "its routes live out");
    assert_eq!(laptop.run_schedule().await["cancelled"], json!([]));
    laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await;
    laptop.advance(99);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!([]), "in quarantine");
    laptop.advance(10);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!(["447451000001"]));
    assert_eq!(owned(&laptop).await, [""; 0]);
    let left = country(&laptop, "").await;
    assert_eq!((&left["numbers"], text(&left, "/monthly_cost")), (&json!([]), "0.00"));
    assert_eq!(laptop.delete("/numbers/447451000001").await.status, 404);
}

#[tokio::test]
async fn release_waits_for_possible_creation() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    laptop.delete("/numbers/447451000001").await;
    laptop.advance(59);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!([]));
    laptop.advance(1);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!(["447451000001"]));
}

#[tokio::test]
async fn release_is_repeated_after_failure_or_lost_answer() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    for number in ["447451000001", "447451000002"] {
        laptop.delete(&format!("/numbers/{number}")).await;
    }
    laptop.advance(60);
    laptop.fault("/number/cancel", json!({"kind": "close_after"})).await;
    laptop
        .vonage(
            Method::POST,
            "/simulator/faults",
            json!({"path": "/number/cancel", "contains": "447451000002", "fault": {"kind": "status", "status": 500}}),
        )
        .await;
    let report = laptop.run_schedule().await;
    assert_eq!((&report["cancelled"], report["shortfall"].as_array().unwrap().len()), (&json!([]), 2));
    assert_eq!(owned(&laptop).await, ["447451000002"]);
    laptop.advance(61);
    // One release is refused because the number is gone, the other while it is still there.
    assert_eq!(laptop.run_schedule().await["cancelled"], json!(["447451000001", "447451000002"]));
    assert_eq!(owned(&laptop).await, [""; 0]);
}

#[tokio::test]
async fn drain_returns_404_or_409_unless_number_is_ready() {
    let laptop = Laptop::start().await;
    for path in ["/numbers/447451000001", "/numbers/x"] {
        assert_eq!(laptop.delete(path).await.status, 404);
    }
    laptop.fault("/number/update", json!({"kind": "status", "status": 500})).await;
    laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
    let busy = laptop.delete("/numbers/447451000001").await;
    assert_eq!((busy.status, text(&busy.body, "/type")), (409, "urn:maskline:problem:number-not-ready"));
    // A crashed run does not keep the number from draining.
    laptop.advance(61);
    assert_eq!(laptop.delete("/numbers/447451000001").await.body["state"], "draining");
    laptop.advance(61);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!(["447451000001"]));
}

#[tokio::test]
async fn schedule_adopts_linked_numbers_with_price_of_their_kind() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    buy(&laptop, "447451000007", true).await;
    buy(&laptop, "447451000008", false).await;
    assert_eq!(laptop.run_schedule().await["adopted"], json!(["447451000007"]));
    assert_eq!(laptop.run_schedule().await["adopted"], json!([]));
    let pool = country(&laptop, "").await;
    assert_eq!((&pool["ready"], text(&pool, "/monthly_cost")), (&json!(2), "2.50"));
    laptop.create().await;
    let others = json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900004"}], "notify": false});
    assert_eq!(laptop.post("/conversations", &others).await.status, 201, "it serves");
}

#[tokio::test]
async fn schedule_adopts_no_number_while_its_price_is_unknown() {
    let laptop = Laptop::start().await;
    buy(&laptop, "447451000007", true).await;
    laptop.faults("/number/search", 3, json!({"kind": "status", "status": 500})).await;
    let report = laptop.run_schedule().await;
    assert_eq!((&report["adopted"], text(&report, "/shortfall/0/reason")), (&json!([]), "carrier_unavailable"));
    // The number is linked already, so it is not updated: an update with its dead message webhook would fail.
    laptop.fault("/number/update", json!({"kind": "status", "status": 420})).await;
    assert_eq!(laptop.run_schedule().await["adopted"], json!(["447451000007"]));
}

#[tokio::test]
async fn schedule_does_not_adopt_released_number_still_on_list() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    laptop.delete("/numbers/447451000001").await;
    laptop.advance(60);
    laptop.run_schedule().await;
    buy(&laptop, "447451000001", true).await;
    assert_eq!(laptop.run_schedule().await["adopted"], json!([]));
    laptop.advance(86_400);
    assert_eq!(laptop.run_schedule().await["adopted"], json!(["447451000001"]));
}

/// Takes a number away from the account, as Vonage does when the balance is used up.
async fn take_away(laptop: &Laptop, number: &str) {
    take_away_in(laptop, "GB", number).await;
}

async fn take_away_in(laptop: &Laptop, country: &str, number: &str) {
    let taken = laptop.vonage_form("/number/cancel", &[("country", country), ("msisdn", number)]).await;
    assert_eq!(taken.status, 200);
}

#[tokio::test]
async fn lost_number_is_given_to_no_conversation() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    take_away(&laptop, "447451000001").await;
    assert_eq!(laptop.run_schedule().await["lost"], json!(["447451000001"]));
    assert_eq!(laptop.run_schedule().await["lost"], json!([]), "it was lost before");
    let pool = country(&laptop, "?concurrent=2").await;
    assert_eq!((&pool["ready"], &pool["lost"], text(&pool, "/monthly_cost")), (&json!(1), &json!(1), "1.25"));
    assert_eq!((&pool["headroom"], &pool["forecast"]["missing"]), (&json!(1), &json!(1)));
    assert!(pool["numbers"][0]["missing_since"].is_string() && pool["numbers"][1]["missing_since"].is_null(), "{pool}");
    let created = laptop.create().await;
    assert_eq!(created["participants"][0]["dials"], "447451000002");
    assert_eq!(created["participants"][1]["dials"], "447451000002");
}

#[tokio::test]
async fn lost_number_is_ready_again_when_vonage_lists_it_again() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    take_away(&laptop, "447451000001").await;
    laptop.run_schedule().await;
    // It came back without its link.
    buy(&laptop, "447451000001", false).await;
    let report = laptop.run_schedule().await;
    assert_eq!((&report["lost"], &report["found_again"]), (&json!([]), &json!(["447451000001"])));
    let pool = country(&laptop, "").await;
    assert_eq!((&pool["ready"], &pool["lost"], text(&pool, "/monthly_cost")), (&json!(2), &json!(0), "2.50"));
    assert!(pool["numbers"][0]["missing_since"].is_null());
    assert_eq!(laptop.get("/numbers").await.body["monthly_cost"], "2.50");
}

#[tokio::test]
async fn order_replaces_a_lost_number() {
    let laptop = Laptop::builder().numbers("GB", 2).env(&[("MONTHLY_BUDGET_EUR", "2.50")]).start().await;
    take_away(&laptop, "447451000001").await;
    laptop.run_schedule().await;
    let order = laptop.post("/numbers", &json!({"country": "GB", "count": 2})).await;
    assert_eq!((&order.body["ready"], &order.body["shortfall"]), (&json!(2), &json!([])), "{}", order.body);
    assert_eq!(laptop.get("/numbers").await.body["monthly_cost"], "2.50");
}

#[tokio::test]
async fn headroom_replaces_a_lost_number_up_to_the_cap() {
    let laptop =
        Laptop::builder().numbers("GB", 2).env(&[("HEADROOM", "GB=2"), ("AUTO_RENT_MAX", "GB=2")]).start().await;
    take_away(&laptop, "447451000001").await;
    let report = laptop.run_schedule().await;
    assert_eq!(
        (&report["lost"], report["rented"].as_array().unwrap().len()),
        (&json!(["447451000001"]), 1),
        "{report}"
    );
}

#[tokio::test]
async fn drained_lost_number_leaves_the_pool_and_the_rent_alone() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    take_away(&laptop, "447451000001").await;
    laptop.run_schedule().await;
    assert_eq!(laptop.delete("/numbers/447451000001").await.body["state"], "draining");
    laptop.advance(60);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!(["447451000001"]));
    assert_eq!(laptop.get("/numbers").await.body["monthly_cost"], "1.25");
}

#[tokio::test]
async fn lost_number_of_another_application_stays_lost() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    take_away(&laptop, "447451000001").await;
    laptop.run_schedule().await;
    list_as(&laptop, "447451000001", "11111111-2222-4333-8444-555555555555").await;
    assert_eq!(laptop.run_schedule().await["found_again"], json!([]));
    assert_eq!(country(&laptop, "").await["lost"], 1);
}

#[tokio::test]
async fn ready_number_linked_to_another_application_is_lost() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    list_as(&laptop, "447451000001", "11111111-2222-4333-8444-555555555555").await;
    assert_eq!(laptop.run_schedule().await["lost"], json!(["447451000001"]));
}

#[tokio::test]
async fn ready_number_without_its_link_is_linked_again() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    let unlinked = [("country", "GB"), ("msisdn", "447451000001")];
    assert_eq!(laptop.vonage_form("/number/update", &unlinked).await.status, 200);
    assert_eq!(laptop.run_schedule().await["linked_again"], json!(["447451000001"]));
    assert_eq!(laptop.run_schedule().await["linked_again"], json!([]));
}

/// Makes the next list of the account's numbers hold `number` alone, linked to `application`.
async fn list_as(laptop: &Laptop, number: &str, application: &str) {
    let listed = json!({"country": "GB", "msisdn": number, "type": "mobile-lvn", "features": ["VOICE", "SMS"],
                        "app_id": application});
    let body = json!({"count": 1, "numbers": [listed]});
    laptop.fault("/account/numbers", json!({"kind": "status", "status": 200, "body": body})).await;
}

#[tokio::test]
async fn number_is_not_lost_by_one_answer_without_it() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    laptop
        .fault("/account/numbers", json!({"kind": "status", "status": 200, "body": {"count": 0, "numbers": []}}))
        .await;
    assert_eq!(laptop.run_schedule().await["lost"], json!([]));
    assert_eq!(country(&laptop, "").await["ready"], 1);
}

#[tokio::test]
async fn failed_country_does_not_end_the_run_for_others() {
    let laptop = Laptop::builder().numbers("GB", 1).numbers("US", 1).env(&[("HEADROOM", "GB=2,US=2")]).start().await;
    let refusal = json!({"kind": "error", "code": "ValidationException"});
    let rule = json!({"operation": "Query", "contains": "POOL#GB", "times": 100, "fault": refusal});
    laptop.vonage(Method::POST, "/simulator/faults", rule).await;
    take_away_in(&laptop, "US", "12015550100").await;
    let report = laptop.run_schedule().await;
    assert_eq!((&report["lost"], report["rented"].as_array().unwrap().len()), (&json!(["12015550100"]), 3), "{report}");
    let reasons: BTreeSet<_> =
        report["shortfall"].as_array().unwrap().iter().map(|reason| text(reason, "/reason")).collect();
    assert_eq!(reasons, BTreeSet::from(["table_failed"]), "{report}");
}

#[tokio::test]
async fn truncated_list_makes_no_number_lost() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.fault("/account/numbers", json!({"kind": "status", "status": 200, "body": {}})).await;
    assert_eq!(laptop.run_schedule().await["lost"], json!([]));
}

#[tokio::test]
async fn schedule_keeps_headroom_above_peak_usage() {
    let laptop = Laptop::builder().env(&[("HEADROOM", "GB=2"), ("AUTO_RENT_MAX", "GB=4")]).start().await;
    assert_eq!(laptop.run_schedule().await["rented"].as_array().unwrap().len(), 2);
    assert_eq!(laptop.run_schedule().await["rented"], json!([]));
    laptop.create().await;
    assert_eq!(laptop.run_schedule().await["rented"].as_array().unwrap().len(), 1);
    let pool = country(&laptop, "").await;
    assert_eq!((&pool["high_water"], &pool["headroom"]), (&json!(1), &json!(2)));
    for _ in 0..2 {
        laptop.create().await;
    }
    let report = laptop.run_schedule().await;
    assert_eq!((report["rented"].as_array().unwrap().len(), text(&report, "/shortfall/0/reason")), (1, "at_cap"));
    assert_eq!(country(&laptop, "").await["headroom"], 1);
}

#[tokio::test]
async fn schedule_finishes_purchase_of_crashed_run() {
    let laptop = Laptop::start().await;
    laptop.fault("/number/update", json!({"kind": "status", "status": 500})).await;
    laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
    laptop.advance(61);
    assert_eq!(laptop.run_schedule().await["rented"], json!(["447451000001"]));
}

#[tokio::test]
async fn peak_usage_expires_after_a_week() {
    let laptop = Laptop::builder().env(&QUICK).numbers("GB", 3).start().await;
    for (a, b) in [(1, 2), (1, 3), (4, 5)] {
        let order = json!({"participants": [{"number": format!("+44770090000{a}")}, {"number": format!("+44770090000{b}")}],
                           "expires_in": 60, "notify": false});
        assert_eq!(laptop.post("/conversations", &order).await.status, 201);
    }
    assert_eq!(country(&laptop, "").await["high_water"], 2);
    laptop.advance(6 * 86_400);
    assert_eq!(country(&laptop, "").await["high_water"], 2);
    laptop.advance(3 * 86_400);
    assert_eq!(country(&laptop, "").await["high_water"], 0);
}

#[tokio::test]
async fn peak_usage_counts_long_routes_beyond_short_ones() {
    let laptop = Laptop::builder().env(&QUICK).numbers("GB", 3).start().await;
    let order = |days: i64| {
        json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900002"}],
               "expires_in": days * 86_400, "notify": false})
    };
    for days in [1, 60] {
        assert_eq!(laptop.post("/conversations", &order(days)).await.status, 201);
    }
    assert_eq!(country(&laptop, "").await["high_water"], 2);
    // A creation stores one mark. The next one of anybody stores what is left.
    let others = json!({"participants": [{"number": "+447700900003"}, {"number": "+447700900004"}], "expires_in": 60,
                        "notify": false});
    assert_eq!(laptop.post("/conversations", &others).await.status, 201);
    laptop.advance(20 * 86_400);
    assert_eq!(country(&laptop, "").await["high_water"], 1);
    // A conversation that is extended counts longer.
    let short = laptop.post("/conversations", &order(1)).await.body;
    let path = format!("/conversations/{}", text(&short, "/id"));
    assert_eq!(laptop.patch(&path, &json!({"expires_in": 60 * 86_400})).await.status, 200);
    laptop.advance(30 * 86_400);
    assert_eq!(country(&laptop, "").await["high_water"], 2);
}

#[tokio::test]
async fn forecast_returns_numbers_for_concurrent_conversations() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let forecast = country(&laptop, "?concurrent=25").await["forecast"].clone();
    assert_eq!(forecast, json!({"concurrent": 25, "needed": 25, "missing": 22}));
    assert_eq!(country(&laptop, "?concurrent=2").await["forecast"]["missing"], 0);
    assert!(country(&laptop, "").await["forecast"].is_null());
    for bad in ["0", "-1", "many", "100001"] {
        let refused = laptop.get(&format!("/numbers?concurrent={bad}")).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "concurrent"));
    }
}

#[tokio::test]
async fn schedule_does_other_work_while_vonage_fails() {
    let laptop = Laptop::builder().env(&[("HEADROOM", "GB=2")]).numbers("GB", 1).start().await;
    laptop.faults("/account/numbers", 3, json!({"kind": "status", "status": 500})).await;
    let report = laptop.run_schedule().await;
    assert_eq!(text(&report, "/shortfall/0/reason"), "carrier_unavailable");
    assert_eq!(report["rented"], json!(["447451000002"]));
}

#[tokio::test]
async fn rate_limited_request_is_sent_again() {
    let laptop = Laptop::builder().env(&[("VONAGE_NUMBERS_INTERVAL_MS", "1")]).start().await;
    for path in ["/number/search", "/number/buy", "/number/update"] {
        laptop.faults(path, 2, json!({"kind": "status", "status": 429})).await;
    }
    let done = laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await;
    assert_eq!((done.status, &done.body["ready"]), (200, &json!(1)), "{done:?}");
    assert_eq!(laptop.asked("/number/buy").await, 3);
}

/// The changes at an application that led to another URL.
const MOVED: [&str; 6] = ["improve_ai", "answer_url", "fallback_answer_url", "event_url", "inbound_url", "status_url"];

#[tokio::test]
async fn schedule_sets_webhooks_of_texts() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut by_hand = application(&laptop).await;
    by_hand["capabilities"]["messages"] = json!({"authenticate_inbound_media": true});
    by_hand["capabilities"]["rtc"] = json!({"webhooks": {}});
    let url = format!("{}/v2/applications/{}", laptop.stack.vonage_url, account::APPLICATION_ID);
    let request = laptop.http.put(url).basic_auth(account::API_KEY, Some(account::API_SECRET)).json(&by_hand);
    assert_eq!(Answer::to(request).await.status, 200);
    let report = laptop.run_schedule().await;
    assert_eq!(report["application"], json!(["improve_ai", "messages_version", "inbound_url", "status_url"]));
    let after = application(&laptop).await["capabilities"].clone();
    let webhook = |path: &str| json!({"address": format!("{}{path}", laptop.stack.gateway_url), "http_method": "POST"});
    let webhooks =
        json!({"inbound_url": webhook("/webhooks/message"), "status_url": webhook("/webhooks/message-status")});
    let expected = json!({"version": "v1", "authenticate_inbound_media": true, "webhooks": webhooks});
    assert_eq!((&after["messages"], &after["rtc"]), (&expected, &json!({"webhooks": {}})), "what is not ours stays");
    let conversation = laptop.create().await;
    let dials = conversation["participants"][0]["dials"].clone();
    laptop.text(json!({"from": RIDER, "to": dials, "text": "Hello"})).await;
    assert!(laptop.texts(DRIVER).await.iter().any(|text| text["text"] == "Hello"), "the text is passed on");
    assert_eq!(laptop.run_schedule().await["application"], json!([]));
}

/// Returns the application at the simulated Vonage.
async fn application(laptop: &Laptop) -> Value {
    laptop.vonage_get(&format!("/v2/applications/{}", account::APPLICATION_ID)).await.body
}

#[tokio::test]
async fn schedule_sets_webhooks_of_application() {
    let laptop = Laptop::builder().answer_method(local::simulator::HttpMethod::Get).numbers("GB", 2).start().await;
    let before = application(&laptop).await;
    assert_eq!(before["privacy"]["improve_ai"], true, "as Vonage makes it");
    let report = laptop.run_schedule().await;
    assert_eq!(report["application"], json!(["improve_ai", "answer_url", "fallback_answer_url"]));
    let after = application(&laptop).await;
    assert_eq!(after["privacy"]["improve_ai"], false);
    let webhooks = &after["capabilities"]["voice"]["webhooks"];
    for (name, path) in [("answer_url", "answer"), ("fallback_answer_url", "fallback"), ("event_url", "event")] {
        let address = format!("{}/webhooks/{path}", laptop.stack.gateway_url);
        let [is, was] = [&webhooks[name], &before["capabilities"]["voice"]["webhooks"][name]];
        assert_eq!((&is["address"], &is["http_method"]), (&json!(address), &json!("POST")));
        assert_eq!(is["socket_timeout"], was["socket_timeout"], "what is not ours stays");
    }
    let conversation = laptop.create().await;
    let call = laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"]})).await;
    assert_eq!(call["phones"]["callee"]["number"], DRIVER);
    assert_eq!(laptop.run_schedule().await["application"], json!([]), "nothing is written without need");
}

#[tokio::test]
async fn schedule_leaves_application_of_other_deployment() {
    let production = Laptop::start().await;
    let before = application(&production).await;
    let staging = |event: Value| {
        let (environment, clock) = (&production.stack.environment, shared::clock::system());
        async move { local::gateway::NumbersSchedule::new(environment, clock, event).unwrap().tick().await.unwrap() }
    };
    buy(&production, "447451000001", true).await;
    let mut event = json!({"source": "aws.events", "public_url": "http://127.0.0.1:1"});
    let report = staging(event.clone()).await;
    assert!(text(&report, "/application_problem").contains("another deployment"), "{report}");
    assert_eq!(report["adopted"], json!([]), "its numbers are not ours");
    assert_eq!(application(&production).await, before);
    let with_public_url = |public_url: &str, event: Value| {
        let environment = production.stack.environment.clone();
        let environment = environment.with([("PUBLIC_URL".to_owned(), public_url.to_owned())]);
        async move {
            let clock = shared::clock::system();
            local::gateway::NumbersSchedule::new(&environment, clock, event).unwrap().tick().await.unwrap()
        }
    };
    let report = with_public_url("https://calls.company.example", event.clone()).await;
    assert!(text(&report, "/application_problem").contains("PUBLIC_URL"), "neither URL leads there: {report}");
    assert_eq!(application(&production).await, before);
    event["take_over"] = json!(true);
    let report = staging(event).await;
    assert_eq!(report["adopted"], json!(["+447451000001"]));
    assert_eq!(report["application"], json!(MOVED));
    for nowhere in [json!(""), json!("example.com"), Value::Null] {
        let report = staging(json!({"source": "aws.events", "public_url": nowhere})).await;
        assert_eq!(report["application"], json!([]), "nothing is known of where this one is");
    }
}

#[tokio::test]
async fn schedule_sets_own_domain_and_knows_both_urls() {
    const OWN: &str = "https://calls.company.example";
    let laptop = Laptop::builder().env(&[("PUBLIC_URL", "https://calls.company.example/")]).start().await;
    // The application leads to API Gateway's own URL, which is this deployment too.
    let report = laptop.run_schedule().await;
    assert_eq!(report["application"], json!(MOVED));
    let webhooks = application(&laptop).await["capabilities"]["voice"]["webhooks"].clone();
    for (name, path) in [("answer_url", "answer"), ("fallback_answer_url", "fallback"), ("event_url", "event")] {
        assert_eq!(webhooks[name]["address"], format!("{OWN}/webhooks/{path}"));
    }
    buy(&laptop, "447451000001", true).await;
    let report = laptop.run_schedule().await;
    assert_eq!((&report["application"], &report["adopted"]), (&json!([]), &json!(["447451000001"])));
    assert_eq!(report["application_problem"], Value::Null);
}

/// A domain in front of API Gateway that `PUBLIC_URL` does not name looks like another deployment.
#[tokio::test]
async fn schedule_looks_after_numbers_of_foreign_application() {
    let laptop = Laptop::builder().env(&[("HEADROOM", "GB=2")]).numbers("GB", 1).start().await;
    laptop.run_schedule().await;
    let before = application(&laptop).await;
    let (environment, clock) = (&laptop.stack.environment, shared::clock::system());
    let event = json!({"source": "aws.events", "public_url": "http://127.0.0.1:1"});
    let schedule = local::gateway::NumbersSchedule::new(environment, clock, event).unwrap();
    laptop.delete("/numbers/447451000001").await;
    let report = schedule.tick().await.unwrap();
    assert!(text(&report, "/application_problem").contains("another deployment"), "{report}");
    assert_eq!(report["rented"].as_array().map(Vec::len), Some(1), "{report}");
    assert_eq!(application(&laptop).await, before);
}

#[tokio::test]
async fn unreadable_application_does_not_block_schedule() {
    let laptop = Laptop::start().await;
    buy(&laptop, "447451000001", true).await;
    let path = format!("/v2/applications/{}", account::APPLICATION_ID);
    laptop.faults(&path, 3, json!({"kind": "status", "status": 500})).await;
    let report = laptop.run_schedule().await;
    assert_eq!((&report["application"], &report["adopted"]), (&json!([]), &json!(["447451000001"])));
    assert!(text(&report, "/application_problem").contains("HTTP status 500"), "{report}");
    assert_eq!(laptop.run_schedule().await["application"], json!(["improve_ai"]));
}
