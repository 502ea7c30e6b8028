//! HyperLogLogs as the strings that Redis keeps them in, so that people can carry them there and back by GET and SET.
//!
//! Hash function and registers are Redis's, so counts agree; `docs/format.md` draws the bytes.

use isles_crdt::hyper_log_log::Sketch;
use thiserror::Error;

const MAGIC: &[u8] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const HEADER_BYTES: usize = 16;
/// Where the header says how many elements were counted when that was last asked.
const COUNTED_AT: usize = 8;
/// Set in the last byte of the header where registers have changed since.
const STALE: u8 = 0x80;

const REGISTERS: usize = 1 << 14;
const RANK_BITS: usize = 6;
const DENSE_BYTES: usize = REGISTERS * RANK_BITS / 8;

/// The greatest rank for which the sparse form has an opcode.
const SPARSE_RANK_MAX: u8 = 32;
/// Registers of one opcode that says a rank.
const SET_RUN_MAX: usize = 4;
/// Zero registers of a short opcode; a long one takes them all.
const ZERO_RUN_MAX: usize = 64;

/// What `hll-sparse-max-bytes` is by default: a sparse form is no longer, its header included.
pub const SPARSE_BYTES_MAX_DEFAULT: usize = 3000;

/// Why bytes are no HyperLogLog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HyllError {
    /// They do not begin as one, or a dense one has another length.
    #[error("string is no HyperLogLog")]
    NotOne,
    /// They begin as one, and go on with registers that none has.
    #[error("registers of a HyperLogLog are corrupted")]
    Corrupted,
}

/// Writes a sketch as Redis does: sparse where that takes at most so many bytes, else dense. `counted` is what it counts,
/// where that is known. O(registers).
pub fn encode(sketch: &Sketch, counted: Option<u64>, sparse_bytes_max: usize) -> Vec<u8> {
    let sparse = encode_sparse(sketch, sparse_bytes_max.saturating_sub(HEADER_BYTES));
    let (form, registers) = match sparse {
        Some(registers) => (SPARSE, registers),
        None => (DENSE, encode_dense(sketch)),
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + registers.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[form, 0, 0, 0]);
    let counted = counted.or(sketch.is_empty().then_some(0));
    bytes.extend_from_slice(&counted.unwrap_or(0).to_le_bytes());
    if counted.is_none() {
        bytes[HEADER_BYTES - 1] |= STALE;
    }
    debug_assert_eq!(bytes.len(), COUNTED_AT + size_of::<u64>());
    bytes.extend_from_slice(&registers);
    bytes
}

/// Reads what Redis or [`encode`] has written. What the header says was counted is not believed. O(registers), however
/// long the bytes are.
///
/// # Errors
/// They are not the bytes of a HyperLogLog.
pub fn decode(bytes: &[u8]) -> Result<Sketch, HyllError> {
    let (header, registers) = bytes
        .split_at_checked(HEADER_BYTES)
        .filter(|(header, _)| header.starts_with(MAGIC))
        .ok_or(HyllError::NotOne)?;
    match header[MAGIC.len()] {
        DENSE if registers.len() == DENSE_BYTES => decode_dense(registers),
        SPARSE => decode_sparse(registers),
        _ => Err(HyllError::NotOne),
    }
}

/// Whether an encoded sketch says every register.
pub fn is_dense(bytes: &[u8]) -> bool {
    bytes.get(MAGIC.len()) == Some(&DENSE)
}

fn encode_dense(sketch: &Sketch) -> Vec<u8> {
    let mut bytes = vec![0; DENSE_BYTES];
    for (index, rank) in sketch.set_registers() {
        let bit = index * RANK_BITS;
        let shifted = u16::from(rank) << (bit % 8);
        let [low, high] = shifted.to_le_bytes();
        bytes[bit / 8] |= low;
        // The last register ends with the last byte.
        if high != 0 {
            bytes[bit / 8 + 1] |= high;
        }
    }
    bytes
}

