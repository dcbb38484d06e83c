//! `POST /setup`.

use futures_util::future::join_all;
use local::stack::account::{API_KEY, API_SECRET, APPLICATION_ID, PRIVATE_KEY, PUBLIC_KEY};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

async fn vonage(laptop: &Laptop, method: Method, path: &str, body: &Value) -> Answer {
    let request = laptop.http.request(method, format!("{}/v2/applications{path}", laptop.stack.vonage_url)).json(body);
    Answer::to(request.basic_auth(API_KEY, Some(API_SECRET))).await
}

/// Returns the application with this ID.
async fn application(laptop: &Laptop, id: &str) -> Value {
    vonage(laptop, Method::GET, &format!("/{id}"), &Value::Null).await.body
}

/// Returns the applications of the account.
async fn applications(laptop: &Laptop) -> Vec<Value> {
    let listed = vonage(laptop, Method::GET, "?page_size=100", &Value::Null).await;
    listed.body["_embedded"]["applications"].as_array().unwrap().clone()
}

/// Starts a stack whose account has no application.
async fn without_application() -> Laptop {
    let laptop = Laptop::start().await;
    let deleted = vonage(&laptop, Method::DELETE, &format!("/{APPLICATION_ID}"), &Value::Null).await;
    assert_eq!(deleted.status, 204);
    laptop
}

fn names(done: &Answer) -> Vec<&str> {
    done.body["changes"].as_array().unwrap().iter().map(|change| text(change, "/what")).collect()
}

#[tokio::test]
async fn set_up_shows_changes_then_makes_them_once() {
    let laptop = Laptop::builder().env(&[("VONAGE_REGION", "eu-west")]).numbers("GB", 2).start().await;
    let mut by_hand = application(&laptop, APPLICATION_ID).await;
    by_hand["capabilities"]["voice"]["webhooks"]["answer_url"]["socket_timeout"] = json!(1000);
    by_hand["capabilities"]["voice"]["signed_callbacks"] = json!(false);
    by_hand["capabilities"].as_object_mut().unwrap().remove("messages");
    by_hand["capabilities"]["rtc"] = json!({"webhooks": {}});
    let path = format!("/{APPLICATION_ID}");
    assert_eq!(vonage(&laptop, Method::PUT, &path, &by_hand).await.status, 200);
    let before = application(&laptop, APPLICATION_ID).await;
    let planned = laptop.post("/setup", &json!({"dry_run": true})).await;
    assert_eq!((planned.status, text(&planned.body, "/state")), (200, "updated"), "{planned:?}");
    assert_eq!(application(&laptop, APPLICATION_ID).await, before, "a dry run changes nothing");
    let changed =
        ["improve_ai", "region", "signed_callbacks", "answer_url", "messages_version", "inbound_url", "status_url"];
    assert_eq!(names(&planned), changed);
    assert_eq!(planned.body["changes"][1], json!({"what": "region", "was": null, "now": "eu-west"}));
    let done = laptop.post("/setup", &json!({})).await;
    assert_eq!(
        (&done.body["changes"], &done.body["application"]["configured"]),
        (&planned.body["changes"], &json!(true))
    );
    let after = application(&laptop, APPLICATION_ID).await;
    assert_eq!(after["capabilities"]["rtc"], json!({"webhooks": {}}), "what is not ours stays");
    assert_eq!(after["capabilities"]["voice"]["webhooks"]["answer_url"]["socket_timeout"], 5000);
    let again = laptop.post("/setup", &json!({"public_key": PUBLIC_KEY})).await;
    assert_eq!((text(&again.body, "/state"), names(&again)), ("unchanged", Vec::new()));
    let by_hand: Vec<_> = again.body["by_hand"].as_array().unwrap().iter().map(|work| text(work, "/what")).collect();
    assert_eq!(by_hand, ["signature_secret", "default_sms", "sms_signing", "redact", "calls_per_second", "10dlc"]);
    let conversation = laptop.create().await;
    let call = laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"]})).await;
    assert_eq!(call["phones"]["callee"]["number"], DRIVER);
}

