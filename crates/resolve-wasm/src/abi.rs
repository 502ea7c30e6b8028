//! How siblings go in and an answer comes out, as `docs/resolvers.md` draws it. The names carry the version.

use isles_resolve::Sibling;

/// The linear memory.
pub(crate) const MEMORY: &str = "memory";
/// `(bytes: i32) -> i32`: makes room for an input and says where.
pub(crate) const ALLOC: &str = "isles_alloc_v1";
/// `(input: i32, bytes: i32) -> i64`: answers where the value is, in the upper half, and how long, in the lower one.
pub(crate) const RESOLVE: &str = "isles_resolve_v1";
/// Where it is exported, a function without parameters that is called before all others.
pub(crate) const INITIALIZE: &str = "_initialize";

/// What is answered where there is no value.
pub(crate) const UNDECIDED: u64 = u64::MAX;

/// Bytes before the first record: the number of siblings, and zero.
const HEADER_BYTES: usize = 8;
/// Bytes of a sibling's record.
const RECORD_BYTES: usize = 40;

/// Bytes of the input for these siblings.
pub(crate) fn input_bytes(siblings: &[Sibling<'_>]) -> usize {
    let values: usize = siblings.iter().map(|sibling| sibling.value.len()).sum();
    HEADER_BYTES + RECORD_BYTES * siblings.len() + values
}

/// Writes the input, which fills the room: it has [`input_bytes`].
pub(crate) fn write_input(siblings: &[Sibling<'_>], room: &mut [u8]) {
    let (head, mut values) = room.split_at_mut(HEADER_BYTES + RECORD_BYTES * siblings.len());
    let (header, records) = head.split_at_mut(HEADER_BYTES);
    let count = siblings.len() as u64;
    header.copy_from_slice(&count.to_le_bytes());
    let mut start = HEADER_BYTES + records.len();
    for (sibling, record) in siblings.iter().zip(records.chunks_exact_mut(RECORD_BYTES)) {
        let bytes = sibling.value.len();
        record[..4].copy_from_slice(&(start as u32).to_le_bytes());
        record[4..8].copy_from_slice(&(bytes as u32).to_le_bytes());
        record[8..24].copy_from_slice(sibling.dot.replica.as_bytes());
        record[24..32].copy_from_slice(&sibling.dot.sequence.to_le_bytes());
        record[32..].copy_from_slice(&sibling.stamp.hlc.as_u64().to_le_bytes());
        let (value, rest) = values.split_at_mut(bytes);
        value.copy_from_slice(sibling.value);
        values = rest;
        start += bytes;
    }
}

#[cfg(test)]
mod tests {
    use isles_clock::{Dot, Hlc, ReplicaId};

    use super::*;

    #[test]
    fn the_input_is_as_drawn() {
        let sibling = |replica, value| {
            let dot = Dot::new(ReplicaId::from_u128(replica), 7);
            Sibling::new(dot, Hlc::new(1_000, 5), value)
        };
        let siblings = [sibling(1, &b"red"[..]), sibling(2, b"")];
        let mut room = vec![0xaa; input_bytes(&siblings)];
        write_input(&siblings, &mut room);
        let mut expected = vec![2, 0, 0, 0, 0, 0, 0, 0];
        for (sibling, start) in siblings.iter().zip([88u32, 91]) {
            expected.extend_from_slice(&start.to_le_bytes());
            expected.extend_from_slice(&(sibling.value.len() as u32).to_le_bytes());
            expected.extend_from_slice(sibling.dot.replica.as_bytes());
            expected.extend_from_slice(&7u64.to_le_bytes());
            expected.extend_from_slice(&(1_000u64 << 16 | 5).to_le_bytes());
        }
        expected.extend_from_slice(b"red");
        assert_eq!(room, expected);
    }
}
