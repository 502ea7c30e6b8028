//! Commands on several sets: intersection, union, difference.

use std::collections::HashSet;
use std::ops::ControlFlow;

use isles_replica::Txn;

use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};

type Members = Vec<Box<[u8]>>;
type Operation = fn(&mut Txn<'_>, &[&[u8]]) -> Result<Members, Failure>;

pub(super) fn sinter(call: &mut Call<'_, '_>) -> Outcome {
    answer(call, intersection)
}

pub(super) fn sunion(call: &mut Call<'_, '_>) -> Outcome {
    answer(call, union)
}

pub(super) fn sdiff(call: &mut Call<'_, '_>) -> Outcome {
    answer(call, difference)
}

pub(super) fn sinterstore(call: &mut Call<'_, '_>) -> Outcome {
    store(call, intersection)
}

pub(super) fn sunionstore(call: &mut Call<'_, '_>) -> Outcome {
    store(call, union)
}

pub(super) fn sdiffstore(call: &mut Call<'_, '_>) -> Outcome {
    store(call, difference)
}

fn answer(call: &mut Call<'_, '_>, operation: Operation) -> Outcome {
    let members = operation(call.txn, &call.args[1..])?;
    call.reply.set(members.len());
    members.iter().for_each(|member| call.reply.bulk(member));
    Ok(())
}

fn store(call: &mut Call<'_, '_>, operation: Operation) -> Outcome {
    let members = operation(call.txn, &call.args[2..])?;
    let borrowed: Vec<&[u8]> = members.iter().map(|member| &**member).collect();
    call.txn.set_replace(call.args[1], &borrowed);
    call.reply.count(members.len());
    Ok(())
}

pub(super) fn sintercard(call: &mut Call<'_, '_>) -> Outcome {
    let (keys, limit) = counted_keys(call.args)?;
    let common = intersection(call.txn, keys)?.len();
    call.reply.count(common.min(limit));
    Ok(())
}

fn counted_keys<'c>(args: &'c [&'c [u8]]) -> Result<(&'c [&'c [u8]], usize), Failure> {
    let too_few = || Failure::other("ERR numkeys should be greater than 0");
    let count = integer(args[1])
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(too_few)?;
    let rest = &args[2..];
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= rest.len());
    let count = count
        .ok_or_else(|| Failure::other("ERR Number of keys can't be greater than number of args"))?;
    let (keys, options) = rest.split_at(count);
    let mut limit = 0;
    // As in Redis the last of several limits counts.
    for option in options.chunks(2) {
        let [word, number] = *option else {
            return Err(Failure::Syntax);
        };
        if !is(word, "LIMIT") {
            return Err(Failure::Syntax);
        }
        limit = integer(number)
            .ok()
            .and_then(|limit| usize::try_from(limit).ok())
            .ok_or_else(|| Failure::other("ERR LIMIT can't be negative"))?;
    }
    Ok((keys, if limit == 0 { usize::MAX } else { limit }))
}

/// The members of the smallest set that all others have.
fn intersection(txn: &mut Txn<'_>, keys: &[&[u8]]) -> Result<Members, Failure> {
    let mut sizes = Vec::with_capacity(keys.len());
    for key in keys {
        sizes.push((txn.set_len(key)?, *key));
    }
    sizes.sort_unstable_by_key(|(size, _)| *size);
    let (smallest, others) = sizes
        .split_first()
        .expect("the table asks for at least one key");
    let mut members = if smallest.0 == 0 {
        Vec::new()
    } else {
        members(txn, smallest.1)?
    };
    for (_, other) in others {
        retain(&mut members, |member| txn.set_contains(other, member))?;
    }
    Ok(members)
}

fn union(txn: &mut Txn<'_>, keys: &[&[u8]]) -> Result<Members, Failure> {
    let mut all: HashSet<Box<[u8]>> = HashSet::new();
    for key in keys {
        txn.set_members(key, &mut |member| {
            if !all.contains(member) {
                all.insert(member.into());
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(all.into_iter().collect())
}

/// The members of the first set that no other has.
fn difference(txn: &mut Txn<'_>, keys: &[&[u8]]) -> Result<Members, Failure> {
    let (first, others) = keys
        .split_first()
        .expect("the table asks for at least one key");
    let mut members = members(txn, first)?;
    for other in others {
        // The type is checked also where no member is left to look for.
        txn.set_len(other)?;
        retain(&mut members, |member| {
            txn.set_contains(other, member).map(|found| !found)
        })?;
    }
    Ok(members)
}

fn members(txn: &mut Txn<'_>, key: &[u8]) -> Result<Members, Failure> {
    let mut members = Vec::with_capacity(txn.set_len(key)?);
    txn.set_members(key, &mut |member| {
        members.push(member.into());
        ControlFlow::Continue(())
    })?;
    Ok(members)
}

fn retain<E: Into<Failure>>(
    members: &mut Members,
    mut keep: impl FnMut(&[u8]) -> Result<bool, E>,
) -> Outcome {
    let mut failure = None;
    members.retain(|member| match keep(member) {
        Ok(keep) => keep,
        Err(error) => {
            failure = Some(error);
            true
        }
    });
    failure.map_or(Ok(()), |error| Err(error.into()))
}
