//! What every resolver must satisfy, as a check that names the counter-example.
//!
//! ```
//! use isles_resolve::{Resolution, Resolver, Sibling, laws};
//!
//! struct FirstCome;
//! impl Resolver for FirstCome {
//!     fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
//!         Resolution::winner_at(siblings, 0)
//!     }
//! }
//!
//! let violation = laws::check_samples(&FirstCome).unwrap_err();
//! assert_eq!(violation.law, laws::Law::Permutation);
//! ```

use std::fmt;

use isles_clock::{Dot, Hlc, ReplicaId};

use crate::{Json, Resolution, Resolver, Sibling};

/// A law of [`Resolver`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// The order of the siblings does not matter.
    Permutation,
    /// A sibling that comes twice counts once.
    Duplication,
    /// Resolving some first, and their answer with the rest, gives the same.
    Grouping,
    /// The winner that is named is the sibling whose value is the answer.
    Winner,
}

impl fmt::Display for Law {
    /// What happens where it does not hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permutation => "the order of the siblings changes the answer",
            Self::Duplication => "a repeated sibling changes the answer",
            Self::Grouping => "resolving some siblings first changes the answer",
            Self::Winner => "the sibling named as winner is not the answer",
        })
    }
}

/// A counter-example: two ways to ask that should have given one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The law that does not hold.
    pub law: Law,
    /// The values of the siblings as they were first asked about.
    pub siblings: Vec<Vec<u8>>,
    /// The values of the siblings as they were asked about again.
    pub again: Vec<Vec<u8>>,
    /// The first answer; `None` is all of them.
    pub expected: Option<Vec<u8>>,
    /// The second answer.
    pub found: Option<Vec<u8>>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} gives {}, but {} gives {}",
            self.law,
            list(&self.siblings),
            answer(self.expected.as_deref()),
            list(&self.again),
            answer(self.found.as_deref()),
        )
    }
}

impl std::error::Error for Violation {}

/// Values as one line for people; of long ones the beginning.
#[must_use]
pub fn list(values: &[Vec<u8>]) -> String {
    let values: Vec<String> = values.iter().map(|value| answer(Some(value))).collect();
    format!("[{}]", values.join(", "))
}

/// Bytes of a value that are shown.
const SHOWN_BYTES_MAX: usize = 256;

/// An answer as one line for people; of a long one the beginning.
#[must_use]
pub fn answer(value: Option<&[u8]>) -> String {
    match value {
        None => "all of them".to_owned(),
        Some(value) if value.len() <= SHOWN_BYTES_MAX => format!("\"{}\"", value.escape_ascii()),
        Some(value) => format!(
            "\"{}\"... ({} bytes)",
            value[..SHOWN_BYTES_MAX].escape_ascii(),
            value.len()
        ),
    }
}

/// Above this many siblings not every permutation is tried, only the rotations, forwards and backwards.
const PERMUTED_MAX: usize = 5;
/// Above this many siblings not every way to split them in two is tried, only those that keep their order.
const GROUPED_MAX: usize = 8;

