//! Query parameters: an unknown one is refused by every operation of the API, before anything is done.

use local::gateway;
use reqwest::Method;
use serde_json::json;
use testkit::{Laptop, text};

#[tokio::test]
async fn unknown_parameter_is_refused_by_every_operation() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let routes = gateway::routes(&laptop.stack.environment, shared::clock::system()).unwrap();
    // Vonage may add parameters to its webhooks, and people open links in whatever adds some. A tenant's routes have the same handlers.
    let others = ["/webhooks/", "/recordings/", "/cards/", "/t/"];
    let mut checked = 0;
    for route in routes.iter().filter(|route| !others.iter().any(|other| route.path.starts_with(other))) {
        let (method, path) = route.key.split_once(' ').unwrap();
        let path = path.replace("{id}", text(&conversation, "/id")).replace("{number}", "447451000001");
        let path =
            path.replace("{call}", "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab").replace("{recording}", "aaaaaaaa");
        let path = path.replace("{tenant}", "rides");
        let method: Method = method.parse().unwrap();
        for (parameter, named) in [("eraze=true", "eraze"), ("%2B447700900001=1", "")] {
            let refused = laptop.send(method.clone(), &format!("{path}?{parameter}"), "{}").await;
            let field = refused.body["field"].as_str().unwrap_or_default();
            assert_eq!((refused.status, field), (422, named), "{}: {refused:?}", route.key);
            assert!(!refused.body.to_string().contains("447700900001"), "{refused:?}");
        }
        checked += 1;
    }
    assert!(checked >= 20, "{checked}");
    let still = laptop.get(&format!("/conversations/{}", text(&conversation, "/id"))).await;
    assert_eq!((text(&still.body, "/state"), laptop.owned_numbers().await.len()), ("active", 2));
}

#[tokio::test]
async fn misspelled_erasure_ends_nothing_and_names_the_parameter() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let path = format!("/conversations/{}", text(&conversation, "/id"));
    let refused = laptop.delete(&format!("{path}?eraze=true")).await;
    let detail = "This query parameter is unknown. Perhaps erase is meant.";
    assert_eq!((refused.status, text(&refused.body, "/detail")), (422, detail));
    let twice = laptop.delete(&format!("{path}?erase=true&erase=true")).await;
    assert_eq!((twice.status, &twice.body["field"]), (422, &json!("erase")));
    assert_eq!(text(&laptop.get(&path).await.body, "/state"), "active");
}
