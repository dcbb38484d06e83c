//! The Lambda bootstrap of `end-conversation`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run_scheduled::<end_conversation::EndConversation>().await
}
