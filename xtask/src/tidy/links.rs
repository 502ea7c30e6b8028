//! Relative links and paths of the tree that a page names must exist.

use std::path::{Component, Path, PathBuf};

use super::Complaint;

/// A code span that starts like this is taken for a path of the tree.
const ROOTS: &[&str] = &["crates/", "xtask/", "docs/", "deploy/", ".ci/"];

/// `exists` answers for a path relative to the root of the tree.
pub(super) fn check(page: &Path, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Complaint> {
    let folder = page.parent().unwrap_or(Path::new(""));
    let mut complaints = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
            continue;
        }
        if in_fence {
            continue;
        }
        let place = format!("{}:{}", page.display(), index + 1);
        let links = link_targets(line)
            .filter_map(|target| relative(target))
            .map(|target| (target, normal(&folder.join(target))));
        let spans = code_spans(line)
            .filter_map(tree_path)
            .map(|path| (path, normal(Path::new(path))));
        for (written, path) in links.chain(spans) {
            if !exists(&path) {
                complaints.push(Complaint::new(&place, format!("{written} does not exist")));
            }
        }
    }
    complaints
}

/// The part in round brackets of each `[text](target)`.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

fn relative(target: &str) -> Option<&str> {
    let target = target.split('#').next().unwrap_or_default().trim();
    let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
    (!elsewhere).then_some(target)
}

fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Commands, patterns and placeholders are not paths.
fn tree_path(span: &str) -> Option<&str> {
    let path = span.split(':').next().unwrap_or_default();
    let plain = !path.contains([' ', '*', '<', '>', '{', '}', '…']);
    (plain && ROOTS.iter().any(|root| path.starts_with(root))).then_some(path)
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        let present = ["docs/format.md", "crates/clock/src/lib.rs", "README.md"];
        let found = check(Path::new("docs/ARCHITECTURE.md"), text, |path| {
            present.iter().any(|known| path == Path::new(known))
        });
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_exists_is_fine() {
        assert!(complaints("[bytes](format.md#frames), [first page](../README.md), [site](https://example.org/x)").is_empty());
        assert!(
            complaints("`crates/clock/src/lib.rs:12` and `crates/<name>` and `crates/*/src`")
                .is_empty()
        );
        assert!(complaints("```\n[not a link](nowhere.md)\n```").is_empty());
    }

    #[test]
    fn dead_links_and_paths_are_named_with_their_line() {
        assert_eq!(
            complaints("\n[gone](gone.md)"),
            ["docs/ARCHITECTURE.md:2: gone.md does not exist"]
        );
        assert_eq!(
            complaints("see `crates/clock/src/gone.rs`"),
            ["docs/ARCHITECTURE.md:1: crates/clock/src/gone.rs does not exist"]
        );
    }
}
