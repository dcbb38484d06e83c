//! A pool of thousands of numbers: what a run reads of it, and the ledger of a version without counts.

use std::collections::BTreeMap;

use local::traffic::{Exchange, Service, Usage};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::country::Country;
use shared::domain::tenant::Pool;
use testkit::{Laptop, text};

/// The first number of the large pool.
const FIRST: u64 = 46_766_000_001;

fn number(index: u64) -> String {
    (FIRST + index).to_string()
}

/// Writes items to the table, at most 25 in a request as DynamoDB allows.
async fn write(laptop: &Laptop, items: &[Value]) {
    for chunk in items.chunks(25) {
        let puts: Vec<_> = chunk.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
        let answer = laptop.dynamodb("BatchWriteItem", json!({"RequestItems": {"maskline": puts}})).await;
        assert_eq!((answer.status, &answer.body["UnprocessedItems"]), (200, &json!({})), "{answer:?}");
    }
}

/// Stores ready numbers of Sweden, with a ledger as a version without counts wrote it.
async fn store_numbers(laptop: &Laptop, count: u64) {
    let now = laptop.clock.now().as_second().to_string();
    let mut items = Vec::new();
    let mut parts: BTreeMap<u64, Value> = BTreeMap::new();
    for index in 0..count {
        let (number, part) = (number(index), index / 4000);
        let list = parts.entry(part).or_insert_with(
            || json!({"pk": {"S": format!("READY#SE#46#{part}")}, "sk": {"S": "READY"}, "version": {"N": "1"}}),
        );
        list[&number] = json!({"BOOL": true});
        items.push(json!({"pk": {"S": format!("CALLER#{number}")}, "sk": {"S": "POOL"}, "country": {"S": "SE"}}));
        items.push(json!({"pk": {"S": "POOL#SE"}, "sk": {"S": format!("NUMBER#{number}")}, "number": {"S": number},
            "country": {"S": "SE"}, "type": {"S": "mobile-lvn"}, "features": {"L": [{"S": "VOICE"}, {"S": "SMS"}]},
            "monthly_cost": {"S": "1.25"}, "state": {"S": "ready"}, "added_at": {"N": now}, "leased_until": {"N": now},
            "part": {"N": part.to_string()}}));
    }
    let mut states = json!({"pk": {"S": "POOL"}, "sk": {"S": "READY"}});
    for part in parts.keys() {
        let of_part = (count - part * 4000).min(4000);
        states[format!("SE#46#{part}")] = json!({"N": "1"});
        states[format!("SE#46#{part}#count")] = json!({"N": of_part.to_string()});
    }
    items.push(json!({"pk": {"S": "POOL"}, "sk": {"S": "LEDGER"}, "countries": {"SS": ["SE"]},
        "version": {"N": count.to_string()}, "monthly_cost": {"N": format!("{:.2}", 1.25 * count as f64)}}));
    items.push(states);
    write(laptop, &items).await;
    for part in parts.into_values() {
        write(laptop, &[part]).await;
    }
}

/// Starts a laptop with a large pool, whose numbers the account rents.
async fn with_numbers(count: u64, settings: &[(&str, &str)]) -> Laptop {
    let laptop = Laptop::builder().env(settings).start().await;
    store_numbers(&laptop, count).await;
    let rented = json!({"country": "SE", "first": number(0), "count": count, "cost": "1.25", "rented": true});
    assert_eq!(laptop.vonage(reqwest::Method::POST, "/simulator/numbers", rented).await.status, 204);
    laptop
}

fn country() -> Country {
    Country::try_from("SE").unwrap()
}

/// Runs `operation` and returns what it sent.
async fn traffic<T>(laptop: &Laptop, operation: impl Future<Output = T>) -> (T, Vec<Exchange>) {
    laptop.stack.traffic.watch();
    let done = operation.await;
    laptop.stack.traffic.settled().await;
    (done, laptop.stack.traffic.take())
}

