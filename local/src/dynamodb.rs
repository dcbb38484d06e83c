//! The embedded DynamoDB. The one module that names its crate.

mod capacity;
mod proxy;

use std::path::Path;

use dynoxide::Database;
use tokio::net::TcpListener;

pub use proxy::serve as serve_proxy;

/// The embedded DynamoDB could not be started, or failed.
#[derive(Debug, thiserror::Error)]
#[error("the embedded DynamoDB: {0}")]
pub struct DynamodbError(String);

/// A database, in memory or in a file.
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

    /// Serves DynamoDB's HTTP until `stop` resolves.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), DynamodbError> {
        dynoxide::server::serve_with_shutdown(listener, self.0, stop).await.map_err(DynamodbError)
    }
}
