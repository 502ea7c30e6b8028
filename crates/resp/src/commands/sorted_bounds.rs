//! Which part of a sorted set is meant: by rank, by score, or by name.

use std::ops::Range;

use isles_replica::{Score, SortedSet};

use crate::call::integer;
use crate::double;
use crate::error::Failure;
use crate::reply::{Protocol, Reply};

/// What the two ends of a range say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Name,
}

/// A range with its ends read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span<'c> {
    Ranks(i64, i64),
    Scores(End<Score>, End<Score>),
    Names(NameEnd<'c>, NameEnd<'c>),
}

/// An end that is a value, which is part of the range or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<T> {
    value: T,
    exclusive: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum NameEnd<'c> {
    First,
    Name(End<&'c [u8]>),
    Last,
}

impl<'c> Span<'c> {
    pub(super) fn parse(by: By, min: &'c [u8], max: &'c [u8]) -> Result<Span<'c>, Failure> {
        Ok(match by {
            By::Rank => Span::Ranks(integer(min)?, integer(max)?),
            By::Score => Span::Scores(score_end(min)?, score_end(max)?),
            By::Name => Span::Names(name_end(min)?, name_end(max)?),
        })
    }

    /// The ranks that it means in a set. Those of names suppose that all scores are equal.
    pub(super) fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let (start, end) = match self {
            Span::Ranks(first, last) => return rank_range(*first, *last, set.len()),
            Span::Scores(min, max) => (
                set.partition_point(|score, _| {
                    score < min.value || (min.exclusive && score == min.value)
                }),
                set.partition_point(|score, _| {
                    score < max.value || (!max.exclusive && score == max.value)
                }),
            ),
            Span::Names(min, max) => (before(set, *min, false), before(set, *max, true)),
        };
        start..end.max(start)
    }
}

/// How many members come before an end; `with` tells whether one of that name does where the end includes it.
fn before(set: &SortedSet, end: NameEnd<'_>, with: bool) -> usize {
    match end {
        NameEnd::First => 0,
        NameEnd::Last => set.len(),
        NameEnd::Name(End { value, exclusive }) => {
            let inclusive = with != exclusive;
            set.partition_point(|_, name| name < value || (inclusive && name == value))
        }
    }
}

/// Ranks that count from the end where they are negative, as a range within `len`.
fn rank_range(first: i64, last: i64, len: usize) -> Range<usize> {
    let place = |rank: i64| match usize::try_from(rank) {
        Ok(rank) => Some(rank),
        Err(_) => len.checked_sub(usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let start = place(first).unwrap_or(0).min(len);
    let end = place(last)
        .map_or(0, |last| last.saturating_add(1))
        .min(len);
    start..end.max(start)
}

fn score_end(text: &[u8]) -> Result<End<Score>, Failure> {
    let (exclusive, number) = match text {
        [b'(', number @ ..] => (true, number),
        number => (false, number),
    };
    let value = double::parse_bound(double::as_c_reads(number));
    let value = value.and_then(|number| Score::try_from(number).ok());
    match value {
        Some(value) => Ok(End { value, exclusive }),
        None => Err(Failure::other("ERR min or max is not a float")),
    }
}

fn name_end(text: &[u8]) -> Result<NameEnd<'_>, Failure> {
    let name = |value, exclusive| Ok(NameEnd::Name(End { value, exclusive }));
    match text {
        b"-" => Ok(NameEnd::First),
        b"+" => Ok(NameEnd::Last),
        [b'(', value @ ..] => name(value, true),
        [b'[', value @ ..] => name(value, false),
        _ => Err(Failure::other("ERR min or max not valid string range item")),
    }
}

/// Members with their scores, taken out of a set.
pub(super) type Pairs = Vec<(Box<[u8]>, Score)>;

/// The same, as writes take them.
pub(super) fn borrowed(pairs: &Pairs) -> Vec<(&[u8], Score)> {
    pairs
        .iter()
        .map(|(name, score)| (&**name, *score))
        .collect()
}

/// Reads a score.
pub(super) fn score(text: &[u8]) -> Result<Score, Failure> {
    let number = double::parse(text).and_then(|number| Score::try_from(number).ok());
    number.ok_or(Failure::NotAFloat)
}

/// Whether an answer holds the scores as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Names,
    Pairs,
}

/// Answers with members; to RESP2 clients members and scores are one flat array.
pub(super) fn answer<'s>(
    reply: &mut Reply,
    members: impl ExactSizeIterator<Item = (&'s [u8], Score)>,
    show: Show,
) {
    let flat = show == Show::Pairs && reply.protocol == Protocol::Resp2;
    reply.array(members.len() * if flat { 2 } else { 1 });
    members.for_each(|(name, score)| element(reply, name, score, show));
}

/// One element of such an answer.
pub(super) fn element(reply: &mut Reply, name: &[u8], score: Score, show: Show) {
    if show == Show::Pairs && reply.protocol == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(name);
    if show == Show::Pairs {
        reply.double(score.get());
    }
}

/// As [`answer`], with each pair an array of its own to all clients.
pub(super) fn answer_nested<'s>(
    reply: &mut Reply,
    members: impl ExactSizeIterator<Item = (&'s [u8], Score)>,
) {
    reply.array(members.len());
    for (name, score) in members {
        reply.array(2);
        reply.bulk(name);
        reply.double(score.get());
    }
}

/// Arguments, and those after them.
pub(super) type Split<'c> = (&'c [&'c [u8]], &'c [&'c [u8]]);

/// How many keys the client says there are, and the arguments after them.
pub(super) fn counted_keys<'c>(count: &[u8], rest: &'c [&'c [u8]]) -> Result<Split<'c>, Failure> {
    let too_few = || Failure::other("ERR numkeys should be greater than 0");
    let count = integer(count)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(too_few)?;
    let count = usize::try_from(count).ok();
    let count = count.filter(|count| *count <= rest.len());
    Ok(rest.split_at(count.ok_or(Failure::Syntax)?))
}
