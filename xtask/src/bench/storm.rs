//! A storm of conflicts between two nodes: all that both wrote while they could not hear each other, met at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::rounds::median;
use super::{Report, Settings};
use crate::report;
use crate::resp::Client;
use crate::servers::{Pair, Running, wait_until};
use crate::workspace::Workspace;

const DURABILITY: &str = "interval";
/// Keys that both write.
const KEYS: usize = 1_000_000;
const VALUE_BYTES: usize = 100;
const PIPELINE: usize = 1000;
const MEET_MAX: Duration = Duration::from_secs(300);
const FIGURES_MAX: Duration = Duration::from_secs(30);

/// What two nodes hold that could not hear each other.
#[derive(Clone, Copy, PartialEq)]
enum Keys {
    /// Of their own each.
    Apart,
    /// The same ones.
    Common,
}

/// How one node took in what the other had written.
struct Met {
    seconds: f64,
    conflicts: u64,
    records: u64,
    dropped: u64,
    truncated: u64,
}

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let binary = workspace.node_binary(settings.binary.as_deref())?;
    let folder = workspace.target_dir()?.join("bench-storm");
    let keys = (KEYS * settings.percent / 100).max(1000);
    let (mut apart, mut common) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        for (kind, found) in [(Keys::Apart, &mut apart), (Keys::Common, &mut common)] {
            let met = meet(&binary, &folder, kind, keys)?;
            println!(
                "{} keys in {:.2} s, {} conflicts, {} records",
                keys, met.seconds, met.conflicts, met.records
            );
            found.push(met);
        }
    }
    for met in &common {
        ensure!(
            met.conflicts == keys as u64 && met.records + met.dropped == met.conflicts,
            "of {} conflicts on {keys} keys {} are recorded and {} were dropped",
            met.conflicts,
            met.records,
            met.dropped
        );
    }
    let row = |name: &str, of: &[Met]| {
        let middle = |value: fn(&Met) -> f64| median(of.iter().map(value).collect());
        vec![
            name.to_owned(),
            format!("{:.0}", keys as f64 / middle(|met| met.seconds)),
            format!("{:.0}", middle(|met| met.conflicts as f64)),
            format!("{:.0}", middle(|met| met.records as f64)),
            format!("{:.0}", middle(|met| met.dropped as f64)),
            format!("{:.0}", middle(|met| met.truncated as f64)),
        ]
    };
    let head = [
        "keys",
        "writes/s applied",
        "conflicts",
        "records kept",
        "records dropped",
        "shortened",
    ];
    let body = format!(
        "Two nodes each write {keys} keys with values of {VALUE_BYTES} bytes while the other is down, then meet: both take in the other's \
         writes at once, with `durability = \"{DURABILITY}\"`, on one machine. The time is that of one of them, from the first of the other's writes \
         to the last, and its figures are those of its journal of 64 MiB. Conflicts are records kept and dropped: none is skipped. Median of {} \
         rounds.\n\n{}",
        settings.rounds,
        report::table(
            &head,
            &[
                row("the same on both", &common),
                row("others on each", &apart)
            ]
        )
    );
    Ok(Report {
        commands: vec!["cargo xtask bench storm".to_owned()],
        body,
    })
}

fn meet(
    binary: &std::path::Path,
    folder: &std::path::Path,
    kind: Keys,
    keys: usize,
) -> Result<Met> {
    let pair = Pair::start(binary, folder, DURABILITY)?;
    pair.wait_until_equal(MEET_MAX)?;
    let (first, second) = (pair.first, pair.second.stop()?);
    write_all(&first, "", keys)?;
    let first = first.stop()?;
    let second = second.start()?;
    let prefix = if kind == Keys::Apart { "other-" } else { "" };
    write_all(&second, prefix, keys)?;
    let first = first.start()?;
    let began_at = applied(&second)?;
    wait_until(MEET_MAX, || Ok(applied(&second)? > began_at))?;
    let begin = Instant::now();
    let pair = Pair { first, second };
    pair.wait_until_equal(MEET_MAX)?;
    let seconds = begin.elapsed().as_secs_f64();
    let figures = [
        "conflicts_total",
        "journal_records",
        "journal_dropped_total",
        "journal_truncated_total",
    ];
    // Figures are renewed now and then.
    let conflicts = status(&pair.second)?["conflicts_total"].as_u64();
    let mut sums = [0; 4];
    wait_until(FIGURES_MAX, || {
        let text = pair.second.admin_get("/metrics")?;
        sums = figures.map(|name| sum_of(&text, &format!("isles_{name}")));
        Ok(Some(sums[0]) == conflicts && sums[1] + sums[2] >= sums[0])
    })
    .with_context(|| format!("of {conflicts:?} conflicts the metrics tell {sums:?}"))?;
    let [conflicts, records, dropped, truncated] = sums;
    Ok(Met {
        seconds,
        conflicts,
        records,
        dropped,
        truncated,
    })
}

/// The sum of a metric over all its labels.
fn sum_of(text: &str, name: &str) -> u64 {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    let of_it = lines.filter(|rest| rest.starts_with([' ', '{']));
    of_it
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}

fn write_all(node: &Running, prefix: &str, keys: usize) -> Result<()> {
    let mut client = Client::connect(node.port)?;
    let value = "v".repeat(VALUE_BYTES);
    let mut keys = (0..keys).map(|number| {
        let key = format!("{prefix}key:{number:08}");
        vec!["SET".to_owned(), key, value.clone()]
    });
    loop {
        let some: Vec<Vec<String>> = keys.by_ref().take(PIPELINE).collect();
        if some.is_empty() {
            return Ok(());
        }
        client.pipeline(&some)?;
    }
}

fn status(node: &Running) -> Result<Value> {
    Ok(serde_json::from_str(&node.admin_get("/status")?)?)
}

/// How many entries it has, its own and others'.
fn applied(node: &Running) -> Result<u64> {
    let status = status(node)?;
    let clock = status["applied"]
        .as_array()
        .context("/status does not tell the clock")?;
    Ok(clock
        .iter()
        .filter_map(|each| each["sequence"].as_u64())
        .sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE a_total counter\na_total{k=\"x y\"} 3\na_total{k=\"z\"} 4\na_total_more 9\nb 5\n";
        assert_eq!(sum_of(text, "a_total"), 7);
        assert_eq!(sum_of(text, "b"), 5);
        assert_eq!(sum_of(text, "c"), 0);
    }
}
