//! A counter that can be reset, in operations and in states that merge.

use isles_clock::{Context, Dot, ReplicaId, Stamp, VectorClock};
use serde::{Deserialize, Deserializer, Serialize};
use smallvec::SmallVec;

use super::{Nested, OpBased, Reset};
use crate::update::CounterUpdate;
use crate::{Crdt, decode, human};

/// The running total of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Addition {
    /// The last write that added.
    pub dot: Dot,
    /// The sequence of the write that the total starts with. A total starts anew where everything before was reset.
    pub start: u64,
    /// Everything that the replica added from there through `dot`.
    #[serde(with = "human::total")]
    pub total: i128,
}

/// What a reset left: which part of a running total no longer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The write of the reset. An operation's has sequence zero: the delivery says what it was told by.
    pub(super) by: Dot,
    pub(super) of: Reset,
}

/// A counter: a running total for each replica that has added, and what resets took away of it.
///
/// All increments survive concurrency, and a reset takes away exactly those that it had observed: it removes the totals,
/// and leaves a mark of what each was, for the case that its replica goes on from there concurrently. A replica that has
/// observed the reset of all that it added starts anew, and takes the mark away. What nobody goes on from,
/// [`forget`](Crdt::forget) drops.
///
/// ```text
/// eu: +5 ---- reset ------->  3: the reset had not observed +3
/// us:    \--- +3 ---------->
/// ```
///
/// **Cost.** With *r* replicas that have added, and *m* marks of resets: reading, adding and resetting O(r · m); there is
/// one mark for each replica that added and each that reset concurrently, so nearly always none or one.
///
/// Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018, has the dots with values (section 7.2). Their
/// resettable counter counts again what a concurrent increment carries along; totals with a start and marks do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Ledger {
    // Invariant: sorted by dot. More than one of a replica only where deltas came out of order: the last one counts.
    pub(super) additions: SmallVec<[Addition; 1]>,
    // Invariant: sorted by the dot of the reset.
    pub(super) resets: SmallVec<[Mark; 0]>,
}

/// What the operation on a [`Ledger`] carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LedgerOp {
    /// The writer's running total moves.
    Add {
        /// The write that the total starts with, where it is not this one.
        start: Option<u64>,
        /// The total after it.
        #[serde(with = "human::total")]
        total: i128,
    },
    /// What the writer had observed of each total is taken away.
    Reset(SmallVec<[Reset; 1]>),
}

impl Addition {
    pub(super) fn as_reset(&self) -> Reset {
        Reset {
            replica: self.dot.replica,
            sequence: self.dot.sequence,
            total: self.total,
        }
    }
}

impl Mark {
    /// Whether it says something of this total, or of what follows in it.
    pub(super) fn concerns(&self, addition: &Addition) -> bool {
        self.of.replica == addition.dot.replica && self.of.sequence >= addition.start
    }
}

impl Ledger {
    /// A counter that nobody has touched.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was added and not reset, wrapping in 128 bits.
    #[must_use]
    pub fn value(&self) -> i128 {
        self.balances().fold(0, |sum, (addition, taken)| {
            sum.wrapping_add(addition.total.wrapping_sub(taken))
        })
    }

    /// The totals of which something counts, in the order of replicas, each with what was reset of it.
    pub fn balances(&self) -> impl Iterator<Item = (&Addition, i128)> {
        self.totals().filter_map(|addition| {
            let taken = self.taken(addition);
            let is_covered = taken.is_some_and(|of| of.sequence >= addition.dot.sequence);
            (!is_covered).then(|| (addition, taken.map_or(0, |of| of.total)))
        })
    }

    /// The total that `replica` goes on from: its last one, unless all of that was reset.
    pub(super) fn running(&self, replica: ReplicaId) -> Option<&Addition> {
        let mut balances = self.balances();
        let own = balances.find(|(addition, _)| addition.dot.replica == replica);
        own.map(|(addition, _)| addition)
    }

    /// The last total of each replica.
    pub(super) fn totals(&self) -> impl Iterator<Item = &Addition> {
        let additions = self.additions.as_slice();
        additions
            .chunk_by(|a, b| a.dot.replica == b.dot.replica)
            .filter_map(<[_]>::last)
    }

    /// How far it was reset. Of concurrent resets the one that had observed more counts.
    pub(super) fn taken(&self, addition: &Addition) -> Option<Reset> {
        let marks = self.resets.iter().filter(|mark| mark.concerns(addition));
        marks
            .map(|mark| mark.of)
            .max_by_key(|of| (of.sequence, of.total))
    }

    pub(super) fn insert(&mut self, addition: Addition) {
        let place = self
            .additions
            .binary_search_by_key(&addition.dot, |other| other.dot);
        match place {
            Ok(index) => self.additions[index] = addition,
            Err(index) => self.additions.insert(index, addition),
        }
    }

    pub(super) fn mark(&mut self, mark: Mark) {
        match self.resets.binary_search_by_key(&mark.by, |other| other.by) {
            Ok(index) => self.resets[index] = mark,
            Err(index) => self.resets.insert(index, mark),
        }
    }

