//! Rows that changed since their last image, bucket by bucket.
//!
//! All changed rows of a bucket are taken at once, so that what its rows add up to at that moment is what those in the table
//! do, once the images are written: with that a restart knows every bucket without having read its rows.

use smallvec::SmallVec;

use super::{BUCKETS, RowId, Rows, bucket_of};

/// What the rows of a bucket are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketImage {
    pub(crate) bucket: u16,
    pub(crate) sum: u128,
    /// Rows of which something is left.
    pub(crate) rows: u32,
    /// Those of them that count among the visible keys.
    pub(crate) counted: u32,
    /// Those of these that have a deadline.
    pub(crate) expiring: u32,
}

impl Rows {
    pub(super) fn queue_dirty(&mut self, id: RowId, hash: u64) {
        let bucket = bucket_of(hash);
        let dirty = &mut self.buckets[bucket].dirty;
        if dirty.is_empty() {
            self.dirty.push_back(bucket as u16);
        }
        dirty.push(id);
        self.dirty_rows += 1;
    }

    /// The changed rows of the bucket that has had some for longest; their marks are cleared.
    pub(crate) fn take_dirty(&mut self) -> Option<(u16, SmallVec<[RowId; 4]>)> {
        let bucket = self.dirty.pop_front()?;
        let taken = std::mem::take(&mut self.buckets[usize::from(bucket)].dirty);
        for id in &taken {
            self.row_mut(*id).dirty = false;
        }
        self.dirty_rows -= taken.len();
        Some((bucket, taken))
    }

    /// Has the next checkpoint write a row, or once more.
    pub(crate) fn mark_dirty(&mut self, id: RowId) {
        let row = self.row_mut(id);
        if !std::mem::replace(&mut row.dirty, true) {
            let hash = row.hash;
            self.queue_dirty(id, hash);
        }
    }

    /// Number of rows that changed since their last image.
    pub(crate) fn dirty_len(&self) -> usize {
        self.dirty_rows
    }

    /// Number of buckets that have such rows.
    pub(crate) fn dirty_buckets(&self) -> usize {
        self.dirty.len()
    }

    /// Counts a row anew of which the checkpoint has forgotten something; whether something is left.
    pub(crate) fn recount(&mut self, id: RowId) -> bool {
        let row = self.row_mut(id);
        let (kept, bucket) = (!row.is_gone(), bucket_of(row.hash));
        let was_kept = std::mem::replace(&mut row.kept, kept);
        let rows = &mut self.buckets[bucket].rows;
        *rows = *rows + u32::from(kept) - u32::from(was_kept);
        kept
    }

    /// What the rows of a bucket are together, in memory or not.
    pub(crate) fn bucket_image(&self, bucket: u16) -> BucketImage {
        let known = &self.buckets[usize::from(bucket)];
        BucketImage {
            bucket,
            sum: known.sum,
            rows: known.rows,
            counted: known.counted,
            expiring: known.expiring,
        }
    }

    /// Compares what is counted per bucket with the rows.
    pub(super) fn check_totals(&self) -> Result<(), String> {
        let (mut visible, mut expiring, mut dirty) = (0, 0, 0);
        let after = |bucket: &usize| self.next_bucket(bucket + 1);
        for number in std::iter::successors(self.next_bucket(0), after) {
            let bucket = &self.buckets[number];
            let rows = self.bucket(number).map(|(_, row)| row);
            let (mut kept, mut counted) = (bucket.cold, 0);
            for row in rows {
                kept += u32::from(!row.is_gone());
                counted += u32::from(row.counted);
                dirty += usize::from(row.dirty);
            }
            visible += bucket.counted as usize;
            expiring += bucket.expiring as usize;
            let cold = bucket.counted.wrapping_sub(counted);
            if kept != bucket.rows || cold > bucket.cold {
                return Err(format!(
                    "bucket {number} counts {} rows and {} keys, it has {kept} and {counted}",
                    bucket.rows, bucket.counted
                ));
            }
        }
        if (visible, expiring) != (self.visible, self.expiring) {
            return Err(format!(
                "{} keys are visible and {} of them expire, of the buckets' {visible} and {expiring}",
                self.visible, self.expiring
            ));
        }
        let waiting = self
            .buckets
            .iter()
            .filter(|bucket| !bucket.dirty.is_empty());
        let waiting = waiting.count();
        if dirty != self.dirty_rows || waiting != self.dirty.len() {
            return Err(format!(
                "{dirty} rows in {waiting} buckets are dirty, {} in {} are known",
                self.dirty_rows,
                self.dirty.len()
            ));
        }
        Ok(())
    }
}

const _: () = assert!(BUCKETS - 1 <= u16::MAX as usize, "a bucket's number fits");
