//! The Numbers API.

use serde_json::{Value, json};

use crate::support::{APPLICATION, KEY, SECRET, Vonage, answer};

fn msisdns(page: &Value) -> Vec<&str> {
    let numbers = page["numbers"].as_array().unwrap();
    numbers.iter().map(|number| number["msisdn"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn search_lists_numbers_in_order_with_price_and_features() {
    let vonage = Vonage::start().await;
    let page = vonage.search(&[("country", "GB"), ("size", "2")]).await;
    assert_eq!(page["count"], 300);
    assert_eq!(msisdns(&page), ["447451000001", "447451000002"]);
    let first = json!({"country": "GB", "msisdn": "447451000001", "type": "mobile-lvn", "initialPrice": "1.25",
        "cost": "1.25", "features": ["VOICE", "SMS"]});
    assert_eq!(page["numbers"][0], first);
}

#[tokio::test]
async fn search_pages_to_the_end() {
    let vonage = Vonage::start().await;
    let default = vonage.search(&[("country", "FR")]).await;
    assert_eq!(msisdns(&default).len(), 10);
    let last = vonage.search(&[("country", "FR"), ("size", "25"), ("index", "3")]).await;
    assert_eq!(last["count"], 60);
    assert_eq!(msisdns(&last).len(), 10);
    assert_eq!(msisdns(&last)[9], "33644630060");
    let beyond = vonage.search(&[("country", "FR"), ("size", "25"), ("index", "4")]).await;
    assert_eq!(beyond, json!({"count": 60, "numbers": []}));
}

#[tokio::test]
async fn search_filters_by_type_features_and_pattern() {
    let vonage = Vonage::start().await;
    let landlines = vonage.search(&[("country", "GB"), ("type", "landline")]).await;
    assert_eq!((landlines["count"].as_u64(), msisdns(&landlines)[0]), (Some(50), "442080000001"));
    let texting = vonage.search(&[("country", "GB"), ("features", "SMS,VOICE")]).await;
    assert_eq!(texting["count"], 250);
    for (pattern, how, count) in [("4474", "0", 250), ("10000", "1", 99), ("250", "2", 1)] {
        let query = [("country", "GB"), ("pattern", pattern), ("search_pattern", how)];
        assert_eq!(vonage.search(&query).await["count"], count, "{pattern} {how}");
    }
}

#[tokio::test]
async fn empty_search_is_answered_in_both_documented_ways() {
    let vonage = Vonage::start().await;
    assert_eq!(vonage.search(&[("country", "JP")]).await, json!({}));
    let none = json!({"count": 0, "numbers": []});
    assert_eq!(vonage.search(&[("country", "IE"), ("features", "MMS")]).await, none);
}

#[tokio::test]
async fn first_120_dutch_numbers_cannot_text_abroad() {
    let vonage = Vonage::start().await;
    let page = vonage.search(&[("country", "NL"), ("size", "20"), ("index", "6")]).await;
    let limitation = json!([{"feature": "SMS", "type": "OUTBOUND", "reach": "INTERNATIONAL"}]);
    assert_eq!(page["numbers"][19]["limitations"], limitation);
    let page = vonage.search(&[("country", "NL"), ("size", "20"), ("index", "7")]).await;
    assert_eq!(msisdns(&page).len(), 10);
    assert_eq!(page["numbers"][0].get("limitations"), None);
}

#[tokio::test]
async fn search_refuses_invalid_parameters() {
    let vonage = Vonage::start().await;
    for (query, field) in [
        (vec![], "country"),
        (vec![("country", "GB"), ("features", "VOICE,SMS")], "features"),
        (vec![("country", "GB"), ("type", "mobile")], "type"),
        (vec![("country", "GB"), ("size", "101")], "size"),
        (vec![("country", "GB"), ("index", "0")], "index"),
        (vec![("country", "GB"), ("search_pattern", "3")], "search_pattern"),
    ] {
        let (status, body) = answer(vonage.get("/number/search").query(&query)).await;
        assert_eq!(status, 400);
        assert!(body[field].is_string(), "{body}");
    }
}

#[tokio::test]
async fn bought_number_is_charged_and_leaves_the_search() {
    let vonage = Vonage::start().await;
    let success = json!({"error-code": "200", "error-code-label": "success"});
    assert_eq!(vonage.buy("GB", "447451000001").await, (200, success));
    assert_eq!(vonage.balance().await, "98.75");
    let page = vonage.search(&[("country", "GB"), ("size", "1")]).await;
    assert_eq!((page["count"].as_u64(), msisdns(&page)[0]), (Some(299), "447451000002"));
    let failed = json!({"error-code": "420", "error-code-label": "method failed"});
    assert_eq!(vonage.buy("GB", "447451000001").await, (420, failed));
    assert_eq!(vonage.balance().await, "98.75");
}

#[tokio::test]
async fn buy_fails_with_420_when_vonage_cannot_complete_it() {
    let vonage = Vonage::start().await;
    for (country, msisdn) in [("GB", "447451009999"), ("US", "447451000001")] {
        let (status, body) = vonage.buy(country, msisdn).await;
        assert_eq!((status, body["error-code-label"].as_str()), (420, Some("method failed")));
    }
    let (status, body) = vonage.buy("DE", "4915735980001").await;
    let label = body["error-code-label"].as_str().unwrap();
    assert!(status == 420 && label.contains("require a valid local address"), "{label}");
    vonage.control("PUT", "/simulator/account", json!({"balance": "1.24"})).await;
    assert_eq!(vonage.buy("GB", "447451000001").await.0, 420);
    assert_eq!(vonage.buy("GB", "442080000001").await.0, 200);
    assert_eq!(vonage.balance().await, "0.24");
}

#[tokio::test]
async fn buy_reads_parameters_from_the_form_only() {
    let vonage = Vonage::start().await;
    let query = [("country", "GB"), ("msisdn", "447451000001")];
    let url = format!("{}/number/buy", vonage.base);
    let in_query = vonage.client.post(&url).basic_auth(KEY, Some(SECRET)).query(&query);
    assert_eq!(answer(in_query).await.0, 420);
    let missing = answer(vonage.form("/number/buy", &[("msisdn", "447451000001")])).await;
    assert_eq!(missing, (400, json!({"country": "Is required."})));
}

#[tokio::test]
async fn legacy_credentials_are_accepted_in_query_and_form() {
    let vonage = Vonage::start().await;
    let credentials = [("api_key", KEY), ("api_secret", SECRET)];
    let search = format!("{}/number/search?country=GB", vonage.base);
    let request = vonage.client.get(search).query(&credentials);
    assert_eq!(answer(request).await.0, 200);
    let buy = format!("{}/number/buy", vonage.base);
    let [key, secret] = credentials;
    let form = [key, secret, ("country", "GB"), ("msisdn", "447451000001")];
    assert_eq!(answer(vonage.client.post(&buy).form(&form)).await.0, 200);
    let request = vonage.client.post(&buy).query(&credentials);
    let form = [("country", "GB"), ("msisdn", "447451000002")];
    assert_eq!(answer(request.form(&form)).await.0, 200);
}

#[tokio::test]
async fn wrong_or_missing_credentials_return_401() {
    let vonage = Vonage::start().await;
    let refusal = json!({"error-code": "401", "error-code-label": "authentication failed"});
    for path in ["/number/search?country=GB", "/account/numbers", "/account/get-balance"] {
        let url = format!("{}{path}", vonage.base);
        assert_eq!(answer(vonage.client.get(&url)).await, (401, refusal.clone()));
        let wrong = vonage.client.get(&url).basic_auth(KEY, Some("wrong"));
        assert_eq!(answer(wrong).await, (401, refusal.clone()));
    }
    for path in ["/number/buy", "/number/update", "/number/cancel"] {
        let form = [("country", "GB"), ("msisdn", "447451000001"), ("api_key", KEY)];
        let request = vonage.client.post(format!("{}{path}", vonage.base)).form(&form);
        assert_eq!(answer(request).await, (401, refusal.clone()));
    }
}

#[tokio::test]
async fn update_replaces_the_whole_record() {
    let vonage = Vonage::start().await;
    vonage.rent_linked(&["447451000001"]).await;
    let forward = [
        ("country", "GB"),
        ("msisdn", "447451000001"),
        ("voiceCallbackType", "tel"),
        ("voiceCallbackValue", "447700900009"),
    ];
    assert_eq!(answer(vonage.form("/number/update", &forward)).await.0, 200);
    let (_, owned) = answer(vonage.get("/account/numbers")).await;
    let number = &owned["numbers"][0];
    assert_eq!(number.get("app_id"), None);
    assert_eq!(number["voiceCallbackValue"], "447700900009");
    assert_eq!((number.get("cost"), number["type"].as_str()), (None, Some("mobile-lvn")));
}

#[tokio::test]
async fn update_checks_number_application_and_webhook() {
    let vonage = Vonage::start().await;
    assert_eq!(vonage.buy("GB", "447451000001").await.0, 200);
    for (msisdn, name, value) in [
        ("447451000002", "app_id", APPLICATION),
        ("447451000001", "app_id", "another"),
        ("447451000001", "voiceCallbackType", "tel"),
        ("447451000001", "moHttpUrl", "http://127.0.0.1:9/inbound"),
    ] {
        let form = [("country", "GB"), ("msisdn", msisdn), (name, value)];
        let (status, _) = answer(vonage.form("/number/update", &form)).await;
        assert_eq!(status, 420, "{name}={value}");
    }
    let url = format!("{}/simulator/account", vonage.base);
    let form = [("country", "GB"), ("msisdn", "447451000001"), ("moHttpUrl", &url)];
    assert_eq!(answer(vonage.form("/number/update", &form)).await.0, 200);
}

#[tokio::test]
async fn cancelled_number_returns_to_its_place_in_the_inventory() {
    let vonage = Vonage::start().await;
    let form = [("country", "IE"), ("msisdn", "353861000001")];
    assert_eq!(answer(vonage.form("/number/cancel", &form)).await.0, 420);
    for last in 1..=3 {
        assert_eq!(vonage.buy("IE", &format!("35386100000{last}")).await.0, 200);
    }
    let none = json!({"count": 0, "numbers": []});
    assert_eq!(vonage.search(&[("country", "IE")]).await, none);
    assert_eq!(answer(vonage.form("/number/cancel", &form)).await.0, 200);
    assert_eq!(msisdns(&vonage.search(&[("country", "IE")]).await), ["353861000001"]);
}

#[tokio::test]
async fn owned_numbers_can_be_listed_by_every_filter() {
    let vonage = Vonage::start().await;
    assert_eq!(answer(vonage.get("/account/numbers")).await, (200, json!({})));
    vonage.rent_linked(&["447451000001", "447451000002"]).await;
    vonage.buy("FR", "33644630001").await;
    for (query, expected) in [
        (vec![], vec!["447451000001", "447451000002", "33644630001"]),
        (vec![("country", "FR")], vec!["33644630001"]),
        (vec![("application_id", APPLICATION)], vec!["447451000001", "447451000002"]),
        (vec![("application_id", "another")], vec![]),
        (vec![("has_application", "false")], vec!["33644630001"]),
        (vec![("has_application", "True"), ("size", "1"), ("index", "2")], vec!["447451000002"]),
        (vec![("pattern", "447451000001"), ("search_pattern", "0")], vec!["447451000001"]),
        (vec![("pattern", "0001"), ("search_pattern", "2")], vec!["447451000001", "33644630001"]),
    ] {
        let (_, owned) = answer(vonage.get("/account/numbers").query(&query)).await;
        assert_eq!(msisdns(&owned), expected, "{query:?}");
    }
}

#[tokio::test]
async fn balance_is_a_number_and_falls_with_purchases() {
    let vonage = Vonage::start().await;
    vonage.control("PUT", "/simulator/account", json!({"balance": "10.28"})).await;
    assert_eq!(answer(vonage.get("/account/get-balance")).await, (200, json!({"value": 10.28, "autoReload": false})));
    vonage.buy("GB", "447451000001").await;
    assert_eq!(answer(vonage.get("/account/get-balance")).await.1["value"], 9.03);
}
