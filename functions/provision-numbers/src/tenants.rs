//! `PUT /tenants/{tenant}`, `GET /tenants/{tenant}` and `GET /tenants`: the settings of tenants, and what each costs.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::domain::late::LateCare;
use shared::domain::phone::{Reveal, ShownNumber};
use shared::domain::tenant::{Owner, Tenant};
use shared::domain::tenant_settings::TenantSettings;
use shared::domain::usage::{MaxCount, MaxSpend, UsageLimits};
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
        }
    }
}

impl ProvisionNumbers {
    /// Replaces the settings of a tenant. The same again changes nothing.
    pub(crate) async fn set_tenant(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let body: SettingsBody = http::read_json(request)?;
        if let Some(words) = &body.late_words {
            if words.longest() > LateCare::MOST_CHARACTERS {
                let detail = format!("Must have at most {} characters in each language.", LateCare::MOST_CHARACTERS);
                return Err(Problem::invalid("late_words", detail));
            }
            http::check_voices("late_words", words, self.healer.words.of(http::scope(request)?))?;
        }
        let settings = body.of(tenant(request)?)?;
        self.provisioner.store.put_tenant_settings(&settings).await?;
        let (ledger, reveal) = (self.provisioner.store.ledger().await?, self.readers.reveal_to(request));
        Ok(http::json(StatusCode::OK, &TenantView::new(settings, &ledger, reveal)))
    }

    /// Shows one tenant, also one for whom nothing is set, or a page of those that have settings.
    pub(crate) async fn show_tenants(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let (store, is_of_one) = (&self.provisioner.store, request.uri().path() != "/tenants");
        let (ledger, reveal) = (store.ledger().await?, self.readers.reveal_to(request));
        if is_of_one {
            let tenant = tenant(request)?;
            let settings = store.tenant_settings(tenant).await?.unwrap_or_else(|| TenantSettings::none(tenant));
            return Ok(http::json(StatusCode::OK, &TenantView::new(settings, &ledger, reveal)));
        }
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
