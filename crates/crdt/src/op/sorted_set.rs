//! Members in the order of their scores.

mod member;
mod score;
mod sum;

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::ops::{Bound, Range, RangeBounds};

use isles_clock::{Context, Dot, DotContext, ReplicaId, Stamp, VectorClock};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::member::{AdditionError, MemberScore, ScoreOp, ScoreUpdate};
pub use self::score::{NotANumber, Score};
use super::map::Reach;
use super::{Map, MapOp, Nested, OpBased};
use crate::Crdt;
use crate::counted_tree::{CountedTree, Item};
use crate::dots::{DotStore, Writer};
use crate::sorted_set::SortedSetUpdate;
use crate::update::MapUpdate;

/// A sorted set for replication by operations; [`SortedSet`](crate::SortedSet) says what it means.
///
/// A [`Map`] of [`MemberScore`]s, and beside it the members in the order of scores, which is not part of the value. Every
/// member is held twice: a type that is cheap to clone saves memory.
#[derive(Clone, Debug)]
pub struct SortedSet<M: Ord + Clone> {
    members: Map<M, MemberScore>,
    // Invariant: where the map speaks of all members, those that a reader sees, in the order of (score, member).
    order: CountedTree<Ranked<M>>,
}

/// What the operation on a [`SortedSet`] carries.
pub type SortedSetOp<M> = MapOp<M, ScoreOp, <MemberScore as Nested>::Listed>;

#[derive(Clone, Debug)]
struct Ranked<M> {
    key: (Score, M),
}

impl<M: Ord + Clone> Item for Ranked<M> {
    type Key = (Score, M);
    type Summary = ();

    fn key(&self) -> &(Score, M) {
        &self.key
    }
}

impl<M: Ord + Clone> SortedSet<M> {
    /// The set without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of members.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The score of a member: O(log n).
    pub fn score<Q>(&self, member: &Q) -> Option<Score>
    where
        M: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.members.get(member).map(MemberScore::score)
    }

    /// How many members come before this one: O(log n).
    pub fn rank<Q>(&self, member: &Q) -> Option<usize>
    where
        M: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let score = self.score(member)?;
        let before = |(other, name): &(Score, M)| (*other, name.borrow()) < (score, member);
        Some(self.partition_point(before))
    }

    /// The member at `index` with its score, in the order of scores, then of members: O(log n).
    #[must_use]
    pub fn select(&self, index: usize) -> Option<(&M, Score)> {
        self.order.at(index).map(|(ranked, _)| entry(ranked))
    }

    /// The members at a range of indices, cut at the end of the set: O(log n) for the first.
    pub fn range(&self, range: Range<usize>) -> impl Iterator<Item = (&M, Score)> {
        let ranked = self.order.iter_from(range.start).map(|(ranked, _)| ranked);
        ranked.take(range.len()).map(entry)
    }

    /// The indices of the members with these scores: O(log n). Its length is their number.
    pub fn range_of(&self, scores: impl RangeBounds<Score>) -> Range<usize> {
        let start = match scores.start_bound() {
            Bound::Included(least) => self.partition_point(|(score, _)| score < least),
            Bound::Excluded(least) => self.partition_point(|(score, _)| score <= least),
            Bound::Unbounded => 0,
        };
        let end = match scores.end_bound() {
            Bound::Included(greatest) => self.partition_point(|(score, _)| score <= greatest),
            Bound::Excluded(greatest) => self.partition_point(|(score, _)| score < greatest),
            Bound::Unbounded => self.len(),
        };
        start..end.max(start)
    }

    /// The members in the order of their scores, then of members.
    pub fn iter(&self) -> impl Iterator<Item = (&M, Score)> {
        self.order.iter().map(entry)
    }

    /// What is kept of a member: its base score and the increments.
    pub fn member<Q>(&self, member: &Q) -> Option<&MemberScore>
    where
        M: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.members.get(member)
    }

    /// Whether `replica` can add `by` to the score of `member`.
    pub(crate) fn check_addition(
        &self,
        replica: ReplicaId,
        member: &M,
        by: Score,
    ) -> Result<(), AdditionError> {
        let nothing = MemberScore::default();
        let score = self.members.children.get(member).unwrap_or(&nothing);
        score.next(replica, by).map(|_| ())
    }

    pub(crate) fn key<Q>(&self, member: &Q) -> Option<&M>
    where
        M: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.members.key(member)
    }

    fn partition_point(&self, before: impl Fn(&(Score, M)) -> bool) -> usize {
        self.order.partition_point(before)
    }

    /// Changes what concerns one member, and its place.
    fn change<R>(&mut self, member: &M, change: impl FnOnce(&mut Map<M, MemberScore>) -> R) -> R {
        let before = self.score(member);
        let result = change(&mut self.members);
        let after = self.score(member);
        if before != after && self.members.reach == Reach::All {
            if let Some(score) = before {
                self.take(score, member);
            }
            if let Some(score) = after {
                self.put(score, member.clone());
            }
        }
        result
    }

    fn put(&mut self, score: Score, member: M) {
        let key = (score, member);
        let ranked = Ranked { key: key.clone() };
        self.order.edit_floor(
            |other| other.cmp(&key),
            |items, floor| items.insert(floor.map_or(0, |index| index + 1), ranked),
        );
    }

    fn take(&mut self, score: Score, member: &M) {
        let order = |(other, name): &(Score, M)| (other, name).cmp(&(&score, member));
        self.order.edit_floor(order, |items, floor| {
            if let Some(index) = floor.filter(|index| order(&items[*index].key).is_eq()) {
                items.remove(index);
            }
        });
    }

    /// Changes anything: O(n log n).
    fn change_all<R>(&mut self, change: impl FnOnce(&mut Map<M, MemberScore>) -> R) -> R {
        let result = change(&mut self.members);
        self.order = order_of(&self.members);
        result
    }
}

