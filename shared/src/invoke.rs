//! Asynchronous invocation of another function of this deployment.

use serde_json::Value;

use crate::aws_request::{AwsError, AwsService};
use crate::config::{ConfigError, Environment};
use crate::xray;

/// A function that runs after the answer is out.
#[derive(Debug)]
pub struct AsyncFunction {
    lambda: AwsService,
    path: String,
}

impl AsyncFunction {
    /// Returns the function that `PROVISION_FUNCTION_NAME` names; `AWS_ENDPOINT_URL_LAMBDA` is another endpoint than AWS.
    /// Sends nothing.
    pub fn provisioning(env: &Environment) -> Result<Self, ConfigError> {
        Self::named(env, env.required("PROVISION_FUNCTION_NAME")?)
    }

    /// Returns the function that `CONTROL_FUNCTION_NAME` names, if it names one. Sends nothing.
    pub fn controlling(env: &Environment) -> Result<Option<Self>, ConfigError> {
        env.optional("CONTROL_FUNCTION_NAME").map(|name| Self::named(env, name)).transpose()
    }

    /// Returns the function that `KEEP_RECORDINGS_FUNCTION_NAME` names, if it names one. Sends nothing.
    pub fn keeping_recordings(env: &Environment) -> Result<Option<Self>, ConfigError> {
        env.optional("KEEP_RECORDINGS_FUNCTION_NAME").map(|name| Self::named(env, name)).transpose()
    }

    fn named(env: &Environment, name: String) -> Result<Self, ConfigError> {
        let lambda = AwsService::new(env, "lambda", env.optional("AWS_ENDPOINT_URL_LAMBDA"))?;
        Ok(Self { lambda, path: format!("/2015-03-31/functions/{name}/invocations") })
    }

    /// Hands `event` to the function, which runs later and in the same trace. Returns when Lambda has accepted it.
    pub async fn invoke(&self, event: &Value) -> Result<(), AwsError> {
        let mut headers = vec![("content-type", "application/json"), ("x-amz-invocation-type", "Event")];
        let trace = xray::header_to_pass_on();
        headers.extend(trace.as_deref().map(|trace| (xray::HEADER, trace)));
        self.lambda.post(&self.path, &headers, event.to_string()).await.map(drop)
    }
}