/// Checks every law on one set of siblings; they must have different dots.
///
/// The cost is a few hundred calls for up to eight siblings and grows with the square of their number beyond.
///
/// # Errors
/// The first counter-example found.
pub fn check(resolver: &dyn Resolver, siblings: &[Sibling<'_>]) -> Result<(), Violation> {
    let mut siblings = siblings.to_vec();
    siblings.sort_unstable_by_key(|sibling| sibling.dot);
    if siblings.is_empty() {
        return Ok(());
    }
    let expected = resolver.resolve(&siblings);
    check_winner(&siblings, &expected)?;
    let asked = Asked {
        resolver,
        siblings: &siblings,
        expected,
    };
    asked.check_permutations()?;
    asked.check_duplicates()?;
    asked.check_groups()
}

/// Checks every law on every set of one to three values that people are likely to store, with stamps in several orders.
///
/// # Errors
/// The first counter-example found.
pub fn check_samples(resolver: &dyn Resolver) -> Result<(), Violation> {
    for chosen in 1u32..1 << SAMPLES.len() {
        if chosen.count_ones() > SAMPLED_MAX {
            continue;
        }
        let values = SAMPLES.iter().enumerate();
        let values = values.filter(|(index, _)| chosen & (1 << index) != 0);
        let values: Vec<&[u8]> = values.map(|(_, value)| *value).collect();
        check_values(resolver, &values)?;
    }
    Ok(())
}

/// Checks every law on siblings with these values, which have their stamps in several orders.
///
/// # Errors
/// The first counter-example found.
pub fn check_values(resolver: &dyn Resolver, values: &[impl AsRef<[u8]>]) -> Result<(), Violation> {
    StampOrder::ALL
        .into_iter()
        .try_for_each(|order| check(resolver, &order.siblings(values)))
}

/// Values for which resolvers are known to go wrong: two spellings of a number, numbers whose order as text is another
/// one, neighbours that a float cannot tell apart, what is nearly a number, emptiness, JSON, lines, and bytes that are no
/// text.
pub const SAMPLES: [&[u8]; 16] = [
    b"9",
    b"10",
    b"1.0",
    b"1",
    b"-2",
    b"9007199254740993",
    b"9007199254740992",
    b"5x",
    b"red",
    b"",
    b"{\"a\":1}",
    b"{\"b\": [1], \"a\":{}}",
    b"[1,2]",
    b"[ 2, {} ]",
    b"red\nblue\n",
    b"\xff\0",
];
const SAMPLED_MAX: u32 = 3;

/// Some time in 2026.
const STAMPED_AT_MS: u64 = 1_790_000_000_000;

/// How the stamps of siblings lie to their dots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampOrder {
    /// The later dot has the later stamp.
    AsDots,
    /// The later dot has the earlier stamp.
    AgainstDots,
    /// All at once, so that replicas decide.
    AllEqual,
}

impl StampOrder {
    /// Every order.
    pub const ALL: [Self; 3] = [Self::AsDots, Self::AgainstDots, Self::AllEqual];

    /// Siblings with these values, each of a replica of its own.
    #[must_use]
    pub fn siblings(self, values: &[impl AsRef<[u8]>]) -> Vec<Sibling<'_>> {
        let values = (0u64..).zip(values);
        values
            .map(|(index, value)| {
                let dot = Dot::new(ReplicaId::from_u128(u128::from(index)), 1);
                Sibling::new(dot, self.hlc(index), value.as_ref())
            })
            .collect()
    }

    fn hlc(self, index: u64) -> Hlc {
        let wall_ms = match self {
            Self::AsDots => STAMPED_AT_MS + index,
            Self::AgainstDots => STAMPED_AT_MS - index,
            Self::AllEqual => STAMPED_AT_MS,
        };
        Hlc::new(wall_ms, 0)
    }
}

fn check_winner(siblings: &[Sibling<'_>], resolution: &Resolution<'_>) -> Result<(), Violation> {
    let Some(winner) = resolution.winner() else {
        return Ok(());
    };
    let named = siblings.get(winner).map(|sibling| sibling.value);
    if named == resolution.value() {
        return Ok(());
    }
    Err(violation(
        Law::Winner,
        siblings,
        siblings,
        resolution.value(),
        named,
    ))
}

/// Siblings in the order of their dots, and what was answered for them.
struct Asked<'r, 's, 'a> {
    resolver: &'r dyn Resolver,
    siblings: &'s [Sibling<'a>],
    expected: Resolution<'a>,
}

/// Calls `visit` with every order of what lies from `start` on.
fn permute<T, E>(
    items: &mut [T],
    start: usize,
    visit: &mut impl FnMut(&[T]) -> Result<(), E>,
) -> Result<(), E> {
    if start == items.len() {
        return visit(items);
    }
    for index in start..items.len() {
        items.swap(start, index);
        permute(items, start + 1, visit)?;
        items.swap(start, index);
    }
    Ok(())
}

