//! The Application API.

use local::simulator::HttpMethod;
use serde_json::{Value, json};

use crate::support::{APPLICATION, App, CALLER, KEY, SECRET, Vonage, answer};

async fn replace(vonage: &Vonage, application: &Value) -> (u16, Value) {
    let url = format!("{}/v2/applications/{APPLICATION}", vonage.base);
    let request = vonage.client.put(url).basic_auth(KEY, Some(SECRET));
    answer(request.json(application)).await
}

#[tokio::test]
async fn application_shows_its_webhooks_with_vonages_defaults() {
    let vonage = Vonage::start().await;
    let (status, application) = answer(vonage.get(&format!("/v2/applications/{APPLICATION}"))).await;
    assert_eq!((status, application["id"].as_str()), (200, Some(APPLICATION)));
    let voice = &application["capabilities"]["voice"];
    let answer_url = json!({"address": "http://127.0.0.1:9/answer", "http_method": "POST",
        "connect_timeout": 1000, "socket_timeout": 5000});
    assert_eq!(voice["webhooks"]["answer_url"], answer_url);
    assert_eq!(voice["webhooks"]["event_url"]["socket_timeout"], 10_000);
    assert_eq!(voice["signed_callbacks"], true);
}

#[tokio::test]
async fn changed_webhook_is_used_by_the_next_call() {
    let app = App::start().await;
    let vonage = Vonage::start().await;
    vonage.rent_linked(&["447451000001"]).await;
    let webhooks = json!({"answer_url": {"address": format!("{}/answer", app.base)}});
    let application = json!({"name": "Masked calling",
        "capabilities": {"voice": {"webhooks": webhooks, "signed_callbacks": false, "region": "na-east"}}});
    let (status, changed) = replace(&vonage, &application).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["capabilities"]["voice"]["webhooks"]["answer_url"]["http_method"], "GET");
    let call = vonage.call(json!({"from": CALLER, "to": "447451000001"})).await;
    assert_eq!(call["answered_by"], "answer_url");
    assert_eq!(call["events"], json!([]));
    let received = app.received("/answer").remove(0);
    assert_eq!((received.method.as_str(), received.claims), ("GET", None));
    assert_eq!(received.data["region_url"], "https://api-us-3.vonage.com");
    assert_eq!(replace(&vonage, &json!({"name": "No voice"})).await.0, 200);
    let call = vonage.call(json!({"from": CALLER, "to": "447451000001"})).await;
    assert_eq!(call["conversation_uuid"], Value::Null);
}

#[tokio::test]
async fn invalid_application_fields_are_named() {
    let vonage = Vonage::start_for("http://127.0.0.1:9", HttpMethod::Get).await;
    let webhooks = json!({"answer_url": {"address": "nowhere", "http_method": "PUT"},
        "event_url": {"address": "http://127.0.0.1/", "socket_timeout": 10_001}});
    let application = json!({"capabilities": {"voice": {"webhooks": webhooks, "region": "mars"}}});
    let (status, problem) = replace(&vonage, &application).await;
    assert_eq!((status, problem["title"].as_str()), (400, Some("Bad Request")));
    let path = "capabilities.voice";
    let expected = json!([
        {"name": "name", "reason": "is required"},
        {"name": format!("{path}.webhooks.answer_url.address"), "reason": "must be a valid URI"},
        {"name": format!("{path}.webhooks.answer_url.http_method"), "reason": "must be one of: GET, POST"},
        {"name": format!("{path}.webhooks.event_url.socket_timeout"), "reason": "must be between 1000 and 10000"},
        {"name": format!("{path}.region"),
            "reason": "must be one of: na-east, na-west, eu-east, eu-west, apac-sng, apac-australia"},
    ]);
    assert_eq!(problem["invalid_parameters"], expected);
}

#[tokio::test]
async fn unknown_application_or_no_credentials_are_refused() {
    let vonage = Vonage::start().await;
    let (status, problem) = answer(vonage.get("/v2/applications/another")).await;
    assert_eq!((status, problem["title"].as_str()), (404, Some("Not Found")));
    let url = format!("{}/v2/applications/{APPLICATION}", vonage.base);
    let (status, problem) = answer(vonage.client.get(&url)).await;
    assert_eq!((status, problem["title"].as_str()), (401, Some("Invalid credentials supplied")));
    let text = vonage.client.put(&url).basic_auth(KEY, Some(SECRET)).body("name");
    assert_eq!(answer(text).await.0, 415);
}