fn decode_dense(bytes: &[u8]) -> Result<Sketch, HyllError> {
    let mut sketch = Sketch::new();
    let groups = bytes.as_chunks::<3>().0;
    for (group, [a, b, c]) in groups.iter().enumerate() {
        let bits = u32::from_le_bytes([*a, *b, *c, 0]);
        for place in 0..4 {
            let rank = (bits >> (place * RANK_BITS)) as u8 & ((1 << RANK_BITS) - 1);
            raise(&mut sketch, group * 4 + place, rank)?;
        }
    }
    Ok(sketch)
}

/// Opcodes for the runs of equal registers; none if they take more bytes, or a rank is too great.
fn encode_sparse(sketch: &Sketch, bytes_max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut end = 0;
    let mut registers = sketch.set_registers().peekable();
    while let Some((first, rank)) = registers.next() {
        put_zeros(&mut bytes, first - end);
        end = first + 1;
        while end - first < SET_RUN_MAX && registers.next_if_eq(&(end, rank)).is_some() {
            end += 1;
        }
        if rank > SPARSE_RANK_MAX || bytes.len() >= bytes_max {
            return None;
        }
        bytes.push(0x80 | (rank - 1) << 2 | (end - first - 1) as u8);
    }
    put_zeros(&mut bytes, REGISTERS - end);
    (bytes.len() <= bytes_max).then_some(bytes)
}

fn put_zeros(bytes: &mut Vec<u8>, run: usize) {
    match run {
        0 => {}
        1..=ZERO_RUN_MAX => bytes.push((run - 1) as u8),
        _ => bytes.extend_from_slice(&(0x4000 | (run - 1) as u16).to_be_bytes()),
    }
}

fn decode_sparse(mut bytes: &[u8]) -> Result<Sketch, HyllError> {
    let mut sketch = Sketch::new();
    let mut index = 0;
    while let [opcode, rest @ ..] = bytes {
        let (run, rank) = match opcode >> 6 {
            0 => (usize::from(opcode & 0x3f) + 1, 0),
            1 => {
                let low = rest.first().ok_or(HyllError::Corrupted)?;
                let run = u16::from_be_bytes([opcode & 0x3f, *low]);
                (usize::from(run) + 1, 0)
            }
            _ => (usize::from(opcode & 3) + 1, (opcode >> 2 & 0x1f) + 1),
        };
        // Every opcode stands for a register at least, so there are no more than registers.
        if index + run > REGISTERS {
            return Err(HyllError::Corrupted);
        }
        for register in index..index + run {
            raise(&mut sketch, register, rank)?;
        }
        index += run;
        bytes = &bytes[1 + usize::from(opcode >> 6 == 1)..];
    }
    match index {
        REGISTERS => Ok(sketch),
        _ => Err(HyllError::Corrupted),
    }
}

