//! What makes one element of a set present, or a flag enabled: removing wins.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext, Stamp, VectorClock};
use serde::{Deserialize, Deserializer, Serialize};
use smallvec::SmallVec;

use super::{Member, Nested, OpBased};
use crate::dots::{DotStore, Writer, join_entries, lacking_entries};
use crate::update::FlagUpdate;
use crate::{Crdt, decode};

/// Additions and removals of one element, where a removal beats every addition that had not observed it.
///
/// The element is present while there is an addition that has observed *every* removal. So a removal keeps its dot even
/// if an addition has observed it: a third addition, still on its way, may not have. That is residue, one dot per
/// removed element and concurrent remover, until [`forget`](Crdt::forget) may drop it. Somebody else may still have it
/// then, so an addition made after forgetting carries a clock of the removals that were forgotten: one entry for each
/// replica of which a removal was, until the addition is stable itself.
///
/// ```text
/// eu: add ------------ add -------->  absent: the second addition had not observed the removal
/// us:      \--- remove ------------>
/// ```
///
/// **Cost.** Everything O(1), for a few concurrent writers.
///
/// The semantics are those of Bieniusa et al., *Semantics of Eventually Consistent Replicated Sets*, 2012, made strict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Veto {
    // Invariant: sorted, each dot at most once; no removal that another one had observed.
    removals: SmallVec<[Dot; 1]>,
    // Invariant: sorted by dot, each at most once; no addition that a removal or another addition had observed.
    additions: SmallVec<[Addition; 1]>,
}

/// An addition, and which of the removals that were there it had observed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
struct Addition {
    dot: Dot,
    // Invariant: sorted; of the removals that are gone for good none, so that equal states are equal values.
    observed: Box<[Dot]>,
    // What had been forgotten where it was written, and so had been observed: elsewhere it may still be here. None for
    // a writer that never forgot, and once the addition is stable. This is the one thing that is ever changed under a
    // dot: it is dropped where all that it names is gone, and whoever brings the addition without it says so as well.
    forgotten: Option<Box<VectorClock>>,
}

impl Addition {
    fn has_observed(&self, removals: &[Dot]) -> bool {
        removals.iter().all(|removal| {
            self.observed.binary_search(removal).is_ok()
                || self
                    .forgotten
                    .as_ref()
                    .is_some_and(|forgotten| forgotten.covers(*removal))
        })
    }
}

impl Veto {
    /// An element that nobody has touched.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the element by `dot`: it is present unless a removal is here that its writer had not observed.
    pub fn add(&mut self, dot: Dot, ctx: &impl Context) {
        let removals = self.removals.iter().copied();
        let observed = removals.filter(|removal| ctx.covers(*removal)).collect();
        self.additions.retain(|old| !ctx.covers(old.dot));
        let place = self.additions.binary_search_by_key(&dot, |old| old.dot);
        if let Err(index) = place {
            let addition = Addition {
                dot,
                observed,
                forgotten: None,
            };
            self.additions.insert(index, addition);
        }
    }

    /// Removes the element by `dot`, also where it is absent.
    pub fn remove(&mut self, dot: Dot, ctx: &impl Context) {
        self.reset(ctx);
        if let Err(index) = self.removals.binary_search(&dot) {
            self.removals.insert(index, dot);
        }
    }

    /// Drops every addition that `ctx` covers. Removals stay, and go on beating what has not observed them.
    pub fn withdraw(&mut self, ctx: &impl Context) {
        self.additions.retain(|old| !ctx.covers(old.dot));
    }

    /// Drops every addition and removal that `ctx` covers, as if they had never been.
    pub fn reset(&mut self, ctx: &impl Context) {
        self.additions.retain(|old| !ctx.covers(old.dot));
        self.removals.retain(|old| !ctx.covers(*old));
        self.prune(|_| true);
    }

    /// Forgets of the additions that they observed removals that are not here, where these will not come any more.
    fn prune(&mut self, is_gone: impl Fn(Dot) -> bool) {
        let removals = &self.removals;
        let is_left = |dot: &Dot| removals.binary_search(dot).is_ok() || !is_gone(*dot);
        for addition in &mut self.additions {
            if !addition.observed.iter().all(is_left) {
                addition.observed = addition.observed.iter().copied().filter(is_left).collect();
            }
        }
    }

    /// Whether the element is present.
    #[must_use]
    pub fn is_present(&self) -> bool {
        let mut additions = self.additions.iter();
        additions.any(|addition| addition.has_observed(&self.removals))
    }

    /// The additions that make it present, in order: those that have observed every removal.
    pub fn present_by(&self) -> impl Iterator<Item = Dot> {
        let additions = self.additions.iter();
        additions
            .filter(|addition| addition.has_observed(&self.removals))
            .map(|addition| addition.dot)
    }

    /// The removals that no other removal had observed, in order.
    #[must_use]
    pub fn removals(&self) -> &[Dot] {
        &self.removals
    }
}

impl Crdt for Veto {
    type Update = FlagUpdate;
    type Value = bool;

    fn value(&self) -> bool {
        self.is_present()
    }

