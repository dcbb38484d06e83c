//! The table as an eventually consistent read may find it: an item as it was a while ago. All other reads find it as it
//! is. It is in this process, so that what is read can be chosen for each read.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use dynoxide::Database;
use dynoxide::actions::get_item::{GetItemRequest, GetItemResponse};
use dynoxide::types::Item;

/// A way to the table on which only single items are read.
#[derive(Clone)]
pub struct StaleReads {
    database: Database,
    found: Arc<Mutex<Option<Item>>>,
}

impl StaleReads {
    pub fn of(database: &Database) -> Self {
        Self { database: database.clone(), found: Arc::default() }
    }

    /// Lets eventually consistent reads find this from now on.
    pub fn find(&self, item: Option<Item>) {
        *self.found.lock().unwrap() = item;
    }

    fn answer(&self, request: GetItemRequest) -> GetItemResponse {
        if request.consistent_read == Some(true) {
            return self.database.get_item(request).unwrap();
        }
        GetItemResponse { item: self.found.lock().unwrap().clone(), ..GetItemResponse::default() }
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
        let answer = self.answer(serde_json::from_slice(request.body().bytes().unwrap()).unwrap());
        let body = serde_json::to_string(&answer).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), body.into())))
    }
}

impl HttpClient for StaleReads {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
