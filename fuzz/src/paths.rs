//! Targets for what stands in paths that are open to others than the backend: the token of a contact card, with the names in the card,
//! and the name of a tenant.

use lambda_http::http::Request;
use lambda_http::{Body, RequestExt};
use shared::domain::card_link::CardKey;
use shared::domain::contact_card::ContactCards;
use shared::domain::phone::{PhoneNumber, VirtualNumber};
use shared::domain::side::Side;
use shared::domain::tenant::{Owner, Tenant};
use shared::edge::http::{self, ContactCardBody};

use crate::table::RIDER_DIALS;

/// The secret that signs the tokens of the seeds.
const SECRET: &str = "fuzz-hash-key-of-at-least-32-characters";

/// Checks that only the token which was signed for a card leads to it, and that a card has its own lines only, whatever the names are.
pub fn contact_card(input: &[u8]) {
    if let Ok(token) = std::str::from_utf8(input) {
        let key = CardKey::new(SECRET);
        if let Some((conversation, side)) = key.read(token) {
            assert_eq!(key.token(conversation, side), token);
        }
    }
    let Ok(body) = serde_json::from_slice::<ContactCardBody>(input) else { return };
    let Ok(cards) = ContactCards::try_from(body) else { return };
    let number = VirtualNumber::from(PhoneNumber::try_from(RIDER_DIALS).expect("a phone number"));
    for card in Side::BOTH.into_iter().filter_map(|side| cards.card(side, &number)) {
        assert!(card.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])), "{card:?}");
        let unfolded = card.replace("\r\n ", "");
        let names: Vec<_> = unfolded.lines().map(|line| line.split([':', ';']).next().unwrap_or_default()).collect();
        let brand = cards.brand.as_ref().map(|_| "ORG");
        let expected = ["BEGIN", "VERSION", "N", "FN"].into_iter().chain(brand).chain(["TEL", "END"]);
        assert_eq!(names, expected.collect::<Vec<_>>(), "{card:?}");
        assert!(unfolded.contains(&format!(":+{RIDER_DIALS}\r\n")), "{card:?}");
    }
}

/// Checks that a path names a tenant whose name is safe in the keys of items, or none at all.
pub fn tenant(input: &[u8]) {
    let Ok(name) = std::str::from_utf8(input) else { return };
    let parameters = [("tenant".to_owned(), vec![name.to_owned()])];
    let parameters: std::collections::HashMap<_, _> = parameters.into_iter().collect();
    let request = Request::new(Body::Empty).with_path_parameters(parameters);
    match http::scope(&request) {
        Ok(Owner::Tenant(tenant)) => {
            assert_eq!((tenant.as_str(), Tenant::try_from(name)), (name, Ok(tenant)));
            assert!((1..=Tenant::MOST_CHARACTERS).contains(&name.len()));
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{name}"
            );
        }
        Ok(Owner::Deployment) => panic!("the path of a tenant is that of the deployment"),
        Err(problem) => assert_eq!(problem.into_response().status(), 404),
    }
}
