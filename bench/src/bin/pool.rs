//! `cargo run --bin pool [-- SEED]` counts the numbers that random loads need with production's choice.
//!
//! The pool starts empty and gets a number only when the choice refuses, so its final size is the number the load needed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::process::ExitCode;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use shared::domain::caller_routes::{CallerRoute, CallerRoutes};
use shared::domain::choice::{Caller, Criteria, choose_pair};
use shared::domain::conversation::ConversationId;
use shared::domain::country::Country;
use shared::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use shared::domain::ready_pool::{ReadyNumber, ReadyPool};

const SEED: u64 = 1;
/// Steps of one second each.
const STEPS: u32 = 200_000;
/// Length in steps of a phase that fills, and of one that drains.
const WAVE: u32 = 10_000;
const QUARANTINE: SignedDuration = SignedDuration::from_mins(10);
const LIFETIME: SignedDuration = SignedDuration::from_hours(170 * 24);

const HEADER: [&str; 9] =
    ["load", "openings", "reached", "used", "optimum", "Plivo 2k-1", "exclusive", "least", "most"];
const LEGEND: &str = "
load        people, and the most keys that one of them holds, in conversations live or in quarantine
reached     keys held by one person on side A and by one on side B, at the same time
used        numbers: the size to which refusals, one number at each, made an empty pool grow
optimum     numbers: each key of the busiest person needs one of its own
Plivo 2k-1  numbers by Plivo's rule for one number per conversation, k being the most keys that a person holds
exclusive   numbers if one that is held were given to nobody else: two for each conversation at the peak
least/most  uses of the least and of the most used number, relative to the mean";

/// The people of a load and their limits. Both sides have room for equally many conversations, so both fill up.
struct Load {
    name: &'static str,
    /// The people who may be on side A and on side B.
    sides: [Range<usize>; 2],
    /// The most route keys of one person at a time, on side A and on side B.
    most: [usize; 2],
}

const LOADS: [Load; 4] = [
    Load { name: "100 hold 10, 250 hold 4", sides: [0..100, 100..350], most: [10, 4] },
    Load { name: "60 hold 20, 60 hold 20", sides: [0..60, 60..120], most: [20, 20] },
    Load { name: "20 hold 100, 200 hold 10", sides: [0..20, 20..220], most: [100, 10] },
    Load { name: "100 hold 10, on either side", sides: [0..100, 0..100], most: [10, 10] },
];

impl Load {
    /// Returns the optimum: one number for each route key of the busiest person.
    fn optimum(&self) -> usize {
        self.most[0].max(self.most[1])
    }
}

struct Person {
    number: RealNumber,
    keys: CallerRoutes,
    /// Number of route keys in use, counted without the engine.
    held: usize,
}

/// A conversation with its route keys.
type Pairing = [(usize, VirtualNumber); 2];

struct Simulation<'a> {
    load: &'a Load,
    rng: Rng,
    country: Country,
    people: Vec<Person>,
    ready: ReadyPool,
    live: Vec<Pairing>,
    quarantined: VecDeque<(Timestamp, Pairing)>,
    /// The route keys in use, recorded without the engine.
    taken: HashSet<(usize, VirtualNumber)>,
    uses: HashMap<VirtualNumber, u32>,
    /// The most route keys of one person on each side at the same time.
    peaks: [usize; 2],
    most_conversations: usize,
}

impl<'a> Simulation<'a> {
    fn new(load: &'a Load, seed: u64) -> Self {
        // Spreads phones over the numbering plan: multiples of a number that is coprime to its size.
        let person = |index: usize| Person {
            number: phone(format!("447{:09}", index * 618_033_989 % 1_000_000_000)).into(),
            keys: CallerRoutes::default(),
            held: 0,
        };
        Self {
            load,
            rng: Rng::with_seed(seed),
            country: Country::try_from("GB").expect("GB is a country code"),
            people: (0..load.sides[1].end).map(person).collect(),
            ready: ReadyPool::default(),
            live: Vec::new(),
            quarantined: VecDeque::new(),
            taken: HashSet::new(),
            uses: HashMap::new(),
            peaks: [0, 0],
            most_conversations: 0,
        }
    }

