//! Sets: add-wins.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::{Expiry, Txn, ValueType, WrongType, set_part};
use crate::bound::Bounded;
use crate::op::{Blob, Part, SetPart};
use crate::paged::{MANY, PagedMap};
use crate::row::Row;

impl Txn<'_> {
    /// Number of members, zero for an absent key.
    ///
    /// # Errors
    /// The key holds another type; so for all reads and writes of sets.
    pub fn set_len(&mut self, key: &[u8]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        Ok(self
            .typed(&spot, ValueType::Set)?
            .and_then(Row::set)
            .map_or(0, |set| set.len()))
    }

    /// Whether `member` is there.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_contains(&mut self, key: &[u8], member: &[u8]) -> Result<bool, WrongType> {
        let spot = self.spot(key);
        let set = self.typed(&spot, ValueType::Set)?.and_then(Row::set);
        Ok(set.is_some_and(|set| set.get(member).is_some()))
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
        let set = self.typed(&spot, ValueType::Set)?.and_then(Row::set);
        for (member, _) in set.into_iter().flat_map(|set| set.iter()) {
            if each(member).is_break() {
                break;
            }
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
        let set = self.typed(&spot, ValueType::Set)?.and_then(Row::set);
        Ok(set.map_or(0, |set| {
            set.scan(cursor, count, &mut |member, _| each(member))
        }))
    }

    /// A member chosen by `random`.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_random(&mut self, key: &[u8], random: u64) -> Result<Option<Vec<u8>>, WrongType> {
        let spot = self.spot(key);
        let set = self.typed(&spot, ValueType::Set)?.and_then(Row::set);
        Ok(set
            .and_then(|set| set.random(random))
            .map(|(member, _)| member.to_vec()))
    }

    /// Adds members; returns how many are new. Adding what is there is logged too: it beats a concurrent removal.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_add(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let counters = self.counters_if_hidden(&spot);
        let set = self.typed(&spot, ValueType::Set)?.and_then(Row::set);
        let mut part = SetPart::default();
        let mut new = 0;
        each_once(members, |member| {
            new += usize::from(set.is_none_or(|set| set.get(member).is_none()));
            part.add.push(Blob(member));
        });
        if part.add.is_empty() {
            return Ok(0);
        }
        let mut op = self.op(&spot, &counters);
        set_part(&mut op, Part::SetAw(part));
        self.write(&spot, &op);
        Ok(new)
    }

    /// Removes members; returns how many were there.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let Some(set) = self.typed(&spot, ValueType::Set)?.and_then(Row::set) else {
            return Ok(0);
        };
        let mut part = SetPart::default();
        each_present(
            set,
            members,
            |_| true,
            |member| {
                part.remove.push(Blob(member));
            },
        );
        let removed = part.remove.len();
        if removed > 0 {
            let mut op = crate::op::KeyOp::new(key);
            op.parts.push(Part::SetAw(part));
            self.write(&spot, &op);
        }
        Ok(removed)
    }

    /// Writes a set over whatever is there; without members, deletes the key.
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
        set_part(&mut op, Part::SetAw(part));
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
