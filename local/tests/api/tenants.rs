//! Tenants: `/t/{tenant}/…`, and that nothing crosses from one owner to another.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, conversation, string, text};

use crate::healing::{assert_connects, dials, events};

/// Starts a laptop on which the deployment itself and two tenants have so many numbers each.
async fn with_tenants(count: usize) -> Laptop {
    let laptop = Laptop::builder().numbers("GB", count).start().await;
    for tenant in ["acme", "beta"] {
        let ordered = laptop.post(&format!("/t/{tenant}/numbers"), &json!({"country": "GB", "count": count})).await;
        assert_eq!((ordered.status, &ordered.body["ready"]), (200, &json!(count)), "{ordered:?}");
        assert_eq!((text(&ordered.body, "/tenant"), added(&ordered.body).len()), (tenant, count), "{ordered:?}");
    }
    laptop
}

fn added(ordered: &Value) -> BTreeSet<String> {
    ordered["added"].as_array().unwrap().iter().map(|number| string(&number["number"])).collect()
}

/// Returns the numbers in the pool at this path.
async fn pool(laptop: &Laptop, path: &str) -> BTreeSet<String> {
    let shown = laptop.get(&format!("{path}/numbers")).await.body;
    let countries = shown["countries"].as_array().unwrap().iter();
    let numbers = countries.flat_map(|country| country["numbers"].as_array().unwrap());
    numbers.map(|number| string(&number["number"])).collect()
}

async fn create(laptop: &Laptop, path: &str) -> Value {
    let created = laptop.post(&format!("{path}/conversations"), &conversation()).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

fn numbers_of(conversation: &Value) -> BTreeSet<String> {
    [0, 1].map(|side| dials(conversation, side)).into()
}

fn id(conversation: &Value) -> &str {
    text(conversation, "/id")
}

#[tokio::test]
async fn conversation_gets_numbers_of_its_owner_only() {
    let laptop = with_tenants(2).await;
    let pools = [pool(&laptop, "").await, pool(&laptop, "/t/acme").await, pool(&laptop, "/t/beta").await];
    assert!(pools.iter().all(|pool| pool.len() == 2), "{pools:?}");
    assert_eq!(pools.iter().flatten().collect::<BTreeSet<_>>().len(), 6, "{pools:?}");
    for (path, pool) in ["", "/t/acme", "/t/beta"].into_iter().zip(&pools) {
        // The same two people, at the same time.
        let created = create(&laptop, path).await;
        assert!(numbers_of(&created).is_subset(pool), "{created} {pool:?}");
        assert_eq!(created.get("tenant").map(string), path.strip_prefix("/t/").map(str::to_owned));
        let (of_rider, of_driver) = (dials(&created, 0), dials(&created, 1));
        assert_connects(&laptop, RIDER, &of_rider, DRIVER, &of_driver).await;
        assert_connects(&laptop, DRIVER, &of_driver, RIDER, &of_rider).await;
    }
    laptop.table().await;
}

#[tokio::test]
async fn one_without_free_numbers_gets_none_of_others() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9")]).numbers("GB", 4).start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 1})).await;
    create(&laptop, "/t/acme").await;
    let (spent, owned) = (laptop.spent().await, laptop.owned_numbers().await.len());
    for path in ["/t/acme", "/t/beta"] {
        let refused = laptop.post(&format!("{path}/conversations"), &conversation()).await;
        assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:no-number-free"));
    }
    laptop.run_schedule().await;
    assert_eq!((laptop.spent().await, laptop.owned_numbers().await.len()), (spent, owned), "nothing is rented for it");
    // Nor do those of tenants serve the deployment.
    for _ in 0..4 {
        create(&laptop, "").await;
    }
    assert_eq!(laptop.post("/conversations", &conversation()).await.status, 503);
    laptop.table().await;
}

