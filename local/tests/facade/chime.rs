//! The proxy sessions of the Amazon Chime SDK.

use local::commands::facade::Facade;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, LeakSearch, RIDER, text};

use crate::{PHONES, conversations, lossy, start};

const CONNECTOR: &str = "abcdef1ghij2klmno3pqr4";

/// A backend with a client of AWS.
struct Aws {
    facade: Facade,
    http: reqwest::Client,
}

impl Aws {
    async fn new(url: &str) -> Self {
        let facade = start(&["chime", "--url", url, "--port", "0", "--voice-connector", CONNECTOR], &[]).await.unwrap();
        Self { facade, http: local::loopback_client() }
    }

    async fn ask(&self, method: Method, path: &str, invocation: &str, body: Option<Value>) -> Answer {
        let url = format!("{}/voice-connectors/{CONNECTOR}/proxy-sessions{path}", self.facade.url);
        let request = self.http.request(method, url).header("amz-sdk-invocation-id", invocation);
        let request = request.header("authorization", "AWS4-HMAC-SHA256 Credential=…");
        Answer::to(match body {
            Some(body) => request.body(body.to_string()),
            None => request,
        })
        .await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "any", None).await
    }
}

fn order() -> Value {
    json!({"ParticipantPhoneNumbers": PHONES, "Capabilities": ["Voice", "SMS"], "ExpiryMinutes": 60, "Name": "ride 42"})
}

fn exception(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.headers["x-amzn-errortype"].to_str().unwrap())
}

#[tokio::test]
async fn proxy_session_is_created_once_used_changed_and_closed() {
    let laptop = Laptop::builder().machine_clock().numbers("GB", 2).start().await;
    let aws = Aws::new(&lossy(&laptop.stack.gateway_url, 1).await).await;
    let lost = aws.ask(Method::POST, "", "one", Some(order())).await;
    assert_eq!(exception(&lost), (503, "ServiceUnavailableException"), "the client tries it again");
    let created = aws.ask(Method::POST, "", "one", Some(order())).await;
    assert_eq!((created.status, conversations(&laptop).await.len()), (201, 1), "{created:?}");
    let session = created.body["ProxySession"].clone();
    let shown = (text(&session, "/Status"), text(&session, "/Name"), &session["ExpiryMinutes"]);
    assert_eq!(shown, ("Open", "ride 42", &json!(60)));
    let path = format!("/{}", text(&session, "/ProxySessionId"));
    let rider = &session["Participants"][0];
    assert_eq!(text(rider, "/PhoneNumber"), RIDER);
    let placed = laptop.faultless_call(json!({"from": RIDER, "to": rider["ProxyPhoneNumber"]})).await;
    assert_eq!(placed["phones"]["callee"]["number"], DRIVER);
    assert_eq!(text(&aws.get(&path).await.body, "/ProxySession/Status"), "InProgress");
    let change = json!({"Capabilities": ["SMS", "Voice"], "ExpiryMinutes": 120});
    let changed = aws.ask(Method::POST, &path, "two", Some(change)).await;
    let minutes = changed.body["ProxySession"]["ExpiryMinutes"].as_i64().unwrap();
    assert!(changed.status == 201 && (120..=122).contains(&minutes), "{changed:?}");
    assert_eq!(aws.ask(Method::DELETE, &path, "three", None).await.status, 204);
    let closed = aws.get(&path).await.body["ProxySession"].clone();
    assert_eq!((text(&closed, "/Status"), closed["EndedTimestamp"].is_string()), ("Closed", true));
}

#[tokio::test]
async fn proxy_sessions_are_listed_where_the_deployment_has_lists() {
    let laptop = Laptop::start().await;
    let refused = Aws::new(&laptop.stack.gateway_url).await.get("").await;
    assert_eq!(exception(&refused), (400, "BadRequestException"));
    assert!(text(&refused.body, "/Message").contains("LIST_CONVERSATIONS"), "{refused:?}");
    let laptop = Laptop::builder().env(&[("LIST_CONVERSATIONS", "on")]).numbers("GB", 2).start().await;
    let aws = Aws::new(&laptop.stack.gateway_url).await;
    for (invocation, second) in [("one", PHONES[1]), ("two", "+447700900003")] {
        let mut order = order();
        order["ParticipantPhoneNumbers"][1] = json!(second);
        assert_eq!(aws.ask(Method::POST, "", invocation, Some(order)).await.status, 201);
    }
    let first = aws.get("?max-results=1").await.body;
    let second = aws.get(&format!("?max-results=1&next-token={}", text(&first, "/NextToken"))).await.body;
    let ids = [&first, &second].map(|page| text(page, "/ProxySessions/0/ProxySessionId"));
    assert_ne!(ids[0], ids[1]);
    aws.ask(Method::DELETE, &format!("/{}", ids[0]), "three", None).await;
    let open = aws.get("?status=Open").await.body;
    assert_eq!(
        (open["ProxySessions"].as_array().unwrap().len(), text(&open, "/ProxySessions/0/ProxySessionId")),
        (1, ids[1])
    );
}

#[tokio::test]
async fn what_has_no_proxy_session_is_refused_as_an_exception() {
    let laptop = Laptop::start().await;
    let aws = Aws::new(&laptop.stack.gateway_url).await;
    let empty = aws.ask(Method::POST, "", "one", Some(order())).await;
    assert_eq!(exception(&empty), (400, "ResourceLimitExceededException"));
    LeakSearch::new([RIDER, DRIVER]).assert_no_leak("an error", &empty.body.to_string());
    for path in ["/ride-42", &format!("/{}", uuid::Uuid::new_v4())] {
        assert_eq!(exception(&aws.get(path).await), (404, "NotFoundException"));
        assert_eq!(exception(&aws.ask(Method::DELETE, path, "two", None).await), (404, "NotFoundException"));
    }
    let url = format!("{}/voice-connectors/{CONNECTOR}/proxy-sessions", aws.facade.url);
    let unsigned = Answer::to(aws.http.post(&url).body(order().to_string())).await;
    assert_eq!(exception(&unsigned), (401, "UnauthorizedClientException"));
    let other = url.replace(CONNECTOR, "other");
    let other = Answer::to(aws.http.get(other).header("authorization", "AWS4-HMAC-SHA256 Credential=…")).await;
    assert_eq!(exception(&other), (404, "NotFoundException"));
}
