//! Which rows are open and which at rest, and the round that puts them to rest; what that means is said in `rest.rs` of the
//! crate.

use std::ops::Deref;

use super::packed::Packed;
use super::{AT_REST, RowId, Rows, VALID, at_rest, bucket_of};
use crate::position::Position;
use crate::rest::{Rested, Resting};
use crate::row::{Row, Tick};

/// A row that is looked at and stays as it lies: what is at rest is opened for as long as this is there.
pub(crate) enum Seen<'r> {
    Open(&'r Row),
    AtRest(Box<Row>),
}

impl Deref for Seen<'_> {
    type Target = Row;

    fn deref(&self) -> &Row {
        match self {
            Seen::Open(row) => row,
            Seen::AtRest(row) => row,
        }
    }
}

/// A row as it lies.
#[derive(Clone, Copy)]
pub(crate) enum Guess<'r> {
    Open(&'r Row),
    AtRest(&'r Packed),
}

impl Rows {
    #[inline]
    pub(super) fn key_of(&self, id: RowId) -> &[u8] {
        match at_rest(id) {
            Some(number) => self.packed(number).key(),
            None => &self.get(id).key,
        }
    }

    fn packed(&self, number: u32) -> &Packed {
        self.resting.get(number).expect(VALID)
    }

    /// A row, open or at rest.
    pub(crate) fn see(&self, id: RowId) -> Seen<'_> {
        match at_rest(id) {
            Some(number) => Seen::AtRest(Box::new(self.packed(number).row(&self.authors))),
            None => Seen::Open(self.get(id)),
        }
    }

    /// Reads what a write of a key with this hash changes of its bucket; see `warm.rs`.
    #[inline]
    pub(crate) fn warm_bucket(&self, hash: u64) -> usize {
        let bucket = &self.buckets[bucket_of(hash)];
        bucket.sum as usize ^ bucket.changed.len() ^ bucket.dirty.len()
    }

    /// Reads where the list is in which a key with this hash is looked up.
    #[inline]
    pub(crate) fn warm_index(&self, hash: u64) -> usize {
        self.index[bucket_of(hash)].len()
    }

    /// The same, one step further.
    #[inline]
    pub(crate) fn warm_place(&self, hash: u64) -> usize {
        self.index[bucket_of(hash)].warm(hash)
    }

    /// The row that a key with this hash most likely has; its key has not been looked at.
    #[inline]
    pub(crate) fn guess(&self, hash: u64) -> Option<Guess<'_>> {
        let id = self.index[bucket_of(hash)].find(hash).next()?;
        Some(match at_rest(id) {
            Some(number) => Guess::AtRest(self.packed(number)),
            None => Guess::Open(self.get(id)),
        })
    }

    /// The value of a row at rest, if it is a string that never expires, and how durable it is.
    #[inline]
    pub(crate) fn string_at_rest(&self, id: RowId) -> Option<(Position, &[u8])> {
        self.packed(at_rest(id)?).string()
    }

    /// A row at rest is used, which does not open it.
    pub(crate) fn used_at_rest(&mut self, id: RowId, now: Tick) {
        if let Some(packed) = self.resting.get_mut(id & !AT_REST) {
            packed.set_used(now);
        }
    }

    /// The number of a row that is open from here on.
    #[inline]
    pub(crate) fn opened(&mut self, id: RowId) -> RowId {
        match at_rest(id) {
            Some(number) => self.open_up(id, number),
            None => id,
        }
    }

    #[cold]
    fn open_up(&mut self, id: RowId, number: u32) -> RowId {
        let row = self.unpacked(number).expect(VALID);
        let (hash, expires) = (row.hash, row.expires_at());
        let new = self.open.insert(row);
        self.renumber(hash, expires, id, new);
        new
    }

    /// Takes a row out of those at rest.
    pub(super) fn unpacked(&mut self, number: u32) -> Option<Row> {
        let packed = self.resting.remove(number)?;
        Some(packed.row(&self.authors))
    }

    /// Has all that refers to a row refer to it by its new number. Rows that changed since their last image are referred to
    /// as such too, and get none.
    fn renumber(&mut self, hash: u64, expires_ms: Option<u64>, id: RowId, new: RowId) {
        self.index[bucket_of(hash)].renumber(hash, id, new);
        if let Some(at_ms) = expires_ms
            && self.deadlines.remove(&(at_ms, id))
        {
            self.deadlines.insert((at_ms, new));
        }
    }

    /// Goes on with the round, and puts to rest what the table has and nobody uses.
    pub(crate) fn rest(&mut self, now: Tick, which: Resting) -> Rested {
        let mut done = Rested::default();
        while done.looked < which.looked && done.rested < which.rested {
            let Some(id) = self.open.next(self.hand) else {
                self.hand = 0;
                done.is_round = true;
                break;
            };
            self.hand = id + 1;
            done.looked += 1;
            let row = self.get(id);
            if row.dirty {
                continue;
            }
            if row.is_idle(now, which.idle_ms) && self.put_to_rest(id) {
                done.rested += 1;
            } else if self.open.is_stray(id) {
                self.gather(id);
                done.rested += 1;
            }
        }
        done
    }

    /// Puts an open row to rest, if it is one that can be.
    fn put_to_rest(&mut self, id: RowId) -> bool {
        let row = self.open.get(id).expect(VALID);
        if row.is_reserved() {
            return false;
        }
        let Some(packed) = Packed::of(row, &mut self.authors, &mut self.scratch) else {
            return false;
        };
        let (hash, expires) = (row.hash, row.expires_at());
        let new = self.resting.insert(packed) | AT_REST;
        self.renumber(hash, expires, id, new);
        drop(self.open.remove(id));
        true
    }

    /// Moves an open row to where the others are, so that the room that those at rest have left is given back. One without
    /// content is known by its number to be so.
    fn gather(&mut self, id: RowId) {
        if self.get(id).is_gone() {
            return;
        }
        let row = self.open.remove(id).expect(VALID);
        let (hash, expires) = (row.hash, row.expires_at());
        let new = self.open.insert(row);
        self.renumber(hash, expires, id, new);
    }
}

