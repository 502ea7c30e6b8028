//! Sets in which a removal wins.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::Dot;

use super::{Effect, Entry};
use crate::command::Bytes;

/// Members, each with the additions that make it present.
pub(super) type Members = BTreeMap<Bytes, BTreeSet<Dot>>;

/// What remains of these effects: additions that nothing later has taken away or repeated, and whose writers had observed
/// every removal that there is.
pub(super) fn members_of(all: &[(&Entry, &Effect)]) -> Members {
    let mut members = Members::new();
    for (entry, effect) in all {
        for (member, _) in effect.set_rw.iter().filter(|(_, adds)| **adds) {
            if !is_over(entry, member, all) && has_seen_every_removal(entry, member, all) {
                let dots = members.entry(member.clone()).or_default();
                dots.insert(entry.dot);
            }
        }
    }
    members
}

fn is_over(entry: &Entry, member: &Bytes, all: &[(&Entry, &Effect)]) -> bool {
    let others = all.iter().filter(|(other, _)| other.dot != entry.dot);
    let mut later = others.filter(|(other, _)| other.observes(entry.dot));
    later.any(|(_, effect)| effect.clears || effect.set_rw.contains_key(member))
}

fn has_seen_every_removal(entry: &Entry, member: &Bytes, all: &[(&Entry, &Effect)]) -> bool {
    let removes = |effect: &Effect| effect.set_rw.get(member) == Some(&false);
    let mut removals = all.iter().filter(|(_, effect)| removes(effect));
    removals.all(|(removal, _)| entry.observes(removal.dot))
}
