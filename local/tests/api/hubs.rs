//! People with very many conversations, and very large pools.

use std::collections::HashSet;

use local::traffic::{Service, Usage};
use serde_json::{Map, Value, json};
use shared::clock::Clock;
use testkit::{Laptop, text};

/// A support line.
const HUB: &str = "447700900001";

/// Returns the virtual number at `index` of the crowd.
fn number(index: usize) -> String {
    format!("44745{index:07}")
}

fn key(pk: &str, sk: &str) -> Map<String, Value> {
    Map::from_iter([("pk".to_owned(), json!({"S": pk})), ("sk".to_owned(), json!({"S": sk}))])
}

fn integer(value: i64) -> Value {
    json!({"N": value.to_string()})
}

async fn put(laptop: &Laptop, items: impl IntoIterator<Item = Map<String, Value>>) {
    let puts: Vec<Value> = items.into_iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
    for some in puts.chunks(25) {
        let done = laptop.dynamodb("BatchWriteItem", json!({"RequestItems": {"maskline": some}})).await;
        assert_eq!(done.status, 200, "{}", done.body);
    }
}

/// Makes numbers ready, as that many purchases would have.
async fn with_ready(laptop: &Laptop, count: usize) {
    let indices: Vec<usize> = (0..count).collect();
    let mut versions = key("POOL", "READY");
    for (part, indices) in indices.chunks(4000).enumerate() {
        let name = format!("GB#44#{part}");
        let mut item = key(&format!("READY#{name}"), "READY");
        item.extend(indices.iter().map(|index| (number(*index), json!({"BOOL": true}))));
        item.insert("version".to_owned(), integer(1));
        versions.insert(name.clone(), integer(1));
        versions.insert(format!("{name}#count"), integer(indices.len().try_into().unwrap()));
        put(laptop, [item]).await;
    }
    put(laptop, [versions]).await;
}

/// Gives the hub live routes under these numbers, each like the route of a real conversation.
async fn with_routes(laptop: &Laptop, like: &Value, indices: impl Iterator<Item = usize>) {
    with_routes_of(laptop, HUB, like, indices).await;
}

async fn with_routes_of(laptop: &Laptop, caller: &str, like: &Value, indices: impl Iterator<Item = usize>) {
    let route = |index: usize| {
        let mut route = like.as_object().unwrap().clone();
        route.extend(key(&format!("CALLER#{caller}"), &format!("NUMBER#{}", number(index))));
        route
    };
    put(laptop, indices.map(route)).await;
}

/// Returns a route of the hub as a creation stores it, and creates one for that.
async fn real_route(laptop: &Laptop) -> Value {
    assert_eq!(create(laptop, 0).await.0, 201);
    let is_route = |item: &Value| item["pk"]["S"] == format!("CALLER#{HUB}") && item["sk"]["S"] != "POOL";
    laptop.items().await.into_iter().find(is_route).unwrap()
}

/// Creates a conversation of the hub with a person.
async fn create(laptop: &Laptop, person: usize) -> (u16, Value) {
    create_for(laptop, HUB, person).await
}

async fn create_for(laptop: &Laptop, caller: &str, person: usize) -> (u16, Value) {
    let participants =
        [caller.to_owned(), format!("4477{person:08}")].map(|digits| json!({"number": format!("+{digits}")}));
    let created = laptop.post("/conversations", &json!({"participants": participants, "notify": false})).await;
    (created.status, created.body)
}

/// Creates a conversation of the hub with a person. Returns it, the names of the requests to the table, and their cost.
async fn watched(laptop: &Laptop, person: usize) -> (Value, Vec<String>, Usage) {
    watched_for(laptop, HUB, person).await
}

async fn watched_for(laptop: &Laptop, caller: &str, person: usize) -> (Value, Vec<String>, Usage) {
    let traffic = &laptop.stack.traffic;
    traffic.watch();
    let (status, created) = create_for(laptop, caller, person).await;
    assert_eq!(status, 201, "{created}");
    traffic.settled().await;
    let exchanges = traffic.take();
    let names = exchanges.iter().filter(|exchange| exchange.service == Service::Dynamodb);
    (created, names.map(|exchange| exchange.name.clone()).collect(), Usage::of(Service::Dynamodb, &exchanges))
}

