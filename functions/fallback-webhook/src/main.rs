//! The Lambda bootstrap of `fallback-webhook`.

use std::convert::Infallible;
use std::io::Write;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let answer = fallback_webhook::answer_of_process();
    // Any event is one: nothing of it is read.
    lambda_runtime::run(service_fn(move |event: LambdaEvent<IgnoredAny>| async move {
        let context = event.context;
        let line = fallback_webhook::log_line(&context.request_id, context.xray_trace_id.as_deref());
        // A failure of standard output cannot be reported anywhere, and is no reason to leave the caller without an answer.
        let _ = writeln!(std::io::stdout(), "{line}");
        Ok::<_, Infallible>(answer)
    }))
    .await
}