fn reads(exchanges: &[Exchange]) -> f64 {
    Usage::of(Service::Dynamodb, exchanges).read_units
}

fn lists(exchanges: &[Exchange]) -> usize {
    exchanges.iter().filter(|exchange| exchange.name == "/account/numbers").count()
}

async fn release(laptop: &Laptop, number: &str) {
    let form = [("country", "SE"), ("msisdn", number)];
    assert_eq!(laptop.vonage_form("/number/cancel", &form).await.status, 200);
}

#[tokio::test]
async fn ledger_without_counts_is_counted_once() {
    let laptop = with_numbers(2500, &[]).await;
    let pool = laptop.get("/numbers?limit=10").await.body;
    assert_eq!((&pool["countries"][0]["ready"], text(&pool, "/countries/0/monthly_cost")), (&json!(2500), "3125.00"));
    assert_eq!(text(&pool, "/monthly_cost"), "3125.00");
    laptop.table().await;
    let (again, sent) = traffic(&laptop, laptop.get("/numbers?limit=10")).await;
    assert_eq!(again.body["countries"][0]["ready"], 2500);
    // Seven of them are the days of the health of the numbers.
    assert!(reads(&sent) < 15.0, "{sent:?}");
}

#[tokio::test]
async fn count_of_an_old_pool_lists_what_needs_work() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    laptop.delete("/numbers/447451000001").await;
    assert_eq!(
        laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", "447451000002")]).await.status,
        200
    );
    laptop.run_schedule().await;
    // As a version without counts would have left it.
    let ledger = json!({"pk": {"S": "POOL"}, "sk": {"S": "LEDGER"}, "countries": {"SS": ["GB"]}, "version": {"N": "4"},
                        "monthly_cost": {"N": "3.75"}});
    for mark in ["DRAINING#447451000001", "LOST#447451000002"] {
        let key = json!({"pk": {"S": "POOL#GB"}, "sk": {"S": mark}});
        let deleted = json!({"TableName": "maskline", "Key": key, "ReturnValues": "ALL_OLD"});
        assert_eq!(laptop.dynamodb("DeleteItem", deleted).await.body["Attributes"]["sk"]["S"], *mark);
    }
    write(&laptop, &[ledger]).await;
    laptop.advance(61);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!(["447451000001"]));
    let gb = laptop.get("/numbers").await.body["countries"][0].clone();
    assert_eq!((&gb["ready"], &gb["lost"], &gb["draining"]), (&json!(2), &json!(1), &json!(0)));
    laptop.table().await;
}

#[tokio::test]
async fn number_that_another_version_adds_counts_towards_an_order() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    // A run of a version without counts is buying a number, while this version is deployed.
    let (number, now) = ("447451000009", laptop.clock.now().as_second());
    let items = [
        json!({"pk": {"S": format!("CALLER#{number}")}, "sk": {"S": "POOL"}, "country": {"S": "GB"}}),
        json!({"pk": {"S": "POOL#GB"}, "sk": {"S": format!("NUMBER#{number}")}, "number": {"S": number},
            "country": {"S": "GB"}, "type": {"S": "mobile-lvn"}, "features": {"L": [{"S": "VOICE"}, {"S": "SMS"}]},
            "monthly_cost": {"S": "1.25"}, "state": {"S": "renting"}, "added_at": {"N": now.to_string()},
            "leased_until": {"N": (now + 60).to_string()}}),
    ];
    write(&laptop, &items).await;
    let added = json!({"TableName": "maskline", "Key": {"pk": {"S": "POOL"}, "sk": {"S": "LEDGER"}},
        "UpdateExpression": "SET version = version + :one ADD monthly_cost :cost",
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":cost": {"N": "1.25"}}});
    assert_eq!(laptop.dynamodb("UpdateItem", added).await.status, 200);
    let order = laptop.post("/numbers", &json!({"country": "GB", "count": 2})).await.body;
    assert_eq!(
        (&order["ready"], &order["in_progress"], &order["added"]),
        (&json!(1), &json!(1), &json!([])),
        "{order}"
    );
    laptop.table().await;
    laptop.advance(61);
    assert_eq!(laptop.run_orders().await[0]["ready"], 2);
    assert_eq!((laptop.asked("/number/buy").await, laptop.settled_pool().await.len()), (2, 2));
}

