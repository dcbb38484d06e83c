//! `cargo run -- demo`.

#[tokio::test]
async fn the_story_is_told_to_its_end() {
    local::demo::run().await.expect("every step is as it should be");
}
