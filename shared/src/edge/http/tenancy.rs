//! The scope of a request: `/t/{tenant}/…` concerns what that tenant has, and any other path what the deployment has.
//!
//! Who may send a request with a path is for API Gateway to decide, if a policy of IAM names the paths. A token has no paths, so its
//! claim is compared with the path here.

use std::collections::HashMap;

use lambda_http::http::{Method, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use super::{Problem, conversation_id, no_conversation};
use crate::config::Environment;
use crate::domain::conversation::ConversationId;
use crate::domain::tenant::{Owner, Tenant};
use crate::store::Store;

/// The claim of tokens that names the tenant whose requests they may send.
#[derive(Debug, Clone)]
pub struct TenantClaim(String);

impl TenantClaim {
    /// The value of the claim in the tokens of the deployment's own backend.
    const DEPLOYMENT: &'static str = "*";

    /// Reads `TENANT_CLAIM`.
    pub fn from_environment(env: &Environment) -> Option<Self> {
        env.optional("TENANT_CLAIM").map(Self)
    }

    /// Refuses a request with a token that is not for its path. A token without the claim is for no path. A request without a token
    /// was admitted by a policy of IAM, or is a webhook with a signature of its own.
    pub(in crate::edge) fn check(&self, request: &Request) -> Result<(), Problem> {
        let Some(claims) = claims(request) else { return Ok(()) };
        let is_for_path = match (claims.get(&self.0).map(String::as_str), scope(request)?) {
            (Some(Self::DEPLOYMENT), _) => true,
            // The path /tenants/{tenant} has a tenant too. That one may read what holds for it, and the deployment sets it.
            (Some(named), Owner::Tenant(tenant)) => {
                let is_its_own = request.uri().path().starts_with("/t/") || *request.method() == Method::GET;
                named == tenant.as_str() && is_its_own
            }
            _ => false,
        };
        let refused = || {
            let detail = "The token is for another tenant, or for none.";
            Problem::new(StatusCode::FORBIDDEN, "not-permitted", "Not permitted", detail)
        };
        if is_for_path { Ok(()) } else { Err(refused()) }
    }
}

/// Returns the claims of the token that API Gateway has verified, if there is one.
fn claims(request: &Request) -> Option<&HashMap<String, String>> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => Some(&context.authorizer.as_ref()?.jwt.as_ref()?.claims),
        _ => None,
    }
}

/// Returns the scope of a request, or the problem 404 of a path with an impossible tenant.
pub fn scope(request: &Request) -> Result<Owner, Problem> {
    let name = request.path_parameters_ref().and_then(|parameters| parameters.first("tenant"));
    let Some(name) = name else { return Ok(Owner::Deployment) };
    Tenant::try_from(name)
        .map(Owner::Tenant)
        .map_err(|error| Problem::not_found(format!("There is no such tenant: {error}.")))
}

/// Returns the id of the conversation in the path, or the problem 404 if the request may not see it. Only a request of a tenant reads
/// the table for that, once. A conversation never changes its owner, so what this has shown stays true.
pub async fn conversation_of(request: &Request, store: &Store) -> Result<ConversationId, Problem> {
    let (id, scope) = (conversation_id(request)?, scope(request)?);
    let is_seen = scope.is_deployment() || store.owner_of(id).await?.is_some_and(|owner| scope.sees(owner));
    if is_seen { Ok(id) } else { Err(no_conversation()) }
}
