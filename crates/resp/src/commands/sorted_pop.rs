//! ZPOPMIN, ZPOPMAX and ZMPOP.

use isles_replica::{Score, SortedSet, Txn};

use super::sorted_bounds::{Pairs, Show, answer, answer_nested, check_type, counted_keys};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::reply::Protocol;

/// From which end members are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pop {
    Least,
    Greatest,
}

impl Pop {
    pub(super) fn parse(word: &[u8]) -> Result<Pop, Failure> {
        if is(word, "MIN") {
            Ok(Pop::Least)
        } else if is(word, "MAX") {
            Ok(Pop::Greatest)
        } else {
            Err(Failure::Syntax)
        }
    }

    fn members(self, set: &SortedSet, count: usize) -> Pairs {
        let (len, count) = (set.len(), count.min(set.len()));
        let owned = |(name, score): (&[u8], Score)| (name.into(), score);
        match self {
            Pop::Least => set.range(0..count).map(owned).collect(),
            Pop::Greatest => {
                let mut members: Pairs = set.range(len - count..len).map(owned).collect();
                members.reverse();
                members
            }
        }
    }
}

/// Takes up to `count` members out of a set.
pub(super) fn pop(txn: &mut Txn<'_>, key: &[u8], pop: Pop, count: usize) -> Result<Pairs, Failure> {
    let set = txn.sorted_set(key)?;
    let popped = set.map_or_else(Vec::new, |set| pop.members(set, count));
    let names: Vec<&[u8]> = popped.iter().map(|(name, _)| &**name).collect();
    txn.sorted_set_remove(key, &names)?;
    Ok(popped)
}

pub(super) fn zpopmin(call: &mut Call<'_, '_>) -> Outcome {
    pop_one_key(call, Pop::Least)
}

pub(super) fn zpopmax(call: &mut Call<'_, '_>) -> Outcome {
    pop_one_key(call, Pop::Greatest)
}

fn pop_one_key(call: &mut Call<'_, '_>, end: Pop) -> Outcome {
    let key = call.args[1];
    let count = match call.args[2..] {
        [] => 1,
        [count] => {
            let count = integer(count)
                .ok()
                .and_then(|count| usize::try_from(count).ok());
            count.ok_or(Failure::NotPositive)?
        }
        _ => return Err(Failure::Syntax),
    };
    let popped = pop(call.txn, key, end, count)?;
    let members = popped.iter().map(|(name, score)| (&**name, *score));
    // Without a count the one pair is not an array in an array.
    if call.args.len() == 2 && call.reply.protocol == Protocol::Resp3 {
        call.reply.array(2 * popped.len());
        for (name, score) in members {
            call.reply.bulk(name);
            call.reply.double(score.get());
        }
    } else {
        answer(call.reply, members, Show::Pairs);
    }
    Ok(())
}

pub(super) fn zmpop(call: &mut Call<'_, '_>) -> Outcome {
    let (keys, rest) = counted_keys(call.args[1], &call.args[2..])?;
    let (end, count) = end_and_count(rest)?;
    if !pop_first(call, keys, end, count)? {
        call.reply.null_array();
    }
    Ok(())
}

/// Reads MIN or MAX, and how many.
fn end_and_count(words: &[&[u8]]) -> Result<(Pop, usize), Failure> {
    let (end, rest) = words.split_first().ok_or(Failure::Syntax)?;
    let end = Pop::parse(end)?;
    match *rest {
        [] => Ok((end, 1)),
        [word, count] if is(word, "COUNT") => {
            let count = integer(count)
                .ok()
                .and_then(|count| usize::try_from(count).ok());
            let count = count.filter(|count| *count > 0);
            let refusal = || Failure::other("ERR count should be greater than 0");
            Ok((end, count.ok_or_else(refusal)?))
        }
        _ => Err(Failure::Syntax),
    }
}

/// Pops from the first key that has members and answers with it; whether there was one.
fn pop_first(
    call: &mut Call<'_, '_>,
    keys: &[&[u8]],
    end: Pop,
    count: usize,
) -> Result<bool, Failure> {
    for key in keys {
        check_type(call, key)?;
        let popped = pop(call.txn, key, end, count)?;
        if popped.is_empty() {
            continue;
        }
        call.reply.array(2);
        call.reply.bulk(key);
        let members = popped.iter().map(|(name, score)| (&**name, *score));
        answer_nested(call.reply, members);
        return Ok(true);
    }
    Ok(false)
}
