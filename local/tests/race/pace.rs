//! Many calls at once at a deployment with a pace.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use shared::clock::{Clock, whole_millisecond};
use shared::domain::pace::{Pace, Turn};
use shared::service::pace::Pacer;
use shared::store::Store;
use testkit::Laptop;

use crate::sandboxes::{at_once, random, rounds};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Sandboxes of the event webhook. Each has a connection to the table and a share of its own.
fn sandboxes(laptop: &Laptop, pace: Pace) -> Vec<Arc<Pacer>> {
    let patient = [("DYNAMODB_TIME_LIMIT_MS".to_owned(), "20000".to_owned())];
    let environment = laptop.stack.environment.clone().with(patient);
    let pacer = |_| Pacer::new(Store::connect(&environment).unwrap(), pace, Arc::new(laptop.clock.clone()));
    (0..8).map(|nth| Arc::new(pacer(nth))).collect()
}

/// Returns the times of so many calls that come at once.
async fn turns(sandboxes: &[Arc<Pacer>], calls: usize) -> Vec<Timestamp> {
    let turns = at_once((0..calls).map(|call| {
        let sandbox = sandboxes[call % sandboxes.len()].clone();
        async move { sandbox.turn().await.unwrap() }
    }))
    .await;
    let times = turns.into_iter().filter_map(|turn| match turn {
        Turn::At(time) => Some(time),
        Turn::TooMany => None,
    });
    times.collect()
}

fn most_in_a_second(times: &[Timestamp]) -> usize {
    let within = |from: &Timestamp| times.iter().filter(|time| (*from..*from + SECOND).contains(*time)).count();
    times.iter().map(within).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_at_once_are_within_the_pace_and_in_order() {
    for round in 0..rounds() {
        let calls = [1, 2, 3, 7, 30][(round + random(5)) % 5];
        let pace = Pace::of(calls).unwrap();
        let laptop = Laptop::builder().dynamodb_from_environment().start().await;
        let sandboxes = sandboxes(&laptop, pace);
        let mut all: Vec<Timestamp> = Vec::new();
        for wave in 0..3 {
            let times = turns(&sandboxes, if wave == 1 { 32 } else { 100 }).await;
            let now = whole_millisecond(laptop.clock.now());
            let bound = now + Pace::LONGEST_WAIT;
            assert!(times.iter().all(|time| (now..=bound).contains(time)), "{times:?}");
            // Calls are connected in the order in which they came.
            let last = all.iter().max().copied().unwrap_or(now);
            assert!(times.iter().all(|time| *time >= last.max(now) || *time > last), "{last}: {times:?}");
            if wave == 0 && calls >= 7 {
                assert_eq!(times.len(), 100, "nobody is refused for whom there is time");
            }
            all.extend(times);
            assert!(most_in_a_second(&all) <= usize::from(calls), "{calls}: {all:?}");
            laptop.advance(i64::try_from(random(3)).unwrap());
        }
        // As soon as nobody waits, the shares are used again.
        laptop.advance(40);
        for _ in 0..10 {
            all.extend(turns(&sandboxes, 1 + random(3)).await);
            assert!(most_in_a_second(&all) <= usize::from(calls), "{calls}: {all:?}");
            laptop.clock.advance(SignedDuration::from_millis(i64::try_from(random(1500)).unwrap()));
        }
    }
}
