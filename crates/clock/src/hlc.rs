//! Readings of a hybrid logical clock.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

const COUNTER_BITS: u32 = 16;
const WALL_MS_MAX: u64 = u64::MAX >> COUNTER_BITS;

/// A reading of a hybrid logical clock in 8 bytes: 48 bits of wall time in milliseconds since 1970, then 16 bits that
/// count readings within the millisecond.
///
/// ```text
/// bit 63                                     16 15            0
///     | wall time, milliseconds since 1970    | counter        |   enough until the year 10889
/// ```
///
/// The order of the readings is the order of the 64-bit numbers, and of their [bytes](Self::to_bytes). The scheme is
/// that of Kulkarni, Demirbas, Madappa, Avva and Leone, *Logical Physical Clocks and Consistent Snapshots in Globally
/// Distributed Databases*, 2014, packed as they propose, so that one comparison orders two readings.
///
/// As text a reading is its milliseconds, a dot, and its counter.
///
/// ```
/// use isles_clock::Hlc;
///
/// let reading = Hlc::new(1_700_000_000_000, 7);
/// assert_eq!((reading.wall_ms(), reading.counter()), (1_700_000_000_000, 7));
/// assert!(reading < reading.next());
/// assert_eq!("1700000000000.7".parse(), Ok(reading));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hlc(u64);

impl Hlc {
    /// Before every reading.
    pub const ZERO: Self = Self(0);
    /// After every reading.
    pub const MAX: Self = Self(u64::MAX);
    /// The size of [`to_bytes`](Self::to_bytes).
    pub const BYTES: usize = 8;

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

    /// Eight bytes, most significant first, so that they sort as the readings do: what an ordered store wants as a key.
    #[inline]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0.to_be_bytes()
    }

    /// The reading that [`to_bytes`](Self::to_bytes) gave. Every eight bytes are one.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(u64::from_be_bytes(bytes))
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

impl FromStr for Hlc {
    type Err = ParseHlcError;

    /// Reads what [`Display`](fmt::Display) prints, and nothing else: each reading has one text.
    fn from_str(text: &str) -> Result<Self, ParseHlcError> {
        let (wall_ms, counter) = text.split_once('.').ok_or(ParseHlcError)?;
        let wall_ms = plain_number(wall_ms).filter(|wall_ms| *wall_ms <= WALL_MS_MAX);
        let counter = plain_number(counter).and_then(|counter| u16::try_from(counter).ok());
        match (wall_ms, counter) {
            (Some(wall_ms), Some(counter)) => Ok(Self::new(wall_ms, counter)),
            _ => Err(ParseHlcError),
        }
    }
}

/// A number as it is printed: digits without a sign, and without zeros before it.
fn plain_number(text: &str) -> Option<u64> {
    let padded = text.len() > 1 && text.starts_with('0');
    let plain = !padded && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The text is not the milliseconds, dot and counter of an [`Hlc`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseHlcError;

impl fmt::Display for ParseHlcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reading is milliseconds, a dot and a counter, such as 1700000000000.7")
    }
}

impl core::error::Error for ParseHlcError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

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
    fn a_reading_has_one_text() {
        for reading in [Hlc::ZERO, Hlc::new(5, 0), Hlc::new(10, 65_535), Hlc::MAX] {
            assert_eq!(reading.to_string().parse(), Ok(reading));
            assert_eq!(Hlc::from_bytes(reading.to_bytes()), reading);
        }
        for text in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "+1.1",
            "01.1",
            "1.01",
            "1.65536",
            "281474976710656.0",
            "1.1.1",
            "é.1",
        ] {
            assert_eq!(text.parse::<Hlc>(), Err(ParseHlcError), "{text}");
        }
    }
}