#[tokio::test]
async fn application_that_is_missing_is_made_with_our_key() {
    let laptop = without_application().await;
    let refused = laptop.post("/setup", &json!({})).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (422, "public_key"), "Vonage would make a key");
    for bad in [PRIVATE_KEY, "key"] {
        let refused = laptop.post("/setup", &json!({"public_key": bad})).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "public_key"));
    }
    let order = json!({"public_key": PUBLIC_KEY, "name": "Rides"});
    let mut trial = order.clone();
    trial["dry_run"] = json!(true);
    let planned = laptop.post("/setup", &trial).await;
    assert_eq!((text(&planned.body, "/state"), &planned.body["application"]["id"]), ("made", &Value::Null));
    assert_eq!(applications(&laptop).await, Vec::<Value>::new());
    let made = laptop.post("/setup", &order).await;
    assert_eq!((made.status, names(&made)[0]), (200, "application"), "{made:?}");
    assert_eq!(text(&made.body, "/by_hand/0/what"), "deploy", "the deployment does not know it");
    let id = text(&made.body, "/application/id");
    assert!(text(&made.body, "/by_hand/0/how").contains(id));
    let again = laptop.post("/setup", &order).await;
    assert_eq!((text(&again.body, "/state"), text(&again.body, "/application/id")), ("unchanged", id));
    let stored = application(&laptop, id).await;
    assert_eq!((text(&stored, "/keys/public_key"), &stored["privacy"]["improve_ai"]), (PUBLIC_KEY, &json!(false)));
    assert_eq!(text(&stored, "/capabilities/voice/webhooks/event_url/http_method"), "POST");
}

#[tokio::test]
async fn set_ups_at_once_make_one_application() {
    for _ in 0..4 {
        let laptop = without_application().await;
        let order = json!({"public_key": PUBLIC_KEY});
        let answers = join_all((0..8).map(|_| laptop.post("/setup", &order))).await;
        // Whoever meets others all the time gives up, and has made nothing.
        assert!(answers.iter().all(|answer| [200, 503].contains(&answer.status)), "{answers:?}");
        let last = laptop.post("/setup", &order).await;
        let applications = applications(&laptop).await;
        assert_eq!(applications.len(), 1, "{answers:?}");
        for answer in answers.iter().chain([&last]).filter(|answer| answer.status == 200) {
            assert_eq!(answer.body["application"]["id"], applications[0]["id"]);
        }
    }
}

#[tokio::test]
async fn set_up_without_answer_is_finished_by_the_next() {
    let laptop = without_application().await;
    let order = json!({"public_key": PUBLIC_KEY});
    let rule = |kind: &str, contains: &str, path: &str| json!({"path": path, "times": 1, "contains": contains, "fault": {"kind": kind}});
    for kind in ["close_before", "close_after"] {
        let fault = rule(kind, "improve_ai", "/v2/applications");
        assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", fault).await.status, 204);
        let cut = laptop.post("/setup", &order).await;
        assert_eq!(cut.status, if kind == "close_before" { 503 } else { 200 }, "{cut:?}");
    }
    let made = laptop.post("/setup", &order).await;
    assert_eq!((text(&made.body, "/state"), applications(&laptop).await.len()), ("unchanged", 1), "{made:?}");
    let id = text(&made.body, "/application/id");
    let mut broken = application(&laptop, id).await;
    broken["capabilities"]["voice"] = json!({});
    vonage(&laptop, Method::PUT, &format!("/{id}"), &broken).await;
    let fault = rule("close_after", "improve_ai", &format!("/v2/applications/{id}"));
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", fault).await.status, 204);
    let mended = laptop.post("/setup", &order).await;
    assert_eq!((mended.status, text(&mended.body, "/state")), (200, "updated"), "Vonage was asked again: {mended:?}");
    assert_eq!(text(&laptop.post("/setup", &order).await.body, "/state"), "unchanged");
}

