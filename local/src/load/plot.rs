//! A page with the plots of a load: one HTML file with inline SVG, which needs nothing else.
//!
//! It is drawn here and not by a crate: plotters, the usual one, has had no release since 2024, and its colours are fixed in the SVG, so it
//! cannot follow a dark theme.

use std::fmt::Write;

use super::latencies::Percentiles;
use super::meter::{Latency, Sample};
use super::report::Report;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
/// The place of labels around the lines.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 12.0;

/// About so many lines across.
const STEPS: f64 = 4.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--one:light-dark(#0b62a4,#6cb4f0);--two:light-dark(#a04a00,#f0a04b);--three:light-dark(#a3123a,#ff7a9c)}\
body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2rem auto;padding:0 1rem}\
pre{overflow-x:auto}svg{width:100%;height:auto;font-size:12px}\
text{fill:currentColor}.grid{stroke:currentColor;opacity:.2}\
polyline{fill:none;stroke-width:2}circle{stroke:none}\
.one{stroke:var(--one);fill:var(--one)}.two{stroke:var(--two);fill:var(--two)}.three{stroke:var(--three);fill:var(--three)}\
polyline.one,polyline.two,polyline.three{fill:none}.two{stroke-dasharray:6 3}.three{stroke-dasharray:2 2}\
ul{list-style:none;padding:0;display:flex;gap:1.5rem}li svg{width:2rem;height:.7rem;margin-right:.4rem}";

/// Classes of the lines of a plot, in their order.
const CLASSES: [&str; 3] = ["one", "two", "three"];

/// A line: its name, and its value in each sample.
struct Line {
    name: &'static str,
    values: Vec<Option<f64>>,
}

/// Returns the page.
pub(super) fn page(report: &Report) -> String {
    let samples = &report.samples;
    let times: Vec<f64> = samples.iter().map(|sample| sample.seconds).collect();
    let line = |name, value: &dyn Fn(usize, &Sample) -> Option<f64>| Line {
        name,
        values: samples.iter().enumerate().map(|(index, sample)| value(index, sample)).collect(),
    };
    let percentiles = |of: fn(&Latency) -> &Percentiles| {
        let of = move |sample: &Sample| *of(&sample.latency);
        vec![
            line("p50", &|_, sample| of(sample).p50_ms),
            line("p90", &|_, sample| of(sample).p90_ms),
            line("p99", &|_, sample| of(sample).p99_ms),
        ]
    };
    let since_last = |count: fn(&Sample) -> u64| {
        move |index: usize, sample: &Sample| {
            let before = index.checked_sub(1).and_then(|before| samples.get(before));
            Some((count(sample) - before.map_or(0, count)) as f64)
        }
    };
    let plots = [
        ("Answers to calls, milliseconds", percentiles(|latency| &latency.answers)),
        ("Creations, milliseconds", percentiles(|latency| &latency.creations)),
        (
            "Pool, numbers",
            vec![
                line("in use by one caller", &|_, sample| Some(sample.pool?.in_use as f64)),
                line("ready", &|_, sample| Some(sample.pool?.ready as f64)),
            ],
        ),
        (
            "Since the second before",
            vec![
                line("connected calls", &since_last(|sample| sample.connected)),
                line("refusals", &since_last(|sample| sample.refused)),
                line("failures", &since_last(|sample| sample.failed)),
            ],
        ),
    ];
    let mut body = String::new();
    for (title, lines) in plots {
        body.push_str(&plot(title, &times, &lines));
    }
    let title = format!("maskline load: {} conversations", report.conversations);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n<pre>{}</pre>\n{body}</html>\n",
        escaped(&report.to_string())
    )
}

