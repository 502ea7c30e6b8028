//! `cargo xtask ci`: exactly what CI runs, cheapest check first.

use anyhow::Result;

use crate::arguments::Arguments;
use crate::workspace::Workspace;
use crate::{process, test, tidy};

/// Crates that people embed in browsers and devices.
const NO_STD: &[&str] = &["isles-clock", "isles-crdt"];
/// Where fuzz targets are.
const FUZZED: &[&str] = &["crates/clock/fuzz", "crates/crdt/fuzz"];
/// Targets without an operating system, where a forgotten `use std` cannot compile, and the one of browsers.
const TARGETS: &[&str] = &["x86_64-unknown-none", "wasm32-unknown-unknown"];

/// Runs every check and then the tests.
pub(crate) fn run(workspace: &Workspace, mut arguments: Arguments) -> Result<()> {
    let skip_tests = arguments.flag("--no-test");
    arguments.end()?;
    process::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    tidy::run(workspace, Arguments::new([]))?;
    test_alerts(workspace)?;
    process::run(&mut workspace.cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    check_optional(workspace)?;
    check_no_std(workspace)?;
    build_fuzz_targets(workspace)?;
    let mut docs = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
    process::run(docs.env("RUSTDOCFLAGS", "-D warnings"))?;
    if skip_tests {
        Ok(())
    } else {
        test::run(workspace, Arguments::new([]))
    }
}

/// Lints and documentation of what only features bring.
fn check_optional(workspace: &Workspace) -> Result<()> {
    for package in test::OPTIONAL {
        let all = ["--package", package, "--all-features"];
        let mut clippy = workspace.cargo(&["clippy", "--all-targets"]);
        process::run(clippy.args(all).args(["--", "-D", "warnings"]))?;
        let mut docs = workspace.cargo(&["doc", "--no-deps"]);
        process::run(docs.args(all).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

/// Alert rules are code: each has series for which it fires and series for which it must not.
fn test_alerts(workspace: &Workspace) -> Result<()> {
    let folder = workspace.root.join("deploy/prometheus");
    let promtool = |arguments: &[&str]| {
        let mut command = std::process::Command::new("promtool");
        command.args(arguments).current_dir(&folder);
        command
    };
    if process::output(&mut promtool(&["--version"])).is_err() {
        println!(
            "note: promtool is not installed, so the alert rules are not tested; it comes with Prometheus (`apt-get install prometheus`)"
        );
        return Ok(());
    }
    process::run(&mut promtool(&["check", "rules", "alerts.yml"]))?;
    process::run(&mut promtool(&["test", "rules", "alerts_test.yml"]))
}

fn check_no_std(workspace: &Workspace) -> Result<()> {
    for target in TARGETS {
        let installed = is_installed(target);
        if !installed {
            println!(
                "note: {target} is not installed, so no_std is checked on this machine's own target, which is weaker; \
                 `rustup target add {target}` does better"
            );
        }
        for package in NO_STD {
            let mut command =
                workspace.cargo(&["check", "--package", package, "--no-default-features"]);
            if installed {
                command.args(["--target", target]);
            }
            process::run(&mut command)?;
        }
    }
    Ok(())
}

/// Fuzz targets are workspaces of their own, with flags of their own beside them: nothing else notices when they break.
fn build_fuzz_targets(workspace: &Workspace) -> Result<()> {
    for folder in FUZZED {
        let mut command = workspace.cargo(&["build", "--locked"]);
        process::run(command.current_dir(workspace.root.join(folder)))?;
    }
    Ok(())
}

fn is_installed(target: &str) -> bool {
    let mut rustc = std::process::Command::new("rustc");
    process::output(rustc.args(["--print", "target-libdir", "--target", target]))
        .is_ok_and(|path| std::path::Path::new(path.trim()).is_dir())
}
