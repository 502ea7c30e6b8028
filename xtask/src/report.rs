//! Tables, and sections of a page that a task writes between two markers.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// A Markdown table with aligned columns; the first column is left-aligned, numbers follow right-aligned.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(&mut head.iter().copied());
    let rule = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column {
            0 => format!("|{}", "-".repeat(width + 2)),
            _ => format!("|{}:", "-".repeat(width + 1)),
        });
    text.push_str(&format!("{}|\n", rule.collect::<String>()));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// Replaces what lies between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` in a page of the tree.
pub(crate) fn write_section(
    workspace: &Workspace,
    page: &str,
    name: &str,
    commands: &[String],
    body: &str,
) -> Result<()> {
    let path = workspace.root.join(page);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {page}"))?;
    let commands: Vec<String> = commands
        .iter()
        .map(|command| format!("    {command}\n"))
        .collect();
    let section = format!(
        "{}\n\n{}\n{}",
        machine(workspace),
        commands.concat(),
        body.trim_end()
    );
    let replaced = replace_section(&text, name, &section)
        .with_context(|| format!("{page} has no markers for {name}"))?;
    fs::write(&path, replaced).with_context(|| format!("cannot write {page}"))?;
    println!("wrote section {name} of {page}");
    Ok(())
}

fn replace_section(page: &str, name: &str, section: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- bench:{name} -->"),
        format!("<!-- /bench:{name} -->"),
    );
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{section}\n{end}{after}"))
}

/// One sentence on what the numbers were measured with.
fn machine(workspace: &Workspace) -> String {
    let ask = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        process::output(command.args(arguments).current_dir(&workspace.root))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Measured on {} with {} ({cores} cores, {} of memory), Linux {}, commit {}.",
        ask("date", &["-u", "+%Y-%m-%d"]),
        processor(),
        memory(),
        ask("uname", &["-r"]),
        ask("git", &["rev-parse", "--short", "HEAD"]),
    )
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(
        || "an unknown processor".to_owned(),
        |(_, name)| name.to_owned(),
    )
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    format!("{} GiB", kib.unwrap_or(0) / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let rows = vec![
            vec!["a".to_owned(), "1".to_owned()],
            vec!["long".to_owned(), "22".to_owned()],
        ];
        let expected = "| name |  n |\n|------|---:|\n| a    |  1 |\n| long | 22 |\n";
        assert_eq!(table(&["name", "n"], &rows), expected);
    }

    #[test]
    fn only_the_named_section_changes() {
        let page =
            "x\n<!-- bench:a -->\nold\n<!-- /bench:a -->\ny\n<!-- bench:b -->\n<!-- /bench:b -->\n";
        let replaced = replace_section(page, "a", "new").unwrap();
        assert_eq!(replaced, page.replace("old", "new"));
        assert_eq!(replace_section(page, "c", "new"), None);
    }
}
