//! `isles identity`: who a data directory writes as.

use std::path::Path;

use crate::config::{Config, Overrides};
use crate::database;

/// Gives the data directory a new replica id, and says what that means for what it holds.
///
/// # Errors
/// The configuration is bad, the node runs, or its data cannot be read.
pub(crate) fn renew(config: &Path) -> anyhow::Result<()> {
    let config = Config::load(Some(config), &Overrides::default())?;
    let renewed = database::renew(&config)?;
    println!(
        "{place}: node {node} goes on as replica {new} from its next start; it was {old}.

What it holds stays, and counts as {old}'s, through entry {through}. Start it; then
- entries of {old} that its peers have and it lacks come to it from them;
- entries of {old} that it has and they lack are fetched by them from it, as they are, under their old numbers.

It does not wait for the first of these: until they have arrived, it serves what it holds.

If peers then log that \"the histories of replica {old} differ\", this directory was written to after it had been
restored or copied, and one number stands for two entries. A new id cannot mend that: export what only this node holds,
move {place} away, and let the node start with an empty directory beside its peers.",
        place = config.data_dir.display(),
        node = config.node,
        new = renewed.new,
        old = renewed.old,
        through = renewed.through,
    );
    Ok(())
}
