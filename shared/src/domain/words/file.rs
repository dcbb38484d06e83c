//! A deployment's own file of words: a JSON object of languages, and `tenants`, which have a brand, a default language and words of
//! their own.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::check::Fault;
use super::own::{Languages, OwnWords};
use crate::domain::language::Language;
use crate::domain::tenant::Tenant;
use crate::domain::text::Brand;

/// A deployment's own file of words.
#[derive(Debug, Clone, Default)]
pub struct WordsFile {
    /// The words of the deployment itself.
    pub own: OwnWords,
    /// The words of tenants in place of that.
    pub tenants: BTreeMap<Tenant, TenantWords>,
}

/// The words of a tenant.
#[derive(Debug, Clone)]
pub struct TenantWords {
    /// Its name for people. That of the deployment, if there is none.
    pub brand: Option<Brand>,
    /// The language of those who have no other. That of the deployment, if there is none.
    pub default_language: Option<Language>,
    /// Its words, above those of the deployment.
    pub own: OwnWords,
}

/// The file is not one of words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWords {
    /// It is not a JSON object of objects.
    #[error("is not a JSON object with an object for each language, and for tenants ({0})")]
    NotJson(String),
    /// Some of its entries are at fault.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Faults(Vec<Fault>),
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    tenants: BTreeMap<Tenant, WrittenTenant>,
    #[serde(flatten)]
    languages: Languages,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTenant {
    #[serde(default)]
    brand: Option<Brand>,
    #[serde(default)]
    default_language: Option<Language>,
    #[serde(default)]
    words: Languages,
}

impl WordsFile {
    /// Reads and checks a file. `has_brand` says that the deployment has a brand.
    pub fn read(json: &[u8], has_brand: bool) -> Result<Self, NotWords> {
        let written: Written = serde_json::from_slice(json).map_err(|error| NotWords::NotJson(error.to_string()))?;
        let own = OwnWords::over(&OwnWords::default(), written.languages, has_brand).map_err(NotWords::Faults)?;
        let (mut tenants, mut faults) = (BTreeMap::new(), Vec::new());
        for (tenant, WrittenTenant { brand, default_language, words }) in written.tenants {
            match OwnWords::over(&own, words, has_brand || brand.is_some()) {
                Ok(own) => drop(tenants.insert(tenant, TenantWords { brand, default_language, own })),
                Err(found) => faults.extend(found.into_iter().map(|fault| fault.of(tenant))),
            }
        }
        if faults.is_empty() { Ok(Self { own, tenants }) } else { Err(NotWords::Faults(faults)) }
    }
}
