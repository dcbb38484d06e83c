//! The targets, as ratios within one run: they do not depend on the speed of the machine.

use serde::{Deserialize, Serialize};

use crate::features::{FeatureAnswers, OFF};
use crate::programs::{ANSWER, FLOOR, NODE_PEER};
use crate::scale::Answers;
use crate::starts::Figures;

/// A ratio and its limit.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Target {
    /// The figures that are compared.
    pub what: String,
    /// The measured ratio.
    pub ratio: f64,
    /// The largest allowed ratio.
    pub at_most: f64,
}

impl Target {
    /// Returns true if the target is reached.
    pub fn is_reached(&self) -> bool {
        self.ratio <= self.at_most
    }
}

/// Allowance of CPU times. One and the same answer webhook took 1.1 floors on one day and 1.8 on another one, on machines of one kind
/// and with the same instructions: the kernel's part, which maps the pages of a larger binary, differs. Instructions have none.
const CPU_ALLOWANCE: f64 = 1.3;

/// Returns the targets of starts and answers. Limits of times are multiplied by `slack`, because medians of few runs are
/// less precise.
pub fn of_starts(figures: &[Figures], slack: f64) -> Vec<Target> {
    let find = |name: &str| figures.iter().find(|figures| figures.name == name);
    let (Some(floor), Some(answer)) = (find(FLOOR), find(ANSWER)) else { return Vec::new() };
    let slack = slack * CPU_ALLOWANCE;
    let mut targets = against(answer, floor, 1.3, slack);
    let mut add = |what: &str, ratio: f64, at_most: f64| {
        targets.push(Target { what: format!("{ANSWER}, {what}"), ratio, at_most });
    };
    add("warm CPU / floor", answer.warm.cpu_ms / floor.warm.cpu_ms, 1.3 * slack);
    add("peak memory / floor", answer.peak_memory_mib / floor.peak_memory_mib, 1.3);
    // The words in eight languages, and the reader of those of a deployment, are a tenth of a megabyte. The settings of numbers, with
    // standing masks and own texts, are another tenth.
    add("size / floor", answer.size as f64 / floor.size as f64, 1.25);
    if let Some(node) = find(NODE_PEER) {
        add("cold CPU / Node peer", answer.cold.cpu_ms / node.cold.cpu_ms, slack / 8.0);
        add("cold wall / Node peer", answer.cold.wall_ms / node.cold.wall_ms, slack / 8.0);
        add("warm CPU / Node peer", answer.warm.cpu_ms / node.warm.cpu_ms, slack / 3.0);
    }
    let others = figures.iter().filter(|figures| ![FLOOR, ANSWER, NODE_PEER].contains(&figures.name));
    for other in others {
        match other.requests {
            0..=2 => targets.extend(against(other, floor, 1.5, slack)),
            often => targets.push(against_asking_as_often(other, often, floor, 1.5 * slack)),
        }
    }
    targets
}

/// Returns the target of answers by table size: the CPU time with the largest table against the smallest.
pub fn of_scale(answers: &[Answers], slack: f64) -> Vec<Target> {
    let (Some(few), Some(many)) = (answers.first(), answers.last()) else { return Vec::new() };
    let what = format!("{ANSWER}, warm CPU, {} conversations / {}", many.conversations, few.conversations);
    vec![Target { what, ratio: many.answer.cpu_ms / few.answer.cpu_ms, at_most: 1.05 * slack }]
}

/// Returns the targets of answers with a feature: the CPU time against that of an answer with all features off, or of as many
/// of them as it has reads.
pub fn of_features(answers: &[FeatureAnswers], slack: f64) -> Vec<Target> {
    let Some(off) = answers.iter().find(|answers| answers.feature == OFF) else { return Vec::new() };
    let target = |on: &FeatureAnswers| {
        let what = format!("{ANSWER}, warm CPU, {} / {OFF}", on.feature);
        let of_reads = f64::from(on.reads) * off.answer.cpu_ms;
        Target { what, ratio: on.answer.cpu_ms / of_reads, at_most: 1.25 * slack }
    };
    answers.iter().filter(|answers| answers.feature != OFF).map(target).collect()
}

/// Compares a cold start with the floor's, by CPU time and, where they were counted, by instructions.
fn against(figures: &Figures, floor: &Figures, at_most: f64, slack: f64) -> Vec<Target> {
    let target = |what: &str, ratio: f64, at_most: f64| {
        let what = format!("{}, cold {what} / floor", figures.name);
        Target { what, ratio, at_most }
    };
    let cpu = target("CPU", figures.cold.cpu_ms / floor.cold.cpu_ms, at_most * slack);
    let counted = figures.instructions.zip(floor.instructions);
    let instructions = counted.map(|(own, floor)| target("instructions", own as f64 / floor as f64, at_most));
    [Some(cpu), instructions].into_iter().flatten().collect()
}

/// Compares a cold start whose first answer sends many requests with a floor that sends as many: its requests alone take
/// longer than 1.5 times a floor that sends one.
fn against_asking_as_often(figures: &Figures, often: u32, floor: &Figures, at_most: f64) -> Target {
    let floor = floor.cold.cpu_ms + f64::from(often - 1) * floor.warm.cpu_ms;
    let what = format!("{}, cold CPU / floor that asks {often} times", figures.name);
    Target { what, ratio: figures.cold.cpu_ms / floor, at_most }
}
