//! How a text travels by SMS: the GSM 7-bit alphabet, UCS-2, and the parts of a long text.

/// The basic character set of GSM 03.38, one septet each.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                     ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table of GSM 03.38, two septets each.
const EXTENSION: &str = "|^€{}[]~\\\u{c}";

/// The encoding of a message, `type` in the SMS API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `text`: the GSM alphabet; Vonage does not change to Unicode by itself.
    Gsm,
    /// `unicode`: UCS-2.
    Ucs2,
}

/// The text as it arrives: in the GSM alphabet, a character that it lacks arrives as a question mark.
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

/// How many messages the text takes: 160 septets or 70 UTF-16 units fit one, else 153 or 67 a part.
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
    // A character of two units is not split between two parts.
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
    fn a_text_of_160_gsm_characters_is_one_message_and_161_are_two_parts() {
        assert_eq!(parts(&"a".repeat(160), Encoding::Gsm), 1);
        assert_eq!(parts(&"a".repeat(161), Encoding::Gsm), 2);
        assert_eq!(parts(&"a".repeat(306), Encoding::Gsm), 2);
        assert_eq!(parts(&"a".repeat(307), Encoding::Gsm), 3);
    }

    #[test]
    fn characters_of_the_extension_table_take_two_septets_and_are_not_split() {
        assert_eq!(parts(&"€".repeat(80), Encoding::Gsm), 1);
        assert_eq!(parts(&"€".repeat(81), Encoding::Gsm), 2);
        // 76 fit a part of 153 septets, not 76 and a half.
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
    fn characters_outside_the_gsm_alphabet_arrive_as_question_marks_unless_sent_as_unicode() {
        assert_eq!(as_received("Grüße, 日本", Encoding::Gsm), "Grüße, ??");
        assert_eq!(as_received("Grüße, 日本", Encoding::Ucs2), "Grüße, 日本");
    }
}
