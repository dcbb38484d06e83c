//! `GET /numbers/{number}` and `PATCH /numbers/{number}`: one number, and what callers meet by it who would reach nobody.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, RequestExt, Response};
use serde::{Deserialize, Serialize};
use shared::domain::call_limits::CallLimits;
use shared::domain::hours::{Hours, NewHours, WrittenHours};
use shared::domain::language::Language;
use shared::domain::number_settings::NumberSettings;
use shared::domain::phone::parse::UnreadableNumber;
use shared::domain::phone::{PhoneNumber, RealNumber, Reveal, ShownNumber, VirtualNumber, is_masked};
use shared::domain::pool::PoolNumber;
use shared::domain::route::Callee;
use shared::domain::standing::StandingMask;
use shared::domain::support::SupportPhone;
use shared::domain::tenant::{Owner, Pool, Tenant};
use shared::domain::words::Words;
use shared::domain::words::own_text::OwnTexts;
use shared::edge::http::{self, Object, Problem};
use shared::service::provision::{Moved, SettingsChange, ShortfallCause, TakenBack};

use crate::view::NumberView;
use crate::{ProvisionNumbers, is_set_aside};

/// The body of a change. A field that is not there stays, and null removes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// `ready` takes a draining number back.
    #[serde(default)]
    state: Option<String>,
    /// Moves the number to a tenant; null moves it to the deployment itself.
    #[serde(default, deserialize_with = "http::given")]
    tenant: Option<Option<Tenant>>,
    #[serde(default, deserialize_with = "http::given")]
    words: Option<Option<OwnTexts>>,
    #[serde(default, deserialize_with = "http::given")]
    support_phone: Option<Option<String>>,
    /// True if calls from hidden numbers reach that phone too.
    #[serde(default)]
    support_phone_for_hidden: Option<bool>,
    #[serde(default, deserialize_with = "http::given")]
    standing: Option<Option<Object<StandingBody>>>,
}

/// A standing mask. Each change gives it as a whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingBody {
    phones: Vec<Object<PhoneBody>>,
    #[serde(default)]
    blocked: Vec<String>,
    #[serde(default)]
    block_hidden: bool,
    #[serde(default)]
    language: Option<Language>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhoneBody {
    number: String,
    #[serde(default)]
    hours: Option<Object<NewHours>>,
}

/// A number with its settings.
#[derive(Serialize)]
struct SettingsView<'a> {
    #[serde(flatten)]
    number: NumberView,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<&'a OwnTexts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    support_phone: Option<ShownNumber>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    support_phone_for_hidden: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<StandingView<'a>>,
}

#[derive(Serialize)]
struct StandingView<'a> {
    /// True if calls are connected.
    open: bool,
    phones: Vec<PhoneView<'a>>,
    blocked: Vec<ShownNumber>,
    block_hidden: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a Language>,
}

#[derive(Serialize)]
struct PhoneView<'a> {
    number: ShownNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<&'a WrittenHours>,
}

impl<'a> StandingView<'a> {
    fn new(standing: &'a StandingMask, reveal: Reveal) -> Self {
        let phone = |callee: &'a Callee| PhoneView {
            number: reveal.show(&callee.number),
            hours: callee.hours.as_ref().map(Hours::written),
        };
        Self {
            open: standing.is_open,
            phones: standing.phones.iter().map(phone).collect(),
            blocked: standing.blocked.iter().map(|number| reveal.show(number)).collect(),
            block_hidden: standing.blocks_hidden,
            language: standing.language.as_ref(),
        }
    }
}

impl ProvisionNumbers {
    pub(crate) async fn show_number(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let reveal = self.readers.reveal_to(request);
        self.show_one(&self.number_of(request).await?, http::scope(request)?, reveal).await
    }

    async fn show_one(&self, number: &VirtualNumber, scope: Owner, reveal: Reveal) -> Result<Response<Body>, Problem> {
        let (number, settings) = self.provisioner.number(number).await?.ok_or_else(http::no_number)?;
        self.answer(&number, &settings, scope, reveal).await
    }

