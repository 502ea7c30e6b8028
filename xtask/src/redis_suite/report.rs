//! The table, the list of failures, and whether the goals were reached.

use anyhow::{Result, bail};

use super::results::Results;
use super::{Goal, SuiteFile};
use crate::report;
use crate::workspace::Workspace;

/// A file and how it went.
pub(super) struct Outcome {
    pub(super) file: SuiteFile,
    pub(super) results: Results,
}

impl Outcome {
    /// Passed tests in percent of what Redis passes; never rounded up to a goal.
    fn percent(&self) -> usize {
        self.results.passed * 100 / self.file.baseline
    }

    /// Passed tests in percent of what is left when those named in the skipfile are taken out.
    fn percent_of_rest(&self) -> usize {
        self.results.passed * 100
            / self
                .file
                .baseline
                .saturating_sub(self.results.skipped)
                .max(1)
    }

    fn reached(&self) -> bool {
        match self.file.goal {
            Goal::Percent(goal) => self.results.passed * 100 >= goal * self.file.baseline,
            Goal::None => true,
        }
    }
}

/// A table in Markdown, which reads well on a terminal too.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![];
    for outcome in outcomes {
        let Results {
            passed,
            skipped,
            failures,
        } = &outcome.results;
        let goal = match outcome.file.goal {
            Goal::Percent(goal) => format!("{goal} %"),
            Goal::None => "-".to_owned(),
        };
        rows.push(vec![
            outcome.file.name.to_owned(),
            passed.to_string(),
            failures.len().to_string(),
            skipped.to_string(),
            outcome.file.baseline.to_string(),
            format!("{} %", outcome.percent()),
            format!("{} %", outcome.percent_of_rest()),
            goal,
            if outcome.reached() { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    report::table(
        &[
            "file",
            "passed",
            "failed",
            "skipped",
            "Redis passes",
            "of Redis",
            "without skipped",
            "goal",
            "reached",
        ],
        &rows,
    )
}

pub(super) fn failures(outcomes: &[Outcome]) -> String {
    let lines = outcomes.iter().flat_map(|outcome| {
        outcome
            .results
            .failures
            .iter()
            .map(|failure| format!("failed: {}: {failure}\n", outcome.file.name))
    });
    lines.collect()
}

/// Publishes the table.
pub(super) fn write(workspace: &Workspace, with_peer: bool, outcomes: &[Outcome]) -> Result<()> {
    let (name, command) = match with_peer {
        false => ("redis-suite", "cargo xtask redis-suite --write"),
        true => (
            "redis-suite-with-peer",
            "cargo xtask redis-suite --with-peer --write",
        ),
    };
    report::write_section(
        workspace,
        "docs/benchmarks.md",
        name,
        &[command.to_owned()],
        &table(outcomes),
    )
}

pub(super) fn verdict(outcomes: &[Outcome]) -> Result<()> {
    let missed: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| !outcome.reached())
        .map(|outcome| outcome.file.name)
        .collect();
    if missed.is_empty() {
        Ok(())
    } else {
        bail!("below the goal: {}", missed.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(passed: usize, failed: usize, goal: Goal) -> Outcome {
        let results = Results {
            passed,
            skipped: 0,
            failures: vec!["x".to_owned(); failed],
        };
        Outcome {
            file: SuiteFile {
                name: "unit/x",
                baseline: 72,
                goal,
            },
            results,
        }
    }

    #[test]
    fn goals_are_not_rounded() {
        assert!(!outcome(68, 4, Goal::Percent(95)).reached());
        assert!(outcome(69, 3, Goal::Percent(95)).reached());
        assert!(verdict(&[outcome(1, 0, Goal::Percent(95))]).is_err());
    }
}
