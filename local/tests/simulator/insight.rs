//! The Number Insight API.

use serde_json::{Value, json};

use crate::support::{KEY, SECRET, Vonage, answer};

async fn look_up(vonage: &Vonage, number: &str, country: &str) -> Value {
    let query = [("number", number), ("country", country)];
    let query = &query[..if country.is_empty() { 1 } else { 2 }];
    let (status, body) = answer(vonage.get("/ni/basic/json").query(query)).await;
    assert_eq!(status, 200);
    body
}

#[tokio::test]
async fn reserved_example_number_is_valid_and_has_its_country() {
    let vonage = Vonage::start().await;
    let mut insight = look_up(&vonage, "447700900000", "").await;
    assert_eq!(insight["request_id"].as_str().unwrap().len(), 36);
    insight.as_object_mut().unwrap().remove("request_id");
    let expected = json!({"status": 0, "status_message": "Success", "international_format_number": "447700900000",
        "national_format_number": "07700 900000", "country_code": "GB", "country_code_iso3": "GBR",
        "country_name": "United Kingdom", "country_prefix": "44"});
    assert_eq!(insight, expected);
}

#[tokio::test]
async fn numbers_are_recognised_in_every_notation() {
    let vonage = Vonage::start().await;
    for (number, country, expected) in [
        ("07700 900999", "GB", "447700900999 GB"),
        ("+44 7700 900001", "", "447700900001 GB"),
        ("+44 7700-900001", "GB", "447700900001 GB"),
        ("00447700900001", "", "447700900001 GB"),
        ("447700900001", "GB", "447700900001 GB"),
        ("(212) 555-0123", "US", "12125550123 US"),
        ("12125550199", "", "12125550199 US"),
        ("14165550100", "CA", "14165550100 CA"),
        ("0644630001", "FR", "33644630001 FR"),
        ("33644630001", "", "33644630001 FR"),
        ("086 100 0001", "IE", "353861000001 IE"),
        ("030 901820", "DE", "4930901820 DE"),
        ("4915735980001", "", "4915735980001 DE"),
        ("3197010200001", "", "3197010200001 NL"),
        ("91 98765 43210", "IN", "919876543210 IN"),
        ("02 1234 5678", "IT", "390212345678 IT"),
    ] {
        let insight = look_up(&vonage, number, country).await;
        let found = format!(
            "{} {}",
            insight["international_format_number"].as_str().unwrap_or("none"),
            insight["country_code"].as_str().unwrap_or("none")
        );
        assert_eq!(found, expected, "{number} {country}");
    }
}

#[tokio::test]
async fn invalid_numbers_return_status_3_in_vonages_words() {
    let vonage = Vonage::start().await;
    for (number, country) in [
        ("07999999999", ""),
        ("07700900001", ""),
        ("44770090000", "GB"),
        ("447700900001", "US"),
        ("+447700900001", "FR"),
        ("14165550100", "US"),
        ("07700900001", "gb"),
        ("07700900001", "XX"),
        ("hello", ""),
        ("+", ""),
        ("++447700900001", ""),
        ("1", "US"),
        ("99999999999999999999999999", ""),
    ] {
        let expected = json!({"status": 3,
            "status_message": format!("Invalid request :: Not valid number format detected [ {number} ]")});
        assert_eq!(look_up(&vonage, number, country).await, expected);
    }
    let (_, missing) = answer(vonage.get("/ni/basic/json")).await;
    assert_eq!(missing["status"], 3);
}

#[tokio::test]
async fn lookup_accepts_post_and_both_credential_styles() {
    let vonage = Vonage::start().await;
    let url = format!("{}/ni/basic/json", vonage.base);
    let legacy = [("api_key", KEY), ("api_secret", SECRET), ("number", "447700900001")];
    let json_body = json!({"api_key": KEY, "api_secret": SECRET, "number": "447700900001"});
    for request in [
        vonage.client.get(&url).query(&legacy),
        vonage.client.post(&url).form(&legacy),
        vonage.client.post(&url).json(&json_body),
        vonage.form("/ni/basic/json", &[("number", "447700900001")]),
    ] {
        assert_eq!(answer(request).await.1["status"], 0);
    }
    let refused = json!({"status": 4, "status_message": "Invalid credentials"});
    let without = vonage.client.get(format!("{url}?number=447700900001"));
    assert_eq!(answer(without).await, (200, refused.clone()));
    let wrong = vonage.client.get(&url).basic_auth(KEY, Some("wrong"));
    assert_eq!(answer(wrong).await, (200, refused));
}
