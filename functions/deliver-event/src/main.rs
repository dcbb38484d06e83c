//! The Lambda bootstrap of `deliver-event`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run_scheduled::<deliver_event::DeliverEvent>().await
}
