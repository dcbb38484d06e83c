//! The embedded DynamoDB. No other module names its crate.

mod access;
mod capacity;
mod changes;
mod data_file;
mod proxy;

use std::path::Path;
use std::sync::Arc;

use dynoxide::actions::scan::ScanRequest;
use dynoxide::errors::DynoxideError;
use dynoxide::types::Item;
use dynoxide::{Database, ImportOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use access::{Access, AccessLog};
pub use changes::Changes;
pub use data_file::FileError;
use data_file::Lock;
pub use proxy::{Proxy, serve as serve_proxy};

/// The embedded DynamoDB could not be started, or failed.
#[derive(Debug, thiserror::Error)]
pub enum DynamodbError {
    /// A request or the server failed.
    #[error("the embedded DynamoDB: {0}")]
    Failed(String),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A database, in memory or in a file.
#[derive(Clone)]
pub struct Dynamodb {
    database: Database,
    /// Held as long as the database is open.
    _lock: Option<Arc<Lock>>,
}

fn failed(error: impl std::fmt::Display) -> DynamodbError {
    DynamodbError::Failed(error.to_string())
}

impl Dynamodb {
    /// Opens the database in `file`, which is made if it is not there, or a new one in memory.
    ///
    /// # Errors
    /// The file is in use by another process, is no data file, or is damaged. Nothing is changed in it then.
    pub fn open(file: Option<&Path>) -> Result<Self, DynamodbError> {
        let Some(file) = file else {
            let database = Database::memory().map_err(failed)?;
            return Ok(Self { database, _lock: None });
        };
        let lock = data_file::lock(file)?;
        data_file::check(file)?;
        let opened = Database::new(&file.to_string_lossy());
        let database = opened.map_err(|error| FileError::unusable(file, error))?;
        Ok(Self { database, _lock: Some(Arc::new(lock)) })
    }

    /// Returns the first items of a table, up to about 1 MB, in DynamoDB's JSON.
    pub fn items(&self, table: &str) -> Result<Vec<Value>, DynamodbError> {
        let all = self.database.scan(ScanRequest { table_name: table.to_owned(), ..ScanRequest::default() });
        let all = all.map_err(failed)?.items.unwrap_or_default();
        all.iter().map(serde_json::to_value).collect::<Result<_, _>>().map_err(failed)
    }

    /// Returns the item with this key, in DynamoDB's JSON; `None` if there is none.
    pub fn item(&self, table: &str, key: &Value) -> Result<Option<Value>, DynamodbError> {
        let request = json!({"TableName": table, "Key": key, "ConsistentRead": true});
        let found = self.database.get_item(serde_json::from_value(request).map_err(failed)?).map_err(failed)?;
        found.item.map(serde_json::to_value).transpose().map_err(failed)
    }

    /// Copies all items of a table from another database into a table of this one, all of them or none. Returns their number, which
    /// is 0 if this table has items already.
    pub fn copy_table(&self, from: &Self, table: &str, into: &str) -> Result<usize, DynamodbError> {
        let page = |database: &Database, table: &str, start| {
            let request =
                ScanRequest { table_name: table.to_owned(), exclusive_start_key: start, ..ScanRequest::default() };
            database.scan(request).map_err(failed)
        };
        if page(&self.database, into, None)?.items.is_some_and(|items| !items.is_empty()) {
            return Ok(0);
        }
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let read = page(&from.database, table, start)?;
            items.extend(read.items.unwrap_or_default());
            start = read.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        let count = items.len();
        self.database.import_items(into, items, ImportOptions::default()).map_err(failed)?;
        Ok(count)
    }

    /// Puts many items, in DynamoDB's JSON, into a table.
    pub fn import(&self, table: &str, items: Vec<Value>) -> Result<(), DynamodbError> {
        let items = items.into_iter().map(serde_json::from_value::<Item>).collect::<Result<_, _>>();
        let items = items.map_err(failed)?;
        let imported = self.database.import_items(table, items, ImportOptions::default());
        imported.map(drop).map_err(failed)
    }

    /// Carries out a request with this operation and body, and returns the answer's body. Returns `None` if the request is
    /// refused, and has changed nothing, or if its operation is rare: DynamoDB's HTTP has the words for those.
    fn carry_out(&self, operation: &str, body: &[u8]) -> Option<String> {
        fn answer<R: DeserializeOwned, A: Serialize>(
            body: &[u8],
            carry_out: impl FnOnce(R) -> Result<A, DynoxideError>,
        ) -> Option<String> {
            serde_json::to_string(&carry_out(serde_json::from_slice(body).ok()?).ok()?).ok()
        }
        let database = &self.database;
        match operation {
            "GetItem" => answer(body, |request| database.get_item(request)),
            "BatchGetItem" => answer(body, |request| database.batch_get_item(request)),
            "Query" => answer(body, |request| database.query(request)),
            "PutItem" => answer(body, |request| database.put_item(request)),
            "UpdateItem" => answer(body, |request| database.update_item(request)),
            "DeleteItem" => answer(body, |request| database.delete_item(request)),
            "TransactWriteItems" => answer(body, |request| database.transact_write_items(request)),
            _ => None,
        }
    }

    /// Serves DynamoDB's HTTP until `stop` resolves.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), DynamodbError> {
        dynoxide::server::serve_with_shutdown(listener, self.database, stop).await.map_err(failed)
    }
}
