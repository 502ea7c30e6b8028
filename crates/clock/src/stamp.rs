//! Readings with the replicas that took them.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Hlc, ReplicaId};

/// A reading and the replica that took it: a total order over writes, the same everywhere.
///
/// ```text
/// eu writes at 1000.0 ──┐ the greater stamp wins everywhere;
/// us writes at 1000.0 ──┘ equal readings: the greater replica, here us
/// ```
///
/// A replica never takes the same reading twice, so a stamp names at most one write. A write that follows another has
/// the greater stamp; of two stamps that differ nothing follows about causality, for which there is [`VectorClock`].
///
/// As text a stamp is its reading, an at sign and the replica: in full and readable again with `{:#}`, short for
/// people otherwise.
///
/// ```
/// use isles_clock::{Hlc, ReplicaId, Stamp};
///
/// let stamp = Stamp::new(Hlc::new(1_000, 7), ReplicaId::from_u128(1));
/// assert_eq!(format!("{stamp:#}").parse(), Ok(stamp));
/// assert_eq!(stamp.to_string(), "1000.7@00000000");
/// ```
///
/// [`VectorClock`]: crate::VectorClock
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// When, as far as clocks can say.
    pub hlc: Hlc,
    /// Who; decides between equal readings.
    pub replica: ReplicaId,
}

impl Stamp {
    /// The stamp of a write that `replica` made at `hlc`.
    #[inline]
    #[must_use]
    pub const fn new(hlc: Hlc, replica: ReplicaId) -> Self {
        Self { hlc, replica }
    }

    /// The size of [`to_bytes`](Self::to_bytes).
    pub const BYTES: usize = Hlc::BYTES + 16;

    /// The reading's bytes and then the replica's, which sort as the stamps do.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (hlc, replica) = bytes.split_at_mut(Hlc::BYTES);
        hlc.copy_from_slice(&self.hlc.to_bytes());
        replica.copy_from_slice(self.replica.as_bytes());
        bytes
    }

    /// The stamp that [`to_bytes`](Self::to_bytes) gave. Every 24 bytes are one.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (mut hlc, mut replica) = ([0; Hlc::BYTES], [0; 16]);
        hlc.copy_from_slice(bytes.split_at(Hlc::BYTES).0);
        replica.copy_from_slice(bytes.split_at(Hlc::BYTES).1);
        Self::new(Hlc::from_bytes(hlc), ReplicaId::from_bytes(replica))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            write!(f, "{}@{}", self.hlc, self.replica)
        } else {
            write!(f, "{}@{:?}", self.hlc, self.replica)
        }
    }
}

impl FromStr for Stamp {
    type Err = ParseStampError;

    /// Reads what `{:#}` prints.
    fn from_str(text: &str) -> Result<Self, ParseStampError> {
        let (hlc, replica) = text.split_once('@').ok_or(ParseStampError)?;
        match (hlc.parse(), replica.parse()) {
            (Ok(hlc), Ok(replica)) => Ok(Self::new(hlc, replica)),
            _ => Err(ParseStampError),
        }
    }
}

/// The text is not the reading, at sign and full replica of a [`Stamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseStampError;

impl fmt::Display for ParseStampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stamp is a reading, an at sign and the 32 hexadecimal digits of a replica")
    }
}

impl core::error::Error for ParseStampError {}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn stamp(wall_ms: u64, id: u128) -> Stamp {
        Stamp::new(Hlc::new(wall_ms, 0), ReplicaId::from_u128(id))
    }

    #[test]
    fn equal_readings_are_ordered_by_replica() {
        assert!(stamp(1, 9) < stamp(2, 1));
        assert!(stamp(1, 1) < stamp(1, 2));
    }

    #[test]
    fn bytes_sort_as_stamps_do() {
        let stamps = [
            stamp(1, 1),
            stamp(1, 1 << 100),
            stamp(256, 0),
            stamp(u64::MAX, u128::MAX),
        ];
        assert!(stamps.map(Stamp::to_bytes).is_sorted());
        assert_eq!(
            stamps.map(|stamp| Stamp::from_bytes(&stamp.to_bytes())),
            stamps
        );
    }

    #[test]
    fn the_long_text_reads_back_and_the_short_one_does_not() {
        let stamp = stamp(1, 1);
        assert_eq!(format!("{stamp:#}").parse(), Ok(stamp));
        for text in ["", "@", "1.0@", "1.0", "1.0@00000000"] {
            assert_eq!(text.parse::<Stamp>(), Err(ParseStampError), "{text}");
        }
    }
}
