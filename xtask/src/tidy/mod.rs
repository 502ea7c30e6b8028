//! `cargo xtask tidy`: the rules of the tree that a compiler does not know.
//!
//! Each rule is a pure function from what it looks at to a list of complaints, so that each has a test with a bad example.

mod decisions;
mod layers;
mod links;
mod manifests;
mod map;
mod rust;
mod sources;

use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::arguments::Arguments;
use crate::workspace::Workspace;

/// One broken rule: where, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    place: String,
    problem: String,
}

impl Complaint {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

impl Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Checks every rule and lists every complaint, not just the first.
pub(crate) fn run(workspace: &Workspace, arguments: Arguments) -> Result<()> {
    arguments.end()?;
    let packages = layers::packages(&workspace.metadata()?)?;
    let root = &workspace.root;
    let files = files(root)?;
    let mut complaints = layers::check(&packages);
    complaints.extend(map::check(
        &read(&root.join("docs/ARCHITECTURE.md"))?,
        &packages,
    ));
    complaints.extend(decisions::check(&files));
    for file in &files {
        let place = file.display().to_string();
        let extension = file.extension().and_then(|extension| extension.to_str());
        match (file.file_name().and_then(|name| name.to_str()), extension) {
            (Some("Cargo.toml"), _) => {
                complaints.extend(manifests::check(&place, &read(&root.join(file))?))
            }
            (_, Some("md")) => {
                complaints.extend(links::check(file, &read(&root.join(file))?, |path| {
                    root.join(path).exists()
                }))
            }
            (_, Some("rs")) => complaints.extend(sources::check(file, &read(&root.join(file))?)),
            _ => {}
        }
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    if !complaints.is_empty() {
        bail!("tidy found {} broken rules", complaints.len());
    }
    println!(
        "tidy: {} packages and {} files keep the rules",
        packages.len(),
        files.len()
    );
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Every file of the tree, relative to its root, sorted; build results and hidden folders left out.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with('.') || name == "target" {
                continue;
            }
            let path = folder.join(&name);
            if entry.file_type()?.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    Ok(found)
}
