//! Members in the order of their scores.

use std::ops::Range;
use std::sync::Arc;

use isles_clock::ReplicaId;
use isles_crdt::counted_tree::{CountedTree, Item};
use isles_crdt::op::{Increment, Tally};
use isles_crdt::sorted_set::{MemberScore, Score};

use crate::garbage::BURDEN_NODES;
use crate::paged::PagedMap;
use crate::row::Field;

/// A base score, and what every replica has added to it.
pub(crate) type Member = Field<Score>;

impl Member {
    /// What readers see of it; none for residue.
    pub(crate) fn score(&self) -> Option<Score> {
        let read = |tally| MemberScore::read(&self.cell, tally);
        match &self.tally {
            None => self.cell.latest().map(|base| base.value),
            Some(tally) => self.is_live().then(|| read(tally)),
        }
    }

    /// What `replica` says when it adds `by`; none where the sum would not be a number.
    pub(crate) fn addition(&self, replica: ReplicaId, by: Score) -> Option<Increment> {
        let nothing = Tally::new();
        let tally = self.tally.as_deref().unwrap_or(&nothing);
        MemberScore::addition(&self.cell, tally, replica, by)
    }
}

/// The members of a sorted set, in pages as the fields of a map are, and beside them an order, which is not stored.
///
/// A clone shares everything. With *n* members, a score is found in O(1), a rank or what is at a rank in O(log n), and a
/// change of one member costs O(log n).
#[derive(Clone, Debug)]
pub struct SortedSet {
    members: PagedMap<Member>,
    // Invariant: the members that readers see, in the order of (score, member).
    order: CountedTree<Ranked>,
}

/// A member in the order. The name is shared, since the tree repeats it at every branch that starts with it.
#[derive(Clone, Debug)]
struct Ranked {
    key: (Score, Arc<[u8]>),
}

impl Item for Ranked {
    type Key = (Score, Arc<[u8]>);
    type Summary = ();

    fn key(&self) -> &(Score, Arc<[u8]>) {
        &self.key
    }
}

impl SortedSet {
    /// Number of members that readers see.
    pub fn len(&self) -> usize {
        self.order.weight()
    }