#[cfg(test)]
mod tests {
    use isles_clock::{Dot, Hlc, ReplicaId};

    use super::*;
    use crate::row::{Component, LwwCell};
    use crate::rows::hash_of;
    use crate::sum;

    const NOW_MS: u64 = 1 << 40;

    /// Puts in a string that expires.
    fn load(rows: &mut Rows, number: u64) {
        let key = number.to_be_bytes();
        let mut row = Row::new(&key, hash_of(&key));
        let dot = Dot::new(ReplicaId::from_u128(1), number + 1);
        row.components.push(Component::Lww(LwwCell {
            dot,
            hlc: Hlc::from_u64(number),
            value: Some(key.into()),
        }));
        row.deadline.at_ms = NOW_MS + 1 + number;
        row.sum = sum::of_row(&row);
        rows.load(row, NOW_MS);
    }

    #[test]
    fn open_rows_gather_where_there_are_few() {
        const COUNT: u64 = 10_000;
        let mut rows = Rows::new();
        (0..COUNT).for_each(|number| load(&mut rows, number));
        while rows.take_dirty().is_some() {}
        let last = (COUNT - 1).to_be_bytes();
        let id = rows.find(&last, hash_of(&last)).expect("a row");
        rows.used(id, Tick::at(2 * NOW_MS));
        let all = Resting {
            idle_ms: 1,
            looked: usize::MAX,
            rested: usize::MAX,
        };
        let done = rows.rest(Tick::at(2 * NOW_MS), all);
        assert_eq!(done.rested as u64, COUNT);
        assert_eq!(
            (rows.open.len(), rows.open.bound()),
            (1, 1),
            "the last one has moved"
        );
        rows.check().expect("what is derived adds up");
        let mut hidden = 0;
        rows.hide_expired(2 * NOW_MS, usize::MAX, |_| hidden += 1);
        assert_eq!(hidden, COUNT);
        rows.check().expect("what is derived adds up");
    }
}
