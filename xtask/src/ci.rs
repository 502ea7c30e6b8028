//! `cargo xtask ci`: exactly what CI runs, cheapest check first.

use anyhow::Result;

use crate::arguments::Arguments;
use crate::workspace::Workspace;
use crate::{process, test, tidy};

/// Crates that people embed in browsers and devices.
const NO_STD: &[&str] = &["isles-clock", "isles-crdt"];
/// A target without an operating system: there, a forgotten `use std` cannot compile.
const BARE_TARGET: &str = "x86_64-unknown-none";

/// Runs every check and then the tests.
pub(crate) fn run(workspace: &Workspace, mut arguments: Arguments) -> Result<()> {
    let skip_tests = arguments.flag("--no-test");
    arguments.end()?;
    process::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    tidy::run(workspace, Arguments::new([]))?;
    process::run(&mut workspace.cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    check_no_std(workspace)?;
    let mut docs = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
    process::run(docs.env("RUSTDOCFLAGS", "-D warnings"))?;
    if skip_tests {
        Ok(())
    } else {
        test::run(workspace, Arguments::new([]))
    }
}

fn check_no_std(workspace: &Workspace) -> Result<()> {
    let bare = bare_target_is_installed();
    if !bare {
        println!(
            "note: checking no_std on this machine's own target, which is weaker; `rustup target add {BARE_TARGET}` does better"
        );
    }
    for package in NO_STD {
        let mut command =
            workspace.cargo(&["check", "--package", package, "--no-default-features"]);
        if bare {
            command.args(["--target", BARE_TARGET]);
        }
        process::run(&mut command)?;
    }
    Ok(())
}

fn bare_target_is_installed() -> bool {
    let mut rustc = std::process::Command::new("rustc");
    process::output(rustc.args(["--print", "target-libdir", "--target", BARE_TARGET]))
        .is_ok_and(|path| std::path::Path::new(path.trim()).is_dir())
}
