//! `PUT /tenants/{tenant}`, `GET /tenants/{tenant}` and `GET /tenants`: the settings of tenants, and what each costs.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::domain::late::LateCare;
use shared::domain::phone::{Reveal, ShownNumber};
use shared::domain::tenant::{Owner, Tenant};
use shared::domain::tenant_cost::{Month, Spent};
use shared::domain::tenant_settings::TenantSettings;
use shared::domain::usage::{MaxCount, MaxSpend, UsageLimits};
use shared::domain::words::Words;
use shared::domain::words::own_text::OwnTexts;
use shared::edge::http::{self, Problem, Query};
use shared::edge::view::CURRENCY;
use shared::service::provision::Order;
use shared::store::{Ledger, StoreError};

use crate::ProvisionNumbers;
use crate::settings::phone;

/// The settings of a tenant, as a whole. What is not there is not set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    #[serde(default)]
    monthly_budget: Option<MaxSpend>,
    #[serde(default)]
    max_numbers: Option<usize>,
    #[serde(default)]
    max_calls: Option<MaxCount>,
    #[serde(default)]
    max_calls_per_day: Option<MaxCount>,
    #[serde(default)]
    max_minutes: Option<MaxCount>,
    #[serde(default)]
    max_spend: Option<MaxSpend>,
    #[serde(default)]
    late_words: Option<OwnTexts>,
    #[serde(default)]
    support_phone: Option<String>,
}

/// A tenant with its settings, and with what its numbers cost.
#[derive(Serialize)]
struct TenantView {
    #[serde(flatten)]
    settings: SettingsView,
    /// Those that are paid or about to be.
    numbers: usize,
    /// Monthly rent of its numbers.
    monthly_cost: Decimal,
    currency: &'static str,
    /// The cost of its calls and texts, latest month first. Only where one tenant is read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spent: Vec<SpentView>,
}

/// The cost of calls and texts in a month.
#[derive(Serialize)]
struct SpentView {
    month: Month,
    #[serde(flatten)]
    spent: Spent,
}

#[derive(Serialize)]
struct SettingsView {
    tenant: Tenant,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_budget: Option<MaxSpend>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_numbers: Option<usize>,
    #[serde(flatten)]
    usage_limits: UsageLimits,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_words: Option<OwnTexts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    support_phone: Option<ShownNumber>,
}

#[derive(Serialize)]
struct ListView {
    tenants: Vec<TenantView>,
    /// The `after` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Tenant>,
}

impl TenantView {
    fn new(settings: TenantSettings, ledger: &Ledger, reveal: Reveal) -> Self {
        let TenantSettings { tenant, monthly_budget, max_numbers, usage_limits, late_words, support_phone } = settings;
        let (owner, support_phone) = (Owner::Tenant(tenant), support_phone.as_ref().map(|phone| reveal.show(phone)));
        Self {
            settings: SettingsView { tenant, monthly_budget, max_numbers, usage_limits, late_words, support_phone },
            numbers: ledger.paid_by(owner),
            monthly_cost: ledger.monthly_cost_of(owner),
            currency: CURRENCY,
            spent: Vec::new(),
        }
    }
}

impl From<(Month, Spent)> for SpentView {
    fn from((month, spent): (Month, Spent)) -> Self {
        let (call_cost, text_cost) = (spent.call_cost.normalize(), spent.text_cost.normalize());
        Self { month, spent: Spent { call_cost, text_cost, ..spent } }
    }
}

impl ProvisionNumbers {
    /// Replaces the settings of a tenant. The same again changes nothing.
    pub(crate) async fn set_tenant(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let settings = decode_settings(request, tenant(request)?, &self.healer.words)?;
        self.provisioner.store.put_tenant_settings(&settings).await?;
        let (ledger, reveal) = (self.provisioner.store.ledger().await?, self.readers.reveal_to(request));
        Ok(http::json(StatusCode::OK, &TenantView::new(settings, &ledger, reveal)))
    }

