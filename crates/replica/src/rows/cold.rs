//! Rows that only the table holds: which leave memory, and how they come back.
//!
//! What is counted of a row, its part in the sums and among the visible keys, stays counted while it is cold.

use std::collections::{BTreeMap, VecDeque};

use super::packed::Packed;
use super::{
    AT_REST, BUCKETS, BucketImage, RESERVED_PREFIX, RowId, Rows, at_rest, bucket_of, hash_of,
    next_in,
};
use crate::position::Position;
use crate::row::{Row, Tick};

/// So many rows that may leave are looked at, and the one that was not used for longest leaves; as in Redis's own
/// approximation of "least recently used".
const SAMPLES: usize = 16;
/// Places looked at for them, where most are free or hold rows that must stay.
const TRIES: usize = 4 * SAMPLES;
/// Keys that are remembered to be in neither memory nor table; beyond them the oldest is forgotten, and asked for again.
const ABSENT_MAX: usize = 1 << 16;

/// What is known of the rows that are not in memory.
#[derive(Debug, Default)]
pub(super) struct Cold {
    rows: usize,
    /// Those of them that count among the visible keys.
    counted: usize,
    /// One bit per bucket that has some; nothing before the first.
    buckets: Vec<u64>,
    /// Rows without content, which say that their keys are absent; some of them may have become others since.
    absent: VecDeque<RowId>,
    /// A planted bug: unknown keys are taken for absent ones.
    pub(super) is_denied: bool,
}

/// Where the next row is looked at: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014).
#[derive(Debug)]
pub(crate) struct Sampler(pub(crate) u64);

impl Sampler {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((u64::from((mixed >> 32) as u32) * u64::from(bound)) >> 32) as u32
    }
}

/// The rows of one bucket that are cold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColdBucket {
    pub(crate) rows: u32,
    pub(crate) sum: u128,
}

impl Rows {
    /// Whether a key without a row may be in the table all the same.
    #[inline]
    pub(crate) fn has_cold(&self) -> bool {
        self.cold.rows != 0
    }

    pub(crate) fn cold_rows(&self) -> usize {
        self.cold.rows
    }

    /// Cold rows that count among the visible keys.
    pub(crate) fn cold_keys(&self) -> usize {
        self.cold.counted
    }

    /// Whether other rows of a key's bucket are cold, so that a key without a row may be among them.
    pub(crate) fn has_cold_beside(&self, hash: u64) -> bool {
        self.buckets[bucket_of(hash)].cold > 0
    }

    /// The epoch of a bucket that has rows which are cold.
    pub(crate) fn epoch_of_cold(&self, bucket: usize) -> Option<u64> {
        let bucket = &self.buckets[bucket];
        (bucket.cold > 0).then_some(bucket.epoch)
    }

    /// Number of visible keys of a bucket.
    pub(crate) fn counted_in(&self, bucket: usize) -> usize {
        self.buckets[bucket].counted as usize
    }

    /// The first bucket from `bucket` on that has rows, in memory or not.
    pub(crate) fn next_bucket(&self, bucket: usize) -> Option<usize> {
        let (hot, cold) = (
            self.next_occupied(bucket),
            next_in(&self.cold.buckets, bucket),
        );
        hot.into_iter().chain(cold).min()
    }

    /// Changes whenever a row of the bucket of a key leaves memory.
    pub(crate) fn epoch(&self, hash: u64) -> u64 {
        self.buckets[bucket_of(hash)].epoch
    }

    /// Whether nobody can say without the table whether there is such a key. Those of Isles' own are always in memory.
    #[cold]
    pub(crate) fn is_unknown(&self, key: &[u8], hash: u64) -> bool {
        self.has_cold_beside(hash)
            && !key.starts_with(RESERVED_PREFIX)
            && !self.cold.is_denied
            && self.find(key, hash).is_none()
    }

    /// Whether a row of the table is cold.
    pub(crate) fn is_cold(&self, key: &[u8], hash: u64) -> bool {
        self.has_cold_beside(hash) && self.find(key, hash).is_none()
    }

    /// Takes unknown keys for absent ones from here on, which is a bug.
    pub(crate) fn deny_cold(&mut self) {
        self.cold.is_denied = true;
    }

    /// Puts in a row of the table that is cold. It counts already, and whether among the visible keys it says.
    pub(crate) fn admit(&mut self, mut row: Row, now_ms: u64) -> RowId {
        row.used = Tick::at(now_ms);
        row.kept = true;
        let bucket = bucket_of(row.hash);
        self.buckets[bucket].cold -= 1;
        if self.buckets[bucket].cold == 0 {
            self.cold.buckets[bucket / 64] &= !(1 << (bucket % 64));
        }
        self.cold.rows -= 1;
        self.cold.counted -= usize::from(row.counted);
        let deadline = row.deadline;
        let expires = row.counted && deadline.is_set();
        let id = self.insert(row);
        if expires {
            // It may have passed: then the key is found as any other.
            self.deadlines.insert((deadline.at_ms, id));
        }
        id
    }