#[tokio::test]
async fn schedule_corrects_counts_that_another_version_left_wrong() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let wrong = json!({"TableName": "maskline", "Key": {"pk": {"S": "POOL"}, "sk": {"S": "LEDGER"}},
                       "UpdateExpression": "ADD #ready :two", "ExpressionAttributeNames": {"#ready": "GB#ready"},
                       "ExpressionAttributeValues": {":two": {"N": "2"}}});
    assert_eq!(laptop.dynamodb("UpdateItem", wrong).await.status, 200);
    assert_eq!(laptop.get("/numbers").await.body["countries"][0]["ready"], 5);
    laptop.run_schedule().await;
    assert_eq!(laptop.get("/numbers").await.body["countries"][0]["ready"], 3);
    laptop.table().await;
}

#[tokio::test]
async fn large_account_is_compared_in_parts() {
    let laptop = with_numbers(6000, &[]).await;
    laptop.get("/numbers?limit=1").await;
    let (missing, unknown) = (number(3456), number(6000));
    release(&laptop, &missing).await;
    let one_more = json!({"country": "SE", "first": unknown, "count": 1, "cost": "1.25", "rented": true});
    assert_eq!(laptop.vonage(reqwest::Method::POST, "/simulator/numbers", one_more).await.status, 204);
    let (report, sent) = traffic(&laptop, laptop.run_schedule()).await;
    assert_eq!((&report["lost"], &report["adopted"]), (&json!([missing]), &json!([unknown])), "{report}");
    // 60 pages, a few more to divide them, and the missing number by itself.
    assert!((60..90).contains(&lists(&sent)), "{} requests for the list", lists(&sent));
    assert_eq!(laptop.store().saved_account_walk().await.unwrap(), None);
    let se = laptop.get("/numbers?limit=1").await.body["countries"][0].clone();
    assert_eq!((&se["ready"], &se["lost"]), (&json!(6000), &json!(1)));
}

#[tokio::test]
async fn comparison_is_continued_where_a_run_had_to_stop() {
    // 12,000 numbers are 120 pages, and a run reads up to 100.
    let laptop = with_numbers(12_000, &[]).await;
    laptop.get("/numbers?limit=1").await;
    let last = number(11_999);
    release(&laptop, &last).await;
    let (report, sent) = traffic(&laptop, laptop.run_schedule()).await;
    assert_eq!(report["lost"], json!([]), "it is at the end");
    assert!(lists(&sent) <= 100, "{}", lists(&sent));
    assert!(laptop.store().saved_account_walk().await.unwrap().is_some());
    assert_eq!(laptop.run_schedule().await["lost"], json!([last]));
    assert_eq!(laptop.store().saved_account_walk().await.unwrap(), None);
}

#[tokio::test]
async fn no_request_reads_the_whole_pool() {
    let laptop = with_numbers(3000, &[("MONTHLY_BUDGET_EUR", "9999")]).await;
    laptop.get("/numbers?limit=1").await;
    let on_sale = json!({"country": "SE", "first": "46700000001", "count": 20, "cost": "1.25"});
    assert_eq!(laptop.vonage(reqwest::Method::POST, "/simulator/numbers", on_sale).await.status, 204);
    let order = json!({"country": "SE", "count": 3005});
    let (answer, sent) = traffic(&laptop, laptop.post("/numbers", &order)).await;
    assert_eq!((answer.status, &answer.body["ready"]), (200, &json!(3005)), "{answer:?}");
    assert!(reads(&sent) < 60.0, "{} units for five numbers", reads(&sent));
    let (_, sent) = traffic(&laptop, laptop.run_orders()).await;
    assert!(reads(&sent) < 3.0, "{sent:?}");
    let (_, sent) = traffic(&laptop, laptop.get("/numbers?country=SE&limit=100")).await;
    assert!(reads(&sent) < 20.0, "{} units for a page", reads(&sent));
    let (_, sent) = traffic(&laptop, laptop.delete(&format!("/numbers/{}", number(7)))).await;
    assert!(reads(&sent) < 5.0, "{sent:?}");
    laptop.advance(61);
    let counts = laptop.store().ledger().await.unwrap().counts(Pool::own(country()));
    assert_eq!(counts.all(), 3005);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!([number(7)]));
}

