//! The command as people run it.

use std::process::{Command, Output};

use serde_json::json;
use testkit::Laptop;

use crate::{Folder, copy};

fn maskline(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).output().unwrap()
}

#[tokio::test]
async fn command_restores_a_copied_data_file() {
    let folder = Folder::new();
    let (data, backup) = (folder.file("table.db"), folder.file("copy.db"));
    let laptop = Laptop::builder().data(&data, "maskline").numbers("GB", 2).start().await;
    laptop.stack.stop().await;
    copy(&data, &backup);
    let laptop = Laptop::builder().data(&data, "maskline").start().await;
    laptop.create().await;
    laptop.stack.stop().await;

    let [data, backup] = [&data, &backup].map(|file| file.to_str().unwrap().to_owned());
    let restore = ["--data", &data, "restore", "--copy", &backup];
    for kept in ["2 route keys", "0 route keys"] {
        let done = maskline(&restore, &[]);
        let text = String::from_utf8(done.stdout.clone()).unwrap();
        assert!(done.status.success() && text.contains(kept), "{done:?}");
    }
    for (arguments, reason) in [
        (vec!["--data", &data, "restore"], "go together"),
        (vec!["--data", &data, "restore", "--copy", "/no/such/file"], "no file"),
        (vec!["--data", &data, "restore", "--copy", &backup, "--table", "maskline"], "present one"),
        (vec!["restore"], "TABLE_NAME is not set"),
    ] {
        let refused = maskline(&arguments, &[]);
        let text = String::from_utf8(refused.stderr.clone()).unwrap();
        assert!(!refused.status.success() && text.contains(reason), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn command_repairs_a_table_of_any_dynamodb() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.copy_table("restored").await;
    let created = laptop.create().await;
    let variables: Vec<_> = laptop.stack.environment.iter().filter(|(name, _)| *name != "TABLE_NAME").collect();
    let variables: Vec<_> = variables.into_iter().chain([("TABLE_NAME", "restored")]).collect();
    // The command waits in a process of its own, so this one has to answer it.
    let done = tokio::task::block_in_place(|| maskline(&["restore"], &variables));
    let text = String::from_utf8(done.stdout.clone()).unwrap();
    assert!(done.status.success() && text.contains("2 route keys"), "{done:?}");
    let restored = Laptop::builder().beside(&laptop, "restored").start().await;
    let call = json!({"from": testkit::RIDER, "to": created["participants"][0]["dials"]});
    let answer = restored.signed_post("/webhooks/answer", &call.to_string()).await;
    assert!(answer.body[0]["text"].as_str().unwrap().contains("has ended"), "{answer:?}");

    // Without Vonage the pool stays unsure, and the command says so.
    laptop.faults("/account/numbers", 100, json!({"kind": "status", "status": 401})).await;
    let failed = tokio::task::block_in_place(|| maskline(&["restore"], &variables));
    let text = String::from_utf8(failed.stdout.clone()).unwrap();
    assert!(!failed.status.success() && text.contains("not compared"), "{failed:?}");
}
