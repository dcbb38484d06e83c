//! The figures as Markdown tables, for a terminal and for `docs/performance.md`.

use crate::cost::{Cost as Bill, Line, Peer};
use crate::features::{FeatureAnswers, OFF};
use crate::load::Throughput;
use crate::programs::FLOOR;
use crate::running::Cost;
use crate::scale::{Answers, Creations, Hub};
use crate::starts::Figures;
use crate::targets::Target;

/// A table with right-aligned numbers.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!(" {cell:<width$} "),
            _ => format!(" {cell:>width$} "),
        });
        format!("|{}|\n", padded.collect::<Vec<_>>().join("|"))
    };
    let rule = widths.iter().enumerate().map(|(column, width)| match column {
        0 => "-".repeat(width + 2),
        _ => format!("{}:", "-".repeat(width + 1)),
    });
    let mut text = line(header.to_vec());
    text.push_str(&format!("|{}|\n", rule.collect::<Vec<_>>().join("|")));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// Renders the costs of starts and answers.
pub fn starts(figures: &[Figures]) -> String {
    let floor = figures.iter().find(|figures| figures.name == FLOOR);
    let cpu = |cost: Cost, of: fn(&Figures) -> Cost| {
        let ratio = floor.map_or(f64::NAN, |floor| cost.cpu_ms / of(floor).cpu_ms);
        format!("{:.2} ({ratio:.2})", cost.cpu_ms)
    };
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|own| {
            vec![
                own.name.to_owned(),
                format!("{:.2}", own.start.cpu_ms),
                format!("{:.2}", own.first_answer.cpu_ms),
                cpu(own.cold, |floor| floor.cold),
                format!("{:.1}", own.cold.wall_ms),
                own.instructions.map_or_else(|| "-".to_owned(), |count| format!("{:.2}", count as f64 / 1e6)),
                format!("{:.3}", own.warm.cpu_ms),
                format!("{:.2}", own.warm.wall_ms),
                format!("{:.1}", own.peak_memory_mib),
                format!("{:.2}", own.size as f64 / 1e6),
            ]
        })
        .collect();
    let header = [
        "medians",
        "start CPU ms",
        "first answer CPU ms",
        "cold CPU ms (of floor)",
        "cold wall ms",
        "cold M instructions",
        "warm CPU ms",
        "warm wall ms",
        "peak MiB",
        "size MB",
    ];
    table(&header, &rows)
}

/// Renders the targets.
pub fn targets(targets: &[Target]) -> String {
    let rows: Vec<Vec<String>> = targets
        .iter()
        .map(|target| {
            let reached = if target.is_reached() { "yes" } else { "NO" };
            vec![
                target.what.clone(),
                format!("{:.3}", target.ratio),
                format!("{:.3}", target.at_most),
                reached.to_owned(),
            ]
        })
        .collect();
    table(&["target", "measured", "at most", "reached"], &rows)
}

/// Renders answers with many conversations.
pub fn answers(answers: &[Answers]) -> String {
    let row = |of: &Answers| {
        let Cost { wall_ms, cpu_ms } = of.answer;
        vec![of.conversations.to_string(), format!("{cpu_ms:.3}"), format!("{wall_ms:.2}")]
    };
    let rows: Vec<Vec<String>> = answers.iter().map(row).collect();
    table(&["conversations", "answer CPU ms", "answer wall ms"], &rows)
}

/// Renders creations with pools of different sizes.
pub fn creations(creations: &[Creations]) -> String {
    let row = |of: &Creations| {
        let Cost { wall_ms, cpu_ms } = of.creation;
        vec![of.numbers.to_string(), of.held.to_string(), format!("{cpu_ms:.2}"), format!("{wall_ms:.2}")]
    };
    let rows: Vec<Vec<String>> = creations.iter().map(row).collect();
    table(&["numbers", "routes held", "creation CPU ms", "creation wall ms"], &rows)
}

/// Renders creations and answers for callers with many routes.
pub fn hubs(hubs: &[Hub]) -> String {
    let row = |of: &Hub| {
        let costs = [of.creation.cpu_ms, of.creation.wall_ms, of.answer.cpu_ms].map(|ms| format!("{ms:.2}"));
        [vec![of.routes.to_string(), of.numbers.to_string()], costs.to_vec()].concat()
    };
    let rows: Vec<Vec<String>> = hubs.iter().map(row).collect();
    table(&["routes held", "numbers", "creation CPU ms", "creation wall ms", "answer CPU ms"], &rows)
}

