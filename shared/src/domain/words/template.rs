//! Sentences with placeholders.

use std::borrow::Cow;

/// A part of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Words as they are.
    Words(&'t str),
    /// The name of a placeholder.
    Value(&'t str),
}

/// Splits a sentence into words and placeholders. A brace without its partner is a placeholder with the rest as its name, which
/// no placeholder has.
pub fn pieces(sentence: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), sentence);
    while let Some(brace) = rest.find(['{', '}']) {
        pieces.push(Piece::Words(&rest[..brace]));
        let (name, after) = match rest[brace..].strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some(split) => split,
            None => (&rest[brace..], ""),
        };
        pieces.push(Piece::Value(name));
        rest = after;
    }
    pieces.push(Piece::Words(rest));
    pieces
}

/// Returns the sentence with the values of its placeholders.
pub fn fill<'v>(sentence: &str, value: impl Fn(&str) -> Cow<'v, str>) -> String {
    pieces(sentence).into_iter().fold(String::with_capacity(sentence.len()), |filled, piece| match piece {
        Piece::Words(words) => filled + words,
        Piece::Value(name) => filled + &value(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_get_their_values_and_no_others_inside() {
        let value = |name: &str| Cow::Owned(format!("<{name}{{b}}>"));
        assert_eq!(fill("To {a}, call {b}.", value), "To <a{b}>, call <b{b}>.");
        assert_eq!(fill("{a}{b}", value), "<a{b}><b{b}>");
        assert_eq!(fill("nothing", value), "nothing");
    }

    #[test]
    fn brace_without_partner_is_no_word() {
        let values = |sentence| -> Vec<&str> {
            pieces(sentence)
                .into_iter()
                .filter_map(|piece| match piece {
                    Piece::Value(name) => Some(name),
                    Piece::Words(_) => None,
                })
                .collect()
        };
        assert_eq!(values("a {label} b"), ["label"]);
        assert_eq!(values("a {label b"), ["{label b"]);
        assert_eq!(values("a } b {label}"), ["} b {label}"]);
        assert_eq!(values("{ label }"), [" label "]);
    }
}
