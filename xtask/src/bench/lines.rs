//! What benches of other crates print: a line per measurement, its parts separated by tabs.

use anyhow::{Context, Result};

use super::rounds::median;

/// Whose measurements others are a ratio of.
const LIMIT: &str = "raw disk";

/// One printed line: what kind of measurement, of whom, and its numbers.
pub(super) struct Line {
    pub(super) kind: String,
    pub(super) who: String,
    pub(super) numbers: Vec<f64>,
}

/// Reads all that a bench has printed.
///
/// # Errors
/// A line is not of this shape.
pub(super) fn read(printed: &str) -> Result<Vec<Line>> {
    printed.lines().map(line).collect()
}

fn line(text: &str) -> Result<Line> {
    let mut parts = text.split('\t').map(str::to_owned);
    let (kind, who) = parts
        .next()
        .zip(parts.next())
        .with_context(|| format!("the bench printed '{text}'"))?;
    // What was not measured is empty.
    let numbers = parts.map(|part| part.parse().unwrap_or(f64::NAN));
    Ok(Line {
        kind,
        who,
        numbers: numbers.collect(),
    })
}

/// Whom a kind has measured, in the order of the first round.
pub(super) fn who(lines: &[Line], kind: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in lines.iter().filter(|line| line.kind == kind) {
        if !names.contains(&line.who) {
            names.push(line.who.clone());
        }
    }
    names
}

/// One number of a candidate, round by round.
pub(super) fn series(lines: &[Line], kind: &str, who: &str, column: usize) -> Vec<f64> {
    let lines = lines
        .iter()
        .filter(|line| line.kind == kind && line.who == who);
    lines
        .map(|line| line.numbers.get(column).copied().unwrap_or(f64::NAN))
        .collect()
}

/// The median of the rounds' ratios to the raw disk.
pub(super) fn share(lines: &[Line], kind: &str, who: &str) -> f64 {
    let limits = series(lines, kind, LIMIT, 0);
    let values = series(lines, kind, who, 0);
    median(
        values
            .iter()
            .zip(limits)
            .map(|(value, limit)| value / limit)
            .collect(),
    )
}

/// As a cell of a table; what was not measured is empty.
pub(super) fn number(value: f64, digits: usize) -> String {
    match value.is_nan() {
        true => String::new(),
        false => format!("{value:.digits$}"),
    }
}