    /// Starts to move a number to another owner.
    async fn move_number(
        &self,
        number: &VirtualNumber,
        owner: Owner,
        reveal: Reveal,
    ) -> Result<Response<Body>, Problem> {
        let found = self.provisioner.store.pool_number(number).await?.ok_or_else(http::no_number)?;
        self.check_place(Pool { owner, country: found.country }).await?;
        match self.provisioner.move_number(number, owner).await? {
            Moved::Moving(_) | Moved::There(_) => self.show_one(number, Owner::Deployment, reveal).await,
            Moved::Busy => {
                let detail =
                    "The number is being rented, linked, moved or given back to the carrier. Send the request again.";
                Err(not_ready(detail).retry_after(60))
            }
            Moved::Leaving => {
                Err(not_ready("The number is rotated, lost, or moves to another owner, and cannot be moved so."))
            }
            Moved::SetAside => Err(is_set_aside()),
            Moved::Unknown => Err(http::no_number()),
        }
    }

    /// Makes a draining number ready again.
    async fn take_back(&self, number: &VirtualNumber) -> Result<(), Problem> {
        match self.provisioner.take_back(number).await? {
            TakenBack::Ready => Ok(()),
            TakenBack::Busy => {
                let detail = "The number is being linked, or given back to the carrier. Send the request again.";
                Err(not_ready(detail).retry_after(60))
            }
            TakenBack::NotDraining => {
                Err(not_ready("Only a draining number that is neither rotated nor lost is taken back."))
            }
            TakenBack::Unknown => Err(http::no_number()),
            TakenBack::Failed(shortfall) => Err(match shortfall.cause {
                Some(ShortfallCause::Vonage(error)) => error.into(),
                Some(ShortfallCause::Table(error)) => error.into(),
                None => not_ready("The carrier does not list the number yet. Send the request again.").retry_after(60),
            }),
        }
    }

    pub(crate) async fn change_number(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let number = self.number_of(request).await?;
        let (scope, reveal) = (http::scope(request)?, self.readers.reveal_to(request));
        let body = http::read_json::<ChangeBody>(request)?;
        if let Some(owner) = body.new_owner(scope)? {
            return self.move_number(&number, owner, reveal).await;
        }
        let takes_back = match body.state.as_deref() {
            None => false,
            Some("ready") => true,
            Some(_) => return Err(Problem::invalid("state", "Must be ready, which takes a draining number back.")),
        };
        let owner = match (scope, &body.words) {
            // The words are for callers of whoever has the number.
            (Owner::Deployment, Some(Some(_))) => self.provisioner.store.pool_number(&number).await?.map(|it| it.owner),
            (scope, _) => Some(scope),
        };
        let owner = owner.ok_or_else(http::no_number)?;
        let change = body.into_change(self.limits, self.healer.words.of(owner))?;
        if takes_back {
            self.take_back(&number).await?;
            if change.is_none() {
                return self.show_one(&number, scope, reveal).await;
            }
        }
        let (number, settings) = self.provisioner.change_number(&number, &change).await?;
        self.answer(&number, &settings, scope, reveal).await
    }

    /// Returns the number in the path, or the problem 404 if the request may not see it. Only a request of a tenant reads the table for
    /// that.
    pub(crate) async fn number_of(&self, request: &Request) -> Result<VirtualNumber, Problem> {
        let (number, scope) = (number(request)?, http::scope(request)?);
        if !scope.is_deployment() {
            let found = self.provisioner.store.pool_number(&number).await?;
            found.filter(|found| scope.sees(found.owner)).ok_or_else(http::no_number)?;
        }
        Ok(number)
    }

    async fn answer(
        &self,
        number: &PoolNumber,
        settings: &NumberSettings,
        scope: Owner,
        reveal: Reveal,
    ) -> Result<Response<Body>, Problem> {
        let health = self.provisioner.store.health(&number.number, self.provisioner.clock.now()).await?;
        Ok(answer(NumberView::new(number).with_move(number, scope).with_health(Some(&health)), settings, reveal))
    }
}

fn not_ready(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "number-not-ready", "Number not ready", detail)
}

