//! The headers `ETag` and `If-Match`: a change only of what the client has seen.

use lambda_http::http::{HeaderValue, header};
use lambda_http::{Body, Request, Response};

use super::Problem;
use crate::domain::conversation::Conversation;

/// Adds the revision of the conversation that an answer shows, such as `"3"`. It is that of the conversation alone: calls, texts and
/// notifications do not change it.
pub fn with_revision(mut response: Response<Body>, conversation: &Conversation) -> Response<Body> {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", conversation.revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Reads the revisions of which a conversation has to have one to be changed. `None` if it may have any. A weak tag names none.
pub fn expected_revisions(request: &Request) -> Result<Option<Vec<u32>>, Problem> {
    let Some(header) = request.headers().get(header::IF_MATCH) else { return Ok(None) };
    let wrong = || Problem::invalid("If-Match", "Must be the ETag of an answer, such as \"3\", or *.");
    let text = header.to_str().map_err(|_| wrong())?.trim();
    if text == "*" {
        return Ok(None);
    }
    let mut expected = Vec::new();
    for tag in text.split(',').map(str::trim) {
        let is_weak = tag.starts_with("W/");
        let tag =
            tag.trim_start_matches("W/").strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(wrong)?;
        expected.extend(tag.parse::<u32>().ok().filter(|_| !is_weak));
    }
    Ok(Some(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(tag: &str) -> Option<Option<Vec<u32>>> {
        let request = lambda_http::http::Request::builder().header(header::IF_MATCH, tag).body(Body::Empty).unwrap();
        expected_revisions(&request).ok()
    }

    #[test]
    fn only_strong_tags_name_revisions() {
        assert_eq!(expected_revisions(&Request::default()).ok(), Some(None));
        for (tag, revisions) in [
            ("*", Some(None)),
            ("\"3\"", Some(Some(vec![3]))),
            ("\"3\", \"12\"", Some(Some(vec![3, 12]))),
            ("W/\"3\"", Some(Some(vec![]))),
            ("\"other\"", Some(Some(vec![]))),
            ("3", None),
            ("", None),
        ] {
            assert_eq!(expected(tag), revisions, "{tag}");
        }
    }
}
