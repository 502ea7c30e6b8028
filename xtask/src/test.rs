//! `cargo xtask test`: every test of the workspace.
//!
//! Documentation tests first, because nextest does not know them; then everything else, so that the run ends with
//! nextest's own summary.

use anyhow::Result;

use crate::arguments::Arguments;
use crate::process;
use crate::workspace::Workspace;

/// Programs that end-to-end tests talk to nodes with, and the Debian package that brings each.
const CLIENTS: &[(&str, &str)] = &[("redis-cli", "redis-tools")];

/// Projects in workspaces of their own, which use our crates as anybody's would.
const PROJECTS: &[&str] = &["docs/examples/todo/Cargo.toml"];

/// Crates with features that no default build has: other tables. Tested as a step of their own, since slatedb and the 190
/// crates that it needs take two cores some minutes to build.
pub(crate) const OPTIONAL: &[&str] = &["isles-store"];

/// Builds and runs every test; arguments after `--` go to nextest, which then runs only the default features.
pub(crate) fn run(workspace: &Workspace, mut arguments: Arguments) -> Result<()> {
    arguments.flag("--");
    let passed_on = arguments.rest();
    let all = passed_on.is_empty();
    name_what_is_missing();
    process::run(&mut workspace.cargo(&["test", "--quiet", "--workspace", "--doc"]))?;
    for manifest in PROJECTS {
        process::run(&mut workspace.cargo(&["test", "--quiet", "--manifest-path", manifest]))?;
    }
    if all {
        for package in OPTIONAL {
            run_all_features(workspace, package)?;
        }
    }
    if process::answers("cargo-nextest", &["nextest", "--version"]) {
        let mut command = workspace.cargo(&["nextest", "run", "--workspace", "--no-fail-fast"]);
        return process::run(command.args(passed_on));
    }
    println!(
        "note: cargo-nextest is not installed; falling back to `cargo test`.\n      \
         To install it: cargo install --locked cargo-nextest   (or a prebuilt one from https://get.nexte.st)"
    );
    process::run(&mut workspace.cargo(&[
        "test",
        "--workspace",
        "--lib",
        "--bins",
        "--tests",
        "--no-fail-fast",
    ]))
}

/// Tests one package with every feature it has.
fn run_all_features(workspace: &Workspace, package: &str) -> Result<()> {
    let all = ["--package", package, "--all-features"];
    process::run(workspace.cargo(&["test", "--quiet", "--doc"]).args(all))?;
    let mut command = match process::answers("cargo-nextest", &["nextest", "--version"]) {
        true => workspace.cargo(&["nextest", "run", "--no-fail-fast"]),
        false => workspace.cargo(&["test", "--lib", "--tests", "--no-fail-fast"]),
    };
    process::run(command.args(all))
}

fn name_what_is_missing() {
    for (program, package) in CLIENTS {
        if !process::answers(program, &["--version"]) {
            println!(
                "note: {program} is not installed; tests that use it say so. To install it: apt-get install {package}"
            );
        }
    }
}
