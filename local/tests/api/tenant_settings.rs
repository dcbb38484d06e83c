//! `PUT /tenants/{tenant}`: what a tenant may spend, and what its conversations have that have nothing of their own.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Laptop, RIDER, conversation, text};

async fn set(laptop: &Laptop, tenant: &str, settings: Value) -> Answer {
    laptop.send(Method::PUT, &format!("/tenants/{tenant}"), settings.to_string()).await
}

async fn order(laptop: &Laptop, tenant: &str, count: usize) -> Value {
    let ordered = laptop.post(&format!("/t/{tenant}/numbers"), &json!({"country": "GB", "count": count})).await;
    assert_eq!(ordered.status, 200, "{ordered:?}");
    ordered.body
}

#[tokio::test]
async fn one_tenant_spends_its_own_budget_only() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    assert_eq!(set(&laptop, "acme", json!({"monthly_budget": "3"})).await.status, 200);
    assert_eq!(set(&laptop, "beta", json!({"max_numbers": 1})).await.status, 200);
    // A number costs 1.25 a month.
    let of_acme = order(&laptop, "acme", 4).await;
    assert_eq!((&of_acme["ready"], text(&of_acme, "/shortfall/0/reason")), (&json!(2), "over_budget"), "{of_acme}");
    let of_beta = order(&laptop, "beta", 4).await;
    assert_eq!((&of_beta["ready"], text(&of_beta, "/shortfall/0/reason")), (&json!(1), "at_cap"), "{of_beta}");
    assert_eq!(order(&laptop, "gamma", 3).await["ready"], 3, "nothing is set");
    laptop.advance(7200);
    laptop.run_orders().await;
    assert_eq!(laptop.settled_pool().await.len(), 8);
    // A larger budget lets the open order go on.
    set(&laptop, "acme", json!({"monthly_budget": 3.75})).await;
    assert_eq!(order(&laptop, "acme", 4).await["ready"], 3);
    let shown = laptop.get("/t/acme/numbers").await.body;
    assert_eq!(shown["monthly_budget"], shown["monthly_cost"], "{shown}");
}

#[tokio::test]
async fn conversation_without_own_limits_has_those_of_its_tenant() {
    let laptop = Laptop::builder().env(&[("DEFAULT_MAX_CALLS", "9"), ("DEFAULT_MAX_MINUTES", "60")]).start().await;
    order(&laptop, "acme", 2).await;
    let words = json!({"en": "Acme says goodbye."});
    let settings = json!({"max_calls": 2, "late_words": words, "support_phone": "+442079460000"});
    assert_eq!(set(&laptop, "acme", settings).await.status, 200);
    let mut order = conversation();
    let created = laptop.post("/t/acme/conversations", &order).await.body;
    assert_eq!((&created["max_calls"], &created["max_minutes"]), (&json!(2), &json!(60)), "{created}");
    assert_eq!((&created["late_words"], text(&created, "/support_phone")), (&words, "442079460000"), "{created}");
    order["max_calls"] = json!(5);
    order["late_words"] = json!({"en": "The ride is over."});
    let own = laptop.post("/t/acme/conversations", &order).await.body;
    assert_eq!((&own["max_calls"], &own["late_words"]), (&json!(5), &order["late_words"]), "{own}");
    // A late caller reaches the phone that the tenant has set.
    let id = text(&created, "/id");
    laptop.delete(&format!("/t/acme/conversations/{id}")).await;
    let dialled = text(&created, "/participants/0/dials");
    let call = laptop.call(json!({"from": RIDER, "to": dialled, "talk_seconds": 5})).await;
    assert_eq!(call["phones"]["callee"]["number"], "442079460000", "{call}");
}

#[tokio::test]
async fn settings_are_shown_replaced_and_listed() {
    let laptop = Laptop::start().await;
    let unset = laptop.get("/tenants/acme").await;
    assert_eq!((unset.status, text(&unset.body, "/tenant"), &unset.body["numbers"]), (200, "acme", &json!(0)));
    for (settings, field) in [
        (json!({"monthly_budget": 0}), "monthly_budget"),
        (json!({"max_numbers": 100_001}), "max_numbers"),
        (json!({"max_calls": 0}), "max_calls"),
        (json!({"support_phone": "0207"}), "support_phone"),
        (json!({"late_words": {"en": "a".repeat(301)}}), "late_words"),
    ] {
        let refused = set(&laptop, "acme", settings).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, field), "{refused:?}");
    }
    assert_eq!(set(&laptop, "Acme", json!({})).await.status, 404);
    assert_eq!(laptop.get("/tenants").await.body, json!({"tenants": []}));
    for tenant in ["beta", "acme"] {
        set(&laptop, tenant, json!({"max_calls": 2, "max_numbers": 3})).await;
    }
    let set = set(&laptop, "beta", json!({"max_numbers": 4})).await.body;
    assert_eq!((&set["max_numbers"], set.get("max_calls")), (&json!(4), None), "as a whole");
    let mut shown = laptop.get("/tenants/beta").await.body;
    let spent = shown.as_object_mut().unwrap().remove("spent");
    assert_eq!((shown, spent.unwrap().as_array().map(Vec::len)), (set, Some(2)));
    let listed = laptop.get("/tenants").await.body;
    let names: Vec<_> = listed["tenants"].as_array().unwrap().iter().map(|one| text(one, "/tenant")).collect();
    assert_eq!(names, ["acme", "beta"]);
}
