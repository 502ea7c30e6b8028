//! What a document remembers of the differences that were made to its numbers, so that each counts once.

mod stored;

use std::collections::BTreeMap;
use std::fmt;

use isles_clock::{Dot, ReplicaId};
use serde::{Deserialize, Serialize};

use self::stored::StoredSums;
use crate::Sibling;
use crate::amount::Amount;
use crate::strategy::Magnitude;

/// Differences that one document remembers, one for each number and replica; see [`TooManyDifferences`].
pub const DIFFERENCES_MAX: usize = 4_096;
/// Bytes of the paths of all numbers of which one document remembers differences.
pub const PATH_BYTES_MAX: usize = 256 << 10;

/// The differences that the writers of a document and of all that they had read have made to its numbers.
///
/// Of each number that ever was changed it has the *base*, the number that it began with, and what each replica has added
/// since in total. Two states join replica by replica: a total that has more of one replica's writes in it includes the
/// other. So a difference counts once, however often, in whatever order and by whichever way its document arrives. Two
/// bases, which is what two regions make that add a field at the same time, join to the greater one.
///
/// What a number is: base and totals, added up. [`Json::sums_after`](crate::Json::sums_after) makes the state that a write
/// carries; a document of which no number was changed has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "StoredSums", into = "StoredSums")]
pub struct Sums {
    // Invariant: sorted by path, each at most once.
    numbers: Vec<Number>,
}

/// A number of a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Number {
    /// A JSON pointer.
    path: Box<str>,
    base: Amount,
    // Invariant: sorted by their lines, each at most once; at least one.
    totals: Vec<Total>,
}

/// Writes of one replica of which each has built on the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Line {
    replica: ReplicaId,
    /// The sequence of the first.
    since: u64,
}

/// What the writes of a line have added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Total {
    line: Line,
    /// The sequence of the last.
    through: u64,
    amount: Amount,
}

/// A write that would make a document remember more than [`DIFFERENCES_MAX`] differences, or longer paths than
/// [`PATH_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyDifferences {
    /// Differences.
    pub differences: usize,
    /// Bytes of paths.
    pub path_bytes: usize,
}

impl fmt::Display for TooManyDifferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, bytes) = (self.differences, self.path_bytes);
        write!(
            f,
            "the document would remember {count} differences of its numbers, on paths of {bytes} bytes: at most {DIFFERENCES_MAX} on {PATH_BYTES_MAX} bytes are kept"
        )
    }
}

impl std::error::Error for TooManyDifferences {}

/// A write of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing {
    /// The write.
    pub dot: Dot,
    /// The sequence of the last write by the same replica of this key that carried differences, where that is certain;
    /// zero otherwise. It lets the replica's totals go on; a total of which nobody knows whether a later one exists is left
    /// as it is, and another one begun.
    pub previous: u64,
}

impl Sums {
    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// How many differences are remembered, by number and replica.
    #[must_use]
    pub fn differences(&self) -> usize {
        self.numbers.iter().map(|number| number.totals.len()).sum()
    }

    /// What one replica has added; a mistake to make on purpose.
    #[doc(hidden)]
    #[must_use]
    pub fn only_of(mut self, replica: ReplicaId) -> Self {
        for number in &mut self.numbers {
            number.totals.retain(|total| total.line.replica == replica);
        }
        self.numbers.retain(|number| !number.totals.is_empty());
        self
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let numbers = self.numbers.iter();
        let each = numbers.map(|it| size_of::<Number>() + it.path.len() + size_of_val(&*it.totals));
        each.sum()
    }

    /// The number at `path`, a JSON pointer, as far as it was ever changed: what it began with, and all that was added.
    #[must_use]
    pub fn number_at(&self, path: &str) -> Option<String> {
        let number = self.number(path)?;
        let amounts = number.totals.iter().map(|total| total.amount);
        Some(amounts.fold(number.base, |sum, it| sum + it).to_string())
    }

    fn number(&self, path: &str) -> Option<&Number> {
        let place = self.numbers.binary_search_by(|it| (*it.path).cmp(path));
        place.ok().map(|place| &self.numbers[place])
    }