    /// Count of the numbers that the load needed so far.
    fn numbers(&self) -> usize {
        self.ready.count(self.country)
    }

    fn run(mut self) -> Self {
        for step in 0..STEPS {
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(step.into());
            self.free(now);
            let opening = if (step / WAVE).is_multiple_of(2) { 0.8 } else { 0.4 };
            if self.rng.f64() < opening { self.open(now) } else { self.end(now) }
        }
        self
    }

    /// Frees the route keys whose quarantine is over.
    fn free(&mut self, now: Timestamp) {
        while let Some((_, pairing)) = self.quarantined.pop_front_if(|(free_at, _)| *free_at <= now) {
            for key in pairing {
                self.people[key.0].held -= 1;
                assert!(self.taken.remove(&key), "a key fell free that was not held");
            }
        }
    }

    /// Opens a conversation between two people with room for one, if there are such.
    fn open(&mut self, now: Timestamp) {
        let Some(a) = self.with_room(0, None) else { return };
        let Some(b) = self.with_room(1, Some(a)) else { return };
        let [dials_a, dials_b] = self.choose([a, b], now);
        let pairing = [(a, dials_a), (b, dials_b)];
        let conversation = ConversationId::generate(now);
        for key @ (person, number) in &pairing {
            assert!(self.taken.insert(key.clone()), "{number} was given to somebody who holds it");
            *self.uses.entry(number.clone()).or_default() += 1;
            let person = &mut self.people[*person];
            person.held += 1;
            let earlier = person.keys.by_number.get(number).map(CallerRoute::history_for_next).unwrap_or_default();
            let expires_at = now + LIFETIME;
            let key = CallerRoute {
                conversation: Some(conversation),
                expires_at,
                quarantined_until: expires_at + QUARANTINE,
                connect_to: None,
                previous: earlier,
                looked_up: None,
                limits: None,
                overlap_until: None,
                is_replaced: false,
                held_at: None,
            };
            person.keys.by_number.insert(number.clone(), key);
        }
        self.live.push(pairing);
        self.note_peaks();
    }

    fn with_room(&mut self, side: usize, except: Option<usize>) -> Option<usize> {
        let has_room = |person: &usize| self.people[*person].held < self.load.most[side] && Some(*person) != except;
        let with_room: Vec<_> = self.load.sides[side].clone().filter(has_room).collect();
        self.rng.choice(with_room)
    }

    /// Returns the engine's choice; a refusal adds one number.
    fn choose(&mut self, people: [usize; 2], now: Timestamp) -> [VirtualNumber; 2] {
        loop {
            let callers = people.map(|person| {
                let Person { number, keys, .. } = &self.people[person];
                let (country, routes) = (self.country, keys);
                Caller { number, country, calling_code: "44", routes, only_receives: false }
            });
            let criteria = Criteria { ready: &self.ready, fallback: &[], texts: false, in_own_quarantine: true, now };
            match choose_pair(callers, criteria) {
                Ok(pair) => return pair,
                Err(_) => {
                    let number = phone(format!("44203808{:04}", self.numbers())).into();
                    let one_more = ReadyNumber { number, country: self.country, texts: false };
                    self.ready = self.ready.numbers().cloned().chain([one_more]).collect();
                }
            }
        }
    }

    fn note_peaks(&mut self) {
        let held = |side: Range<usize>| self.people[side].iter().map(|person| person.held).max().unwrap_or_default();
        let peaks = self.load.sides.clone().map(held);
        if peaks.iter().sum::<usize>() > self.peaks.iter().sum() {
            self.peaks = peaks;
        }
        self.most_conversations = self.most_conversations.max(self.live.len() + self.quarantined.len());
    }