fn entry<M>(ranked: &Ranked<M>) -> (&M, Score) {
    (&ranked.key.1, ranked.key.0)
}

fn order_of<M: Ord + Clone>(members: &Map<M, MemberScore>) -> CountedTree<Ranked<M>> {
    if members.reach == Reach::Named {
        return CountedTree::new();
    }
    let mut keys: Vec<(Score, M)> = members
        .iter()
        .map(|(member, score)| (score.score(), member.clone()))
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| Ranked { key }).collect()
}

fn map_update<M>(update: SortedSetUpdate<M>) -> MapUpdate<M, ScoreUpdate> {
    match update {
        SortedSetUpdate::Set(member, score) => MapUpdate::Update(member, ScoreUpdate::Set(score)),
        SortedSetUpdate::Add(member, by) => MapUpdate::Update(member, ScoreUpdate::Add(by)),
        SortedSetUpdate::Remove(member) => MapUpdate::Remove(member),
        SortedSetUpdate::Clear => MapUpdate::Clear,
    }
}

impl<M: Ord + Clone> Default for SortedSet<M> {
    fn default() -> Self {
        Self {
            members: Map::default(),
            order: CountedTree::new(),
        }
    }
}

impl<M: Ord + Clone> PartialEq for SortedSet<M> {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl<M: Ord + Clone> Eq for SortedSet<M> {}

impl<M: Ord + Clone> Crdt for SortedSet<M> {
    type Update = SortedSetUpdate<M>;
    type Value = Vec<(M, Score)>;

    fn value(&self) -> Self::Value {
        self.iter()
            .map(|(member, score)| (member.clone(), score))
            .collect()
    }

    fn forget(&mut self, stable: &VectorClock) {
        self.members.forget(stable);
    }
}

impl<M: Ord + Clone> OpBased for SortedSet<M> {
    type Op = SortedSetOp<M>;

    /// An addition is not made where its result would not be a number, or where it would be lost ([`AdditionError`]).
    fn prepare(&self, at: Stamp, update: SortedSetUpdate<M>) -> Option<Self::Op> {
        self.members.prepare(at, map_update(update))
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: Self::Op) {
        match &op {
            MapOp::Update(member, _) | MapOp::Remove(member, _) => {
                let member = member.clone();
                self.change(&member, |members| members.effect(dot, ctx, op));
            }
            MapOp::Clear(_) => self.change_all(|members| members.effect(dot, ctx, op)),
        }
    }
}

impl<M: Ord + Clone> Nested for SortedSet<M> {
    type Listed = <Map<M, MemberScore> as Nested>::Listed;

    fn is_live(&self) -> bool {
        self.members.is_live()
    }

    fn is_empty(&self) -> bool {
        Nested::is_empty(&self.members)
    }

    fn prepare_removal(&self) -> Option<Self::Listed> {
        self.members.prepare_removal()
    }

    fn remove_observed(&mut self, ctx: &impl Context, listed: Option<&Self::Listed>) {
        self.change_all(|members| members.remove_observed(ctx, listed));
    }

    fn forget_all(&mut self) {
        self.members.forget_all();
    }
}

impl<M: Ord + Clone> DotStore for SortedSet<M> {
    fn unnamed() -> Self {
        Self {
            members: Map::unnamed(),
            order: CountedTree::new(),
        }
    }

    fn is_state(&self) -> bool {
        self.members.is_state()
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.members.each_dot(visit);
    }

    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        if other.members.reach == Reach::All {
            self.change_all(|members| members.join(seen, &other.members, theirs));
            return;
        }
        for (member, score) in &other.members.children {
            let one = Map::named(member.clone(), score.clone());
            self.change(member, |members| members.join(seen, &one, theirs));
        }
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: SortedSetUpdate<M>) -> Self {
        let members = match map_update(update) {
            MapUpdate::Clear => self.change_all(|members| members.wipe(writer)),
            update @ (MapUpdate::Update(..) | MapUpdate::Remove(_)) => {
                let (MapUpdate::Update(member, _) | MapUpdate::Remove(member)) = &update else {
                    unreachable!("the other one is matched above")
                };
                let member = member.clone();
                self.change(&member, |members| members.mutate(writer, update))
            }
        };
        let order = CountedTree::new();
        Self { members, order }
    }

    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        let members = self.change_all(|members| members.wipe(writer));
        let order = CountedTree::new();
        Self { members, order }
    }

    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        let members = self.members.lacking(theirs, kept);
        let order = CountedTree::new();
        Self { members, order }
    }
}

impl<M: Ord + Clone + Serialize> Serialize for SortedSet<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members.serialize(serializer)
    }
}

impl<'de, M: Ord + Clone + Deserialize<'de>> Deserialize<'de> for SortedSet<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::deserialize(deserializer)?;
        let order = order_of(&members);
        Ok(Self { members, order })
    }
}
