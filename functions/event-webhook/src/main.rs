//! The Lambda bootstrap of `event-webhook`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run::<event_webhook::EventWebhook>().await
}
