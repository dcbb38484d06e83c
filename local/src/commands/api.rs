//! A client of Maskline's API.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, Url};
use serde::Deserialize;
use serde_json::Value;
use shared::aws_request::AwsSigner;
use shared::vonage::http_client;

/// The longest time that a request may take. API Gateway's own limit is 30 seconds.
const TIME_LIMIT: Duration = Duration::from_secs(35);

/// The way in which requests show that they may be made.
#[derive(Debug)]
pub(crate) enum Access {
    /// The laptop stack asks for nothing.
    Open,
    /// A token of the deployment's JWT authorizer.
    Token(String),
    /// The signature of AWS (SigV4).
    Signed(AwsSigner),
}

/// The API of one stack.
#[derive(Debug)]
pub(crate) struct Api {
    base: Url,
    is_laptop: bool,
    access: Access,
    http: Client,
}

/// One request, whose path has not been escaped yet.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    idempotency_key: Option<&'a str>,
    body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &[&'a str]) -> Self {
        Self { method, path: path.to_vec(), query: Vec::new(), idempotency_key: None, body: None }
    }

    /// Adds a parameter of the query, if it has a value.
    pub(crate) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(crate) fn body(mut self, body: &'a Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn idempotency_key(mut self, key: &'a str) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

/// A request to the API had no success.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The URL is none of an API.
    #[error("`{0}` is not a URL of an API, such as https://….execute-api.eu-west-2.amazonaws.com")]
    Url(String),
    /// The request cannot be built or signed.
    #[error("the request cannot be made: {0}")]
    Unsendable(String),
    /// The API did not answer.
    #[error("{0}")]
    NoAnswer(NoAnswer),
    /// The API refused the request.
    #[error("{0}")]
    Refused(Problem),
}

/// No answer came.
#[derive(Debug)]
pub struct NoAnswer {
    url: String,
    is_laptop: bool,
    cause: reqwest::Error,
    /// The key with which the request can be sent again without being carried out twice.
    idempotency_key: Option<String>,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_laptop && self.cause.is_connect() {
            return write!(
                f,
                "no stack answers at {}; start one with `maskline` in another terminal, or name a deployment by --profile or --url",
                self.url
            );
        }
        write!(f, "{} did not answer: {}", self.url, root(&self.cause))?;
        match &self.idempotency_key {
            Some(key) if !self.cause.is_connect() => write!(
                f,
                "\nIt may have been done all the same. Run it again with --idempotency-key {key}, and nothing is done twice."
            ),
            _ => Ok(()),
        }
    }
}

/// Returns the first cause, which is the most telling one.
fn root(error: &reqwest::Error) -> &dyn Error {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}

/// An error of the API (RFC 9457), or of API Gateway in front of it.
#[derive(Debug)]
pub struct Problem {
    status: u16,
    retry_after: Option<String>,
    body: Box<ProblemBody>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProblemBody {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    detail: String,
    field: Option<String>,
    /// The form of API Gateway.
    #[serde(alias = "Message")]
    message: String,
}

impl ApiError {
    /// Returns the problem, if the API answered with one.
    pub(super) fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }
}

impl Problem {
    /// Returns the end of its type, such as `no-number-free`; empty if it is one of API Gateway.
    pub(super) fn kind(&self) -> &str {
        self.body.kind.rsplit(':').next().unwrap_or_default()
    }

    /// Returns the status of the answer.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Returns the field of the request that is at fault, if one is.
    pub(super) fn field(&self) -> Option<&str> {
        self.body.field.as_deref()
    }

    /// Returns the seconds after which the request may be sent again, if the answer says so.
    pub(super) fn retry_after(&self) -> Option<&str> {
        self.retry_after.as_deref()
    }

    /// Returns the reason, without a full stop.
    pub(super) fn reason(&self) -> &str {
        let ProblemBody { title, detail, message, .. } = &*self.body;
        let says = [detail, title, message].into_iter().find(|text| !text.is_empty());
        says.map_or("the API gave no reason", |text| text.trim_end_matches('.'))
    }

    /// Returns true if the same request may succeed later: the service fails, or gets too many.
    pub(super) fn may_pass(&self) -> bool {
        self.status >= 500 || self.status == 429
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProblemBody { kind, field, .. } = &*self.body;
        if let Some(field) = field {
            write!(f, "{field}: ")?;
        }
        write!(f, "{}", self.reason())?;
        let kind = kind.rsplit(':').next().filter(|kind| !kind.is_empty());
        write!(f, " ({}{})", kind.map(|kind| format!("{kind}, ")).unwrap_or_default(), self.status)?;
        match (self.status, &self.retry_after) {
            (401 | 403, _) if kind.is_none() => {
                write!(
                    f,
                    "\nThe deployment wants a signature or a token: give --profile, or {} in the environment.",
                    super::TOKEN
                )
            }
            (429 | 503, Some(seconds)) => write!(f, "\nTry again in {seconds} s."),
            _ => Ok(()),
        }
    }
}

