//! What makes one element of a set present, or a flag enabled: adding wins.

use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext, Stamp};
use serde::{Deserialize, Deserializer, Serialize};
use smallvec::SmallVec;

use super::{Member, Nested, OpBased};
use crate::dots::{DotStore, Writer, join_entries, lacking_entries};
use crate::update::FlagUpdate;
use crate::{Crdt, decode};

/// The dots of the additions that no operation has observed; the element is present while there is one.
///
/// An addition takes the place of the additions its writer had observed, so that there are never more dots than
/// concurrent writers. A removal clears what its writer had observed, and so loses against a concurrent addition. A
/// single dot needs no allocation.
///
/// ```text
/// eu: add ------------ add (d2) --->  present: the removal had not observed d2
/// us:      \--- remove ------------>
/// ```
///
/// **Cost.** Everything O(1), for a few concurrent writers.
///
/// Bieniusa et al., *An Optimized Conflict-free Replicated Set*, 2012; the `DotSet` of Almeida, Shoker and Baquero, *Delta
/// State Replicated Data Types*, 2018.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
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

impl Crdt for Presence {
    type Update = FlagUpdate;
    type Value = bool;

    fn value(&self) -> bool {
        !self.is_empty()
    }
}

impl OpBased for Presence {
    type Op = FlagUpdate;

    /// Enabling what is enabled is an operation too: it protects against a concurrent one that disables.
    fn prepare(&self, _: Stamp, update: FlagUpdate) -> Option<FlagUpdate> {
        let changes = update == FlagUpdate::Enable || !self.is_empty();
        changes.then_some(update)
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: FlagUpdate) {
        match op {
            FlagUpdate::Enable => {
                self.add(dot, ctx);
            }
            FlagUpdate::Disable => self.remove(ctx),
        }
    }
}

impl Nested for Presence {
    type Listed = ();

    fn is_live(&self) -> bool {
        !self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.dots.is_empty()
    }

    fn prepare_removal(&self) -> Option<()> {
        None
    }

    fn remove_observed(&mut self, ctx: &impl Context, _: Option<&()>) {
        self.remove(ctx);
    }
}

impl DotStore for Presence {
    fn is_state(&self) -> bool {
        true
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.dots.iter().copied().for_each(visit);
    }

    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        join_entries(&mut self.dots, seen, &other.dots, theirs, |dot| *dot);
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: FlagUpdate) -> Self {
        self.wipe(writer);
        if update == FlagUpdate::Enable {
            self.dots.push(writer.dot());
        }
        self.clone()
    }

    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        self.dots.drain(..).for_each(|dot| writer.supersede(dot));
        Self::new()
    }

    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        let dots = lacking_entries(&self.dots, theirs, kept, |dot| *dot);
        Self { dots }
    }
}

impl Member for Presence {
    const KEEPS_REMOVALS: bool = false;
}

impl<'de> Deserialize<'de> for Presence {
    /// Refuses dots out of order, or twice.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dots = decode::ascending(deserializer, |dot: &Dot| dot)?;
        Ok(Self { dots: dots.into() })
    }
}
