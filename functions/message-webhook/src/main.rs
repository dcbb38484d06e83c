//! The Lambda bootstrap of `message-webhook`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run::<message_webhook::MessageWebhook>().await
}
