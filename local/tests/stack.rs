//! Start and stop of the stack, as in `cargo run`.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use local::stack::{Options, Stack, StartError};
use serde_json::{Value, json};

async fn post(url: String, body: Value) -> Value {
    let http = local::loopback_client();
    http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn table_in_file_is_used_again_with_its_numbers() {
    let directory = std::env::temp_dir().join(format!("maskline-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&directory).unwrap();
    let start = || Stack::start(Options { data: Some(directory.join("table.db")), ..Options::default() });

    let first = start().await.unwrap();
    post(format!("{}/numbers", first.gateway_url), json!({"country": "GB", "count": 2})).await;
    let order = json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900002"}]});
    let conversation = post(format!("{}/conversations", first.gateway_url), order).await;
    first.stop().await;

    let second = start().await.unwrap();
    let dialled = &conversation["participants"][0]["dials"];
    let call =
        post(format!("{}/simulator/calls", second.vonage_url), json!({"from": "447700900001", "to": dialled})).await;
    assert_eq!(call["phones"]["caller"]["connected"], true, "{call}");
    let again = post(format!("{}/numbers", second.gateway_url), json!({"country": "GB", "count": 3})).await;
    assert_eq!(again["added"][0]["number"], "447451000003", "{again}");
    second.stop().await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn start_names_flag_of_occupied_port() {
    let first = Stack::start(Options::default()).await.unwrap();
    let port = first.vonage_url.rsplit(':').next().unwrap().parse().unwrap();
    let Err(error) = Stack::start(Options { vonage_port: port, ..Options::default() }).await else {
        panic!("it started")
    };
    assert!(matches!(error, StartError::Port { .. }));
    assert!(error.to_string().contains("--vonage-port"), "{error}");
}

#[tokio::test]
async fn stack_does_not_listen_after_stop() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let addresses = [&stack.gateway_url, &stack.dynamodb_url, &stack.vonage_url]
        .map(|url| url.trim_start_matches("http://").to_owned());
    stack.stop().await;
    for address in addresses {
        assert!(tokio::net::TcpStream::connect(&address).await.is_err(), "{address}");
    }
}

#[tokio::test]
async fn start_names_missing_variable_of_function() {
    let environment = vec![("VONAGE_APPLICATION_ID".to_owned(), String::new())];
    let Err(error) = Stack::start(Options { environment, ..Options::default() }).await else { panic!("it started") };
    assert!(error.to_string().contains("VONAGE_APPLICATION_ID"), "{error}");
}
