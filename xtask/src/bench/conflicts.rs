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
         the same strategy that replaces what its writer had seen, the last one how many ops are applied in the time of one without.\n\n{}\n\nMedian time of one resolution: the siblings in, the \
         answer out.\n\n{}",
        report::table(
            &["operation", "ns", "over no conflict", "throughput"],
            &applies(&measured)
        ),
        report::table(&["resolution", "us"], &resolutions(&measured))
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
            None => ["-".to_owned(), "-".to_owned()],
            Some(base) => [
                format!("{:.0}", each.median_ns - base.median_ns),
                format!("{:.2}", base.median_ns / each.median_ns),
            ],
        };
        let own = [each.who.clone(), format!("{:.0}", each.median_ns)];
        own.into_iter().chain(compared).collect()
    };
    applies().map(row).collect()
}

fn resolutions(measured: &[Measurement]) -> Vec<Vec<String>> {
    let of_them = |each: &&Measurement| RESOLVING.contains(&each.group.as_str());
    let row = |each: &Measurement| vec![each.who.clone(), format!("{:.2}", each.median_ns / 1e3)];
    measured.iter().filter(of_them).map(row).collect()
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
            measurement("all the fuel", "a loop", 1e6),
        ];
        assert_eq!(
            applies(&measured),
            [
                vec!["lww-conflict", "800", "400", "0.50"],
                vec!["lww-no-conflict", "400", "-", "-"],
                vec!["other", "5", "-", "-"]
            ]
        );
        assert_eq!(resolutions(&measured), [["cart", "5.25"]]);
    }
}
