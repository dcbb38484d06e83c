//! Written text in ASCII: the first step of parsing, before any prefix is looked for.

use crate::plan::decimal_digit;

/// Returns `written` with every sign of a phone number in its ASCII form: the decimal digits of all scripts, plus signs,
/// dashes, dots, slashes, brackets, full-width characters and blanks. Invisible characters and marks of direction are
/// removed. Line breaks stay, because they can separate two numbers.
///
/// Source of the sets: `VALID_PUNCTUATION` of libphonenumber, and the Unicode categories Zs, Pd and Cf.
pub fn clean(written: &str) -> String {
    written.chars().filter_map(plain).collect()
}

fn plain(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(if c == '\t' { ' ' } else { c });
    }
    if is_invisible(c) {
        return None;
    }
    Some(match c {
        '\u{FE62}' | '\u{207A}' | '\u{2795}' => '+',
        '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2053}' | '\u{2212}' | '\u{2796}' | '\u{FE58}' | '\u{FE63}' => '-',
        '\u{58A}' | '\u{5BE}' | '\u{1806}' | '\u{223C}' | '\u{301C}' | '\u{3030}' | '\u{30FC}' | '\u{FF70}' => '-',
        '\u{B7}' | '\u{2022}' | '\u{2024}' | '\u{2027}' | '\u{2219}' | '\u{22C5}' | '\u{3002}' | '\u{30FB}' => '.',
        '\u{FF61}' | '\u{FF65}' => '.',
        '\u{2044}' | '\u{2215}' | '\u{29F8}' => '/',
        '\u{207D}' | '\u{2768}' | '\u{3010}' | '\u{3014}' | '\u{FE59}' | '\u{FE5D}' => '(',
        '\u{207E}' | '\u{2769}' | '\u{3011}' | '\u{3015}' | '\u{FE5A}' | '\u{FE5E}' => ')',
        // Blanks that Unicode does not count as white space.
        '\u{115F}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{FFA0}' => ' ',
        '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        // The full-width forms of ASCII.
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0)?,
        _ if c.is_whitespace() => ' ',
        _ => decimal_digit(c).unwrap_or(c),
    })
}

/// True for characters that show nothing: formats and marks of direction, joiners, selectors of a character's form.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{17B4}' | '\u{17B5}' | '\u{FEFF}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        // The frame of a keycap: a digit and this are one picture.
        | '\u{20E3}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FFF9}'..='\u{FFFB}'
        | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_stays_but_for_tabs() {
        let ascii: String = ('\0'..='\x7F').filter(|c| *c != '\t').collect();
        assert_eq!(clean(&ascii), ascii);
        assert_eq!(clean("1\t2"), "1 2");
    }

    #[test]
    fn every_sign_has_its_ascii_form() {
        assert_eq!(clean("＋４４（０）７７００－９００．００１／２［３］"), "+44(0)7700-900.001/2[3]");
        assert_eq!(clean("\u{202D}+44\u{A0}7700\u{202F}900\u{3000}001\u{202C}\u{200E}\u{FEFF}"), "+44 7700 900 001");
        assert_eq!(clean("1\u{FE0F}\u{20E3}2\u{AD}3\u{2066}4\u{2069}"), "1234");
        assert_eq!(clean("٠١٢३४৫୬௭౮๙"), "0123456789");
        assert_eq!(clean("1\u{2028}2\u{85}3\n4"), "1\n2\n3\n4", "line breaks stay");
    }

    #[test]
    fn letters_of_other_scripts_stay() {
        assert_eq!(clean("доб ó é ½ ②"), "доб ó é ½ ②");
    }
}
