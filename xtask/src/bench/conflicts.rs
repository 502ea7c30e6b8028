//! What it costs to detect, resolve and record a conflict: micro-benchmarks of the replica and of resolvers, run and read back.

use anyhow::Result;

use super::criterion::{self, Measurement};
use super::{Report, Settings};
use crate::process;
use crate::report;
use crate::workspace::Workspace;

/// Benchmarks by package and name.
const BENCHES: [(&str, &str); 2] = [
    ("isles-replica", "conflicts"),
    ("isles-resolve-wasm", "modules"),
];
/// What a strategy's other applies are compared with ends like this.
const BASELINE: &str = "-no-conflict";
/// Of the modules, what resolving costs; what a hostile one may cost is another question.
const RESOLVING: [&str; 2] = ["resolve", "call"];
/// What a conflict may add: 500 ns to detect and resolve it, 2 us to record it.
const ADDED_NS_MAX: f64 = 2500.0;
/// And the share of the throughput without that must be left.
const THROUGHPUT_MIN: f64 = 0.5;
/// What some resolutions may take, in microseconds.
const RESOLUTION_GOALS: [(&str, f64); 3] = [
    ("cart of 2 x 10 items", 20.0),
    ("json, two documents of 1 KiB", 10.0),
    ("lww, two values", 0.5),
];

pub(super) fn run(workspace: &Workspace, _settings: &Settings) -> Result<Report> {
    let results = workspace.target_dir()?.join("criterion");
    criterion::clear(&results)?;
    let mut commands = Vec::new();
    for (package, bench) in BENCHES {
        let arguments = ["bench", "--package", package, "--bench", bench, "--"];
        let mut command = workspace.cargo(&[&arguments[..], &["--noplot"]].concat());
        process::run(&mut command)?;
        commands.push(process::line(&command));
    }
    let measured = criterion::read(&results)?;
    let body = format!(
        "Median time to apply one remote op; the third column is what detecting, resolving and recording the conflict adds to an op of \
         the same strategy that replaces what its writer had seen, the fourth how many ops are applied in the time of one without. \
         The goals: at most 500 ns for detection and `lww` and 2000 ns for the record, and 0.50.\n\n{}\n\nMedian time of one resolution: the siblings in, the \
         answer out.\n\n{}",
        report::table(
            &[
                "operation",
                "ns",
                "over no conflict",
                "throughput",
                "reached"
            ],
            &applies(&measured)
        ),
        report::table(
            &["resolution", "us", "goal", "reached"],
            &resolutions(&measured)
        )
    );
    Ok(Report { commands, body })
}

fn applies(measured: &[Measurement]) -> Vec<Vec<String>> {
    let applies = || measured.iter().filter(|each| each.group == "apply");
    let row = |each: &Measurement| {
        let is_baseline = |base: &&Measurement| {
            let strategy = base.who.strip_suffix(BASELINE);
            strategy.is_some_and(|strategy| each.who.starts_with(strategy))
        };
        let baseline = applies().find(is_baseline);
        let compared = match baseline.filter(|base| base.who != each.who) {
            None => ["-", "-", "-"].map(str::to_owned),
            Some(base) => {
                let added_ns = each.median_ns - base.median_ns;
                let throughput = base.median_ns / each.median_ns;
                let reached = added_ns <= ADDED_NS_MAX && throughput >= THROUGHPUT_MIN;
                [
                    format!("{added_ns:.0}"),
                    format!("{throughput:.2}"),
                    said(reached),
                ]
            }
        };
        let own = [each.who.clone(), format!("{:.0}", each.median_ns)];
        own.into_iter().chain(compared).collect()
    };
    applies().map(row).collect()
}

fn resolutions(measured: &[Measurement]) -> Vec<Vec<String>> {
    let of_them = |each: &&Measurement| RESOLVING.contains(&each.group.as_str());
    let row = |each: &Measurement| {
        let us = each.median_ns / 1e3;
        let goal = RESOLUTION_GOALS.iter().find(|(who, _)| *who == each.who);
        let [goal, reached] = match goal {
            None => ["-", "-"].map(str::to_owned),
            Some((_, goal)) => [goal.to_string(), said(us <= *goal)],
        };
        vec![each.who.clone(), format!("{us:.2}"), goal, reached]
    };
    measured.iter().filter(of_them).map(row).collect()
}

fn said(reached: bool) -> String {
    if reached { "yes" } else { "NO" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(group: &str, who: &str, median_ns: f64) -> Measurement {
        Measurement {
            group: group.to_owned(),
            what: String::new(),
            who: who.to_owned(),
            size: None,
            median_ns,
        }
    }

    #[test]
    fn what_a_conflict_adds() {
        let measured = [
            measurement("apply", "lww-conflict", 800.0),
            measurement("apply", "lww-no-conflict", 400.0),
            measurement("apply", "other", 5.0),
            measurement("call", "cart", 5250.0),
            measurement("resolve", "lww, two values", 600.0),
            measurement("all the fuel", "a loop", 1e6),
        ];
        assert_eq!(
            applies(&measured),
            [
                vec!["lww-conflict", "800", "400", "0.50", "yes"],
                vec!["lww-no-conflict", "400", "-", "-", "-"],
                vec!["other", "5", "-", "-", "-"]
            ]
        );
        assert_eq!(
            resolutions(&measured),
            [
                ["cart", "5.25", "-", "-"],
                ["lww, two values", "0.60", "0.5", "NO"]
            ]
        );
    }
}
