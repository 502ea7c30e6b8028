//! A register that keeps every value that no operation has observed.

use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext, Hlc, Stamp};
use serde::{Deserialize, Deserializer, Serialize};
use smallvec::SmallVec;

use super::{Nested, OpBased};
use crate::decode::READING_MAX;
use crate::dots::{DotStore, Writer, join_entries, lacking_entries};
use crate::update::RegisterUpdate;
use crate::{Crdt, decode};

/// One value of a [`Cell`] with the write that brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version<V> {
    /// The write.
    pub dot: Dot,
    /// When it was made; it may be later than the write itself, so that a write is later than what it replaced.
    #[serde(deserialize_with = "decode::reading")]
    pub hlc: Hlc,
    /// What was written.
    pub value: V,
}

impl<V> Version<V> {
    /// The place in the order that is the same everywhere.
    #[inline]
    pub const fn stamp(&self) -> Stamp {
        Stamp::new(self.hlc, self.dot.replica)
    }
}

/// Versions that a write removed; a single one needs no allocation.
pub type Versions<V> = SmallVec<[Version<V>; 1]>;

/// A multi-value register: every version that no operation has observed, in the order of their dots.
///
/// Keeping all of them is what lets removals by observation converge: a cell that kept only the latest would lose the
/// others for good where a removal of the latest arrives, and keep them where it arrived first. A single version
/// needs no allocation.
///
/// Read as [`versions`](Self::versions) it is a multi-value register, as [`latest`](Self::latest) a last-writer-wins
/// register whose losers are still there.
///
/// ```text
/// eu: write red --------------->  {red, blue}; latest is the one with the greater stamp
/// us: write blue -------------->
/// ```
///
/// **Cost.** Everything O(1), for a few concurrent writers.
///
/// DeCandia et al., *Dynamo*, 2007, has the versions; the `DotFun` of Almeida, Shoker and Baquero, *Delta State Replicated
/// Data Types*, 2018, the dots.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Cell<V> {
    // Invariant: sorted by dot, each at most once.
    versions: Versions<V>,
}

impl<V> Cell<V> {
    /// A cell without a value.
    #[inline]
    pub fn new() -> Self {
        Self {
            versions: SmallVec::new(),
        }
    }

    /// Puts `version` in the place of everything that its writer had observed, and returns what it replaced. What
    /// remains beside it is concurrent. A second version with the same dot replaces the first: a dot names one value.
    pub fn write(&mut self, version: Version<V>, ctx: &impl Context) -> Versions<V> {
        let replaced = self.take(|old| old.dot == version.dot || ctx.covers(old.dot));
        let index = self.versions.partition_point(|old| old.dot < version.dot);
        self.versions.insert(index, version);
        replaced
    }

    /// Removes everything that `ctx` covers; says whether anything is left.
    pub fn remove(&mut self, ctx: &impl Context) -> bool {
        self.versions.retain(|version| !ctx.covers(version.dot));
        !self.is_empty()
    }

    /// The version with the greatest stamp, the same everywhere.
    #[inline]
    pub fn latest(&self) -> Option<&Version<V>> {
        match self.versions.as_slice() {
            [only] => Some(only),
            several => several
                .iter()
                .max_by_key(|version| (version.stamp(), version.dot)),
        }
    }

    /// Every version, in the order of their dots.
    #[inline]
    pub fn versions(&self) -> &[Version<V>] {
        &self.versions
    }

    /// Whether there is no value.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// The reading for a write made here at `hlc`: later than everything it replaces, whatever the clocks say.
    pub(super) fn reading(&self, hlc: Hlc) -> Hlc {
        let successors = self.versions.iter().map(|version| version.hlc.next());
        successors.fold(hlc.min(READING_MAX), Hlc::max)
    }

