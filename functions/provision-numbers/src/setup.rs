//! `POST /setup`: makes or updates the Voice application of this deployment.
//!
//! It is part of this function because the schedule here already writes the application, with the same credentials, and because
//! whoever may spend money on numbers may also say where their calls go. The private key never comes here: the request has the
//! public half.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::edge::http::{self, Problem};
use shared::service::setup::{BY_HAND, Done, Setup, State, USUAL_NAME};
use shared::vonage::application::{Change, Wanted};
use shared::vonage::public_key::PublicKey;

use crate::ProvisionNumbers;

/// Most characters of a name.
const LONGEST_NAME: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SetupBody {
    dry_run: bool,
    name: String,
    public_key: Option<String>,
    take_over: bool,
    replace_key: bool,
}

impl Default for SetupBody {
    fn default() -> Self {
        Self { dry_run: false, name: USUAL_NAME.to_owned(), public_key: None, take_over: false, replace_key: false }
    }
}

#[derive(Serialize)]
struct SetupView {
    application: ApplicationView,
    dry_run: bool,
    state: State,
    changes: Vec<Change>,
    by_hand: Vec<Value>,
}

#[derive(Serialize)]
struct ApplicationView {
    /// Null if it would be made.
    id: Option<String>,
    name: String,
    /// True if the deployment is configured with this ID.
    configured: bool,
}

impl ProvisionNumbers {
    pub(crate) async fn set_up(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let body: SetupBody = http::read_json(request)?;
        if body.name.trim().is_empty() || body.name.chars().count() > LONGEST_NAME {
            return Err(Problem::invalid("name", format!("Must have 1 to {LONGEST_NAME} characters.")));
        }
        let key = body.public_key.as_deref().map(PublicKey::try_from).transpose();
        let key = key.map_err(|error| Problem::invalid("public_key", format!("This value {error}.")))?;
        let request_url = url_of(request);
        let setup = Setup {
            id: Some(&self.provisioner.application_id),
            name: body.name.trim(),
            wanted: Wanted {
                public_url: self.public_url.as_deref().or(request_url.as_deref()),
                timeouts: true,
                region: self.region.as_deref(),
                public_key: key.as_ref(),
            },
            other_url: request_url.as_deref(),
            take_over: body.take_over,
            replace_key: body.replace_key,
            dry_run: body.dry_run,
            now: self.provisioner.clock.now(),
        };
        let done = setup.run(&self.provisioner.applications).await?;
        if !body.dry_run && !done.changes.is_empty() {
            let changed = done.changes.len();
            tracing::info!(changed, "the Voice application is set up");
        }
        Ok(http::json(StatusCode::OK, &self.setup_view(done, body.dry_run)))
    }

    fn setup_view(&self, done: Done, dry_run: bool) -> SetupView {
        let Done { id, name, state, changes } = done;
        let configured = id.as_ref().is_some_and(|id| *id == self.provisioner.application_id);
        let deploy = (!configured).then(|| {
            let id = id.as_deref().unwrap_or("<id>");
            json!({"what": "deploy", "needed_for": "everything", "how": format!(
                "This deployment is configured with an application that the account does not have. Deploy with VonageApplicationId={id}.")})
        });
        SetupView {
            application: ApplicationView { id, name, configured },
            dry_run,
            state,
            changes,
            by_hand: deploy.into_iter().chain(BY_HAND.iter().map(|work| json!(work))).collect(),
        }
    }
}

/// Returns the URL of this deployment by which the request came.
fn url_of(request: &Request) -> Option<String> {
    let (scheme, authority) = (request.uri().scheme_str()?, request.uri().authority()?);
    Some(format!("{scheme}://{authority}"))
}
