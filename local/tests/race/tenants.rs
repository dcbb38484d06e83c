//! Two tenants on one account, at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use shared::domain::side::Side;
use shared::domain::tenant::{Owner, Tenant};
use shared::domain::tenant_cost::Spent;
use testkit::{DRIVER, Laptop, RIDER, conversation, string};
use tokio::task::JoinSet;

use crate::sandboxes::{at_once, create, provisioner, rounds, start};

#[tokio::test(flavor = "multi_thread")]
async fn tenants_order_and_create_at_once_and_share_nothing() {
    let laptop = std::sync::Arc::new(Laptop::builder().numbers("GB", 3).start().await);
    let mut orders = JoinSet::new();
    for nth in 0..6 {
        let (laptop, tenant) = (laptop.clone(), ["acme", "beta"][nth % 2]);
        orders.spawn(async move {
            let ordered = laptop.post(&format!("/t/{tenant}/numbers"), &json!({"country": "GB", "count": 3})).await;
            assert_eq!(ordered.status, 200, "{ordered:?}");
        });
    }
    orders.join_all().await;
    laptop.run_orders().await;
    assert_eq!(laptop.settled_pool().await.len(), 9, "three for each, and no more");
    let mut creations = JoinSet::new();
    for nth in 0..12 {
        let (laptop, path) = (laptop.clone(), ["", "/t/acme", "/t/beta"][nth % 3]);
        creations.spawn(async move {
            let created = laptop.post(&format!("{path}/conversations"), &conversation()).await;
            let dials = [0, 1].map(|side| created.body["participants"][side].get("dials").map(string));
            (path, created.status, dials)
        });
    }
    let created = creations.join_all().await;
    for path in ["", "/t/acme", "/t/beta"] {
        let of_path: Vec<_> = created.iter().filter(|(of, ..)| *of == path).collect();
        // The rider needs a number for each conversation, and each owner has three.
        assert_eq!(of_path.iter().filter(|(_, status, _)| *status == 201).count(), 3, "{of_path:?}");
        let dialled: BTreeSet<_> = of_path.iter().flat_map(|(_, _, dials)| dials.iter().flatten()).collect();
        assert_eq!(dialled.len(), 3, "{of_path:?}");
    }
    laptop.table().await;
}

