//! `GET /numbers/{number}` and `PATCH /numbers/{number}`: one number, and what callers meet by it who would reach nobody.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use serde::{Deserialize, Deserializer, Serialize};
use shared::domain::call_limits::CallLimits;
use shared::domain::number_settings::NumberSettings;
use shared::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use shared::domain::pool::PoolNumber;
use shared::domain::support::SupportPhone;
use shared::domain::words::Words;
use shared::domain::words::own_text::OwnTexts;
use shared::edge::http::{self, Problem};
use shared::service::provision::SettingsChange;

use crate::ProvisionNumbers;
use crate::view::NumberView;

/// The body of a change. A field that is not there stays, and null removes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[serde(default, deserialize_with = "given")]
    words: Option<Option<OwnTexts>>,
    #[serde(default, deserialize_with = "given")]
    support_phone: Option<Option<String>>,
    /// True if calls from hidden numbers reach that phone too.
    #[serde(default)]
    support_phone_for_hidden: Option<bool>,
}

/// Tells a null from a field that is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

/// A number with its settings.
#[derive(Serialize)]
struct SettingsView<'a> {
    #[serde(flatten)]
    number: NumberView,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<&'a OwnTexts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    support_phone: Option<&'a RealNumber>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    support_phone_for_hidden: bool,
}

impl ProvisionNumbers {
    pub(crate) async fn show_number(&self, request: &Request) -> Result<Response<Body>, Problem> {
        answer(self.provisioner.number(&number(request)?).await?)
    }

    pub(crate) async fn change_number(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let number = number(request)?;
        let change = http::read_json::<ChangeBody>(request)?.into_change(self.limits, &self.healer.words)?;
        answer(self.provisioner.change_number(&number, &change).await?)
    }
}

fn answer(found: Option<(PoolNumber, NumberSettings)>) -> Result<Response<Body>, Problem> {
    let (number, settings) = found.ok_or_else(unknown)?;
    let view = SettingsView {
        number: NumberView::new(&number),
        words: settings.words.as_ref(),
        support_phone: settings.support.as_ref().map(|support| &support.phone),
        support_phone_for_hidden: settings.support.as_ref().is_some_and(|support| support.for_hidden),
    };
    Ok(http::json(StatusCode::OK, &view))
}

/// Returns the number in the path, or the problem 404.
pub(crate) fn number(request: &Request) -> Result<VirtualNumber, Problem> {
    let number = request.path_parameters_ref().and_then(|parameters| parameters.first("number"));
    let number = number.and_then(|digits| PhoneNumber::try_from(digits.trim_start_matches('+')).ok());
    number.map(VirtualNumber::from).ok_or_else(unknown)
}

/// Creates the problem 404 of a number that is not in the pool.
pub(crate) fn unknown() -> Problem {
    Problem::not_found("There is no such number in the pool.")
}

impl ChangeBody {
    /// Returns the change. `limits` are those of a call to the support phone.
    fn into_change(self, limits: CallLimits, words: &Words) -> Result<SettingsChange, Problem> {
        let for_hidden = self.support_phone_for_hidden.unwrap_or_default();
        if self.support_phone_for_hidden.is_some() && !matches!(self.support_phone, Some(Some(_))) {
            return Err(Problem::invalid("support_phone_for_hidden", "Needs support_phone."));
        }
        let support = |written: String| -> Result<SupportPhone, Problem> {
            Ok(SupportPhone { phone: phone(&written, "support_phone")?, for_hidden, limits })
        };
        let support = self.support_phone.map(|phone| phone.map(support).transpose()).transpose()?;
        if let Some(Some(texts)) = &self.words {
            http::check_voices("words", texts, words)?;
        }
        Ok(SettingsChange { words: self.words, support })
    }
}

/// Reads a phone in E.164.
fn phone(written: &str, field: &str) -> Result<RealNumber, Problem> {
    let phone = written.strip_prefix('+').and_then(|digits| PhoneNumber::try_from(digits).ok());
    phone.map(RealNumber::from).ok_or_else(|| Problem::invalid(field, "Must be a phone number such as +442079460000."))
}
