//! Tests with a socket in the place of the daemon.

use std::net::UdpSocket;
use std::time::Duration;

use super::*;

const SAMPLED: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";

fn daemon() -> (UdpSocket, Tracer) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let tracer = Tracer::new(Some(&socket.local_addr().unwrap().to_string()));
    (socket, tracer)
}

fn next(socket: &UdpSocket) -> Value {
    let mut message = vec![0; 65_536];
    let length = socket.recv(&mut message).unwrap();
    let message = std::str::from_utf8(&message[..length]).unwrap();
    let (preamble, document) = message.split_once('\n').unwrap();
    assert_eq!(preamble, "{\"format\": \"json\", \"version\": 1}");
    serde_json::from_str(document).unwrap()
}

fn get_item() -> Target {
    Target::Table { operation: "GetItem".to_owned(), table: "maskline".to_owned() }
}

fn end_call() -> Target {
    let path = path_template("/v1/calls/63f61863-4a51-4f6b-86e1-46edebcf9356");
    let [method, scheme, host] = ["PUT", "https", "api.nexmo.com"].map(str::to_owned);
    Target::Http { method, scheme, host, path }
}

/// Returns a document without its times and its id, which have to be there.
fn without_times_and_id(mut document: Value) -> Value {
    let members = document.as_object_mut().unwrap();
    let [began, ended] = ["start_time", "end_time"].map(|name| members.remove(name).unwrap().as_f64().unwrap());
    assert!(began > 1.7e9 && began <= ended && ended < began + 60.0, "{began} to {ended}");
    let id = members.remove("id").unwrap();
    assert!(id.as_str().unwrap().len() == 16 && u64::from_str_radix(id.as_str().unwrap(), 16).is_ok(), "{id}");
    document
}

#[tokio::test]
async fn sampled_invocation_sends_itself_and_its_requests() {
    let (socket, tracer) = daemon();
    let work = async {
        let read = outgoing(get_item).unwrap();
        read.answered(200, 1);
        drop(read);
        let end = outgoing(end_call).unwrap();
        end.answered(429, 0);
        drop(end);
        drop(outgoing(end_call));
        conclude(503, || [("conversation", Some("01JD".to_owned())), ("call", None)]);
        trace_id()
    };
    assert_eq!(tracer.follow("control-call", Some(SAMPLED), work).await.as_deref(), Some(ROOT));
    let [read, refused, unanswered, own] = std::array::from_fn(|_| next(&socket));
    let own_id = own["id"].clone();
    let of_all =
        |name: &str, parent: &Value| json!({"type": "subsegment", "trace_id": ROOT, "name": name, "parent_id": parent});
    let with = |mut document: Value, more: Value| {
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    };
    let expected = json!({"namespace": "aws", "aws": {"operation": "GetItem", "table_name": "maskline", "retries": 1},
                          "http": {"response": {"status": 200}}});
    assert_eq!(without_times_and_id(read), with(of_all("DynamoDB", &own_id), expected));
    let request = json!({"method": "PUT", "url": "https://api.nexmo.com/v1/calls/{id}"});
    let http = json!({"request": request, "response": {"status": 429}});
    let expected = json!({"namespace": "remote", "http": http, "error": true, "throttle": true});
    assert_eq!(without_times_and_id(refused), with(of_all("api.nexmo.com", &own_id), expected));
    let expected = json!({"namespace": "remote", "http": {"request": request}, "fault": true});
    assert_eq!(without_times_and_id(unanswered), with(of_all("api.nexmo.com", &own_id), expected));
    let expected = json!({"fault": true, "annotations": {"status": 503, "conversation": "01JD", "requests": 3}});
    assert_eq!(without_times_and_id(own), with(of_all("control-call", &json!("53995c3f42cd8ad8")), expected));
}

