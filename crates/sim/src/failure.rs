//! What a run can find wrong.

use std::fmt;

/// What did not hold; the numbers are those of the design's list of invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// 1: what was acknowledged survives.
    Durability,
    /// 2: equal clocks, equal content and sums.
    Convergence,
    /// 3: every entry once, after everything in its context.
    Order,
    /// 5: conflicts are exactly the concurrent writes.
    Conflicts,
    /// 6, 7, and what each kind means: content and answers are what they are by definition.
    Meaning,
    /// 8: a dot is never used twice.
    Dots,
    /// What is derived adds up with what it is derived from.
    Bookkeeping,
    /// A node can start from what a crash has left.
    Recovery,
    /// Sessions do not end without a reason.
    Sessions,
    /// What is connected comes to rest, with everything everywhere.
    Progress,
    /// Nothing panics.
    Panic,
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub invariant: Invariant,
    /// After so many steps; more than there are steps if it was at the end.
    pub step: usize,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is broken after step {}: {}",
            self.invariant, self.step, self.what
        )
    }
}

/// What a check says.
pub type Checked<T = ()> = Result<T, (Invariant, String)>;

/// Names the invariant that an error breaks.
pub trait Breaks<T> {
    /// An error means that this invariant is broken.
    ///
    /// # Errors
    /// The error, with the invariant.
    fn breaks(self, invariant: Invariant) -> Checked<T>;
}

impl<T, E: fmt::Display> Breaks<T> for Result<T, E> {
    fn breaks(self, invariant: Invariant) -> Checked<T> {
        self.map_err(|error| (invariant, error.to_string()))
    }
}
