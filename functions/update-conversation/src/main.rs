//! The Lambda bootstrap of `update-conversation`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run::<update_conversation::UpdateConversation>().await
}
