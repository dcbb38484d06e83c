//! `cargo run -- demo`.

#[tokio::test]
async fn demo_runs_to_its_end() {
    local::demo::run(local::settings::Settings::default()).await.expect("every step is as it should be");
}
