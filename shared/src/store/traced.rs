//! The parts of a trace that are requests to DynamoDB: one for each operation, with its repetitions.

use aws_sdk_dynamodb::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use crate::xray::{self, Outgoing, Target};

/// The texts before the name of a table in the body of a request. In a value the quotation marks would be escaped.
const BEFORE_TABLE: [&[u8]; 2] = [br#""TableName":""#, br#""RequestItems":{""#];

/// Records the requests of a client in the trace of the task that sends them.
#[derive(Debug)]
pub(super) struct TraceRequests;

/// The request that is under way, in the SDK's own state of it. If it is given up, both are dropped.
#[derive(Debug)]
struct UnderWay(Outgoing);

impl Storable for UnderWay {
    type Storer = StoreReplace<Self>;
}

impl Intercept for TraceRequests {
    fn name(&self) -> &'static str {
        "TraceRequests"
    }

    fn read_after_serialization(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let outgoing = xray::outgoing(|| {
            let operation = config.load::<Metadata>().map(Metadata::name).unwrap_or_default().to_owned();
            let body = context.request().body().bytes().unwrap_or_default();
            Target::Table { operation, table: table_of(body) }
        });
        if let Some(outgoing) = outgoing {
            config.interceptor_state().store_put(UnderWay(outgoing));
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(UnderWay(outgoing)), Some(response)) = (config.load::<UnderWay>(), context.response()) {
            let attempts = config.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
            outgoing.answered(response.status().as_u16(), attempts.saturating_sub(1));
        }
        Ok(())
    }
}

/// Returns the first table that the body of a request names.
fn table_of(body: &[u8]) -> String {
    let behind = |text: &[u8]| {
        let at = body.windows(text.len()).position(|part| part == text)?;
        body[at + text.len()..].split(|byte| *byte == b'"').next()
    };
    let name = BEFORE_TABLE.into_iter().find_map(behind).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_the_one_that_the_request_names() {
        for (body, table) in [
            (r#"{"Item":{"pk":{"S":"\"TableName\":\"447700900147\""}},"TableName":"maskline"}"#, "maskline"),
            (r#"{"RequestItems":{"maskline":{"Keys":[]}}}"#, "maskline"),
            (r#"{"TransactItems":[{"Put":{"TableName":"journal","Item":{}}}]}"#, "journal"),
            ("{}", ""),
        ] {
            assert_eq!(table_of(body.as_bytes()), table, "{body}");
        }
    }
}
