//! Whole runs: from a seed, from steps, and down to the few steps that matter.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::failure::{Checked, Failure, Invariant};
use crate::options::Options;
use crate::step::{self, Step};
use crate::world::{Counts, World};

/// Shrinking stops after so many runs.
const SHRINK_RUNS_MAX: usize = 400;

/// A failed run, and the least that fails in the same way.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was broken first.
    pub failure: Failure,
    /// The steps that are left after shrinking.
    pub steps: Vec<Step>,
    /// What is broken after those.
    pub shrunk: Failure,
}

/// Runs a seed.
///
/// # Errors
/// What is broken.
pub fn run_seed(options: &Options, seed: u64) -> Result<Counts, Failure> {
    run_steps(options, seed, &step::draw(options, seed))
}

/// Executes steps, then heals everything and checks the end.
///
/// # Errors
/// What is broken.
pub fn run_steps(options: &Options, seed: u64, steps: &[Step]) -> Result<Counts, Failure> {
    let mut at = 0;
    let result = catch_unwind(AssertUnwindSafe(|| execute(options, seed, steps, &mut at)));
    let result = result.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        Err((
            Invariant::Panic,
            said.unwrap_or("a panic without a message").to_owned(),
        ))
    });
    result.map_err(|(invariant, what)| Failure {
        invariant,
        step: at,
        what,
    })
}

fn execute(options: &Options, seed: u64, steps: &[Step], at: &mut usize) -> Checked<Counts> {
    let mut world = World::new(options, seed)?;
    for step in steps {
        *at += 1;
        world.execute(step)?;
    }
    *at += 1;
    world.settle()?;
    Ok(world.counts)
}

/// Runs a seed and, if it fails, leaves out steps as long as the same invariant is still broken.
///
/// # Errors
/// The report.
pub fn examine(options: &Options, seed: u64) -> Result<Counts, Box<Report>> {
    let steps = step::draw(options, seed);
    let failure = match run_steps(options, seed, &steps) {
        Ok(counts) => return Ok(counts),
        Err(failure) => failure,
    };
    let steps = steps.into_iter().take(failure.step).collect();
    let (steps, shrunk) = shrink(options, seed, steps, &failure);
    Err(Box::new(Report {
        seed,
        failure,
        steps,
        shrunk,
    }))
}

/// Delta debugging: leaves out ever smaller pieces (Zeller and Hildebrandt, "Simplifying and Isolating
/// Failure-Inducing Input", 2002).
fn shrink(
    options: &Options,
    seed: u64,
    mut steps: Vec<Step>,
    failure: &Failure,
) -> (Vec<Step>, Failure) {
    let mut shrunk = failure.clone();
    let (mut runs, mut piece) = (0, steps.len() / 2);
    while piece > 0 && runs < SHRINK_RUNS_MAX {
        let (mut start, mut progress) = (0, false);
        while start < steps.len() && runs < SHRINK_RUNS_MAX {
            let mut fewer = steps.clone();
            fewer.drain(start..(start + piece).min(steps.len()));
            runs += 1;
            match run_steps(options, seed, &fewer) {
                Err(found) if found.invariant == failure.invariant => {
                    fewer.truncate(found.step);
                    (steps, shrunk, progress) = (fewer, found, true);
                }
                _ => start += piece,
            }
        }
        if !progress || piece > 1 {
            piece /= 2;
        }
    }
    (steps, shrunk)
}

/// Panics become findings; their messages must not drown the report.
pub fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
