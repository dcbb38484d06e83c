//! API Gateway's payload format 2.0, both ways.
//!
//! Source: API Gateway Developer Guide, "Working with AWS Lambda proxy integrations for HTTP APIs".

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// An HTTP request on its way to a function.
pub(super) struct ApiRequest<'a> {
    /// The route that it matched: `GET /conversations/{id}`.
    pub route_key: &'a str,
    /// The parameters in its path.
    pub parameters: BTreeMap<String, String>,
    /// Method, URL and headers.
    pub parts: &'a Parts,
    /// The body.
    pub body: &'a [u8],
}

impl ApiRequest<'_> {
    /// Returns the event for Lambda.
    pub fn event(&self) -> Value {
        let Parts { method, uri, headers, version, .. } = self.parts;
        let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let now = Timestamp::now();
        let mut event = json!({
            "version": "2.0",
            "routeKey": self.route_key,
            "rawPath": uri.path(),
            "rawQueryString": uri.query().unwrap_or_default(),
            "headers": self.headers(),
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "laptop",
                "domainName": header(HOST),
                "domainPrefix": "laptop",
                "http": {
                    "method": method.as_str(),
                    "path": uri.path(),
                    "protocol": format!("{version:?}"),
                    "sourceIp": "127.0.0.1",
                    "userAgent": header(USER_AGENT),
                },
                "requestId": Uuid::new_v4().to_string(),
                "routeKey": self.route_key,
                "stage": "$default",
                "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
                "timeEpoch": now.as_millisecond(),
            },
            "isBase64Encoded": false,
        });
        let cookies: Vec<&str> = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
        if !cookies.is_empty() {
            event["cookies"] = json!(cookies.iter().flat_map(|line| line.split("; ")).collect::<Vec<_>>());
        }
        if let Some(query) = self.query() {
            event["queryStringParameters"] = json!(query);
        }
        if !self.parameters.is_empty() {
            event["pathParameters"] = json!(self.parameters);
        }
        if !self.body.is_empty() {
            match std::str::from_utf8(self.body) {
                Ok(text) if is_text(header(CONTENT_TYPE)) => event["body"] = json!(text),
                _ => {
                    event["body"] = json!(BASE64_STANDARD.encode(self.body));
                    event["isBase64Encoded"] = json!(true);
                }
            }
        }
        event
    }

    /// Returns the headers with names in lower case, and the protocol by which the request came; repeated values are joined by a
    /// comma. Cookies are apart.
    fn headers(&self) -> BTreeMap<&str, String> {
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in self.parts.headers.iter().filter(|(name, _)| *name != COOKIE) {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.as_str())
                .and_modify(|joined| {
                    joined.push(',');
                    joined.push_str(&value);
                })
                .or_insert_with(|| value.into_owned());
        }
        headers.insert("x-forwarded-proto", "http".to_owned());
        headers
    }

    fn query(&self) -> Option<BTreeMap<String, String>> {
        let pairs: Vec<(String, String)> =
            axum::extract::Query::try_from_uri(&self.parts.uri).map(|query| query.0).unwrap_or_default();
        let mut query: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in pairs {
            query
                .entry(name)
                .and_modify(|joined| {
                    joined.push(',');
                    joined.push_str(&value);
                })
                .or_insert(value);
        }
        (!query.is_empty()).then_some(query)
    }
}

/// True if API Gateway passes a body of this type on as text; it encodes all others, including forms, in base64.
fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&essence.as_str())
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

/// Returns the HTTP response for the JSON of a function; none if that JSON is no response.
pub(super) fn response(answer: &Value) -> Option<Response<Body>> {
    let status = StatusCode::from_u16(u16::try_from(answer["statusCode"].as_u64()?).ok()?).ok()?;
    let body = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true { BASE64_STANDARD.decode(body).ok()? } else { body.into() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        response.headers_mut().insert(name, HeaderValue::from_str(value.as_str()?).ok()?);
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn event(request: axum::http::request::Builder, body: &[u8]) -> Value {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let parameters = BTreeMap::from([("id".to_owned(), "01JD".to_owned())]);
        ApiRequest { route_key: "GET /conversations/{id}", parameters, parts: &parts, body }.event()
    }

    #[test]
    fn a_request_becomes_the_event_that_api_gateway_sends() {
        let request = Request::get("/conversations/01JD?a=1&a=2&b=x%20y")
            .header("Host", "127.0.0.1:3000")
            .header("X-Twice", "1")
            .header("X-Twice", "2")
            .header("Cookie", "a=1; b=2")
            .header("User-Agent", "curl");
        let event = event(request, b"");
        assert_eq!((&event["version"], &event["routeKey"]), (&json!("2.0"), &json!("GET /conversations/{id}")));
        assert_eq!(
            (&event["rawPath"], &event["rawQueryString"]),
            (&json!("/conversations/01JD"), &json!("a=1&a=2&b=x%20y"))
        );
        assert_eq!(event["queryStringParameters"], json!({"a": "1,2", "b": "x y"}));
        let headers =
            json!({"host": "127.0.0.1:3000", "x-twice": "1,2", "user-agent": "curl", "x-forwarded-proto": "http"});
        assert_eq!(event["headers"], headers);
        assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
        assert_eq!(event["pathParameters"], json!({"id": "01JD"}));
        assert_eq!(event["requestContext"]["http"]["method"], "GET");
        assert_eq!(event["requestContext"]["stage"], "$default");
        assert!(event.get("body").is_none());
    }

    #[test]
    fn a_json_body_is_text_and_a_form_is_base64() {
        for (content_type, encoded) in [
            ("application/json", false),
            ("application/json; charset=utf-8", false),
            ("application/problem+json", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", true),
            ("application/octet-stream", true),
        ] {
            let event = event(Request::post("/").header("Content-Type", content_type), b"a=1");
            assert_eq!(event["isBase64Encoded"], encoded, "{content_type}");
            assert_eq!(event["body"], if encoded { "YT0x" } else { "a=1" });
        }
        assert_eq!(event(Request::post("/").header("Content-Type", "text/plain"), &[0xff])["isBase64Encoded"], true);
    }

    #[test]
    fn an_answer_becomes_the_response_that_it_asks_for() {
        let answer =
            json!({"statusCode": 503, "headers": {"retry-after": "1"}, "body": "YT0x", "isBase64Encoded": true});
        let response = response(&answer).unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &HeaderValue::from(1)));
        assert!(super::response(&json!({"statusCode": "x"})).is_none());
    }
}