#[tokio::test]
async fn applications_are_made_listed_and_deleted() {
    let vonage = Vonage::start().await;
    let url = format!("{}/v2/applications", vonage.base);
    let send = |request: reqwest::RequestBuilder| answer(request.basic_auth(KEY, Some(SECRET)));
    let (status, problem) = send(vonage.client.post(&url).json(&json!({"capabilities": {}}))).await;
    assert_eq!((status, &problem["invalid_parameters"][0]["name"]), (400, &json!("name")));
    let mine = json!({"name": "Rides", "keys": {"public_key": "mine"}});
    let (status, made) = send(vonage.client.post(&url).json(&mine)).await;
    assert_eq!((status, &made["keys"]), (201, &json!({"public_key": "mine"})));
    let (status, second) = send(vonage.client.post(&url).json(&json!({"name": "Rides"}))).await;
    assert_eq!(status, 201, "a name may be used twice");
    assert!(second["keys"]["private_key"].as_str().unwrap().contains("PRIVATE KEY"), "Vonage makes a pair of keys");
    let (status, page) = answer(vonage.get("/v2/applications?page_size=2&page=2")).await;
    assert_eq!((status, &page["total_items"], &page["total_pages"]), (200, &json!(3), &json!(2)));
    let listed = &page["_embedded"]["applications"];
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["id"]), (Some(1), &second["id"]));
    assert_eq!(listed[0]["keys"]["private_key"], Value::Null, "it is shown once");
    assert_eq!(answer(vonage.get("/v2/applications?page_size=101")).await.0, 400);
    let one = format!("{url}/{}", made["id"].as_str().unwrap());
    assert_eq!(send(vonage.client.delete(&one)).await.0, 204);
    assert_eq!(send(vonage.client.delete(&one)).await.0, 404);
    assert_eq!(answer(vonage.client.get(&url)).await.0, 401);
}

#[tokio::test]
async fn call_goes_to_the_application_of_its_number() {
    let (first, second) = (App::start().await, App::start().await);
    let vonage = Vonage::start().await;
    vonage.rent_linked(&["447451000001", "447451000002"]).await;
    replace(&vonage, &voice_at(&first.base)).await;
    let url = format!("{}/v2/applications", vonage.base);
    let make = vonage.client.post(&url).basic_auth(KEY, Some(SECRET)).json(&voice_at(&second.base));
    let id = answer(make).await.1["id"].as_str().unwrap().to_owned();
    let form = [("country", "GB"), ("msisdn", "447451000002"), ("app_id", &id)];
    let update = vonage.client.post(format!("{}/number/update", vonage.base)).form(&form);
    assert_eq!(answer(update.basic_auth(KEY, Some(SECRET))).await.0, 200);
    vonage.call(json!({"from": CALLER, "to": "447451000001"})).await;
    assert_eq!((first.received("/answer").len(), second.received("/answer").len()), (1, 0));
    vonage.call(json!({"from": CALLER, "to": "447451000002"})).await;
    let received = second.received("/answer").remove(0);
    assert_eq!(received.claims.unwrap()["application_id"], id);
    let delete = vonage.client.delete(format!("{url}/{id}")).basic_auth(KEY, Some(SECRET));
    assert_eq!(answer(delete).await.0, 204);
    let call = vonage.call(json!({"from": CALLER, "to": "447451000002"})).await;
    assert_eq!(call["conversation_uuid"], Value::Null, "its number has no link any more");
}

/// Returns an application whose calls are answered at `base`.
fn voice_at(base: &str) -> Value {
    let webhooks = json!({"answer_url": {"address": format!("{base}/answer"), "http_method": "POST"}});
    json!({"name": "Masked calling", "capabilities": {"voice": {"webhooks": webhooks}}})
}

#[tokio::test]
async fn messages_capability_takes_post_and_known_versions_only() {
    let vonage = Vonage::start().await;
    let messages = json!({"version": "v2", "webhooks": {
        "inbound_url": {"address": "http://127.0.0.1/", "http_method": "GET"}, "status_url": {"address": "nowhere"}}});
    let (status, problem) = replace(&vonage, &json!({"name": "Texts", "capabilities": {"messages": messages}})).await;
    let names: Vec<_> = problem["invalid_parameters"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    let path = "capabilities.messages";
    let expected = ["version", "webhooks.inbound_url.http_method", "webhooks.status_url.address"];
    assert_eq!((status, names), (400, expected.map(|name| json!(format!("{path}.{name}"))).iter().collect()));
}