    /// Takes note of what the table has of a bucket, none of which is in memory.
    pub(crate) fn note_stored(&mut self, image: &BucketImage) {
        let number = usize::from(image.bucket);
        let bucket = &mut self.buckets[number];
        bucket.sum = image.sum;
        bucket.rows = image.rows;
        bucket.counted = image.counted;
        bucket.expiring = image.expiring;
        bucket.cold = image.rows;
        self.sum = self.sum.wrapping_add(image.sum);
        self.visible += image.counted as usize;
        self.expiring += image.expiring as usize;
        if image.rows > 0 {
            self.cold.buckets.resize(BUCKETS / 64, 0);
            self.cold.buckets[number / 64] |= 1 << (number % 64);
        }
        self.cold.rows += image.rows as usize;
        self.cold.counted += image.counted as usize;
    }

    /// Puts in a row without content for a key that is in neither memory nor table.
    pub(crate) fn admit_absent(&mut self, key: &[u8], now_ms: u64) {
        if self.cold.absent.len() >= ABSENT_MAX
            && let Some(oldest) = self.cold.absent.pop_front()
            && self.says_absent(oldest)
            && self.get(oldest).position == Position::ZERO
        {
            self.remove(oldest);
        }
        let mut row = Row::new(key, hash_of(key));
        row.used = Tick::at(now_ms);
        let id = self.insert(row);
        self.cold.absent.push_back(id);
    }

    /// A row of which nothing is left stays to say so, since other rows of its bucket are cold and the table may still
    /// show what it was.
    pub(crate) fn keep_absent(&mut self, id: RowId) {
        if self.cold.absent.len() < ABSENT_MAX {
            self.cold.absent.push_back(id);
        }
    }

    /// Whether an open row says that its key is absent; rows without content never rest.
    fn says_absent(&self, id: RowId) -> bool {
        let row = self.open.get(id);
        row.is_some_and(|row| !row.dirty && row.is_gone())
    }

    /// Forgets up to so many keys that are known to be absent and were not used after `latest`, oldest first; returns
    /// how many.
    pub(crate) fn drop_absent(&mut self, limit: usize, latest: Tick) -> usize {
        let mut dropped = 0;
        while dropped < limit
            && let Some(id) = self.cold.absent.front().copied()
        {
            if self.says_absent(id) {
                if self.get(id).used > latest {
                    break;
                }
                self.remove(id);
                dropped += 1;
            }
            self.cold.absent.pop_front();
        }
        dropped
    }

    /// Takes out a row that the table has, of some that were not used after `latest` the one that was used least
    /// recently; none if all that were looked at must stay.
    ///
    /// The caller knows that the table has every row that is not dirty.
    pub(crate) fn evict(&mut self, latest: Tick, sampler: &mut Sampler) -> Option<Row> {
        let id = self.oldest_of_some(latest, sampler)?;
        let row = self.take_out(id);
        if let Some(at_ms) = row.expires_at() {
            self.deadlines.remove(&(at_ms, id));
        }
        if !row.is_gone() {
            self.note_cold(&row);
        }
        Some(row)
    }

    fn note_cold(&mut self, row: &Row) {
        let bucket = bucket_of(row.hash);
        self.cold.buckets.resize(BUCKETS / 64, 0);
        self.cold.buckets[bucket / 64] |= 1 << (bucket % 64);
        self.buckets[bucket].cold += 1;
        self.cold.rows += 1;
        self.cold.counted += usize::from(row.counted);
    }

    /// The buckets that have cold rows.
    pub(super) fn buckets_with_cold(&self) -> impl Iterator<Item = usize> {
        let after = |bucket: &usize| next_in(&self.cold.buckets, bucket + 1);
        std::iter::successors(next_in(&self.cold.buckets, 0), after)
    }

    fn oldest_of_some(&self, latest: Tick, sampler: &mut Sampler) -> Option<RowId> {
        let (mut oldest, mut seen): (Option<(Tick, RowId)>, usize) = (None, 0);
        for _ in 0..TRIES {
            let id = self.sampled(sampler);
            let Some(used) = self.may_leave(id).filter(|used| *used <= latest) else {
                continue;
            };
            if oldest.is_none_or(|(before, _)| used < before) {
                oldest = Some((used, id));
            }
            seen += 1;
            if seen == SAMPLES {
                break;
            }
        }
        oldest.map(|(_, id)| id)
    }

    /// A number that may be of a row, open or at rest.
    fn sampled(&self, sampler: &mut Sampler) -> RowId {
        let open = self.open.bound();
        let number = sampler.below(open + self.resting.bound());
        match number.checked_sub(open) {
            Some(number) => number | AT_REST,
            None => number,
        }
    }

    /// When a row was last used, if it may leave memory: the table has it, as it has all that rest, and nothing in memory
    /// refers to it.
    fn may_leave(&self, id: RowId) -> Option<Tick> {
        if let Some(number) = at_rest(id) {
            return self.resting.get(number).map(Packed::used);
        }
        let row = self.open.get(id)?;
        let stays = row.dirty || row.key.starts_with(RESERVED_PREFIX);
        (!stays).then_some(row.used)
    }

    /// What should be cold of each bucket, by what its rows in memory lack of its sum.
    pub(crate) fn cold_buckets(&self) -> BTreeMap<usize, ColdBucket> {
        self.buckets_with_cold()
            .map(|number| {
                let bucket = &self.buckets[number];
                let sum = bucket.sum.wrapping_sub(self.resident_sum(number));
                (
                    number,
                    ColdBucket {
                        rows: bucket.cold,
                        sum,
                    },
                )
            })
            .collect()
    }
}
