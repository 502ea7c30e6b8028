//! What was claimed and whether it held.

use std::time::Duration;

use super::super::screen::Screen;

/// All checks so far.
#[derive(Debug, Default)]
pub(super) struct Checks {
    held: usize,
    failed: Vec<String>,
}

impl Checks {
    /// Compares and says so; a failed check does not end the story, but the verdict remembers it.
    ///
    /// # Errors
    /// If nobody reads the output any more.
    pub(super) fn check(
        &mut self,
        claim: &str,
        expected: &str,
        found: &str,
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        let held = expected == found;
        match held {
            true => self.held += 1,
            false => self.failed.push(claim.to_owned()),
        }
        let mark = screen.paint(
            if held { "ok" } else { "FAILED" },
            if held { "32" } else { "1;31" },
        );
        screen.line(&format!("   {mark} {claim}"))?;
        if !held {
            screen.line(&format!("      expected  {expected}"))?;
            screen.line(&format!("      found     {found}"))?;
        }
        Ok(())
    }

    /// # Errors
    /// Names the checks that failed.
    pub(super) fn verdict(&self, took: Duration, screen: &mut Screen) -> anyhow::Result<()> {
        let total = self.held + self.failed.len();
        anyhow::ensure!(
            self.failed.is_empty(),
            "{} of {total} checks failed: {}",
            self.failed.len(),
            self.failed.join("; ")
        );
        screen.line("")?;
        screen.heading(&format!(
            "All {total} checks held, in {:.1} s.",
            took.as_secs_f64()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_spoils_the_verdict() {
        let (mut checks, mut screen) = (Checks::default(), Screen::new());
        checks.check("one is one", "1", "1", &mut screen).unwrap();
        checks.verdict(Duration::ZERO, &mut screen).unwrap();
        checks.check("one is two", "1", "2", &mut screen).unwrap();
        let error = checks
            .verdict(Duration::ZERO, &mut screen)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "1 of 2 checks failed: one is two");
    }
}
