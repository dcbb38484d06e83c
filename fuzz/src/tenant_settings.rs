//! Target for the body of `PUT /tenants/{tenant}`.

use lambda_http::Body;
use lambda_http::http::Request;
use rust_decimal::Decimal;
use shared::domain::late::LateCare;
use shared::domain::tenant::Tenant;
use shared::domain::tenant_settings::TenantSettings;
use shared::domain::words::Words;

use crate::assert_no_phone_number;

/// The phone that the problem of a wrong support phone shows as an example.
const EXAMPLE: &str = "+442079460000";

/// Checks that accepted settings are within all limits and are read from the table as they were written, and that the problem of a refused
/// body contains no phone number.
pub fn tenant_settings(input: &[u8]) {
    let tenant = Tenant::try_from("acme").expect("the name of a tenant");
    let request = Request::new(Body::Binary(input.to_vec()));
    match provision_numbers::decode_settings(&request, tenant, &Words::default()) {
        Ok(settings) => {
            assert!(input.len() <= shared::edge::http::MAX_BODY_BYTES);
            assert_eq!(settings.tenant, tenant, "a body names no other tenant");
            let largest = Decimal::from(1_000_000);
            let amounts = [settings.monthly_budget, settings.usage_limits.max_spend];
            for amount in amounts.into_iter().flatten().map(Decimal::from) {
                assert!(amount > Decimal::ZERO && amount <= largest, "{amount}");
            }
            let limits = settings.usage_limits;
            for count in [limits.max_calls, limits.max_calls_per_day, limits.max_minutes].into_iter().flatten() {
                assert!((1..=1_000_000).contains(&u32::from(count)), "{count:?}");
            }
            assert!(settings.max_numbers.is_none_or(|most| most <= 100_000), "{settings:?}");
            if let Some(words) = &settings.late_words {
                assert!(words.languages().count() >= 1 && words.longest() <= LateCare::MOST_CHARACTERS, "{words:?}");
                assert_no_phone_number(&format!("{words:?}"));
            }
            assert_no_phone_number(&format!("{:?}", settings.support_phone));
            let stored = serde_json::to_string(&settings).expect("settings are serialized");
            assert_eq!(serde_json::from_str::<TenantSettings>(&stored).ok(), Some(settings), "{stored}");
        }
        Err(problem) => {
            let log = problem.chain();
            let answer = problem.into_response();
            assert!([400, 413, 422].contains(&answer.status().as_u16()), "{answer:?}");
            let Body::Text(body) = answer.body() else { panic!("{answer:?}") };
            for text in [&log, body] {
                assert_no_phone_number(&text.replace(EXAMPLE, ""));
            }
        }
    }
}
