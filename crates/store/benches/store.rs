//! The log and the tables on the product's own write pattern, beside the raw disk and beside engines alone:
//! `cargo xtask bench store` runs this and writes docs/benchmarks.md.
//!
//! Prints one line per measurement: its kind, its candidate, and numbers, separated by tabs.
#![expect(clippy::print_stdout, reason = "a benchmark reports what it measured")]

#[path = "store/calls.rs"]
mod calls;
#[path = "store/engines.rs"]
mod engines;
#[path = "store/frames.rs"]
mod frames;
#[path = "store/load.rs"]
mod load;
#[path = "store/workload.rs"]
mod workload;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the caller asks for.
struct Settings {
    rounds: usize,
    /// How long each candidate commits frames, each round.
    run: Duration,
    /// Rows that are loaded into each table.
    rows: u32,
    /// Where files go; what is there is removed.
    folder: PathBuf,
}

fn main() -> Result<()> {
    let settings = settings()?;
    for round in 0..settings.rounds {
        frames::measure(&settings, round)?;
        load::measure(&settings, round)?;
        calls::measure(&settings)?;
    }
    std::fs::remove_dir_all(&settings.folder)?;
    Ok(())
}

fn settings() -> Result<Settings> {
    let mut settings = Settings {
        rounds: 1,
        run: Duration::from_secs(1),
        rows: 200_000,
        folder: std::env::temp_dir().join("isles-bench-store"),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("a value is missing");
        match argument.as_str() {
            "--rounds" => settings.rounds = value()?.parse()?,
            "--run-ms" => settings.run = Duration::from_millis(value()?.parse()?),
            "--rows" => settings.rows = value()?.parse()?,
            "--folder" => settings.folder = value()?.into(),
            // What cargo says to every bench.
            "--bench" => {}
            other => return Err(format!("there is no argument {other}").into()),
        }
    }
    Ok(settings)
}

/// An empty folder for one candidate.
fn fresh(settings: &Settings, name: &str) -> Result<PathBuf> {
    let folder = settings.folder.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The candidates in this round's order: each round begins elsewhere, so that a noisy minute hits all alike.
fn in_turn<T>(candidates: &[T], round: usize) -> impl Iterator<Item = &T> {
    let begin = round * 2 % candidates.len();
    candidates[begin..].iter().chain(&candidates[..begin])
}

/// The value below which a share of the times lies, in microseconds.
fn percentile_us(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let at = (times.len() as f64 * share) as usize;
    let time = times.get(at.min(times.len().saturating_sub(1)));
    time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

/// Bytes that this process has had written to disks.
fn written_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok())
        .unwrap_or(f64::NAN)
}
