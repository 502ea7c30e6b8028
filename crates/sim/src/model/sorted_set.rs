//! Sorted sets, by definition.

use std::collections::BTreeMap;

use isles_clock::{Dot, Hlc, ReplicaId};
use isles_crdt::op::Contribution;
use isles_replica::Score;
use isles_replica::inspect::KeyContent;

use super::{Entry, KeyState, same};
use crate::command::Bytes;

/// An effect on a member of a sorted set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScoreEffect {
    /// Observed scores and increments go.
    pub resets: bool,
    /// A base score.
    pub put: Option<f64>,
    /// What is added to it.
    pub add: Option<f64>,
}

/// What a member of a sorted set holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberState {
    /// The base scores that nothing has observed, by dot.
    pub versions: Vec<(Dot, Hlc, Score)>,
    /// Per replica what it has added and nobody has reset.
    pub added: BTreeMap<ReplicaId, f64>,
}

impl MemberState {
    /// What ZSCORE answers.
    pub fn score(&self) -> f64 {
        let stamp =
            |version: &&(Dot, Hlc, Score)| (version.1, version.0.replica, version.0.sequence);
        let base = self.versions.iter().max_by_key(stamp);
        let base = base.map_or(0.0, |version| f64::from(version.2));
        base + self.added.values().sum::<f64>()
    }
}

impl KeyState {
    pub(super) fn add_member(&mut self, entry: &Entry, name: &Bytes, effect: &ScoreEffect) {
        if effect.put.is_none() && effect.add.is_none() {
            return;
        }
        let state = self.sorted_set.entry(name.clone()).or_default();
        if let Some(score) = effect.put {
            let score = Score::try_from(score).expect("the grammar has numbers only");
            state.versions.push((entry.dot, entry.hlc, score));
        }
        if let Some(by) = effect.add {
            *state.added.entry(entry.dot.replica).or_default() += by;
        }
    }

    /// What ZRANGE answers.
    pub fn in_order(&self) -> Vec<(Bytes, f64)> {
        let members = self.sorted_set.iter();
        let mut members: Vec<_> = members
            .map(|(name, member)| (name.clone(), member.score()))
            .collect();
        members.sort_by(|left, right| left.1.total_cmp(&right.1).then(left.0.cmp(&right.0)));
        members
    }

    pub(super) fn compare_sorted_set(&self, content: &KeyContent) -> Result<(), String> {
        let members = content.sorted_set.iter();
        let found = members.map(|(name, member)| {
            let state = MemberState {
                versions: member.versions.clone(),
                added: member.counter.iter().map(added).collect(),
            };
            (name.clone(), state)
        });
        same("sorted set", &self.sorted_set, &found.collect())
    }
}

/// A contribution's totals are the bits of scores.
fn added(contribution: &Contribution) -> (ReplicaId, f64) {
    let number = |total: i128| f64::from_bits(u64::try_from(total).expect("bits of a score"));
    let difference = number(contribution.total) - number(contribution.reset_total);
    (contribution.replica, difference)
}