    /// The state with these numbers, in order of their paths; those without differences are left out.
    pub(crate) fn of(numbers: impl Iterator<Item = Joined>) -> Result<Self, TooManyDifferences> {
        let mut sums = Self::default();
        let mut path_bytes = 0;
        for joined in numbers {
            path_bytes += joined.path.len();
            sums.numbers.push(joined.into_number());
        }
        let differences = sums.differences();
        match differences > DIFFERENCES_MAX || path_bytes > PATH_BYTES_MAX {
            true => Err(TooManyDifferences {
                differences,
                path_bytes,
            }),
            false => Ok(sums),
        }
    }
}

/// What several siblings together know of a number.
pub(crate) struct Joined {
    path: Box<str>,
    base: Amount,
    totals: BTreeMap<Line, (u64, Amount)>,
}

impl Joined {
    /// Joins what siblings know of the number at `path`, each of which has one there, as it is written with it; none where
    /// no differences are known, or where the greatest base is too long to be added to.
    pub(crate) fn of<'a>(
        path: &str,
        numbers: impl Iterator<Item = (Option<&'a Sums>, &'a str)>,
    ) -> Option<Self> {
        let mut totals = BTreeMap::new();
        let mut base: Option<Base<'_>> = None;
        for (sums, text) in numbers {
            let known = sums.and_then(|sums| sums.number(path));
            let own = known.map_or_else(|| Base::of(text), |known| Base::Amount(known.base));
            if base.as_ref().is_none_or(|base| own.is_above(base)) {
                base = Some(own);
            }
            for total in known.into_iter().flat_map(|known| &known.totals) {
                let new = (total.through, total.amount);
                let joined = totals.entry(total.line).or_insert(new);
                *joined = new.max(*joined);
            }
        }
        match base {
            Some(Base::Amount(base)) => Some(Self {
                path: path.into(),
                base,
                totals,
            }),
            _ => None,
        }
    }

    /// Whether no differences are known.
    pub(crate) fn is_plain(&self) -> bool {
        self.totals.is_empty()
    }

    /// The number.
    pub(crate) fn value(&self) -> Amount {
        let amounts = self.totals.values().map(|(_, amount)| *amount);
        amounts.fold(self.base, |sum, amount| sum + amount)
    }

    /// Lets a write make `number` of it.
    pub(crate) fn write(&mut self, number: Amount, writing: Writing) {
        let Dot { replica, sequence } = writing.dot;
        let mut difference = number - self.value();
        for (line, (through, amount)) in &mut self.totals {
            let goes_on = line.replica == replica && *through == writing.previous;
            if goes_on {
                // Of several the first takes it; all go on, so that they still can with the next write.
                *amount = *amount + std::mem::take(&mut difference);
                *through = sequence;
            }
        }
        if difference != Amount::ZERO {
            let line = Line {
                replica,
                since: sequence,
            };
            self.totals.insert(line, (sequence, difference));
        }
    }

    fn into_number(self) -> Number {
        let totals = self.totals.into_iter();
        Number {
            path: self.path,
            base: self.base,
            totals: totals
                .map(|(line, (through, amount))| Total {
                    line,
                    through,
                    amount,
                })
                .collect(),
        }
    }
}

/// What a number began with.
enum Base<'a> {
    Amount(Amount),
    /// One that is too long to be added to.
    Long(&'a str),
}

impl<'a> Base<'a> {
    fn of(text: &'a str) -> Self {
        Amount::parse(text).map_or(Self::Long(text), Self::Amount)
    }

    fn is_above(&self, other: &Base<'_>) -> bool {
        if let (Self::Amount(own), Base::Amount(other)) = (self, other) {
            return own > other;
        }
        let (own, other) = (self.text(), other.text());
        Magnitude::of(own.as_bytes()) > Magnitude::of(other.as_bytes())
    }

    fn text(&self) -> String {
        match self {
            Self::Amount(amount) => amount.to_string(),
            Self::Long(text) => (*text).to_owned(),
        }
    }
}

/// Whether any sibling remembers differences.
pub(crate) fn any<'s, 'a: 's>(siblings: impl IntoIterator<Item = &'s Sibling<'a>>) -> bool {
    siblings.into_iter().any(|sibling| sibling.sums.is_some())
}

#[cfg(test)]
mod tests;
