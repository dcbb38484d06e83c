//! Tenants: customers of a deployment who share its account and nothing else.
//!
//! A conversation has one owner for its whole life, and a number has one at a time. A conversation gets numbers of the pools of its owner
//! only, and a number moves to another owner after its last quarantine, so no route leads from one owner to another.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::country::Country;

/// The name of a tenant: 1 to 40 lower-case letters, digits and `-`. It never has a `#`, so it is safe in the keys of items, and never
/// looks like a country.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant([u8; Tenant::MOST_CHARACTERS]);

/// The text is not the name of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tenant's name has 1 to {} lower-case letters, digits and hyphens", Tenant::MOST_CHARACTERS)]
pub struct NotATenant;

impl Tenant {
    /// Length of the longest name.
    pub const MOST_CHARACTERS: usize = 40;

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl TryFrom<&str> for Tenant {
    type Error = NotATenant;

    fn try_from(name: &str) -> Result<Self, NotATenant> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=Self::MOST_CHARACTERS).contains(&name.len()) || !name.bytes().all(is_allowed) {
            return Err(NotATenant);
        }
        let mut bytes = [0; Self::MOST_CHARACTERS];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Tenant {
    type Error = NotATenant;

    fn try_from(name: String) -> Result<Self, NotATenant> {
        Self::try_from(name.as_str())
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.to_string()
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The owner of numbers and conversations, and the scope of a request: it concerns what its owner has.
///
/// Stored as the name of the tenant. What the deployment itself has is stored without one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Option<Tenant>", into = "Option<Tenant>")]
pub enum Owner {
    /// The deployment itself. Its own requests also show and end what tenants have, because it runs their calls.
    #[default]
    Deployment,
    /// A tenant, who sees nothing of others.
    Tenant(Tenant),
}

impl Owner {
    /// True for the deployment itself.
    pub fn is_deployment(&self) -> bool {
        *self == Self::Deployment
    }

    /// Returns the tenant, if it is one.
    pub fn tenant(self) -> Option<Tenant> {
        match self {
            Self::Deployment => None,
            Self::Tenant(tenant) => Some(tenant),
        }
    }

    /// True if a request with this scope may see what `owner` has.
    pub fn sees(self, owner: Owner) -> bool {
        self.is_deployment() || self == owner
    }
}

impl From<Option<Tenant>> for Owner {
    fn from(tenant: Option<Tenant>) -> Self {
        tenant.map_or(Self::Deployment, Self::Tenant)
    }
}

impl From<Owner> for Option<Tenant> {
    fn from(owner: Owner) -> Self {
        owner.tenant()
    }
}

/// The numbers that one owner has in one country. Written as `GB` for the deployment itself, and as `acme#GB` for a tenant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pool {
    /// The owner.
    pub owner: Owner,
    /// The country that the numbers are rented in.
    pub country: Country,
}

/// The text is not the written form of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a country, or a tenant and a country")]
pub struct NotAPool;

impl Pool {
    /// Returns the pool of the deployment itself in a country.
    pub fn own(country: Country) -> Self {
        Self { owner: Owner::Deployment, country }
    }
}

impl TryFrom<&str> for Pool {
    type Error = NotAPool;

    fn try_from(written: &str) -> Result<Self, NotAPool> {
        let (owner, country) = match written.split_once('#') {
            Some((tenant, country)) => (Owner::Tenant(Tenant::try_from(tenant).map_err(|_| NotAPool)?), country),
            None => (Owner::Deployment, written),
        };
        Ok(Self { owner, country: Country::try_from(country).map_err(|_| NotAPool)? })
    }
}

impl TryFrom<String> for Pool {
    type Error = NotAPool;

    fn try_from(written: String) -> Result<Self, NotAPool> {
        Self::try_from(written.as_str())
    }
}

impl From<Pool> for String {
    fn from(pool: Pool) -> Self {
        pool.to_string()
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Owner::Tenant(tenant) = self.owner {
            write!(f, "{tenant}#")?;
        }
        self.country.fmt(f)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Result<Tenant, NotATenant> {
        Tenant::try_from(name)
    }

    #[test]
    fn name_is_safe_in_keys_and_in_paths() {
        let longest = "a".repeat(Tenant::MOST_CHARACTERS);
        for name in ["a", "acme-2", "7", longest.as_str()] {
            assert_eq!(tenant(name).unwrap().as_str(), name);
        }
        let too_long = "a".repeat(Tenant::MOST_CHARACTERS + 1);
        for name in ["", "Acme", "GB", "a#b", "a b", "a/b", "ä", "a_b", "a\0", too_long.as_str()] {
            assert_eq!(tenant(name), Err(NotATenant), "{name}");
        }
    }

    #[test]
    fn tenant_sees_only_its_own_and_the_deployment_all() {
        let [acme, beta] = ["acme", "beta"].map(|name| Owner::Tenant(tenant(name).unwrap()));
        assert!(acme.sees(acme) && !acme.sees(beta) && !acme.sees(Owner::Deployment));
        assert!([acme, beta, Owner::Deployment].into_iter().all(|owner| Owner::Deployment.sees(owner)));
    }

    #[test]
    fn owner_is_stored_as_the_name_of_the_tenant_or_not_at_all() {
        #[derive(Serialize, Deserialize)]
        struct Stored {
            #[serde(default, rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
            owner: Owner,
        }
        for (owner, written) in
            [(Owner::Tenant(tenant("acme").unwrap()), r#"{"tenant":"acme"}"#), (Owner::Deployment, "{}")]
        {
            assert_eq!(serde_json::to_string(&Stored { owner }).unwrap(), written);
            assert_eq!(serde_json::from_str::<Stored>(written).unwrap().owner, owner);
        }
        assert!(serde_json::from_str::<Stored>(r#"{"tenant":"A#B"}"#).is_err());
    }

    #[test]
    fn pool_is_written_with_its_owner_and_read_again() {
        let country = Country::try_from("GB").unwrap();
        let pool = Pool { owner: Owner::Tenant(tenant("acme").unwrap()), country };
        for (pool, written) in [(Pool::own(country), "GB"), (pool, "acme#GB")] {
            assert_eq!(pool.to_string(), written);
            assert_eq!(Pool::try_from(written), Ok(pool));
        }
        for wrong in ["", "acme", "#GB", "GB#acme", "acme#beta#GB", "acme#GB#x"] {
            assert_eq!(Pool::try_from(wrong), Err(NotAPool), "{wrong}");
        }
    }
}
