//! Ids of a stream's entries.

use std::fmt;

use isles_clock::ReplicaId;
use serde::{Deserialize, Serialize};

/// Low bits of the sequence of a generated id that name its writer; see `docs/decisions/0010-ids-of-stream-entries.md`.
const WRITER_BITS: u32 = 32;
const WRITER_MASK: u64 = (1 << WRITER_BITS) - 1;

/// What an entry of a stream is called and ordered by.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct StreamId {
    /// Milliseconds, since 1970 where a node has generated the id.
    pub ms: u64,
    /// What tells ids of one millisecond apart.
    pub seq: u64,
}

impl StreamId {
    /// Below all ids: no entry has it.
    pub const ZERO: StreamId = StreamId { ms: 0, seq: 0 };
    /// The greatest id.
    pub const MAX: StreamId = StreamId {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// The id of these two numbers.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The next greater id; none after [`MAX`](Self::MAX).
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The next smaller id; none before [`ZERO`](Self::ZERO).
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => self
                .ms
                .checked_sub(1)
                .map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    /// The smallest id of this writer that is greater than `last` and not before `now_ms`; none where ids end.
    ///
    /// No other writer generates it, unless the last 32 bits of both their identities are equal.
    pub(crate) fn generate(last: StreamId, now_ms: u64, writer: ReplicaId) -> Option<StreamId> {
        let suffix = writer.as_u128() as u64 & WRITER_MASK;
        if now_ms > last.ms {
            return Some(StreamId::new(now_ms, suffix));
        }
        let same = last.seq & !WRITER_MASK | suffix;
        let seq = match same > last.seq {
            true => Some(same),
            false => same.checked_add(1 << WRITER_BITS),
        };
        match seq {
            Some(seq) => Some(StreamId::new(last.ms, seq)),
            None => Some(StreamId::new(last.ms.checked_add(1)?, suffix)),
        }
    }

    pub(crate) fn as_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITER: ReplicaId = ReplicaId::from_u128(7 << 64 | 0xa);

    fn check(last: (u64, u64), now_ms: u64, expected: Option<(u64, u64)>) {
        let generated = StreamId::generate(StreamId::new(last.0, last.1), now_ms, WRITER);
        assert_eq!(generated.map(|id| (id.ms, id.seq)), expected);
    }

    #[test]
    fn a_generated_id_is_greater_than_the_last_and_names_its_writer() {
        check((0, 0), 5, Some((5, 0xa)));
        check((4, u64::MAX), 5, Some((5, 0xa)));
        check((5, 0), 5, Some((5, 0xa)));
        check((5, 0xa), 5, Some((5, 0xa | 1 << 32)));
        check((5, 0xb), 5, Some((5, 0xa | 1 << 32)));
        check((9, 3 << 32), 5, Some((9, 0xa | 3 << 32)));
        check((9, u64::MAX), 5, Some((10, 0xa)));
        check((u64::MAX, u64::MAX), 5, None);
    }

    #[test]
    fn neighbours_cross_milliseconds() {
        assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
        assert_eq!(
            StreamId::new(2, 0).previous(),
            Some(StreamId::new(1, u64::MAX))
        );
        assert_eq!(
            (StreamId::MAX.next(), StreamId::ZERO.previous()),
            (None, None)
        );
    }
}
