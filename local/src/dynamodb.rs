//! The embedded DynamoDB. No other module names its crate.

mod access;
mod capacity;
mod proxy;

use std::path::Path;

use dynoxide::actions::scan::ScanRequest;
use dynoxide::types::Item;
use dynoxide::{Database, ImportOptions};
use serde_json::Value;
use tokio::net::TcpListener;

pub use access::{Access, AccessLog};
pub use proxy::{Proxy, serve as serve_proxy};

/// The embedded DynamoDB could not be started, or failed.
#[derive(Debug, thiserror::Error)]
#[error("the embedded DynamoDB: {0}")]
pub struct DynamodbError(String);

/// A database, in memory or in a file.
#[derive(Clone)]
pub struct Dynamodb(Database);

impl Dynamodb {
    /// Opens the database in `file`, or a new one in memory.
    pub fn open(file: Option<&Path>) -> Result<Self, DynamodbError> {
        let opened = match file {
            Some(file) => Database::new(&file.to_string_lossy()),
            None => Database::memory(),
        };
        opened.map(Self).map_err(|error| DynamodbError(error.to_string()))
    }

    /// Returns the first items of a table, up to about 1 MB, in DynamoDB's JSON.
    pub fn items(&self, table: &str) -> Result<Vec<Value>, DynamodbError> {
        let all = self.0.scan(ScanRequest { table_name: table.to_owned(), ..ScanRequest::default() });
        let all = all.map_err(|error| DynamodbError(error.to_string()))?.items.unwrap_or_default();
        all.iter().map(serde_json::to_value).collect::<Result<_, _>>().map_err(|error| DynamodbError(error.to_string()))
    }

    /// Copies all items of a table from another database into a table of this one, all of them or none. Returns their number, which
    /// is 0 if this table has items already.
    pub fn copy_table(&self, from: &Self, table: &str, into: &str) -> Result<usize, DynamodbError> {
        let failed = |error: dynoxide::errors::DynoxideError| DynamodbError(error.to_string());
        let page = |database: &Database, table: &str, start| {
            let request =
                ScanRequest { table_name: table.to_owned(), exclusive_start_key: start, ..ScanRequest::default() };
            database.scan(request).map_err(failed)
        };
        if page(&self.0, into, None)?.items.is_some_and(|items| !items.is_empty()) {
            return Ok(0);
        }
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let read = page(&from.0, table, start)?;
            items.extend(read.items.unwrap_or_default());
            start = read.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let count = items.len();
        self.0.import_items(into, items, ImportOptions::default()).map_err(failed)?;
        Ok(count)
    }

    /// Puts many items, in DynamoDB's JSON, into a table.
    pub fn import(&self, table: &str, items: Vec<Value>) -> Result<(), DynamodbError> {
        let items = items.into_iter().map(serde_json::from_value::<Item>).collect::<Result<_, _>>();
        let items = items.map_err(|error| DynamodbError(error.to_string()))?;
        let imported = self.0.import_items(table, items, ImportOptions::default());
        imported.map(drop).map_err(|error| DynamodbError(error.to_string()))
    }

    /// Serves DynamoDB's HTTP until `stop` resolves.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), DynamodbError> {
        dynoxide::server::serve_with_shutdown(listener, self.0, stop).await.map_err(DynamodbError)
    }
}
