//! Contact cards in the form in which phones take them.
//!
//! Source: RFC 2426 (vCard 3.0), because every phone reads it; RFC 6350 (4.0) has the same escapes and lines.

use crate::domain::phone::VirtualNumber;

/// Most octets of a line, without its break. Source: RFC 2426, section 2.6.
const LINE_OCTETS: usize = 75;

/// Returns the card of a `name` with this number, and of an organization if there is one.
pub fn vcard(name: &str, organization: Option<&str>, number: &VirtualNumber) -> String {
    let name = escaped(name);
    let organization = organization.map(|organization| format!("ORG:{}", escaped(organization)));
    let lines = [
        Some("BEGIN:VCARD".to_owned()),
        Some("VERSION:3.0".to_owned()),
        // Family name; given name; additional names; prefixes; suffixes. Version 3.0 requires it.
        Some(format!("N:;{name};;;")),
        Some(format!("FN:{name}")),
        organization,
        Some(format!("TEL;TYPE=CELL,VOICE:+{number}")),
        Some("END:VCARD".to_owned()),
    ];
    lines.into_iter().flatten().map(|line| folded(&line)).collect()
}

/// Escapes the text of a value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace('\n', "\\n")
}

/// Ends a line, and breaks it before it is too long. A space begins each further part. No character is divided.
fn folded(line: &str) -> String {
    let (mut text, mut octets) = (String::with_capacity(line.len() + 2), 0);
    for character in line.chars() {
        if octets + character.len_utf8() > LINE_OCTETS {
            text.push_str("\r\n ");
            octets = 1;
        }
        text.push(character);
        octets += character.len_utf8();
    }
    text + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::PhoneNumber;

    fn number() -> VirtualNumber {
        PhoneNumber::try_from("447451000002").unwrap().into()
    }

    #[test]
    fn card_has_a_name_and_the_virtual_number() {
        assert_eq!(
            vcard("Your driver (Rides)", Some("Rides"), &number()),
            "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;Your driver (Rides);;;\r\nFN:Your driver (Rides)\r\nORG:Rides\r\n\
             TEL;TYPE=CELL,VOICE:+447451000002\r\nEND:VCARD\r\n"
        );
    }

    #[test]
    fn text_cannot_begin_another_value_or_line() {
        let card = vcard("a,b;c\\d\nTEL:+1", None, &number());
        assert!(card.contains("FN:a\\,b\\;c\\\\d\\nTEL:+1\r\n"), "{card}");
        assert_eq!(card.lines().filter(|line| line.starts_with("TEL")).count(), 1);
    }

    #[test]
    fn long_lines_are_folded_between_characters() {
        let name = "ड्राइवर 🚕 ".repeat(12);
        let card = vcard(&name, None, &number());
        assert!(card.split("\r\n").all(|line| line.len() <= LINE_OCTETS), "{card}");
        assert!(card.split("\r\n").any(|line| line.len() > LINE_OCTETS - 4), "{card}");
        let unfolded = card.replace("\r\n ", "");
        assert!(unfolded.contains(&format!("\r\nFN:{name}\r\n")), "{unfolded}");
    }
}
