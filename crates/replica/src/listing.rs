//! The keys of buckets that are not all in memory, as the table lists them.
//!
//! As with rows (`cold.rs`) it takes three steps, of which only the first and the last hold the replica:
//! [`Replica::unlisted`] names the buckets, [`Unlisted::list`] reads them, and whoever scans uses the [`Listing`]. What it says
//! of a bucket holds until a row of the bucket leaves memory, which the bucket's epoch shows; of a key that is in memory, memory
//! knows better.

use std::collections::BTreeMap;

use crate::cold::{GetRow, Loaded, Missing};
use crate::image::{ImageError, Listed, ScanTable, listed_prefix, load_listed};
use crate::replica::Replica;
use crate::rows::{BUCKETS, Rows, hash_of};
use crate::txn::ValueType;

/// Buckets that are listed at once, unless all are wanted.
const BUCKETS_MAX: usize = 1024;

/// Buckets whose keys only the table knows, and when that was so.
#[derive(Clone, Debug)]
#[must_use = "until they are listed, nobody knows their keys"]
pub struct Unlisted(Vec<(u16, u64)>);

/// The keys of some buckets, as the table has them.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// With the epoch in which they were read.
    buckets: BTreeMap<u16, (u64, Vec<Listed>)>,
}

impl Unlisted {
    /// Whether all is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the keys of the buckets that `wanted` says yes to; to be called where nobody waits. `scan` calls back for every
    /// row of the table whose key starts with a prefix, in order of keys.
    ///
    /// # Errors
    /// What the table lists does not decode.
    pub fn list(
        self,
        wanted: &dyn Fn(&[u8]) -> bool,
        scan: &mut ScanTable<'_>,
    ) -> Result<Listing, ImageError> {
        let mut buckets = BTreeMap::new();
        for (bucket, epoch) in self.0 {
            let (mut keys, mut failed) = (Vec::new(), None);
            scan(
                &listed_prefix(bucket),
                &mut |key, value| match load_listed(key, value) {
                    Ok(listed) if wanted(&listed.key) => keys.push(listed),
                    Ok(_) => {}
                    Err(error) => failed = Some(error),
                },
            );
            failed.map_or(Ok(()), Err)?;
            buckets.insert(bucket, (epoch, keys));
        }
        Ok(Listing { buckets })
    }
}

impl Unlisted {
    /// Reads the rows of the keys that readers see.
    ///
    /// # Errors
    /// What the table lists does not decode.
    pub fn load(
        self,
        get: &mut GetRow<'_>,
        scan: &mut ScanTable<'_>,
    ) -> Result<Vec<Loaded>, ImageError> {
        let mut loaded = Vec::new();
        for (bucket, epoch) in self.0 {
            let listing = Unlisted(vec![(bucket, epoch)]).list(&|_| true, scan)?;
            for key in listing.keys() {
                loaded.push(Missing::of(key, epoch).load(get, scan));
            }
        }
        Ok(loaded)
    }
}

impl Listing {
    /// What the table has of the keys of a bucket: nothing, of one whose rows are all in memory; none where that is not known.
    pub(crate) fn of(&self, bucket: usize, rows: &Rows) -> Option<&[Listed]> {
        let Some(now) = rows.epoch_of_cold(bucket) else {
            return Some(&[]);
        };
        let (epoch, keys) = self.buckets.get(&(bucket as u16))?;
        (*epoch == now).then_some(keys)
    }

    /// Those of some keys that only the table has, and that readers with this clock see.
    pub(crate) fn visible<'l>(
        stored: &'l [Listed],
        rows: &'l Rows,
        now_ms: u64,
    ) -> impl Iterator<Item = (&'l [u8], ValueType)> {
        let is_seen = move |listed: &&Listed| {
            listed.deadline_ms.is_none_or(|at_ms| at_ms > now_ms)
                && rows.find(&listed.key, hash_of(&listed.key)).is_none()
        };
        let seen = stored.iter().filter(is_seen);
        seen.map(|listed| (&*listed.key, listed.value_type))
    }

    /// Takes in what was read later.
    pub fn extend(&mut self, later: Listing) {
        self.buckets.extend(later.buckets);
    }

    /// The first bucket of it, as a scan's cursor.
    pub fn first_bucket(&self) -> Option<u64> {
        self.buckets.keys().next().map(|bucket| u64::from(*bucket))
    }

    /// All keys of it.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let buckets = self.buckets.values();
        buckets.flat_map(|(_, keys)| keys.iter().map(|listed| &*listed.key))
    }
}

impl Replica {
    /// Buckets from this one on that have rows only the table has, for about so many keys, and where to go on; none from the
    /// last one on.
    pub fn cold_buckets_from(&self, bucket: usize, keys: usize) -> Option<(Unlisted, usize)> {
        let (mut unlisted, mut found, mut next) = (Vec::new(), 0, bucket);
        while found < keys
            && unlisted.len() < BUCKETS_MAX
            && let Some(bucket) = self.rows.next_bucket(next)
        {
            if let Some(epoch) = self.rows.epoch_of_cold(bucket) {
                unlisted.push((bucket as u16, epoch));
                found += self.rows.counted_in(bucket);
            }
            next = bucket + 1;
        }
        (!unlisted.is_empty()).then_some((Unlisted(unlisted), next))
    }

    /// The buckets that a scan from `cursor` on for `count` keys comes to, of which only the table knows the keys, or those
    /// of all if `count` is the greatest. What a listing knows already is left out.
    pub fn unlisted(&self, cursor: u64, count: usize, known: &Listing) -> Unlisted {
        let mut unlisted = Vec::new();
        if !self.rows.has_cold() {
            return Unlisted(unlisted);
        }
        let buckets_max = match count {
            usize::MAX => BUCKETS,
            _ => BUCKETS_MAX,
        };
        let mut keys = 0;
        let mut next = self.rows.next_bucket(crate::txn::bucket_at(cursor));
        while let Some(bucket) = next
            && keys < count
            && unlisted.len() < buckets_max
        {
            if known.of(bucket, &self.rows).is_none()
                && let Some(epoch) = self.rows.epoch_of_cold(bucket)
            {
                unlisted.push((bucket as u16, epoch));
            }
            keys += self.rows.counted_in(bucket);
            next = self.rows.next_bucket(bucket + 1);
        }
        Unlisted(unlisted)
    }
}
