//! Durable writes per second, end to end, as a multiple of what the disk's `fdatasync` allows one writer.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::redis::{Load, measure_once};
use super::rounds::{interleaved, median};
use super::{Report, Settings};
use crate::report;
use crate::servers::{NodePlan, Running};
use crate::workspace::Workspace;

/// Connections that each wait for their write to be on disk before they send the next.
const WRITERS: [usize; 3] = [1, 16, 64];
/// What one write of the raw loop appends: about as much as the log does for one SET.
const RAW_BYTES: usize = 256;
const RAW_SPACE_BYTES: usize = 16 * 1024 * 1024;
const RAW_TIME: Duration = Duration::from_secs(2);
/// Fewer requests than this say nothing, more take too long.
const REQUESTS: std::ops::RangeInclusive<usize> = 1000..=200_000;

pub(super) fn run(workspace: &Workspace, settings: &Settings) -> Result<Report> {
    let binary = workspace.node_binary(settings.binary.as_deref())?;
    let folder = workspace.target_dir()?.join("bench-log");
    let plan = NodePlan {
        binary: &binary,
        folder: &folder,
        name: "bench",
        durability: "always",
        more: "",
    };
    let node = Running::node(&plan)?;
    let raw_file = raw_file(&folder.join("raw"))?;
    let mut rows = Vec::new();
    for writers in WRITERS {
        let requests = requests(writers, syncs_per_second(&raw_file)?, settings);
        let load = Load {
            command: "SET",
            pipeline: 1,
            connections: writers,
            requests,
        };
        let rounds = interleaved(
            settings.rounds,
            || syncs_per_second(&raw_file),
            || Ok(measure_once(&node, &load)?.per_second),
        )?;
        let raw = median(rounds.iter().map(|(raw, _)| *raw).collect());
        let writes = median(rounds.iter().map(|(_, writes)| *writes).collect());
        let share = median(rounds.iter().map(|(raw, writes)| writes / raw).collect());
        let row = vec![
            writers.to_string(),
            format!("{raw:.0}"),
            format!("{writes:.0}"),
            format!("{share:.2}"),
        ];
        println!("{}", row.join("  "));
        rows.push(row);
    }
    let body = format!(
        "SET of 100 bytes under `durability = \"always\"`, each writer waiting for its reply, against a loop that appends {RAW_BYTES} bytes \
         to a file and calls `fdatasync`, on the same disk; median of {} interleaved rounds. More than 1.00 means that writers share \
         syncs.\n\n{}",
        settings.rounds,
        report::table(
            &[
                "writers",
                "syncs/s of the disk",
                "durable writes/s",
                "writes per sync"
            ],
            &rows
        )
    );
    let command = |writers| {
        format!(
            "redis-benchmark -t set -d 100 -r 100000 -P 1 -c {writers} -n COUNT   # for about 2 s"
        )
    };
    Ok(Report {
        commands: WRITERS.map(command).to_vec(),
        body,
    })
}

/// About as long as the raw loop takes: on a busy disk a short measurement catches a lucky moment.
fn requests(writers: usize, syncs_per_second: f64, settings: &Settings) -> usize {
    let wanted =
        syncs_per_second * RAW_TIME.as_secs_f64() * writers as f64 * settings.percent as f64
            / 100.0;
    (wanted as usize).clamp(*REQUESTS.start(), *REQUESTS.end())
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

/// What the disk gives to one who writes and syncs.
fn syncs_per_second(file: &fs::File) -> Result<f64> {
    let bytes = [1; RAW_BYTES];
    let begin = Instant::now();
    let mut count = 0_u32;
    while begin.elapsed() < RAW_TIME {
        let offset = count as usize * RAW_BYTES % RAW_SPACE_BYTES;
        file.write_all_at(&bytes, offset as u64)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}
