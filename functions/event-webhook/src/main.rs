//! The Lambda bootstrap of `event-webhook`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::lambda::run::<event_webhook::EventWebhook>().await
}
