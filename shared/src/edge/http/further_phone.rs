//! A further phone of a participant, as requests have it.

use serde::Deserialize;

use super::Object;
use crate::domain::country::Country;
use crate::domain::hours::NewHours;
use crate::domain::language::Language;
use crate::domain::text::Label;
use crate::service::create::NewFurtherPhone;

/// The object of a further phone in the body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FurtherPhoneBody {
    number: String,
    #[serde(default)]
    country: Option<Country>,
    #[serde(default)]
    name: Option<Label>,
    #[serde(default)]
    language: Option<Language>,
    #[serde(default)]
    hours: Option<Object<NewHours>>,
    #[serde(default)]
    only_dials: bool,
}

impl From<FurtherPhoneBody> for NewFurtherPhone {
    fn from(body: FurtherPhoneBody) -> Self {
        let FurtherPhoneBody { number, country, name, language, hours, only_dials } = body;
        Self { number, country, name, language, hours: hours.map(|Object(NewHours(hours))| hours), only_dials }
    }
}
