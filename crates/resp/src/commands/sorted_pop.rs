//! ZPOPMIN, ZPOPMAX and ZMPOP, and the same waiting for a member.

use isles_replica::{Score, SortedSet, Txn, ValueType};

use super::list_blocking::timeout;
use super::sorted_bounds::{Pairs, Show, answer, answer_nested, counted_keys};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::reply::Protocol;

/// From which end members are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pop {
    Least,
    Greatest,
}

impl Pop {
    fn parse(word: &[u8]) -> Result<Pop, Failure> {
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
fn pop(txn: &mut Txn<'_>, key: &[u8], pop: Pop, count: usize) -> Result<Pairs, Failure> {
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

/// A pop from the first of several keys that has members.
struct ManyPop<'c> {
    keys: &'c [&'c [u8]],
    end: Pop,
    count: usize,
}

impl<'c> ManyPop<'c> {
    /// Reads the arguments from the number of keys on.
    fn parse(args: &'c [&'c [u8]]) -> Result<ManyPop<'c>, Failure> {
        let (keys, rest) = counted_keys(args[0], &args[1..])?;
        let (end, rest) = rest.split_first().ok_or(Failure::Syntax)?;
        let end = Pop::parse(end)?;
        let count = match *rest {
            [] => 1,
            [word, count] if is(word, "COUNT") => {
                let count = integer(count).ok();
                let count = count.and_then(|count| usize::try_from(count).ok());
                let refusal = || Failure::other("ERR count should be greater than 0");
                count.filter(|count| *count > 0).ok_or_else(refusal)?
            }
            _ => return Err(Failure::Syntax),
        };
        Ok(ManyPop { keys, end, count })
    }

    /// Pops, and answers; whether there was anything.
    fn run(&self, call: &mut Call<'_, '_>) -> Result<bool, Failure> {
        let Some((key, popped)) = pop_first(call, self.keys, self.end, self.count)? else {
            call.reply.null_array();
            return Ok(false);
        };
        call.reply.array(2);
        call.reply.bulk(key);
        let members = popped.iter().map(|(name, score)| (&**name, *score));
        answer_nested(call.reply, members);
        Ok(true)
    }
}

/// Pops from the first key that has members.
fn pop_first<'c>(
    call: &mut Call<'_, '_>,
    keys: &[&'c [u8]],
    end: Pop,
    count: usize,
) -> Result<Option<(&'c [u8], Pairs)>, Failure> {
    for key in keys {
        if !call.looks_at(key) {
            continue;
        }
        let popped = pop(call.txn, key, end, count)?;
        if !popped.is_empty() {
            return Ok(Some((key, popped)));
        }
    }
    Ok(None)
}

pub(super) fn zmpop(call: &mut Call<'_, '_>) -> Outcome {
    ManyPop::parse(&call.args[1..])?.run(call)?;
    Ok(())
}

pub(super) fn bzmpop(call: &mut Call<'_, '_>) -> Outcome {
    let timeout = timeout(call.args[1])?;
    let args = call.args;
    let pop = ManyPop::parse(&args[2..])?;
    if !pop.run(call)? {
        call.wait(pop.keys, ValueType::SortedSet, timeout);
    }
    Ok(())
}

pub(super) fn bzpopmin(call: &mut Call<'_, '_>) -> Outcome {
    wait_to_pop(call, Pop::Least)
}

pub(super) fn bzpopmax(call: &mut Call<'_, '_>) -> Outcome {
    wait_to_pop(call, Pop::Greatest)
}

fn wait_to_pop(call: &mut Call<'_, '_>, end: Pop) -> Outcome {
    let last = call.args.len() - 1;
    let (keys, timeout) = (&call.args[1..last], timeout(call.args[last])?);
    let Some((key, popped)) = pop_first(call, keys, end, 1)? else {
        call.reply.null_array();
        call.wait(keys, ValueType::SortedSet, timeout);
        return Ok(());
    };
    call.reply.array(1 + 2 * popped.len());
    call.reply.bulk(key);
    for (name, score) in &popped {
        call.reply.bulk(name);
        call.reply.double(score.get());
    }
    Ok(())
}
