//! The Lambda bootstrap of `answer-webhook`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run::<answer_webhook::AnswerWebhook>().await
}
