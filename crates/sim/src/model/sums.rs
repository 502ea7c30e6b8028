//! Numbers whose differences add up, by definition: what a version began with, and every difference that its writer and
//! those of all that it had observed have made, each by the entry that made it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use isles_clock::Dot;
use isles_replica::inspect::{KeyContent, Written};

use super::{KeyState, same};

/// What is known of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    base: i128,
    differences: BTreeMap<Dot, i128>,
}

impl Known {
    fn value(&self) -> i128 {
        self.base + self.differences.values().sum::<i128>()
    }
}

impl KeyState {
    /// Which versions know of differences, and what those make of what the number began with.
    pub(super) fn compare_sums(&self, content: &KeyContent) -> Result<(), String> {
        let expected = self.known.iter();
        let expected = expected.map(|(dot, known)| (*dot, Some(known.value().to_string())));
        let found = content.sums.iter();
        let found = found.map(|(dot, sums)| (*dot, sums.number_at("")));
        let (expected, found): (Vec<_>, Vec<_>) = (expected.collect(), found.collect());
        same("differences", &expected, &found)
    }
}

/// What the entry `dot` knows that writes `value` over these versions; none where it made or knows of no difference.
pub fn known_after<'v>(
    observed: impl Iterator<Item = &'v Written>,
    known: &BTreeMap<Dot, Known>,
    dot: Dot,
    value: &[u8],
) -> Option<Known> {
    let mut joined = join(observed, known)?;
    let difference = number(value)? - joined.value();
    if difference != 0 {
        joined.differences.insert(dot, difference);
    }
    (!joined.differences.is_empty()).then_some(joined)
}

/// What all versions know together; none unless all are numbers.
fn join<'v>(
    versions: impl Iterator<Item = &'v Written>,
    known: &BTreeMap<Dot, Known>,
) -> Option<Known> {
    let mut joined: Option<Known> = None;
    for (dot, _, value) in versions {
        let base = number(value)?;
        let own = known.get(dot).cloned().unwrap_or(Known {
            base,
            ..Known::default()
        });
        let joined = joined.get_or_insert_with(|| own.clone());
        joined.base = joined.base.max(own.base);
        joined.differences.extend(own.differences);
    }
    joined
}

/// What readers are told.
pub(super) fn read<'v>(
    versions: &'v [Written],
    known: &BTreeMap<Dot, Known>,
) -> Option<Cow<'v, [u8]>> {
    if let [(_, _, only)] = versions {
        return Some(Cow::Borrowed(only));
    }
    if let Some(joined) = join(versions.iter(), known) {
        return Some(Cow::Owned(joined.value().to_string().into_bytes()));
    }
    // What is no JSON wins, the greatest of it. Clients here write no JSON but numbers.
    let texts = versions.iter().map(|(_, _, value)| value);
    let others = texts.filter(|value| number(value).is_none());
    others.max().map(|value| Cow::Borrowed(&value[..]))
}

/// The integer that a text is, with space around it or not, as JSON has integers.
fn number(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\n']);
    let number: i128 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
