//! Eventually consistent reads of the table. The test chooses which past state of an item the next such read returns.
//! Strongly consistent reads return the present state.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use dynoxide::types::Item;
use serde_json::{Value, json};

use crate::database::Database;

/// A connection to the table that supports only `GetItem`.
#[derive(Clone)]
pub struct StaleReads {
    database: Database,
    found: Arc<Mutex<Option<Item>>>,
}

impl StaleReads {
    pub fn of(database: &Database) -> Self {
        Self { database: database.clone(), found: Arc::default() }
    }

    /// Sets the item that eventually consistent reads return from now on.
    pub fn find(&self, item: Option<Item>) {
        *self.found.lock().unwrap() = item;
    }

    async fn answer(self, request: Value) -> Value {
        if request["ConsistentRead"] == true {
            return self.database.get_item(&request).await;
        }
        let found = self.found.lock().unwrap().clone();
        found.map_or_else(|| json!({}), |item| json!({"Item": item}))
    }
}

impl fmt::Debug for StaleReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaleReads").finish_non_exhaustive()
    }
}

impl HttpConnector for StaleReads {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        assert_eq!(request.headers().get("x-amz-target"), Some("DynamoDB_20120810.GetItem"));
        let answer = self.clone().answer(serde_json::from_slice(request.body().bytes().unwrap()).unwrap());
        HttpConnectorFuture::new(async {
            let body = answer.await.to_string();
            Ok(HttpResponse::new(200.try_into().unwrap(), body.into()))
        })
    }
}

impl HttpClient for StaleReads {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
