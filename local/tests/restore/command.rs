//! The command as people run it.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{Laptop, text};

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
    let restore = ["restore", "--data", &data, "--copy", &backup];
    for kept in ["2 route keys", "0 route keys"] {
        let done = maskline(&restore, &[]);
        let printed = String::from_utf8(done.stdout.clone()).unwrap();
        assert!(done.status.success() && printed.contains(kept), "{done:?}");
    }
    for (arguments, reason) in [
        (vec!["restore", "--data", &data], "--copy <FILE>"),
        (vec!["restore", "--data", &data, "--copy", "/no/such/file"], "no file"),
        (vec!["restore", "--data", &data, "--copy", &backup, "--table", "maskline"], "present one"),
        (vec!["restore"], "TABLE_NAME is not set"),
    ] {
        let refused = maskline(&arguments, &[]);
        let printed = String::from_utf8(refused.stderr.clone()).unwrap();
        assert!(!refused.status.success() && printed.contains(reason), "{refused:?}");
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
    let printed = String::from_utf8(done.stdout.clone()).unwrap();
    assert!(done.status.success() && printed.contains("2 route keys"), "{done:?}");
    let restored = Laptop::builder().beside(&laptop, "restored").start().await;
    let call = json!({"from": testkit::RIDER, "to": created["participants"][0]["dials"]});
    let answer = restored.signed_post("/webhooks/answer", &call.to_string()).await;
    assert!(answer.body[0]["text"].as_str().unwrap().contains("has ended"), "{answer:?}");

    // Without Vonage the pool stays unsure, and the command says so.
    laptop.faults("/account/numbers", 100, json!({"kind": "status", "status": 401})).await;
    let failed = tokio::task::block_in_place(|| maskline(&["restore"], &variables));
    let printed = String::from_utf8(failed.stdout.clone()).unwrap();
    assert!(!failed.status.success() && printed.contains("not compared"), "{failed:?}");
}

#[tokio::test]
async fn repair_of_the_table_in_use_changes_nothing() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let create = async |first: usize, more: Value| {
        let people = [first, first + 1].map(|person| json!({"number": format!("+447700900{person:03}")}));
        let mut order = json!({"participants": people, "notify": false});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let created = laptop.post("/conversations", &order).await;
        assert_eq!(created.status, 201, "{created:?}");
        format!("/conversations/{}", text(&created.body, "/id"))
    };
    create(1, json!({"direction": "a_to_b"})).await;
    let [ended, erased, moved] = [create(3, json!({})).await, create(5, json!({})).await, create(7, json!({})).await];
    assert_eq!(laptop.delete(&ended).await.status, 200);
    assert_eq!(laptop.delete(&format!("{erased}?erase=true")).await.status, 204);
    let change = json!({"participants": [{"number": "+447700900099"}, null], "expires_in": 7200});
    assert_eq!(laptop.patch(&moved, &change).await.status, 200);
    laptop.run_schedule().await;
    let all = async || {
        let items = laptop.items().await.into_iter().chain(laptop.journal().await);
        items.filter(|item| item["pk"]["S"] != "TABLE").map(|item| item.to_string()).collect::<BTreeSet<_>>()
    };
    let before = all().await;
    let clock = Arc::new(laptop.clock.clone());
    let done = local::restore::repair(&laptop.stack.environment, clock).await.unwrap();
    assert!(done.is_complete() && done.ended_by_restore.is_empty(), "{done:?}");
    assert_eq!((done.brought_up, done.kept_keys, done.erased), (0, 0, 0));
    assert_eq!(all().await, before);
}
