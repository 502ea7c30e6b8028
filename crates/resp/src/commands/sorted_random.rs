//! ZRANDMEMBER.

use std::collections::HashSet;

use isles_replica::SortedSet;

use super::set_random::{count_in_range, repeat, repeated_count};
use super::sorted_bounds::{Show, answer, element};
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::random::Random;
use crate::reply::{Protocol, Reply};

pub(super) fn zrandmember(call: &mut Call<'_, '_>) -> Outcome {
    let (count, show) = match *call.args {
        [_, key] => return one(call, key),
        [_, _, count] => (count_in_range(count)?, Show::Names),
        [_, _, count, word] if is(word, "WITHSCORES") => (count_in_range(count)?, Show::Pairs),
        _ => {
            count_in_range(call.args[2])?;
            return Err(Failure::Syntax);
        }
    };
    if show == Show::Pairs && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Failure::OutOfRange);
    }
    let bytes_max = call.surroundings.server.options.max_reply_bytes;
    let (reply, random) = (&mut *call.reply, &mut call.session.random);
    let Some(set) = call.txn.sorted_set(call.args[1])? else {
        reply.array(0);
        return Ok(());
    };
    match usize::try_from(count) {
        Ok(count) => distinct(set, count, show, random, reply),
        Err(_) => repeated(set, repeated_count(count)?, show, random, reply, bytes_max),
    }
    Ok(())
}

fn one(call: &mut Call<'_, '_>, key: &[u8]) -> Outcome {
    let set = call.txn.sorted_set(key)?;
    let picked = set.and_then(|set| {
        let rank = call.session.random.below(set.len());
        set.range(rank..rank + 1).next()
    });
    call.reply.bulk_or_null(picked.map(|(name, _)| name));
    Ok(())
}

/// Where fewer than one member in so many is wanted, picking and throwing away repetitions beats walking them all.
const SPARSE: usize = 4;

fn distinct(set: &SortedSet, count: usize, show: Show, random: &mut Random, reply: &mut Reply) {
    let len = set.len();
    if count < len / SPARSE {
        let mut ranks = HashSet::with_capacity(count);
        while ranks.len() < count {
            ranks.insert(random.below(len));
        }
        let picked = ranks.into_iter();
        let picked: Vec<_> = picked
            .filter_map(|rank| set.range(rank..rank + 1).next())
            .collect();
        return answer(reply, picked.into_iter(), show);
    }
    let mut members: Vec<_> = set.iter().collect();
    if count < len {
        random.choose(&mut members, count);
        members.truncate(count);
    }
    answer(reply, members.into_iter(), show);
}

fn repeated(
    set: &SortedSet,
    count: usize,
    show: Show,
    random: &mut Random,
    reply: &mut Reply,
    bytes_max: usize,
) {
    let flat = show == Show::Pairs && reply.protocol == Protocol::Resp2;
    reply.array(count * if flat { 2 } else { 1 });
    repeat(count, bytes_max, reply, |reply| {
        let rank = random.below(set.len());
        if let Some((name, score)) = set.range(rank..rank + 1).next() {
            element(reply, name, score, show);
        }
    });
}
