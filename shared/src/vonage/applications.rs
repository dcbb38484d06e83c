//! The applications of an account: finding, reading, making and replacing them.
//!
//! Source: Vonage Application API v2. Names are not unique, and making an application twice makes two.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::application::Application;
use super::client::{Payload, Vonage, parse, parse_ok};
use super::error::VonageError;
use super::retry::Idempotency;

/// A client of the Application API.
#[derive(Debug, Clone)]
pub struct ApplicationsApi(pub Vonage);

/// An application in the list of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedApplication {
    /// Its ID.
    pub id: String,
    /// Its settings.
    pub application: Application,
}

/// Most applications in a page of the list. Source: the API refuses more than 100.
const PAGE: usize = 100;

/// Most pages that are read, so that a list that never ends does not keep a request busy.
const MOST_PAGES: usize = 50;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    total_pages: usize,
    #[serde(rename = "_embedded", default)]
    embedded: Embedded,
}

#[derive(Default, Deserialize)]
struct Embedded {
    #[serde(default)]
    applications: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

impl ApplicationsApi {
    /// Reads the application with this ID.
    pub async fn read(&self, id: &str) -> Result<Application, VonageError> {
        let path = path(id);
        let budget = self.0.retry_budget(&path, Idempotency::Safe, None);
        let read = |limit| self.0.send_for_json(self.0.api(&path), Payload::Query(&()), limit);
        budget.run(read).await.map(Application::new)
    }

    /// Reads the application with this ID, or returns `None` if the account has no such application.
    pub async fn find(&self, id: &str) -> Result<Option<Application>, VonageError> {
        match self.read(id).await {
            Ok(application) => Ok(Some(application)),
            Err(VonageError::Refused { code, .. }) if code == "404" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns all applications of the account.
    pub async fn list(&self) -> Result<Vec<ListedApplication>, VonageError> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let Page { total_pages, embedded } = self.page(page).await?;
            all.extend(embedded.applications.into_iter().filter_map(listed));
            if page >= total_pages {
                return Ok(all);
            }
        }
        Err(VonageError::NotUnderstood(None))
    }

    async fn page(&self, page: usize) -> Result<Page, VonageError> {
        let query = [("page_size", PAGE), ("page", page)];
        let budget = self.0.retry_budget(COLLECTION, Idempotency::Safe, None);
        budget.run(|limit| self.0.send_for_json(self.0.api(COLLECTION), Payload::Query(&query), limit)).await
    }

    /// Makes an application, and returns its ID. Vonage makes a pair of keys, and sends the private one, unless the application
    /// has a public key.
    pub async fn make(&self, application: &Application) -> Result<String, VonageError> {
        let budget = self.0.retry_budget(COLLECTION, Idempotency::Unsafe, None);
        budget.run(|limit| self.make_once(application, limit)).await
    }

    async fn make_once(&self, application: &Application, limit: Duration) -> Result<String, VonageError> {
        let url = self.0.api(COLLECTION);
        let (status, body) = self.0.send(url, Payload::Json(application.fields()), limit).await?;
        match status.as_u16() {
            201 => parse::<Made>(&body).map(|made| made.id),
            _ => Err(refusal(status.as_str(), &body)),
        }
    }

    /// Deletes the application with this ID. One that does not exist is deleted.
    pub async fn delete(&self, id: &str) -> Result<(), VonageError> {
        let path = path(id);
        let budget = self.0.retry_budget(&path, Idempotency::Safe, None);
        let (status, body) = budget.run(|limit| self.0.send(self.0.api(&path), Payload::Delete(&()), limit)).await?;
        match status.as_u16() {
            204 | 404 => Ok(()),
            _ => Err(refusal(status.as_str(), &body)),
        }
    }

    /// Replaces the application with this ID.
    pub async fn replace(&self, id: &str, application: &Application) -> Result<(), VonageError> {
        let path = path(id);
        let budget = self.0.retry_budget(&path, Idempotency::Unsafe, None);
        budget.run(|limit| self.replace_once(&path, application, limit)).await
    }

    async fn replace_once(&self, path: &str, application: &Application, limit: Duration) -> Result<(), VonageError> {
        let payload = Payload::PutJson(application.fields());
        let (status, body) = self.0.send(self.0.api(path), payload, limit).await?;
        match status.as_u16() {
            200 => parse_ok::<Map<String, Value>>(status, &body).map(drop),
            _ => Err(refusal(status.as_str(), &body)),
        }
    }
}

const COLLECTION: &str = "/v2/applications";

fn path(id: &str) -> String {
    format!("{COLLECTION}/{id}")
}

fn listed(mut fields: Map<String, Value>) -> Option<ListedApplication> {
    let Some(Value::String(id)) = fields.remove("id") else { return None };
    Some(ListedApplication { id, application: Application::new(fields) })
}

/// The body of a refusal. Source: RFC 7807 with `invalid_parameters`.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    title: String,
    #[serde(default)]
    invalid_parameters: Vec<InvalidParameter>,
}

#[derive(Deserialize)]
struct InvalidParameter {
    name: String,
    #[serde(default)]
    reason: String,
}

/// Returns the refusal of an application, with the settings that Vonage does not take.
fn refusal(status: &str, body: &[u8]) -> VonageError {
    let Refusal { title, invalid_parameters } = parse(body).unwrap_or_default();
    let named = invalid_parameters.iter().map(|invalid| format!("{} {}", invalid.name, invalid.reason));
    let named: Vec<_> = named.collect();
    let label = match (title.is_empty(), named.is_empty()) {
        (true, true) => "refused".to_owned(),
        (_, true) => title,
        _ => named.join(", "),
    };
    VonageError::refused(status, &label)
}
