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
/// The measurement that the others are compared with.
const BASELINE: &str = "no-conflict";

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
    let mut medians = Vec::new();
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
        medians.push((name.display().to_string(), median));
    }
    if medians.is_empty() {
        bail!(
            "{BENCH} of {PACKAGE} left no results in {}",
            results.display()
        );
    }
    let body = format!(
        "Median time to apply one remote op; the last column is what detecting, recording and resolving the conflict adds to an op that \
         meets none.\n\n{}",
        report::table(&["operation", "ns", "over no conflict"], &rows(&medians))
    );
    Ok(Report {
        commands: vec![process::line(&command)],
        body,
    })
}

fn rows(medians: &[(String, f64)]) -> Vec<Vec<String>> {
    let baseline = medians
        .iter()
        .find(|(name, _)| name.ends_with(BASELINE))
        .map(|(_, median)| *median);
    let row = |(name, median): &(String, f64)| {
        let over = match baseline {
            Some(baseline) if !name.ends_with(BASELINE) => format!("{:.0}", median - baseline),
            _ => "-".to_owned(),
        };
        vec![name.clone(), format!("{median:.0}"), over]
    };
    medians.iter().map(row).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_conflict_adds() {
        let medians = [
            ("apply/lww".to_owned(), 700.0),
            ("apply/no-conflict".to_owned(), 400.0),
        ];
        assert_eq!(
            rows(&medians),
            [
                ["apply/lww", "700", "300"],
                ["apply/no-conflict", "400", "-"]
            ]
        );
    }
}
