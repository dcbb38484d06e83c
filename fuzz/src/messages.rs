//! Target for the webhooks of texts, in both shapes.

use shared::domain::channel::{BrandSenders, Channel};
use shared::domain::part_fate::PartFate;
use shared::vonage::message_event::{Fields, InboundText, receipt};

use crate::assert_no_phone_number;

/// Checks that what is read of a text or a receipt is safe to store and to log: an id has the form of one, and a reason has no
/// phone number, and neither has an error.
pub fn message_webhook(input: &[u8]) {
    let mut senders = BrandSenders::default();
    let known = [(Channel::WhatsApp, "447700900099"), (Channel::Rcs, "Rides")];
    assert!(known.into_iter().all(|(channel, sender)| senders.set(channel, sender).is_ok()));
    let form = std::str::from_utf8(input).unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let form = Fields::of_pairs(form.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for fields in Fields::of_json(input).into_iter().chain([form]) {
        match InboundText::parse(&fields, &senders) {
            Ok(text) => {
                let id = text.record.id;
                assert!(
                    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                );
                assert!(text.files.iter().all(|file| file.address().starts_with("https://")));
                assert!(text.part.is_none_or(|(nth, total)| (1..=total).contains(&nth)));
            }
            Err(error) => assert_no_phone_number(&error.to_string()),
        }
        match receipt(&fields) {
            Ok(Some(receipt)) => {
                if let PartFate::Undelivered(reason) = receipt.fate {
                    assert_no_phone_number(&reason);
                }
            }
            Ok(None) => {}
            Err(error) => assert_no_phone_number(&error.to_string()),
        }
    }
}
