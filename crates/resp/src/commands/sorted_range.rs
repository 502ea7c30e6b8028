//! ZRANGE and its family: what lies in a part of a sorted set, counting it, removing it.

use std::ops::Range;

use isles_replica::{Score, SortedSet};

use super::sorted_bounds::{By, Pairs, Show, Span, answer, borrowed};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};

/// What a command of the family asks for.
#[derive(Clone, Copy, Debug)]
struct Query<'c> {
    source: &'c [u8],
    span: Span<'c>,
    reverse: bool,
    offset: i64,
    /// None for all.
    limit: Option<usize>,
    show: Show,
}

/// Which words a command of the family takes after its range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// ZRANGE: how the range is meant, and scores.
    Any,
    /// ZRANGESTORE: how the range is meant.
    Meaning,
    /// The older commands, whose names say how the range is meant.
    Named { by: By, reverse: bool },
}

impl<'c> Query<'c> {
    fn parse(args: &[&'c [u8]], words: Words) -> Result<Query<'c>, Failure> {
        let [source, min, max, rest @ ..] = args else {
            return Err(Failure::Syntax);
        };
        let (mut by, mut reverse) = match words {
            Words::Named { by, reverse } => (Some(by), reverse),
            _ => (None, false),
        };
        let (mut limits, mut show) = (None, Show::Names);
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            let free = by.is_none();
            if is(word, "WITHSCORES") && words != Words::Meaning {
                show = Show::Pairs;
            } else if is(word, "LIMIT") && rest.len() >= 2 {
                let mut number = || integer(rest.next().ok_or(Failure::Syntax)?);
                limits = Some((number()?, number()?));
            } else if is(word, "REV") && !reverse && !matches!(words, Words::Named { .. }) {
                reverse = true;
            } else if is(word, "BYSCORE") && free {
                by = Some(By::Score);
            } else if is(word, "BYLEX") && free {
                by = Some(By::Name);
            } else {
                return Err(Failure::Syntax);
            }
        }
        let by = by.unwrap_or(By::Rank);
        check(by, limits, show)?;
        let (min, max) = if reverse && by != By::Rank {
            (max, min)
        } else {
            (min, max)
        };
        let (offset, limit) = limits.unwrap_or((0, -1));
        Ok(Query {
            source,
            span: Span::parse(by, min, max)?,
            reverse,
            offset,
            limit: usize::try_from(limit).ok(),
            show,
        })
    }

    /// The ranks that it asks for, in ascending order.
    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let all = self.span.ranks(set);
        if let Span::Ranks(..) = self.span {
            let len = set.len();
            return match self.reverse {
                true => len - all.end..len - all.start,
                false => all,
            };
        }
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let skipped = offset.min(all.len());
        let taken = self.limit.unwrap_or(usize::MAX).min(all.len() - skipped);
        match self.reverse {
            true => all.end - skipped - taken..all.end - skipped,
            false => all.start + skipped..all.start + skipped + taken,
        }
    }

    fn members<'s>(&self, set: &'s SortedSet) -> Vec<(&'s [u8], Score)> {
        let mut members: Vec<_> = set.range(self.ranks(set)).collect();
        if self.reverse {
            members.reverse();
        }
        members
    }
}

fn check(by: By, limits: Option<(i64, i64)>, show: Show) -> Outcome {
    if limits.is_some_and(|(_, limit)| limit != -1) && by == By::Rank {
        return Err(Failure::other(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    if show == Show::Pairs && by == By::Name {
        return Err(Failure::other(
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ));
    }
    Ok(())
}

fn range(call: &mut Call<'_, '_>, words: Words) -> Outcome {
    let query = Query::parse(&call.args[1..], words)?;
    match call.txn.sorted_set(query.source)? {
        Some(set) => answer(call.reply, query.members(set).into_iter(), query.show),
        None => call.reply.array(0),
    }
    Ok(())
}

pub(super) fn zrange(call: &mut Call<'_, '_>) -> Outcome {
    range(call, Words::Any)
}

pub(super) fn zrevrange(call: &mut Call<'_, '_>) -> Outcome {
    range(call, named(By::Rank, true))
}

pub(super) fn zrangebyscore(call: &mut Call<'_, '_>) -> Outcome {
    range(call, named(By::Score, false))
}

pub(super) fn zrevrangebyscore(call: &mut Call<'_, '_>) -> Outcome {
    range(call, named(By::Score, true))
}

pub(super) fn zrangebylex(call: &mut Call<'_, '_>) -> Outcome {
    range(call, named(By::Name, false))
}

pub(super) fn zrevrangebylex(call: &mut Call<'_, '_>) -> Outcome {
    range(call, named(By::Name, true))
}

const fn named(by: By, reverse: bool) -> Words {
    Words::Named { by, reverse }
}

pub(super) fn zrangestore(call: &mut Call<'_, '_>) -> Outcome {
    let query = Query::parse(&call.args[2..], Words::Meaning)?;
    let set = call.txn.sorted_set(query.source)?;
    let members = set.map_or_else(Vec::new, |set| query.members(set));
    let owned = members.into_iter();
    let pairs: Pairs = owned.map(|(name, score)| (name.into(), score)).collect();
    call.txn.sorted_set_replace(call.args[1], &borrowed(&pairs));
    call.reply.count(pairs.len());
    Ok(())
}

pub(super) fn zcount(call: &mut Call<'_, '_>) -> Outcome {
    count(call, By::Score)
}

pub(super) fn zlexcount(call: &mut Call<'_, '_>) -> Outcome {
    count(call, By::Name)
}

fn count(call: &mut Call<'_, '_>, by: By) -> Outcome {
    let span = Span::parse(by, call.args[2], call.args[3])?;
    let set = call.txn.sorted_set(call.args[1])?;
    let count = set.map_or(0, |set| span.ranks(set).len());
    call.reply.count(count);
    Ok(())
}

pub(super) fn zremrangebyrank(call: &mut Call<'_, '_>) -> Outcome {
    remove(call, By::Rank)
}

pub(super) fn zremrangebyscore(call: &mut Call<'_, '_>) -> Outcome {
    remove(call, By::Score)
}

pub(super) fn zremrangebylex(call: &mut Call<'_, '_>) -> Outcome {
    remove(call, By::Name)
}

fn remove(call: &mut Call<'_, '_>, by: By) -> Outcome {
    let span = Span::parse(by, call.args[2], call.args[3])?;
    let key = call.args[1];
    let ranks = call.txn.sorted_set(key)?.map(|set| span.ranks(set));
    let ranks = ranks.unwrap_or_default();
    let removed = call.txn.sorted_set_remove_ranks(key, ranks)?;
    call.reply.count(removed);
    Ok(())
}