#[tokio::test]
async fn application_of_somebody_else_is_left_alone() {
    let laptop = Laptop::start().await;
    let mut foreign = application(&laptop, APPLICATION_ID).await;
    foreign["capabilities"]["voice"]["webhooks"]["answer_url"]["address"] =
        json!("https://there.example/webhooks/answer");
    foreign["keys"]["public_key"] = json!("another");
    let path = format!("/{APPLICATION_ID}");
    vonage(&laptop, Method::PUT, &path, &foreign).await;
    let before = application(&laptop, APPLICATION_ID).await;
    let kind = |answer: &Answer| text(&answer.body, "/type").replace("urn:maskline:problem:", "");
    let refused = laptop.post("/setup", &json!({"public_key": PUBLIC_KEY})).await;
    assert_eq!((refused.status, kind(&refused).as_str()), (409, "application-foreign"));
    let refused = laptop.post("/setup", &json!({"public_key": PUBLIC_KEY, "take_over": true})).await;
    assert_eq!((refused.status, kind(&refused).as_str()), (409, "application-has-key"));
    assert_eq!(application(&laptop, APPLICATION_ID).await, before);
    let taken = laptop.post("/setup", &json!({"take_over": true})).await;
    assert_eq!((taken.status, names(&taken).contains(&"public_key")), (200, false), "{taken:?}");
    let replaced = laptop.post("/setup", &json!({"public_key": PUBLIC_KEY, "replace_key": true})).await;
    assert_eq!(names(&replaced), ["public_key"]);
}

#[tokio::test]
async fn application_of_other_program_with_the_name_is_not_taken() {
    let laptop = without_application().await;
    let order = json!({"public_key": PUBLIC_KEY});
    let webhooks = json!({"answer_url": {"address": "https://switchboard.example/answer"}});
    let other = json!({"name": "Maskline", "keys": {"public_key": "another"}, "capabilities": {"voice": {"webhooks": webhooks}}});
    assert_eq!(vonage(&laptop, Method::POST, "", &other).await.status, 201);
    let refused = laptop.post("/setup", &order).await;
    assert_eq!(text(&refused.body, "/type"), "urn:maskline:problem:application-foreign");
    assert_eq!(vonage(&laptop, Method::POST, "", &other).await.status, 201);
    let refused = laptop.post("/setup", &order).await;
    assert_eq!(text(&refused.body, "/type"), "urn:maskline:problem:application-ambiguous");
    assert_eq!(laptop.post("/setup", &json!({"public_key": PUBLIC_KEY, "name": "Rides"})).await.status, 200);
    assert_eq!(applications(&laptop).await.len(), 3);
}

#[tokio::test]
async fn candidate_that_a_crash_left_behind_is_cleared_away() {
    let laptop = without_application().await;
    let order = json!({"public_key": PUBLIC_KEY});
    // Vonage makes it, and neither that nor any question about it is answered.
    for (contains, skip, times) in [("improve_ai", 0, 1), ("page_size", 1, 3)] {
        let fault = json!({"path": "/v2/applications", "contains": contains, "skip": skip, "times": times,
            "fault": {"kind": "close_after"}});
        assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", fault).await.status, 204);
    }
    assert_eq!(laptop.post("/setup", &order).await.status, 503);
    let [left] = &applications(&laptop).await[..] else { panic!("there is more than one") };
    assert!(text(left, "/name").starts_with("Maskline (set-up "), "{left}");
    laptop.no_more_faults().await;
    // It may be that of a run that goes on.
    assert_eq!(laptop.post("/setup", &order).await.status, 503);
    assert_eq!(applications(&laptop).await.len(), 1);
    laptop.advance(61);
    let made = laptop.post("/setup", &order).await;
    assert_eq!((made.status, text(&made.body, "/state")), (200, "made"), "{made:?}");
    let [only] = &applications(&laptop).await[..] else { panic!("there is more than one") };
    assert_eq!((text(only, "/name"), &only["id"]), ("Maskline", &made.body["application"]["id"]));
}
