//! Whose data directory it is: a small file beside the log, whose segments name the cluster.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// Its name in the data directory.
const FILE: &str = "node.toml";
/// It is renamed to [`FILE`] once it is whole and on the disk.
const UNFINISHED: &str = "node.toml.new";
/// The newest format that this version reads, and the one that it writes.
const FORMAT: u32 = 1;
const HEAD: &str = "# The node that this data directory belongs to. After a node or a region was renamed, change it here too.\n";

/// What every format begins with, so that a newer one can be told from damage.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    format: u32,
    node: String,
    region: String,
}

impl Owner {
    fn of(config: &Config) -> Owner {
        Owner {
            format: FORMAT,
            node: config.node.clone(),
            region: config.region.clone(),
        }
    }

    fn decode(text: &str) -> anyhow::Result<Owner> {
        let Version { format } = toml::from_str(text).context("it is damaged")?;
        ensure!(
            format == FORMAT,
            "it has format {format}, this version of Isles knows {FORMAT}; run the newer version"
        );
        toml::from_str(text).context("it is damaged")
    }
}

/// Whether the directory belongs to the node of the configuration. Directories of versions that wrote no such file, and
/// new ones, belong to whoever starts there.
///
/// # Errors
/// It belongs to another node or region, or nobody can tell. Nothing is changed.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    let (file, place) = (config.data_dir.join(FILE), config.data_dir.display());
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text.with_context(|| format!("cannot read {}", file.display()))?,
    };
    let found = Owner::decode(&text).with_context(|| {
        format!(
            "cannot tell from {} whose data this is; restore the file, or remove it if {place} is this node's",
            file.display()
        )
    })?;
    ensure!(
        found == Owner::of(config),
        "the data directory {place} belongs to node {} of region {}, the configuration says node {} of region {}; \
         choose another data_dir or correct node and region; if they were renamed on purpose, change them in {} too",
        found.node,
        found.region,
        config.node,
        config.region,
        file.display()
    );
    Ok(())
}

/// Notes whose directory it is, unless that is noted; whole or not at all, whatever happens meanwhile.
///
/// # Errors
/// The directory takes no files.
pub(super) fn claim(config: &Config) -> anyhow::Result<()> {
    let directory = &config.data_dir;
    if directory.join(FILE).exists() {
        return Ok(());
    }
    let write = |directory: &Path| -> anyhow::Result<()> {
        let text = format!("{HEAD}{}", toml::to_string(&Owner::of(config))?);
        let mut file = File::create(directory.join(UNFINISHED))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(directory.join(UNFINISHED), directory.join(FILE))?;
        Ok(File::open(directory)?.sync_all()?)
    };
    write(directory).with_context(|| {
        format!(
            "cannot write {}; check the disk",
            directory.join(FILE).display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // What lies on disks: a change of it needs a new format.
    #[test]
    fn format_1() {
        let owner = Owner {
            format: 1,
            node: "eu-1".to_owned(),
            region: "eu".to_owned(),
        };
        let golden = "format = 1\nnode = \"eu-1\"\nregion = \"eu\"\n";
        assert_eq!(toml::to_string(&owner).unwrap(), golden);
        assert_eq!(Owner::decode(&format!("{HEAD}{golden}")).unwrap(), owner);
        // Spaces and keys that a person or a later version adds do no harm.
        let edited = "more = 1\nregion=\"eu\"\nformat=1\nnode=\"eu-1\"";
        assert_eq!(Owner::decode(edited).unwrap(), owner);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, why) in [
            ("", "damaged"),
            ("format = 1\nnode = \"eu-1\"\n", "damaged"),
            ("format = 2\nwho = 5\n", "run the newer version"),
        ] {
            let error = format!("{:#}", Owner::decode(text).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
