//! Traces of X-Ray: one id leads from a request of the gateway to Vonage's call, also through functions that others invoke.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Builder, Laptop, RIDER, TraceCollector, listen, text};

const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";

fn traced(collector: &TraceCollector) -> Builder {
    Laptop::builder().env(&[("AWS_XRAY_DAEMON_ADDRESS", collector.address())])
}

/// Returns the tracing header of a request whose trace is recorded.
fn sampled(root: &str) -> String {
    format!("Root={root};Sampled=1")
}

/// Fails unless all documents are parts of the trace, and returns the subsegment of the invocation and the others, which lie in it.
fn parts<'a>(documents: &'a [Value], root: &str) -> (&'a Value, &'a [Value]) {
    let (own, requests) = documents.split_last().unwrap();
    assert!(documents.iter().all(|document| document["trace_id"] == root), "{documents:?}");
    assert!(requests.iter().all(|request| request["parent_id"] == own["id"]), "{documents:?}");
    assert_eq!(own["annotations"]["requests"], requests.len());
    (own, requests)
}

/// Returns the method, the path and the status of each request to Vonage.
fn to_vonage(requests: &[Value]) -> Vec<(String, String, u64)> {
    let of_vonage = requests.iter().filter(|request| request["namespace"] == "remote");
    let told = of_vonage.map(|request| {
        let [method, url] = ["method", "url"].map(|name| text(&request["http"]["request"], &format!("/{name}")));
        let path = url.strip_prefix("http://127.0.0.1").unwrap();
        (method.to_owned(), path.to_owned(), request["http"]["response"]["status"].as_u64().unwrap())
    });
    told.collect()
}

#[tokio::test]
async fn one_id_leads_from_a_request_to_vonages_call() {
    let collector = TraceCollector::listen();
    let laptop = traced(&collector).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    assert_eq!(collector.arrived(), [json!(null); 0], "nobody asked for a trace");
    let path = format!("/conversations/{}/calls", text(&created, "/id"));
    let request = laptop.request(Method::POST, &path).header("Idempotency-Key", "ride-1");
    let placed = laptop.answer(request.header("X-Amzn-Trace-Id", sampled(ROOT)).body(r#"{"from": "a"}"#)).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let documents = collector.invocation("control-call").await;
    let (own, requests) = parts(&documents, ROOT);
    let annotations = &own["annotations"];
    assert_eq!(annotations["call"], placed.body["conversation_uuid"]);
    assert_eq!((&annotations["conversation"], &annotations["status"]), (&created["id"], &json!(201)));
    assert_eq!(annotations["route"], "POST /conversations/{id}/calls");
    assert_eq!(to_vonage(requests), [("POST".to_owned(), "/v1/calls".to_owned(), 201)]);
    assert_eq!(laptop.asked("/v1/calls").await, 1);
}

#[tokio::test]
async fn every_request_of_a_creation_is_in_its_trace() {
    let collector = TraceCollector::listen();
    let laptop = traced(&collector).numbers("GB", 2).start().await;
    let request = laptop.request(Method::POST, "/conversations").header("X-Amzn-Trace-Id", sampled(ROOT));
    laptop.stack.traffic.watch();
    let created = laptop.answer(request.body(testkit::conversation().to_string())).await;
    assert_eq!(created.status, 201, "{created:?}");
    let documents = collector.invocation("create-conversation").await;
    let (own, requests) = parts(&documents, ROOT);
    assert_eq!(own["annotations"]["conversation"], created.body["id"]);
    let of_table = requests.iter().filter(|request| request["namespace"] == "aws").map(|request| {
        let (aws, status) = (&request["aws"], &request["http"]["response"]["status"]);
        assert_eq!((&aws["retries"], status), (&json!(0), &json!(200)));
        assert!(["maskline", "maskline-journal"].contains(&text(aws, "/table_name")), "{request}");
        text(aws, "/operation").to_owned()
    });
    let of_vonage = to_vonage(requests).into_iter().map(|(_, path, _)| path);
    let mut recorded: Vec<_> = of_table.chain(of_vonage).collect();
    let mut asked: Vec<_> = laptop.stack.traffic.take().into_iter().map(|exchange| exchange.name).collect();
    recorded.sort();
    asked.sort();
    assert_eq!(recorded, asked);
}

#[tokio::test]
async fn trace_goes_on_in_a_function_that_is_invoked() {
    let collector = TraceCollector::listen();
    let laptop = traced(&collector).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    let dials = text(&created, "/participants/0/dials");
    laptop.call(json!({"from": RIDER, "to": dials, "callee": "answers", "lives": true})).await;
    laptop.advance(3);
    let path = format!("/conversations/{}?hang_up=true", text(&created, "/id"));
    let ended = laptop.answer(laptop.request(Method::DELETE, &path).header("X-Amzn-Trace-Id", sampled(ROOT))).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    laptop.stack.background_runs_finished().await;
    let arrived = collector.arrived();
    let own = |function: &str| arrived.iter().find(|document| document["name"] == function).unwrap();
    let (end, control) = (own("end-conversation"), own("control-call"));
    assert!(arrived.iter().all(|document| document["trace_id"] == ROOT), "{arrived:?}");
    assert_eq!(end["annotations"]["conversation"], created["id"]);
    let of_control: Vec<_> = arrived.iter().filter(|one| one["parent_id"] == control["id"]).cloned().collect();
    let hung_up = ("PUT".to_owned(), "/v1/calls/{id}".to_owned(), 204);
    let ends = to_vonage(&of_control).into_iter().filter(|request| *request == hung_up);
    assert_eq!(ends.count(), 2, "both legs are hung up: {of_control:?}");
}

#[tokio::test]
async fn table_that_does_not_answer_is_a_fault_in_the_trace() {
    let collector = TraceCollector::listen();
    let (_silent, url) = listen().await;
    let silent = [("AWS_ENDPOINT_URL_DYNAMODB", url.as_str()), ("DYNAMODB_TIME_LIMIT_MS", "100")];
    let laptop = traced(&collector).env(&silent).start().await;
    let request = laptop.request(Method::GET, "/conversations/01JD0000000000000000000000");
    assert_eq!(laptop.answer(request.header("X-Amzn-Trace-Id", sampled(ROOT))).await.status, 503);
    let documents = collector.invocation("get-conversation").await;
    let (own, requests) = parts(&documents, ROOT);
    assert_eq!((&own["fault"], &own["annotations"]["status"]), (&json!(true), &json!(503)));
    for request in requests {
        assert_eq!((&request["fault"], &request["http"]["response"]), (&json!(true), &Value::Null), "{request}");
    }
    assert!(!requests.is_empty());
}

#[tokio::test]
async fn only_requests_whose_trace_is_sampled_are_sent() {
    let collector = TraceCollector::listen();
    let laptop = traced(&collector).start().await;
    let other = ROOT.replace("bd86", "0000");
    for header in [format!("Root={ROOT};Sampled=0"), format!("Root={RIDER};Sampled=1"), sampled(&other)] {
        let request = laptop.request(Method::GET, "/numbers").header("X-Amzn-Trace-Id", header);
        assert_eq!(laptop.answer(request).await.status, 200);
    }
    let arrived = collector.arrived();
    let (own, _) = parts(&arrived, &other);
    assert_eq!(own["name"], "provision-numbers");
}
