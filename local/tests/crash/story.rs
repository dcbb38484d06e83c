//! One world in which something happens to runs, and the search for all the places where it can.

use std::sync::Arc;

use end_conversation::EndConversation;
use lambda_http::{Context, LambdaEvent};
use provision_numbers::ProvisionNumbers;
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::config::Environment;
use shared::edge::lambda::{HttpFunction, ScheduledFunction, answer_event};

use crate::wire::{Kind, Mishap, Wire};
use crate::world::World;

/// A run that has died keeps what it has begun to itself for that long, in seconds.
const LEASE: i64 = 60;

/// Tells `story` with a run that dies before and after its first request, its second one and so on, each time in a new
/// world, until a run comes to its end before that; and with a failure of Vonage's in each of these places too. With
/// `MASKLINE_TEST_MISHAPS=2` the run that follows meets all of that as well.
pub async fn at_every_request(what: &str, at_least: usize, story: impl AsyncFn(Story) -> Story) {
    let mishaps = std::env::var("MASKLINE_TEST_MISHAPS").map_or(1, |mishaps| mishaps.parse().unwrap());
    let (asked, worlds) = explore(&story, &[], mishaps).await;
    println!("{what}: {} requests, {worlds} worlds. {}", asked.len(), asked.join(", "));
    assert!(asked.len() >= at_least, "{what} asks for more than {asked:?}");
}

/// What a run asks for that comes to its end, and in how many worlds that was found out.
async fn explore(
    story: &impl AsyncFn(Story) -> Story,
    earlier: &[Mishap],
    mishaps_in_all: usize,
) -> (Vec<String>, usize) {
    let mut worlds = 0;
    for request in 1.. {
        let mut asks_vonage = false;
        for kind in Kind::ALL {
            // One failure of DynamoDB's is nothing to the AWS SDK, which asks again.
            if !kind.is_death() && !asks_vonage {
                continue;
            }
            let mishaps = [earlier, &[Mishap { request, kind }]].concat();
            let told = story(Story { mishaps: mishaps.clone(), asked: Vec::new() }).await;
            worlds += 1;
            let Some(name) = told.asked.get(request - 1) else { return (told.asked.clone(), worlds) };
            asks_vonage = name.starts_with('/');
            if mishaps.len() < mishaps_in_all {
                worlds += Box::pin(explore(story, &mishaps, mishaps_in_all)).await.1;
            }
        }
    }
    unreachable!("a run that never ends")
}

/// The runs of one world that something happens to, one after the other.
pub struct Story {
    mishaps: Vec<Mishap>,
    /// What the last of them has asked for.
    asked: Vec<String>,
}

impl Story {
    /// Runs `run` into its mishap, and lets so much time pass that others may go on with what it has begun.
    pub async fn happen(&mut self, world: &World, run: impl AsyncFn(Functions)) {
        for mishap in self.mishaps.clone() {
            let (wire, environment) = Wire::lay(&world.stack, mishap).await;
            let run = run(Functions { environment, clock: world.clock.clone() });
            // Where the wire is cut the run is dropped as it stands: its process has died.
            tokio::select! {
                () = wire.is_cut() => {}
                () = run => {}
            }
            wire.at_rest().await;
            self.asked = wire.asked();
            world.advance(LEASE + 1);
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mishaps: Vec<String> = self.mishaps.iter().map(Mishap::to_string).collect();
            eprintln!("\nin the world with {}; the last run asked for {}", mishaps.join(", "), self.asked.join(", "));
        }
    }
}

/// New instances of the functions, as Lambda starts them.
pub struct Functions {
    environment: Environment,
    clock: ManualClock,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Functions {
    /// Whose requests all arrive.
    pub fn of(world: &World) -> Self {
        Self { environment: world.stack.environment.clone(), clock: world.clock.clone() }
    }

    async fn start<F: HttpFunction>(&self) -> F {
        F::start(&self.environment, Arc::new(self.clock.clone())).unwrap()
    }

    /// Answers an event of API Gateway.
    pub async fn answer<F: HttpFunction>(&self, event: &Value) -> Answer {
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        let response = self.start::<F>().await.answer(request).await;
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        Answer { status: response.status().as_u16(), body }
    }

    /// Runs the schedule of the numbers, and gives what it reports.
    pub async fn tick(&self) -> Value {
        self.tick_of::<ProvisionNumbers>().await
    }

    /// Runs the schedule of erasures.
    pub async fn tick_of_erasures(&self) -> Value {
        self.tick_of::<EndConversation>().await
    }

    async fn tick_of<F: ScheduledFunction>(&self) -> Value {
        let event = json!({"source": "aws.events"});
        let event = LambdaEvent::new(serde_json::value::to_raw_value(&event).unwrap(), Context::default());
        answer_event(&self.start::<F>().await, event).await.unwrap()
    }
}
