//! The description of the API on the laptop: `GET /openapi.yaml`, and `/docs`, a page that shows and tries each operation.
//!
//! The page is small and in `local/reference`, with nothing to build. It needs no internet.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use serde_json::Value;

use crate::console::file;

/// Path of the page.
pub const PATH: &str = "/docs";

/// The description of the API.
const DESCRIPTION: &str = include_str!("../../docs/openapi.yaml");

/// The files, each with its path and media type.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("/openapi.yaml", "application/yaml", DESCRIPTION.as_bytes()),
    ("/docs", "text/html; charset=utf-8", include_bytes!("../reference/index.html")),
    ("/docs/reference.js", "text/javascript; charset=utf-8", include_bytes!("../reference/reference.js")),
    ("/docs/reference.css", "text/css; charset=utf-8", include_bytes!("../reference/reference.css")),
];

/// Serves the page, and the description as YAML and as JSON.
pub fn router() -> Router {
    let json = async || {
        let description: Value = serde_saphyr::from_str(DESCRIPTION).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok::<_, StatusCode>(([(header::CONTENT_TYPE, "application/json")], description.to_string()))
    };
    let router = Router::new().route("/openapi.json", get(json));
    FILES.into_iter().fold(router, |router, (path, media_type, contents)| {
        router.route(path, get(async move || file(media_type, contents)))
    })
}
