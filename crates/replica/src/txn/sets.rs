//! Sets, of both rules: where an addition wins, and where a removal does.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::{Expiry, Spot, Txn, ValueType, WrongType, set_part};
use crate::bound::Bounded;
use crate::keyspace::SetRule;
use crate::members::Members;
use crate::op::{Blob, KeyOp, Part, SetPart};
use crate::paged::{MANY, PagedMap};
use crate::row::Row;

impl Txn<'_> {
    fn members(&self, spot: &Spot<'_>) -> Result<Option<Members<'_>>, WrongType> {
        Ok(self.typed(spot, ValueType::Set)?.and_then(Members::of))
    }

    /// Number of members, zero for an absent key.
    ///
    /// # Errors
    /// The key holds another type; so for all reads and writes of sets.
    pub fn set_len(&mut self, key: &[u8]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        Ok(self.members(&spot)?.map_or(0, Members::len))
    }

    /// Whether `member` is there.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_contains(&mut self, key: &[u8], member: &[u8]) -> Result<bool, WrongType> {
        let spot = self.spot(key);
        let set = self.members(&spot)?;
        Ok(set.is_some_and(|set| set.contains(member)))
    }

    /// Visits the members, in no particular order.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_members(
        &mut self,
        key: &[u8],
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), WrongType> {
        let spot = self.spot(key);
        if let Some(set) = self.members(&spot)? {
            set.each(each);
        }
        Ok(())
    }

    /// Visits members from a cursor on; returns the next cursor, zero at the end.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_scan(
        &mut self,
        key: &[u8],
        cursor: u64,
        count: usize,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<u64, WrongType> {
        let spot = self.spot(key);
        let set = self.members(&spot)?;
        Ok(set.map_or(0, |set| set.scan(cursor, count, each)))
    }

    /// A member chosen by `random`.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_random(&mut self, key: &[u8], random: u64) -> Result<Option<Vec<u8>>, WrongType> {
        let spot = self.spot(key);
        let set = self.members(&spot)?;
        Ok(set.and_then(|set| set.random(random)).map(<[u8]>::to_vec))
    }

    /// The rule under which members are added: that of the set, and where there is none, or one of both rules, that of its
    /// keyspace.
    fn rule_of(&self, key: &[u8], set: Option<Members<'_>>) -> SetRule {
        let rule = set.and_then(Members::rule);
        rule.unwrap_or_else(|| self.replica.keyspaces.sets_of(key))
    }

    /// Whether a removal of members of this set, or of none, has to win over what adds them meanwhile: where members are
    /// under that rule, or will be once somebody migrates the set as its keyspace says.
    fn removals_win(&self, key: &[u8], set: Option<Members<'_>>) -> bool {
        set.is_some_and(|set| set.remove_wins().is_some())
            || self.replica.keyspaces.sets_of(key) == SetRule::RemoveWins
    }

    /// The members that a removal of all of them names, so that it wins over what adds them meanwhile. What has expired was not
    /// removed by anybody.
    pub(super) fn vetoed(&self, row: &Row) -> Vec<Vec<u8>> {
        let mut vetoed = Vec::new();
        let Some(set) = Members::held_by(row).filter(|_| row.is_visible(self.now_ms())) else {
            return vetoed;
        };
        if self.removals_win(&row.key, Some(set)) {
            set.each(&mut |member| {
                vetoed.push(member.to_vec());
                ControlFlow::Continue(())
            });
        }
        vetoed
    }

    /// Adds members; returns how many are new. Adding what is there is logged too: it beats a concurrent removal, or is on
    /// record against later ones. A set keeps its rule; one of both rules, and a key that is not there, has that of its keyspace.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_add(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let counters = self.counters_if_hidden(&spot);
        let set = self.members(&spot)?;
        let rule = self.rule_of(key, set);
        let mut part = SetPart::default();
        let mut new = 0;
        each_once(members, |member| {
            new += usize::from(set.is_none_or(|set| !set.contains(member)));
            part.add.push(Blob(member));
        });
        if part.add.is_empty() {
            return Ok(0);
        }
        let mut op = self.op(&spot, &counters);
        add_part(&mut op, rule, part);
        self.write(&spot, &op);
        Ok(new)
    }

    /// Removes members from the sets of both rules; returns how many were there. Where removals win, what is not there is
    /// removed too: it beats a concurrent addition.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let set = self.members(&spot)?;
        let (mut observed, mut named) = (SetPart::default(), SetPart::default());
        if let Some(set) = set.and_then(Members::add_wins) {
            each_present(
                set,
                members,
                |_| true,
                |member| observed.remove.push(Blob(member)),
            );
        }
        let mut removed = observed.remove.len();
        if self.removals_win(key, set) {
            removed = 0;
            each_once(members, |member| {
                removed += usize::from(set.is_some_and(|set| set.contains(member)));
                named.remove.push(Blob(member));
            });
        }
        // It creates nothing, so what has expired stays so.
        let mut op = KeyOp::new(key);
        let parts = [Part::SetAw(observed), Part::SetRw(named)].into_iter();
        op.parts.extend(parts.filter(removes));
        if !op.parts.is_empty() {
            self.write(&spot, &op);
        }
        Ok(removed)
    }

    /// Writes a set over whatever is there; without members, deletes the key. Its rule is that of its keyspace.
    pub fn set_replace(&mut self, key: &[u8], members: &[&[u8]]) {
        self.replace_set(key, members, Expiry::Clear);
    }

    pub(super) fn replace_set(&mut self, key: &[u8], members: &[&[u8]], expiry: Expiry) {
        let spot = self.spot(key);
        if members.is_empty() {
            self.delete(key);
            return;
        }
        let counters = self.counters(&spot);
        let mut op = self.overwrite(&spot, &counters);
        let mut part = SetPart::default();
        each_once(members, |member| part.add.push(Blob(member)));
        add_part(&mut op, self.replica.keyspaces.sets_of(key), part);
        if let Expiry::At(at_ms) = expiry {
            let stamp = self.raised_deadline(self.before(&spot));
            set_part(
                &mut op,
                Part::Deadline {
                    stamp,
                    at_ms: Some(at_ms),
                },
            );
        }
        self.write(&spot, &op);
    }
}

