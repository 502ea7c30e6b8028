//! Durable writes per second, end to end, as a multiple of what the disk's `fdatasync` allows one writer.

use std::fs;
use std::io::Write;
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
const RAW_TIME: Duration = Duration::from_secs(2);
/// Requests per writer and measurement, more writers sharing syncs.
const REQUESTS_PER_WRITER: usize = 3000;

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
    let mut rows = Vec::new();
    for writers in WRITERS {
        let load = Load {
            command: "SET",
            pipeline: 1,
            connections: writers,
            requests: requests(writers, settings),
        };
        let rounds = interleaved(
            settings.rounds,
            || syncs_per_second(&folder.join("raw")),
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
    let commands = WRITERS.map(|writers| {
        format!(
            "redis-benchmark -t set -d 100 -r 100000 -P 1 -c {writers} -n {}",
            requests(writers, settings)
        )
    });
    Ok(Report {
        commands: commands.to_vec(),
        body,
    })
}

fn requests(writers: usize, settings: &Settings) -> usize {
    (REQUESTS_PER_WRITER * writers * settings.percent / 100).max(100)
}

/// What the disk gives to one who appends and syncs, into space that exists already, as the log does it.
fn syncs_per_second(path: &Path) -> Result<f64> {
    let mut file =
        fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let space = vec![0; 16 * 1024 * 1024];
    file.write_all(&space)?;
    file.sync_all()?;
    std::io::Seek::rewind(&mut file)?;
    let bytes = [1; RAW_BYTES];
    let begin = Instant::now();
    let mut count = 0_u32;
    while begin.elapsed() < RAW_TIME && (count as usize + 1) * RAW_BYTES <= space.len() {
        file.write_all(&bytes)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}
