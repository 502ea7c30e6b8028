//! `cargo xtask redis-suite`: the tests that Redis's authors wrote, run against a node.
//!
//! Each file of the suite runs as its own process, with its own time-out, against its own fresh server: some tests change
//! settings that make later files hang even against Redis.

mod download;
mod report;
mod results;
mod run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::report::Outcome;
use self::run::Suite;
use crate::arguments::Arguments;
use crate::servers::{NodePlan, Pair, Running};
use crate::workspace::Workspace;

/// A file of the suite and what is expected of us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SuiteFile {
    pub(crate) name: &'static str,
    /// Tests that Redis 7.0.15 itself passes in this mode.
    pub(crate) baseline: usize,
    pub(crate) goal: Goal,
}

/// When a file counts as good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// This share of what Redis passes, skipped tests counted as not passed.
    Percent(usize),
    /// Just measured.
    None,
}

const fn file(name: &'static str, baseline: usize, goal: Goal) -> SuiteFile {
    SuiteFile {
        name,
        baseline,
        goal,
    }
}

/// Those with a goal run by default.
const FILES: &[SuiteFile] = &[
    file("unit/type/string", 72, Goal::Percent(97)),
    file("unit/type/incr", 23, Goal::Percent(97)),
    file("unit/type/hash", 72, Goal::Percent(97)),
    file("unit/type/set", 94, Goal::Percent(97)),
    file("unit/type/zset", 270, Goal::Percent(97)),
    file("unit/geo", 59, Goal::Percent(97)),
    file("unit/expire", 56, Goal::Percent(97)),
    file("unit/protocol", 19, Goal::Percent(97)),
    file("unit/keyspace", 42, Goal::Percent(97)),
    file("unit/scan", 17, Goal::Percent(97)),
    file("unit/multi", 32, Goal::Percent(97)),
    file("unit/quit", 3, Goal::Percent(97)),
    file("unit/type/list", 219, Goal::Percent(97)),
    file("unit/type/list-3", 9, Goal::Percent(97)),
    file("unit/bitops", 45, Goal::Percent(97)),
    file("unit/bitfield", 16, Goal::Percent(97)),
    file("unit/hyperloglog", 16, Goal::Percent(97)),
    file("unit/sort", 48, Goal::Percent(97)),
    file("unit/type/stream", 63, Goal::Percent(97)),
    file("unit/type/stream-cgroups", 48, Goal::Percent(97)),
    file("unit/dump", 9, Goal::Percent(97)),
    file("unit/pubsub", 29, Goal::Percent(97)),
    file("unit/introspection", 27, Goal::Percent(97)),
    file("unit/introspection-2", 37, Goal::Percent(97)),
    file("unit/scripting", 182, Goal::Percent(97)),
    file("unit/functions", 86, Goal::Percent(97)),
    file("unit/other", 7, Goal::Percent(97)),
    file("unit/pause", 14, Goal::Percent(97)),
    file("unit/slowlog", 9, Goal::Percent(97)),
    file("unit/latency-monitor", 13, Goal::Percent(97)),
    file("unit/info-command", 3, Goal::Percent(97)),
    file("unit/tracking", 51, Goal::Percent(97)),
];

/// Skipped where a peer replicates: asks for one good replica and expects that there is none.
const NOT_BESIDE_A_PEER: &[&str] = &["not enough good replicas"];

/// Long enough for the slowest file on a slow machine.
const TIMEOUT_SECONDS: u64 = 600;
/// How long a peer may take to catch up with the suite's writes.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);

/// What the files run against.
enum Target {
    /// A fresh node each.
    Node,
    /// A fresh node with a peer each.
    NodeWithPeer,
    /// A fresh `redis-server` each.
    Baseline,
    /// Whatever listens there.
    Port(u16),
}

