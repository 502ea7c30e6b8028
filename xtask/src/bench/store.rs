//! The log and the tables on the product's own write pattern, beside the raw disk and engines alone: `benches/store.rs` of the
//! store measures in interleaved rounds and prints lines, which are read here.

use anyhow::Result;

use super::lines::{self, Line, number, series, share, who};
use super::rounds::median;
use super::{Report, Settings};
use crate::process;
use crate::report;
use crate::workspace::Workspace;

const FEATURES: &str = "redb,slate";
/// How long each candidate commits frames in a round, and how many rows are loaded into each table.
const RUN_MS: usize = 3_000;
const ROWS: usize = 200_000;

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let folder = workspace.target_dir()?.join("bench-store");
    let mut command = workspace.cargo(&["bench", "-p", "isles-store", "--bench", "store"]);
    command.args(["--features", FEATURES, "--"]);
    let share = |whole: usize| (whole * settings.percent / 100).max(1).to_string();
    let (rounds, run_ms, rows) = (settings.rounds.to_string(), share(RUN_MS), share(ROWS));
    command.args(["--rounds", &rounds, "--run-ms", &run_ms, "--rows", &rows]);
    // The place is this machine's alone.
    let shown = process::line(&command);
    command.arg("--folder").arg(&folder);
    let printed = process::output(&mut command)?;
    let lines = lines::read(&printed)?;
    let body = format!(
        "**Durable entries.** A frame of 104 entries of 161 bytes is one commit, then comes the next: one write and one sync for the raw disk and for the log. \
         Beside the log a second thread writes images of the changed rows (100,000 keys, written at random) to a table, in batches of 1 MiB, each time \
         the log has grown by 4 MiB, then persists and flushes it, as the checkpointer does, only more often. An engine alone takes each frame as one durable batch of the entries, by position, and of \
         the rows. The share is of what the raw disk gives in the same round; bytes are those written to the disk per byte of entries. Median of {} \
         interleaved rounds of {} s.\n\n{}\n\
         **A table by itself.** {rows} rows of 161 bytes, twice, in random order and in batches of 1 MiB, persisted after each time and flushed at the end; \
         then 20,000 single reads at random and a scan of all. The raw disk takes the same bytes in one file.\n\n{}\n\
         **Calls of a table on an object store**, in memory, without and with 50 ms added to each request. Times in microseconds.\n\n{}",
        settings.rounds,
        RUN_MS as f64 * settings.percent as f64 / 100_000.0,
        frames(&lines),
        load(&lines),
        calls(&lines),
    );
    Ok(Report {
        commands: vec![shown],
        body,
    })
}

fn frames(lines: &[Line]) -> String {
    let rows = who(lines, "frames").into_iter().map(|name| {
        let middle = |column| median(series(lines, "frames", &name, column));
        vec![
            name.clone(),
            number(middle(0) / 1000.0, 0),
            number(share(lines, "frames", &name), 2),
            number(middle(1), 0),
            number(middle(2), 0),
            number(middle(3), 1),
        ]
    });
    report::table(
        &["", "k entries/s", "share", "p50 µs", "p99 µs", "bytes"],
        &rows.collect::<Vec<_>>(),
    )
}

fn load(lines: &[Line]) -> String {
    let rows = who(lines, "load").into_iter().map(|name| {
        let middle = |column| median(series(lines, "load", &name, column));
        vec![
            name.clone(),
            number(middle(0) / 1000.0, 0),
            number(share(lines, "load", &name), 2),
            number(middle(3), 1),
            number(middle(1) / 1000.0, 0),
            number(middle(2) / 1000.0, 0),
        ]
    });
    report::table(
        &[
            "",
            "k rows written/s",
            "share",
            "bytes",
            "k reads/s",
            "k rows scanned/s",
        ],
        &rows.collect::<Vec<_>>(),
    )
}

fn calls(lines: &[Line]) -> String {
    let rows = who(lines, "calls").into_iter().map(|name| {
        let middle = |added: f64, column: usize| {
            let (all, values) = (
                series(lines, "calls", &name, 0),
                series(lines, "calls", &name, column),
            );
            let pairs = all.iter().zip(values);
            median(
                pairs
                    .filter(|(is, _)| **is == added)
                    .map(|(_, value)| value)
                    .collect(),
            )
        };
        vec![
            name.clone(),
            number(middle(0.0, 1), 0),
            number(middle(0.0, 2), 0),
            number(middle(50.0, 1), 0),
            number(middle(50.0, 2), 0),
        ]
    });
    report::table(
        &["call", "p50", "p99", "p50, 50 ms added", "p99, 50 ms added"],
        &rows.collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        super::lines::read(text).unwrap()
    }

    #[test]
    fn shares_are_of_the_same_round() {
        let lines = lines(
            "frames\traw disk\t100\t1\t2\t1.0\nframes\tlog\t50\t1\t2\t1.1\n\
             frames\tlog\t90\t1\t2\t1.1\nframes\traw disk\t300\t1\t2\t1.0\n\
             frames\traw disk\t100\t1\t2\t1.0\nframes\tlog\t70\t1\t2\t1.1\n",
        );
        assert_eq!(share(&lines, "frames", "log"), 0.5);
        assert_eq!(who(&lines, "frames"), ["raw disk", "log"]);
        let row = "| log      |           0 |  0.50 |      1 |      2 |   1.1 |\n";
        assert!(frames(&lines).ends_with(row), "{}", frames(&lines));
    }

    #[test]
    fn what_was_not_measured_is_left_empty() {
        let lines = lines("load\traw disk\t1000\t\t\t1.00\n");
        let row =
            "| raw disk |                1 |  1.00 |   1.0 |           |                  |\n";
        assert!(load(&lines).ends_with(row), "{}", load(&lines));
    }

    #[test]
    fn calls_are_told_apart_by_what_was_added() {
        let lines = lines("calls\tget\t0\t1\t2\ncalls\tget\t50\t3\t4\n");
        let last = calls(&lines).lines().last().unwrap().replace(' ', "");
        assert_eq!(last, "|get|1|2|3|4|");
    }
}
