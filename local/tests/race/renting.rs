//! Concurrent renting on demand, and a budget that concurrent runs share.

use rust_decimal::Decimal;
use shared::domain::conversation::Conversation;
use shared::domain::country::{Country, CountryCounts};
use shared::domain::phone::VirtualNumber;
use shared::domain::tenant::Owner;
use shared::service::demand::Renting;
use shared::service::provision::{Drained, Headroom, Order, ShortfallReason, Upkeep};
use shared::vonage::numbers::Search;
use testkit::Laptop;

use crate::sandboxes::{Refusal, Sandboxes, at_once, provisioner, rounds, start};

/// Monthly rents at the simulated Vonage for numbers that can send text messages, in cents.
const GB: i64 = 125;
const US: i64 = 67;

/// Creates conversations of all pairs at once, and those again that wait for a number, until none waits.
async fn create_until_settled(
    laptop: &Laptop,
    sandboxes: &Sandboxes,
    mut pairs: Vec<[usize; 2]>,
) -> Vec<Result<Conversation, Refusal>> {
    let mut settled = Vec::new();
    while !pairs.is_empty() {
        let outcomes = sandboxes.create(&pairs).await;
        let waits =
            |outcome: &Result<_, Refusal>| outcome.as_ref().is_err_and(|refusal| refusal.renting == Renting::Requested);
        let (waiting, done): (Vec<_>, Vec<_>) =
            pairs.into_iter().zip(outcomes).partition(|(_, outcome)| waits(outcome));
        settled.extend(done.into_iter().map(|(_, outcome)| outcome));
        pairs = waiting.into_iter().map(|(pair, _)| pair).collect();
        laptop.stack.background_runs_finished().await;
    }
    settled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_creations_share_one_rented_number() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = start(&[("AUTO_RENT_MAX", "GB=5")]).await;
        let pairs: Vec<_> = (0..12).map(|index| [index, 50 + index]).collect();
        let outcomes = create_until_settled(&laptop, &sandboxes, pairs).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(laptop.settled_pool().await.len(), 1);
        assert_eq!(laptop.spent().await, Decimal::new(GB, 2), "more than one number was bought");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_person_rents_as_many_numbers_as_needed_and_allowed() {
    for _ in 0..rounds() {
        for (cap, created) in [("GB=6", 6), ("GB=4", 4)] {
            let (laptop, sandboxes) = start(&[("AUTO_RENT_MAX", cap)]).await;
            let pairs: Vec<_> = (0..6).map(|index| [0, 50 + index]).collect();
            let outcomes = create_until_settled(&laptop, &sandboxes, pairs).await;
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), created, "{outcomes:?}");
            let refusals = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            refusals.for_each(|refusal| refusal.check(created, Renting::Failed(ShortfallReason::AtCap)));
            assert_eq!(laptop.settled_pool().await.len(), created);
            assert_eq!(laptop.spent().await, Decimal::new(GB, 2) * Decimal::from(created));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_runs_use_up_one_budget_and_stay_within_it() {
    for _ in 0..rounds() {
        let budget = Decimal::new(2 * GB, 2);
        let (laptop, _sandboxes) = start(&[("MONTHLY_BUDGET_EUR", &budget.to_string())]).await;
        let mut runs = Vec::new();
        for country in ["GB", "US"].repeat(4) {
            let search = Search::usual(Country::try_from(country).unwrap());
            let (provisioner, order) =
                (provisioner(&laptop).await, Order { owner: Owner::Deployment, search, count: 4, cap: None });
            runs.push(async move { provisioner.provision(&order, None).await.unwrap() });
        }
        let outcomes = at_once(runs).await;
        for outcome in &outcomes {
            let reasons: Vec<_> = outcome.shortfalls.iter().map(|shortfall| shortfall.reason).collect();
            assert_eq!(reasons, [ShortfallReason::OverBudget]);
        }
        laptop.settled_pool().await;
        let (cost, spent) = (laptop.table().await.monthly_cost, laptop.spent().await);
        assert_eq!(cost, spent);
        assert!(cost <= budget && cost + Decimal::new(US, 2) > budget, "{cost} of {budget}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_orders_and_runs_buy_no_more_than_the_largest() {
    for _ in 0..rounds() {
        let (laptop, _sandboxes) = start(&[]).await;
        let mut runs = Vec::new();
        // 0 stands for a run of the schedule.
        for count in [3, 8, 0, 5, 0, 8, 3, 0] {
            let provisioner = provisioner(&laptop).await;
            let search = Search::usual(Country::try_from("GB").unwrap());
            runs.push(async move {
                match count {
                    0 => drop(provisioner.carry_out_orders(None).await.unwrap()),
                    count => drop(
                        provisioner
                            .order(&Order { owner: Owner::Deployment, search, count, cap: None }, None)
                            .await
                            .unwrap(),
                    ),
                }
            });
        }
        at_once(runs).await;
        laptop.advance(61);
        laptop.run_orders().await;
        assert_eq!(laptop.table().await.orders, []);
        let owned = laptop.settled_pool().await.len();
        assert!((3..=8).contains(&owned), "{owned}");
        assert_eq!(laptop.spent().await, Decimal::new(GB, 2) * Decimal::from(owned));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_schedules_adopt_cancel_and_rent_once() {
    for _ in 0..rounds() {
        let (laptop, _sandboxes) = start(&[]).await;
        laptop.rent("GB", 2).await;
        let drained = laptop.table().await.pool[0].number.clone();
        assert!(matches!(provisioner(&laptop).await.drain(&drained).await.unwrap(), Drained::Draining(_)));
        laptop.advance(61);
        laptop.buy_by_hand("GB", "447451000007").await;

        let headroom = Headroom { numbers: "GB=3".parse().unwrap(), caps: CountryCounts::default() };
        let mut runs = Vec::new();
        for _ in 0..6 {
            let (provisioner, headroom) = (provisioner(&laptop).await, headroom.clone());
            runs.push(async move { provisioner.upkeep(None, &headroom, None).await.unwrap() });
        }
        let reports = at_once(runs).await;
        let all = |numbers: fn(&Upkeep) -> &[VirtualNumber]| reports.iter().flat_map(numbers).count();
        assert_eq!(
            (all(|run| &run.adopted), all(|run| &run.cancelled), all(|run| &run.rented)),
            (1, 1, 1),
            "{reports:?}"
        );
        let owned = laptop.settled_pool().await;
        assert!(owned.len() == 3 && !owned.contains(drained.as_str()), "{owned:?}");
        assert_eq!(laptop.spent().await, Decimal::new(4 * GB, 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn number_is_taken_back_or_given_back_and_bought_once() {
    for _ in 0..rounds() {
        let (laptop, _sandboxes) = start(&[]).await;
        laptop.rent("GB", 2).await;
        let drained = laptop.table().await.pool[0].number.clone();
        assert!(matches!(provisioner(&laptop).await.drain(&drained).await.unwrap(), Drained::Draining(_)));
        // From now on the schedule may give it back to the carrier.
        laptop.advance(61);
        let headroom = Headroom { numbers: CountryCounts::default(), caps: CountryCounts::default() };
        let mut runs = Vec::new();
        for kind in ["take back", "order", "schedule"].repeat(3) {
            let (provisioner, headroom, drained) = (provisioner(&laptop).await, headroom.clone(), drained.clone());
            let search = Search::usual(Country::try_from("GB").unwrap());
            let order = Order { owner: Owner::Deployment, search, count: 2, cap: None };
            runs.push(async move {
                match kind {
                    "take back" => drop(provisioner.take_back(&drained).await.unwrap()),
                    "order" => drop(provisioner.order(&order, None).await.unwrap()),
                    _ => return provisioner.upkeep(None, &headroom, None).await.unwrap().cancelled.len(),
                }
                0
            });
        }
        let cancelled: usize = at_once(runs).await.into_iter().sum();
        laptop.advance(3600);
        laptop.run_orders().await;
        laptop.advance(3600);
        laptop.run_orders().await;
        assert_eq!(laptop.settled_pool().await.len(), 2);
        assert_eq!(laptop.spent().await, Decimal::new(GB, 2) * Decimal::from(2 + cancelled));
    }
}
