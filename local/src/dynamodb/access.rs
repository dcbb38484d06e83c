//! A record of what each function asks of DynamoDB, in IAM's terms, to be compared with its permissions in the template.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use serde_json::Value;

/// The header with the session token of the sender's role. On the laptop, a function's token is its name.
pub(super) const TOKEN: &str = "x-amz-security-token";

/// The tables whose items an operation names, by their position in the request.
const TABLES: &str = "RequestItems";

/// An action of a function on the items of a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// The function.
    pub function: String,
    /// The action, such as `dynamodb:GetItem`. A transaction has one for each of its items.
    pub action: String,
    /// The table.
    pub table: String,
    /// The leading key, of which only the first part is kept, such as `CALLER#*`, because the rest may be a phone number; `*`
    /// for an action on all partitions.
    pub partition: String,
}

/// The file to which accesses are appended, each once for a process.
#[derive(Debug)]
pub struct AccessLog {
    file: PathBuf,
    seen: Mutex<HashSet<Access>>,
}

impl AccessLog {
    /// Creates a log that appends to `file`, which several processes may share.
    pub fn new(file: PathBuf) -> Self {
        Self { file, seen: Mutex::default() }
    }

    /// Records a function's request. Requests of others are not recorded.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn record(&self, headers: &HeaderMap, operation: &str, body: &[u8]) -> io::Result<()> {
        let Some(function) = headers.get(TOKEN).and_then(|token| token.to_str().ok()) else { return Ok(()) };
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for access in accesses(function, operation, &request) {
            if seen.insert(access.clone()) {
                let Access { function, action, table, partition } = access;
                // One short write: other processes append their lines before it or after it.
                let line = format!("{function}\t{action}\t{table}\t{partition}\n");
                OpenOptions::new().append(true).create(true).open(&self.file)?.write_all(line.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Reads what all processes have recorded.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such log.
    pub fn read(file: &Path) -> io::Result<HashSet<Access>> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "no record of accesses");
        let access = |line: &str| match *line.split('\t').collect::<Vec<_>>() {
            [function, action, table, partition] => {
                let [function, action, table, partition] = [function, action, table, partition].map(str::to_owned);
                Ok(Access { function, action, table, partition })
            }
            _ => Err(malformed()),
        };
        std::fs::read_to_string(file)?.lines().map(access).collect()
    }
}

/// Returns what a function does by a request.
fn accesses(function: &str, operation: &str, request: &Value) -> Vec<Access> {
    let access = |action: &str, table: &Value, key: Option<&Value>| Access {
        function: function.to_owned(),
        action: format!("dynamodb:{action}"),
        table: table.as_str().unwrap_or_default().to_owned(),
        partition: key.and_then(|key| key["S"].as_str()).map_or_else(|| "*".to_owned(), pattern),
    };
    let table = &request["TableName"];
    match operation {
        "TransactWriteItems" => {
            let items = request["TransactItems"].as_array().into_iter().flatten();
            let writes = items.filter_map(Value::as_object).flatten();
            writes
                .map(|(write, item)| {
                    let action = if write == "ConditionCheck" {
                        "ConditionCheckItem".to_owned()
                    } else {
                        format!("{write}Item")
                    };
                    access(&action, &item["TableName"], Some(written(item)))
                })
                .collect()
        }
        "BatchGetItem" => {
            let tables = request[TABLES].as_object().into_iter().flatten();
            let keys = tables.flat_map(|(table, of_table)| {
                let keys = of_table["Keys"].as_array().into_iter().flatten();
                keys.map(move |key| (Value::from(table.as_str()), &key["pk"]))
            });
            keys.map(|(table, key)| access(operation, &table, Some(key))).collect()
        }
        "Query" => {
            let condition = request["KeyConditionExpression"].as_str().unwrap_or_default();
            let placeholder =
                condition.strip_prefix("pk = ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
            vec![access(operation, table, Some(&request["ExpressionAttributeValues"][placeholder]))]
        }
        "Scan" => vec![access(operation, table, None)],
        _ => vec![access(operation, table, Some(written(request)))],
    }
}

/// Returns the partition key of the item that a request reads or writes.
fn written(request: &Value) -> &Value {
    if request["Key"].is_object() { &request["Key"]["pk"] } else { &request["Item"]["pk"] }
}

/// Returns the pattern of IAM that matches all leading keys of the same kind.
fn pattern(leading_key: &str) -> String {
    match leading_key.split_once('#') {
        Some((kind, _)) => format!("{kind}#*"),
        None => leading_key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(operation: &str, request: Value) -> Vec<(String, String, String)> {
        let accesses = accesses("create-conversation", operation, &request).into_iter();
        accesses.map(|access| (access.action, access.table, access.partition)).collect()
    }

    fn expected(of: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
        of.iter()
            .map(|(action, table, key)| (format!("dynamodb:{action}"), table.to_string(), key.to_string()))
            .collect()
    }

    #[test]
    fn each_item_of_a_request_is_an_access() {
        let key = |pk: &str| json!({"pk": {"S": pk}, "sk": {"S": "X"}});
        let written = [
            json!({"Put": {"TableName": "t", "Item": key("CALLER#447700900001")}}),
            json!({"Update": {"TableName": "t", "Key": key("CONVERSATION#1")}}),
            json!({"Delete": {"TableName": "t", "Key": key("ERASURE")}}),
            json!({"ConditionCheck": {"TableName": "u", "Key": key("POOL")}}),
        ];
        assert_eq!(
            seen("TransactWriteItems", json!({"TransactItems": written})),
            expected(&[
                ("PutItem", "t", "CALLER#*"),
                ("UpdateItem", "t", "CONVERSATION#*"),
                ("DeleteItem", "t", "ERASURE"),
                ("ConditionCheckItem", "u", "POOL"),
            ])
        );
        let read = json!({"RequestItems": {"t": {"Keys": [key("CALLER#1"), key("POOL#GB")]}}});
        assert_eq!(
            seen("BatchGetItem", read),
            expected(&[("BatchGetItem", "t", "CALLER#*"), ("BatchGetItem", "t", "POOL#*")])
        );
        let query = json!({"TableName": "t", "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
                           "ExpressionAttributeValues": {":pk": {"S": "POOL#GB"}, ":sk": {"S": "NUMBER#"}}});
        assert_eq!(seen("Query", query), expected(&[("Query", "t", "POOL#*")]));
        assert_eq!(seen("Scan", json!({"TableName": "t"})), expected(&[("Scan", "t", "*")]));
        assert_eq!(
            seen("GetItem", json!({"TableName": "t", "Key": key("POOL")})),
            expected(&[("GetItem", "t", "POOL")])
        );
    }
}
