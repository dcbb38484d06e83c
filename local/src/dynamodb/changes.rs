//! The changes of a table's items, as records of a DynamoDB stream.
//!
//! The emulator has streams of its own, but it keeps every record for ever and looks through all of them at each write. Here a
//! change is seen where every request passes: the items that a write names are read before and after it.
//!
//! Source: Amazon DynamoDB Streams API Reference, "Record".

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, mpsc};

use super::Dynamodb;

/// Reads what writes to one table change.
pub struct Changes {
    database: Dynamodb,
    table: String,
    /// Sort keys of the items that are of interest begin with one of these.
    kinds: &'static [&'static str],
    records: mpsc::UnboundedSender<Value>,
    /// The sequence number of the last record.
    last: AtomicI64,
    /// Held during a write: the items that it finds are those that the write before has left.
    turn: Mutex<()>,
}

impl Changes {
    /// Creates a reader of the items of `table` whose sort keys begin with one of `kinds`. Records go to the receiver.
    pub fn new(
        database: Dynamodb,
        table: String,
        kinds: &'static [&'static str],
    ) -> (Self, mpsc::UnboundedReceiver<Value>) {
        let (records, receiver) = mpsc::unbounded_channel();
        (Self { database, table, kinds, records, last: AtomicI64::new(0), turn: Mutex::default() }, receiver)
    }

    /// Waits for a write with this operation and body, and records what it has changed, whatever its answer is.
    pub(super) async fn around<T>(&self, operation: &str, body: &[u8], write: impl Future<Output = T>) -> T {
        let keys = self.keys(operation, body);
        if keys.is_empty() {
            return write.await;
        }
        let _turn = self.turn.lock().await;
        let before: Vec<Option<Value>> = keys.iter().map(|key| self.item(key)).collect();
        let answer = write.await;
        for (key, before) in keys.into_iter().zip(before) {
            let after = self.item(&key);
            if before != after {
                self.record(key, before, after);
            }
        }
        answer
    }

    /// Returns the keys of the items of interest that a request may write.
    fn keys(&self, operation: &str, body: &[u8]) -> Vec<Value> {
        let writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];
        if !writes.contains(&operation) {
            return Vec::new();
        }
        let Ok(request) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
        let of_batch = request["RequestItems"][&self.table].as_array().into_iter().flatten();
        let of_transaction = request["TransactItems"].as_array().into_iter().flatten();
        let parts = of_transaction.filter_map(Value::as_object).flat_map(Map::values);
        let parts = parts.chain(std::iter::once(&request)).filter(|part| part["TableName"] == self.table.as_str());
        let parts = parts.chain(of_batch.filter_map(Value::as_object).flat_map(Map::values));
        parts.filter_map(|part| self.key(part)).collect()
    }

    fn key(&self, write: &Value) -> Option<Value> {
        let named = if write["Key"].is_object() { &write["Key"] } else { &write["Item"] };
        let sort = named["sk"]["S"].as_str()?;
        self.kinds.iter().any(|kind| sort.starts_with(kind)).then(|| json!({"pk": named["pk"], "sk": named["sk"]}))
    }

    fn item(&self, key: &Value) -> Option<Value> {
        let item = self.database.item(&self.table, key);
        item.inspect_err(|error| tracing::error!(%error, "a changed item was not read")).ok().flatten()
    }

    fn record(&self, key: Value, before: Option<Value>, after: Option<Value>) {
        let name = match (&before, &after) {
            (None, _) => "INSERT",
            (_, None) => "REMOVE",
            _ => "MODIFY",
        };
        // Writes have turns, so nobody else takes the same number.
        let sequence = (self.last.load(Ordering::Relaxed) + 1).max(Timestamp::now().as_microsecond());
        self.last.store(sequence, Ordering::Relaxed);
        let mut change = json!({"Keys": key, "SequenceNumber": sequence.to_string()});
        for (image, item) in [("OldImage", before), ("NewImage", after)] {
            if let Some(item) = item {
                change[image] = item;
            }
        }
        // Without a receiver the stack is about to stop.
        let _ = self.records.send(json!({"eventName": name, "dynamodb": change}));
    }
}
