//! The registers of one sketch, dense or sparse.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::estimate;
use crate::Merge;

/// How many bits of a hash choose a register.
pub(super) const PRECISION: u32 = 14;
/// Registers of a sketch.
pub(super) const REGISTERS: usize = 1 << PRECISION;
/// Bits of a register.
const RANK_BITS: usize = 6;
/// The greatest rank: all other bits of the hash are zero.
pub(super) const RANK_MAX: u8 = (u64::BITS - PRECISION + 1) as u8;
const DENSE_BYTES: usize = REGISTERS * RANK_BITS / 8;
/// Registers that are listed; with more a sketch is dense, which is then no more than twice the size.
const SPARSE_MAX: usize = 2048;

// Four registers take three bytes, so that they can be taken out together.
const _: () = assert!(DENSE_BYTES * 8 == REGISTERS * RANK_BITS && REGISTERS.is_multiple_of(4));
const _: () = assert!((RANK_MAX as usize) < 1 << RANK_BITS);

/// A HyperLogLog: how many different hashes were put in, in 12 KiB at most.
///
/// 2¹⁴ registers of 6 bits, each the greatest rank (leading zeros, in effect) of the hashes that chose it: the numbers
/// that Redis uses. While few registers are set they are listed. Sketches merge by the maximum of each register, and a
/// merged sketch is that of the union.
///
/// Hashes are the caller's: 64 bits, all of them good, the same function everywhere (xxh3 is fast).
///
/// ```
/// use isles_crdt::Merge;
/// use isles_crdt::hyper_log_log::Sketch;
///
/// let hash = |number: u64| { // splitmix64
///     let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
///     z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
///     z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
///     z ^ z >> 31
/// };
/// let mut here: Sketch = (1..=600).map(hash).collect();
/// let there: Sketch = (401..=1_000).map(hash).collect();
/// here.merge(&there);
/// assert!(here.cardinality().abs_diff(1_000) < 30);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Registers", into = "Registers")]
pub struct Sketch {
    registers: Registers,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Registers {
    /// Index above rank, in the order of indices, without those that are zero. At most [`SPARSE_MAX`].
    Sparse(Vec<u32>),
    /// Every rank, least significant bits first. More than [`SPARSE_MAX`] are not zero.
    Dense(Box<[u8]>),
}

impl Sketch {
    /// The sketch of nothing.
    #[must_use]
    pub const fn new() -> Self {
        let registers = Registers::Sparse(Vec::new());
        Self { registers }
    }

    /// Puts in a hash; says whether a register changed, and the estimate may have.
    pub fn insert(&mut self, hash: u64) -> bool {
        let index = hash as usize % REGISTERS;
        // The bit that is set beyond the hash ends the count.
        let rest = hash >> PRECISION | 1 << (u64::BITS - PRECISION);
        self.raise(index, rest.trailing_zeros() as u8 + 1)
    }

    /// The number of different hashes: within 0.81 % of the truth in two of three cases, at any size.
    ///
    /// The estimator is the improved one of Ertl, *New cardinality estimation algorithms for HyperLogLog sketches*, 2017,
    /// which needs no correction by tables and has no bias where sketches are nearly empty. It looks at every register.
    #[must_use]
    pub fn cardinality(&self) -> u64 {
        let mut counts = [0u32; RANK_MAX as usize + 1];
        match &self.registers {
            Registers::Sparse(entries) => {
                counts[0] = (REGISTERS - entries.len()) as u32;
                for entry in entries {
                    counts[usize::from(unpack(*entry).1)] += 1;
                }
            }
            Registers::Dense(bytes) => {
                for rank in ranks(bytes) {
                    counts[usize::from(rank)] += 1;
                }
            }
        }
        estimate::cardinality(&counts)
    }

    /// Raises one register, as it was read from another sketch of the same shape; says whether it changed. Registers and
    /// ranks beyond those of this shape are passed over.
    pub fn raise_register(&mut self, index: usize, rank: u8) -> bool {
        index < REGISTERS && (1..=RANK_MAX).contains(&rank) && self.raise(index, rank)
    }

    /// Whether every register is kept, and not only those that are not zero.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        matches!(self.registers, Registers::Dense(_))
    }

