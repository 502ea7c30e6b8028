//! The port: siblings in, one answer out.

use std::borrow::Cow;

use isles_clock::{Dot, Hlc, Stamp};

use crate::{Failure, Sums};

/// One of several values of a register that were written concurrently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sibling<'a> {
    /// The write.
    pub dot: Dot,
    /// Its place in the order that is the same everywhere.
    pub stamp: Stamp,
    /// What was written.
    pub value: &'a [u8],
    /// What the write knew of differences of numbers, where it came with that.
    pub sums: Option<&'a Sums>,
}

impl<'a> Sibling<'a> {
    /// The value that the write `dot` brought at `hlc`.
    #[inline]
    #[must_use]
    pub const fn new(dot: Dot, hlc: Hlc, value: &'a [u8]) -> Self {
        Self {
            dot,
            stamp: Stamp::new(hlc, dot.replica),
            value,
            sums: None,
        }
    }

    /// The same with what the write knew of differences.
    #[inline]
    #[must_use]
    pub const fn with_sums(self, sums: Option<&'a Sums>) -> Self {
        Self { sums, ..self }
    }
}

/// What a resolver makes of a set of siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution<'a> {
    /// One answer.
    One {
        /// The answer.
        value: Cow<'a, [u8]>,
        /// The place of the sibling that it is, or `None` where it was made from several.
        winner: Option<usize>,
    },
    /// All of them: the reader decides.
    Many,
    /// It should have answered and could not. That never chooses: the reader gets all of them, and is told why.
    Failed(Failure),
}

impl<'a> Resolution<'a> {
    /// The resolution that the sibling at `index` wins.
    #[inline]
    #[must_use]
    pub fn winner_at(siblings: &[Sibling<'a>], index: usize) -> Self {
        Self::One {
            value: Cow::Borrowed(siblings[index].value),
            winner: Some(index),
        }
    }

    /// The resolution that was made from several siblings and is none of them.
    #[inline]
    #[must_use]
    pub const fn made(value: Cow<'a, [u8]>) -> Self {
        Self::One {
            value,
            winner: None,
        }
    }

    /// The answer, where there is one.
    #[inline]
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::One { value, .. } => Some(value),
            Self::Many | Self::Failed(_) => None,
        }
    }

    /// The place of the sibling that won, where one of them did.
    #[inline]
    #[must_use]
    pub fn winner(&self) -> Option<usize> {
        match self {
            Self::One { winner, .. } => *winner,
            Self::Many | Self::Failed(_) => None,
        }
    }

    /// Why there is no answer, where there should have been one.
    #[inline]
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Failed(failure) => Some(*failure),
            Self::One { .. } | Self::Many => None,
        }
    }
}

/// A rule that turns siblings into one answer.
///
/// # Laws
///
/// The answer depends on the set of siblings only:
///
/// * *permutation*: it does not depend on their order;
/// * *duplication*: a sibling that comes twice counts once;
/// * *grouping*: resolving some of them first, and their answer with the rest, gives the same, so that it does not
///   matter who writes an answer back, or when.
///
/// [`laws::check`](crate::laws::check) tries them. Two calls with equal siblings must give equal answers, on every
/// machine and in every version.
///
/// # Failing
///
/// A resolver of somebody else's code may run out of what it is given, or crash. Then it answers
/// [`Failed`](Resolution::Failed), and never one of the siblings instead: limits can differ between versions, so what
/// fails here might answer there, and a choice made in its place would be a second, different answer.
pub trait Resolver {
    /// Resolves `siblings`, of which there is at least one, in the order of their dots.
    fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a>;

    /// Whether the answer depends on what siblings know of differences ([`Sibling::sums`]): from values alone it is not
    /// known.
    fn reads_sums(&self) -> bool {
        false
    }
}

impl<R: Resolver + ?Sized> Resolver for &R {
    fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
        (**self).resolve(siblings)
    }

    fn reads_sums(&self) -> bool {
        (**self).reads_sums()
    }
}

/// A resolver that is part of another one.
pub(crate) type Part = Box<dyn Resolver + Send + Sync>;
