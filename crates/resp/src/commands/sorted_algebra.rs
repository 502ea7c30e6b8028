//! Commands on several sorted sets: intersection, union, difference. Plain sets count as sorted sets of scores 1.

use std::collections::HashMap;
use std::ops::ControlFlow;

use isles_replica::{Score, SortedSet, Txn, ValueType, WrongType};

use super::sorted_bounds::{Pairs, Show, answer, borrowed, counted_keys};
use crate::call::{Call, integer, is};
use crate::double;
use crate::error::{Failure, Outcome};

/// Which members of the inputs are in the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// How the scores of one member become one.
#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Sum,
    Least,
    Greatest,
}

/// A sorted set or a plain one. Nothing is written before all inputs have been read.
struct Input<'c> {
    key: &'c [u8],
    is_plain: bool,
    len: usize,
    weight: f64,
}

const PLAIN_SCORE: f64 = 1.0;

impl Aggregate {
    fn of(self, left: f64, right: f64) -> f64 {
        match self {
            // Infinity and minus infinity make zero, as in Redis.
            Aggregate::Sum => number(left + right),
            Aggregate::Least => left.min(right),
            Aggregate::Greatest => left.max(right),
        }
    }
}

/// What stands for a result that is not a number.
fn number(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

impl<'c> Input<'c> {
    fn find(txn: &mut Txn<'_>, key: &'c [u8]) -> Result<Input<'c>, Failure> {
        let is_plain = txn.value_type(key) == Some(ValueType::Set);
        let len = match is_plain {
            true => txn.set_len(key)?,
            false => txn.sorted_set(key)?.map_or(0, SortedSet::len),
        };
        Ok(Input {
            key,
            is_plain,
            len,
            weight: 1.0,
        })
    }

    fn each(&self, txn: &mut Txn<'_>, each: &mut dyn FnMut(&[u8], f64)) -> Result<(), WrongType> {
        if self.is_plain {
            let score = number(self.weight * PLAIN_SCORE);
            return txn.set_members(self.key, &mut |name| {
                each(name, score);
                ControlFlow::Continue(())
            });
        }
        let set = txn.sorted_set(self.key)?.into_iter();
        let members = set.flat_map(SortedSet::iter);
        members.for_each(|(name, score)| each(name, number(self.weight * score.get())));
        Ok(())
    }

    fn scores(&self, txn: &mut Txn<'_>) -> Result<Scores, WrongType> {
        let mut scores = Scores::with_capacity(self.len);
        self.each(txn, &mut |name, score| scores.push((name.into(), score)))?;
        Ok(scores)
    }

    fn score(&self, txn: &mut Txn<'_>, name: &[u8]) -> Result<Option<f64>, WrongType> {
        let score = match self.is_plain {
            true => txn.set_contains(self.key, name)?.then_some(PLAIN_SCORE),
            false => {
                let set = txn.sorted_set(self.key)?;
                set.and_then(|set| set.score(name)).map(Score::get)
            }
        };
        Ok(score.map(|score| number(self.weight * score)))
    }
}

pub(super) fn zunion(call: &mut Call<'_, '_>) -> Outcome {
    show(call, Operation::Union, "zunion")
}

pub(super) fn zinter(call: &mut Call<'_, '_>) -> Outcome {
    show(call, Operation::Intersection, "zinter")
}

pub(super) fn zdiff(call: &mut Call<'_, '_>) -> Outcome {
    show(call, Operation::Difference, "zdiff")
}

