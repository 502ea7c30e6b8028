//! HyperLogLogs: how many different elements were added. To Redis they are strings, so one that is a string here, because
//! somebody has put it back with SET, is taken as what it encodes.

use isles_crdt::hyper_log_log::Sketch;
use thiserror::Error;

use super::strings::string_of;
use super::{Expiry, Spot, Txn, ValueType, WrongType, set_part, type_of};
use crate::hyll::{self, HyllError};
use crate::op::{Part, SketchPart};
use crate::row::Row;
use crate::sketches::Sketches;

/// Why a key cannot be counted or added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SketchError {
    /// The key holds another type.
    #[error("key holds a value of another type")]
    WrongType,
    /// The key holds a string that is no HyperLogLog.
    #[error("string is no HyperLogLog")]
    NotOne,
    /// The key holds a string that begins as a HyperLogLog and goes on as none.
    #[error("registers of a HyperLogLog are corrupted")]
    Corrupted,
}

impl From<HyllError> for SketchError {
    fn from(error: HyllError) -> Self {
        match error {
            HyllError::NotOne => SketchError::NotOne,
            HyllError::Corrupted => SketchError::Corrupted,
        }
    }
}

impl Txn<'_> {
    /// The union of a key's sketches; none for an absent key.
    ///
    /// # Errors
    /// The key holds what cannot be read as a sketch; so for all reads and writes of sketches.
    pub fn sketch(&mut self, key: &[u8]) -> Result<Option<Sketch>, SketchError> {
        let spot = self.spot(key);
        match self.visible(&spot).map(|row| (row, type_of(row))) {
            None => Ok(None),
            Some((row, Some(ValueType::HyperLogLog))) => {
                Ok(row.sketches().map(|each| each.sketch()))
            }
            Some((row, Some(ValueType::String))) => {
                Ok(Some(hyll::decode(&string_of(row, self.reader(key)))?))
            }
            Some(_) => Err(SketchError::WrongType),
        }
    }

    /// About how many different elements a key has seen; none for an absent key. Looks at 16384 registers, unless nothing
    /// has changed since it was last asked.
    ///
    /// # Errors
    /// As [`sketch`](Self::sketch).
    pub fn sketch_count(&mut self, key: &[u8]) -> Result<Option<u64>, SketchError> {
        let spot = self.spot(key);
        let Ok(row) = self.typed(&spot, ValueType::HyperLogLog) else {
            return Ok(self.sketch(key)?.map(|sketch| sketch.cardinality()));
        };
        let Some(sketches) = row.and_then(Row::sketches) else {
            return Ok(None);
        };
        if let Some(counted) = sketches.counted() {
            return Ok(Some(counted));
        }
        let count = sketches.cardinality();
        if let Some(id) = spot.id {
            self.replica.rows.note_counted(id, count);
        }
        Ok(Some(count))
    }

    /// Adds elements; whether that changed the count's registers or created the key.
    ///
    /// # Errors
    /// As [`sketch`](Self::sketch).
    pub fn sketch_add(&mut self, key: &[u8], elements: &[&[u8]]) -> Result<bool, SketchError> {
        let hashes = elements.iter().map(|element| sketch_hash(element));
        self.sketch_join(key, &hashes.collect())
    }

    /// Raises a key's sketch to the union with `more`; whether that changed it or created the key.
    ///
    /// It is logged where the sketch that operations name lacks something, though another one has it: a deletion may
    /// have seen only that one. Where the named sketch has it all nothing could change, whoever deletes what. A string
    /// that lacks something becomes a sketch.
    ///
    /// # Errors
    /// As [`sketch`](Self::sketch).
    pub fn sketch_join(&mut self, key: &[u8], more: &Sketch) -> Result<bool, SketchError> {
        let spot = self.spot(key);
        let Ok(row) = self.typed(&spot, ValueType::HyperLogLog) else {
            return self.join_string(&spot, more);
        };
        let sketches = row.and_then(Row::sketches);
        let first = sketches.and_then(|each| each.sketches().first());
        let (named, lacks) = match first {
            Some((dot, sketch)) => (Some(*dot), more.minus(sketch)),
            None => (None, more.clone()),
        };
        if named.is_some() && lacks.is_empty() {
            return Ok(false);
        }
        let changes = match sketches.map(|each| each.sketches()) {
            None | Some([_]) => true,
            Some(_) => sketches.is_none_or(|each| !more.minus(&each.sketch()).is_empty()),
        };
        let counters = self.counters_if_hidden(&spot);
        let mut op = self.op(&spot, &counters);
        // What this entry has created itself is created once more, with all that belongs in it.
        let named = named.filter(|dot| *dot != self.replica.next_dot());
        let part = Box::new(SketchPart {
            named,
            sketch: lacks,
        });
        set_part(&mut op, Part::HyperLogLog(part));
        self.write(&spot, &op);
        Ok(changes)
    }

    /// Turns a string into the sketch that it encodes, raised to the union with `more`; false, and nothing is written,
    /// where the string has it all.
    fn join_string(&mut self, spot: &Spot<'_>, more: &Sketch) -> Result<bool, SketchError> {
        let Some(mut sketch) = self.sketch(spot.key)? else {
            return Ok(false);
        };
        if more.minus(&sketch).is_empty() {
            return Ok(false);
        }
        more.set_registers().for_each(|(index, rank)| {
            sketch.raise_register(index, rank);
        });
        let deadline = self.visible(spot).map(|row| row.deadline);
        let expiry = match deadline.filter(|deadline| deadline.is_set()) {
            Some(deadline) => Expiry::At(deadline.at_ms),
            None => Expiry::Clear,
        };
        self.set_sketch(spot.key, sketch, expiry);
        Ok(true)
    }

    /// Writes a sketch over whatever is there.
    pub fn set_sketch(&mut self, key: &[u8], sketch: Sketch, expiry: Expiry) {
        let spot = self.spot(key);
        let part = Box::new(SketchPart {
            named: None,
            sketch,
        });
        let counters = self.counters(&spot);
        self.replace_with(&spot, &counters, Part::HyperLogLog(part), expiry);
    }

    /// How many bytes Redis's sparse form of a sketch may take; longer ones are shown dense. It is this replica's own.
    pub fn set_sparse_bytes_max(&mut self, bytes: usize) {
        self.replica.sparse_bytes_max = bytes;
    }

    /// What readers of strings see of a sketch.
    #[cold]
    pub(super) fn sketch_string(&self, spot: &Spot<'_>) -> Result<Vec<u8>, WrongType> {
        let row = self.typed(spot, ValueType::HyperLogLog)?;
        let sketches = row.and_then(Row::sketches).ok_or(WrongType)?;
        Ok(Sketches::encoded(sketches, self.replica.sparse_bytes_max))
    }

    pub(super) fn copy_sketch(&mut self, from: &[u8], to: &[u8], expiry: Expiry) {
        let sketch = self.sketch(from).ok().flatten().unwrap_or_default();
        self.set_sketch(to, sketch, expiry);
    }
}

/// The hash by which HyperLogLogs count an element: Redis's own, MurmurHash64A with its seed, so that the registers are those that Redis would have.
/// It is frozen: sketches that were filled by different functions cannot be merged.
pub fn sketch_hash(element: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = SEED ^ (element.len() as u64).wrapping_mul(M);
    let (words, tail) = element.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word).wrapping_mul(M);
        hash = (hash ^ (word ^ word >> R).wrapping_mul(M)).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}
