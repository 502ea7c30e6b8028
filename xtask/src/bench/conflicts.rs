//! What it costs to detect and resolve a conflict: the replica's own micro-benchmarks, run and read back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Report, Settings};
use crate::process;
use crate::report;
use crate::workspace::Workspace;

const PACKAGE: &str = "isles-replica";
const BENCH: &str = "conflicts";

pub(super) fn run(workspace: &Workspace, _settings: &Settings) -> Result<Report> {
    let results = workspace.target_dir()?.join("criterion");
    if results.exists() {
        fs::remove_dir_all(&results).context("cannot remove old results")?;
    }
    let mut command = workspace.cargo(&[
        "bench",
        "--package",
        PACKAGE,
        "--bench",
        BENCH,
        "--",
        "--noplot",
    ]);
    process::run(&mut command)?;
    let mut rows = Vec::new();
    for file in estimates(&results)? {
        let value: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
        let name = file
            .strip_prefix(&results)?
            .parent()
            .and_then(Path::parent)
            .context("criterion's layout changed")?;
        let median = value["median"]["point_estimate"]
            .as_f64()
            .context("criterion's results changed their shape")?;
        rows.push(vec![name.display().to_string(), format!("{median:.0}")]);
    }
    if rows.is_empty() {
        bail!(
            "{BENCH} of {PACKAGE} left no results in {}",
            results.display()
        );
    }
    let body = format!(
        "Median time of one operation.\n\n{}",
        report::table(&["operation", "ns"], &rows)
    );
    Ok(Report {
        commands: vec![process::line(&command)],
        body,
    })
}

/// Every `new/estimates.json` below the folder, sorted.
fn estimates(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in
            fs::read_dir(&current).with_context(|| format!("cannot read {}", current.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("new/estimates.json") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