pub(super) fn zunionstore(call: &mut Call<'_, '_>) -> Outcome {
    store(call, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(call: &mut Call<'_, '_>) -> Outcome {
    store(call, Operation::Intersection, "zinterstore")
}

pub(super) fn zdiffstore(call: &mut Call<'_, '_>) -> Outcome {
    store(call, Operation::Difference, "zdiffstore")
}

fn show(call: &mut Call<'_, '_>, operation: Operation, name: &str) -> Outcome {
    let (mut inputs, rest) = inputs(call.txn, &call.args[1..], name)?;
    let (aggregate, show) = options(&mut inputs, rest, operation, true)?;
    let mut pairs = combine(call.txn, inputs, operation, aggregate)?;
    pairs.sort_unstable_by(|left, right| (left.1, &left.0).cmp(&(right.1, &right.0)));
    let members = pairs.iter().map(|(name, score)| (&**name, *score));
    answer(call.reply, members, show);
    Ok(())
}

fn store(call: &mut Call<'_, '_>, operation: Operation, name: &str) -> Outcome {
    let (mut inputs, rest) = inputs(call.txn, &call.args[2..], name)?;
    let (aggregate, _) = options(&mut inputs, rest, operation, false)?;
    let pairs = combine(call.txn, inputs, operation, aggregate)?;
    call.txn.sorted_set_replace(call.args[1], &borrowed(&pairs));
    call.reply.count(pairs.len());
    Ok(())
}

pub(super) fn zintercard(call: &mut Call<'_, '_>) -> Outcome {
    let (inputs, rest) = inputs(call.txn, &call.args[1..], "zintercard")?;
    let limit = match *rest {
        [] => 0,
        [word, limit] if is(word, "LIMIT") => {
            let limit = integer(limit)
                .ok()
                .and_then(|limit| usize::try_from(limit).ok());
            limit.ok_or_else(|| Failure::other("ERR LIMIT can't be negative"))?
        }
        _ => return Err(Failure::Syntax),
    };
    let common = combine(call.txn, inputs, Operation::Intersection, Aggregate::Least)?.len();
    call.reply.count(if limit == 0 {
        common
    } else {
        common.min(limit)
    });
    Ok(())
}

/// Reads how many inputs there are, and the inputs; returns what follows.
fn inputs<'c>(
    txn: &mut Txn<'_>,
    args: &'c [&'c [u8]],
    command: &str,
) -> Result<(Vec<Input<'c>>, &'c [&'c [u8]]), Failure> {
    let count = integer(args[0])?;
    if count < 1 {
        return Err(Failure::other(format!(
            "ERR at least 1 input key is needed for '{command}' command"
        )));
    }
    let (keys, rest) = counted_keys(args[0], &args[1..])?;
    Ok((read(txn, keys)?, rest))
}

fn read<'c>(txn: &mut Txn<'_>, keys: &[&'c [u8]]) -> Result<Vec<Input<'c>>, Failure> {
    keys.iter().map(|key| Input::find(txn, key)).collect()
}

/// Reads the words after the inputs; weights go to them.
fn options(
    inputs: &mut [Input<'_>],
    words: &[&[u8]],
    operation: Operation,
    may_show: bool,
) -> Result<(Aggregate, Show), Failure> {
    let combines = operation != Operation::Difference;
    let (mut aggregate, mut show) = (Aggregate::Sum, Show::Names);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if combines && is(word, "WEIGHTS") && rest.len() >= inputs.len() {
            for (input, weight) in inputs.iter_mut().zip(rest.by_ref()) {
                let refusal = || Failure::other("ERR weight value is not a float");
                input.weight = double::parse(weight).ok_or_else(refusal)?;
            }
        } else if combines && is(word, "AGGREGATE") {
            aggregate = match rest.next() {
                Some(word) if is(word, "SUM") => Aggregate::Sum,
                Some(word) if is(word, "MIN") => Aggregate::Least,
                Some(word) if is(word, "MAX") => Aggregate::Greatest,
                _ => return Err(Failure::Syntax),
            };
        } else if may_show && is(word, "WITHSCORES") {
            show = Show::Pairs;
        } else {
            return Err(Failure::Syntax);
        }
    }
    Ok((aggregate, show))
}

fn combine(
    txn: &mut Txn<'_>,
    mut inputs: Vec<Input<'_>>,
    operation: Operation,
    aggregate: Aggregate,
) -> Result<Pairs, Failure> {
    if operation != Operation::Difference {
        // The smallest first: an intersection walks only that one.
        inputs.sort_by_key(|input| input.len);
    }
    let scores = match operation {
        Operation::Union => union(txn, &inputs, aggregate),
        Operation::Intersection => intersection(txn, &inputs, aggregate),
        Operation::Difference => difference(txn, &inputs),
    };
    let score = |value| Score::try_from(value).unwrap_or(Score::ZERO);
    let scores = scores?.into_iter();
    Ok(scores.map(|(name, value)| (name, score(value))).collect())
}

type Scores = Vec<(Box<[u8]>, f64)>;

fn union(
    txn: &mut Txn<'_>,
    inputs: &[Input<'_>],
    aggregate: Aggregate,
) -> Result<Scores, WrongType> {
    let mut scores: HashMap<Box<[u8]>, f64> = HashMap::new();
    for input in inputs {
        input.each(txn, &mut |name, score| match scores.get_mut(name) {
            Some(sum) => *sum = aggregate.of(*sum, score),
            None => _ = scores.insert(name.into(), score),
        })?;
    }
    Ok(scores.into_iter().collect())
}

fn intersection(
    txn: &mut Txn<'_>,
    inputs: &[Input<'_>],
    aggregate: Aggregate,
) -> Result<Scores, WrongType> {
    let Some((smallest, others)) = inputs.split_first() else {
        return Ok(Scores::new());
    };
    let mut scores = smallest.scores(txn)?;
    for other in others {
        let mut common = Scores::with_capacity(scores.len());
        for (name, sum) in scores {
            if let Some(score) = other.score(txn, &name)? {
                common.push((name, aggregate.of(sum, score)));
            }
        }
        scores = common;
    }
    Ok(scores)
}

/// The members of the first input that no other has, with their scores.
fn difference(txn: &mut Txn<'_>, inputs: &[Input<'_>]) -> Result<Scores, WrongType> {
    let Some((first, others)) = inputs.split_first() else {
        return Ok(Scores::new());
    };
    let mut scores = first.scores(txn)?;
    for other in others {
        let mut rest = Scores::with_capacity(scores.len());
        for (name, score) in scores {
            if other.score(txn, &name)?.is_none() {
                rest.push((name, score));
            }
        }
        scores = rest;
    }
    Ok(scores)
}
