//! Group commit: durable entries per second and how long each takes, against what the disk's own writes and syncs allow. The
//! log by itself is measured by `benches/commit.rs` of the store, which prints lines that are read here; a node by
//! `redis-benchmark`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::lines::{self, Line, number, series, share, who};
use super::rounds::median;
use super::{Report, Settings};
use crate::process;
use crate::report;
use crate::servers::{NodePlan, Running};
use crate::workspace::Workspace;

/// Connections that each wait for their write to be on disk before they send the next.
const WRITERS: [usize; 4] = [1, 16, 64, 256];
/// What one write appends to the log.
const ENTRY_BYTES: usize = 161;
const RAW_SPACE_BYTES: usize = 16 << 20;
/// How long each candidate works, each round.
const RUN: Duration = Duration::from_secs(2);
/// Fewer requests than this say nothing, more take too long.
const REQUESTS: std::ops::RangeInclusive<usize> = 1000..=400_000;
/// The share of the disk's limit that the log is to reach.
const GOAL: f64 = 0.95;

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let folder = workspace.target_dir()?.join("bench-log");
    let mut command = workspace.cargo(&["bench", "-p", "isles-store", "--bench", "commit", "--"]);
    let run_ms = (RUN.as_millis() as usize * settings.percent / 100).max(1);
    let (rounds, run_ms) = (settings.rounds.to_string(), run_ms.to_string());
    command.args(["--rounds", &rounds, "--run-ms", &run_ms]);
    // The place is this machine's alone.
    let mut commands = vec![process::line(&command)];
    command.arg("--folder").arg(folder.join("commit"));
    let lines = lines::read(&process::output(&mut command)?)?;
    let body = format!(
        "**The log.** Writers that each wait until their entry of {ENTRY_BYTES} bytes is on the disk before they begin the next. *Raw disk*: one entry of each \
         is appended to a file that has its blocks, then `fdatasync`, again and again: the limit. *log*: the same through the log, from one thread. *log's \
         thread*: one thread runs the writers, another writes and syncs what has come while the last sync was in flight, as a node does. Times in \
         microseconds; the share is the median of the rounds' ratios to the raw disk, between the least and the greatest; the goal is {GOAL}. {} interleaved rounds of {} s.\n\n{}\n\
         **Large frames**, written and synced one behind the other.\n\n{}\n\
         **A node** under `durability = \"always\"`, SET of 100 bytes by `redis-benchmark`, client and node on one machine. The share is of the raw disk's \
         entries with as many writers, measured right before and right after; the entries of a sync are the node's own count.\n\n{}",
        settings.rounds,
        RUN.as_secs_f64() * settings.percent as f64 / 100.0,
        groups(&lines),
        frames(&lines),
        nodes(workspace, settings, &folder)?,
    );
    commands.push(
        "redis-benchmark -t set -d 100 -r 100000 -P 1 -c WRITERS -n COUNT   # for about 2 s"
            .to_owned(),
    );
    Ok(Report { commands, body })
}

/// What lies between the least and the greatest ratio of the rounds.
fn spread(lines: &[Line], kind: &str, name: &str) -> String {
    let limits = series(lines, kind, "raw disk", 0);
    let mut ratios: Vec<f64> = series(lines, kind, name, 0)
        .iter()
        .zip(limits)
        .map(|(value, limit)| value / limit)
        .collect();
    ratios.sort_by(f64::total_cmp);
    match (ratios.first(), ratios.last()) {
        (Some(least), Some(most)) => format!("{least:.2} to {most:.2}"),
        _ => String::new(),
    }
}

