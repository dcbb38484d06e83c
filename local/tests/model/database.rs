//! The DynamoDB of a case: an embedded one, or a part of its own of the DynamoDB Local at `MASKLINE_TEST_DYNAMODB_URL`.

use std::sync::atomic::{AtomicU32, Ordering};

use dynoxide::errors::DynoxideError;
use dynoxide::types::Item;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub const TABLE: &str = "maskline";
pub const JOURNAL: &str = "maskline-journal";

/// Number of cases so far in this process. DynamoDB Local keeps the tables of each access key apart.
static CASES: AtomicU32 = AtomicU32::new(0);

/// The DynamoDB of a case.
#[derive(Clone)]
pub enum Database {
    /// In this process, without HTTP, which would take longer than the work.
    Embedded(dynoxide::Database),
    Local {
        url: String,
        /// The access key.
        account: String,
        http: reqwest::Client,
    },
}

/// The answer to a request, as HTTP has it.
pub struct Answer {
    pub status: u16,
    /// JSON.
    pub body: String,
}

impl Database {
    pub fn start() -> Self {
        let account = format!("test{}x{}", std::process::id(), CASES.fetch_add(1, Ordering::Relaxed));
        match std::env::var("MASKLINE_TEST_DYNAMODB_URL") {
            Ok(url) => Self::Local { url, account, http: local::loopback_client() },
            Err(_) => Self::Embedded(dynoxide::Database::memory().unwrap()),
        }
    }

    /// Returns all items of the table, or of the journal.
    pub async fn items(&self, table: &str) -> Vec<Item> {
        let mut request = json!({"TableName": table, "ConsistentRead": true});
        if let Self::Embedded(database) = self {
            return database.scan(serde_json::from_value(request).unwrap()).unwrap().items.unwrap_or_default();
        }
        let mut items = Vec::new();
        loop {
            let mut page = self.ask("Scan", &request).await;
            items.extend(serde_json::from_value::<Vec<Item>>(page["Items"].take()).unwrap());
            match page.get("LastEvaluatedKey") {
                Some(key) => request["ExclusiveStartKey"] = key.clone(),
                None => return items,
            }
        }
    }

    /// Puts an item into a table.
    pub async fn put(&self, table: &str, item: &Item) {
        self.ask("PutItem", &json!({"TableName": table, "Item": item})).await;
    }

    /// Deletes an item.
    pub async fn delete(&self, pk: &str, sk: &str) {
        let request = json!({"TableName": TABLE, "Key": {"pk": {"S": pk}, "sk": {"S": sk}}});
        self.ask("DeleteItem", &request).await;
    }

    /// Returns the answer to a `GetItem`.
    pub async fn get_item(&self, request: &Value) -> Value {
        self.ask("GetItem", request).await
    }

    async fn ask(&self, operation: &str, request: &Value) -> Value {
        let Answer { status, body } = self.answer(operation, request.to_string().as_bytes()).await;
        assert_eq!(status, 200, "{operation}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Carries out a request of the AWS SDK.
    pub async fn answer(&self, operation: &str, body: &[u8]) -> Answer {
        let (url, account, http) = match self {
            Self::Embedded(database) => {
                return match carry_out(database, operation, body) {
                    Ok(body) => Answer { status: 200, body },
                    Err(error) => Answer { status: error.status_code(), body: error.to_json() },
                };
            }
            Self::Local { url, account, http } => (url, account, http),
        };
        let scope = format!("{account}/20260101/us-east-1/dynamodb/aws4_request");
        let unverified = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let sent = http.post(url).header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        let sent = sent.header("content-type", "application/x-amz-json-1.0").header("x-amz-date", "20260101T000000Z");
        let answer = sent.header("authorization", unverified).body(body.to_vec()).send().await.unwrap();
        Answer { status: answer.status().as_u16(), body: answer.text().await.unwrap() }
    }
}

/// Carries out a request on the embedded DynamoDB.
fn carry_out(database: &dynoxide::Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    Ok(match operation {
        "GetItem" => write(&database.get_item(read(body))?),
        "BatchGetItem" => write(&database.batch_get_item(read(body))?),
        "Query" => write(&database.query(read(body))?),
        "Scan" => write(&database.scan(read(body))?),
        "PutItem" => write(&database.put_item(read(body))?),
        "UpdateItem" => write(&database.update_item(read(body))?),
        "DeleteItem" => write(&database.delete_item(read(body))?),
        "TransactWriteItems" => write(&database.transact_write_items(read(body))?),
        "DescribeTable" => write(&database.describe_table(read(body))?),
        "CreateTable" => write(&database.create_table(read(body))?),
        "UpdateTimeToLive" => write(&database.update_time_to_live(read(body))?),
        _ => panic!("the product never sent {operation} before"),
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap()
}

fn write(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap()
}
