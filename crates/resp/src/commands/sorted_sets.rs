//! Commands on one sorted set.

use super::scan::zscan;
use super::sorted_add::{zadd, zincrby};
use super::sorted_algebra::{
    zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore,
};
use super::sorted_pop::{bzmpop, bzpopmax, bzpopmin, zmpop, zpopmax, zpopmin};
use super::sorted_random::zrandmember;
use super::sorted_range::{
    zcount, zlexcount, zrange, zrangebylex, zrangebyscore, zrangestore, zremrangebylex,
    zremrangebyrank, zremrangebyscore, zrevrange, zrevrangebylex, zrevrangebyscore,
};
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    sorted("bzmpop", -5, bzmpop, "Removes and returns a member by score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.").write().blocking().counted_keys(2),
    sorted("bzpopmax", -3, bzpopmax, "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member available otherwise.  Deletes the sorted set if the last element was popped.").write().fast().no_script().blocking().keys(1, -2, 1),
    sorted("bzpopmin", -3, bzpopmin, "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.").write().fast().no_script().blocking().keys(1, -2, 1),
    sorted("zadd", -4, zadd, "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.").write().fast().key(),
    sorted("zcard", 2, zcard, "Returns the number of members in a sorted set.").read().fast().key(),
    sorted("zcount", 4, zcount, "Returns the count of members in a sorted set that have scores within a range.").read().fast().key(),
    sorted("zdiff", -3, zdiff, "Returns the difference between multiple sorted sets.").read().long().counted_keys(1),
    sorted("zdiffstore", -4, zdiffstore, "Stores the difference of multiple sorted sets in a key.").write().long().stored_counted_keys(2),
    sorted("zincrby", 4, zincrby, "Increments the score of a member in a sorted set.").write().fast().key(),
    sorted("zinter", -3, zinter, "Returns the intersect of multiple sorted sets.").read().long().counted_keys(1),
    sorted("zintercard", -3, zintercard, "Returns the number of members of the intersect of multiple sorted sets.").read().long().counted_keys(1),
    sorted("zinterstore", -4, zinterstore, "Stores the intersect of multiple sorted sets in a key.").write().long().stored_counted_keys(2),
    sorted("zlexcount", 4, zlexcount, "Returns the number of members in a sorted set within a lexicographical range.").read().fast().key(),
    sorted("zmpop", -4, zmpop, "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set if the last member was popped.").write().counted_keys(1),
    sorted("zmscore", -3, zmscore, "Returns the score of one or more members in a sorted set.").read().fast().key(),
    sorted("zpopmax", -2, zpopmax, "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.").write().fast().key(),
    sorted("zpopmin", -2, zpopmin, "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.").write().fast().key(),
    sorted("zrandmember", -2, zrandmember, "Returns one or more random members from a sorted set.").read().long().key(),
    sorted("zrange", -4, zrange, "Returns members in a sorted set within a range of indexes.").read().long().key(),
    sorted("zrangebylex", -4, zrangebylex, "Returns members in a sorted set within a lexicographical range.").read().long().key(),
    sorted("zrangebyscore", -4, zrangebyscore, "Returns members in a sorted set within a range of scores.").read().long().key(),
    sorted("zrangestore", -5, zrangestore, "Stores a range of members from sorted set in a key.").write().long().keys(1, 2, 1),
    sorted("zrank", -3, zrank, "Returns the index of a member in a sorted set ordered by ascending scores.").read().fast().key(),
    sorted("zrem", -3, zrem, "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.").write().fast().key(),
    sorted("zremrangebylex", 4, zremrangebylex, "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed.").write().long().key(),
    sorted("zremrangebyrank", 4, zremrangebyrank, "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed.").write().long().key(),
    sorted("zremrangebyscore", 4, zremrangebyscore, "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed.").write().long().key(),
    sorted("zrevrange", -4, zrevrange, "Returns members in a sorted set within a range of indexes in reverse order.").read().long().key(),
    sorted("zrevrangebylex", -4, zrevrangebylex, "Returns members in a sorted set within a lexicographical range in reverse order.").read().long().key(),
    sorted("zrevrangebyscore", -4, zrevrangebyscore, "Returns members in a sorted set within a range of scores in reverse order.").read().long().key(),
    sorted("zrevrank", -3, zrevrank, "Returns the index of a member in a sorted set ordered by descending scores.").read().fast().key(),
    sorted("zscan", -3, zscan, "Iterates over members and scores of a sorted set.").read().long().key(),
    sorted("zscore", 3, zscore, "Returns the score of a member in a sorted set.").read().fast().key(),
    sorted("zunion", -3, zunion, "Returns the union of multiple sorted sets.").read().long().counted_keys(1),
    sorted("zunionstore", -4, zunionstore, "Stores the union of multiple sorted sets in a key.").write().long().stored_counted_keys(2),
];

const fn sorted(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::SortedSets, name, arity, Run::Data(run), summary)
}

fn zcard(call: &mut Call<'_, '_>) -> Outcome {
    let set = call.txn.sorted_set(call.args[1])?;
    call.reply.count(set.map_or(0, |set| set.len()));
    Ok(())
}

fn zrem(call: &mut Call<'_, '_>) -> Outcome {
    let removed = call.txn.sorted_set_remove(call.args[1], &call.args[2..])?;
    call.reply.count(removed);
    Ok(())
}

fn zscore(call: &mut Call<'_, '_>) -> Outcome {
    let set = call.txn.sorted_set(call.args[1])?;
    match set.and_then(|set| set.score(call.args[2])) {
        Some(score) => call.reply.double(score.get()),
        None => call.reply.null(),
    }
    Ok(())
}

fn zmscore(call: &mut Call<'_, '_>) -> Outcome {
    let members = &call.args[2..];
    let set = call.txn.sorted_set(call.args[1])?;
    call.reply.array(members.len());
    for member in members {
        match set.and_then(|set| set.score(member)) {
            Some(score) => call.reply.double(score.get()),
            None => call.reply.null(),
        }
    }
    Ok(())
}

fn zrank(call: &mut Call<'_, '_>) -> Outcome {
    rank(call, |rank, _| rank)
}

fn zrevrank(call: &mut Call<'_, '_>) -> Outcome {
    rank(call, |rank, len| len - 1 - rank)
}

fn rank(call: &mut Call<'_, '_>, counted: fn(usize, usize) -> usize) -> Outcome {
    let (key, member) = (call.args[1], call.args[2]);
    let with_score = match call.args[3..] {
        [] => false,
        [word] if is(word, "WITHSCORE") => true,
        _ => return Err(Failure::Syntax),
    };
    let set = call.txn.sorted_set(key)?;
    let found = set.and_then(|set| {
        let rank = counted(set.rank(member)?, set.len());
        Some((rank, set.score(member)?))
    });
    match (found, with_score) {
        (Some((rank, _)), false) => call.reply.count(rank),
        (Some((rank, score)), true) => {
            call.reply.array(2);
            call.reply.count(rank);
            call.reply.double(score.get());
        }
        (None, false) => call.reply.null(),
        (None, true) => call.reply.null_array(),
    }
    Ok(())
}