/// The kinds of lines that begin with a word, in the order of their sizes.
fn kinds(lines: &[Line], word: &str) -> Vec<(usize, String)> {
    let mut kinds: Vec<(usize, String)> = lines
        .iter()
        .filter_map(|line| {
            let size = line.kind.strip_prefix(word)?.trim().parse().ok()?;
            Some((size, line.kind.clone()))
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

fn rows(
    lines: &[Line],
    word: &str,
    cells: impl Fn(usize, &str, &str) -> Vec<String>,
) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (size, kind) in kinds(lines, word) {
        for name in who(lines, &kind) {
            let share = vec![
                number(share(lines, &kind, &name), 2),
                spread(lines, &kind, &name),
            ];
            let middle = |column| median(series(lines, &kind, &name, column));
            let times = [2, 3, 4].map(|column| number(middle(column), 0));
            rows.push([cells(size, &kind, &name), share, times.to_vec()].concat());
        }
    }
    rows
}

fn groups(lines: &[Line]) -> String {
    let rows = rows(lines, "group", |writers, kind, name| {
        let middle = |column| median(series(lines, kind, name, column));
        vec![
            name.to_owned(),
            writers.to_string(),
            number(middle(0) / 1000.0, 1),
            number(middle(1), 1),
        ]
    });
    let head = [
        "",
        "writers",
        "k entries/s",
        "entries/sync",
        "share",
        "spread",
        "p50",
        "p99",
        "p99.9",
    ];
    report::table(&head, &rows)
}

fn frames(lines: &[Line]) -> String {
    let rows = rows(lines, "frame", |bytes, kind, name| {
        let rate = median(series(lines, kind, name, 0));
        vec![name.to_owned(), (bytes >> 10).to_string(), number(rate, 0)]
    });
    let head = ["", "KiB", "MiB/s", "share", "spread", "p50", "p99", "p99.9"];
    report::table(&head, &rows)
}

/// What one run of the client saw.
struct Seen {
    per_second: f64,
    limit: f64,
    entries_per_sync: f64,
    /// Half, 99 % and 99.9 % of the answers took no longer, in microseconds.
    times_us: [f64; 3],
}

fn nodes(workspace: &Workspace, settings: &Settings, folder: &Path) -> Result<String> {
    let binary = workspace.node_binary(settings.binary.as_deref())?;
    let plan = NodePlan {
        binary: &binary,
        folder,
        name: "bench",
        durability: "always",
        more: "",
    };
    let node = Running::node(&plan)?;
    let raw = raw_file(&folder.join("raw"))?;
    let mut rounds: Vec<Vec<Seen>> = WRITERS.map(|_| Vec::new()).into();
    for _ in 0..settings.rounds {
        for (writers, seen) in WRITERS.into_iter().zip(&mut rounds) {
            seen.push(measure(&node, &raw, writers, settings)?);
        }
    }
    let rows: Vec<Vec<String>> = WRITERS
        .iter()
        .zip(&rounds)
        .map(|(writers, seen)| {
            let of = |value: &dyn Fn(&Seen) -> f64| median(seen.iter().map(value).collect());
            let mut row = vec![
                writers.to_string(),
                number(of(&|seen| seen.limit) / 1000.0, 1),
                number(of(&|seen| seen.per_second) / 1000.0, 1),
                number(of(&|seen| seen.per_second / seen.limit), 2),
                number(of(&|seen| seen.entries_per_sync), 1),
            ];
            row.extend([0, 1, 2].map(|at| number(of(&|seen| seen.times_us[at]), 0)));
            row
        })
        .collect();
    let head = [
        "writers",
        "raw disk, k entries/s",
        "node, k writes/s",
        "share",
        "entries/sync",
        "p50",
        "p99",
        "p99.9",
    ];
    Ok(report::table(&head, &rows))
}

fn measure(node: &Running, raw: &fs::File, writers: usize, settings: &Settings) -> Result<Seen> {
    let limit = || {
        let syncs = syncs_per_second(raw, writers * ENTRY_BYTES, settings)?;
        anyhow::Ok(syncs * writers as f64)
    };
    let limit_before = limit()?;
    // About as long as the raw loop takes, if a good half of it is reached.
    let wanted = limit_before * RUN.as_secs_f64() * settings.percent as f64 / 100.0 / 2.0;
    let requests = (wanted as usize).clamp(*REQUESTS.start(), *REQUESTS.end());
    let before = synced(node)?;
    let mut client = Command::new("redis-benchmark");
    client.args(["-h", "127.0.0.1", "-p", &node.port.to_string()]);
    client.args(["-t", "set", "-d", "100", "-r", "100000", "-P", "1"]);
    client.args(["-c", &writers.to_string(), "-n", &requests.to_string()]);
    let text = process::output(&mut client)?;
    let after = synced(node)?;
    let (per_second, times_us) = client_says(&text)
        .with_context(|| format!("redis-benchmark printed no result:\n{text}"))?;
    Ok(Seen {
        per_second,
        limit: (limit_before + limit()?) / 2.0,
        entries_per_sync: (after.0 - before.0) / (after.1 - before.1),
        times_us,
    })
}

/// Entries of the node's own frames, and its syncs, so far.
fn synced(node: &Running) -> Result<(f64, f64)> {
    let text = node.admin_get("/metrics")?;
    let find = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|value| value.trim().parse().ok());
        value.with_context(|| format!("the node has no metric {name}"))
    };
    Ok((
        find("isles_frame_entries_sum ")?,
        find("isles_log_sync_seconds_count ")?,
    ))
}

