//! Why a resolver that should have answered did not.

use std::fmt;

/// Why there is no answer. The siblings stay as they are, and readers get them as under `multi-value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// There is no resolver of this name here.
    Absent,
    /// What is loaded under the name cannot be run by this version.
    Unusable,
    /// Its code ended itself: it panicked, divided by zero, or reached beyond its memory.
    Trap,
    /// It used up its fuel.
    Fuel,
    /// It called itself too deeply.
    Depth,
    /// It asked for more memory than it may have.
    Memory,
    /// All the siblings together are larger than a resolver is given.
    Input,
    /// Its answer is larger than it may be.
    Answer,
    /// What it named as its answer is not in its memory.
    Bounds,
}

impl Failure {
    /// Every failure.
    pub const ALL: [Self; 9] = [
        Self::Absent,
        Self::Unusable,
        Self::Trap,
        Self::Fuel,
        Self::Depth,
        Self::Memory,
        Self::Input,
        Self::Answer,
        Self::Bounds,
    ];

    /// One word, as in metrics.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Unusable => "unusable",
            Self::Trap => "trap",
            Self::Fuel => "fuel",
            Self::Depth => "depth",
            Self::Memory => "memory",
            Self::Input => "input",
            Self::Answer => "answer",
            Self::Bounds => "bounds",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no such resolver is loaded",
            Self::Unusable => "the resolver cannot be run by this version",
            Self::Trap => "the resolver crashed",
            Self::Fuel => "the resolver used up its fuel",
            Self::Depth => "the resolver called itself too deeply",
            Self::Memory => "the resolver asked for more memory than it may have",
            Self::Input => "the siblings are larger than a resolver is given",
            Self::Answer => "the answer is larger than the resolver may give",
            Self::Bounds => "the answer is not in the resolver's memory",
        })
    }
}

impl std::error::Error for Failure {}