/// Sets a register that is still zero.
fn raise(sketch: &mut Sketch, index: usize, rank: u8) -> Result<(), HyllError> {
    match rank == 0 || sketch.raise_register(index, rank) {
        true => Ok(()),
        false => Err(HyllError::Corrupted),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sketch_hash;

    fn sketch_of(count: u32) -> Sketch {
        let hashes = (0..count).map(|number| sketch_hash(number.to_string().as_bytes()));
        hashes.collect()
    }

    // By redis-server 7.0.15, of PFADD k a b c and GET k.
    const REDIS_ABC: &[u8] =
        b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x60\xf3\x80\x50\xb1\x84\x4b\xfb\x80\x42\x5a";

    #[test]
    fn the_bytes_are_those_of_redis() {
        let sketch: Sketch = [b"a", b"b", b"c"]
            .into_iter()
            .map(|element| sketch_hash(element))
            .collect();
        let encoded = encode(&sketch, None, SPARSE_BYTES_MAX_DEFAULT);
        assert_eq!(
            encoded.escape_ascii().to_string(),
            REDIS_ABC.escape_ascii().to_string()
        );
        let counted = encode(&sketch, Some(3), SPARSE_BYTES_MAX_DEFAULT);
        assert_eq!(&counted[COUNTED_AT..HEADER_BYTES], 3u64.to_le_bytes());
        let nothing = encode(&Sketch::new(), None, SPARSE_BYTES_MAX_DEFAULT);
        assert_eq!(nothing, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    }

    #[test]
    fn what_is_read_is_what_was_written_sparse_and_dense() {
        for (count, is_sparse) in [
            (0, true),
            (1, true),
            (1000, true),
            (3000, false),
            (50_000, false),
        ] {
            let sketch = sketch_of(count);
            let bytes = encode(&sketch, None, SPARSE_BYTES_MAX_DEFAULT);
            assert_eq!(is_dense(&bytes), !is_sparse, "{count}");
            assert!(!is_sparse || bytes.len() <= SPARSE_BYTES_MAX_DEFAULT);
            assert_eq!(decode(&bytes), Ok(sketch.clone()), "{count}");
            assert_eq!(decode(&encode(&sketch, None, 0)), Ok(sketch), "{count}");
        }
    }

    #[test]
    fn a_rank_without_an_opcode_makes_it_dense() {
        let mut sketch = Sketch::new();
        sketch.raise_register(REGISTERS - 1, SPARSE_RANK_MAX);
        assert!(!is_dense(&encode(&sketch, None, 100)));
        sketch.raise_register(REGISTERS - 1, SPARSE_RANK_MAX + 1);
        let bytes = encode(&sketch, None, 100);
        assert!(is_dense(&bytes));
        assert_eq!(decode(&bytes), Ok(sketch));
    }

    #[test]
    fn what_is_none_is_refused() {
        let good = encode(&sketch_of(3), None, SPARSE_BYTES_MAX_DEFAULT);
        let broken = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            decode(&bytes)
        };
        assert_eq!(decode(b""), Err(HyllError::NotOne));
        assert_eq!(decode(&good[..15]), Err(HyllError::NotOne));
        assert_eq!(broken(0, b'0'), Err(HyllError::NotOne));
        assert_eq!(broken(4, b'x'), Err(HyllError::NotOne));
        assert_eq!(broken(4, DENSE), Err(HyllError::NotOne));
        let longer = [&good[..], b"hello"].concat();
        assert_eq!(decode(&longer), Err(HyllError::Corrupted));
        assert_eq!(decode(&good[..good.len() - 1]), Err(HyllError::Corrupted));
        assert_eq!(decode(&good[..HEADER_BYTES]), Err(HyllError::Corrupted));
        let mut dense = encode(&sketch_of(3), None, 0);
        dense[HEADER_BYTES] = 0x3f; // rank 63: a hash has no so many bits
        assert_eq!(decode(&dense), Err(HyllError::Corrupted));
    }

    proptest! {
        /// Whatever follows a header, nothing panics, and what is accepted means the same when it is written again.
        #[test]
        fn any_bytes_are_read_or_refused(
            form in 0u8..3,
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..64),
                prop::collection::vec(any::<u8>(), DENSE_BYTES..=DENSE_BYTES),
                prop::collection::vec(0x80u8..=0xff, 4000..20_000),
            ],
            sparse_bytes_max in 0usize..4000,
        ) {
            let bytes = [MAGIC, &[form], &[0; 11], &body].concat();
            if let Ok(sketch) = decode(&bytes) {
                let again = encode(&sketch, None, sparse_bytes_max);
                prop_assert_eq!(decode(&again), Ok(sketch));
            }
        }

        /// The same for what differs from a valid one in a few bytes, which is accepted more often.
        #[test]
        fn damage_is_read_or_refused(
            count in 0u32..3000,
            sparse_bytes_max in prop_oneof![Just(0), Just(SPARSE_BYTES_MAX_DEFAULT)],
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        ) {
            let mut bytes = encode(&sketch_of(count), None, sparse_bytes_max);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(sketch) = decode(&bytes) {
                let again = encode(&sketch, None, sparse_bytes_max);
                prop_assert_eq!(decode(&again), Ok(sketch));
            }
        }
    }
}