    fn take(&mut self, mut which: impl FnMut(&Version<V>) -> bool) -> Versions<V> {
        // Nearly every cell holds one version that the writer had seen.
        if let [only] = self.versions.as_slice()
            && which(only)
        {
            return core::mem::take(&mut self.versions);
        }
        let mut taken = Versions::new();
        let mut index = 0;
        while index < self.versions.len() {
            if which(&self.versions[index]) {
                taken.push(self.versions.remove(index));
            } else {
                index += 1;
            }
        }
        taken
    }
}

impl<V> Default for Cell<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> From<Version<V>> for Cell<V> {
    #[inline]
    fn from(version: Version<V>) -> Self {
        Self {
            versions: smallvec::smallvec![version],
        }
    }
}

impl<V> FromIterator<Version<V>> for Cell<V> {
    /// A cell with these versions, as read back from where they were stored. The last one counts where a dot comes
    /// more than once.
    fn from_iter<I: IntoIterator<Item = Version<V>>>(versions: I) -> Self {
        let mut cell = Self::new();
        for version in versions {
            match cell
                .versions
                .binary_search_by_key(&version.dot, |old| old.dot)
            {
                Ok(index) => cell.versions[index] = version,
                Err(index) => cell.versions.insert(index, version),
            }
        }
        cell
    }
}

impl<V> IntoIterator for Cell<V> {
    type Item = Version<V>;
    type IntoIter = smallvec::IntoIter<[Version<V>; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.versions.into_iter()
    }
}

/// What the operation on a [`Cell`] carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CellOp<V> {
    /// A value takes the place of everything that its writer had observed.
    Write {
        /// When, and later than everything observed.
        #[serde(deserialize_with = "decode::reading")]
        hlc: Hlc,
        /// What was written.
        value: V,
    },
    /// Everything that was observed is removed.
    Clear,
}

impl<V: Clone> Crdt for Cell<V> {
    type Update = RegisterUpdate<V>;
    type Value = Vec<V>;

    /// The values in the order of their dots.
    fn value(&self) -> Vec<V> {
        self.versions
            .iter()
            .map(|version| version.value.clone())
            .collect()
    }
}

impl<V: Clone> OpBased for Cell<V> {
    type Op = CellOp<V>;

    fn prepare(&self, at: Stamp, update: RegisterUpdate<V>) -> Option<CellOp<V>> {
        match update {
            RegisterUpdate::Write(value) => {
                let hlc = self.reading(at.hlc);
                Some(CellOp::Write { hlc, value })
            }
            RegisterUpdate::Clear => (!self.is_empty()).then_some(CellOp::Clear),
        }
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: CellOp<V>) {
        match op {
            CellOp::Write { hlc, value } => {
                self.write(Version { dot, hlc, value }, ctx);
            }
            CellOp::Clear => {
                self.remove(ctx);
            }
        }
    }
}

impl<V: Clone> Nested for Cell<V> {
    type Listed = ();

    fn is_live(&self) -> bool {
        !self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    fn prepare_removal(&self) -> Option<()> {
        None
    }

    fn remove_observed(&mut self, ctx: &impl Context, _: Option<&()>) {
        self.remove(ctx);
    }
}

impl<V: Clone> DotStore for Cell<V> {
    fn is_state(&self) -> bool {
        true
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.versions.iter().for_each(|version| visit(version.dot));
    }

    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        join_entries(
            &mut self.versions,
            seen,
            &other.versions,
            theirs,
            |version| version.dot,
        );
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: RegisterUpdate<V>) -> Self {
        let hlc = self.reading(writer.hlc());
        self.wipe(writer);
        if let RegisterUpdate::Write(value) = update {
            let dot = writer.dot();
            self.versions.push(Version { dot, hlc, value });
        }
        self.clone()
    }

    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        let superseded = self.versions.drain(..);
        superseded.for_each(|version| writer.supersede(version.dot));
        Self::new()
    }

    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        let versions = lacking_entries(&self.versions, theirs, kept, |version| version.dot);
        Self { versions }
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Cell<V> {
    /// Refuses versions out of the order of their dots, or two with one dot.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let versions = decode::ascending(deserializer, |version: &Version<V>| &version.dot)?;
        Ok(Self {
            versions: versions.into(),
        })
    }
}
