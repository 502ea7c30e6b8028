//! `cargo xtask bench`: what things cost, written to docs/benchmarks.md with the machine, the date and the commands.
//!
//! One file per benchmark; this one is the table. A benchmark measures in interleaved rounds and hands back a body for its
//! section of the page.

mod checkpoint;
mod conflicts;
mod criterion;
mod large;
mod lines;
mod log;
mod memory;
mod ordered;
mod peers;
mod redis;
mod replication;
mod rounds;
mod store;
mod storm;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::arguments::Arguments;
use crate::report;
use crate::workspace::Workspace;

const PAGE: &str = "docs/benchmarks.md";
/// Fewer rounds than this make no median.
const ROUNDS_MIN: usize = 3;

/// One benchmark: its name is also that of its section of the page.
struct Benchmark {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &Settings) -> Result<Report>,
}

/// What every benchmark is told.
pub(crate) struct Settings {
    /// How often each measurement is repeated, the candidates in turn.
    pub(crate) rounds: usize,
    /// Share of the usual work per measurement, in percent: to see whether it runs at all.
    pub(crate) percent: usize,
    /// A build of `isles` to measure instead of this tree's.
    pub(crate) binary: Option<PathBuf>,
}

/// What a benchmark found.
pub(crate) struct Report {
    /// The commands that were measured, as one would type them.
    pub(crate) commands: Vec<String>,
    /// Markdown.
    pub(crate) body: String,
}

const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "redis",
        about: "one node against redis-server, same durability, same client",
        run: redis::run,
    },
    Benchmark {
        name: "ordered",
        about: "sorted sets, lists and streams of a million elements, and scripts, against redis-server",
        run: ordered::run,
    },
    Benchmark {
        name: "large",
        about: "how long commands on large collections keep others waiting, beside redis-server",
        run: large::run,
    },
    Benchmark {
        name: "memory",
        about: "what a key of each kind costs in memory, beside redis-server",
        run: memory::run,
    },
    Benchmark {
        name: "replication",
        about: "two leaders under load: throughput, lag, bytes",
        run: replication::run,
    },
    Benchmark {
        name: "log",
        about: "group commit: durable entries per second and their latency against the disk's own syncs",
        run: log::run,
    },
    Benchmark {
        name: "checkpoint",
        about: "what checkpoints cost whoever writes meanwhile, and what they amplify",
        run: checkpoint::run,
    },
    Benchmark {
        name: "store",
        about: "the log and the tables on the product's write pattern, beside the raw disk and engines alone",
        run: store::run,
    },
    Benchmark {
        name: "conflicts",
        about: "nanoseconds to detect, resolve and record a conflict",
        run: conflicts::run,
    },
    Benchmark {
        name: "storm",
        about: "a million conflicts at once between two nodes",
        run: storm::run,
    },
    Benchmark {
        name: "crdt",
        about: "the clock and CRDT crates beside their peers: times and bytes",
        run: peers::run,
    },
];

/// Runs the named benchmarks, or all.
pub(crate) fn run(workspace: &Workspace, mut arguments: Arguments) -> Result<()> {
    let rounds = arguments.option("--rounds")?.unwrap_or(ROUNDS_MIN);
    let percent = arguments.option("--percent")?.unwrap_or(100);
    let binary = arguments.option("--binary")?;
    let dry_run = arguments.flag("--dry-run");
    if rounds < ROUNDS_MIN && !dry_run {
        bail!("--rounds {rounds} is too few for a median; at least {ROUNDS_MIN}, or --dry-run");
    }
    let names = arguments.words()?;
    let known = || {
        BENCHMARKS
            .iter()
            .map(|benchmark| format!("{}: {}", benchmark.name, benchmark.about))
            .collect::<Vec<_>>()
    };
    let find = |name: &String| {
        let found = BENCHMARKS.iter().find(|benchmark| benchmark.name == name);
        found.with_context(|| {
            format!(
                "there is no benchmark '{name}'; there is\n  {}",
                known().join("\n  ")
            )
        })
    };
    let selected: Vec<&Benchmark> = if names.is_empty() {
        BENCHMARKS.iter().collect()
    } else {
        names.iter().map(find).collect::<Result<_>>()?
    };
    let settings = Settings {
        rounds,
        percent,
        binary,
    };
    for benchmark in selected {
        println!("bench {}: {}", benchmark.name, benchmark.about);
        let report = (benchmark.run)(workspace, &settings)?;
        println!("\n{}", report.body);
        if !dry_run && percent == 100 && settings.binary.is_none() {
            report::write_section(
                workspace,
                PAGE,
                benchmark.name,
                &report.commands,
                &report.body,
            )?;
        }
    }
    Ok(())
}
