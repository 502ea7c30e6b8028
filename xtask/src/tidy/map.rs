//! The map has a paragraph for every crate.

use super::Complaint;
use super::layers::Package;

const PLACE: &str = "docs/ARCHITECTURE.md";

pub(super) fn check(map: &str, packages: &[Package]) -> Vec<Complaint> {
    let missing = packages
        .iter()
        .filter(|package| !has_paragraph(map, &heading(package)));
    missing
        .map(|package| {
            Complaint::new(
                PLACE,
                format!("has no heading with a paragraph for {}", heading(package)),
            )
        })
        .collect()
}

fn heading(package: &Package) -> String {
    if package.folder == "xtask" {
        "`xtask`".to_owned()
    } else {
        format!("`crates/{}`", package.folder)
    }
}

/// Some heading names the crate and is followed by text before the next heading.
fn has_paragraph(map: &str, name: &str) -> bool {
    let mut lines = map
        .lines()
        .skip_while(|line| !(line.starts_with('#') && line.contains(name)))
        .skip(1);
    lines
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_needs_text_under_it() {
        assert!(has_paragraph(
            "### `crates/clock`\n\nTime as values.\n",
            "`crates/clock`"
        ));
        assert!(!has_paragraph(
            "### `crates/clock`\n\n### `crates/crdt`\nMerges.\n",
            "`crates/clock`"
        ));
        assert!(!has_paragraph(
            "`crates/clock` is mentioned\n",
            "`crates/clock`"
        ));
    }
}
