//! The sender of a request: its credentials, the URL by which it knows the façade, and the page that it wants.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Proxy, is_sid};

/// The number of entries of a page that asks for none, and the most.
const USUAL_PAGE: usize = 50;
const LARGEST_PAGE: usize = 100;

/// The sender of a request.
pub(super) struct Client {
    /// The account that it names.
    pub(super) account: String,
    base: String,
    path: String,
    page: Page,
}

/// The page that a request wants.
#[derive(Default)]
pub(super) struct Page {
    number: usize,
    pub(super) size: usize,
    /// The token that the page before gave.
    pub(super) token: Option<String>,
}

impl FromRequestParts<Arc<Proxy>> for Client {
    type Rejection = Refusal;

    /// Refuses whoever sends no credentials. So no page in a browser can send requests without being asked for permission first.
    async fn from_request_parts(parts: &mut Parts, proxy: &Arc<Proxy>) -> Result<Self, Refusal> {
        let (user, password) = credentials(&parts.headers).ok_or_else(Refusal::not_authenticated)?;
        if proxy.token.as_ref().is_some_and(|token| !is_same(token, &password)) {
            return Err(Refusal::not_authenticated());
        }
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let scheme = if header("x-forwarded-proto") == Some("https") { "https" } else { "http" };
        let host = header(HOST.as_str()).unwrap_or("127.0.0.1");
        let page = Page::read(parts.uri.query().unwrap_or_default())?;
        let account = if is_sid(&user, "AC") { user } else { format!("AC{}", "0".repeat(32)) };
        Ok(Self { account, base: format!("{scheme}://{host}"), path: parts.uri.path().to_owned(), page })
    }
}

impl Client {
    /// Returns the URL of a resource.
    pub(super) fn url(&self, path: &[&str]) -> String {
        format!("{}/v1/{}", self.base, path.join("/"))
    }

    /// Returns the page that it wants.
    pub(super) fn page(&self) -> &Page {
        &self.page
    }

    /// Returns a page of a list. `next` is the token of the next one.
    pub(super) fn list(&self, key: &str, entries: Vec<Value>, next: Option<String>) -> Value {
        let Page { number, size, .. } = self.page;
        let url = |query: String| format!("{}{}?PageSize={size}&{query}", self.base, self.path);
        let next = next.map(|token| url(format!("Page={}&PageToken={token}", number + 1)));
        json!({
            key: entries,
            "meta": {"key": key, "page": number, "page_size": size, "first_page_url": url("Page=0".to_owned()),
                     "previous_page_url": null, "next_page_url": next, "url": url(format!("Page={number}"))},
        })
    }
}

impl Page {
    fn read(query: &str) -> Result<Self, Refusal> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        let mut page = Self { size: USUAL_PAGE, ..Self::default() };
        for (name, value) in pairs {
            let number = || value.parse::<usize>().map_err(|_| Refusal::parameter(&name, "It is no number"));
            match name.as_str() {
                "PageSize" => page.size = number()?.clamp(1, LARGEST_PAGE),
                "Page" => page.number = number()?,
                "PageToken" => page.token = Some(value),
                _ => return Err(Refusal::parameter("query", "A list can be asked for in pages, and no other way")),
            }
        }
        Ok(page)
    }
}

/// Returns the user and the password of HTTP's basic authentication.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Compares secrets by their hashes, so that the time tells nothing about them.
fn is_same(one: &str, other: &str) -> bool {
    digest(&SHA256, one.as_bytes()).as_ref() == digest(&SHA256, other.as_bytes()).as_ref()
}
