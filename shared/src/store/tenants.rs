//! The settings of tenants, an item for each tenant that has some, in one partition, so that they can be listed.

use super::item::{self, Key, TENANT_PARTITION, TENANT_PREFIX};
use super::passed_over::PassedOver;
use super::{Store, StoreError};
use crate::domain::tenant::Tenant;
use crate::domain::tenant_settings::TenantSettings;

/// Maximum number of tenants in a page.
pub const TENANTS_PAGE: u16 = 100;

/// A page of tenants, in the order of their names.
#[derive(Debug)]
pub struct TenantsPage {
    /// The settings that can be read.
    pub tenants: Vec<TenantSettings>,
    /// The last tenant of the page, if there may be more behind it.
    pub next: Option<Tenant>,
}

impl Store {
    /// Returns the settings of a tenant, if it has some. One consistent read.
    pub async fn tenant_settings(&self, tenant: Tenant) -> Result<Option<TenantSettings>, StoreError> {
        self.get(Key::TenantSettings(tenant)).await
    }

    /// Replaces the settings of a tenant.
    pub async fn put_tenant_settings(&self, settings: &TenantSettings) -> Result<(), StoreError> {
        let item = Key::TenantSettings(settings.tenant).with(settings, None)?;
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// Returns a page of the tenants that have settings, behind the tenant `after`. One consistent read.
    pub async fn tenants(&self, after: Option<Tenant>) -> Result<TenantsPage, StoreError> {
        let after = after.map(|tenant| format!("{TENANT_PREFIX}{tenant}"));
        let (items, more) = self.query_page(TENANT_PARTITION.to_owned(), TENANT_PREFIX, after, TENANTS_PAGE).await?;
        let last =
            items.last().and_then(|last| Tenant::try_from(item::sort_key(last).strip_prefix(TENANT_PREFIX)?).ok());
        Ok(TenantsPage { tenants: PassedOver::list(items, item::read), next: last.filter(|_| more) })
    }
}
