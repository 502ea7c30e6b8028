//! Sets, of both rules: where an addition wins, and where a removal does.

use std::collections::HashSet;
use std::ops::ControlFlow;

use isles_crdt::op::Presence;

use super::{Expiry, Spot, Txn, ValueType, WrongType, set_part};
use crate::bound::Bounded;
use crate::keyspace::SetRule;
use crate::op::{Blob, KeyOp, Part, SetPart};
use crate::paged::{MANY, PagedMap};
use crate::remove_wins::RemoveWinsSet;
use crate::row::{Component, Row};

/// The members of a set, whatever its rule.
#[derive(Clone, Copy)]
pub(super) enum Members<'r> {
    AddWins(&'r PagedMap<Presence>),
    RemoveWins(&'r RemoveWinsSet),
}

impl<'r> Members<'r> {
    /// Those that readers see of a row; none if they see another type.
    pub(super) fn of(row: &'r Row) -> Option<Members<'r>> {
        match row.visible()? {
            Component::Set(set) => Some(Members::AddWins(&set.members)),
            Component::SetRw(set) => Some(Members::RemoveWins(set)),
            _ => None,
        }
    }

    fn rule(self) -> SetRule {
        match self {
            Members::AddWins(_) => SetRule::AddWins,
            Members::RemoveWins(_) => SetRule::RemoveWins,
        }
    }

    fn len(self) -> usize {
        match self {
            Members::AddWins(set) => set.len(),
            Members::RemoveWins(set) => set.len(),
        }
    }

    fn contains(self, member: &[u8]) -> bool {
        match self {
            Members::AddWins(set) => set.get(member).is_some(),
            Members::RemoveWins(set) => set.contains(member),
        }
    }

    /// Visits the members until it breaks.
    pub(super) fn each(self, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        _ = match self {
            Members::AddWins(set) => set.iter().try_for_each(|(member, _)| each(member)),
            Members::RemoveWins(set) => set.iter().try_for_each(|(member, _)| each(member)),
        };
    }

    fn scan(self, cursor: u64, count: usize, each: &mut dyn FnMut(&[u8])) -> u64 {
        match self {
            Members::AddWins(set) => set.scan(cursor, count, &mut |member, _| each(member)),
            Members::RemoveWins(set) => set.scan(cursor, count, each),
        }
    }

    fn random(self, random: u64) -> Option<&'r [u8]> {
        match self {
            Members::AddWins(set) => set.random(random).map(|(member, _)| member),
            Members::RemoveWins(set) => set.random(random),
        }
    }
}

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

    /// The rule of a set that is there; of one that is not, that of its keyspace.
    fn rule_of(&self, key: &[u8], set: Option<Members<'_>>) -> SetRule {
        set.map_or_else(|| self.replica.keyspaces.sets_of(key), Members::rule)
    }

    /// Adds members; returns how many are new. Adding what is there is logged too: it beats a concurrent removal, or is on
    /// record against later ones. A key that is not there gets the rule of its keyspace.
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

    /// Removes members; returns how many were there. Where removals win, what is not there is removed too: it beats a
    /// concurrent addition.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let set = self.members(&spot)?;
        let rule = self.rule_of(key, set);
        let mut part = SetPart::default();
        let mut removed = 0;
        match set {
            _ if rule == SetRule::RemoveWins => each_once(members, |member| {
                removed += usize::from(set.is_some_and(|set| set.contains(member)));
                part.remove.push(Blob(member));
            }),
            Some(Members::AddWins(set)) => {
                each_present(
                    set,
                    members,
                    |_| true,
                    |member| part.remove.push(Blob(member)),
                );
                removed = part.remove.len();
            }
            _ => {}
        }
        if !part.remove.is_empty() {
            // It creates nothing, so what has expired stays so.
            let mut op = KeyOp::new(key);
            op.parts.push(part_of(rule, part));
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
