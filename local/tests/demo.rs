//! `cargo run -- demo`.

use local::demo::Story;

#[tokio::test]
async fn demo_runs_to_its_end() {
    local::demo::run(local::settings::Settings::default(), Story::Full).await.expect("every step is as it should be");
}
