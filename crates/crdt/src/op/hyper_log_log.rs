//! How many different things were seen.

use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext, Stamp};
use serde::{Deserialize, Deserializer, Serialize};
use smallvec::SmallVec;

use super::{Nested, OpBased};
use crate::dots::{DotStore, Writer};
use crate::hyper_log_log::{HyperLogLogUpdate, Sketch};
use crate::{Crdt, Merge, decode};

/// Sketches by the dots that created them, for replication by operations; [`HyperLogLog`](crate::HyperLogLog) says what
/// it means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct HyperLogLog {
    // Invariant: in the order of dots, each once.
    sketches: SmallVec<[(Dot, Sketch); 1]>,
}

/// What the operation on a [`HyperLogLog`] carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HyperLogLogOp {
    /// A new sketch, named by the operation's dot.
    Create(Sketch),
    /// The sketch of this name rises; where it is gone, nothing happens.
    Raise(Dot, Sketch),
    /// Everything observed is removed.
    Clear,
}

impl HyperLogLog {
    /// The count of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The union of all sketches.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        let mut union = Sketch::new();
        self.sketches
            .iter()
            .for_each(|(_, sketch)| union.merge(sketch));
        union
    }

    /// The number of different hashes: within 0.81 % of the truth in two of three cases.
    #[must_use]
    pub fn cardinality(&self) -> u64 {
        match self.sketches.as_slice() {
            [(_, only)] => only.cardinality(),
            _ => self.sketch().cardinality(),
        }
    }

    /// The sketches with their names, in the order of these.
    #[must_use]
    pub fn sketches(&self) -> &[(Dot, Sketch)] {
        &self.sketches
    }

    /// What it takes to count `more`: nothing, where the sketch that would rise does so already.
    fn raise(&self, more: Sketch) -> Option<HyperLogLogOp> {
        let Some((dot, first)) = self.sketches.first() else {
            return (!more.is_empty()).then_some(HyperLogLogOp::Create(more));
        };
        let change = more.minus(first);
        (!change.is_empty()).then_some(HyperLogLogOp::Raise(*dot, change))
    }

    fn position(&self, dot: Dot) -> Result<usize, usize> {
        self.sketches.binary_search_by_key(&dot, |(dot, _)| *dot)
    }

    fn put(&mut self, dot: Dot, sketch: &Sketch) {
        match self.position(dot) {
            Ok(index) => self.sketches[index].1.merge(sketch),
            Err(index) => self.sketches.insert(index, (dot, sketch.clone())),
        }
    }
}

impl Crdt for HyperLogLog {
    type Update = HyperLogLogUpdate;
    type Value = u64;

    fn value(&self) -> u64 {
        self.cardinality()
    }
}

impl OpBased for HyperLogLog {
    type Op = HyperLogLogOp;

    fn prepare(&self, _: Stamp, update: HyperLogLogUpdate) -> Option<HyperLogLogOp> {
        match update {
            HyperLogLogUpdate::Add(hashes) => self.raise(hashes.into_iter().collect()),
            HyperLogLogUpdate::Join(sketch) => self.raise(sketch),
            HyperLogLogUpdate::Clear => (!self.sketches.is_empty()).then_some(HyperLogLogOp::Clear),
        }
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: HyperLogLogOp) {
        match op {
            HyperLogLogOp::Create(sketch) => self.put(dot, &sketch),
            HyperLogLogOp::Raise(named, sketch) => {
                if let Ok(index) = self.position(named) {
                    self.sketches[index].1.merge(&sketch);
                }
            }
            HyperLogLogOp::Clear => self.remove_observed(ctx, None),
        }
    }
}

impl Nested for HyperLogLog {
    type Listed = ();

    fn is_live(&self) -> bool {
        !self.sketches.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.sketches.is_empty()
    }

    fn prepare_removal(&self) -> Option<()> {
        None
    }

    fn remove_observed(&mut self, ctx: &impl Context, _: Option<&()>) {
        self.sketches.retain(|(dot, _)| !ctx.covers(*dot));
    }
}

impl DotStore for HyperLogLog {
    fn is_state(&self) -> bool {
        true
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.sketches.iter().for_each(|(dot, _)| visit(*dot));
    }

    /// As ever with dots; and of a sketch that both hold, the greater registers.
    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        self.sketches
            .retain(|(dot, _)| other.position(*dot).is_ok() || !theirs.covers(*dot));
        for (dot, sketch) in &other.sketches {
            if self.position(*dot).is_ok() || !seen.covers(*dot) {
                self.put(*dot, sketch);
            }
        }
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: HyperLogLogUpdate) -> Self {
        let more = match update {
            HyperLogLogUpdate::Add(hashes) => hashes.into_iter().collect(),
            HyperLogLogUpdate::Join(sketch) => sketch,
            HyperLogLogUpdate::Clear => return self.wipe(writer),
        };
        let raised = match self.raise(more) {
            Some(HyperLogLogOp::Create(sketch)) => (writer.dot(), sketch),
            Some(HyperLogLogOp::Raise(dot, sketch)) => (dot, sketch),
            Some(HyperLogLogOp::Clear) | None => return Self::unnamed(),
        };
        self.put(raised.0, &raised.1);
        let sketches = smallvec::smallvec![raised];
        Self { sketches }
    }

    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        let superseded = self.sketches.drain(..);
        superseded.for_each(|(dot, _)| writer.supersede(dot));
        Self::new()
    }

    /// A raised register has no dot, so any sketch might be lacking something.
    fn lacking(&self, _: &DotContext, _: &mut Vec<Dot>) -> Self {
        self.clone()
    }
}

impl<'de> Deserialize<'de> for HyperLogLog {
    /// Refuses sketches out of the order of their dots, two with one dot, and one of nothing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sketches = decode::ascending(deserializer, |sketch: &(Dot, Sketch)| &sketch.0)?;
        if sketches.iter().any(|(_, sketch)| sketch.is_empty()) {
            return Err(serde::de::Error::custom("a sketch counts nothing"));
        }
        let sketches = sketches.into();
        Ok(Self { sketches })
    }
}
