//! Data larger than memory: rows leave it once the table has them, and come back when somebody asks.
//!
//! Of a bucket it is known how many of its rows are *cold*, which is: only in the table. While none is, a key without a row
//! is absent, as ever; otherwise it is *unknown*, and nobody may take it for absent. A row comes back in three steps, of
//! which only the first and the last hold the replica: [`Replica::missing`] names the unknown keys, [`Missing::load`] reads
//! one of them, [`Replica::admit`] puts it in. Whoever does not know its keys beforehand just goes ahead: a transaction
//! that looks up an unknown key is refused and undone ([`WriteRefused::NotResident`](crate::WriteRefused::NotResident)), a
//! remote frame waits ([`Replica::awaited`]).
//!
//! The table has a row exactly as it is in memory when nothing has changed the row since its image was taken, and every
//! image that was taken is written. So rows only leave when no image is on its way ([`UnwrittenImages`]). While a row is
//! cold the table's copy of it does not change; that the row was cold all the time, from the first step to the last, is
//! known by the epoch of its bucket, which changes whenever a row of it leaves memory.
//!
//! What never leaves: rows that the table lacks, and Isles' own keys. A key whose deadline passes while only the table has
//! it is found there, in the order of deadlines ([`due_range`](crate::image::due_range)), by whoever drives the replica.

use crate::frame::Frame;
use crate::image::{ImageError, ScanTable, load_row};
use crate::replica::Replica;
use crate::row::{Row, Tick};
use crate::rows::{Rows, Sampler, hash_of};

/// Unknown keys that are named at once; when these are in, the others are named.
pub const MISSING_MAX: usize = 4096;

/// So many of them are compared with a further one; to name one twice costs no more than to load it twice.
const REPEATED: usize = 32;

/// A key of which only the table can say whether it is there, and when that was so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "until it is loaded, nobody can use the key"]
pub struct Missing {
    key: Box<[u8]>,
    hash: u64,
    epoch: u64,
}

/// What the table says of a key.
#[derive(Debug)]
#[must_use = "until it is admitted, nobody can use the key"]
pub struct Loaded {
    missing: Missing,
    row: Result<Option<Row>, ImageError>,
}

/// Reads a row of the table by its key.
pub type GetRow<'g> = dyn FnMut(&[u8]) -> Result<Option<Vec<u8>>, String> + 'g;

/// What became of what was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a key whose copy is stale is still unknown"]
pub enum Admitted {
    /// Whether the key is there is known in memory now.
    Known,
    /// A row of the bucket has left memory since, so that the copy may be an old one: it is to be loaded again.
    Stale(Missing),
}

/// Which rows are to leave memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// So many at most. Each takes a few microseconds, since 16 are looked at for it, and more where few may leave.
    pub rows: usize,
    /// Only those that were not used for so long, to about a second. With zero a row may leave before the command for
    /// which it came has run.
    pub idle_ms: u64,
    /// Chooses the rows that are looked at; another one each time.
    pub seed: u64,
}

/// What has left memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Rows, which are cold now.
    pub rows: usize,
    /// Keys that were remembered to be absent.
    pub absent: usize,
}

/// Images were taken and not reported as written, so the table may lack rows that look as if it had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} images of rows are on their way to the table; nothing may leave memory before they are written"
)]
pub struct UnwrittenImages(pub u64);

/// That images were taken; to be handed back when they are in the table.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "until it is handed to `Replica::note_written`, no row leaves memory"]
pub struct Receipt(pub(crate) u64);

impl Missing {
    /// A key that was unknown in this epoch of its bucket.
    pub(crate) fn of(key: &[u8], epoch: u64) -> Missing {
        Missing {
            key: key.into(),
            hash: hash_of(key),
            epoch,
        }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Reads the key from the table; to be called where nobody waits. `get` reads one row, `scan` calls back for every row
    /// whose key starts with a prefix, in order of keys; they need not see the same state of the table.
    pub fn load(self, get: &mut GetRow<'_>, scan: &mut ScanTable<'_>) -> Loaded {
        let row = load_row(&self.key, get, scan);
        Loaded { missing: self, row }
    }
}

impl Loaded {
    /// Has it look as if its bucket had stayed as it was, which is a bug.
    pub(crate) fn renew(&mut self, rows: &Rows) {
        self.missing.epoch = rows.epoch(self.missing.hash);
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        self.missing.key()
    }
}

/// The key as one that only the table knows, unless memory does.
fn missing_of(rows: &Rows, key: &[u8], hash: u64) -> Option<Missing> {
    rows.is_unknown(key, hash).then(|| Missing {
        key: key.into(),
        hash,
        epoch: rows.epoch(hash),
    })
}

/// Adds a key, if it is unknown, to some that are; whether it is unknown.
#[cold]
pub(crate) fn note_missing(rows: &Rows, key: &[u8], hash: u64, missing: &mut Vec<Missing>) -> bool {
    let Some(found) = missing_of(rows, key, hash) else {
        return false;
    };
    let is_repeated = missing
        .iter()
        .rev()
        .take(REPEATED)
        .any(|known| *known == found);
    if missing.len() < MISSING_MAX && !is_repeated {
        missing.push(found);
    }
    true
}

/// Whether memory knows of every key that a frame changes; adds those of which it does not.
pub(crate) fn all_known(rows: &Rows, frame: &Frame, missing: &mut Vec<Missing>) -> bool {
    if !rows.has_cold() {
        return true;
    }
    let mut known = true;
    // What does not decode is found when it is applied.
    for entry in frame.entries().flatten() {
        for op in &entry.ops {
            known &= !note_missing(rows, op.key.0, hash_of(op.key.0), missing);
        }
    }
    known
}

impl Replica {
    /// Those of some keys of which memory cannot say whether they are there. Costs nothing while no row is cold.
    pub fn missing<'k>(&self, keys: impl IntoIterator<Item = &'k [u8]>) -> Vec<Missing> {
        if !self.rows.has_cold() {
            return Vec::new();
        }
        let keys = keys.into_iter();
        keys.filter_map(|key| missing_of(&self.rows, key, hash_of(key)))
            .collect()
    }

