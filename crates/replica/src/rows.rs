//! All rows of a replica, by key, by bucket and by deadline.

mod cold;
mod dirty;
mod packed;
mod places;
mod rest;
mod slabs;

use std::collections::{BTreeSet, VecDeque};
use std::iter::repeat_with;

use isles_clock::{ReplicaId, VectorClock};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use self::cold::Cold;
pub(crate) use self::cold::{ColdBucket, Sampler};
pub(crate) use self::dirty::BucketImage;
use self::packed::{Authors, Packed};
use self::places::Places;
pub(crate) use self::rest::{Guess, Seen};
use self::slabs::Slabs;
use crate::row::{Deadline, Row, Tick};

/// Number of buckets of the key hash, the same on every node of a cluster.
pub const BUCKETS: usize = 1 << 16;

/// Keys that start with this are Isles' own: they replicate as all others do, but commands that list keys skip them.
pub const RESERVED_PREFIX: &[u8] = b"\0isles:";

/// The number of a row: stable while the row is there and stays open, or stays at rest. Nearly all that is done with a row
/// takes the number of an open one; who asks for a key by [`Rows::find_open`] gets such.
pub(crate) type RowId = u32;

/// Rows whose key hashes start with the same bits, and the sum of their content.
#[derive(Debug)]
struct Bucket {
    sum: u128,
    /// Rows that only the table holds. While there are none, a key without a row is absent.
    cold: u32,
    /// Changes whenever a row leaves memory, for whatever reason.
    epoch: u64,
    /// Per origin, the greatest sequence that changed the bucket.
    changed: SmallVec<[(ReplicaId, u64); 1]>,
    /// Rows of which something is left, in memory or not.
    rows: u32,
    /// Those of them that count among the visible keys.
    counted: u32,
    /// Those of these that have a deadline.
    expiring: u32,
    /// Rows that changed since their last image.
    dirty: SmallVec<[RowId; 4]>,
}

#[derive(Debug)]
pub(crate) struct Rows {
    open: Slabs<Row>,
    resting: Slabs<Packed>,
    /// Which rows are in which bucket; apart from the buckets, since who reads needs nothing else of those.
    index: Vec<Places>,
    buckets: Vec<Bucket>,
    /// One bit per bucket that has rows.
    occupied: Vec<u64>,
    sum: u128,
    visible: usize,
    /// Those of the visible keys that have a deadline.
    expiring: usize,
    /// Their deadlines, as far as they are in memory.
    deadlines: BTreeSet<(u64, RowId)>,
    /// Keys that were taken out of `deadlines` because theirs had passed.
    expired_total: u64,
    /// The buckets that have rows which changed since their last image, in the order in which the first of them did.
    dirty: VecDeque<u16>,
    dirty_rows: usize,
    cold: Cold,
    authors: Authors,
    /// Where the round that puts rows to rest goes on.
    hand: u32,
    /// Where rows are packed; kept, so that each takes one allocation.
    scratch: Vec<u8>,
}

/// The hash that places a key: its high bits choose the bucket.
pub(crate) fn hash_of(key: &[u8]) -> u64 {
    xxh3_64(key)
}

pub(crate) fn bucket_of(hash: u64) -> usize {
    (hash >> 48) as usize
}

impl Rows {
    pub(crate) fn new() -> Self {
        let bucket = || Bucket {
            sum: 0,
            cold: 0,
            epoch: 0,
            changed: SmallVec::new(),
            rows: 0,
            counted: 0,
            expiring: 0,
            dirty: SmallVec::new(),
        };
        Rows {
            open: Slabs::default(),
            resting: Slabs::default(),
            index: repeat_with(Places::default).take(BUCKETS).collect(),
            // Not `vec!`: cloning a bucket takes an unoptimised build several times as long as making one.
            buckets: repeat_with(bucket).take(BUCKETS).collect(),
            occupied: vec![0; BUCKETS / 64],
            sum: 0,
            visible: 0,
            expiring: 0,
            deadlines: BTreeSet::new(),
            expired_total: 0,
            dirty: VecDeque::new(),
            dirty_rows: 0,
            cold: Cold::default(),
            authors: Authors::default(),
            hand: 0,
            scratch: Vec::new(),
        }
    }

