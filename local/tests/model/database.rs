//! The DynamoDB of a case: an embedded one, or a part of its own of the DynamoDB Local at `MASKLINE_TEST_DYNAMODB_URL`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::errors::DynoxideError;
use dynoxide::types::{AttributeValue, Item};
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
    Embedded(Embedded),
    Local {
        url: String,
        /// The access key.
        account: String,
        http: reqwest::Client,
        known: Arc<Mutex<Known>>,
    },
}

/// An embedded database with what its tables have. All writes go through it, so after a step only the items need to be read
/// again that were written.
#[derive(Clone)]
pub struct Embedded {
    database: dynoxide::Database,
    known: Arc<Mutex<Known>>,
}

/// Table, partition key and sort key of an item.
pub type ItemKey = [String; 3];

/// The items of all tables when they were last read.
#[derive(Default)]
pub struct Known {
    items: BTreeMap<ItemKey, Item>,
    /// Keys that were written since.
    written: BTreeSet<ItemKey>,
    /// Keys whose items nobody has taken as changes yet.
    changed: BTreeSet<ItemKey>,
}

impl Known {
    /// Notes the present state of an item.
    fn note(&mut self, key: ItemKey, item: Option<Item>) {
        if self.items.get(&key) != item.as_ref() {
            self.changed.insert(key.clone());
            match item {
                Some(item) => drop(self.items.insert(key, item)),
                None => drop(self.items.remove(&key)),
            }
        }
    }

    fn take_changes(&mut self) -> Vec<(ItemKey, Option<Item>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed.map(|key| (key.clone(), self.items.get(&key).cloned())).collect()
    }
}

impl Embedded {
    /// Carries out a request, and notes the items that it writes, whether it succeeds or not.
    fn carry_out(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let database = &self.database;
        Ok(match operation {
            "GetItem" => write(&database.get_item(read(body))?),
            "BatchGetItem" => write(&database.batch_get_item(read(body))?),
            "Query" => write(&database.query(read(body))?),
            "Scan" => write(&database.scan(read(body))?),
            "PutItem" => {
                let request: PutItemRequest = read(body);
                self.note_write(&request.table_name, &request.item);
                write(&database.put_item(request)?)
            }
            "UpdateItem" => {
                let request: UpdateItemRequest = read(body);
                self.note_write(&request.table_name, &request.key);
                write(&database.update_item(request)?)
            }
            "DeleteItem" => {
                let request: DeleteItemRequest = read(body);
                self.note_write(&request.table_name, &request.key);
                write(&database.delete_item(request)?)
            }
            "TransactWriteItems" => {
                let request: TransactWriteItemsRequest = read(body);
                for item in &request.transact_items {
                    let put = item.put.iter().map(|put| (&put.table_name, &put.item));
                    let update = item.update.iter().map(|update| (&update.table_name, &update.key));
                    let delete = item.delete.iter().map(|delete| (&delete.table_name, &delete.key));
                    put.chain(update).chain(delete).for_each(|(table, key)| self.note_write(table, key));
                }
                write(&database.transact_write_items(request)?)
            }
            "DescribeTable" => write(&database.describe_table(read(body))?),
            "CreateTable" => write(&database.create_table(read(body))?),
            "UpdateTimeToLive" => write(&database.update_time_to_live(read(body))?),
            _ => panic!("the product never sent {operation} before"),
        })
    }

    /// Notes that an item is written, of which this is the key or all of it.
    fn note_write(&self, table: &str, item: &Item) {
        self.known.lock().unwrap().written.insert(key_of(table, item));
    }

    fn put(&self, table: &str, item: &Item) {
        self.note_write(table, item);
        let (table_name, item) = (table.to_owned(), item.clone());
        self.database.put_item(PutItemRequest { table_name, item, ..PutItemRequest::default() }).unwrap();
    }

    /// Reads the items again that were written.
    fn known(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap();
        for key in std::mem::take(&mut known.written) {
            let [table, pk, sk] = &key;
            let of_item =
                [("pk", pk), ("sk", sk)].map(|(name, text)| (name.to_owned(), AttributeValue::S(text.clone())));
            let (table_name, consistent_read) = (table.clone(), Some(true));
            let request =
                GetItemRequest { table_name, consistent_read, key: of_item.into(), ..GetItemRequest::default() };
            let item = self.database.get_item(request).unwrap().item;
            known.note(key, item);
        }
        known
    }

