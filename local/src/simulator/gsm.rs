//! Encoding of text messages: the GSM 7-bit alphabet, UCS-2, and the parts of a long text. Source: GSM 03.38, 03.40.

/// The basic character set of GSM 03.38, one septet each.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                     ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table of GSM 03.38, two septets each.
const EXTENSION: &str = "|^€{}[]~\\\u{c}";

/// The encoding of a message, `type` in the SMS API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `text`: the GSM alphabet. Vonage does not switch to Unicode by itself.
    Gsm,
    /// `unicode`: UCS-2.
    Ucs2,
}

/// Returns the encoding that a phone gives a text.
pub(super) fn encoding(text: &str) -> Encoding {
    if text.chars().all(|character| septets(character).is_some()) { Encoding::Gsm } else { Encoding::Ucs2 }
}

/// Returns the parts in which a phone sends a text. A character of two units is never split.
pub(super) fn split(text: &str) -> Vec<String> {
    let encoding = encoding(text);
    if parts(text, encoding) == 1 {
        return vec![text.to_owned()];
    }
    let size = if encoding == Encoding::Gsm { 153 } else { 67 };
    let (mut split, mut used) = (vec![String::new()], 0);
    for character in text.chars() {
        let units = match encoding {
            Encoding::Gsm => septets(character).unwrap_or(1),
            Encoding::Ucs2 => character.len_utf16(),
        };
        if used + units > size {
            split.push(String::new());
            used = 0;
        }
        used += units;
        split.last_mut().expect("there is a part").push(character);
    }
    split
}

/// Returns the text as the recipient sees it. A character outside the GSM alphabet becomes a question mark.
pub(super) fn as_received(text: &str, encoding: Encoding) -> String {
    let received = |character: char| match septets(character) {
        Some(_) => character,
        None => '?',
    };
    match encoding {
        Encoding::Gsm => text.chars().map(received).collect(),
        Encoding::Ucs2 => text.to_owned(),
    }
}

/// Returns the number of parts of a text. A single part has 160 septets or 70 UTF-16 units, one of several has 153 or
/// 67.
pub(super) fn parts(text: &str, encoding: Encoding) -> usize {
    let (whole, part) = match encoding {
        Encoding::Gsm => (160, 153),
        Encoding::Ucs2 => (70, 67),
    };
    let units = |character: char| match encoding {
        Encoding::Gsm => septets(character).unwrap_or(1),
        Encoding::Ucs2 => character.len_utf16(),
    };
    if text.chars().map(units).sum::<usize>() <= whole {
        return 1;
    }
    // A character of two units is never split between two parts.
    let (mut parts, mut used) = (1, 0);
    for size in text.chars().map(units) {
        if used + size > part {
            parts += 1;
            used = 0;
        }
        used += size;
    }
    parts
}

fn septets(character: char) -> Option<usize> {
    if BASIC.contains(character) {
        Some(1)
    } else if EXTENSION.contains(character) {
        Some(2)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gsm_text_has_two_parts_from_161_characters() {
        assert_eq!(parts(&"a".repeat(160), Encoding::Gsm), 1);
        assert_eq!(parts(&"a".repeat(161), Encoding::Gsm), 2);
        assert_eq!(parts(&"a".repeat(306), Encoding::Gsm), 2);
        assert_eq!(parts(&"a".repeat(307), Encoding::Gsm), 3);
    }

    #[test]
    fn extension_characters_take_two_septets_and_are_not_split() {
        assert_eq!(parts(&"€".repeat(80), Encoding::Gsm), 1);
        assert_eq!(parts(&"€".repeat(81), Encoding::Gsm), 2);
        // A part of 153 septets has room for 76 of them.
        assert_eq!(parts(&"€".repeat(152), Encoding::Gsm), 2);
        assert_eq!(parts(&"€".repeat(153), Encoding::Gsm), 3);
    }

    #[test]
    fn unicode_parts_are_counted_in_utf16_units() {
        assert_eq!(parts(&"ж".repeat(70), Encoding::Ucs2), 1);
        assert_eq!(parts(&"ж".repeat(71), Encoding::Ucs2), 2);
        assert_eq!(parts(&"😀".repeat(35), Encoding::Ucs2), 1);
        assert_eq!(parts(&"😀".repeat(36), Encoding::Ucs2), 2);
        assert_eq!(parts(&"😀".repeat(67), Encoding::Ucs2), 3);
    }

    #[test]
    fn gsm_text_shows_unknown_characters_as_question_marks() {
        assert_eq!(as_received("Grüße, 日本", Encoding::Gsm), "Grüße, ??");
        assert_eq!(as_received("Grüße, 日本", Encoding::Ucs2), "Grüße, 日本");
    }
}
