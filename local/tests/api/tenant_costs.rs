//! The cost of the calls and texts of each tenant: each price once, in its month, and for nobody else.

use jiff::tz::TimeZone;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use shared::domain::tenant_cost::Month;
use testkit::{Builder, DRIVER, Laptop, RIDER, text};

use crate::healing::dials;

/// Starts a laptop on which a tenant and the deployment itself have two numbers each.
async fn with_acme(builder: Builder) -> Laptop {
    let laptop = builder.numbers("GB", 2).start().await;
    let ordered = laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    assert_eq!(ordered.status, 200, "{ordered:?}");
    laptop
}

async fn create(laptop: &Laptop, path: &str, notify: bool) -> Value {
    create_for(laptop, path, json!({ "notify": notify })).await
}

/// Creates a conversation with these fields besides its participants.
async fn create_for(laptop: &Laptop, path: &str, mut order: Value) -> Value {
    order["participants"] = json!([RIDER, DRIVER].map(|number| json!({"number": format!("+{number}")})));
    let created = laptop.post(&format!("{path}/conversations"), &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Returns what a tenant has spent, by the API.
async fn spent(laptop: &Laptop, tenant: &str, query: &str) -> Value {
    let shown = laptop.get(&format!("/tenants/{tenant}{query}")).await;
    assert_eq!((shown.status, text(&shown.body, "/currency")), (200, "EUR"), "{shown:?}");
    shown.body["spent"].clone()
}

fn amount(spent: &Value, name: &str) -> Decimal {
    text(spent, &format!("/{name}")).parse().unwrap()
}

fn this_month(laptop: &Laptop) -> Month {
    Month::of(laptop.clock_now())
}

fn nothing(month: Month) -> Value {
    json!({"month": month, "calls": 0, "seconds": 0, "call_cost": "0", "texts": 0, "text_cost": "0"})
}

/// Returns the last event of the callee's leg of a call.
fn completed(conversation: &Value, uuid: &str, timestamp: &str) -> Value {
    json!({"headers": {}, "from": dials(conversation, 1), "to": DRIVER, "status": "completed", "uuid": uuid,
           "timestamp": timestamp, "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
           "direction": "outbound", "duration": "42", "rate": "0.00720000", "price": "0.00504000"})
}

/// Has the rider call and text, and the backend text the rider, so that all is paid for. Returns what Vonage took for it.
async fn use_all(laptop: &Laptop, path: &str) -> Decimal {
    let before = laptop.spent().await;
    let created = create(laptop, path, true).await;
    let dialled = dials(&created, 0);
    laptop.call(json!({"from": RIDER, "to": dialled, "talk_seconds": 42})).await;
    laptop.call(json!({"from": DRIVER, "to": dials(&created, 1), "talk_seconds": 20})).await;
    laptop.text(json!({"from": RIDER, "to": dialled, "text": "a".repeat(200)})).await;
    let written = laptop.request(Method::POST, &format!("{path}/conversations/{}/texts", text(&created, "/id")));
    let written = written.header("Idempotency-Key", "k").body(json!({"to": "a", "text": "Here."}).to_string());
    assert_eq!(laptop.answer(written).await.status, 201);
    for _ in 0..2 {
        laptop.receipts(json!({"keep": true})).await;
    }
    laptop.spent().await - before
}

#[tokio::test]
async fn tenant_is_charged_what_vonage_takes_for_it() {
    for api in ["sms-api", "messages-api"] {
        let laptop = with_acme(Laptop::builder().env(&[("TEXTS_BY", api)])).await;
        let paid = use_all(&laptop, "/t/acme").await;
        let of_others = use_all(&laptop, "").await;
        assert_eq!(paid, of_others, "the same again, for the deployment itself");
        let [now, last] = serde_json::from_value::<[Value; 2]>(spent(&laptop, "acme", "").await).unwrap();
        assert_eq!((&now["calls"], &now["seconds"], &now["texts"]), (&json!(2), &json!(62), &json!(4)), "{api}: {now}");
        assert_eq!(amount(&now, "call_cost") + amount(&now, "text_cost"), paid, "{api}: {now}");
        assert!(amount(&now, "text_cost") > Decimal::ZERO && amount(&now, "call_cost") > Decimal::ZERO, "{now}");
        let month = this_month(&laptop);
        assert_eq!((&now["month"], last), (&json!(month), nothing(month.previous())));
        assert_eq!(spent(&laptop, "beta", "").await[0], nothing(month), "{api}");
        let table = laptop.table().await;
        assert_eq!(table.tenant_costs.keys().collect::<Vec<_>>(), [&("acme".to_owned(), month.to_string())]);
    }
}

#[tokio::test]
async fn price_counts_once_however_often_it_is_told() {
    let laptop = with_acme(Laptop::builder()).await;
    let created = create(&laptop, "/t/acme", false).await;
    let now = format!("{:.3}", laptop.clock_now());
    for _ in 0..3 {
        assert_eq!(laptop.event(&completed(&created, "leg-1", &now)).await.status, 204);
    }
    // The caller's leg tells no price at first, and another status ends it too.
    let mut inbound = completed(&created, "leg-2", &now);
    inbound["from"] = json!(RIDER);
    inbound["to"] = json!(dials(&created, 0));
    inbound["direction"] = json!("inbound");
    inbound["price"] = Value::Null;
    laptop.event(&inbound).await;
    inbound["price"] = json!("0.003");
    for status in ["completed", "failed", "completed"] {
        inbound["status"] = json!(status);
        assert_eq!(laptop.event(&inbound).await.status, 204);
    }
    let month = this_month(&laptop);
    let expected =
        json!({"month": month, "calls": 1, "seconds": 42, "call_cost": "0.00804", "texts": 0, "text_cost": "0"});
    assert_eq!(spent(&laptop, "acme", "").await[0], expected);
    // A sum outlives what it is the sum of.
    let path = format!("/t/acme/conversations/{}", text(&created, "/id"));
    assert_eq!(laptop.delete(&format!("{path}?erase=true")).await.status, 204);
    laptop.event(&completed(&created, "leg-1", &now)).await;
    laptop.event(&completed(&created, "leg-3", &now)).await;
    assert_eq!(spent(&laptop, "acme", "").await[0], expected);
    laptop.table().await;
}

#[tokio::test]
async fn price_counts_in_the_month_in_which_the_leg_ended() {
    let laptop = with_acme(Laptop::builder()).await;
    let created = create_for(&laptop, "/t/acme", json!({"notify": false, "expires_in": 40 * 86_400})).await;
    let (now, last) = (laptop.clock_now(), this_month(&laptop));
    let first_day = TimeZone::UTC.to_datetime(now).date().last_of_month().tomorrow().unwrap();
    let midnight = TimeZone::UTC.to_timestamp(first_day.at(0, 0, 0, 0)).unwrap();
    assert_eq!(laptop.event(&completed(&created, "leg-1", &format!("{now:.3}"))).await.status, 204);
    laptop.advance(midnight.as_second() - now.as_second() + 5);
    // One is late.
    for (uuid, time) in [("leg-2", midnight - jiff::SignedDuration::from_millis(1)), ("leg-3", midnight)] {
        assert_eq!(laptop.event(&completed(&created, uuid, &format!("{time:.3}"))).await.status, 204);
    }
    let month = this_month(&laptop);
    assert_eq!(month.previous(), last);
    let both = spent(&laptop, "acme", "").await;
    assert_eq!((&both[0]["month"], &both[0]["seconds"]), (&json!(month), &json!(42)), "{both}");
    assert_eq!((&both[1]["month"], &both[1]["seconds"]), (&json!(last), &json!(84)), "{both}");
    assert_eq!(spent(&laptop, "acme", &format!("?month={last}")).await, json!([both[1]]));
    let before = Month::try_from("1999-02").unwrap();
    assert_eq!(spent(&laptop, "acme", "?month=1999-02").await, json!([nothing(before)]));
    for wrong in ["2026-13", "2026", "", "now"] {
        let refused = laptop.get(&format!("/tenants/acme?month={wrong}")).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "month"), "{wrong}: {refused:?}");
    }
    assert_eq!(laptop.get("/tenants/acme?year=2026").await.status, 422);
    assert_eq!(laptop.get(&format!("/tenants?month={month}")).await.status, 422);
}