#[tokio::test]
async fn request_that_is_cut_off_is_sent_as_a_fault() {
    let (socket, tracer) = daemon();
    let work = async {
        let waits = async {
            let _outgoing = outgoing(get_item);
            std::future::pending::<()>().await;
        };
        tokio::select! { biased; () = waits => {}, () = tokio::task::yield_now() => {} }
    };
    tracer.follow("answer-webhook", Some(SAMPLED), work).await;
    assert_eq!(next(&socket)["fault"], true);
    assert_eq!(next(&socket)["name"], "answer-webhook");
}

#[tokio::test]
async fn unsampled_invocation_has_an_id_and_no_socket() {
    let (_socket, tracer) = daemon();
    let unsampled = SAMPLED.replace("Sampled=1", "Sampled=0");
    let work = async || {
        conclude::<0>(200, || panic!("nobody asks"));
        (trace_id(), outgoing(|| panic!("nobody asks")).is_some())
    };
    assert_eq!(tracer.follow("answer-webhook", Some(&unsampled), work()).await, (Some(ROOT.to_owned()), false));
    assert_eq!(tracer.follow("answer-webhook", None, work()).await, (None, false));
    assert!(!tracer.0.unwrap().has_socket());
    assert_eq!(Tracer::default().follow("answer-webhook", Some(SAMPLED), work()).await, (Some(ROOT.to_owned()), false));
    assert_eq!(work().await, (None, false));
}

#[tokio::test]
async fn missing_or_slow_daemon_delays_nothing() {
    // Nobody listens at the first, and nobody reads at the second.
    let (socket, slow) = daemon();
    let missing = Tracer::new(Some("127.0.0.1:9"));
    for tracer in [missing, slow] {
        for _ in 0..100 {
            let work = async {
                for _ in 0..MOST_REQUESTS {
                    drop(outgoing(get_item));
                }
            };
            tracer.follow("answer-webhook", Some(SAMPLED), work).await;
        }
    }
    assert_eq!(next(&socket)["name"], "DynamoDB");
}

#[tokio::test]
async fn an_invocation_sends_a_bounded_number_of_requests() {
    let (socket, tracer) = daemon();
    let work = async { (0..=MOST_REQUESTS).filter(|_| outgoing(get_item).is_some()).count() };
    assert_eq!(tracer.follow("end-conversation", Some(SAMPLED), work).await, MOST_REQUESTS as usize);
    let mut last = next(&socket);
    while last["name"] == "DynamoDB" {
        last = next(&socket);
    }
    assert_eq!(last["annotations"]["requests"], MOST_REQUESTS + 1);
}

#[tokio::test]
async fn trace_goes_on_in_an_invoked_function() {
    let (socket, tracer) = daemon();
    let passed_on = tracer.follow("event-webhook", Some(SAMPLED), async { header_to_pass_on() }).await.unwrap();
    let passed_on = TraceHeader::parse(&passed_on).unwrap();
    let own = next(&socket)["id"].as_str().unwrap().to_owned();
    assert_eq!(passed_on, TraceHeader { root: ROOT.to_owned(), parent: Some(own), is_sampled: true });
    let unsampled = SAMPLED.replace("Sampled=1", "Sampled=0");
    assert_eq!(tracer.follow("event-webhook", Some(&unsampled), async { header_to_pass_on() }).await, Some(unsampled));
    assert_eq!(header_to_pass_on(), None);
}

#[test]
fn paths_have_no_values() {
    for (path, template) in [
        ("/v1/messages", "/v1/messages"),
        ("/identity-insights/v1/requests", "/identity-insights/v1/requests"),
        ("/sms/json", "/sms/json"),
        ("/v2/applications/00000000-0000-4000-8000-000000000001", "/v2/applications/{id}"),
        ("/v1/calls/63f61863-4a51-4f6b-86e1-46edebcf9356/talk", "/v1/calls/{id}/talk"),
        ("/447700900147", "/{id}"),
        ("/v447700900147/v44", "/{id}/{id}"),
        ("/%2B44", "/{id}"),
        ("/", "/"),
    ] {
        assert_eq!(path_template(path), template);
    }
}
