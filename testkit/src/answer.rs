//! HTTP answers.

use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// The time after which a request counts as hanging: longer than anything takes that does not hang.
const HANGS: Duration = Duration::from_secs(120);

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The JSON body; null if there is no body.
    pub body: Value,
}

impl Answer {
    /// Sends `request`, and returns the answer. Fails if there is none, or if its body is not JSON.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.timeout(HANGS).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
        Self { status, headers, body }
    }

    /// Returns the `Content-Type`; empty if there is none.
    pub fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }

    /// Returns the `Retry-After`, in seconds.
    pub fn retry_after(&self) -> Option<&str> {
        self.header("retry-after")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
