//! What Criterion measured, read back from where it leaves it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One measurement of a benchmark that is named `what/who`, or `who`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measurement {
    pub(super) group: String,
    pub(super) what: String,
    pub(super) who: String,
    /// How many elements, replicas; none where the benchmark has no sizes.
    pub(super) size: Option<u64>,
    pub(super) median_ns: f64,
}

/// Forgets earlier runs, so that what is read is of one.
pub(super) fn clear(results: &Path) -> Result<()> {
    if results.exists() {
        fs::remove_dir_all(results).context("cannot remove old results")?;
    }
    Ok(())
}

/// All measurements below a folder.
pub(super) fn read(results: &Path) -> Result<Vec<Measurement>> {
    let mut found = Vec::new();
    for folder in measured(results)? {
        let name = json(&folder.join("benchmark.json"))?;
        let estimates = json(&folder.join("estimates.json"))?;
        let measurement = measurement(&name, &estimates)
            .with_context(|| format!("{} has another shape than before", folder.display()))?;
        found.push(measurement);
    }
    if found.is_empty() {
        bail!("there are no results in {}", results.display());
    }
    Ok(found)
}

fn measurement(name: &Value, estimates: &Value) -> Option<Measurement> {
    let function = name["function_id"].as_str()?;
    let (what, who) = function.rsplit_once('/').unwrap_or(("", function));
    Some(Measurement {
        group: name["group_id"].as_str()?.to_owned(),
        what: what.to_owned(),
        who: who.to_owned(),
        size: name["value_str"]
            .as_str()
            .and_then(|size| size.parse().ok()),
        median_ns: estimates["median"]["point_estimate"].as_f64()?,
    })
}

fn json(file: &Path) -> Result<Value> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// Every folder `new` with a measurement in it, sorted.
fn measured(results: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![results.to_owned()];
    while let Some(current) = folders.pop() {
        let entries =
            fs::read_dir(&current).with_context(|| format!("cannot read {}", current.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.ends_with("new") && path.join("benchmark.json").is_file() {
                found.push(path);
            } else if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_says_what_and_who() {
        let estimates = json!({"median": {"point_estimate": 7.5}});
        let name = json!({"group_id": "aw_set", "function_id": "merge/crdts", "value_str": "10"});
        let found = measurement(&name, &estimates).unwrap();
        assert_eq!(
            (found.what.as_str(), found.who.as_str()),
            ("merge", "crdts")
        );
        assert_eq!((found.size, found.median_ns), (Some(10), 7.5));
        let name = json!({"group_id": "follow", "function_id": "uhlc", "value_str": null});
        let found = measurement(&name, &estimates).unwrap();
        assert_eq!((found.what.as_str(), found.size), ("", None));
        assert_eq!(measurement(&json!({}), &estimates), None);
    }
}
