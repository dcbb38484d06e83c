//! The scope of a request: `/t/{tenant}/…` concerns what that tenant has, and any other path what the deployment has.
//!
//! Who may send a request with a path is for API Gateway to decide: a policy of IAM names the paths.

use lambda_http::{Request, RequestExt};

use super::{Problem, conversation_id, no_conversation};
use crate::domain::conversation::ConversationId;
use crate::domain::tenant::{Owner, Tenant};
use crate::store::Store;

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