    /// The row of a key, if there is one, open or at rest.
    pub(crate) fn find(&self, key: &[u8], hash: u64) -> Option<RowId> {
        let mut alike = self.index[bucket_of(hash)].find(hash);
        alike.find(|id| *self.key_of(*id) == *key)
    }

    /// The row of a key, if there is one; it is open from here on.
    #[inline]
    pub(crate) fn find_open(&mut self, key: &[u8], hash: u64) -> Option<RowId> {
        let id = self.find(key, hash)?;
        Some(self.opened(id))
    }

    /// The row of a key, to be looked at; it stays as it lies.
    pub(crate) fn look(&self, key: &[u8], hash: u64) -> Option<Seen<'_>> {
        self.find(key, hash).map(|id| self.see(id))
    }

    /// The row of a key, made empty if there is none.
    pub(crate) fn find_or_insert(&mut self, key: &[u8], hash: u64) -> RowId {
        match self.find_open(key, hash) {
            Some(id) => id,
            None => self.insert(Row::new(key, hash)),
        }
    }

    fn insert(&mut self, row: Row) -> RowId {
        let hash = row.hash;
        let id = self.open.insert(row);
        let bucket = bucket_of(hash);
        self.index[bucket].insert(hash, id);
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
        id
    }

    /// Forgets a row of which nothing is left.
    pub(crate) fn remove(&mut self, id: RowId) {
        debug_assert!(
            self.get(id).is_gone(),
            "only rows without content or residue are removed"
        );
        drop(self.take_out(id));
    }

    /// Takes a row out of memory; what is counted of it stays counted.
    fn take_out(&mut self, id: RowId) -> Row {
        let row = match at_rest(id) {
            Some(number) => self.unpacked(number),
            None => self.open.remove(id),
        };
        let row = row.expect(VALID);
        let number = bucket_of(row.hash);
        self.index[number].remove(row.hash, id);
        self.buckets[number].epoch += 1;
        if self.index[number].is_empty() {
            self.occupied[number / 64] &= !(1 << (number % 64));
        }
        row
    }

    /// The first bucket from `bucket` on that has rows.
    pub(crate) fn next_occupied(&self, bucket: usize) -> Option<usize> {
        next_in(&self.occupied, bucket)
    }

    /// An open row.
    #[inline]
    pub(crate) fn get(&self, id: RowId) -> &Row {
        self.open.get(id).expect(VALID)
    }

    /// The row, which a command uses now.
    #[inline]
    pub(crate) fn used(&mut self, id: RowId, now: Tick) -> &Row {
        let row = self.row_mut(id);
        row.note_used(now);
        row
    }

    /// Keeps what the sketches of a row count together: it is derived, so nothing else changes.
    pub(crate) fn note_counted(&mut self, id: RowId, count: u64) {
        self.row_mut(id).note_counted(count);
    }

    #[inline]
    fn row_mut(&mut self, id: RowId) -> &mut Row {
        self.open.get_mut(id).expect(VALID)
    }

    /// Changes a row and everything that is derived from it: sums, the index of deadlines, the number of visible keys,
    /// the list of rows for the checkpoint.
    pub(crate) fn change<R>(
        &mut self,
        id: RowId,
        now_ms: u64,
        change: impl FnOnce(&mut Row) -> R,
    ) -> R {
        let row = self.row_mut(id);
        let (sum, deadline) = (row.sum, row.deadline);
        let (counted, kept) = (row.counted, row.kept);
        let result = change(row);
        let newly_dirty = !std::mem::replace(&mut row.dirty, true);
        let (hash, new_sum, new_deadline, live) = (row.hash, row.sum, row.deadline, row.is_live());
        let reserved = row.key.starts_with(RESERVED_PREFIX);
        row.counted = live && !reserved && !row.is_hidden(now_ms);
        row.note_used(Tick::at(now_ms));
        row.kept = !row.is_gone();
        let (new_counted, new_kept) = (row.counted, row.kept);
        if newly_dirty {
            self.queue_dirty(id, hash);
        }
        let delta = new_sum.wrapping_sub(sum);
        let bucket = &mut self.buckets[bucket_of(hash)];
        bucket.sum = bucket.sum.wrapping_add(delta);
        bucket.rows = bucket.rows + u32::from(new_kept) - u32::from(kept);
        bucket.counted = bucket.counted + u32::from(new_counted) - u32::from(counted);
        let expired = u32::from(counted && deadline.is_set());
        let expires = u32::from(new_counted && new_deadline.is_set());
        bucket.expiring = bucket.expiring + expires - expired;
        self.expiring = self.expiring + expires as usize - expired as usize;
        self.sum = self.sum.wrapping_add(delta);
        self.visible = self.visible + usize::from(new_counted) - usize::from(counted);
        if deadline.is_set() || new_deadline.is_set() {
            self.index_deadline(id, deadline, new_deadline, new_counted);
        }
        result
    }

    fn index_deadline(&mut self, id: RowId, old: Deadline, new: Deadline, counted: bool) {
        self.deadlines.remove(&(old.at_ms, id));
        if counted && new.is_set() {
            self.deadlines.insert((new.at_ms, id));
        }
    }

    /// Notes that an entry of `replica` touched the bucket of a key.
    pub(crate) fn note_change(&mut self, hash: u64, replica: ReplicaId, sequence: u64) {
        let changed = &mut self.buckets[bucket_of(hash)].changed;
        match changed.iter_mut().find(|(origin, _)| *origin == replica) {
            Some((_, last)) => *last = sequence,
            None => changed.push((replica, sequence)),
        }
    }

    /// Takes up to so many rows whose deadline has passed out of the number of visible keys, and shows them; returns how
    /// many.
    pub(crate) fn hide_expired(
        &mut self,
        now_ms: u64,
        limit: usize,
        mut each: impl FnMut(&Row),
    ) -> usize {
        let mut hidden = 0;
        while hidden < limit
            && let Some((at_ms, id)) = self.deadlines.first().copied()
            && at_ms <= now_ms
        {
            let id = self.opened(id);
            each(self.hide(at_ms, id));
            hidden += 1;
        }
        hidden
    }

    /// Takes a row whose deadline has passed out of the number of visible keys.
    pub(crate) fn hide(&mut self, at_ms: u64, id: RowId) -> &Row {
        self.deadlines.remove(&(at_ms, id));
        let row = self.open.get_mut(id).expect(VALID);
        let counted = std::mem::take(&mut row.counted);
        let bucket = &mut self.buckets[bucket_of(row.hash)];
        bucket.counted -= u32::from(counted);
        bucket.expiring -= u32::from(counted);
        self.visible -= usize::from(counted);
        self.expiring -= usize::from(counted);
        self.expired_total += 1;
        // The table lists it still.
        self.mark_dirty(id);
        self.get(id)
    }

    /// Counts a key that expired because a deadline has arrived which had passed.
    pub(crate) fn note_expired(&mut self) {
        self.expired_total += 1;
    }

    pub(crate) fn expired_total(&self) -> u64 {
        self.expired_total
    }

    /// What was counted while the log was replayed had expired before.
    pub(crate) fn forget_expired_total(&mut self) {
        self.expired_total = 0;
    }

    /// Number of keys whose deadline has passed and was not found yet, of so many at most.
    pub(crate) fn stale(&self, now_ms: u64, limit: usize) -> usize {
        let passed = self.deadlines.range(..=(now_ms, RowId::MAX));
        passed.take(limit).count()
    }

    /// The next deadline that will pass, in milliseconds since 1970.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(at_ms, _)| *at_ms)
    }

    /// Number of keys with a deadline that has not been found to have passed.
    pub(crate) fn expiring(&self) -> usize {
        self.expiring
    }

    pub(crate) fn visible(&self) -> usize {
        self.visible
    }

    /// Number of rows in memory, residue and hidden keys included.
    pub(crate) fn len(&self) -> usize {
        self.open.len() + self.resting.len()
    }

    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    pub(crate) fn bucket_sum(&self, bucket: usize) -> (u128, VectorClock) {
        let bucket = &self.buckets[bucket];
        (bucket.sum, bucket.changed.iter().copied().collect())
    }

    /// The rows of one bucket that are in memory.
    pub(crate) fn bucket(&self, bucket: usize) -> impl Iterator<Item = (RowId, Seen<'_>)> {
        self.index[bucket].rows().map(|id| (id, self.see(id)))
    }

    /// Compares what is kept beside the rows with the rows.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut total = 0u128;
        let after = |bucket: &usize| self.next_occupied(bucket + 1);
        for number in std::iter::successors(self.next_occupied(0), after) {
            let (rows, kept) = (self.resident_sum(number), self.buckets[number].sum);
            if self.buckets[number].cold > 0 {
                continue;
            }
            if rows != kept {
                return Err(format!(
                    "bucket {number} has sum {kept:x}, its rows {rows:x}"
                ));
            }
            total = total.wrapping_add(rows);
        }
        for number in self.buckets_with_cold() {
            total = total.wrapping_add(self.buckets[number].sum);
        }
        if total != self.sum {
            return Err(format!(
                "the digest is {:x}, the buckets' sum {total:x}",
                self.sum
            ));
        }
        self.check_totals()?;
        let counted = self.iter().filter(|(_, row)| row.counted).count() + self.cold_keys();
        if counted != self.visible {
            return Err(format!(
                "{} keys are counted as visible, {counted} are",
                self.visible
            ));
        }
        let due = self
            .iter()
            .filter(|(_, row)| row.counted && row.deadline.is_set());
        let due: BTreeSet<_> = due.map(|(id, row)| (row.deadline.at_ms, id)).collect();
        if due != self.deadlines {
            let (due, kept) = (due.len(), self.deadlines.len());
            return Err(format!(
                "{due} keys expire, {kept} deadlines are kept, and not the same"
            ));
        }
        let (placed, rows) = (self.iter().count(), self.len());
        if placed != rows {
            return Err(format!("{placed} rows are in buckets, {rows} in all"));
        }
        let misplaced = self
            .iter()
            .find(|(id, row)| self.find(&row.key, row.hash) != Some(*id));
        if let Some((_, row)) = misplaced {
            return Err(format!("key \"{}\" is not found", row.key.escape_ascii()));
        }
        Ok(())
    }

    /// What the rows of a bucket that are in memory add up to.
    fn resident_sum(&self, bucket: usize) -> u128 {
        let rows = self.bucket(bucket);
        rows.fold(0u128, |sum, (_, row)| sum.wrapping_add(row.sum))
    }

    /// Every row in memory, bucket by bucket.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RowId, Seen<'_>)> {
        let after = |bucket: &usize| self.next_occupied(bucket + 1);
        std::iter::successors(self.next_occupied(0), after).flat_map(|bucket| self.bucket(bucket))
    }

    /// What the checkpoint needs of a row, which may change what only the checkpoint knows of it.
    pub(crate) fn image_mut(&mut self, id: RowId) -> &mut Row {
        self.row_mut(id)
    }

    /// Puts in a row of a table that lists no keys, which the next checkpoint therefore writes again.
    pub(crate) fn load(&mut self, row: Row, now_ms: u64) {
        let id = self.find_or_insert(&row.key, row.hash);
        self.change(id, now_ms, |place| {
            *place = Row {
                dirty: place.dirty,
                ..row
            };
        });
    }
}

/// The first bit from this one on that is set.
fn next_in(bits: &[u64], bit: usize) -> Option<usize> {
    let first = bits.get(bit / 64)? & (u64::MAX << (bit % 64));
    if first != 0 {
        return Some(bit / 64 * 64 + first.trailing_zeros() as usize);
    }
    let word = (bit / 64 + 1..bits.len()).find(|word| bits[*word] != 0)?;
    Some(word * 64 + bits[word].trailing_zeros() as usize)
}

/// The number among those at rest, if it is of one.
#[inline]
fn at_rest(id: RowId) -> Option<u32> {
    (id & AT_REST != 0).then_some(id & !AT_REST)
}

/// Numbers with this bit are of rows at rest.
const AT_REST: RowId = 1 << 31;
const VALID: &str =
    "a row's number is valid until the row is removed, and while it stays open or at rest";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_use_lies_where_alignment_left_room() {
        assert_eq!(size_of::<Row>(), 176);
    }

    #[test]
    fn a_row_at_rest_takes_few_bytes_beside_its_content() {
        assert_eq!(size_of::<Option<Packed>>(), 16);
    }
}
