//! The clock and CRDT crates beside their peers, in one run: times by Criterion, and bytes as the benches print them.

use anyhow::Result;

use super::criterion::{self, Measurement};
use super::{Report, Settings};
use crate::process;
use crate::report;
use crate::workspace::Workspace;

/// Package and bench; those with times first.
const TIMED: [(&str, &str); 2] = [("isles-clock", "peers"), ("isles-crdt", "peers")];
const SIZED: (&str, &str) = ("isles-crdt", "sizes");
/// Our own candidates start with this; there may be several.
const OURS: &str = "isles";
/// Within this factor of the best peer a difference is noise.
const SLOWER_MIN: f64 = 1.1;

/// Why a row may be slower than the best peer: by group and what is measured, empty for all groups or all of a group.
const REASONS: &[(&str, &str, &str)] = &[
    ("", "put_and_remove", "returns two deltas"),
    (
        "g_set",
        "merge",
        "looks before it inserts, which pays from some dozens on",
    ),
    (
        "g_set",
        "apply_known",
        "looks before it inserts, which pays from some dozens on",
    ),
    (
        "lww_register",
        "",
        "a stamp names its replica by 16 bytes; can be unwritten",
    ),
    (
        "mv_register",
        "",
        "has a context, so that a value can be cleared, and times",
    ),
    (
        "g_set",
        "encode",
        "differs by noise: the set of std is written",
    ),
    ("g_counter", "", "replicas have 16 bytes"),
    ("pn_counter", "", "replicas have 16 bytes"),
    (
        "",
        "merge",
        "joins two contexts, where a peer has tombstones or none",
    ),
    (
        "",
        "delta_since",
        "says what is gone from a context, without the peer's state",
    ),
    (
        "aw_map",
        "encode",
        "each key has a register that keeps siblings",
    ),
    ("", "encode", "replicas have 16 bytes"),
    (
        "",
        "decode",
        "replicas have 16 bytes, and strangers' bytes are checked",
    ),
];

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let results = workspace.target_dir()?.join("criterion");
    criterion::clear(&results)?;
    let mut commands = Vec::new();
    let mut printed = Vec::new();
    for (package, bench) in TIMED {
        let mut command = workspace.cargo(&["bench", "-p", package, "--bench", bench, "--"]);
        command.args(["--noplot", "--quiet"]);
        // Hundreds of rows, each of nanoseconds to milliseconds: a second for each is enough, and all in minutes.
        let [samples, measure_s, warm_s] = match settings.percent < 100 {
            true => ["10", "0.02", "0.01"],
            false => ["30", "1", "0.3"],
        };
        command.args(["--sample-size", samples, "--measurement-time", measure_s]);
        command.args(["--warm-up-time", warm_s]);
        printed.push(process::output(&mut command)?);
        commands.push(process::line(&command));
    }
    let (package, bench) = SIZED;
    let mut command = workspace.cargo(&["bench", "-p", package, "--bench", bench]);
    let sizes = process::output(&mut command)?;
    commands.push(process::line(&command));

    let mut body = String::from(
        "Median times in nanoseconds, all candidates in one run. Where this project's are slower than the best peer by more than a \
         tenth, the last column says why.\n",
    );
    for (group, measurements) in groups(criterion::read(&results)?) {
        body.push_str(&format!(
            "\n**{group}**\n\n{}",
            table(&group, &measurements)
        ));
    }
    body.push_str("\n**bytes of clocks and stamps**\n\n");
    for line in printed.iter().flat_map(|text| text.lines()) {
        if let Some(size) = line.strip_prefix("size: ") {
            body.push_str(&format!("- {size}\n"));
        }
    }
    body.push_str(&format!(
        "\n**bytes of states and deltas**\n\nA replica has 16 bytes here and in `crdts`, 8 in `crdt-kit`; so have dots. States here carry a context, which is why nothing \
         remains of what came and went.\n\n{}",
        size_table(&sizes)
    ));
    Ok(Report { commands, body })
}