impl Api {
    /// Creates a client. It sends nothing yet. `is_laptop` is for the advice if nothing answers.
    pub(crate) fn new(url: &str, is_laptop: bool, access: Access) -> Result<Self, ApiError> {
        let base = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| ApiError::Url(url.to_owned()))?;
        let mut http = http_client(None);
        if base.scheme() == "http" {
            // This machine: no proxy leads there.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| ApiError::Unsendable(error.to_string()))?;
        Ok(Self { base, is_laptop, access, http })
    }

    /// Sends a request. Returns the body of the answer, or null if it has none.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Value, ApiError> {
        let response = self.answer(&call, TIME_LIMIT).await?;
        let body = response.bytes().await.map_err(|cause| self.no_answer(&call, cause))?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Sends a request whose answer goes on until the stack stops.
    pub(super) async fn stream(&self, call: Call<'_>) -> Result<Response, ApiError> {
        self.answer(&call, Duration::from_secs(u32::MAX.into())).await
    }

    async fn answer(&self, call: &Call<'_>, limit: Duration) -> Result<Response, ApiError> {
        let mut request = self.request(call)?;
        *request.timeout_mut() = Some(limit);
        let response = self.http.execute(request).await.map_err(|cause| self.no_answer(call, cause))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.bytes().await.map_err(|cause| self.no_answer(call, cause))?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Err(ApiError::Refused(Problem { status: status.as_u16(), retry_after, body }))
    }

    fn no_answer(&self, call: &Call<'_>, cause: reqwest::Error) -> ApiError {
        ApiError::NoAnswer(NoAnswer {
            url: self.base.to_string(),
            is_laptop: self.is_laptop,
            cause,
            idempotency_key: call.idempotency_key.map(str::to_owned),
        })
    }

    fn request(&self, call: &Call<'_>) -> Result<Request, ApiError> {
        let url = self.address(call);
        let body = call.body.map(Value::to_string).unwrap_or_default();
        let mut request = self.http.request(call.method.clone(), url.clone());
        if let Some(key) = call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        request = match &self.access {
            Access::Open => request,
            Access::Token(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            Access::Signed(signer) => {
                let headers = signer.headers(call.method.as_str(), url.as_str(), body.as_bytes());
                let headers = headers.ok_or_else(|| ApiError::Unsendable("it cannot be signed".to_owned()))?;
                headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
            }
        };
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        request.build().map_err(|error| ApiError::Unsendable(error.to_string()))
    }

    fn address(&self, call: &Call<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
            // A signature is over %20, which means the same everywhere.
            let query = url.query().map(|query| query.replace('+', "%20"));
            url.set_query(query.as_deref());
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, body: &str) -> String {
        Problem { status, retry_after: Some("30".to_owned()), body: serde_json::from_str(body).unwrap() }.to_string()
    }

    #[test]
    fn address_escapes_what_is_no_path_or_query() {
        let api = Api::new("https://api.example/stage/", false, Access::Open).unwrap();
        let call = Call::new(Method::GET, &["conversations", "a/../b?c"]).query("number", Some("+44 7700&x=1"));
        let expected = "https://api.example/stage/conversations/a%2F..%2Fb%3Fc?number=%2B44%207700%26x%3D1";
        assert_eq!(api.address(&call).as_str(), expected);
    }

    #[test]
    fn url_without_a_host_is_refused() {
        for url in ["", "api.example", "ftp://api.example", "http:"] {
            assert!(matches!(Api::new(url, false, Access::Open), Err(ApiError::Url(_))), "{url}");
        }
    }

    #[test]
    fn problem_says_the_field_the_reason_and_what_to_do() {
        let wrong = r#"{"type": "urn:maskline:problem:invalid-value", "title": "Invalid value", "status": 422,
                        "detail": "Its country has no such number.", "field": "participants[1].number"}"#;
        assert_eq!(problem(422, wrong), "participants[1].number: Its country has no such number (invalid-value, 422)");
        let busy = r#"{"type": "urn:maskline:problem:contended", "title": "Another request was first", "status": 503}"#;
        assert_eq!(problem(503, busy), "Another request was first (contended, 503)\nTry again in 30 s.");
    }

    #[test]
    fn refusal_of_api_gateway_says_what_is_missing() {
        let told = problem(403, r#"{"message": "Forbidden"}"#);
        assert!(told.starts_with("Forbidden (403)\n") && told.contains("--profile"), "{told}");
        assert!(problem(502, "{}").starts_with("the API gave no reason (502)"));
    }
}