    /// Drops removals that are stable, and the additions that they beat, once those are stable too: until then somebody
    /// may remove a key above them that has observed the removal and not the addition, which is present again after it.
    fn forget(&mut self, stable: &VectorClock) {
        let removals = core::mem::take(&mut self.removals);
        let is_over = |removal: &Dot| {
            let beaten = |addition: &Addition| !addition.has_observed(&[*removal]);
            let mut additions = self.additions.iter();
            stable.covers(*removal)
                && additions.all(|addition| !beaten(addition) || stable.covers(addition.dot))
        };
        let (gone, kept): (SmallVec<[Dot; 1]>, _) = removals.into_iter().partition(is_over);
        self.removals = kept;
        self.additions
            .retain(|addition| addition.has_observed(&gone));
        self.prune(|dot| gone.contains(&dot));
        for addition in &mut self.additions {
            addition.forgotten.take_if(|_| stable.covers(addition.dot));
        }
    }
}

impl OpBased for Veto {
    type Op = FlagUpdate;

    /// Always an operation: removing what is absent beats an addition that is on its way.
    fn prepare(&self, _: Stamp, update: FlagUpdate) -> Option<FlagUpdate> {
        Some(update)
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: FlagUpdate) {
        match op {
            FlagUpdate::Enable => self.add(dot, ctx),
            FlagUpdate::Disable => self.remove(dot, ctx),
        }
    }
}

impl Nested for Veto {
    type Listed = ();

    fn is_live(&self) -> bool {
        self.is_present()
    }

    fn is_empty(&self) -> bool {
        self.removals.is_empty() && self.additions.is_empty()
    }

    fn prepare_removal(&self) -> Option<()> {
        None
    }

    fn forget_all(&mut self) {
        self.additions
            .retain(|addition| addition.has_observed(&self.removals));
        self.removals.clear();
        for addition in &mut self.additions {
            addition.observed = Box::default();
            addition.forgotten = None;
        }
    }

    fn remove_observed(&mut self, ctx: &impl Context, _: Option<&()>) {
        self.reset(ctx);
    }
}

impl DotStore for Veto {
    fn is_state(&self) -> bool {
        true
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        let additions = self.additions.iter().map(|addition| addition.dot);
        self.removals
            .iter()
            .copied()
            .chain(additions)
            .for_each(visit);
    }

    fn each_removal(&self, visit: &mut dyn FnMut(Dot)) {
        self.removals.iter().copied().for_each(visit);
    }

    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        for addition in &mut self.additions {
            // Where one side knows that the addition is stable, it is.
            let twin = other.additions.iter().find(|twin| twin.dot == addition.dot);
            addition
                .forgotten
                .take_if(|_| twin.is_some_and(|twin| twin.forgotten.is_none()));
        }
        join_entries(&mut self.removals, seen, &other.removals, theirs, |dot| {
            *dot
        });
        join_entries(
            &mut self.additions,
            seen,
            &other.additions,
            theirs,
            |addition| addition.dot,
        );
        self.prune(|dot| seen.covers(dot) || theirs.covers(dot));
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: FlagUpdate) -> Self {
        let mut fragment = Self::new();
        self.additions
            .drain(..)
            .for_each(|old| writer.supersede(old.dot));
        match update {
            FlagUpdate::Enable => {
                let addition = Addition {
                    dot: writer.dot(),
                    observed: self.removals.as_slice().into(),
                    forgotten: writer.forgotten().cloned().map(Box::new),
                };
                fragment.additions.push(addition.clone());
                self.additions.push(addition);
            }
            FlagUpdate::Disable => {
                self.removals
                    .drain(..)
                    .for_each(|old| writer.supersede(old));
                let dot = writer.dot();
                fragment.removals.push(dot);
                self.removals.push(dot);
            }
        }
        fragment
    }

    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        self.each_dot(&mut |dot| writer.supersede(dot));
        *self = Self::new();
        Self::new()
    }

    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        Self {
            removals: lacking_entries(&self.removals, theirs, kept, |dot| *dot),
            additions: lacking_entries(&self.additions, theirs, kept, |addition| addition.dot),
        }
    }
}

impl Member for Veto {
    const KEEPS_REMOVALS: bool = true;
}

impl<'de> Deserialize<'de> for Addition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            dot: Dot,
            observed: Ascending,
            forgotten: Option<Box<VectorClock>>,
        }
        let Parts {
            dot,
            observed,
            forgotten,
        } = Parts::deserialize(deserializer)?;
        Ok(Self {
            dot,
            observed: observed.0.into(),
            forgotten,
        })
    }
}

/// Dots in order.
struct Ascending(Vec<Dot>);

impl<'de> Deserialize<'de> for Ascending {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        decode::ascending(deserializer, |dot: &Dot| dot).map(Self)
    }
}

/// Additions in the order of their dots.
struct Additions(Vec<Addition>);

impl<'de> Deserialize<'de> for Additions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        decode::ascending(deserializer, |addition: &Addition| &addition.dot).map(Self)
    }
}

impl<'de> Deserialize<'de> for Veto {
    /// Refuses dots out of order, or twice.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            removals: Ascending,
            additions: Additions,
        }
        let parts = Parts::deserialize(deserializer)?;
        Ok(Self {
            removals: parts.removals.0.into(),
            additions: parts.additions.0.into(),
        })
    }
}
