//! A number that can be compared with any other.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::human;

/// The score of a member: any number but NaN. Infinity is one; zero has no sign, so that equal scores are equal bytes.
/// In a format for people an infinite one is text, since JSON has no such number, and so is one of more digits than every
/// reader of JSON keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score(f64);

/// NaN is no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANumber;

impl fmt::Display for NotANumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a score must be a number")
    }
}

impl core::error::Error for NotANumber {}

impl Score {
    /// The score of nothing.
    pub const ZERO: Self = Self(0.0);

    /// The score as a number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// What is read of a sum: zero where it is not a number, as that of infinity and minus infinity.
    pub(super) fn of(sum: f64) -> Self {
        Self::try_from(sum).unwrap_or(Self::ZERO)
    }
}

impl TryFrom<f64> for Score {
    type Error = NotANumber;

    fn try_from(number: f64) -> Result<Self, NotANumber> {
        if number.is_nan() {
            return Err(NotANumber);
        }
        // Adding zero takes the sign of minus zero away, and changes nothing else.
        Ok(Self(number + 0.0))
    }
}

impl From<Score> for f64 {
    fn from(score: Score) -> Self {
        score.0
    }
}

impl From<i32> for Score {
    fn from(number: i32) -> Self {
        Self(f64::from(number))
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        human::float::serialize(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = human::float::deserialize(deserializer)?;
        Self::try_from(number).map_err(serde::de::Error::custom)
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Score {}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl core::hash::Hash for Score {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