#[tokio::test]
async fn draining_numbers_with_long_routes_do_not_keep_others() {
    let laptop = Laptop::start().await;
    let now = laptop.clock.now().as_second();
    let until = json!({"N": (now + 86_400).to_string()});
    let mut items = Vec::new();
    // More than one scan of routes covers. All but the last five have a route.
    for index in 0..55 {
        let number = number(index);
        items.push(json!({"pk": {"S": format!("CALLER#{number}")}, "sk": {"S": "POOL"}, "country": {"S": "SE"}}));
        items.push(json!({"pk": {"S": "POOL#SE"}, "sk": {"S": format!("NUMBER#{number}")}, "number": {"S": number},
            "country": {"S": "SE"}, "type": {"S": "mobile-lvn"}, "features": {"L": [{"S": "VOICE"}]},
            "state": {"S": "draining"}, "added_at": {"N": now.to_string()}, "leased_until": {"N": now.to_string()},
            "draining_since": {"N": now.to_string()}}));
        if index < 50 {
            items.push(json!({"pk": {"S": "CALLER#447700900001"}, "sk": {"S": format!("NUMBER#{number}")},
                "quarantined_until": until}));
        }
    }
    items
        .push(json!({"pk": {"S": "POOL"}, "sk": {"S": "LEDGER"}, "countries": {"SS": ["SE"]}, "version": {"N": "55"}}));
    write(&laptop, &items).await;
    let rented = json!({"country": "SE", "first": number(0), "count": 55, "cost": "1.25", "rented": true});
    assert_eq!(laptop.vonage(reqwest::Method::POST, "/simulator/numbers", rented).await.status, 204);
    laptop.advance(61);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!([]), "the first fifty have routes");
    laptop.advance(900);
    let last: Vec<_> = (50..55).map(number).collect();
    assert_eq!(laptop.run_schedule().await["cancelled"], json!(last));
}

#[tokio::test]
#[ignore = "it takes minutes; docs/performance.md has its figures"]
async fn hundred_thousand_numbers_are_compared_over_twelve_runs() {
    const COUNT: u64 = 100_000;
    let laptop = with_numbers(COUNT, &[]).await;
    let (_, sent) = traffic(&laptop, laptop.get("/numbers?limit=1")).await;
    println!("first count: {} read units", reads(&sent));
    let (_, sent) = traffic(&laptop, laptop.get("/numbers?limit=100")).await;
    println!("a page of 100: {} read units", reads(&sent));
    release(&laptop, &number(COUNT / 2)).await;
    let (mut runs, mut lost) = (0, Vec::new());
    loop {
        runs += 1;
        let start = std::time::Instant::now();
        let (report, sent) = traffic(&laptop, laptop.run_schedule()).await;
        let (elapsed, units) = (start.elapsed().as_secs_f64(), reads(&sent));
        println!("run {runs}: {} requests for the list, {units} read units, {elapsed:.1} s", lists(&sent));
        lost.extend(report["lost"].as_array().unwrap().clone());
        if laptop.store().saved_account_walk().await.unwrap().is_none() {
            break;
        }
    }
    assert_eq!(lost, [json!(number(COUNT / 2))]);
    assert!(runs <= 12, "{runs}");
}