/// Has a call answered, and returns what that cost.
async fn answered(laptop: &Laptop, caller: &str, dialled: &str) -> Usage {
    let body = json!({"from": caller, "to": dialled, "uuid": "0779a56d002f1c7f47f82ef5fe84ab79",
                      "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"});
    laptop.stack.traffic.watch();
    let answer = laptop.signed_post("/webhooks/answer", &body.to_string()).await;
    assert_eq!(answer.body[1]["action"], "connect", "{}", answer.body);
    laptop.stack.traffic.settled().await;
    Usage::of(Service::Dynamodb, &laptop.stack.traffic.take())
}

#[tokio::test]
async fn hub_of_ten_thousand_costs_three_round_trips() {
    let laptop = Laptop::start().await;
    with_ready(&laptop, 12_000).await;
    let like = real_route(&laptop).await;
    // In the order of the numbers the free ones are everywhere.
    let held: HashSet<usize> = (0..12_000).filter(|index| index % 6 != 0).collect();
    with_routes(&laptop, &like, held.iter().copied()).await;
    for person in 1..20 {
        let (created, mut requests, usage) = watched(&laptop, person).await;
        requests.sort();
        // A mark of peak usage is written at the same time as the conversation.
        requests.retain(|request| request != "UpdateItem");
        assert_eq!(requests, ["BatchGetItem", "GetItem", "Query", "Query", "TransactWriteItems"]);
        assert!(usage.read_units <= 150.0 && usage.write_units <= 13.0, "{usage:?}");
        let dials = text(&created, "/participants/0/dials");
        assert!(held.iter().all(|index| number(*index) != dials), "{dials} is in use");
        println!("hub of 10,000: {usage:?}");
    }
    laptop.advance(60);
    let high_water = laptop.store().peak_usage(laptop.clock.now()).await.unwrap();
    let estimate = high_water.of("GB".try_into().unwrap(), shared::domain::peak_usage::day(laptop.clock.now()));
    assert!((9_000..12_000).contains(&estimate), "{estimate}");
}

/// Returns the body of a `POST /conversations` in which the hub only receives.
fn one_way(person: usize) -> Value {
    let participants =
        [format!("4477{person:08}"), HUB.to_owned()].map(|digits| json!({"number": format!("+{digits}")}));
    json!({"participants": participants, "direction": "a_to_b", "notify": false})
}

/// Nothing about the hub grows with its conversations, so the hundreds here stand for any number of them.
#[tokio::test]
async fn receiving_hub_needs_one_number_and_reads_one_item() {
    let laptop = Laptop::start().await;
    with_ready(&laptop, 1_000).await;
    // It also has thousands of conversations of both, which a creation must not read.
    let like = real_route(&laptop).await;
    with_routes(&laptop, &like, (0..1_000).filter(|index| index % 6 != 0)).await;
    let mut masks = HashSet::new();
    for person in 1..300 {
        laptop.stack.traffic.watch();
        let created = laptop.post("/conversations", &one_way(person)).await;
        assert_eq!(created.status, 201, "{created:?}");
        laptop.stack.traffic.settled().await;
        let usage = Usage::of(Service::Dynamodb, &laptop.stack.traffic.take());
        // The first ones leave marks of peak usage.
        if person > 10 {
            assert_eq!((usage.requests, usage.read_units, usage.write_units), (4, 3.0, 10.0), "{person}: {usage:?}");
        } else {
            assert!(usage.requests <= 9 && usage.read_units <= 120.0 && usage.write_units <= 13.0, "{usage:?}");
        }
        masks.insert(text(&created.body, "/participants/0/masked_by").to_owned());
        let answer = answered(&laptop, &format!("4477{person:08}"), text(&created.body, "/participants/0/dials")).await;
        assert_eq!((answer.requests, answer.read_units), (1, 0.5));
    }
    let [mask] = &masks.into_iter().collect::<Vec<_>>()[..] else { panic!("more than one number") };
    assert!((0..1_000).step_by(6).any(|index| number(index) == *mask), "{mask} is dialled by the hub");
    let of_hub = laptop.items().await.into_iter().filter(|item| item["pk"]["S"] == format!("CALLER#{HUB}"));
    let holds = of_hub.filter(|item| !item["held_at"].is_null() || item["sk"]["S"] == "RECEIVES").count();
    assert_eq!(holds, 2, "a hold and a line");
}

