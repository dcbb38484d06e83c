//! The Lambda bootstrap of `control-call`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run_scheduled::<control_call::ControlCall>().await
}
