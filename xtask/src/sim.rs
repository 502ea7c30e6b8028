//! `cargo xtask sim`: the simulator's own binary, optimised.

use anyhow::Result;

use crate::arguments::Arguments;
use crate::process;
use crate::workspace::Workspace;

/// Passes every argument on, so that the simulator's help is the only description of them.
pub(crate) fn run(workspace: &Workspace, arguments: Arguments) -> Result<()> {
    let mut command = workspace.cargo(&[
        "run",
        "--release",
        "--quiet",
        "--package",
        "isles-sim",
        "--",
    ]);
    process::run(command.args(arguments.rest()))
}