    /// Ends a random conversation, as a request would.
    fn end(&mut self, now: Timestamp) {
        if self.live.is_empty() {
            return;
        }
        let pairing = self.live.swap_remove(self.rng.usize(..self.live.len()));
        let free_at = now + QUARANTINE;
        for (person, number) in &pairing {
            let key = self.people[*person].keys.by_number.get_mut(number).expect("opening has stored this key");
            (key.expires_at, key.quarantined_until) = (now, free_at);
        }
        self.quarantined.push_back((free_at, pairing));
    }

    fn row(&self) -> [String; 9] {
        let [a, b] = self.peaks;
        assert_eq!([a, b], self.load.most, "the load never reached its peaks");
        let all: u32 = self.uses.values().sum();
        let mean = f64::from(all) / self.numbers() as f64;
        let of_mean = |uses: Option<&u32>| format!("{:.2}", uses.map_or(0.0, |uses| f64::from(*uses) / mean));
        [
            self.load.name.to_owned(),
            (all / 2).to_string(),
            format!("{a}, {b}"),
            self.numbers().to_string(),
            self.load.optimum().to_string(),
            (2 * self.load.optimum() - 1).to_string(),
            (2 * self.most_conversations).to_string(),
            of_mean(self.uses.values().min()),
            of_mean(self.uses.values().max()),
        ]
    }
}

fn phone(digits: String) -> PhoneNumber {
    PhoneNumber::try_from(digits).expect("12 digits are a phone number")
}

/// Renders a table with columns as wide as their widest cell; all but the first are right-aligned.
fn print(rows: &[[String; 9]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let [first, others @ ..]: [usize; 9] = std::array::from_fn(width);
    for [name, cells @ ..] in rows {
        let cells: String = cells.iter().zip(others).map(|(cell, width)| format!("  {cell:>width$}")).collect();
        println!("{name:first$}{cells}");
    }
}

fn main() -> ExitCode {
    let argument = std::env::args_os().nth(1);
    let Ok(seed) = argument.map_or(Ok(SEED), |text| text.to_string_lossy().parse()) else {
        eprintln!("the seed must be a whole number from 0 to {}", u64::MAX);
        return ExitCode::from(2);
    };
    println!("{STEPS} steps of each load, seed {seed}\n");
    let runs = LOADS.each_ref().map(|load| Simulation::new(load, seed).run());
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(runs.iter().map(Simulation::row));
    print(&rows);
    println!("{LEGEND}");
    let is_optimal = |run: &Simulation<'_>| run.numbers() == run.load.optimum();
    if runs.iter().filter(|run| run.load.sides[0] != run.load.sides[1]).all(is_optimal) {
        return ExitCode::SUCCESS;
    }
    eprintln!("a load of different people needed more numbers than its busiest person holds keys");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::LOADS;

    const PAGE: &str = include_str!("../../../docs/numbers.md");

    /// `main` fails if a load of different people needs more numbers than the optimum, so no run is needed here.
    #[test]
    fn documented_pool_sizes_are_those_of_the_loads() {
        let (_, rest) = PAGE.split_once("<!-- begin: pool -->\n").unwrap();
        let (table, _) = rest.split_once("<!-- end -->").unwrap();
        let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let documented: Vec<Vec<String>> = table.lines().skip(2).map(cells).collect();
        let row = |[a, b]: [usize; 2]| {
            let sizes = [a.max(b), a.max(b), 2 * a.max(b) - 1].map(|size| size.to_string());
            [vec![format!("{a} on side A, {b} on side B")], sizes.to_vec()].concat()
        };
        let loads = LOADS.iter().filter(|load| load.sides[0] != load.sides[1]);
        assert_eq!(documented, loads.map(|load| row(load.most)).collect::<Vec<_>>());
    }
}
