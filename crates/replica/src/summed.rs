//! Registers of which a version knows of differences of its numbers, as under the strategy `json-sum`.
//!
//! The versions are those of every multi-value register; what one knows stands beside them and goes with it. A register
//! whose versions know of nothing is kept as one of any other strategy, and costs what that costs.

use isles_clock::{Context, Dot, ReplicaId};
use isles_crdt::op::Cell;
use isles_resolve::Sums;

/// A multi-value register, and what its versions know.
#[derive(Clone, Debug)]
pub(crate) struct SummedCell {
    pub(crate) cell: Cell<Box<[u8]>>,
    // Invariant: sorted by dot; each is that of a version.
    sums: Vec<(Dot, Sums)>,
    /// The last write of each replica that came with what it knew, as far as this row has seen them without being emptied
    /// in between: a replica's totals go on from its own last ones only. Of no concern to readers, and not the same
    /// everywhere.
    // Invariant: sorted, one for each replica.
    newest: Vec<Dot>,
}

impl From<Cell<Box<[u8]>>> for SummedCell {
    fn from(cell: Cell<Box<[u8]>>) -> Self {
        SummedCell {
            cell,
            sums: Vec::new(),
            newest: Vec::new(),
        }
    }
}

impl SummedCell {
    /// As read back from where it was stored; none if something is known of versions that are not there, or out of order.
    pub(crate) fn from_parts(
        cell: Cell<Box<[u8]>>,
        sums: Vec<(Dot, Sums)>,
        newest: Vec<Dot>,
    ) -> Option<Self> {
        let in_order = sums.is_sorted_by(|(one, _), (next, _)| one < next)
            && newest.is_sorted_by(|one, next| one.replica < next.replica);
        let loaded = SummedCell { cell, sums, newest };
        let are_there = loaded.sums.iter().all(|(dot, _)| loaded.has(*dot));
        (in_order && are_there && !loaded.is_plain()).then_some(loaded)
    }

    /// What is known, by the version that knows it.
    pub(crate) fn sums(&self) -> &[(Dot, Sums)] {
        &self.sums
    }

    pub(crate) fn newest(&self) -> &[Dot] {
        &self.newest
    }

    /// What a version knows.
    pub(crate) fn of(&self, dot: Dot) -> Option<&Sums> {
        let place = self.sums.binary_search_by_key(&dot, |(dot, _)| *dot).ok()?;
        Some(&self.sums[place].1)
    }

    /// The sequence of a replica's last write that came with what it knew; zero if that is not certain.
    pub(crate) fn newest_of(&self, replica: ReplicaId) -> u64 {
        let newest = self.newest.iter();
        let mut own = newest.filter(|dot| dot.replica == replica);
        own.next().map_or(0, |dot| dot.sequence)
    }

    /// Whether no version knows of anything.
    pub(crate) fn is_plain(&self) -> bool {
        self.sums.is_empty()
    }

    /// A version was written that knows this, in the place of some others.
    pub(crate) fn note_written(&mut self, dot: Dot, sums: Option<&Sums>) {
        self.settle();
        let Some(sums) = sums else { return };
        match self.sums.binary_search_by_key(&dot, |(dot, _)| *dot) {
            Ok(place) => self.sums[place].1 = sums.clone(),
            Err(place) => self.sums.insert(place, (dot, sums.clone())),
        }
        match self
            .newest
            .binary_search_by_key(&dot.replica, |dot| dot.replica)
        {
            Ok(place) => self.newest[place] = self.newest[place].max(dot),
            Err(place) => self.newest.insert(place, dot),
        }
    }

    /// Has each version know no more than what its writer has added.
    pub(crate) fn forget_inherited(&mut self) {
        let sums = std::mem::take(&mut self.sums).into_iter();
        let own = sums.map(|(dot, sums)| (dot, sums.only_of(dot.replica)));
        self.sums = own.filter(|(_, sums)| !sums.is_empty()).collect();
    }

    /// Removes what a deletion has observed.
    pub(crate) fn remove(&mut self, context: &impl Context) {
        self.cell.remove(context);
        self.settle();
    }

    /// Forgets what versions knew that are not there any more.
    fn settle(&mut self) {
        let mut sums = std::mem::take(&mut self.sums);
        sums.retain(|(dot, _)| self.has(*dot));
        self.sums = sums;
    }

    fn has(&self, dot: Dot) -> bool {
        self.cell
            .versions()
            .iter()
            .any(|version| version.dot == dot)
    }
}
