//! Sorted sets: members with scores that can be set and added to.

use std::collections::hash_map;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use isles_crdt::sorted_set::Score;

use super::sets::each_present;
use super::{Expiry, Spot, Txn, ValueType, WrongType, set_part};
use crate::op::{Base, Blob, FieldPut, FieldRemoval, FieldTally, KeyOp, Part, SortedSetPart};
use crate::row::Row;
use crate::sorted_set::{Member, SortedSet};

/// Which members a write goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddIf {
    /// Whether they are there or not.
    #[default]
    Always,
    /// Only to those that are not there.
    Absent,
    /// Only to those that are there.
    Present,
}

/// Which new scores take the place of the old ones. Members that are not there get theirs in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScoreIf {
    /// All.
    #[default]
    Any,
    /// Those that are greater.
    Greater,
    /// Those that are less.
    Less,
}

/// What a write has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Members that were not there.
    pub new: usize,
    /// Members that have another score now.
    pub changed: usize,
}

/// The sum of a score and an increment is not a number, as that of infinity and minus infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resulting score is not a number")]
pub struct NotANumber;

impl AddIf {
    fn allows(self, old: Option<Score>) -> bool {
        match self {
            AddIf::Always => true,
            AddIf::Absent => old.is_none(),
            AddIf::Present => old.is_some(),
        }
    }
}

impl ScoreIf {
    fn allows(self, old: Option<Score>, new: Score) -> bool {
        old.is_none_or(|old| match self {
            ScoreIf::Any => true,
            ScoreIf::Greater => new > old,
            ScoreIf::Less => new < old,
        })
    }
}

