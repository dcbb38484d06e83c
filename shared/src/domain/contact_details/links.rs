//! E-mail addresses and links.

use std::ops::Range;

use linkify::{LinkFinder, LinkKind};

/// Endings of hosts that nobody writes by forgetting the blank between two sentences. Other hosts count if they begin with `www.`
/// or have a path.
const ENDINGS: &[&str] = &[
    "app", "ai", "biz", "br", "ch", "cn", "co", "com", "dev", "de", "edu", "eu", "fr", "gg", "gl", "gov", "info", "io",
    "jp", "link", "ly", "mobi", "net", "nl", "online", "org", "pl", "ru", "se", "shop", "site", "store", "tv", "uk",
    "xyz",
];

/// Returns the places of e-mail addresses and links in a plain text.
pub fn find(text: &str) -> Vec<Range<usize>> {
    let mut finder = LinkFinder::new();
    finder.url_must_have_scheme(false);
    let links = finder.links(text).filter(|link| match link.kind() {
        LinkKind::Email => true,
        _ => is_link(link.as_str()),
    });
    links.map(|link| link.start()..link.end()).collect()
}

fn is_link(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if lower.contains("://") || lower.starts_with("www.") {
        return true;
    }
    let host_end = lower.find(['/', '?', '#', ':']).unwrap_or(lower.len());
    let (host, path) = lower.split_at(host_end);
    let Some((_, ending)) = host.rsplit_once('.') else { return false };
    let is_name = ending.len() >= 2 && ending.chars().all(char::is_alphabetic);
    is_name && (path.len() > 1 || ENDINGS.contains(&ending))
}