/// Requests per second, and the times of half, 99 % and 99.9 % of them in microseconds: from the client's long output, since its
/// short one says nothing beyond 99 %.
fn client_says(text: &str) -> Option<(f64, [f64; 3])> {
    let per_second = text.split("throughput summary: ").nth(1)?;
    let per_second = per_second.split_whitespace().next()?.parse().ok()?;
    let mut after = text.lines().skip_while(|line| !line.contains("p50"));
    let summary: Vec<f64> = after
        .nth(1)?
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    // avg, min, p50, p95, p99, max
    let (half, most) = (summary.get(2)?, summary.get(4)?);
    let nearly_all = text.lines().find_map(|line| {
        let (share, rest) = line.split_once("% <= ")?;
        let share: f64 = share.trim().parse().ok()?;
        let time: f64 = rest.split_whitespace().next()?.parse().ok()?;
        (share >= 99.9).then_some(time)
    })?;
    Some((per_second, [*half, *most, nearly_all].map(|ms| ms * 1000.0)))
}

/// A file with space that exists already, as the log's segments have it. Made once: cutting a file makes the disk discard
/// blocks, which slows the syncs that follow.
fn raw_file(path: &Path) -> Result<fs::File> {
    let mut file =
        fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(&vec![0; RAW_SPACE_BYTES])?;
    file.sync_all()?;
    Ok(file)
}

/// What the disk gives to one who writes so many bytes and syncs.
fn syncs_per_second(file: &fs::File, bytes: usize, settings: &Settings) -> Result<f64> {
    let run = RUN * settings.percent as u32 / 100;
    let group = vec![1; bytes];
    let begin = Instant::now();
    let mut count = 0_u32;
    while begin.elapsed() < run {
        let offset = count as usize * bytes % (RAW_SPACE_BYTES - bytes);
        file.write_all_at(&group, offset as u64)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "====== SET ======\nLatency by percentile distribution:\n\
        50.000% <= 0.207 milliseconds (cumulative count 52)\n99.805% <= 0.9 milliseconds (cumulative count 98)\n\
        99.902% <= 1.303 milliseconds (cumulative count 99)\nCumulative distribution of latencies:\n\
        99.990% <= 9.000 milliseconds\nSummary:\n  throughput summary: 12345.60 requests per second\n  \
        latency summary (msec):\n          avg       min       p50       p95       p99       max\n        \
        0.212     0.104     0.207     0.263     0.383     1.303\n";

    #[test]
    fn the_client_is_understood() {
        assert_eq!(client_says(LONG), Some((12_345.6, [207.0, 383.0, 1303.0])));
        assert_eq!(client_says("Could not connect"), None);
    }

    #[test]
    fn shares_say_between_which_they_lie() {
        let text = "group 1\traw disk\t100\t1\t2\t3\t4\ngroup 1\tlog\t50\t1\t2\t3\t4\n\
                    group 16\traw disk\t100\t1\t2\t3\t4\n\
                    group 1\traw disk\t200\t1\t2\t3\t4\ngroup 1\tlog\t180\t1\t2\t3\t4\n";
        let lines = lines::read(text).unwrap();
        let table = groups(&lines).replace(' ', "");
        assert!(
            table.contains("|log|1|0.1|1.0|0.70|0.50to0.90|2|3|4|"),
            "{table}"
        );
        assert_eq!(kinds(&lines, "group").len(), 2);
    }
}
