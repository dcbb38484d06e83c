//! Encoding and length of text messages.
//!
//! Source: GSM 03.38 and 03.40. Vonage bills each part of a long text message.

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

#[cfg(test)]
mod tests {
    use super::*;

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
