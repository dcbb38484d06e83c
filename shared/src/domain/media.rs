//! Pictures and other files that people text.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::country::Country;
use crate::domain::phone::RealNumber;

/// The kind of a file, in the carrier's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A sound.
    Audio,
    /// A film.
    Video,
    /// A contact card.
    Vcard,
    /// Another file, such as a PDF.
    File,
}

impl MediaKind {
    /// Returns the kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Image, Self::Audio, Self::Video, Self::Vcard, Self::File].into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Vcard => "vcard",
            Self::File => "file",
        }
    }
}

/// A file that a phone sent, at an address of the carrier. Anybody who has the address gets the file, so `Debug` does not show it,
/// and it is stored nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaFile {
    /// Its kind.
    pub kind: MediaKind,
    address: String,
}

impl MediaFile {
    /// Length of the longest address, in bytes.
    const LONGEST_ADDRESS: usize = 2_000;

    /// Creates a file at this address. `None` if it is no HTTPS address.
    pub fn new(kind: MediaKind, address: String) -> Option<Self> {
        let is_address = address.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
            && address.len() <= Self::LONGEST_ADDRESS
            && address.bytes().all(|byte| byte.is_ascii_graphic());
        is_address.then_some(Self { kind, address })
    }

    /// Returns the address. It goes to the carrier only.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// True if the address has this phone's number, or most of it.
    pub fn names(&self, phone: &RealNumber) -> bool {
        const TELLING_DIGITS: usize = 9;

        let digits = phone.expose();
        let end = digits.len().saturating_sub(TELLING_DIGITS);
        let written: String = self.address.chars().filter(|c| !['-', '.', ' ', '%', '+'].contains(c)).collect();
        written.contains(&digits[end..])
    }
}

/// True if the networks of a country carry MMS for the carrier.
///
/// Source: Vonage, "Understanding MMS Messaging", availability.
pub fn carries_mms(country: Country) -> bool {
    ["US", "CA"].contains(&country.as_str())
}

impl fmt::Debug for MediaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaFile({})", self.kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::PhoneNumber;

    fn at(address: &str) -> Option<MediaFile> {
        MediaFile::new(MediaKind::Image, address.to_owned())
    }

    #[test]
    fn address_is_https_and_debug_hides_it() {
        let file = at("https://api-us.nexmo.com/v3/media/1b456509-974c-458b-aafa-45fc48a4d976").unwrap();
        assert_eq!(format!("{file:?}"), "MediaFile(image)");
        for other in
            ["http://api-us.nexmo.com/a", "https://", "ftp://a/b", "https://a/b c", "", &"https://a".repeat(300)]
        {
            assert_eq!(at(other), None, "{other}");
        }
    }

    #[test]
    fn number_in_an_address_is_found() {
        let phone = RealNumber::from(PhoneNumber::try_from("12025550101").unwrap());
        for (address, names) in [
            ("https://media.example/12025550101.jpg", true),
            ("https://media.example/202-555-0101", true),
            ("https://media.example/?from=%2B12025550101", true),
            ("https://media.example/1b456509-974c-458b-aafa-45fc48a4d976", false),
        ] {
            assert_eq!(at(address).unwrap().names(&phone), names, "{address}");
        }
    }

    #[test]
    fn kind_is_read_by_its_name() {
        for kind in [MediaKind::Image, MediaKind::Audio, MediaKind::Video, MediaKind::Vcard, MediaKind::File] {
            assert_eq!(MediaKind::named(kind.as_str()), Some(kind));
        }
        assert_eq!(MediaKind::named("sticker"), None);
    }
}