    /// The effect of an addition under causal delivery.
    pub(super) fn add(&mut self, dot: Dot, start: Option<u64>, total: i128) {
        let start = start.unwrap_or(dot.sequence);
        let addition = Addition { dot, start, total };
        self.additions
            .retain(|other| other.dot.replica != dot.replica);
        self.resets
            .retain(|mark| mark.of.replica != dot.replica || mark.concerns(&addition));
        self.insert(addition);
    }

    /// What the operation of a reset must carry when it is made here.
    pub(super) fn resets(&self) -> SmallVec<[Reset; 1]> {
        let balances = self.balances();
        balances.map(|(addition, _)| addition.as_reset()).collect()
    }

    /// The effect of a reset under causal delivery.
    pub(super) fn reset(&mut self, resets: &[Reset]) {
        for of in resets {
            self.additions.retain(|addition| {
                addition.dot.replica != of.replica || addition.dot.sequence > of.sequence
            });
            let later = self
                .additions
                .iter()
                .find(|addition| addition.dot.replica == of.replica);
            let by = Dot::new(of.replica, 0);
            let before = self.resets.iter().find(|mark| mark.by == by);
            if later.is_none_or(|later| later.start <= of.sequence)
                && before.is_none_or(|before| before.of.sequence < of.sequence)
            {
                self.mark(Mark { by, of: *of });
            }
        }
    }

    /// Drops the marks that `is_over` names and that nothing here goes on from.
    fn drop_marks(&mut self, is_over: impl Fn(&Mark) -> bool) {
        let additions = &self.additions;
        self.resets
            .retain(|mark| !is_over(mark) || additions.iter().any(|each| mark.concerns(each)));
    }
}

impl Crdt for Ledger {
    type Update = CounterUpdate;
    type Value = i128;

    fn value(&self) -> i128 {
        Self::value(self)
    }

    /// Drops the marks of stable resets, where no total here goes on from what was reset.
    fn forget(&mut self, stable: &VectorClock) {
        self.drop_marks(|mark| mark.by.sequence > 0 && stable.covers(mark.by));
    }
}

impl OpBased for Ledger {
    type Op = LedgerOp;

    fn prepare(&self, at: Stamp, update: CounterUpdate) -> Option<LedgerOp> {
        match update {
            CounterUpdate::Add(by) => {
                let running = self.running(at.replica);
                let total = running.map_or(0, |own| own.total).wrapping_add(by.into());
                let start = running.map(|own| own.start);
                Some(LedgerOp::Add { start, total })
            }
            CounterUpdate::Reset => self.prepare_removal().map(LedgerOp::Reset),
        }
    }

    fn effect(&mut self, dot: Dot, _: &impl Context, op: LedgerOp) {
        match op {
            LedgerOp::Add { start, total } => self.add(dot, start, total),
            LedgerOp::Reset(resets) => self.reset(&resets),
        }
    }
}

impl Nested for Ledger {
    type Listed = SmallVec<[Reset; 1]>;

    fn is_live(&self) -> bool {
        self.balances().next().is_some()
    }

    fn is_empty(&self) -> bool {
        self.additions.is_empty() && self.resets.is_empty()
    }

    /// What counts: a clock would not do, because nobody knows any more what the totals were then.
    fn prepare_removal(&self) -> Option<SmallVec<[Reset; 1]>> {
        let resets = self.resets();
        (!resets.is_empty()).then_some(resets)
    }

    fn forget_all(&mut self) {
        let counting: SmallVec<[Addition; 1]> = self.balances().map(|(each, _)| *each).collect();
        self.additions = counting;
        self.drop_marks(|_| true);
    }

    fn remove_observed(&mut self, _: &impl Context, listed: Option<&SmallVec<[Reset; 1]>>) {
        if let Some(resets) = listed {
            self.reset(resets);
        }
    }
}

impl<'de> Deserialize<'de> for Ledger {
    /// Refuses what is out of the order of dots or comes twice, and totals or marks of writes that nobody made.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "Ledger")]
        struct Parts {
            #[serde(deserialize_with = "ascending_additions")]
            additions: alloc::vec::Vec<Addition>,
            #[serde(deserialize_with = "ascending_marks")]
            resets: alloc::vec::Vec<Mark>,
        }
        let Parts { additions, resets } = Parts::deserialize(deserializer)?;
        let is_total = |each: &Addition| 0 < each.start && each.start <= each.dot.sequence;
        let is_mark = |each: &Mark| decode::is_valid(Dot::new(each.of.replica, each.of.sequence));
        if !additions.iter().all(is_total) || !resets.iter().all(is_mark) {
            return Err(serde::de::Error::custom(
                "a total starts after it ends, or a reset is of nothing",
            ));
        }
        Ok(Self {
            additions: additions.into(),
            resets: resets.into(),
        })
    }
}

fn ascending_additions<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<alloc::vec::Vec<Addition>, D::Error> {
    decode::ascending(deserializer, |each: &Addition| &each.dot)
}

fn ascending_marks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<alloc::vec::Vec<Mark>, D::Error> {
    decode::ascending(deserializer, |each: &Mark| &each.by)
}