    /// Shows one tenant, also one for whom nothing is set, with what its calls and texts have cost in this month and the last one, or
    /// in the month that is asked for.
    pub(crate) async fn show_tenant(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let tenant = tenant(request)?;
        let month = Query::read(request, &["month"])?.value("month").map(Month::try_from).transpose();
        let month = month.map_err(|error| Problem::invalid("month", format!("It {error}.")))?;
        let now = Month::of(self.provisioner.clock.now());
        let months = month.map_or_else(|| vec![now, now.previous()], |month| vec![month]);
        let store = &self.provisioner.store;
        let (ledger, settings, spent) =
            tokio::try_join!(store.ledger(), store.tenant_settings(tenant), store.tenant_costs(tenant, &months))?;
        let settings = settings.unwrap_or_else(|| TenantSettings::none(tenant));
        let (spent, reveal) = (spent.into_iter().map(SpentView::from).collect(), self.readers.reveal_to(request));
        Ok(http::json(StatusCode::OK, &TenantView { spent, ..TenantView::new(settings, &ledger, reveal) }))
    }

    /// Shows a page of the tenants that have settings.
    pub(crate) async fn show_tenants(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let store = &self.provisioner.store;
        let (ledger, reveal) = (store.ledger().await?, self.readers.reveal_to(request));
        let query = Query::read(request, &["after"])?;
        let after = query.value("after").map(Tenant::try_from).transpose();
        let after = after.map_err(|_| Problem::invalid("after", "Must be the `next` of an answer."))?;
        let page = store.tenants(after).await?;
        let tenants = page.tenants.into_iter().map(|settings| TenantView::new(settings, &ledger, reveal)).collect();
        Ok(http::json(StatusCode::OK, &ListView { tenants, next: page.next }))
    }

    /// Returns the largest monthly rent of an owner's numbers, if there is one.
    pub(crate) async fn budget_of(&self, owner: Owner) -> Result<Option<Decimal>, StoreError> {
        let Owner::Tenant(tenant) = owner else { return Ok(self.provisioner.monthly_budget) };
        let settings = self.provisioner.store.tenant_settings(tenant).await?;
        Ok(settings.and_then(|settings| settings.monthly_budget).map(Decimal::from))
    }
}

/// Returns the tenant in the path, or the problem 404.
fn tenant(request: &Request) -> Result<Tenant, Problem> {
    http::scope(request)?.tenant().ok_or_else(|| Problem::not_found("The path names no tenant."))
}

/// Reads the settings of a tenant in the body of a request. Public for the fuzz target.
///
/// # Errors
/// Returns the problem of the first field that is not allowed. `words` have the languages of late words.
pub fn decode_settings(request: &Request, tenant: Tenant, words: &Words) -> Result<TenantSettings, Problem> {
    let body: SettingsBody = http::read_json(request)?;
    if let Some(late_words) = &body.late_words {
        if late_words.longest() > LateCare::MOST_CHARACTERS {
            let detail = format!("Must have at most {} characters in each language.", LateCare::MOST_CHARACTERS);
            return Err(Problem::invalid("late_words", detail));
        }
        http::check_voices("late_words", late_words, words.of(Owner::Tenant(tenant)))?;
    }
    body.of(tenant)
}

impl SettingsBody {
    fn of(self, tenant: Tenant) -> Result<TenantSettings, Problem> {
        if self.max_numbers.is_some_and(|most| most > Order::MAX_COUNT) {
            return Err(Problem::invalid("max_numbers", format!("Must be from 0 to {}.", Order::MAX_COUNT)));
        }
        Ok(TenantSettings {
            tenant,
            monthly_budget: self.monthly_budget,
            max_numbers: self.max_numbers,
            usage_limits: UsageLimits {
                max_calls: self.max_calls,
                max_calls_per_day: self.max_calls_per_day,
                max_minutes: self.max_minutes,
                max_spend: self.max_spend,
            },
            late_words: self.late_words,
            support_phone: self.support_phone.map(|written| phone(&written, "support_phone")).transpose()?,
        })
    }
}