/// Renders answers with each feature.
pub fn features(features: &[FeatureAnswers]) -> String {
    let off = features.iter().find(|answers| answers.feature == OFF).map_or(f64::NAN, |off| off.answer.cpu_ms);
    let row = |of: &FeatureAnswers| {
        let Cost { wall_ms, cpu_ms } = of.answer;
        let sizes = [of.route_bytes.to_string(), of.answer_bytes.to_string()];
        let times = [format!("{cpu_ms:.3} ({:.2})", cpu_ms / off), format!("{wall_ms:.2}")];
        [vec![of.feature.clone()], sizes.to_vec(), times.to_vec()].concat()
    };
    let rows: Vec<Vec<String>> = features.iter().map(row).collect();
    table(&["feature", "route bytes", "answer bytes", "answer CPU ms (of all off)", "answer wall ms"], &rows)
}

/// Renders the laptop stack under load.
pub fn loads(loads: &[Throughput]) -> String {
    let row = |load: &Throughput| {
        let whole = |value: f64| format!("{value:.0}");
        let ms = |value: f64| format!("{value:.1}");
        let rates = [whole(load.per_second), whole(load.per_core_second), ms(load.p50_ms), ms(load.p99_ms)];
        [vec![load.what.to_owned()], rates.to_vec(), vec![format!("{} of {}", load.errors, load.requests)]].concat()
    };
    let rows: Vec<Vec<String>> = loads.iter().map(row).collect();
    table(&["laptop stack", "a second", "a second a core", "p50 ms", "p99 ms", "errors"], &rows)
}

/// Renders the bill of a million masked calls.
pub fn cost(cost: &Bill) -> String {
    let row = |line: &Line| vec![line.what.clone(), format!("{:.0}", line.quantity), format!("{:.2}", line.usd)];
    let sum = |what: &str, lines: &[Line]| {
        let usd: f64 = lines.iter().map(|line| line.usd).sum();
        vec![what.to_owned(), String::new(), format!("{usd:.2}")]
    };
    let mut rows: Vec<Vec<String>> = cost.lines.iter().map(row).collect();
    rows.push(sum("**a million masked calls**", &cost.lines));
    rows.extend(cost.fixed.iter().map(row));
    rows.push(sum("**a month, without any call**", &cost.fixed));
    let bill = table(&[&format!("list prices of {}, {}", cost.region, cost.as_of), "quantity", "USD"], &rows);
    let peer = |peer: &Peer| {
        let usd = peer.usd.map_or_else(|| "-".to_owned(), |usd| format!("{usd}"));
        vec![peer.name.clone(), peer.charge.clone(), usd, peer.per.clone().unwrap_or_default()]
    };
    let peers: Vec<Vec<String>> = cost.peers.iter().map(peer).collect();
    format!("{bill}\n{}", table(&["others", "price", "USD", "for a"], &peers))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// The published figures, in the form of `target/bench.json`.
    const PUBLISHED: &str = include_str!("../../docs/performance.json");
    const PAGE: &str = include_str!("../../docs/performance.md");

    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'static"))]
    struct Published {
        starts: Starts,
        scale: Scale,
        features: Features,
        load: Vec<Throughput>,
        cost: Bill,
    }

    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'static"))]
    struct Starts {
        figures: Vec<Figures>,
        targets: Vec<Target>,
    }

    #[derive(Deserialize)]
    struct Scale {
        answers: Vec<Answers>,
        creations: Vec<Creations>,
        hubs: Vec<Hub>,
        targets: Vec<Target>,
    }

    #[derive(Deserialize)]
    struct Features {
        answers: Vec<FeatureAnswers>,
        targets: Vec<Target>,
    }

    /// Returns the block of the page between the markers of `name`.
    fn block(name: &str) -> &'static str {
        let (_, rest) = PAGE.split_once(&format!("<!-- begin: {name} -->\n")).unwrap();
        rest.split_once("<!-- end -->").unwrap().0
    }

    #[test]
    fn documented_tables_show_the_published_figures() {
        let published: Published = serde_json::from_str(PUBLISHED).unwrap();
        let Published { starts: own, scale, features: of_calls, load, cost: bill } = published;
        for (name, table) in [
            ("starts", starts(&own.figures)),
            ("targets", targets(&own.targets)),
            ("answers", answers(&scale.answers)),
            ("creations", creations(&scale.creations)),
            ("hubs", hubs(&scale.hubs)),
            ("scale-targets", targets(&scale.targets)),
            ("features", features(&of_calls.answers)),
            ("feature-targets", targets(&of_calls.targets)),
            ("load", loads(&load)),
            ("cost", cost(&bill)),
        ] {
            assert!(block(name) == table, "docs/performance.md needs this block {name}:\n{table}");
        }
    }
}