    /// The unknown keys that the last transaction which was refused for it has looked up, some of them if they are more
    /// than [`MISSING_MAX`]. When they are in, it is to be run again from its beginning.
    pub fn take_missing(&mut self) -> Vec<Missing> {
        std::mem::take(&mut self.missing)
    }

    /// Whether the last transaction was refused because it looked up unknown keys, and nobody has taken them.
    #[inline]
    pub fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// The unknown keys of frames that are ready and that [`apply_ready`](Self::apply_ready) therefore could not apply when it
    /// was last called; some of them if they are more than [`MISSING_MAX`]. When they are in, it is to be called again.
    pub fn awaited(&self) -> &[Missing] {
        &self.awaited
    }

    /// Takes in what the table says of a key. A row that is in memory already stays as it is.
    ///
    /// # Errors
    /// The table's copy of the key is damaged: nothing has changed.
    pub fn admit(&mut self, loaded: Loaded, wall_ms: u64) -> Result<Admitted, ImageError> {
        let Loaded { missing, row } = loaded;
        let Some(now) = missing_of(&self.rows, &missing.key, missing.hash) else {
            if let Ok(Some(row)) = row {
                self.discard(row);
            }
            return Ok(Admitted::Known);
        };
        // What was read while the row changed and left again is not damaged, whatever it looks like.
        if now.epoch != missing.epoch {
            return Ok(Admitted::Stale(now));
        }
        let now_ms = self.latest().wall_ms().max(wall_ms);
        match row? {
            Some(mut row) => {
                // What was known of its conflicts has been kept where they are.
                row.contested = self.has_conflicts(row.hash);
                self.rows.admit(row, now_ms);
            }
            None => self.rows.admit_absent(&missing.key, now_ms),
        }
        Ok(Admitted::Known)
    }

    /// Takes note that images are in the table, where readers of it find them.
    pub fn note_written(&mut self, receipt: Receipt) {
        self.unwritten -= receipt.0;
    }

    /// Lets rows leave memory that the table has, those first that were not used for long. Large values are handed over
    /// as [garbage](Self::take_garbage). The room of a row itself, about 200 bytes, is kept for the next one.
    ///
    /// # Errors
    /// Images are on their way: call it when they are written.
    pub fn evict(&mut self, which: Eviction, wall_ms: u64) -> Result<Evicted, UnwrittenImages> {
        if self.unwritten > 0 {
            return Err(UnwrittenImages(self.unwritten));
        }
        let now_ms = self.latest().wall_ms().max(wall_ms);
        let latest = Tick::at(now_ms).before(which.idle_ms);
        let mut sampler = Sampler(which.seed);
        let mut evicted = Evicted {
            rows: 0,
            absent: self.rows.drop_absent(which.rows, latest),
        };
        while evicted.rows + evicted.absent < which.rows
            && let Some(row) = self.rows.evict(latest, &mut sampler)
        {
            match row.is_gone() {
                true => evicted.absent += 1,
                false => evicted.rows += 1,
            }
            self.discard(row);
        }
        Ok(evicted)
    }

    /// Number of rows that only the table holds, tombstones included. While it is zero, memory knows every key.
    pub fn cold_rows(&self) -> usize {
        self.rows.cold_rows()
    }

    /// Those of them that readers see. While it is zero, all that readers see is in memory.
    pub fn cold_keys(&self) -> usize {
        self.rows.cold_keys()
    }

    /// What stands for the version of an unknown key. While it is unknown its bucket's epoch stays, or the key had been
    /// in memory in between.
    #[cold]
    pub(crate) fn version_of_unknown(&self, key: &[u8], hash: u64) -> u64 {
        match self.rows.is_unknown(key, hash) {
            true => 1 << 63 | self.rows.epoch(hash),
            false => 0,
        }
    }
}
