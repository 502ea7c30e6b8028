//! How many conflicts there were, by what they were about, without a walk over the journal.

use std::collections::HashMap;

use isles_clock::ReplicaId;

use super::JournalRecord;
use crate::conflict::{ConflictKind, ConflictRecord};
use crate::lens::Lens;

/// So many groups are told apart; conflicts of further ones are counted together.
pub const CONFLICT_GROUPS_MAX: usize = 4096;

/// What conflicts are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConflictGroup {
    /// The prefix of the keyspace.
    pub keyspace: Box<[u8]>,
    /// What met what.
    pub kind: ConflictKind,
    /// The strategy that was in force.
    pub strategy: Lens,
    /// Who won; none where groups are counted together.
    pub winner: Option<ReplicaId>,
    /// Who lost; none where groups are counted together.
    pub loser: Option<ReplicaId>,
}

/// The conflicts of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConflictCounts {
    /// Detected since start.
    pub detected: u64,
    /// Records in the journal.
    pub kept: u64,
    /// Those of them that nothing has settled.
    pub open: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    groups: HashMap<ConflictGroup, usize>,
    counts: Vec<ConflictCounts>,
    /// Most conflicts are of the group of the one before.
    last: Option<(ConflictGroup, usize)>,
}

impl Counts {
    pub(super) fn of(&mut self, record: &ConflictRecord) -> &mut ConflictCounts {
        let place = self.place_of(record);
        &mut self.counts[place]
    }

    fn place_of(&mut self, record: &ConflictRecord) -> usize {
        if let Some((group, place)) = self.last.as_ref().filter(|(group, _)| is_of(group, record)) {
            debug_assert_eq!(group.kind, record.kind);
            return *place;
        }
        let mut group = group_of(record);
        if self.groups.len() >= CONFLICT_GROUPS_MAX && !self.groups.contains_key(&group) {
            (group.winner, group.loser) = (None, None);
            group.keyspace = Box::default();
        }
        let next = self.counts.len();
        let place = *self.groups.entry(group.clone()).or_insert(next);
        if place == next {
            self.counts.push(ConflictCounts::default());
        }
        self.last = Some((group, place));
        place
    }

    pub(super) fn forget_detected(&mut self) {
        self.counts
            .iter_mut()
            .for_each(|counts| counts.detected = 0);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ConflictGroup, &ConflictCounts)> {
        let groups = self.groups.iter();
        groups.map(|(group, place)| (group, &self.counts[*place]))
    }

    pub(super) fn note_dropped(&mut self, record: &JournalRecord) {
        let counts = self.of(record);
        counts.kept -= 1;
        counts.open -= u64::from(record.settled.is_none());
    }
}

fn group_of(record: &ConflictRecord) -> ConflictGroup {
    ConflictGroup {
        keyspace: record.keyspace.as_slice().into(),
        kind: record.kind,
        strategy: record.strategy.clone(),
        winner: Some(record.winner.dot.replica),
        loser: Some(record.loser.dot.replica),
    }
}

fn is_of(group: &ConflictGroup, record: &ConflictRecord) -> bool {
    group.loser == Some(record.loser.dot.replica)
        && group.winner == Some(record.winner.dot.replica)
        && group.kind == record.kind
        && group.strategy == record.strategy
        && is_same(&group.keyspace, &record.keyspace)
}

/// Most keyspaces are the default one, whose prefix is empty. glibc compares nothing with a masked load from where nothing
/// is mapped, for which some processors take longer than for all the rest of a record.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}
