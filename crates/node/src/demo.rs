//! `isles demo`: several regions on one machine.

use crate::cli::DemoOptions;

/// Runs the demo.
pub(crate) fn run(options: DemoOptions) -> anyhow::Result<()> {
    anyhow::bail!("cannot start {} regions yet", options.regions)
}
