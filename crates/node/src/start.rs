//! `isles start`: one node until it is told to stop.

use crate::config::Config;

/// Runs the node.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    anyhow::bail!("cannot start {} yet", config.node)
}
