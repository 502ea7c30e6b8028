//! Every crate takes the workspace's lints.

use super::Complaint;

pub(super) fn check(place: &str, manifest: &str) -> Vec<Complaint> {
    let is_package = manifest.lines().any(|line| line.trim() == "[package]");
    if !is_package || takes_workspace_lints(manifest) {
        return Vec::new();
    }
    vec![Complaint::new(
        place,
        "lacks `[lints]` with `workspace = true`",
    )]
}

fn takes_workspace_lints(manifest: &str) -> bool {
    let after = manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]")
        .skip(1);
    after
        .take_while(|line| !line.starts_with('['))
        .any(|line| line.replace(' ', "") == "workspace=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_the_lints_is_named() {
        assert_eq!(
            check("a", "[package]\nname = \"x\"\n[lints]\nworkspace = true\n"),
            []
        );
        assert_eq!(check("a", "[workspace]\nmembers = []\n"), []);
        assert_eq!(check("a", "[package]\nname = \"x\"\n").len(), 1);
        assert_eq!(
            check("a", "[package]\n[lints]\n[other]\nworkspace = true\n").len(),
            1
        );
    }
}
