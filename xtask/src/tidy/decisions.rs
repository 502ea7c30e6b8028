//! Decisions are numbered, each number once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Complaint;

pub(super) fn check(files: &[PathBuf]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for file in files
        .iter()
        .filter(|file| file.parent() == Some(Path::new("docs/decisions")))
    {
        let place = file.display().to_string();
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name == "README.md" {
            continue;
        }
        let Some(number) = number(name) else {
            complaints.push(Complaint::new(
                place,
                "is not named like 0007-why-we-do-this.md",
            ));
            continue;
        };
        if let Some(other) = taken.insert(number, name) {
            complaints.push(Complaint::new(place, format!("has the number of {other}")));
        }
    }
    complaints
}

fn number(name: &str) -> Option<&str> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let good =
        number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()) && !title.is_empty();
    good.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(names: &[&str]) -> Vec<String> {
        let files: Vec<PathBuf> = names
            .iter()
            .map(|name| Path::new("docs/decisions").join(name))
            .collect();
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn numbers_are_unique_and_present() {
        assert!(complaints(&["0001-one-log.md", "0002-one-lock.md", "README.md"]).is_empty());
        assert_eq!(
            complaints(&["0001-one-lock.md", "0001-one-log.md"]),
            ["docs/decisions/0001-one-log.md: has the number of 0001-one-lock.md"]
        );
        assert_eq!(complaints(&["one-log.md", "1-log.md"]).len(), 2);
    }
}