/// Downloads the suite if need be, runs the files, prints the table, and fails when a goal is missed.
pub(crate) fn run(workspace: &Workspace, mut arguments: Arguments) -> Result<()> {
    let names = arguments.options("--file")?;
    let port = arguments.option::<u16>("--port")?;
    let timeout = arguments
        .option::<u64>("--timeout-seconds")?
        .unwrap_or(TIMEOUT_SECONDS);
    let (baseline, with_peer) = (arguments.flag("--baseline"), arguments.flag("--with-peer"));
    let given = arguments.option::<PathBuf>("--binary")?;
    let write = arguments.flag("--write");
    arguments.end()?;
    let files = select(&names)?;
    let target = match (port, baseline, with_peer) {
        (None, false, false) => Target::Node,
        (None, false, true) => Target::NodeWithPeer,
        (None, true, false) => Target::Baseline,
        (Some(port), false, false) => Target::Port(port),
        _ => bail!("--port, --baseline and --with-peer exclude each other"),
    };
    let folder = workspace.target_dir()?.join("redis-suite");
    let skipfile = (!baseline).then(|| workspace.root.join("xtask/redis-suite.skip"));
    let also_skipped: &[&str] = match target {
        Target::NodeWithPeer => NOT_BESIDE_A_PEER,
        _ => &[],
    };
    let suite = Suite {
        source: download::source(&folder)?,
        work: folder,
        skipfile,
        also_skipped,
        timeout: Duration::from_secs(timeout),
    };
    let binary = match target {
        Target::Node | Target::NodeWithPeer => Some(workspace.node_binary(given.as_deref())?),
        Target::Baseline | Target::Port(_) => None,
    };
    let mut outcomes = Vec::new();
    for file in files {
        let results = run_file(&suite, file, &target, binary.as_deref())?;
        println!(
            "{:<28} {} passed, {} failed",
            file.name,
            results.passed,
            results.failures.len()
        );
        outcomes.push(Outcome { file, results });
    }
    println!(
        "\n{}\n{}",
        report::table(&outcomes),
        report::failures(&outcomes)
    );
    if write {
        report::write(workspace, with_peer, &outcomes)?;
    }
    report::verdict(&outcomes)
}

fn select(names: &[String]) -> Result<Vec<SuiteFile>> {
    if names.is_empty() {
        return Ok(FILES
            .iter()
            .copied()
            .filter(|file| file.goal != Goal::None)
            .collect());
    }
    let find = |name: &String| {
        let known = FILES
            .iter()
            .copied()
            .find(|file| file.name == name || file.name.rsplit('/').next() == Some(name));
        known.with_context(|| {
            format!("'{name}' is no file of the suite; for example unit/type/hash")
        })
    };
    names.iter().map(find).collect()
}

fn run_file(
    suite: &Suite,
    file: SuiteFile,
    target: &Target,
    binary: Option<&Path>,
) -> Result<results::Results> {
    let folder = suite.work.join("servers").join(file.name.replace('/', "-"));
    let binary = || binary.context("invariant: targets that start a node have built it");
    match target {
        Target::Port(port) => suite.run(file, *port),
        Target::Baseline => {
            let server = Running::redis(&folder, &["--appendonly", "no"])?;
            suite.run(file, server.port)
        }
        Target::Node => {
            let plan = NodePlan {
                binary: binary()?,
                folder: &folder,
                name: "suite",
                durability: "interval",
                more: "",
            };
            let server = Running::node(&plan)?;
            suite.run(file, server.port)
        }
        Target::NodeWithPeer => {
            let pair = Pair::start(binary()?, &folder, "interval")?;
            let results = suite.run(file, pair.first.port)?;
            pair.wait_until_equal(CATCH_UP_MAX)
                .with_context(|| format!("after {}", file.name))?;
            Ok(results)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_selected_by_their_full_or_last_name() {
        let without_goal = FILES.iter().filter(|file| file.goal == Goal::None);
        assert_eq!(
            select(&[]).unwrap().len() + without_goal.count(),
            FILES.len()
        );
        for name in ["unit/type/hash", "hash"] {
            assert_eq!(
                select(&[name.to_owned()]).unwrap()[0].name,
                "unit/type/hash"
            );
        }
        assert!(select(&["hsah".to_owned()]).is_err());
    }
}