fn removes(part: &Part<'_>) -> bool {
    matches!(part, Part::SetAw(part) | Part::SetRw(part) if !part.remove.is_empty())
}

fn part_of(rule: SetRule, part: SetPart<'_>) -> Part<'_> {
    match rule {
        SetRule::AddWins => Part::SetAw(part),
        SetRule::RemoveWins => Part::SetRw(part),
    }
}

/// Puts additions into an op. One that removes the members of a set where removals win does not remove what it adds: no
/// addition would be seen beside the removal of its own entry.
fn add_part<'k>(op: &mut KeyOp<'k>, rule: SetRule, mut part: SetPart<'k>) {
    let removed = op.parts.iter().find_map(|part| match part {
        Part::SetRw(part) => Some(&part.remove),
        _ => None,
    });
    if rule == SetRule::RemoveWins
        && let Some(removed) = removed
    {
        let added: HashSet<Blob<'_>> = part.add.iter().copied().collect();
        let removed = removed.iter().filter(|name| !added.contains(name));
        part.remove = removed.copied().collect();
    }
    set_part(op, part_of(rule, part));
}

/// Calls back for every distinct name of an element that `is_there`, in order.
pub(super) fn each_present<'a, V: Clone + Bounded>(
    elements: &PagedMap<V>,
    names: &[&'a [u8]],
    is_there: impl Fn(&V) -> bool,
    mut each: impl FnMut(&'a [u8]),
) {
    if names.len() < MANY {
        return each_once(names, |name| {
            if elements.get(name).is_some_and(&is_there) {
                each(name);
            }
        });
    }
    let mut there = vec![false; names.len()];
    elements.find_each(names, |index, value| there[index] = is_there(value));
    let present = names.iter().zip(there).filter(|(_, there)| *there);
    present.for_each(|(name, _)| each(name));
}

/// Calls back for every distinct item, in order.
pub(super) fn each_once<'a>(items: &[&'a [u8]], mut each: impl FnMut(&'a [u8])) {
    if let [only] = items {
        return each(only);
    }
    let mut seen = HashSet::with_capacity(items.len());
    items
        .iter()
        .filter(|item| seen.insert(**item))
        .for_each(|item| each(item));
}