impl Txn<'_> {
    /// The sorted set under a key, none if the key is absent.
    ///
    /// # Errors
    /// The key holds another type; so for all reads and writes of sorted sets.
    pub fn sorted_set(&mut self, key: &[u8]) -> Result<Option<&SortedSet>, WrongType> {
        let spot = self.spot(key);
        self.sorted_set_at(&spot)
    }

    fn sorted_set_at(&self, spot: &Spot<'_>) -> Result<Option<&SortedSet>, WrongType> {
        let row = self.typed(spot, ValueType::SortedSet)?;
        Ok(row.and_then(Row::sorted_set))
    }

    /// What this entry's ops have observed of a member.
    fn member_before(&self, spot: &Spot<'_>, name: &[u8]) -> Option<&Member> {
        let set = self.before(spot).and_then(Row::sorted_set)?;
        set.members().get(name)
    }

    /// Gives scores to members, one after the other, as far as the conditions allow. Writing the score that is there is
    /// logged too: it beats a concurrent removal.
    ///
    /// # Errors
    /// As [`sorted_set`](Self::sorted_set).
    pub fn sorted_set_add(
        &mut self,
        key: &[u8],
        pairs: &[(&[u8], Score)],
        add_if: AddIf,
        score_if: ScoreIf,
    ) -> Result<Added, WrongType> {
        let spot = self.spot(key);
        let set = self.sorted_set_at(&spot)?;
        let mut added = Added::default();
        let mut written = LastScores::default();
        for &(name, score) in pairs {
            let stored = || set.and_then(|set| set.score(name));
            let old = written.get(name).or_else(stored);
            if !add_if.allows(old) || !score_if.allows(old, score) {
                continue;
            }
            added.new += usize::from(old.is_none());
            added.changed += usize::from(old.is_some_and(|old| old != score));
            written.put(name, score);
        }
        if written.pairs.is_empty() {
            return Ok(added);
        }
        let counters = self.counters_if_hidden(&spot);
        let mut op = self.op(&spot, &counters);
        self.put_scores(&mut op, &spot, &written.pairs);
        self.write(&spot, &op);
        Ok(added)
    }

    fn put_scores<'k>(&self, op: &mut KeyOp<'k>, spot: &Spot<'_>, pairs: &[(&'k [u8], Score)]) {
        let put = pairs.iter().map(|(name, score)| FieldPut {
            field: Blob(name),
            value: *score,
            resets: self
                .member_before(spot, name)
                .map(Member::resets)
                .unwrap_or_default(),
        });
        part_of(op).put.extend(put);
    }

    /// Adds to the score of a member, which is zero if the member is not there, and returns the sum; none if the
    /// conditions do not allow it.
    ///
    /// # Errors
    /// As [`sorted_set`](Self::sorted_set); the inner one, if the sum is not a number.
    pub fn sorted_set_increment(
        &mut self,
        key: &[u8],
        name: &[u8],
        by: Score,
        add_if: AddIf,
        score_if: ScoreIf,
    ) -> Result<Result<Option<Score>, NotANumber>, WrongType> {
        let spot = self.spot(key);
        let set = self.sorted_set_at(&spot)?;
        let old = set.and_then(|set| set.score(name));
        let sum = f64::from(old.unwrap_or(Score::ZERO)) + f64::from(by);
        let Ok(sum) = Score::try_from(sum) else {
            return Ok(Err(NotANumber));
        };
        if !add_if.allows(old) || !score_if.allows(old, sum) {
            return Ok(Ok(None));
        }
        let counters = self.counters_if_hidden(&spot);
        let mut op = self.op(&spot, &counters);
        let member = self.row_at(&spot).and_then(Row::sorted_set);
        let member = member
            .and_then(|set| set.members().get(name))
            .filter(|_| op.base == Base::Keep);
        let nothing = Member::default();
        let addition = member.unwrap_or(&nothing).addition(self.replica.id(), by);
        let Some(tally) = addition else {
            return Ok(Err(NotANumber));
        };
        part_of(&mut op).add.push(FieldTally {
            field: Blob(name),
            tally,
        });
        self.write(&spot, &op);
        Ok(Ok(Some(sum)))
    }

    /// Removes members; returns how many were there.
    ///
    /// # Errors
    /// As [`sorted_set`](Self::sorted_set).
    pub fn sorted_set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let Some(set) = self.sorted_set_at(&spot)? else {
            return Ok(0);
        };
        let mut part = SortedSetPart::default();
        each_present(set.members(), members, Member::is_live, |name| {
            let before = self.member_before(&spot, name);
            part.remove.push(FieldRemoval {
                field: Blob(name),
                resets: before.map(Member::resets).unwrap_or_default(),
            });
        });
        Ok(self.remove_scores(&spot, part))
    }

    /// Removes the members at a range of ranks; returns how many.
    ///
    /// # Errors
    /// As [`sorted_set`](Self::sorted_set).
    pub fn sorted_set_remove_ranks(
        &mut self,
        key: &[u8],
        ranks: Range<usize>,
    ) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let Some(set) = self.sorted_set_at(&spot)? else {
            return Ok(0);
        };
        let ranks = ranks.start..ranks.end.min(set.len());
        let is_first = spot.id.is_none_or(|id| !self.index.contains_key(&id));
        let kept = set.len() - ranks.len();
        if is_first && ranks.len() >= KEPT_MIN && kept.saturating_mul(KEPT_SHARE) <= ranks.len() {
            return Ok(self.keep_scores(&spot, ranks));
        }
        let names = set.names(ranks);
        let before = self.before(&spot).and_then(Row::sorted_set);
        // Where nothing counts there is nothing to look up.
        let before = before.filter(|set| set.members().counts());
        let remove = names.iter().map(|name| {
            let member = before.and_then(|set| set.members().get(name));
            FieldRemoval {
                field: Blob(name),
                resets: member.map(Member::resets).unwrap_or_default(),
            }
        });
        let part = SortedSetPart {
            remove: remove.collect(),
            ..SortedSetPart::default()
        };
        Ok(self.remove_scores(&spot, part))
    }

    /// Removes the members at a range of ranks by naming the others, of which there are few.
    fn keep_scores(&mut self, spot: &Spot<'_>, ranks: Range<usize>) -> usize {
        let Some(set) = self.row_at(spot).and_then(Row::sorted_set) else {
            return 0;
        };
        let mut kept = set.names(0..ranks.start);
        kept.extend(set.names(ranks.end..set.len()));
        let mut counters = super::counting(set.members());
        if !counters.is_empty() {
            let kept: HashSet<&[u8]> = kept.iter().map(|name| &**name).collect();
            counters.retain(|(name, _)| !kept.contains(&**name));
        }
        let names = kept.iter().map(|name| Blob(name)).collect();
        let mut op = KeyOp::new(spot.key);
        op.parts.push(Part::SortedSetKept(names));
        if !counters.is_empty() {
            let part = super::removal_of(&counters);
            op.parts.push(Part::SortedSet(Box::new(part)));
        }
        self.write(spot, &op);
        ranks.len()
    }

    fn remove_scores<'k>(&mut self, spot: &Spot<'k>, part: SortedSetPart<'k>) -> usize {
        let removed = part.remove.len();
        if removed > 0 {
            let mut op = KeyOp::new(spot.key);
            op.parts.push(Part::SortedSet(Box::new(part)));
            self.write(spot, &op);
        }
        removed
    }

    /// Writes a sorted set over whatever is there; without members, deletes the key. Each member comes once.
    pub fn sorted_set_replace(&mut self, key: &[u8], pairs: &[(&[u8], Score)]) {
        self.replace_sorted_set(key, pairs, Expiry::Clear);
    }

    pub(super) fn replace_sorted_set(
        &mut self,
        key: &[u8],
        pairs: &[(&[u8], Score)],
        expiry: Expiry,
    ) {
        if pairs.is_empty() {
            self.delete(key);
            return;
        }
        let spot = self.spot(key);
        let counters = self.counters(&spot);
        let mut op = self.overwrite(&spot, &counters);
        self.put_scores(&mut op, &spot, pairs);
        if let Expiry::At(at_ms) = expiry {
            let stamp = self.raised_deadline(self.before(&spot));
            let at_ms = Some(at_ms);
            set_part(&mut op, Part::Deadline { stamp, at_ms });
        }
        self.write(&spot, &op);
    }
}

