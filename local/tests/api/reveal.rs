//! `REVEAL_NUMBERS=permitted`: who sees real numbers, and what others can do without. That no answer at all shows one to others is
//! searched in `local/tests/leaks/reveal.rs`.

use local::gateway::{self, Route};
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

const LEAD: &str = "arn:aws:iam::111122223333:role/desk/support-lead";

/// Returns what API Gateway tells of the senders who see real numbers, and of some who do not.
fn senders() -> [(Value, bool); 6] {
    let role = |name: &str| json!({"iam": {"userArn": format!("arn:aws:sts::111122223333:assumed-role/{name}/anna")}});
    let token = |scope: &str| json!({"jwt": {"claims": {"scope": scope, "sub": "anna"}, "scopes": null}});
    [
        (role("support-lead"), true),
        (token("maskline/conversations maskline/reveal"), true),
        (role("support"), false),
        (token("maskline/conversations"), false),
        (json!({"iam": {}}), false),
        (json!(null), false),
    ]
}

async fn laptop() -> Laptop {
    let settings = [("REVEAL_NUMBERS", "permitted"), ("REVEAL_ROLES", LEAD)];
    Laptop::builder().env(&settings).numbers("GB", 4).start().await
}

/// Reads a conversation as this sender, and returns the answer.
async fn read(routes: &[Route], id: &str, authorizer: &Value) -> Value {
    let route = routes.iter().find(|route| route.key == "GET /conversations/{id}").unwrap();
    let path = format!("/conversations/{id}");
    let event = json!({"version": "2.0", "routeKey": route.key, "rawPath": path, "rawQueryString": "", "headers": {},
                       "pathParameters": {"id": id}, "isBase64Encoded": false,
                       "requestContext": {"http": {"method": "GET", "path": path}, "authorizer": authorizer}});
    let answer = route.invoke(event).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    serde_json::from_str(text(&answer, "/body")).unwrap()
}

#[tokio::test]
async fn only_the_scope_or_a_named_role_shows_numbers() {
    let laptop = laptop().await;
    let created = laptop.create_with(json!({})).await;
    laptop.call(json!({"from": RIDER, "to": created["participants"][0]["dials"]})).await;
    let routes = gateway::routes(&laptop.stack.environment, shared::clock::system()).unwrap();
    for (authorizer, sees) in senders() {
        let shown = read(&routes, text(&created, "/id"), &authorizer).await;
        let (rider, driver) = if sees { ("+447700900001", "+447700900002") } else { ("+44…001", "+44…002") };
        for (at, number) in [
            ("/participants/0/number", rider),
            ("/participants/1/number", driver),
            ("/calls/0/caller", rider),
            ("/calls/0/callee", driver),
            ("/calls/0/legs/0/number", rider),
        ] {
            assert_eq!(text(&shown, at), number, "{at} for {authorizer}");
        }
        // Virtual numbers are nobody's.
        assert_eq!(text(&shown, "/participants/0/dials")[1..], *text(&created, "/participants/0/dials"));
    }
}

#[tokio::test]
async fn masked_number_is_refused_wherever_a_number_is_taken() {
    let laptop = laptop().await;
    let created = laptop.create_with(json!({})).await;
    let masked = text(&created, "/participants/1/number");
    assert_eq!(masked, "+44…002");
    let path = format!("/conversations/{}", text(&created, "/id"));
    let written = "%2B44%E2%80%A6002";
    let number = text(&created, "/participants/0/dials");
    let mut order = conversation();
    order["participants"][1] = json!({"number": masked});
    let mut support = conversation();
    support["support_phone"] = json!(masked);
    let phones = json!({"participants": [null, {"phones": [{"number": masked}]}]});
    let standing = json!({"standing": {"phones": [{"number": masked}]}});
    for (answer, field) in [
        (laptop.post("/conversations", &order).await, "participants[1].number"),
        (laptop.post("/conversations", &support).await, "support_phone"),
        (laptop.patch(&path, &json!({"participants": [null, {"number": masked}]})).await, "participants[1].number"),
        (laptop.patch(&path, &phones).await, "participants[1].phones[0].number"),
        (laptop.patch(&format!("/numbers/{number}"), &standing).await, "standing.phones[0].number"),
        (laptop.patch(&format!("/numbers/{number}"), &json!({"support_phone": masked})).await, "support_phone"),
        (laptop.post("/erasures", &json!({"number": masked})).await, "number"),
        (laptop.get(&format!("/conversations?number={written}")).await, "number"),
        (laptop.get(&format!("/decisions?from={written}&to={number}")).await, "from"),
    ] {
        assert_eq!((answer.status, text(&answer.body, "/field")), (422, field), "{answer:?}");
        assert!(text(&answer.body, "/detail").contains("masked"), "{answer:?}");
    }
}

#[tokio::test]
async fn conversation_is_found_by_a_number_that_is_not_shown() {
    let laptop = laptop().await;
    let created = laptop.create_with(json!({})).await;
    let listed = laptop.get(&format!("/conversations?number=%2B{DRIVER}")).await.body;
    assert_eq!(listed["conversations"][0]["id"], created["id"]);
    assert_eq!(text(&listed, "/conversations/0/participants/1/number"), "+44…002");
    let decision =
        laptop.get(&format!("/decisions?from=%2B{RIDER}&to={}", text(&created, "/participants/0/dials"))).await.body;
    assert_eq!(text(&decision, "/items/0/caller"), "+44…001");
    assert_eq!(decision["conversation"], created["id"]);
}