/// The measurements by groups, in the order of names.
fn groups(measurements: Vec<Measurement>) -> std::collections::BTreeMap<String, Vec<Measurement>> {
    let mut groups = std::collections::BTreeMap::<String, Vec<Measurement>>::new();
    for measurement in measurements {
        let group = groups.entry(measurement.group.clone()).or_default();
        group.push(measurement);
    }
    groups
}

fn table(group: &str, measurements: &[Measurement]) -> String {
    let mut candidates: Vec<&str> = measurements.iter().map(|each| each.who.as_str()).collect();
    candidates.sort_by_key(|who| (!who.starts_with(OURS), *who));
    candidates.dedup();
    let mut rows: Vec<(&str, Option<u64>)> = measurements
        .iter()
        .map(|each| (each.what.as_str(), each.size))
        .collect();
    rows.sort_unstable();
    rows.dedup();
    let cells = |(what, size): &(&str, Option<u64>)| {
        let times: Vec<Option<f64>> = candidates
            .iter()
            .map(|who| {
                let same = |each: &&Measurement| {
                    each.who == *who && each.what == *what && each.size == *size
                };
                measurements.iter().find(same).map(|each| each.median_ns)
            })
            .collect();
        let mut row = vec![name(what, *size)];
        row.extend(times.iter().map(|time| time.map_or("-".to_owned(), digits)));
        row.push(reason(group, what, &candidates, &times));
        row
    };
    let head: Vec<&str> = std::iter::once("")
        .chain(candidates.iter().copied())
        .chain(std::iter::once("slower because it"))
        .collect();
    report::table(&head, &rows.iter().map(cells).collect::<Vec<_>>())
}

fn name(what: &str, size: Option<u64>) -> String {
    let what = what.replace('_', " ");
    size.map_or(what.clone(), |size| format!("{what}, {size}"))
}

/// Three digits, where there are as many.
fn digits(ns: f64) -> String {
    if ns < 100.0 {
        format!("{ns:.1}")
    } else {
        format!("{ns:.0}")
    }
}

/// Why the best of ours is slower than the best of theirs, if it is.
fn reason(group: &str, what: &str, candidates: &[&str], times: &[Option<f64>]) -> String {
    let best = |ours: bool| {
        let of = candidates.iter().zip(times);
        of.filter(|(who, _)| who.starts_with(OURS) == ours)
            .filter_map(|(_, time)| *time)
            .fold(f64::INFINITY, f64::min)
    };
    if best(true) <= best(false) * SLOWER_MIN {
        return String::new();
    }
    let fits = |(of, when, _): &&(&str, &str, &str)| {
        (of.is_empty() || *of == group) && (when.is_empty() || *when == what)
    };
    let known = REASONS.iter().find(fits);
    known
        .map_or("not explained", |(.., reason)| reason)
        .to_owned()
}

/// The lines with bars that the bench prints, as a table.
fn size_table(printed: &str) -> String {
    let mut lines = printed.lines().filter(|line| line.contains(" | "));
    let cells = |line: &str| -> Vec<String> {
        line.split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let head = lines.next().map(cells).unwrap_or_default();
    let rows: Vec<Vec<String>> = lines.map(cells).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    report::table(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(what: &str, who: &str, median_ns: f64) -> Measurement {
        Measurement {
            group: "aw_set".to_owned(),
            what: what.to_owned(),
            who: who.to_owned(),
            size: Some(10),
            median_ns,
        }
    }

    #[test]
    fn what_is_slower_says_why() {
        let measurements = [
            measured("merge", "crdts", 5.0),
            measured("merge", "isles", 5.2),
            measured("decode", "isles", 250.0),
            measured("decode", "crdts", 5.0),
            measured("follow", "isles", 9.0),
            measured("follow", "uhlc", 5.0),
        ];
        let table = table("aw_set", &measurements);
        let rows: Vec<&str> = table.lines().collect();
        assert!(rows[0].contains("isles | crdts | uhlc"));
        assert!(rows[2].contains("250") && rows[2].contains("strangers"));
        assert!(rows[3].contains("not explained"));
        assert!(rows[4].contains("merge, 10") && !rows[4].contains("because"));
    }

    #[test]
    fn sizes_become_a_table() {
        let table = size_table("noise\ntype | crate\nset | isles\n");
        assert_eq!(table.lines().count(), 3);
    }
}
