//! Phone numbers, e-mail addresses and links in texts between participants.

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::domain::contact_details::{self, MARK};
use shared::domain::country::Country;
use shared::domain::text_masking::{Masked, TextMasking};
use testkit::{DRIVER, Laptop, RIDER, text};

const DETAILS: &str = "ring +44 (0)7700 900-009 or write to me@example.com, www.example.com, at 16:30";

fn masked(words: &str) -> String {
    let countries = ["GB", "FR"].map(|country| Country::try_from(country).unwrap());
    match TextMasking::Redact.mask(words, &countries) {
        Masked::Words(words, _) => words.into_owned(),
        Masked::Refused => unreachable!("only refuse refuses"),
    }
}

async fn write(laptop: &Laptop, conversation: &Value, words: &str) -> Value {
    let to = text(conversation, "/participants/0/dials");
    laptop.text(json!({"from": RIDER, "to": to, "text": words})).await[0].clone()
}

#[tokio::test]
async fn contact_details_in_a_text_are_redacted() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({"text_masking": "redact"})).await;
    assert_eq!(conversation["text_masking"], "redact");
    write(&laptop, &conversation, DETAILS).await;
    assert_eq!(laptop.words(DRIVER).await, ["ring *** or write to ***, ***, at 16:30"]);
    let shown = laptop.get(&format!("/conversations/{}", text(&conversation, "/id"))).await.body;
    assert_eq!((&shown["texts"][0]["masked"], &shown["text_masking"]), (&json!(3), &json!("redact")));
    write(&laptop, &conversation, "see you at 16:30").await;
    assert_eq!(laptop.words(DRIVER).await[1], "see you at 16:30");
    laptop.table().await;
}

#[tokio::test]
async fn text_with_contact_details_is_refused_and_explained() {
    let laptop = Laptop::builder().env(&[("DEFAULT_TEXT_MASKING", "refuse")]).numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({})).await;
    let sent = write(&laptop, &conversation, DETAILS).await;
    assert_eq!(sent["deliveries"], json!([200]));
    laptop.deliver_again(text(&sent, "/id"), json!({})).await;
    assert!(laptop.texts(DRIVER).await.is_empty());
    let told = laptop.words(RIDER).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("phone numbers, e-mail addresses and links are not passed on"), "{told:?}");
    write(&laptop, &conversation, "see you at 16:30").await;
    assert_eq!(laptop.words(DRIVER).await, ["see you at 16:30"]);
}

#[tokio::test]
async fn masking_changes_during_a_conversation() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({})).await;
    let path = format!("/conversations/{}", text(&conversation, "/id"));
    assert!(conversation["text_masking"].is_null());
    for (masking, expected) in [("redact", "ring ***"), ("off", "ring 07700900009"), ("redact", "ring ***")] {
        let changed = laptop.patch(&path, &json!({"text_masking": masking})).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        write(&laptop, &conversation, "ring 07700900009").await;
        assert_eq!(laptop.words(DRIVER).await.last().map(String::as_str), Some(expected));
    }
    assert_eq!(laptop.get(&path).await.body["text_masking"], "redact");
    for wrong in [json!("on"), json!(true), json!("REDACT")] {
        assert_eq!(laptop.patch(&path, &json!({"text_masking": wrong})).await.status, 422, "{wrong}");
    }
    laptop.table().await;
}

/// Returns the digits of a phone number, written with these signs between them in one of the scripts.
fn spelled(digits: &str, gaps: &[&str], zero: char) -> String {
    let digit = |digit: char| char::from_u32(u32::from(zero) + digit.to_digit(10).unwrap()).unwrap();
    digits.chars().zip(gaps.iter().cycle()).map(|(character, gap)| format!("{}{gap}", digit(character))).collect()
}

/// Signs between the digits of a number: any of some, or one of those in dates everywhere.
fn gaps() -> impl Strategy<Value = Vec<&'static str>> {
    let any = prop::collection::vec(prop::sample::select(vec!["", " ", " - ", "_", "\u{200B}"]), 1..11);
    let of_dates = prop::sample::select(vec!["-", ".", "/", "\u{2013}"]).prop_map(|gap| vec![gap]);
    prop_oneof![any, of_dates]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn phone_number_is_found_with_any_signs_and_digits(
        national in "0[127][0-9]{9}",
        gaps in gaps(),
        zero in prop::sample::select(vec!['0', '\u{660}', '\u{6F0}', '\u{966}', '\u{FF10}', '\u{E50}']),
        international in prop::bool::ANY,
    ) {
        let digits = if international { format!("0044{}", &national[1..]) } else { national };
        let written = spelled(&digits, &gaps, zero);
        let countries = [Country::try_from("GB").unwrap()];
        prop_assert!(!contact_details::find(&written, &countries).is_empty(), "{written:?}");
    }

    #[test]
    fn masked_text_is_no_longer_and_has_nothing_left(words in "[a-z0-9 +().:/@,€-]{0,60}") {
        let once = masked(&words);
        prop_assert!(once.len() <= words.len(), "{words:?} -> {once:?}");
        prop_assert!(once == words || once.contains(MARK));
        prop_assert_eq!(masked(&once), once.clone(), "{:?}", words);
    }

    #[test]
    fn any_text_can_be_masked(words in "\\PC{0,80}") {
        let _ = masked(&words);
    }

    #[test]
    fn times_dates_and_amounts_are_left_alone(
        hour in 0..24_u32, minute in 0..60_u32, day in 1..=28_u32, month in 1..=12_u32, amount in 1..99_999_999_u32,
    ) {
        for words in [
            format!("{hour:02}:{minute:02}"),
            format!("2026-{month:02}-{day:02} {hour:02}:{minute:02}"),
            format!("{day:02}.{month:02}.2026, {hour}:{minute:02}"),
            format!("{month}/{day}/26"),
            format!("{amount} €"),
            format!("${amount}"),
            format!("order #{amount}"),
        ] {
            prop_assert_eq!(masked(&words), words);
        }
    }
}
