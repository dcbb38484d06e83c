//! One world in which runs die, and the search for all the places where they can.

use std::sync::Arc;

use lambda_http::{Context, LambdaEvent};
use provision_numbers::ProvisionNumbers;
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::config::Environment;
use shared::lambda::{HttpFunction, answer_event};

use crate::wire::{Cut, Moment, Wire};
use crate::world::World;

/// A run that has died keeps what it has begun to itself for that long, in seconds.
const LEASE: i64 = 60;

/// Tells `story` with a run cut off before and after its first request, its second one and so on, each time in a new
/// world, until a run comes to its end before that. With `MASKLINE_TEST_DEATHS=2` the run that follows is cut off at each
/// of its own requests as well.
pub async fn wherever_it_dies(what: &str, at_least: usize, story: impl AsyncFn(Story) -> Story) {
    let deaths = std::env::var("MASKLINE_TEST_DEATHS").map_or(1, |deaths| deaths.parse().unwrap());
    let (asked, worlds) = explore(&story, &[], deaths).await;
    println!("{what}: {} requests, {worlds} worlds. {}", asked.len(), asked.join(", "));
    assert!(asked.len() >= at_least, "{what} asks for more than {asked:?}");
}

/// What a run asks for that comes to its end, and in how many worlds that was found out.
async fn explore(story: &impl AsyncFn(Story) -> Story, earlier: &[Cut], deaths: usize) -> (Vec<String>, usize) {
    let mut worlds = 0;
    for request in 1.. {
        for moment in Moment::BOTH {
            let cuts = [earlier, &[Cut { request, moment }]].concat();
            let mut told = story(Story { cuts: cuts.clone(), asked: Vec::new() }).await;
            worlds += 1;
            if told.asked.len() < request {
                return (std::mem::take(&mut told.asked), worlds);
            }
            if cuts.len() < deaths {
                worlds += Box::pin(explore(story, &cuts, deaths)).await.1;
            }
        }
    }
    unreachable!("a run that never ends")
}

/// The runs of one world that die, one after the other.
pub struct Story {
    cuts: Vec<Cut>,
    /// What the last one has asked for.
    asked: Vec<String>,
}

impl Story {
    /// Lets `run` die, and lets so much time pass that others may go on with what it has begun.
    pub async fn die(&mut self, world: &World, run: impl AsyncFn(Functions)) {
        for cut in self.cuts.clone() {
            let (wire, environment) = Wire::lay(&world.stack, cut).await;
            let run = run(Functions { environment, clock: world.clock.clone() });
            // The one that is not ready is dropped, at the request at which it is.
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
            let cuts: Vec<String> = self.cuts.iter().map(Cut::to_string).collect();
            eprintln!("\nin the world where the run was cut off {}: {}", cuts.join(" and "), self.asked.join(", "));
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
        F::start(&self.environment, Arc::new(self.clock.clone())).await.unwrap()
    }

    /// Answers an event of API Gateway.
    pub async fn answer<F: HttpFunction>(&self, event: &Value) -> Answer {
        let request = lambda_http::request::from_str(&event.to_string()).unwrap();
        let response = self.start::<F>().await.answer(request).await;
        let body = serde_json::from_slice(response.body()).unwrap();
        Answer { status: response.status().as_u16(), body }
    }

    /// Runs the schedule, and gives what it reports.
    pub async fn tick(&self) -> Value {
        let event = json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
        let event = LambdaEvent::new(serde_json::value::to_raw_value(&event).unwrap(), Context::default());
        answer_event(&self.start::<ProvisionNumbers>().await, event).await.unwrap()
    }
}