fn tenant(name: &str) -> Owner {
    Owner::Tenant(Tenant::try_from(name).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moves_of_a_number_at_once_end_with_one_owner() {
    for _ in 0..rounds() {
        let (laptop, _sandboxes) = start(&[]).await;
        laptop.rent("GB", 1).await;
        let number = laptop.table().await.pool[0].number.clone();
        let mut moves = Vec::new();
        for nth in 0..8 {
            let (provisioner, number) = (provisioner(&laptop).await, number.clone());
            // Losing every race is an answer too.
            moves.push(async move { provisioner.move_number(&number, tenant(["acme", "beta"][nth % 2])).await.ok() });
        }
        at_once(moves).await;
        laptop.table().await;
        laptop.advance(61);
        // Two schedules at once, and moves that come while they run.
        let mut runs: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        for nth in 0..4 {
            let (provisioner, number) = (provisioner(&laptop).await, number.clone());
            runs.push(Box::pin(async move {
                if nth % 2 == 0 {
                    provisioner.upkeep(None, &Default::default(), None).await.unwrap();
                } else {
                    provisioner.move_number(&number, tenant("gamma")).await.ok();
                }
            }));
        }
        at_once(runs).await;
        laptop.table().await;
        for _ in 0..3 {
            laptop.advance(61);
            laptop.run_schedule().await;
        }
        let table = laptop.table().await;
        assert_eq!(laptop.settled_pool().await.len(), 1, "bought once, and never given back");
        assert!(!table.pool[0].owner.is_deployment(), "{:?}", table.pool);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moved_number_serves_no_conversation_of_its_old_owner() {
    const TASKS: usize = 15;
    for _ in 0..rounds() {
        let (laptop, sandboxes) = start(&[]).await;
        laptop.rent("GB", 3).await;
        let number = laptop.table().await.pool[0].number.clone();
        let (provisioner, moved) = (provisioner(&laptop).await, number.clone());
        let moves = Box::pin(async move {
            provisioner.move_number(&moved, tenant("acme")).await.unwrap();
            None
        });
        let creations = (0..TASKS).map(|task| -> std::pin::Pin<Box<dyn Future<Output = Option<_>> + Send>> {
            let creation = create(sandboxes.of(task), [2 * task, 2 * task + 1]);
            Box::pin(async move { creation.await.ok() })
        });
        let created: Vec<_> = at_once(creations.chain([moves as _])).await.into_iter().flatten().collect();
        assert_eq!(created.len(), TASKS, "two numbers are enough for all");
        let in_use = created.iter().any(|one| Side::BOTH.iter().any(|side| one.participant(*side).sees == number));
        laptop.advance(61);
        laptop.run_schedule().await;
        let table = laptop.table().await;
        let now = table.pool.iter().find(|known| known.number == number).unwrap();
        assert_eq!(now.owner.is_deployment(), in_use, "it waits as long as a conversation has it: {now:?}");
        // Then nobody has it, and it belongs to acme.
        laptop.advance(10 * 86_400);
        for _ in 0..2 {
            laptop.run_schedule().await;
            laptop.advance(61);
        }
        let table = laptop.table().await;
        let now = table.pool.iter().find(|known| known.number == number).unwrap();
        assert_eq!(now.owner, tenant("acme"), "{now:?}");
    }
}

/// Starts a laptop with a conversation of a tenant.
async fn with_conversation_of_acme() -> (Arc<Laptop>, Value) {
    let laptop = Laptop::builder().env(&[("TEXTS_BY", "messages-api")]).dynamodb_from_environment().start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let created = laptop.post("/t/acme/conversations", &conversation()).await;
    assert_eq!(created.status, 201, "{created:?}");
    (Arc::new(laptop), created.body)
}

/// Delivers these webhooks at once, each until it is taken, as Vonage does.
async fn deliver_at_once(laptop: &Arc<Laptop>, path: &'static str, webhooks: impl IntoIterator<Item = Value>) {
    at_once(webhooks.into_iter().map(|webhook| {
        let laptop = laptop.clone();
        async move {
            for _ in 0..50 {
                let answer = laptop.signed_post(path, &webhook.to_string()).await;
                if answer.status < 300 {
                    return;
                }
                assert_eq!(answer.status, 503, "{answer:?}");
            }
            panic!("it is never taken: {webhook}");
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn same_price_eight_times_at_once_counts_once() {
    for _ in 0..rounds() {
        let (laptop, created) = with_conversation_of_acme().await;
        let [mask, dialled] = [1, 0].map(|side| string(&created["participants"][side]["dials"]));
        let leg = |uuid: usize, [from, to]: [&str; 2], direction: &str| {
            json!({"from": from, "to": to, "status": "completed", "uuid": format!("leg-{uuid}"), "direction": direction,
                   "timestamp": format!("{:.3}", laptop.clock_now()), "duration": "42", "price": "0.02",
                   "conversation_uuid": format!("CON-{}", uuid / 2)})
        };
        let of_call =
            |nth: usize| [leg(2 * nth, [RIDER, &dialled], "inbound"), leg(2 * nth + 1, [&mask, DRIVER], "outbound")];
        let events: Vec<_> = (0..4).flat_map(of_call).flat_map(|event| vec![event; 8]).collect();
        deliver_at_once(&laptop, "/webhooks/event", events).await;
        let receipt = |part: usize, name: &str| {
            json!({"message_uuid": format!("aaaaaaaa-bbbb-cccc-dddd-{part:012}"), "to": RIDER, "from": mask,
                   "timestamp": format!("{:.3}", laptop.clock_now()), "status": "submitted", "channel": "sms",
                   "client_ref": format!("{}.{name}", string(&created["id"])),
                   "usage": {"currency": "EUR", "price": "0.03"}})
        };
        let receipts = [(1, "na0.0.m2"), (2, "na0.0.m2"), (3, "nb0.0.m1")];
        let receipts = receipts.into_iter().flat_map(|(part, name)| vec![receipt(part, name); 8]);
        deliver_at_once(&laptop, "/webhooks/message-status", receipts.collect::<Vec<_>>()).await;
        let costs: Vec<_> = laptop.table().await.tenant_costs.into_values().collect();
        let [call_cost, text_cost] = ["0.16", "0.09"].map(|amount| amount.parse().unwrap());
        assert_eq!(costs, [Spent { calls: 4, seconds: 168, call_cost, texts: 2, text_cost }]);
    }
}
