//! Development tasks: `cargo xtask <task>`. One file per task; this one is the table.
#![expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]

mod arguments;
mod bench;
mod ci;
mod process;
mod redis_suite;
mod report;
mod resp;
mod servers;
mod sim;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::workspace::Workspace;

/// One row of the table.
struct Task {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Workspace, Arguments) -> anyhow::Result<()>,
}

const TASKS: &[Task] = &[
    Task {
        name: "test",
        arguments: "[-- NEXTEST ARGUMENTS]",
        about: "build and run every test",
        run: test::run,
    },
    Task {
        name: "ci",
        arguments: "[--no-test]",
        about: "exactly what CI runs: format, lints, tidy, no_std, fuzz targets, docs, tests",
        run: ci::run,
    },
    Task {
        name: "tidy",
        arguments: "",
        about: "check the rules of the tree: layers, map, links, sources",
        run: tidy::run,
    },
    Task {
        name: "sim",
        arguments: "[--seeds A..B] [...]",
        about: "run the deterministic simulator, optimised",
        run: sim::run,
    },
    Task {
        name: "bench",
        arguments: "[NAME...] [--rounds 3] [--percent 100] [--binary ISLES] [--dry-run]",
        about: "measure and write docs/benchmarks.md; without a name, everything",
        run: bench::run,
    },
    Task {
        name: "redis-suite",
        arguments: "[--file unit/type/hash]... [--port PORT | --baseline | --with-peer] [--binary ISLES] [--timeout-seconds 600] [--write]",
        about: "run Redis's own test suite against a node",
        run: redis_suite::run,
    },
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(name) = words.next() else {
        print_help();
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print_help();
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("error: there is no task '{name}'; see `cargo xtask help`");
        return ExitCode::from(2);
    };
    let arguments = Arguments::new(words);
    if arguments.asks_for_help() {
        println!(
            "cargo xtask {} {}\n    {}",
            task.name, task.arguments, task.about
        );
        return ExitCode::SUCCESS;
    }
    match Workspace::find().and_then(|workspace| (task.run)(&workspace, arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_help() {
    println!("cargo xtask <task>\n");
    for task in TASKS {
        println!(
            "  {:<12} {}\n  {:<12} {}\n",
            task.name, task.about, "", task.arguments
        );
    }
}
