//! Who wrote: the identity of one writer.

use alloc::string::String;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One writer identity: 16 bytes that nobody else uses, such as random ones.
///
/// The order is that of the bytes and has no meaning beyond being the same everywhere. Formats for machines hold the
/// 16 raw bytes, formats for people (JSON, TOML) the 32 hexadecimal digits that [`Display`](fmt::Display) prints.
///
/// ```
/// use isles_clock::ReplicaId;
///
/// let id: ReplicaId = "00112233445566778899aabbccddeeff".parse()?;
/// assert_eq!(id.short(), "00112233");
/// # Ok::<(), isles_clock::ParseReplicaIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplicaId([u8; 16]);

impl ReplicaId {
    /// An identity from its bytes.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, in the order in which identities are compared.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// An identity from a number, most significant byte first, so that numbers and identities sort alike.
    #[inline]
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number.to_be_bytes())
    }

    /// The number that [`from_u128`](Self::from_u128) takes.
    #[inline]
    #[must_use]
    pub const fn as_u128(&self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The first eight hexadecimal digits: enough for people to tell replicas apart, never an identity.
    #[must_use]
    pub fn short(&self) -> String {
        alloc::format!("{}", Hex(&self.0[..SHORT_BYTES]))
    }
}

const SHORT_BYTES: usize = 4;
const HEX_DIGITS: usize = 32;

impl Ord for ReplicaId {
    /// As numbers, which is the order of the bytes: two machine words instead of a call to compare memory.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_u128().cmp(&other.as_u128())
    }
}

impl PartialOrd for ReplicaId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl fmt::Debug for ReplicaId {
    /// The short form: debug output is read by people, beside many others of its kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0[..SHORT_BYTES]), f)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    /// Writes all digits at once: ids are printed in every line of a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; HEX_DIGITS];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        let text = core::str::from_utf8(&text[..2 * self.0.len()]);
        f.write_str(text.expect("hexadecimal digits are text"))
    }
}

/// The text is not the 32 hexadecimal digits of a [`ReplicaId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseReplicaIdError;

impl fmt::Display for ParseReplicaIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a replica id is {HEX_DIGITS} hexadecimal digits")
    }
}

impl core::error::Error for ParseReplicaIdError {}

impl FromStr for ReplicaId {
    type Err = ParseReplicaIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: &[u8; HEX_DIGITS] = text
            .as_bytes()
            .try_into()
            .map_err(|_| ParseReplicaIdError)?;
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, ParseReplicaIdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(ParseReplicaIdError),
    }
}

impl Serialize for ReplicaId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ReplicaId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(HexVisitor)
        } else {
            <[u8; 16]>::deserialize(deserializer).map(Self)
        }
    }
}

struct HexVisitor;

impl Visitor<'_> for HexVisitor {
    type Value = ReplicaId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEX_DIGITS} hexadecimal digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ReplicaId, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn text_and_numbers_are_two_views_of_the_same_bytes() {
        let id = ReplicaId::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.as_u128(), u128::from_be_bytes(*id.as_bytes()));
        assert_eq!(id.short(), "00112233");
    }

    #[test]
    fn numbers_and_identities_sort_alike() {
        assert!(ReplicaId::from_u128(255) < ReplicaId::from_u128(256));
    }

    #[test]
    fn what_is_not_32_hex_digits_is_refused() {
        for text in [
            "",
            "0",
            "+0112233445566778899aabbccddeeff",
            "0011223344556677 8899aabbccddeef",
            "é",
        ] {
            assert_eq!(
                text.parse::<ReplicaId>(),
                Err(ParseReplicaIdError),
                "{text}"
            );
        }
    }
}