impl Asked<'_, '_, '_> {
    fn check_permutations(&self) -> Result<(), Violation> {
        let mut again = self.siblings.to_vec();
        if again.len() <= PERMUTED_MAX {
            return permute(&mut again, 0, &mut |permuted| {
                self.same(Law::Permutation, permuted)
            });
        }
        for _ in 0..2 {
            for _ in 0..again.len() {
                again.rotate_left(1);
                self.same(Law::Permutation, &again)?;
            }
            again.reverse();
        }
        Ok(())
    }

    fn check_duplicates(&self) -> Result<(), Violation> {
        for index in 0..self.siblings.len() {
            let mut again = self.siblings.to_vec();
            again.insert(index, self.siblings[index]);
            self.same(Law::Duplication, &again)?;
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), Violation> {
        let count = self.siblings.len();
        if count <= GROUPED_MAX {
            (1u32..1 << count)
                .try_for_each(|first| self.check_group(|index| first & (1 << index) != 0))
        } else {
            (1..count).try_for_each(|split| self.check_group(|index| index < split))
        }
    }

    /// Resolves the siblings for which `first` holds, then the answer together with the rest.
    fn check_group(&self, first: impl Fn(usize) -> bool) -> Result<(), Violation> {
        let (group, rest): (Vec<_>, Vec<_>) = self
            .siblings
            .iter()
            .copied()
            .enumerate()
            .partition(|(index, _)| first(*index));
        let group: Vec<_> = group.into_iter().map(|(_, sibling)| sibling).collect();
        let Resolution::One { value, winner } = self.resolver.resolve(&group) else {
            return Ok(());
        };
        let writer = writer(&group, winner);
        let sums = Json::new()
            .with_summed_numbers()
            .joined_sums(&group, &value);
        let written_back = Sibling {
            value: &value,
            sums: match winner {
                Some(_) => writer.sums,
                None => sums.as_ref(),
            },
            ..writer
        };
        let mut again: Vec<_> = rest
            .into_iter()
            .map(|(_, sibling)| sibling)
            .chain([written_back])
            .collect();
        again.sort_unstable_by_key(|sibling| sibling.dot);
        self.same(Law::Grouping, &again)
    }

    fn same(&self, law: Law, again: &[Sibling<'_>]) -> Result<(), Violation> {
        let (expected, found) = (&self.expected, self.resolver.resolve(again));
        let dot = |resolution: &Resolution<'_>, among: &[Sibling<'_>]| {
            Some(among.get(resolution.winner()?)?.dot)
        };
        // An answer made from several siblings has no winner until it is written back, so only two winners can differ.
        let other_winner = matches!(
            (dot(expected, self.siblings), dot(&found, again)),
            (Some(left), Some(right)) if left != right
        );
        if expected.value() == found.value() && !other_winner {
            return Ok(());
        }
        Err(violation(
            law,
            self.siblings,
            again,
            expected.value(),
            found.value(),
        ))
    }
}

/// Under whose name an answer goes on: the winner's, or the last writer's where it was made from several.
fn writer<'a>(group: &[Sibling<'a>], winner: Option<usize>) -> Sibling<'a> {
    let last = || {
        group
            .iter()
            .copied()
            .max_by_key(|sibling| (sibling.stamp, sibling.dot))
    };
    winner
        .and_then(|index| group.get(index).copied())
        .or_else(last)
        .expect("invariant: a group holds at least one sibling")
}

fn violation(
    law: Law,
    siblings: &[Sibling<'_>],
    again: &[Sibling<'_>],
    expected: Option<&[u8]>,
    found: Option<&[u8]>,
) -> Violation {
    let values = |siblings: &[Sibling<'_>]| {
        siblings
            .iter()
            .map(|sibling| sibling.value.to_vec())
            .collect()
    };
    let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
    Violation {
        law,
        siblings: values(siblings),
        again: values(again),
        expected: owned(expected),
        found: owned(found),
    }
}