#[tokio::test]
async fn last_free_number_of_a_hub_is_found_before_a_refusal() {
    let laptop = Laptop::start().await;
    with_ready(&laptop, 301).await;
    let like = real_route(&laptop).await;
    with_routes(&laptop, &like, (0..301).filter(|index| *index != 77)).await;
    let (status, created) = create(&laptop, 1).await;
    assert_eq!((status, text(&created, "/participants/0/dials")), (201, &*number(77)), "{created}");
    let (status, refused) = create(&laptop, 2).await;
    assert_eq!((status, text(&refused, "/type")), (409, "urn:maskline:problem:no-number-free"), "{refused}");
}

#[tokio::test]
async fn conversation_may_move_to_the_phone_of_a_hub() {
    let laptop = Laptop::start().await;
    with_ready(&laptop, 1_000).await;
    let like = real_route(&laptop).await;
    let other = create_for(&laptop, "447700900009", 1).await.1;
    let mask = text(&other, "/participants/0/dials").to_owned();
    let change = json!({"participants": [{"number": format!("+{HUB}")}, null]});
    let path = format!("/conversations/{}", text(&other, "/id"));
    with_routes(&laptop, &like, (0..1_000).filter(|index| number(*index) != mask)).await;
    let changed = laptop.patch(&path, &change).await;
    assert_eq!((changed.status, text(&changed.body, "/participants/0/dials")), (200, &*mask), "{changed:?}");
    let taken = create_for(&laptop, "447700900008", 2).await.1;
    let path = format!("/conversations/{}", text(&taken, "/id"));
    let refused = laptop.patch(&path, &change).await;
    assert_eq!(refused.status, 409, "{refused:?}");
}

#[tokio::test]
async fn same_person_gets_the_hubs_number_again() {
    let laptop = Laptop::builder().env(&[("QUARANTINE_SECONDS", "7200")]).start().await;
    with_ready(&laptop, 12_000).await;
    let like = real_route(&laptop).await;
    with_routes(&laptop, &like, (0..12_000).filter(|index| index % 6 != 0)).await;
    let (_, first) = create(&laptop, 1).await;
    assert_eq!(laptop.delete(&format!("/conversations/{}", text(&first, "/id"))).await.status, 200);
    laptop.advance(7_201);
    let (_, again) = create(&laptop, 1).await;
    for side in 0..2 {
        let dials = format!("/participants/{side}/dials");
        assert_eq!(text(&first, &dials), text(&again, &dials), "{side}");
    }
}

#[tokio::test]
async fn creation_costs_the_same_in_a_pool_of_100_000() {
    let laptop = Laptop::start().await;
    with_ready(&laptop, 100_000).await;
    assert_eq!(create(&laptop, 1).await.0, 201);
    let (_, mut requests, usage) = watched(&laptop, 2).await;
    requests.sort();
    requests.retain(|request| request != "UpdateItem");
    assert_eq!(requests, ["GetItem", "Query", "Query", "TransactWriteItems"]);
    assert!(usage.read_units <= 3.0 && usage.write_units <= 13.0, "{usage:?}");
    // One more number is one more read, of its part only.
    laptop.rent("GB", 1).await;
    let (_, requests, usage) = watched(&laptop, 3).await;
    assert_eq!(requests.iter().filter(|request| *request == "GetItem").count(), 2);
    assert!(usage.read_units <= 30.0, "{usage:?}");
}

#[tokio::test]
async fn cost_is_bounded_for_all_routes_and_pools() {
    for (pool, most) in [(10, 1), (1_000, 900), (100_000, 10_000)] {
        let laptop = Laptop::start().await;
        with_ready(&laptop, pool).await;
        let like = real_route(&laptop).await;
        for (nth, routes) in [1, 100, 900, 10_000].into_iter().filter(|routes| *routes <= most).enumerate() {
            let caller = format!("44770090010{nth}");
            // Every second number of a part of the pool, or nearly all of it.
            let step = (pool / routes / 2).max(1);
            with_routes_of(&laptop, &caller, &like, (0..pool).step_by(step).take(routes)).await;
            let (created, requests, usage) = watched_for(&laptop, &caller, 7).await;
            assert!(usage.read_units <= if routes < 100 { 4.0 } else { 80.0 }, "{routes} {pool} {usage:?}");
            assert!(usage.write_units <= 13.0, "{routes} {pool} {usage:?}");
            let answer = answered(&laptop, &caller, text(&created, "/participants/0/dials")).await;
            println!(
                "| {routes} | {pool} | {} | {} | {} | {} |",
                requests.len(),
                usage.read_units,
                usage.write_units,
                answer.read_units
            );
            assert_eq!((answer.requests, answer.read_units), (1, 0.5), "{routes} {pool}");
        }
    }
}