/// Draws lines over seconds, under a heading and a legend.
fn plot(title: &str, times: &[f64], lines: &[Line]) -> String {
    let values = lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let (most, last) = (values.fold(0.0, f64::max), times.iter().copied().fold(0.0, f64::max));
    let (step, step_of_time) = (step(most), step(last));
    let (top, end) = ((most / step).ceil().max(1.0) * step, last.max(step_of_time));
    let x = |time: f64| LEFT + time / end * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP);
    let mut drawn = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n");
    for value in marks(step, top) {
        let (right, at) = (WIDTH - RIGHT, y(value));
        let _ = writeln!(drawn, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let (left, middle, label) = (LEFT - 6.0, at + 4.0, number(value, step));
        let _ = writeln!(drawn, "<text x=\"{left}\" y=\"{middle:.1}\" text-anchor=\"end\">{label}</text>");
    }
    for time in marks(step_of_time, end) {
        let (at, below, label) = (x(time), HEIGHT - 8.0, number(time, step_of_time));
        let _ = writeln!(drawn, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{label} s</text>");
    }
    let mut legend = String::new();
    for (line, class) in lines.iter().zip(CLASSES) {
        for run in runs(times, &line.values) {
            let points: Vec<String> =
                run.iter().map(|(time, value)| format!("{:.1},{:.1}", x(*time), y(*value))).collect();
            let _ = match points.as_slice() {
                // A line needs two points.
                [_] => writeln!(
                    drawn,
                    "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"/>",
                    x(run[0].0),
                    y(run[0].1)
                ),
                points => writeln!(drawn, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" ")),
            };
        }
        let mark = "<svg viewBox=\"0 0 32 10\" aria-hidden=\"true\"><polyline class=\"";
        let _ = write!(legend, "<li>{mark}{class}\" points=\"0,5 32,5\"/></svg>{}</li>", line.name);
    }
    format!("<h2>{title}</h2>\n<ul>{legend}</ul>\n{drawn}</svg>\n")
}

/// Returns the points between gaps.
fn runs(times: &[f64], values: &[Option<f64>]) -> Vec<Vec<(f64, f64)>> {
    let points: Vec<Option<(f64, f64)>> =
        times.iter().zip(values).map(|(time, value)| Some((*time, (*value)?))).collect();
    let runs = points.split(Option::is_none).filter(|run| !run.is_empty());
    runs.map(|run| run.iter().flatten().copied().collect()).collect()
}

/// Returns a round distance of lines, 1, 2 or 5 times a power of ten, with about [`STEPS`] of them up to `most`.
fn step(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf((most / STEPS).log10().floor());
    let round = [1.0, 2.0, 5.0].map(|times| times * power).into_iter().find(|step| *step >= most / STEPS);
    round.unwrap_or(10.0 * power)
}

fn marks(step: f64, end: f64) -> impl Iterator<Item = f64> {
    let count = (end / step + 1e-9).floor() as u32;
    (0..=count).map(move |nth| f64::from(nth) * step)
}

/// Returns a number with as many decimals as the distance of lines has.
fn number(value: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_across_are_at_round_numbers() {
        for (most, expected) in [(0.0, 1.0), (0.3, 0.1), (7.0, 2.0), (20.0, 5.0), (100.0, 50.0), (3999.0, 1000.0)] {
            let step = step(most);
            assert!((step - expected).abs() < 1e-9, "{most}: {step}");
        }
        let labels: Vec<String> = marks(0.1, 0.3).map(|mark| number(mark, 0.1)).collect();
        assert_eq!(labels, ["0.0", "0.1", "0.2", "0.3"]);
    }

    #[test]
    fn gap_interrupts_a_line_and_a_single_point_is_seen() {
        let values = [Some(1.0), Some(2.0), None, Some(4.0)];
        let times = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(runs(&times, &values), [vec![(1.0, 1.0), (2.0, 2.0)], vec![(4.0, 4.0)]]);
        let drawn = plot("Title", &times, &[Line { name: "line", values: values.to_vec() }]);
        // 4 s are at the right end, and 4 of 4 at the top.
        assert!(drawn.contains("<circle class=\"one\" cx=\"708.0\" cy=\"10.0\" r=\"2\"/>"), "{drawn}");
        assert_eq!(drawn.matches("<polyline class=\"one\" points=").count(), 2, "one line, and one in the legend");
    }

    #[test]
    fn plot_of_nothing_has_axes_and_no_number_that_is_none() {
        let drawn = plot("Title", &[], &[Line { name: "line", values: Vec::new() }]);
        assert!(drawn.contains("<line ") && !drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}
