//! The resolvers that are built in.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::{Resolution, Resolver, Sibling};

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
    pub const ALL: [Self; 5] = [Self::Lww, Self::Fww, Self::MultiValue, Self::Max, Self::Min];

    /// What the register must keep. All but `lww` are lenses over the same siblings and can be exchanged at any time.
    #[inline]
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Lww => Class::Lww,
            Self::Fww | Self::MultiValue | Self::Max | Self::Min => Class::MultiValue,
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
        }
    }
}

impl Resolver for Strategy {
    fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
        match self {
            Self::Lww => least(siblings, |left, right| by_stamp(right, left)),
            Self::Fww => least(siblings, by_stamp),
            Self::MultiValue => many(siblings),
            Self::Max => least(siblings, |left, right| by_value(right, left)),
            Self::Min => least(siblings, by_value),
        }
    }
}

/// All of them, unless they are one. The first of equal dots counts, so that a repeated sibling stays one.
fn many<'a>(siblings: &[Sibling<'a>]) -> Resolution<'a> {
    match siblings {
        [first, rest @ ..] if rest.iter().all(|sibling| sibling.dot == first.dot) => {
            Resolution::winner_at(siblings, 0)
        }
        _ => Resolution::Many,
    }
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

/// A value's place among values. One order over numbers and other bytes alike is what makes grouping hold: comparing
/// as numbers only where *all* siblings are numbers lets a third sibling change how the other two compare.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Magnitude<'a> {
    Number(Decimal<'a>),
    Bytes(&'a [u8]),
}

impl<'a> Magnitude<'a> {
    fn of(value: &'a [u8]) -> Self {
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
mod tests {
    use isles_clock::{Dot, Hlc, ReplicaId};

    use super::*;

    /// Siblings of replicas 1, 2, … with these stamps; checks which value wins under each strategy.
    fn check(siblings: &[(u64, &str)], expected: [(Strategy, Option<&str>); 5]) {
        let siblings: Vec<_> = (1u128..)
            .zip(siblings)
            .map(|(id, (ms, value))| {
                Sibling::new(
                    Dot::new(ReplicaId::from_u128(id), 1),
                    Hlc::new(*ms, 0),
                    value.as_bytes(),
                )
            })
            .collect();
        for (strategy, value) in expected {
            assert_eq!(
                strategy.resolve(&siblings).value(),
                value.map(str::as_bytes),
                "{strategy}"
            );
        }
    }

    #[test]
    fn each_strategy_picks_its_sibling() {
        use Strategy::*;
        check(
            &[(20, "9"), (10, "10"), (30, "-3")],
            [
                (Lww, Some("-3")),
                (Fww, Some("10")),
                (MultiValue, None),
                (Max, Some("10")),
                (Min, Some("-3")),
            ],
        );
    }

    #[test]
    fn one_sibling_is_the_answer_to_everything() {
        check(
            &[(20, "only")],
            Strategy::ALL.map(|strategy| (strategy, Some("only"))),
        );
    }

    #[test]
    fn numbers_are_smaller_than_everything_else() {
        use Strategy::*;
        check(
            &[(1, "9"), (2, "10"), (3, "5x")],
            [
                (Lww, Some("5x")),
                (Fww, Some("9")),
                (MultiValue, None),
                (Max, Some("5x")),
                (Min, Some("9")),
            ],
        );
    }

    #[test]
    fn between_equal_values_the_dot_decides() {
        use Strategy::*;
        check(
            &[(7, "1.0"), (7, "1"), (7, "1.00")],
            [
                (Lww, Some("1.00")),
                (Fww, Some("1.0")),
                (MultiValue, None),
                (Max, Some("1.00")),
                (Min, Some("1.0")),
            ],
        );
    }

    #[test]
    fn names_round_trip_and_unknown_ones_are_refused_with_the_choice() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        let error = "newest".parse::<Strategy>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown strategy; there are lww, fww, multi-value, max, min"
        );
    }

    #[test]
    fn only_lww_lets_go_of_the_losers() {
        assert_eq!(
            Strategy::ALL
                .map(Strategy::class)
                .map(|class| class == Class::Lww),
            [true, false, false, false, false]
        );
    }

    #[test]
    fn encodings_are_part_of_the_format() {
        for (strategy, byte) in Strategy::ALL.into_iter().zip(0u8..) {
            assert_eq!(postcard::to_allocvec(&strategy).unwrap(), [byte]);
            assert_eq!(
                serde_json::to_string(&strategy).unwrap(),
                format!("\"{strategy}\"")
            );
        }
    }
}
