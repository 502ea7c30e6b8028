//! HyperLogLogs: how many different elements were added.

use isles_crdt::hyper_log_log::Sketch;

use super::{Expiry, Txn, ValueType, WrongType, set_part};
use crate::op::{Part, SketchPart};
use crate::row::Row;

impl Txn<'_> {
    /// The union of a key's sketches; none for an absent key.
    ///
    /// # Errors
    /// The key holds another type; so for all reads and writes of sketches.
    pub fn sketch(&mut self, key: &[u8]) -> Result<Option<Sketch>, WrongType> {
        let spot = self.spot(key);
        let row = self.typed(&spot, ValueType::HyperLogLog)?;
        Ok(row.and_then(Row::sketches).map(|each| each.sketch()))
    }

    /// About how many different elements a key has seen; none for an absent key. Looks at 16384 registers.
    ///
    /// # Errors
    /// As [`sketch`](Self::sketch).
    pub fn sketch_count(&mut self, key: &[u8]) -> Result<Option<u64>, WrongType> {
        let spot = self.spot(key);
        let row = self.typed(&spot, ValueType::HyperLogLog)?;
        Ok(row.and_then(Row::sketches).map(|each| each.cardinality()))
    }

    /// Adds elements; whether that changed the count's registers or created the key.
    ///
    /// # Errors
    /// As [`sketch`](Self::sketch).
    pub fn sketch_add(&mut self, key: &[u8], elements: &[&[u8]]) -> Result<bool, WrongType> {
        let hashes = elements.iter().map(|element| sketch_hash(element));
        self.sketch_join(key, &hashes.collect())
    }

    /// Raises a key's sketch to the union with `more`; whether that changed it or created the key.
    ///
    /// It is logged where the sketch that operations name lacks something, though another one has it: a deletion may
    /// have seen only that one. Where the named sketch has it all nothing could change, whoever deletes what.
    ///
    /// # Errors
    /// As [`sketch`](Self::sketch).
    pub fn sketch_join(&mut self, key: &[u8], more: &Sketch) -> Result<bool, WrongType> {
        let spot = self.spot(key);
        let row = self.typed(&spot, ValueType::HyperLogLog)?;
        let sketches = row.and_then(Row::sketches);
        let first = sketches.and_then(|each| each.sketches().first());
        let (named, lacks) = match first {
            Some((dot, sketch)) => (Some(*dot), more.minus(sketch)),
            None => (None, more.clone()),
        };
        if named.is_some() && lacks.is_empty() {
            return Ok(false);
        }
        let changes = sketches.is_none_or(|each| !more.minus(&each.sketch()).is_empty());
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