/// Returns every request about a conversation, each with a body that is right.
fn requests_about(id: &str) -> Vec<(Method, String, Value)> {
    let of = |rest: &str| format!("conversations/{id}{rest}");
    vec![
        (Method::GET, of(""), Value::Null),
        (Method::GET, of("/texts"), Value::Null),
        (Method::GET, of("/recordings"), Value::Null),
        (Method::GET, of("/recordings/aaaaaaaa-bbbb-cccc-dddd-0123456789ab"), Value::Null),
        (Method::GET, of("/calls"), Value::Null),
        (Method::PATCH, of(""), json!({"max_calls": 3})),
        (Method::POST, of("/texts"), json!({"to": "a", "text": "Hello"})),
        (Method::POST, of("/calls"), json!({"from": "a"})),
        (Method::POST, of("/calls/CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab/talk"), json!({"text": "Hello"})),
        (Method::DELETE, of("/calls/CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"), Value::Null),
        (Method::DELETE, of("?hang_up=true"), Value::Null),
        (Method::DELETE, of("?erase=true"), Value::Null),
        (Method::DELETE, of(""), Value::Null),
    ]
}

async fn send(laptop: &Laptop, path: &str, (method, of_scope, body): &(Method, String, Value)) -> Answer {
    let request = laptop.request(method.clone(), &format!("{path}/{of_scope}")).header("Idempotency-Key", "k");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    laptop.answer(request.body(body)).await
}

#[tokio::test]
async fn conversation_of_another_is_like_none() {
    let laptop = with_tenants(2).await;
    let of_acme = create(&laptop, "/t/acme").await;
    let (of_deployment, unknown) = (create(&laptop, "").await, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let before = laptop.items().await;
    for foreign in [id(&of_acme), id(&of_deployment)] {
        for (request, about_none) in requests_about(foreign).iter().zip(requests_about(unknown)) {
            let answers = [send(&laptop, "/t/beta", request).await, send(&laptop, "/t/beta", &about_none).await];
            let seen = answers.each_ref().map(|answer| (answer.status, &answer.body));
            assert_eq!(seen[0], seen[1], "{request:?}");
            assert_eq!(seen[0].0, 404, "{request:?}");
        }
    }
    assert_eq!(laptop.items().await, before, "nothing has changed");
    for path in ["/t/acme", ""] {
        let shown = laptop.get(&format!("{path}/conversations/{}", id(&of_acme))).await;
        assert_eq!((shown.status, text(&shown.body, "/tenant")), (200, "acme"), "{shown:?}");
    }
    let wrong = laptop.get(&format!("/t/Acme/conversations/{}", id(&of_acme))).await;
    assert_eq!(wrong.status, 404, "{wrong:?}");
}

#[tokio::test]
async fn own_conversation_is_changed_ended_and_erased() {
    let laptop = with_tenants(2).await;
    let path = format!("/t/acme/conversations/{}", id(&create(&laptop, "/t/acme").await));
    let changed = laptop.patch(&path, &json!({"max_calls": 3})).await;
    assert_eq!((changed.status, &changed.body["max_calls"]), (200, &json!(3)), "{changed:?}");
    let moved = laptop.patch(&path, &json!({"participants": [null, {"number": "+447700900003"}]})).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let ended = laptop.delete(&path).await;
    assert_eq!((ended.status, text(&ended.body, "/state")), (200, "ended"));
    for _ in 0..2 {
        assert_eq!(laptop.delete(&format!("{path}?erase=true")).await.status, 204, "again, with the same answer");
        laptop.advance(60);
        laptop.stack.run_erasure_schedule().await.unwrap();
    }
    assert_eq!(laptop.delete(&format!("{}?erase=true", path.replace("acme", "beta"))).await.status, 404);
    assert_eq!(laptop.get(&path).await.status, 404);
    laptop.table().await;
}

#[tokio::test]
async fn list_of_a_phone_has_those_of_the_tenant_only() {
    let laptop = with_tenants(3).await;
    let mut of_acme = Vec::new();
    for path in ["", "/t/acme", "/t/beta", "/t/acme", "/t/beta", "/t/acme", ""] {
        let created = create(&laptop, path).await;
        of_acme.extend((path == "/t/acme").then(|| id(&created).to_owned()));
        laptop.advance(1);
    }
    of_acme.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = laptop.get(&format!("/t/acme/conversations?number=%2B{RIDER}&limit=2{cursor}")).await.body;
        seen.extend(page["conversations"].as_array().unwrap().iter().map(|one| id(one).to_owned()));
        let Some(next) = page.get("next").map(string) else { break };
        assert!(of_acme.contains(&next), "a cursor tells of another's conversation");
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, of_acme);
    let all = laptop.get(&format!("/conversations?number=%2B{RIDER}")).await.body;
    assert_eq!(all["conversations"].as_array().unwrap().len(), 7, "the deployment sees all");
    let none = laptop.get(&format!("/t/gamma/conversations?number=%2B{RIDER}")).await;
    assert_eq!((none.status, &none.body), (200, &json!({"conversations": []})));
}

