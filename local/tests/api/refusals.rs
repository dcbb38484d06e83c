//! Requests that reach no function: the gateway of the laptop answers them with problems.

use reqwest::Method;
use testkit::{Laptop, text};

#[tokio::test]
async fn path_or_method_that_does_not_exist_is_a_problem() {
    let laptop = Laptop::start().await;
    for (method, path, status, kind) in [
        (Method::GET, "/conversation", 404, "not-found"),
        (Method::POST, "/t/acme/setup", 404, "not-found"),
        (Method::PUT, "/conversations", 405, "method-not-allowed"),
        (Method::DELETE, "/numbers/requirements", 405, "method-not-allowed"),
    ] {
        let answer = laptop.http.request(method, format!("{}{path}", laptop.stack.gateway_url)).send().await.unwrap();
        let media_type = answer.headers()["content-type"].to_str().unwrap();
        assert_eq!((answer.status().as_u16(), media_type), (status, "application/problem+json"), "{path}");
        assert_eq!(answer.headers().contains_key("allow"), status == 405, "{path}");
        let problem = answer.json().await.unwrap();
        assert_eq!(text(&problem, "/type"), format!("urn:maskline:problem:{kind}"), "{path}");
    }
    let head = laptop.http.head(format!("{}/numbers", laptop.stack.gateway_url)).send().await.unwrap();
    assert_eq!(head.status(), 405);
}

#[tokio::test]
async fn body_that_no_gateway_takes_is_a_problem() {
    let laptop = Laptop::start().await;
    let answer = laptop.send(Method::POST, "/conversations", vec![b' '; 10 * 1024 * 1024 + 1]).await;
    assert_eq!((answer.status, text(&answer.body, "/type")), (413, "urn:maskline:problem:body-too-large"));
}
