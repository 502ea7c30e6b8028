//! The sorted set, held against its meaning.

use std::collections::{BTreeMap, BTreeSet};

use isles_crdt::sorted_set::Score;
use isles_crdt::update::MapUpdate::{Clear as ClearMap, Remove as RemoveKey, Update};
use isles_crdt::update::SortedSetUpdate::{self, Add, Clear, Remove, Set};
use isles_crdt::{AwMap, SortedSet, op};

use crate::laws;
use crate::oracle::{Event, Keys, Oracle, seen_by};

/// Of each member, the latest base and the additions, as far as no setting or removal has seen them.
pub(crate) struct Scores;

impl Oracle for Scores {
    type Update = SortedSetUpdate<u8>;
    type Value = Vec<(u8, Score)>;

    fn read(events: &[Event<SortedSetUpdate<u8>>]) -> Option<Vec<(u8, Score)>> {
        let is_over = |event: &Event<_>, member: u8| {
            let mut later = events.iter().filter(|later| later.saw(event));
            event.removed_by != 0 || later.any(|later| ends(&later.update, member))
        };
        let mut scores: BTreeMap<u8, f64> = BTreeMap::new();
        let mut bases = BTreeMap::new();
        for event in events {
            match &event.update {
                Set(member, score) if !is_over(event, *member) => {
                    let stamp = (reading(events, event, *member), event.at.replica, event.bit);
                    bases
                        .entry(*member)
                        .or_insert_with(BTreeSet::new)
                        .insert((stamp, *score));
                    scores.entry(*member).or_default();
                }
                Add(member, by) if !is_over(event, *member) => {
                    *scores.entry(*member).or_default() += by.get()
                }
                _ => {}
            }
        }
        for (member, base) in &bases {
            *scores.entry(*member).or_default() +=
                base.last().map_or(0.0, |(_, score)| score.get());
        }
        let mut scores: Vec<_> = scores
            .into_iter()
            .map(|(member, score)| {
                (
                    member,
                    Score::try_from(score).expect("these sums are numbers"),
                )
            })
            .collect();
        scores.sort_by_key(|(member, score)| (*score, *member));
        Some(scores).filter(|scores| !scores.is_empty())
    }
}

/// Whether an update does away with what it has seen of a member.
fn ends(update: &SortedSetUpdate<u8>, member: u8) -> bool {
    match update {
        Set(other, _) | Remove(other) => *other == member,
        Add(..) => false,
        Clear => true,
    }
}

/// The writer's clock, or more where it replaced something later.
fn reading(
    events: &[Event<SortedSetUpdate<u8>>],
    event: &Event<SortedSetUpdate<u8>>,
    member: u8,
) -> u64 {
    let seen = seen_by(event, events);
    let is_live = |set: &&Event<SortedSetUpdate<u8>>| {
        let mut later = seen.iter().filter(|later| later.saw(set));
        matches!(set.update, Set(other, _) if other == member)
            && set.removed_by == 0
            && !later.any(|later| ends(&later.update, member))
    };
    let replaced = seen
        .iter()
        .filter(is_live)
        .map(|set| reading(&seen, set, member) + 1);
    replaced.max().unwrap_or(0).max(event.at.hlc.as_u64())
}

// Small whole numbers, whose sums do not depend on the order.
laws!(sorted_set: Scores, SortedSet<u8>, op::SortedSet<u8>, [
    Set(0, Score::from(2)),
    Add(0, Score::from(3)),
    Remove(0),
    Set(0, Score::from(7)),
    Add(1, Score::from(-1)),
    Set(1, Score::from(2)),
    Add(0, Score::from(-3)),
    Remove(1),
    Clear,
]);

laws!(map_of_sorted_sets: Keys<Scores>, AwMap<u8, op::SortedSet<u8>>, op::AwMap<u8, op::SortedSet<u8>>, [
    Update(0, Add(0, Score::from(3))),
    RemoveKey(0),
    Update(0, Set(0, Score::from(2))),
    Update(0, Remove(0)),
    Update(0, Add(1, Score::from(-1))),
    Update(1, Add(0, Score::from(4))),
    Update(0, Clear),
    ClearMap,
]);