#[tokio::test]
async fn same_idempotency_key_is_another_request_of_each_tenant() {
    let laptop = with_tenants(2).await;
    let mut ids = BTreeSet::new();
    for path in ["", "/t/acme", "/t/beta"] {
        for expected in [201, 200] {
            let request = laptop.request(Method::POST, &format!("{path}/conversations"));
            let request = request.header("Idempotency-Key", "ride-42").body(conversation().to_string());
            let answer = laptop.answer(request).await;
            assert_eq!(answer.status, expected, "{path} {answer:?}");
            ids.insert(id(&answer.body).to_owned());
        }
    }
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn number_of_another_is_like_none() {
    let laptop = with_tenants(2).await;
    let number = pool(&laptop, "/t/acme").await.pop_first().unwrap();
    for (method, rest, body) in [
        (Method::GET, "", String::new()),
        (Method::PATCH, "", json!({"support_phone": "+442079460000"}).to_string()),
        (Method::DELETE, "", String::new()),
        (Method::POST, "/rotate", "{}".to_owned()),
    ] {
        let answer = laptop.send(method.clone(), &format!("/t/beta/numbers/{number}{rest}"), body.clone()).await;
        assert_eq!((answer.status, text(&answer.body, "/type")), (404, "urn:maskline:problem:not-found"), "{method}");
        let own = laptop.send(method, &format!("/t/acme/numbers/{number}{rest}"), body).await;
        assert_eq!((own.status, text(&own.body, "/tenant")), (200, "acme"), "{own:?}");
    }
}

#[tokio::test]
async fn orders_and_counts_are_of_each_owner() {
    let laptop = with_tenants(2).await;
    let again = laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    assert_eq!(added(&again.body), BTreeSet::new(), "it has as many as it ordered");
    laptop.post("/numbers", &json!({"country": "GB", "count": 3})).await;
    let shown = laptop.get("/numbers").await.body;
    assert_eq!(shown["countries"][0]["ready"], 3);
    let tenants = shown["tenants"].as_array().unwrap();
    let tenants: Vec<_> = tenants.iter().map(|one| (text(one, "/tenant"), one["numbers"].as_u64().unwrap())).collect();
    assert_eq!(tenants, [("acme", 2), ("beta", 2)]);
    let cost = |shown: &Value| shown["monthly_cost"].to_string().trim_matches('"').parse::<f64>().unwrap();
    let of_acme = laptop.get("/t/acme/numbers").await.body;
    assert_eq!((text(&of_acme, "/tenant"), &of_acme["countries"][0]["ready"]), ("acme", &json!(2)));
    assert!(of_acme.get("tenants").is_none() && of_acme["countries"][0].get("headroom").is_none(), "{of_acme}");
    assert!((cost(&shown) - cost(&of_acme) * 3.5).abs() < 0.001, "of all seven numbers: {shown} {of_acme}");
    assert_eq!(laptop.get("/t/gamma/numbers").await.body["countries"], json!([]));
    laptop.settled_pool().await;
}

#[tokio::test]
async fn conversation_leaves_a_rotated_number_for_one_of_its_owner() {
    let laptop = Laptop::builder().numbers("GB", 5).start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let created = create(&laptop, "/t/acme").await;
    let (old, other) = (dials(&created, 0), dials(&created, 1));
    let rotate = async |number: &str| laptop.post(&format!("/t/acme/numbers/{number}/rotate"), &json!({})).await.status;
    assert_eq!(rotate(&old).await, 200);
    laptop.run_schedule().await;
    let healed = laptop.get(&format!("/conversations/{}", id(&created))).await.body;
    assert_eq!(dials(&healed, 0), other, "the only other number of this tenant");
    assert_eq!(rotate(&other).await, 409, "no other number, whatever the deployment has");
    for kind in ["Number rotated", "Dialled number rotated"] {
        let [event] = events(&laptop, kind).try_into().unwrap();
        assert_eq!(text(&event, "/tenant"), "acme", "{event}");
    }
    laptop.table().await;
}

#[tokio::test]
async fn lost_number_of_a_tenant_is_found_and_used_again() {
    let laptop = with_tenants(1).await;
    let [number] = Vec::from_iter(pool(&laptop, "/t/acme").await).try_into().unwrap();
    laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &number)]).await;
    assert_eq!(laptop.run_schedule().await["lost"], json!([number]));
    assert_eq!(laptop.post("/t/acme/conversations", &conversation()).await.status, 409);
    laptop.buy_by_hand("GB", &number).await;
    assert_eq!(laptop.run_schedule().await["found_again"], json!([number]));
    assert_eq!(numbers_of(&create(&laptop, "/t/acme").await), BTreeSet::from([number]));
    laptop.settled_pool().await;
}

