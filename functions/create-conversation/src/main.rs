//! The Lambda bootstrap of `create-conversation`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run::<create_conversation::CreateConversation>().await
}
