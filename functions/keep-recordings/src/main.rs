//! The Lambda bootstrap of `keep-recordings`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::edge::function::run_scheduled::<keep_recordings::KeepRecordings>().await
}
