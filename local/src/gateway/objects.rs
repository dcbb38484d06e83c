//! A stand-in for S3: one bucket, in a folder or in memory.
//!
//! Source: Amazon S3 API Reference, "PutObject", "GetObject" and "DeleteObject", and "Authenticating requests: using query parameters".

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Name of the laptop's bucket.
pub const BUCKET: &str = "maskline-recordings";

/// The path of the API on the gateway.
pub const PATH: &str = "/s3";

/// A bucket. Objects are stored under their keys.
#[derive(Clone, Default)]
pub struct Bucket(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    folder: Option<PathBuf>,
    in_memory: BTreeMap<String, Bytes>,
}

impl Bucket {
    /// A bucket in a folder, which is made with the first object.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self(Arc::new(Mutex::new(Objects { folder: Some(folder), in_memory: BTreeMap::new() })))
    }

    /// Returns the keys of all objects that were stored since the start, in order.
    pub fn keys(&self) -> Vec<String> {
        self.objects().in_memory.keys().cloned().collect()
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    /// Returns the file of a key. A key consists of ids, so it has no `..`.
    fn file(&self, key: &str) -> Option<PathBuf> {
        self.folder.as_ref().filter(|_| !key.contains("..")).map(|folder| folder.join(key))
    }

    fn put(&mut self, key: String, object: Bytes) -> io::Result<()> {
        if let Some(file) = self.file(&key) {
            std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
            std::fs::write(file, &object)?;
        }
        self.in_memory.insert(key, object);
        Ok(())
    }

    fn get(&self, key: &str) -> Option<Bytes> {
        let stored = || std::fs::read(self.file(key)?).ok().map(Bytes::from);
        self.in_memory.get(key).cloned().or_else(stored)
    }

    fn delete(&mut self, key: &str) -> io::Result<()> {
        self.in_memory.remove(key);
        match self.file(key).map(std::fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The API of `bucket`.
pub fn router(bucket: Bucket) -> Router {
    let methods = get(read).put(write).delete(delete).with_state(bucket);
    Router::new().route(&format!("{PATH}/{BUCKET}/{{*key}}"), methods).layer(DefaultBodyLimit::disable())
}

/// Gives an object to whoever has its presigned address.
async fn read(
    State(bucket): State<Bucket>,
    Path(key): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response<Body> {
    if !is_presigned_now(&query) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match bucket.objects().get(&key) {
        Some(object) => ([(header::CONTENT_TYPE, "audio/mpeg")], object).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// True if a query has a signature that is not over by the machine's clock, by which AWS counts too.
fn is_presigned_now(query: &BTreeMap<String, String>) -> bool {
    let signed_at = query.get("X-Amz-Date").and_then(|date| DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok());
    let signed_at = signed_at.and_then(|date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp()));
    let lifetime = query.get("X-Amz-Expires").and_then(|seconds| seconds.parse().ok()).map(SignedDuration::from_secs);
    let is_valid = signed_at.zip(lifetime).is_some_and(|(signed_at, lifetime)| Timestamp::now() < signed_at + lifetime);
    is_valid && query.contains_key("X-Amz-Signature")
}

async fn write(
    State(bucket): State<Bucket>,
    Path(key): Path<String>,
    headers: HeaderMap,
    object: Bytes,
) -> Response<Body> {
    if !is_signed(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if !headers.contains_key(header::CONTENT_LENGTH) {
        return StatusCode::LENGTH_REQUIRED.into_response();
    }
    done(bucket.objects().put(key, object), StatusCode::OK)
}

async fn delete(State(bucket): State<Bucket>, Path(key): Path<String>, headers: HeaderMap) -> Response<Body> {
    if !is_signed(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    done(bucket.objects().delete(&key), StatusCode::NO_CONTENT)
}

fn done(result: io::Result<()>, status: StatusCode) -> Response<Body> {
    match result {
        Ok(()) => status.into_response(),
        Err(error) => {
            tracing::error!(cause = %error, "the folder of recordings cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// True if a request has a signature of S3's kind, which also says how the body is covered.
fn is_signed(headers: &HeaderMap) -> bool {
    let has = |name: &str, text: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(text))
    };
    has("authorization", "/s3/aws4_request") && has("x-amz-content-sha256", "")
}