    /// Whether readers see no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<Score> {
        self.members.get(member).and_then(Member::score)
    }

    /// How many members come before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.partition_point(|other, name| (other, name) < (score, member)))
    }

    /// How many members come before the first one that does not satisfy `before`; those that do must come first.
    pub fn partition_point(&self, before: impl Fn(Score, &[u8]) -> bool) -> usize {
        self.order
            .partition_point(|(score, name)| before(*score, name))
    }

    /// The members at a range of ranks, with their scores, cut at the end of the set: O(log n) for the first.
    pub fn range(&self, ranks: Range<usize>) -> impl Iterator<Item = (&[u8], Score)> {
        let ranked = self.order.iter_from(ranks.start).map(|(ranked, _)| ranked);
        ranked.take(ranks.len()).map(entry)
    }

    /// The names at a range of ranks, shared with the set.
    pub(crate) fn names(&self, ranks: Range<usize>) -> Vec<Arc<[u8]>> {
        let ranked = self.order.iter_from(ranks.start).take(ranks.len());
        ranked
            .map(|(ranked, _)| Arc::clone(&ranked.key.1))
            .collect()
    }

    /// All members with their scores, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Score)> {
        self.order.iter().map(entry)
    }

    /// Visits members from a cursor on, in no particular order; returns the next cursor, zero at the end.
    pub fn scan(&self, cursor: u64, count: usize, each: &mut dyn FnMut(&[u8], Score)) -> u64 {
        self.members.scan(cursor, count, &mut |name, member| {
            if let Some(score) = member.score() {
                each(name, score);
            }
        })
    }

    pub(crate) fn members(&self) -> &PagedMap<Member> {
        &self.members
    }

    /// For what changes no member: the checkpoint's marks.
    pub(crate) fn pages_mut(&mut self) -> &mut PagedMap<Member> {
        &mut self.members
    }

    /// Changes a member, made empty if it is not there, and its place in the order.
    pub(crate) fn change(&mut self, name: &[u8], change: impl FnOnce(&mut Member)) {
        let (before, after) = self.members.update(name, |slot| change_slot(slot, change));
        if before == after {
            return;
        }
        let shared = before.and_then(|score| self.take(score, name));
        if let Some(score) = after {
            self.put(score, shared.unwrap_or_else(|| name.into()));
        }
    }

    /// Changes members that are there, as [`change`](Self::change) does, and returns the order as it was. `change` gets the
    /// index of the name. Walks through the whole order instead of finding each place: for many.
    pub(crate) fn change_many(
        &mut self,
        names: &[&[u8]],
        mut change: impl FnMut(usize, &mut Member),
    ) -> SortedSet {
        let mut scores = vec![(None, None); names.len()];
        self.members.change_each(
            names,
            |name| name,
            |index, slot| {
                scores[index] = change_slot(slot, |member| change(index, member));
            },
        );
        let changed = || {
            let each = names.iter().zip(&scores);
            each.filter(|(_, (before, after))| before != after)
        };
        let gone = changed().filter_map(|(name, (before, _))| Some(((*before)?, *name)));
        let mut gone: Vec<(Score, &[u8])> = gone.collect();
        let new = changed().filter_map(|(name, (_, after))| Some(((*after)?, *name)));
        let new: Vec<(Score, &[u8])> = new.collect();
        // Nothing is to be done where a range of ranks goes.
        gone.sort_unstable();
        let mut gone = gone.into_iter().peekable();
        let mut goes = |(score, name): &(Score, Arc<[u8]>)| {
            let key = (*score, &**name);
            while gone.next_if(|other| *other < key).is_some() {}
            gone.next_if(|other| *other == key).is_some()
        };
        let kept = self.order.iter().filter(|ranked| !goes(&ranked.key));
        let kept = kept.cloned().collect();
        let order = std::mem::replace(&mut self.order, kept);
        new.into_iter()
            .for_each(|(score, name)| self.put(score, name.into()));
        SortedSet {
            members: PagedMap::new(),
            order,
        }
    }

    /// A set of other members in the place of these; returns it as it was. O(n log n) in the new ones.
    pub(crate) fn replace(&mut self, members: PagedMap<Member>) -> SortedSet {
        let order = order_of(&members);
        std::mem::replace(self, SortedSet { members, order })
    }

    /// Whether it is large and nobody shares it: then dropping it takes long.
    pub(crate) fn is_burden(&self) -> bool {
        self.members.is_burden() || self.order.unshared_nodes(BURDEN_NODES) == BURDEN_NODES
    }

    /// A sorted set from the elements of stored pages.
    pub(crate) fn from_pages(pages: Vec<Vec<(Box<[u8]>, Member)>>) -> Self {
        let members = PagedMap::from_pages(pages);
        let order = order_of(&members);
        SortedSet { members, order }
    }

    /// Whether every member lies where its hash says, and the order is that of the members that readers see.
    pub(crate) fn is_sound(&self) -> bool {
        let live = self.members.iter();
        let live = live.filter_map(|(name, member)| Some((name, member.score()?)));
        let sorted = || {
            let keys = self.order.iter().map(|ranked| &ranked.key);
            keys.is_sorted_by(|left, right| left < right)
        };
        self.members.is_sound()
            && live.count() == self.len()
            && sorted()
            && self
                .iter()
                .all(|(name, score)| self.score(name) == Some(score))
    }

    fn put(&mut self, score: Score, name: Arc<[u8]>) {
        let key = (score, name);
        let ranked = Ranked { key: key.clone() };
        self.order.edit_floor(
            |other| other.cmp(&key),
            |items, floor| items.insert(floor.map_or(0, |index| index + 1), ranked),
        );
    }

    fn take(&mut self, score: Score, name: &[u8]) -> Option<Arc<[u8]>> {
        let order = |(other, found): &(Score, Arc<[u8]>)| (*other, &**found).cmp(&(score, name));
        self.order.edit_floor(order, |items, floor| {
            let index = floor.filter(|index| order(&items[*index].key).is_eq())?;
            Some(items.remove(index).key.1)
        })
    }
}

impl Default for SortedSet {
    fn default() -> Self {
        SortedSet {
            members: PagedMap::new(),
            order: CountedTree::new(),
        }
    }
}

/// Changes a member, made empty if it is not there; returns its scores before and after.
fn change_slot(
    slot: &mut Option<Member>,
    change: impl FnOnce(&mut Member),
) -> (Option<Score>, Option<Score>) {
    let member = slot.get_or_insert_default();
    let before = member.score();
    change(member);
    let after = member.score();
    if member.is_residue_free() {
        *slot = None;
    }
    (before, after)
}

fn entry(ranked: &Ranked) -> (&[u8], Score) {
    (&ranked.key.1, ranked.key.0)
}

fn order_of(members: &PagedMap<Member>) -> CountedTree<Ranked> {
    let live = members.iter();
    let live = live.filter_map(|(name, member)| Some((member.score()?, name.into())));
    let mut keys: Vec<(Score, Arc<[u8]>)> = live.collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| Ranked { key }).collect()
}