#[tokio::test]
async fn token_reaches_the_tenant_of_its_claim_only() {
    let laptop = Laptop::builder().env(&[("TENANT_CLAIM", "custom:tenant")]).numbers("GB", 2).start().await;
    let routes = local::gateway::routes(&laptop.stack.environment, shared::clock::system()).unwrap();
    let ask = async |(method, route, path): (&str, &str, &str), authorizer: Value| {
        let key = format!("{method} {route}");
        let route = routes.iter().find(|route| route.key == key).unwrap();
        let names =
            route.path.split('/').zip(path.split('/')).filter_map(|(name, value)| {
                Some((name.strip_prefix('{')?.trim_end_matches('}').to_owned(), json!(value)))
            });
        let parameters: serde_json::Map<String, Value> = names.collect();
        let event = json!({"version": "2.0", "routeKey": key, "rawPath": path, "rawQueryString": "", "headers": {},
                           "pathParameters": parameters, "isBase64Encoded": false, "body": "{}",
                           "requestContext": {"http": {"method": method, "path": path}, "authorizer": authorizer}});
        route.invoke(event).await.unwrap()["statusCode"].as_u64().unwrap()
    };
    let token = |tenant: Value| json!({"jwt": {"claims": {"custom:tenant": tenant, "sub": "backend"}, "scopes": []}});
    let without = || json!({"jwt": {"claims": {"sub": "acme"}, "scopes": []}});
    let of_acme = ("GET", "/t/{tenant}/numbers", "/t/acme/numbers");
    assert_eq!(ask(of_acme, token(json!("acme"))).await, 200);
    assert_eq!(ask(of_acme, token(json!("*"))).await, 200);
    for refused in [token(json!("beta")), token(json!("")), without()] {
        assert_eq!(ask(of_acme, refused.clone()).await, 403, "{refused}");
    }
    // It may read what holds for it, and what it costs.
    let settings_of_acme = ("GET", "/tenants/{tenant}", "/tenants/acme");
    assert_eq!(ask(settings_of_acme, token(json!("acme"))).await, 200);
    assert_eq!(ask(settings_of_acme, without()).await, 403);
    let unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let of_deployment = [
        ("GET", "/numbers", "/numbers".to_owned()),
        ("PUT", "/tenants/{tenant}", "/tenants/acme".to_owned()),
        ("GET", "/tenants/{tenant}", "/tenants/beta".to_owned()),
        ("GET", "/tenants", "/tenants".to_owned()),
        ("POST", "/conversations", "/conversations".to_owned()),
        ("GET", "/conversations/{id}", format!("/conversations/{unknown}")),
        ("PATCH", "/conversations/{id}", format!("/conversations/{unknown}")),
        ("DELETE", "/conversations/{id}", format!("/conversations/{unknown}")),
        ("POST", "/conversations/{id}/texts", format!("/conversations/{unknown}/texts")),
        ("POST", "/conversations/{id}/notifications", format!("/conversations/{unknown}/notifications")),
        ("GET", "/conversations/{id}/calls", format!("/conversations/{unknown}/calls")),
        ("POST", "/erasures", "/erasures".to_owned()),
        ("GET", "/decisions", "/decisions".to_owned()),
    ];
    for (method, route, path) in &of_deployment {
        assert_eq!(ask((method, route, path), token(json!("acme"))).await, 403, "{method} {path}");
        assert_eq!(ask((method, route, path), without()).await, 403, "{method} {path}");
        assert_ne!(ask((method, route, path), token(json!("*"))).await, 403, "{method} {path}");
    }
    // A policy of IAM has admitted this one, and Vonage signs its webhooks.
    assert_eq!(ask(of_acme, json!({"iam": {"userArn": "arn:aws:iam::123456789012:user/acme"}})).await, 200);
    assert_eq!(laptop.get("/t/acme/numbers").await.status, 200);
}
