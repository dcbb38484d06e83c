//! The Lambda bootstrap of `provision-numbers`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run_scheduled::<provision_numbers::ProvisionNumbers>().await
}
