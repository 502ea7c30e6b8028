//! How siblings come in and how an answer goes out, drawn in `docs/resolvers.md`. [`export!`](crate::export) calls this;
//! by itself it is good for tests only.

use alloc::vec::Vec;

use crate::{Answer, Dot, Sibling, Stamp};

/// What is answered where there is no value.
pub const UNDECIDED: u64 = u64::MAX;

/// Bytes before the first record: the number of siblings, and zero.
const HEADER_BYTES: usize = 8;
/// Bytes of a sibling's record.
const RECORD_BYTES: usize = 40;

/// The siblings of an input.
///
/// # Panics
/// The input is none that a host makes.
#[must_use]
pub fn siblings(input: &[u8]) -> Vec<Sibling<'_>> {
    let count = u32_at(input, 0) as usize;
    (0..count)
        .map(|index| sibling(input, HEADER_BYTES + index * RECORD_BYTES))
        .collect()
}

fn sibling(input: &[u8], at: usize) -> Sibling<'_> {
    let start = u32_at(input, at) as usize;
    let bytes = u32_at(input, at + 4) as usize;
    let mut replica = [0; 16];
    replica.copy_from_slice(&input[at + 8..at + 24]);
    let reading = u64_at(input, at + 32);
    Sibling {
        value: &input[start..start + bytes],
        dot: Dot {
            replica,
            sequence: u64_at(input, at + 24),
        },
        stamp: Stamp {
            wall_ms: reading >> 16,
            counter: reading as u16,
            replica,
        },
    }
}

fn u32_at(input: &[u8], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&input[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn u64_at(input: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&input[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// What a resolver answers for an input: where the value is and how long, or [`UNDECIDED`]. The value is never freed: the
/// instance goes with the call.
pub fn answer<A: Answer>(input: &[u8], resolve: impl FnOnce(&[Sibling<'_>]) -> A) -> u64 {
    match resolve(&siblings(input)).into_value() {
        Some(value) => {
            let value: &'static [u8] = value.leak();
            (value.as_ptr() as u64) << 32 | value.len() as u64
        }
        None => UNDECIDED,
    }
}

/// Makes room for an input.
#[must_use]
pub fn allocate(bytes: u32) -> u32 {
    let room: &'static mut [u8] = alloc::vec![0; bytes as usize].leak();
    room.as_mut_ptr() as usize as u32
}

/// Hands an input over that the host has put where [`allocate`] made room for it.
#[cfg(target_arch = "wasm32")]
pub fn with_input(input: u32, bytes: u32, call: impl FnOnce(&[u8]) -> u64) -> u64 {
    #[expect(
        unsafe_code,
        reason = "the host names bytes that `allocate` made and nobody else holds"
    )]
    let input = unsafe { core::slice::from_raw_parts(input as *const u8, bytes as usize) };
    call(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_read_as_drawn() {
        let mut input = alloc::vec![1, 0, 0, 0, 0, 0, 0, 0];
        input.extend_from_slice(&48u32.to_le_bytes());
        input.extend_from_slice(&3u32.to_le_bytes());
        input.extend_from_slice(&[9; 16]);
        input.extend_from_slice(&7u64.to_le_bytes());
        input.extend_from_slice(&(1_000u64 << 16 | 5).to_le_bytes());
        input.extend_from_slice(b"red");
        let expected = Sibling {
            value: b"red",
            dot: Dot {
                replica: [9; 16],
                sequence: 7,
            },
            stamp: Stamp {
                wall_ms: 1_000,
                counter: 5,
                replica: [9; 16],
            },
        };
        assert_eq!(siblings(&input), [expected]);
    }

    #[test]
    fn no_siblings_are_none() {
        assert_eq!(siblings(&[0; 8]), []);
    }

    #[test]
    fn no_value_is_undecided() {
        assert_eq!(answer(&[0; 8], |_| None::<Vec<u8>>), UNDECIDED);
    }
}
