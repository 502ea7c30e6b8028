//! The resolvers that are built in.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::union::union;
use crate::{Json, Resolution, Resolver, Sibling};

/// How concurrent values of a register become one answer.
///
/// ```
/// use isles_resolve::{Class, Strategy};
///
/// let strategy: Strategy = "multi-value".parse()?;
/// assert_eq!(strategy.class(), Class::MultiValue);
/// # Ok::<(), isles_resolve::ParseStrategyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Strategy {
    /// The last write wins: the greatest stamp.
    #[default]
    Lww,
    /// The first write wins: the smallest stamp.
    Fww,
    /// All values are kept for the reader to decide.
    MultiValue,
    /// The greatest value wins, see [`Min`](Self::Min).
    Max,
    /// The smallest value wins. Finite decimal numbers are compared exactly, everything else by its bytes, and every
    /// number is smaller than everything else; between equal values the dot decides.
    Min,
    /// The longest value wins, of equally long ones the greatest by its bytes.
    Longest,
    /// Every item that any of them has, of JSON arrays or of lines; once each, in order of size.
    Union,
    /// [JSON documents](crate::Json) become one with the fields of all; of two values of a field the greater.
    Json,
    /// The same, but of two numbers the smaller.
    JsonMin,
    /// The same, but the differences that writers have made to a number are added up, see [`Sums`](crate::Sums).
    JsonSum,
}

/// What a register must keep for a strategy to be applied on reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// One value, that of the greatest stamp.
    Lww,
    /// Every value that no write has observed.
    MultiValue,
}

impl Strategy {
    /// Every strategy, in the order of their encoding.
    pub const ALL: [Self; 10] = [
        Self::Lww,
        Self::Fww,
        Self::MultiValue,
        Self::Max,
        Self::Min,
        Self::Longest,
        Self::Union,
        Self::Json,
        Self::JsonMin,
        Self::JsonSum,
    ];

    /// What the register must keep. All but `lww` are lenses over the same siblings and can be exchanged at any time.
    #[inline]
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Lww => Class::Lww,
            _ => Class::MultiValue,
        }
    }

    /// The name that people write.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lww => "lww",
            Self::Fww => "fww",
            Self::MultiValue => "multi-value",
            Self::Max => "max",
            Self::Min => "min",
            Self::Longest => "longest",
            Self::Union => "union",
            Self::Json => "json",
            Self::JsonMin => "json-min",
            Self::JsonSum => "json-sum",
        }
    }
}

impl Strategy {
    /// What a reader of several siblings is told, as the rest of a sentence.
    #[must_use]
    pub const fn answers(self) -> &'static str {
        match self {
            Self::Lww => "the value with the greatest stamp",
            Self::Fww => "the value with the smallest stamp",
            Self::MultiValue => "the value with the greatest stamp, beside the list of all",
            Self::Max => "the greatest value, numbers below everything else",
            Self::Min => "the smallest value, numbers below everything else",
            Self::Longest => "the longest value, of equally long ones the greatest by bytes",
            Self::Union => "the items of all, of JSON arrays or of lines, once each",
            Self::Json => {
                "one JSON document with the fields of all, of two values of a field the greater"
            }
            Self::JsonMin => {
                "one JSON document with the fields of all, of two numbers of a field the smaller"
            }
            Self::JsonSum => {
                "one JSON document with the fields of all, the differences that were made to a number added up"
            }
        }
    }
}

impl Resolver for Strategy {
    fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
        match self {
            Self::Lww => least(siblings, |left, right| by_stamp(right, left)),
            Self::Fww => least(siblings, by_stamp),
            Self::MultiValue => one(siblings).unwrap_or(Resolution::Many),
            Self::Max => least(siblings, |left, right| by_value(right, left)),
            Self::Min => least(siblings, by_value),
            Self::Longest => least(siblings, |left, right| by_length(right, left)),
            Self::Union => one(siblings).unwrap_or_else(|| union(siblings)),
            Self::Json => Json::new().resolve(siblings),
            Self::JsonMin => Json::new().with_smallest_numbers().resolve(siblings),
            Self::JsonSum => Json::new().with_summed_numbers().resolve(siblings),
        }
    }

    fn reads_sums(&self) -> bool {
        matches!(self, Self::JsonSum)
    }
}

/// The answer if they are one sibling, however often it comes.
pub(crate) fn one<'a>(siblings: &[Sibling<'a>]) -> Option<Resolution<'a>> {
    let [first, rest @ ..] = siblings else {
        return None;
    };
    let is_one = rest.iter().all(|sibling| sibling.dot == first.dot);
    is_one.then(|| Resolution::winner_at(siblings, 0))
}

/// The first sibling in `compare`, which must be a total order: then all the laws hold.
fn least<'a>(
    siblings: &[Sibling<'a>],
    compare: impl Fn(&Sibling<'_>, &Sibling<'_>) -> Ordering,
) -> Resolution<'a> {
    let first =
        (0..siblings.len()).min_by(|&left, &right| compare(&siblings[left], &siblings[right]));
    first.map_or(Resolution::Many, |index| {
        Resolution::winner_at(siblings, index)
    })
}

fn by_stamp(left: &Sibling<'_>, right: &Sibling<'_>) -> Ordering {
    (left.stamp, left.dot).cmp(&(right.stamp, right.dot))
}

fn by_value(left: &Sibling<'_>, right: &Sibling<'_>) -> Ordering {
    Magnitude::of(left.value)
        .cmp(&Magnitude::of(right.value))
        .then_with(|| left.dot.cmp(&right.dot))
}

fn by_length(left: &Sibling<'_>, right: &Sibling<'_>) -> Ordering {
    let key = |sibling: &Sibling<'_>| sibling.value.len();
    let length = key(left).cmp(&key(right));
    length.then_with(|| (left.value, left.dot).cmp(&(right.value, right.dot)))
}

/// A value's place among values. One order over numbers and other bytes alike is what makes grouping hold: comparing
/// as numbers only where *all* siblings are numbers lets a third sibling change how the other two compare.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Magnitude<'a> {
    Number(Decimal<'a>),
    Bytes(&'a [u8]),
}

impl<'a> Magnitude<'a> {
    pub(crate) fn of(value: &'a [u8]) -> Self {
        Decimal::parse(value).map_or(Self::Bytes(value), Self::Number)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseStrategyError;

impl fmt::Display for ParseStrategyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown strategy; there are")?;
        for (index, strategy) in Strategy::ALL.iter().enumerate() {
            write!(f, "{} {strategy}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseStrategyError {}

impl FromStr for Strategy {
    type Err = ParseStrategyError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.name().eq_ignore_ascii_case(name))
            .ok_or(ParseStrategyError)
    }
}

#[cfg(test)]
mod tests;
