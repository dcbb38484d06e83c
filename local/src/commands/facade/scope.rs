//! The part of a stack that a Service of Twilio Proxy, or a Voice Connector, stands for.

use reqwest::Method;
use shared::domain::tenant::Tenant;

use super::super::api::Call;

/// A Service or a Voice Connector, and the tenant whose conversations its sessions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Its id at the other service.
    pub(super) id: String,
    /// None: the deployment itself.
    pub(super) tenant: Option<Tenant>,
}

impl Scope {
    /// Reads `ID` or `ID=TENANT`.
    ///
    /// # Errors
    /// The tenant's name is none.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (id, tenant) = match text.split_once('=') {
            Some((id, tenant)) => (id, Some(Tenant::try_from(tenant).map_err(|error| error.to_string())?)),
            None => (text, None),
        };
        if id.is_empty() || id.contains('/') {
            return Err("give an id, or an id and a tenant as ID=TENANT".to_owned());
        }
        Ok(Self { id: id.to_owned(), tenant })
    }

    /// Begins a request about what is here.
    pub(super) fn call<'a>(&'a self, method: Method, path: &[&'a str]) -> Call<'a> {
        let own = self.tenant.iter().flat_map(|tenant| ["t", tenant.as_str()]);
        Call::new(method, &own.chain(path.iter().copied()).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_is_an_id_or_an_id_and_a_tenant() {
        let read =
            |text: &str| Scope::read(text).map(|scope| (scope.id, scope.tenant.map(|tenant| tenant.to_string())));
        assert_eq!(read("KS01"), Ok(("KS01".to_owned(), None)));
        assert_eq!(read("KS01=acme"), Ok(("KS01".to_owned(), Some("acme".to_owned()))));
        for wrong in ["", "=acme", "KS01=", "KS01=A B", "a/b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
