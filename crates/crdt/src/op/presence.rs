//! What makes one element of a set present.

use isles_clock::{Context, Dot};
use smallvec::SmallVec;

/// The dots of the additions that no operation has observed; the element is present while there is one.
///
/// An addition takes the place of the additions its writer had observed, so that there are never more dots than
/// concurrent writers. A removal clears what its writer had observed, and so loses against a concurrent addition. A
/// single dot needs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Presence {
    // Invariant: sorted, each dot at most once.
    dots: SmallVec<[Dot; 1]>,
}

impl Presence {
    /// An element that is absent.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the element by `dot`; says whether additions remain that its writer had not observed.
    pub fn add(&mut self, dot: Dot, ctx: &impl Context) -> bool {
        if let [only] = self.dots.as_mut_slice()
            && ctx.covers(*only)
        {
            *only = dot;
            return false;
        }
        self.dots.retain(|old| !ctx.covers(*old));
        if let Err(index) = self.dots.binary_search(&dot) {
            self.dots.insert(index, dot);
        }
        self.dots.len() > 1
    }

    /// Removes every addition that `ctx` covers.
    pub fn remove(&mut self, ctx: &impl Context) {
        self.dots.retain(|dot| !ctx.covers(*dot));
    }

    /// The additions that no operation has observed, in order.
    #[inline]
    pub fn dots(&self) -> &[Dot] {
        &self.dots
    }

    /// Whether the element is absent.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.dots.is_empty()
    }
}

impl From<Dot> for Presence {
    #[inline]
    fn from(dot: Dot) -> Self {
        Self {
            dots: smallvec::smallvec![dot],
        }
    }
}

impl FromIterator<Dot> for Presence {
    /// An element with these additions, as read back from where they were stored.
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut dots: SmallVec<[Dot; 1]> = dots.into_iter().collect();
        dots.sort_unstable();
        dots.dedup();
        Self { dots }
    }
}