/// A range of fewer members is removed by naming them.
const KEPT_MIN: usize = 16;
/// The same for one that is not so many times as large as what stays, which is put together anew.
const KEPT_SHARE: usize = 4;

/// The sorted set's part of an op, made empty if there is none.
fn part_of<'o, 'k>(op: &'o mut KeyOp<'k>) -> &'o mut SortedSetPart<'k> {
    let place = op
        .parts
        .iter()
        .position(|part| matches!(part, Part::SortedSet(_)));
    let place = place.unwrap_or_else(|| {
        op.parts.push(Part::SortedSet(Box::default()));
        op.parts.len() - 1
    });
    match &mut op.parts[place] {
        Part::SortedSet(part) => part,
        _ => unreachable!("the part at this place was just looked at"),
    }
}

/// Scores in the order in which their members were first written; of several for one member the last.
#[derive(Default)]
struct LastScores<'a> {
    pairs: Vec<(&'a [u8], Score)>,
    /// Where each is, from the second on: most writes are of one member.
    places: HashMap<&'a [u8], usize>,
}

impl<'a> LastScores<'a> {
    fn get(&self, name: &[u8]) -> Option<Score> {
        match &self.pairs[..] {
            [] => None,
            [(only, score)] => (*only == name).then_some(*score),
            pairs => self.places.get(name).map(|place| pairs[*place].1),
        }
    }

    fn put(&mut self, name: &'a [u8], score: Score) {
        match &mut self.pairs[..] {
            [] => return self.pairs.push((name, score)),
            [(only, old)] if *only == name => return *old = score,
            [(only, _)] => _ = self.places.insert(only, 0),
            _ => {}
        }
        match self.places.entry(name) {
            hash_map::Entry::Occupied(place) => self.pairs[*place.get()].1 = score,
            hash_map::Entry::Vacant(place) => {
                place.insert(self.pairs.len());
                self.pairs.push((name, score));
            }
        }
    }
}
