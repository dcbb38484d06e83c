//! The DynamoDB of a case: an embedded one, or a part of its own of the DynamoDB Local at `MASKLINE_TEST_DYNAMODB_URL`.

use std::sync::atomic::{AtomicU32, Ordering};

use dynoxide::types::Item;
use serde_json::{Value, json};

pub const TABLE: &str = "maskline";

/// Number of cases so far in this process. DynamoDB Local keeps the tables of each access key apart.
static CASES: AtomicU32 = AtomicU32::new(0);

/// The DynamoDB of a case, for dumps of the whole table and for prepared reads.
#[derive(Clone)]
pub struct Database {
    pub url: String,
    /// The access key.
    pub account: String,
    at: Place,
}

#[derive(Clone)]
enum Place {
    /// In this process. A dump over HTTP after each step would take longer than the steps.
    Here(dynoxide::Database),
    Elsewhere(reqwest::Client),
}

impl Database {
    pub async fn start() -> Self {
        let account = format!("test{}x{}", std::process::id(), CASES.fetch_add(1, Ordering::Relaxed));
        if let Ok(url) = std::env::var("MASKLINE_TEST_DYNAMODB_URL") {
            return Self { url, account, at: Place::Elsewhere(local::loopback_client()) };
        }
        let database = dynoxide::Database::memory().unwrap();
        let (listener, url) = testkit::listen().await;
        let server = dynoxide::server::serve_with_shutdown(listener, database.clone(), std::future::pending());
        tokio::spawn(server);
        Self { url, account, at: Place::Here(database) }
    }

    /// Returns all items of the table.
    pub async fn items(&self) -> Vec<Item> {
        let mut request = json!({"TableName": TABLE, "ConsistentRead": true});
        let http = match &self.at {
            Place::Here(database) => {
                return database.scan(serde_json::from_value(request).unwrap()).unwrap().items.unwrap_or_default();
            }
            Place::Elsewhere(http) => http,
        };
        let mut items = Vec::new();
        loop {
            let mut page = self.ask(http, "Scan", &request).await;
            items.extend(serde_json::from_value::<Vec<Item>>(page["Items"].take()).unwrap());
            match page.get("LastEvaluatedKey") {
                Some(key) => request["ExclusiveStartKey"] = key.clone(),
                None => return items,
            }
        }
    }

    /// Deletes an item.
    pub async fn delete(&self, pk: &str, sk: &str) {
        let request = json!({"TableName": TABLE, "Key": {"pk": {"S": pk}, "sk": {"S": sk}}});
        match &self.at {
            Place::Here(database) => drop(database.delete_item(serde_json::from_value(request).unwrap()).unwrap()),
            Place::Elsewhere(http) => drop(self.ask(http, "DeleteItem", &request).await),
        }
    }

    /// Returns the answer to a `GetItem`.
    pub async fn get_item(&self, request: Value) -> Value {
        match &self.at {
            Place::Here(database) => {
                let answer = database.get_item(serde_json::from_value(request).unwrap()).unwrap();
                serde_json::to_value(answer).unwrap()
            }
            Place::Elsewhere(http) => self.ask(http, "GetItem", &request).await,
        }
    }

    async fn ask(&self, http: &reqwest::Client, operation: &str, request: &Value) -> Value {
        let scope = format!("{}/20260101/us-east-1/dynamodb/aws4_request", self.account);
        let unverified = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let sent = http.post(&self.url).header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        let sent = sent.header("content-type", "application/x-amz-json-1.0").header("x-amz-date", "20260101T000000Z");
        let answer = sent.header("authorization", unverified).body(request.to_string()).send().await.unwrap();
        let (status, body) = (answer.status(), answer.bytes().await.unwrap());
        assert!(status.is_success(), "{operation}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }
}
