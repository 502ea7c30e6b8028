//! Where the tree is and which packages it has, as cargo tells it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// Variables that cargo sets for the program it runs.
const OWN_VARIABLES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"];

/// The checkout that the task works on.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
}

impl Workspace {
    /// Cargo sets `CARGO_MANIFEST_DIR` for `cargo run`, also when the binary was built from another checkout.
    pub(crate) fn find() -> Result<Self> {
        let xtask = std::env::var("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&xtask)
            .parent()
            .context("xtask lies in a folder of the workspace")?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The cargo that started us, at the workspace's root.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(&self.root);
        // What cargo told us about ourselves: build scripts that watch it (ring's does) would be run again, and a third
        // of the tree rebuilt, each time someone goes from plain cargo to a task and back.
        for (name, _) in std::env::vars_os() {
            if OWN_VARIABLES
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        command
    }

    /// `cargo metadata`, with the resolved graph.
    pub(crate) fn metadata(&self) -> Result<Value> {
        let text =
            process::output(&mut self.cargo(&["metadata", "--format-version", "1", "--quiet"]))?;
        serde_json::from_str(&text).context("cargo metadata did not print JSON")
    }

    /// Where build results go, `CARGO_TARGET_DIR` included.
    pub(crate) fn target_dir(&self) -> Result<PathBuf> {
        let text = process::output(&mut self.cargo(&[
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--quiet",
        ]))?;
        let metadata: Value =
            serde_json::from_str(&text).context("cargo metadata did not print JSON")?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo metadata names no target directory")?;
        Ok(PathBuf::from(target))
    }

    /// The optimised `isles`: `given`, to measure another build of it, or else built now.
    pub(crate) fn node_binary(&self, given: Option<&Path>) -> Result<PathBuf> {
        if let Some(binary) = given {
            return binary
                .canonicalize()
                .with_context(|| format!("there is no {}", binary.display()));
        }
        process::run(&mut self.cargo(&["build", "--release", "--package", "isles-node"]))?;
        Ok(self.target_dir()?.join("release").join("isles"))
    }
}