fn answer(number: NumberView, settings: &NumberSettings, reveal: Reveal) -> Response<Body> {
    let view = SettingsView {
        number,
        words: settings.words.as_ref(),
        support_phone: settings.support.as_ref().map(|support| reveal.show(&support.phone)),
        support_phone_for_hidden: settings.support.as_ref().is_some_and(|support| support.for_hidden),
        standing: settings.standing.as_ref().map(|standing| StandingView::new(standing, reveal)),
    };
    http::json(StatusCode::OK, &view)
}

/// Reads the number in the path: `+447451000001`, also if the gateway left its `+` encoded, or its digits alone.
fn number(request: &Request) -> Result<VirtualNumber, Problem> {
    let number = request.path_parameters_ref().and_then(|parameters| parameters.first("number"));
    let digits = |number: &str| {
        let plus = ["+", "%2B", "%2b"].iter().find_map(|plus| number.strip_prefix(plus));
        PhoneNumber::try_from(plus.unwrap_or(number)).ok()
    };
    let number = number.and_then(digits);
    number.map(VirtualNumber::from).ok_or_else(http::no_number)
}

impl ChangeBody {
    /// Returns the owner to whom a request with this scope moves the number, if it does. It changes nothing else then: what callers meet
    /// by the number is forgotten with the move.
    fn new_owner(&self, scope: Owner) -> Result<Option<Owner>, Problem> {
        let Some(tenant) = self.tenant else { return Ok(None) };
        if !scope.is_deployment() {
            return Err(Problem::invalid("tenant", "Only the deployment itself moves numbers, under /numbers."));
        }
        let Self {
            state: None, words: None, support_phone: None, support_phone_for_hidden: None, standing: None, ..
        } = self
        else {
            return Err(Problem::invalid("tenant", "Must be the only field, because a move forgets the others."));
        };
        Ok(Some(tenant.into()))
    }

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
        let standing = self.standing.map(|standing| standing.map(|Object(body)| body.into_mask(limits)).transpose());
        Ok(SettingsChange { words: self.words, support, standing: standing.transpose()? })
    }
}

impl StandingBody {
    /// Returns the standing mask, which is not open yet.
    fn into_mask(self, limits: CallLimits) -> Result<StandingMask, Problem> {
        let count = |field: &str, count: usize, allowed: std::ops::RangeInclusive<usize>| match allowed.contains(&count)
        {
            true => Ok(()),
            false => {
                let detail = format!("Must have {} to {} elements, not {count}.", allowed.start(), allowed.end());
                Err(Problem::invalid(field, detail))
            }
        };
        count("standing.phones", self.phones.len(), 1..=StandingMask::MOST_PHONES)?;
        count("standing.blocked", self.blocked.len(), 0..=StandingMask::MOST_BLOCKED)?;
        let mut phones: Vec<Callee> = Vec::new();
        for (position, Object(body)) in self.phones.into_iter().enumerate() {
            let field = format!("standing.phones[{position}].number");
            let number = phone(&body.number, &field)?;
            if phones.iter().any(|other| other.number.is_same_phone(&number)) {
                return Err(Problem::invalid(field, "This phone is in the list already."));
            }
            phones.push(Callee { number, phone: position, hours: body.hours.map(|Object(NewHours(hours))| hours) });
        }
        let blocked = self.blocked.iter().enumerate().map(|(position, written)| {
            Ok(phone(written, &format!("standing.blocked[{position}]"))?.canonical().into_owned())
        });
        Ok(StandingMask {
            is_open: false,
            phones,
            blocked: blocked.collect::<Result<_, Problem>>()?,
            blocks_hidden: self.block_hidden,
            language: self.language,
            limits,
        })
    }
}

/// Reads a phone in E.164.
pub(crate) fn phone(written: &str, field: &str) -> Result<RealNumber, Problem> {
    if is_masked(written) {
        return Err(Problem::from(UnreadableNumber::Masked).at(field));
    }
    let phone = written.strip_prefix('+').and_then(|digits| PhoneNumber::try_from(digits).ok());
    phone.map(RealNumber::from).ok_or_else(|| Problem::invalid(field, "Must be a phone number such as +442079460000."))
}