    fn items(&self, table: &str) -> Vec<Item> {
        let known = self.known();
        let of_table = known.items.iter().filter(|([of, ..], _)| of == table);
        of_table.map(|(_, item)| item.clone()).collect()
    }

    /// Reads a whole table, and fails if it is not as known.
    fn check(&self, table: &str) {
        let request = json!({"TableName": table, "ConsistentRead": true});
        let found = self.database.scan(serde_json::from_value(request).unwrap()).unwrap().items.unwrap_or_default();
        let known = self.known();
        let count = known.items.keys().filter(|[of, ..]| of == table).count();
        assert_eq!(found.len(), count, "items of {table} that no request has written");
        let is_known = |item: &Item| known.items.get(&key_of(table, item)) == Some(item);
        assert!(found.iter().all(is_known), "{table} is not as its requests have left it");
    }
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
            Ok(url) => Self::Local { url, account, http: local::loopback_client(), known: Arc::default() },
            Err(_) => {
                let (database, known) = (dynoxide::Database::memory().unwrap(), Arc::default());
                Self::Embedded(Embedded { database, known })
            }
        }
    }

    /// Returns all items of the table, or of the journal.
    pub async fn items(&self, table: &str) -> Vec<Item> {
        let mut request = json!({"TableName": table, "ConsistentRead": true});
        if let Self::Embedded(embedded) = self {
            return embedded.items(table);
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

    /// Returns the items of the table and of the journal that were written or deleted since this was last asked, each as it is
    /// now.
    pub async fn take_changes(&self) -> Vec<(ItemKey, Option<Item>)> {
        let known = match self {
            Self::Embedded(embedded) => return embedded.known().take_changes(),
            Self::Local { known, .. } => known,
        };
        let mut found = BTreeMap::new();
        for table in [TABLE, JOURNAL] {
            let keyed = |item: Item| (key_of(table, &item), item);
            found.extend(self.items(table).await.into_iter().map(keyed));
        }
        let mut known = known.lock().unwrap();
        let gone: Vec<ItemKey> = known.items.keys().filter(|key| !found.contains_key(*key)).cloned().collect();
        gone.into_iter().for_each(|key| known.note(key, None));
        found.into_iter().for_each(|(key, item)| known.note(key, Some(item)));
        known.take_changes()
    }

    /// Fails if what is known of the tables differs from them.
    pub fn check(&self) {
        if let Self::Embedded(embedded) = self {
            [TABLE, JOURNAL].iter().for_each(|table| embedded.check(table));
        }
    }

    /// Puts an item into a table.
    pub async fn put(&self, table: &str, item: &Item) {
        match self {
            Self::Embedded(embedded) => embedded.put(table, item),
            Self::Local { .. } => drop(self.ask("PutItem", &json!({"TableName": table, "Item": item})).await),
        }
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
            Self::Embedded(embedded) => {
                return match embedded.carry_out(operation, body) {
                    Ok(body) => Answer { status: 200, body },
                    Err(error) => Answer { status: error.status_code(), body: error.to_json() },
                };
            }
            Self::Local { url, account, http, .. } => (url, account, http),
        };
        let scope = format!("{account}/20260101/us-east-1/dynamodb/aws4_request");
        let unverified = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let sent = http.post(url).header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        let sent = sent.header("content-type", "application/x-amz-json-1.0").header("x-amz-date", "20260101T000000Z");
        let answer = sent.header("authorization", unverified).body(body.to_vec()).send().await.unwrap();
        Answer { status: answer.status().as_u16(), body: answer.text().await.unwrap() }
    }
}

/// Returns the key of an item of a table.
fn key_of(table: &str, item: &Item) -> ItemKey {
    [table.to_owned(), text(item, "pk"), text(item, "sk")]
}

/// Returns an attribute of a key.
pub fn text(item: &Item, name: &str) -> String {
    match &item[name] {
        AttributeValue::S(text) => text.clone(),
        other => panic!("key attribute {name} is not a string: {other:?}"),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap()
}

fn write(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap()
}
