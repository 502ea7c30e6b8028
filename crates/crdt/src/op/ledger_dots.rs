//! The resettable counter as a store that joins: totals and marks are dots with values, and nothing else.

use alloc::vec::Vec;

use isles_clock::{Dot, DotContext, ReplicaId};

use super::ledger::{Addition, Ledger, Mark};
use crate::dots::{DotStore, Writer, join_entries, lacking_entries};
use crate::update::CounterUpdate;

impl Ledger {
    /// Makes an addition that brings the running total of the writer from `running` to `total`.
    pub(super) fn mutate_total(&mut self, writer: &mut Writer<'_>, total: i128) -> Self {
        let replica = writer.replica();
        let start = self.running(replica).map(|own| own.start);
        let dot = writer.dot();
        let start = start.unwrap_or(dot.sequence);
        let addition = Addition { dot, start, total };
        self.additions
            .retain(|other| keep(other.dot.replica != replica, other.dot, writer));
        // Nobody can go on from before the start any more: the writer alone could, and did not.
        self.resets.retain(|mark| {
            let is_other = mark.of.replica != replica || mark.concerns(&addition);
            keep(is_other, mark.by, writer)
        });
        self.insert(addition);
        let mut fragment = Self::new();
        fragment.insert(addition);
        fragment
    }

    fn supersede_marks(&mut self, of: ReplicaId, writer: &mut Writer<'_>) {
        self.resets
            .retain(|mark| keep(mark.of.replica != of, mark.by, writer));
    }
}

fn keep(is_kept: bool, dot: Dot, writer: &mut Writer<'_>) -> bool {
    if !is_kept {
        writer.supersede(dot);
    }
    is_kept
}

impl DotStore for Ledger {
    /// Marks in a state have dots.
    fn is_state(&self) -> bool {
        self.resets.iter().all(|mark| mark.by.sequence > 0)
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.additions.iter().for_each(|each| visit(each.dot));
        self.resets.iter().for_each(|mark| visit(mark.by));
    }

    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        let (additions, resets) = (&other.additions, &other.resets);
        join_entries(&mut self.additions, seen, additions, theirs, |each| {
            each.dot
        });
        join_entries(&mut self.resets, seen, resets, theirs, |mark| mark.by);
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: CounterUpdate) -> Self {
        match update {
            CounterUpdate::Add(by) => {
                let running = self.running(writer.replica()).map_or(0, |own| own.total);
                self.mutate_total(writer, running.wrapping_add(by.into()))
            }
            CounterUpdate::Reset => self.wipe(writer),
        }
    }

    /// Takes the place of every total, and leaves a mark of each that its replica may go on from: the writer itself will
    /// start anew.
    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        let mut fragment = Self::new();
        let observed: Vec<Addition> = self.balances().map(|(each, _)| *each).collect();
        for addition in observed {
            let replica = addition.dot.replica;
            self.supersede_marks(replica, writer);
            if replica != writer.replica() {
                let (by, of) = (writer.dot(), addition.as_reset());
                fragment.mark(Mark { by, of });
            }
        }
        self.supersede_marks(writer.replica(), writer);
        let additions = self.additions.drain(..);
        additions.for_each(|addition| writer.supersede(addition.dot));
        fragment.resets.iter().for_each(|mark| self.mark(*mark));
        fragment
    }

    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        Self {
            additions: lacking_entries(&self.additions, theirs, kept, |each| each.dot),
            resets: lacking_entries(&self.resets, theirs, kept, |mark| mark.by),
        }
    }
}
