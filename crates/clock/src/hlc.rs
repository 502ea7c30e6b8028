//! Readings of a hybrid logical clock.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ReplicaId;

const COUNTER_BITS: u32 = 16;
const WALL_MS_MAX: u64 = u64::MAX >> COUNTER_BITS;

/// A reading of a hybrid logical clock: 48 bits of wall time in milliseconds since 1970, then 16 bits that count
/// readings within the millisecond.
///
/// The order of the readings is the order of the 64-bit numbers. The scheme is that of Kulkarni et al., *Logical
/// Physical Clocks*, 2014, packed so that one comparison orders two readings.
///
/// ```
/// use isles_clock::Hlc;
///
/// let reading = Hlc::new(1_700_000_000_000, 7);
/// assert_eq!((reading.wall_ms(), reading.counter()), (1_700_000_000_000, 7));
/// assert!(reading < reading.next());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hlc(u64);

impl Hlc {
    /// Before every reading.
    pub const ZERO: Self = Self(0);
    /// After every reading.
    pub const MAX: Self = Self(u64::MAX);

    /// The reading with this wall time and counter. Wall times beyond 48 bits (the year 10889) become the greatest.
    #[inline]
    #[must_use]
    pub const fn new(wall_ms: u64, counter: u16) -> Self {
        let wall_ms = if wall_ms > WALL_MS_MAX {
            WALL_MS_MAX
        } else {
            wall_ms
        };
        Self((wall_ms << COUNTER_BITS) | counter as u64)
    }

    /// Wall time in milliseconds since 1970.
    #[inline]
    #[must_use]
    pub const fn wall_ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The place among the readings of one millisecond.
    #[inline]
    #[must_use]
    pub const fn counter(self) -> u16 {
        (self.0 & u16::MAX as u64) as u16
    }

    /// The reading as one number.
    #[inline]
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The reading that [`as_u64`](Self::as_u64) gave.
    #[inline]
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The smallest greater reading; a full counter carries into the milliseconds. [`MAX`](Self::MAX) stays.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall_ms(), self.counter())
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A reading and the replica that took it: a total order over writes, the same everywhere.
///
/// A replica never takes the same reading twice, so a stamp names at most one write.
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
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:?}", self.hlc, self.replica)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_counter_carries_into_the_milliseconds() {
        assert_eq!(Hlc::new(5, u16::MAX).next(), Hlc::new(6, 0));
        assert_eq!(Hlc::MAX.next(), Hlc::MAX);
    }

    #[test]
    fn wall_times_beyond_48_bits_saturate() {
        assert_eq!(Hlc::new(u64::MAX, u16::MAX), Hlc::MAX);
        assert_eq!(Hlc::new(1 << 48, 0).wall_ms(), (1 << 48) - 1);
    }

    #[test]
    fn equal_readings_are_ordered_by_replica() {
        let stamp = |ms, id| Stamp::new(Hlc::new(ms, 0), ReplicaId::from_u128(id));
        assert!(stamp(1, 9) < stamp(2, 1));
        assert!(stamp(1, 1) < stamp(1, 2));
    }
}
