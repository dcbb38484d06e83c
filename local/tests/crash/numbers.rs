//! `POST /numbers`, `DELETE /numbers/{number}` and the schedule.

use provision_numbers::ProvisionNumbers;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::events;
use crate::story::{Functions, Story, at_every_request};
use crate::world::World;

/// What the simulated Vonage takes a month for a British number that texts, in cents.
const RENT: i64 = 125;

fn rents(count: i64) -> Decimal {
    Decimal::new(RENT * count, 2)
}

/// So many numbers are owned, all of them ready, and so many were ever paid for.
async fn check(world: &World, owned: usize, bought: i64) {
    let numbers = world.settled_pool().await;
    assert_eq!(numbers.len(), owned, "{numbers:?}");
    assert_eq!(world.table().await.monthly_cost, rents(i64::try_from(owned).unwrap()));
    assert_eq!(world.spent().await, rents(bought), "spent on buying");
}

/// What a schedule reports that has found nothing to do.
fn nothing() -> Value {
    json!({"application": [], "adopted": [], "missing": [], "cancelled": [], "rented": [], "shortfall": []})
}

#[tokio::test]
async fn an_order_buys_what_is_ordered_and_loses_nothing() {
    at_every_request("POST /numbers", 10, async |mut story: Story| {
        let world = World::start(&[]).await;
        let order = events::order(&json!({"country": "GB", "count": 2}));
        story.happen(&world, async |functions| drop(functions.answer::<ProvisionNumbers>(&order).await)).await;
        let answer = Functions::of(&world).answer::<ProvisionNumbers>(&order).await;
        assert_eq!((answer.status, &answer.body["ready"]), (200, &json!(2)), "{answer:?}");
        check(&world, 2, 2).await;
        story
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_rents_ahead_buys_what_is_missing_and_loses_nothing() {
    at_every_request("the schedule, with headroom", 10, async |mut story: Story| {
        let world = World::start(&[("HEADROOM", "GB=2")]).await;
        story.happen(&world, async |functions| drop(functions.tick().await)).await;
        Functions::of(&world).tick().await;
        check(&world, 2, 2).await;
        assert_eq!(Functions::of(&world).tick().await, nothing());
        story
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_adopts_a_number_adopts_it_once() {
    at_every_request("the schedule, adopting", 8, async |mut story: Story| {
        let world = World::start(&[]).await;
        world.buy_by_hand("GB", "447451000007").await;
        story.happen(&world, async |functions| drop(functions.tick().await)).await;
        Functions::of(&world).tick().await;
        check(&world, 1, 1).await;
        assert_eq!(Functions::of(&world).tick().await, nothing());
        story
    })
    .await;
}

#[tokio::test]
async fn a_number_whose_draining_dies_is_drained_all_the_same() {
    at_every_request("DELETE /numbers/{number}", 3, async |mut story: Story| {
        let world = World::start(&[]).await.with_numbers("GB", 2).await;
        let drain = events::drain("447451000001");
        story.happen(&world, async |functions| drop(functions.answer::<ProvisionNumbers>(&drain).await)).await;
        let answer = Functions::of(&world).answer::<ProvisionNumbers>(&drain).await;
        assert_eq!((answer.status, &answer.body["state"]), (200, &json!("draining")), "{answer:?}");
        world.advance(61);
        Functions::of(&world).tick().await;
        check(&world, 1, 2).await;
        story
    })
    .await;
}

#[tokio::test]
async fn a_drained_number_is_given_back_once_and_not_adopted_again() {
    at_every_request("the schedule, giving back", 10, async |mut story: Story| {
        let world = World::start(&[]).await.with_numbers("GB", 2).await;
        Functions::of(&world).answer::<ProvisionNumbers>(&events::drain("447451000001")).await;
        world.advance(61);
        story.happen(&world, async |functions| drop(functions.tick().await)).await;
        Functions::of(&world).tick().await;
        check(&world, 1, 2).await;
        assert_eq!(world.settled_pool().await.into_iter().collect::<Vec<_>>(), ["447451000002"]);
        assert_eq!(Functions::of(&world).tick().await, nothing());
        check(&world, 1, 2).await;
        story
    })
    .await;
}