    /// Whether nothing was put in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.registers, Registers::Sparse(entries) if entries.is_empty())
    }

    /// What it takes to raise `other` to the union of both: the registers that are greater here.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut difference = Self::new();
        for (index, rank) in self.set_registers() {
            if rank > other.rank(index) {
                difference.raise(index, rank);
            }
        }
        difference
    }

    fn rank(&self, index: usize) -> u8 {
        match &self.registers {
            Registers::Sparse(entries) => match search(entries, index) {
                Ok(place) => unpack(entries[place]).1,
                Err(_) => 0,
            },
            Registers::Dense(bytes) => dense_rank(bytes, index),
        }
    }

    /// The registers that are not zero, in order: index and rank.
    pub fn set_registers(&self) -> impl Iterator<Item = (usize, u8)> {
        let (entries, bytes) = match &self.registers {
            Registers::Sparse(entries) => (entries.as_slice(), [].as_slice()),
            Registers::Dense(bytes) => ([].as_slice(), &**bytes),
        };
        let sparse = entries.iter().map(|entry| unpack(*entry));
        let dense = ranks(bytes).enumerate().filter(|(_, rank)| *rank > 0);
        sparse.chain(dense)
    }

    fn raise(&mut self, index: usize, rank: u8) -> bool {
        match &mut self.registers {
            Registers::Sparse(entries) => match search(entries, index) {
                Ok(place) if unpack(entries[place]).1 >= rank => return false,
                Ok(place) => entries[place] = pack(index, rank),
                Err(place) => entries.insert(place, pack(index, rank)),
            },
            Registers::Dense(bytes) if dense_rank(bytes, index) >= rank => return false,
            Registers::Dense(bytes) => set_dense_rank(bytes, index, rank),
        }
        self.make_dense();
        true
    }

    fn make_dense(&mut self) {
        let Registers::Sparse(entries) = &self.registers else {
            return;
        };
        if entries.len() > SPARSE_MAX {
            let mut bytes = vec![0; DENSE_BYTES].into_boxed_slice();
            for (index, rank) in entries.iter().map(|entry| unpack(*entry)) {
                set_dense_rank(&mut bytes, index, rank);
            }
            self.registers = Registers::Dense(bytes);
        }
    }
}

impl Default for Sketch {
    fn default() -> Self {
        Self::new()
    }
}

impl Merge for Sketch {
    fn merge(&mut self, other: &Self) {
        if let (Registers::Dense(ours), Registers::Dense(theirs)) =
            (&mut self.registers, &other.registers)
        {
            for (ours, theirs) in ours.chunks_exact_mut(3).zip(theirs.chunks_exact(3)) {
                let (a, b) = (four(ours), four(theirs));
                let greater: [u8; 4] = core::array::from_fn(|index| a[index].max(b[index]));
                ours.copy_from_slice(&three(greater));
            }
            return;
        }
        if let (Registers::Sparse(_), Registers::Dense(_)) = (&self.registers, &other.registers) {
            let ours = core::mem::replace(self, other.clone());
            return self.merge(&ours);
        }
        for (index, rank) in other.set_registers() {
            self.raise(index, rank);
        }
    }
}

impl FromIterator<u64> for Sketch {
    fn from_iter<I: IntoIterator<Item = u64>>(hashes: I) -> Self {
        let mut sketch = Self::new();
        for hash in hashes {
            sketch.insert(hash);
        }
        sketch
    }
}

const fn pack(index: usize, rank: u8) -> u32 {
    (index as u32) << RANK_BITS | rank as u32
}

const fn unpack(entry: u32) -> (usize, u8) {
    let rank = entry & ((1 << RANK_BITS) - 1);
    ((entry >> RANK_BITS) as usize, rank as u8)
}

fn search(entries: &[u32], index: usize) -> Result<usize, usize> {
    entries.binary_search_by_key(&index, |entry| unpack(*entry).0)
}

fn dense_rank(bytes: &[u8], index: usize) -> u8 {
    let start = index / 4 * 3;
    four(&bytes[start..start + 3])[index % 4]
}

fn set_dense_rank(bytes: &mut [u8], index: usize, rank: u8) {
    let start = index / 4 * 3;
    let bytes = &mut bytes[start..start + 3];
    let mut ranks = four(bytes);
    ranks[index % 4] = rank;
    bytes.copy_from_slice(&three(ranks));
}

fn ranks(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.chunks_exact(3).flat_map(four)
}

/// Four ranks out of three bytes.
fn four(bytes: &[u8]) -> [u8; 4] {
    let bits = u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16;
    core::array::from_fn(|index| (bits >> (index * RANK_BITS)) as u8 & ((1 << RANK_BITS) - 1))
}

/// Three bytes out of four ranks.
fn three(ranks: [u8; 4]) -> [u8; 3] {
    let bit = |index: usize| u32::from(ranks[index]) << (index * RANK_BITS);
    let bits = bit(0) | bit(1) | bit(2) | bit(3);
    [bits as u8, (bits >> 8) as u8, (bits >> 16) as u8]
}

impl From<Sketch> for Registers {
    fn from(sketch: Sketch) -> Self {
        sketch.registers
    }
}

impl TryFrom<Registers> for Sketch {
    type Error = &'static str;

    fn try_from(registers: Registers) -> Result<Self, &'static str> {
        let is_rank = |rank: u8| rank <= RANK_MAX;
        let valid = match &registers {
            Registers::Sparse(entries) => {
                let mut unpacked = entries.iter().map(|entry| unpack(*entry));
                entries.len() <= SPARSE_MAX
                    && entries.is_sorted_by_key(|entry| unpack(*entry).0)
                    && entries
                        .windows(2)
                        .all(|pair| unpack(pair[0]).0 != unpack(pair[1]).0)
                    && unpacked.all(|(index, rank)| index < REGISTERS && rank > 0 && is_rank(rank))
            }
            Registers::Dense(bytes) => {
                bytes.len() == DENSE_BYTES
                    && ranks(bytes).all(is_rank)
                    && ranks(bytes).filter(|rank| *rank > 0).count() > SPARSE_MAX
            }
        };
        if valid {
            Ok(Self { registers })
        } else {
            Err("registers are not those of a sketch, or not as they are written")
        }
    }
}