#[tokio::test]
async fn sum_is_kept_for_thirteen_months_after_its_last_price() {
    let laptop = with_acme(Laptop::builder()).await;
    let created = create(&laptop, "/t/acme", false).await;
    let now = laptop.clock_now();
    laptop.event(&completed(&created, "leg-1", &format!("{now:.3}"))).await;
    let items = laptop.items().await;
    let sum = items.iter().find(|item| text(item, "/pk/S") == "TENANT#acme").unwrap();
    let kept: i64 = text(sum, "/ttl/N").parse().unwrap();
    assert_eq!(kept - now.as_second(), 400 * 86_400, "{sum}");
}

#[tokio::test]
async fn damaged_and_newer_sums_harm_no_call_and_no_text() {
    for damage in [json!({"v": {"N": "1"}, "call_cost": {"M": {}}, "texts": {"M": {}}}), json!({"v": {"N": "99"}})] {
        let laptop = with_acme(Laptop::builder().env(&[("TEXTS_BY", "messages-api")])).await;
        for part in 0..32 {
            let mut item = damage.clone();
            item["pk"] = json!({"S": "TENANT#acme"});
            item["sk"] = json!({"S": format!("COST#{}#{part:02}", this_month(&laptop))});
            let put = laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": item})).await;
            assert_eq!(put.status, 200, "{put:?}");
        }
        let created = create(&laptop, "/t/acme", true).await;
        let call = laptop.call(json!({"from": RIDER, "to": dials(&created, 0), "events": "in_order"})).await;
        for event in call["events"].as_array().unwrap() {
            assert_eq!(event["http_status"], 204, "{call}");
        }
        laptop.text(json!({"from": RIDER, "to": dials(&created, 0), "text": "Hello"})).await;
        for receipt in laptop.receipts(json!({})).await {
            assert_eq!(receipt["deliveries"], json!([200]), "{receipt}");
        }
        let read = laptop.get(&format!("/t/acme/conversations/{}", text(&created, "/id"))).await.body;
        assert_eq!(text(&read, "/texts/0/state"), "delivered", "{read}");
        assert_eq!(text(&read, "/calls/0/legs/1/status"), "completed", "{read}");
        assert!(read["texts"][0]["price"].is_string() && read["calls"][0]["price"].is_string(), "{read}");
        assert_eq!(spent(&laptop, "acme", "").await[0], nothing(this_month(&laptop)));
    }
}
