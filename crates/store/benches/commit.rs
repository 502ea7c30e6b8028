//! Group commit at its limit: writers that each wait until their entry is on the disk, on the log and on a raw file, in turn.
//! `cargo xtask bench log` runs this and writes docs/benchmarks.md.
//!
//! Prints one line per measurement: its kind with how many writers or bytes, its candidate, and numbers, separated by tabs.
#![expect(clippy::print_stdout, reason = "a benchmark reports what it measured")]

#[path = "commit/disk.rs"]
mod disk;
#[path = "commit/shared.rs"]
mod shared;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use disk::{Commits, Logged, Raw};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A SET of 100 bytes as it lies in a frame.
const ENTRY_BYTES: usize = 161;
const WRITERS: [usize; 4] = [1, 16, 64, 256];
/// Frames that are written one behind the other, each synced: what a few large values make.
const LARGE_BYTES: [usize; 3] = [64 << 10, 1 << 20, 8 << 20];

/// What the caller asks for.
struct Settings {
    rounds: usize,
    /// How long each candidate works, each round.
    run: Duration,
    /// Where files go; what is there is removed.
    folder: PathBuf,
}

fn main() -> Result<()> {
    let settings = settings()?;
    if settings.folder.exists() {
        std::fs::remove_dir_all(&settings.folder)?;
    }
    std::fs::create_dir_all(&settings.folder)?;
    // Made once: a new file would be slower for a while, and the log's segments are written over too once there are spares.
    let mut raw = Raw::new(&settings.folder)?;
    let mut log = Logged::new(&settings.folder)?;
    for round in 0..settings.rounds {
        for writers in WRITERS {
            for turn in 0..3 {
                match (round + turn) % 3 {
                    0 => groups("raw disk", &mut raw, writers, &settings)?,
                    1 => groups("log", &mut log, writers, &settings)?,
                    _ => shared::measure(&mut log, writers, &settings)?,
                }
            }
        }
        for bytes in LARGE_BYTES {
            for turn in 0..2 {
                match (round + turn) % 2 {
                    0 => frames("raw disk", &mut raw, bytes, &settings)?,
                    _ => frames("log", &mut log, bytes, &settings)?,
                }
            }
        }
    }
    drop((raw, log));
    std::fs::remove_dir_all(&settings.folder)?;
    Ok(())
}

fn settings() -> Result<Settings> {
    let mut settings = Settings {
        rounds: 1,
        run: Duration::from_secs(1),
        folder: std::env::temp_dir().join("isles-bench-commit"),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("a value is missing");
        match argument.as_str() {
            "--rounds" => settings.rounds = value()?.parse()?,
            "--run-ms" => settings.run = Duration::from_millis(value()?.parse()?),
            "--folder" => settings.folder = value()?.into(),
            // What cargo says to every bench.
            "--bench" => {}
            other => return Err(format!("there is no argument {other}").into()),
        }
    }
    Ok(settings)
}

/// All writers have an entry ready when the last sync ends, so that each sync covers one of each: more than that no group commit can do.
fn groups(who: &str, to: &mut dyn Commits, writers: usize, settings: &Settings) -> Result<()> {
    let group = bytes(writers * ENTRY_BYTES);
    let (mut times, begin) = (Vec::new(), Instant::now());
    while begin.elapsed() < settings.run {
        let start = Instant::now();
        to.commit(&group)?;
        times.push(start.elapsed());
    }
    let entries = times.len() * writers;
    report(
        "group",
        who,
        writers,
        entries as f64 / begin.elapsed().as_secs_f64(),
        writers as f64,
        &mut times,
    );
    Ok(())
}

/// Mebibytes per second of large frames.
fn frames(who: &str, to: &mut dyn Commits, frame_bytes: usize, settings: &Settings) -> Result<()> {
    let frame = bytes(frame_bytes);
    let (mut times, begin) = (Vec::new(), Instant::now());
    while begin.elapsed() < settings.run {
        let start = Instant::now();
        to.commit(&frame)?;
        times.push(start.elapsed());
    }
    let written = (times.len() * frame_bytes) as f64 / f64::from(1 << 20);
    report(
        "frame",
        who,
        frame_bytes,
        written / begin.elapsed().as_secs_f64(),
        1.0,
        &mut times,
    );
    Ok(())
}

/// Prints a measurement: rate, entries per sync, and the times below which half, 99 % and 99.9 % lie, in microseconds.
fn report(kind: &str, who: &str, size: usize, rate: f64, per_sync: f64, times: &mut [Duration]) {
    times.sort_unstable();
    let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|share| {
        let at = (times.len() as f64 * share) as usize;
        let time = times.get(at.min(times.len().saturating_sub(1)));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    });
    println!(
        "{kind} {size}\t{who}\t{rate:.1}\t{per_sync:.2}\t{half:.1}\t{most:.1}\t{nearly_all:.1}"
    );
}

/// Bytes of which no two blocks are alike.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..count).map(|_| next()).collect()
}
