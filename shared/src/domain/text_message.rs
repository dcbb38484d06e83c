//! Encoding and length of text messages.
//!
//! Source: GSM 03.38 and 03.40. Vonage bills each part of a long text message.

use std::borrow::Cow;

/// The basic GSM 03.38 alphabet, of one septet each.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                     abcdefghijklmnopqrstuvwxyzäöñüà";

/// Its extension table, of two septets each.
const EXTENSION: &str = "|^€{}[]~\\";

/// The encoding of a text message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// The GSM alphabet: 160 characters in one part, or 153 in each of several.
    Gsm,
    /// UCS-2: 70 characters in one part, or 67 in each of several.
    Ucs2,
}

impl Encoding {
    /// Returns the encoding that `text` needs.
    pub fn of(text: &str) -> Self {
        let is_gsm = |c: char| BASIC.contains(c) || EXTENSION.contains(c);
        if text.chars().all(is_gsm) { Self::Gsm } else { Self::Ucs2 }
    }
}

/// Returns the number of parts of a text message. A character of two units is never split.
pub fn parts(text: &str) -> usize {
    let encoding = Encoding::of(text);
    let (whole, part) = match encoding {
        Encoding::Gsm => (160, 153),
        Encoding::Ucs2 => (70, 67),
    };
    let size = |c: char| match encoding {
        Encoding::Gsm => 1 + usize::from(EXTENSION.contains(c)),
        Encoding::Ucs2 => c.len_utf16(),
    };
    if text.chars().map(size).sum::<usize>() <= whole {
        return 1;
    }
    let (parts, _) = text.chars().map(size).fold((1, 0), |(parts, used), size| match used + size > part {
        true => (parts + 1, size),
        false => (parts, used + size),
    });
    parts
}

/// The size of a text as the carrier takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextSize {
    /// Number of its parts, each of which is billed.
    pub segments: u32,
    /// Number of messages of the Messages API in which it is sent. `None` if the SMS API sends it, which takes it as one.
    pub messages: Option<u32>,
}

impl TextSize {
    /// The size of a text with files.
    pub const ONE_MESSAGE: Self = Self { segments: 1, messages: Some(1) };

    /// Returns the size of a text that is sent in this many messages, each of which is billed as one.
    pub fn of_messages(messages: usize) -> Self {
        Self { segments: count(messages), messages: Some(count(messages)) }
    }

    /// Returns the size of a text that is sent as one.
    pub fn whole(text: &str) -> Self {
        Self { segments: count(parts(text)), messages: None }
    }

    /// Returns the size of a text that is sent in `pieces`.
    pub fn of_pieces(pieces: &[Cow<'_, str>]) -> Self {
        let segments = pieces.iter().map(|piece| parts(piece)).sum();
        Self { segments: count(segments), messages: Some(count(pieces.len())) }
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Room for the number of a piece: `(2/3) `, or `(1000/1000) `.
const NUMBER_OF_PIECE: usize = 12;

/// Returns the pieces of up to `most` UTF-16 units in which a text is sent, which are at most as many characters. Several begin with
/// their number, because the networks may swap them. They end at a blank if there is one near.
pub fn pieces(text: &str, most: usize) -> Vec<Cow<'_, str>> {
    let units = |text: &str| text.chars().map(char::len_utf16).sum::<usize>();
    if units(text) <= most {
        return vec![Cow::Borrowed(text)];
    }
    let (mut rest, mut cut) = (text, Vec::new());
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(end_of_piece(rest, most.saturating_sub(NUMBER_OF_PIECE).max(2)));
        cut.push(piece.trim_end());
        rest = left.trim_start();
    }
    let total = cut.len();
    cut.into_iter().zip(1..).map(|(piece, nth): (&str, usize)| format!("({nth}/{total}) {piece}").into()).collect()
}

/// Returns the length in bytes of the first piece of `text`, of up to `most` UTF-16 units.
fn end_of_piece(text: &str, most: usize) -> usize {
    let mut used = 0;
    let whole = text.char_indices().find(|(_, character)| {
        used += character.len_utf16();
        used > most
    });
    let Some((end, _)) = whole else { return text.len() };
    // A word that is longer than half a piece is cut.
    let blank = text[..end].rfind(char::is_whitespace).filter(|blank| *blank > end / 2);
    blank.unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_one_piece_without_a_number() {
        for text in ["", "a", "😀".repeat(500).as_str(), "a".repeat(1_000).as_str()] {
            assert_eq!(pieces(text, 1_000), [text]);
        }
    }

    #[test]
    fn pieces_are_numbered_and_lose_nothing_but_blanks() {
        for word in ["a", "ab ", "😀", "héllo wörld ", "\u{65e5}\u{672c}", "averylongword"] {
            for most in [20, 70, 1_000] {
                let text = word.repeat(400);
                let pieces = pieces(&text, most);
                let total = pieces.len();
                let mut joined = String::new();
                for (piece, nth) in pieces.iter().zip(1..) {
                    assert!(piece.encode_utf16().count() <= most, "{piece}");
                    let number = format!("({nth}/{total}) ");
                    joined += if total == 1 { piece } else { piece.strip_prefix(&number).unwrap() };
                }
                let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                assert_eq!(letters(&joined), letters(&text), "{word} {most}");
            }
        }
    }

    #[test]
    fn size_counts_the_segments_of_each_piece() {
        let text = "a".repeat(1_200);
        assert_eq!(TextSize::whole(&text), TextSize { segments: 8, messages: None });
        assert_eq!(TextSize::of_pieces(&pieces(&text, 1_000)), TextSize { segments: 9, messages: Some(2) });
    }

    #[test]
    fn text_is_in_one_part_or_in_shorter_ones() {
        for (text, count, expected) in [
            ("a", 160, 1),
            ("a", 161, 2),
            ("a", 306, 2),
            ("a", 307, 3),
            ("€", 80, 1),
            ("€", 81, 2),
            ("€", 153, 3),
            ("ж", 70, 1),
            ("ж", 71, 2),
            ("ж", 135, 3),
            ("😀", 35, 1),
            ("😀", 67, 3),
        ] {
            assert_eq!(parts(&text.repeat(count)), expected, "{count} {text}");
        }
        assert_eq!(parts(""), 1);
    }
}
