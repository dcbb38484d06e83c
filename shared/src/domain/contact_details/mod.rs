//! Contact details in a text: phone numbers, e-mail addresses and links.
//!
//! A search works on the plain form of a text: digits, signs and blanks of all scripts in ASCII, without invisible characters. So
//! it finds `０７７００…` and `٠٧٧٠٠…` as it finds `07700…`. Words that stand for digits, and letters that look like digits, are not
//! searched.

mod links;
mod phones;

use std::ops::Range;

pub use phones::MARK;

use crate::domain::country::Country;

/// Returns the places of the contact details in a text between people in these countries, in order and without overlaps, as byte
/// ranges.
pub fn find(text: &str, countries: &[Country]) -> Vec<Range<usize>> {
    let plain = Plain::of(text);
    let mut places = links::find(&plain.text);
    places.extend(phones::find(&plain.text, countries));
    places.sort_by_key(|place| place.start);
    let mut found: Vec<Range<usize>> = Vec::new();
    for place in places.into_iter().map(|place| plain.in_original(&place)) {
        match found.last_mut().filter(|last| place.start < last.end) {
            Some(last) => last.end = last.end.max(place.end),
            None => found.push(place),
        }
    }
    found
}

/// The plain form of a text, and where each byte of it comes from.
struct Plain {
    text: String,
    /// The place in the original of the character to which each byte belongs.
    origins: Vec<Range<usize>>,
}

impl Plain {
    fn of(original: &str) -> Self {
        let (mut text, mut origins) = (String::new(), Vec::<Range<usize>>::new());
        for (start, character) in original.char_indices() {
            let end = start + character.len_utf8();
            let plain = numbering_plan::clean(character.encode_utf8(&mut [0; 4]));
            match origins.last_mut() {
                // What is not seen belongs to the character before it, such as the frame of a keycap.
                Some(last) if plain.is_empty() => last.end = end,
                _ => text.push_str(&plain),
            }
            origins.resize(text.len(), start..end);
        }
        Self { text, origins }
    }

    fn in_original(&self, place: &Range<usize>) -> Range<usize> {
        self.origins[place.start].start..self.origins[place.end - 1].end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is found in a text between people in GB and FR.
    fn found(text: &str) -> Vec<&str> {
        let countries = ["GB", "FR"].map(|country| Country::try_from(country).unwrap());
        find(text, &countries).into_iter().map(|place| &text[place]).collect()
    }

    #[test]
    fn phone_numbers_are_found_however_they_are_written() {
        for text in [
            "07700900001",
            "07700 900001",
            "07700.900.001",
            "0 7 7 0 0 9 0 0 0 0 1",
            "(07700) 900-001",
            "0-7-7-0-0-9-0-0-0-0-1",
            "07700\n900001",
            "07700 / 900 001",
            "07_70_09_00_00_1",
            "+447700900001",
            "+44 (0)7700 900001",
            "0044 7700 900001",
            "447700900001",
            "7700 900001",
            "06 12 34 56 78",
            "06.12.34.56.78",
            "+49 30 901820",
            "0030 21 0123 4567",
            "(212) 555-0123",
            "212-555-0123",
            "٠٧٧٠٠٩٠٠٠٠١",
            "۰۷۷۰۰ ۹۰۰۰۰۱",
            "०७७०० ९००००१",
            "０７７００　９００００１",
            "0️⃣7️⃣7️⃣0️⃣0️⃣9️⃣0️⃣0️⃣0️⃣0️⃣1️⃣",
            "0\u{200B}7700\u{2060}900001",
            "07700\u{2013}900001",
            "030 901820 17",
        ] {
            let written = format!("ring {text} please");
            assert_eq!(found(&written).len(), 1, "{text}: {:?}", found(&written));
            let whole = format!("ring {} please", found(&written)[0]);
            assert!(whole == written || text.starts_with('('), "{text}: {:?}", found(&written));
        }
    }

    #[test]
    fn several_numbers_in_a_row_are_found_too() {
        for text in ["07700900001 07700900002", "07700 900001, 07700 900002", "07700900001/+33612345678"] {
            let hidden: usize = found(text).iter().map(|place| place.len()).sum();
            assert!(hidden >= text.len() - 3, "{text}: {:?}", found(text));
        }
    }

    #[test]
    fn other_figures_are_left_alone() {
        for text in [
            "16:30",
            "16:30-17:45",
            "from 09:00 to 12:30, or 14:00 - 18:00",
            "2026-11-30",
            "30.11.2026",
            "30/11/2026 16:03",
            "30.11.2026, 16:03:59",
            "11/30/26 at 4.30",
            "2026-11-30T16:03:59",
            "£1,250,000",
            "1.250.000,00 €",
            "EUR 1250000",
            "$1500000",
            "12 000 000 kr",
            "order 123456",
            "order 98765",
            "order #1234567890",
            "order no. 9812345",
            "parcel 00340434161094042557",
            "card 4111111111111111",
            "flight BA123 gate 45 row 12",
            "rooms 101, 102 and 103",
            "10, 20, 30, 40",
            "51.5074, -0.1278",
            "AB12 3CD",
            "1234 5678",
            "100%",
            "3.5 km, 25 min",
            "PIN 4711",
            "112",
        ] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }

    #[test]
    fn addresses_and_links_are_found() {
        for text in [
            "me@example.com",
            "me+you@mail.example.co.uk",
            "ｍｅ＠ｅｘａｍｐｌｅ．ｃｏｍ",
            "https://example.com/a?b=c",
            "http://192.0.2.1/",
            "www.example.se",
            "example.com",
            "Example.COM/path",
            "wa.me/447700900001",
            "t.me/somebody",
            "bit.ly/3abc",
            "shop.example.co.uk",
        ] {
            let written = format!("see {text} please");
            assert_eq!(found(&written), [text], "{text}");
        }
    }

    #[test]
    fn sentences_without_a_blank_are_no_links() {
        for text in [
            "I am here.Where are you?",
            "ok.me too",
            "Thanks.It is fine",
            "e.g. now",
            "a.m.",
            "v1.2.3",
            "wait...no",
            "Nr.5",
        ] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }
}
