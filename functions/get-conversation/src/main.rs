//! The Lambda bootstrap of `get-conversation`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run::<get_conversation::GetConversation>().await
}
