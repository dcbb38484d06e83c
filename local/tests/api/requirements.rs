//! `GET /numbers/requirements`.

use serde_json::{Value, json};
use testkit::Laptop;

fn of<'a>(answer: &'a Value, about: &str) -> Vec<&'a Value> {
    let requirements = answer["requirements"].as_array().unwrap().iter();
    requirements.filter(|requirement| requirement["about"] == about).collect()
}

#[tokio::test]
async fn requirements_tell_price_and_rules_and_buy_nothing() {
    let laptop = Laptop::start().await;
    let shown = laptop.get("/numbers/requirements?country=US&features=VOICE,SMS&count=20").await;
    assert_eq!(shown.status, 200, "{shown:?}");
    let (answer, offers) = (&shown.body, &shown.body["offers"]);
    assert_eq!((&answer["country"], &answer["count"]), (&json!("US"), &json!(20)));
    let amount = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let [one, all] = ["monthly_cost", "monthly_cost_of_all"].map(|name| amount(&offers[name]["from"]));
    assert!((all - 20.0 * one).abs() < 1e-9 && one > 0.0, "{offers}");
    let [one, all] = ["initial_price", "initial_price_of_all"].map(|name| amount(&offers[name]["from"]));
    assert!((all - 20.0 * one).abs() < 1e-9 && one > 0.0, "{offers}");
    let registration = of(answer, "registration");
    assert!(registration[0]["needed"] == "yes" && registration[0]["by_hand"] == true, "{answer}");
    assert!(answer["checked_at"].is_string());
    assert_eq!(of(&laptop.get("/numbers/requirements?country=FR").await.body, "registration")[0]["needed"], "unknown");
    let voice = laptop.get("/numbers/requirements?country=US&features=VOICE").await.body;
    assert!(of(&voice, "registration").is_empty() && of(&voice, "sender").is_empty(), "{voice}");
    assert_eq!(laptop.asked("/number/buy").await, 0);
    for (query, field) in [
        ("", "country"),
        ("?country=XX1", "country"),
        ("?country=US&features=FAX", "features"),
        ("?country=US&type=satellite", "type"),
        ("?country=US&count=0", "count"),
        ("?country=US&state=ready", "state"),
    ] {
        let refused = laptop.get(&format!("/numbers/requirements{query}")).await;
        let named = refused.body["field"].as_str().unwrap_or_default();
        assert_eq!((refused.status, named), (422, field), "{query}");
    }
    assert_eq!(laptop.get("/numbers/447451000001").await.status, 404, "a number is still a number");
}
