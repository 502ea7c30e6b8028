//! Commands on one hash.

use std::ops::ControlFlow;

use isles_replica::IncrementError;

use super::hash_random::hrandfield;
use super::scan::hscan;
use crate::call::{Call, integer};
use crate::decimal::Number;
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    hash(
        "hdel",
        -3,
        hdel,
        "Deletes one or more fields and their values from a hash.",
    )
    .write()
    .fast()
    .key(),
    hash(
        "hexists",
        3,
        hexists,
        "Determines whether a field exists in a hash.",
    )
    .read()
    .fast()
    .key(),
    hash("hget", 3, hget, "Returns the value of a field in a hash.")
        .read()
        .fast()
        .key(),
    hash(
        "hgetall",
        2,
        hgetall,
        "Returns all fields and values in a hash.",
    )
    .read()
    .long()
    .key(),
    hash(
        "hincrby",
        4,
        hincrby,
        "Increments the integer value of a field in a hash by a number.",
    )
    .write()
    .fast()
    .key(),
    hash(
        "hincrbyfloat",
        4,
        hincrbyfloat,
        "Increments the floating point value of a field by a number.",
    )
    .write()
    .fast()
    .key(),
    hash("hkeys", 2, hkeys, "Returns all fields in a hash.")
        .read()
        .long()
        .key(),
    hash("hlen", 2, hlen, "Returns the number of fields in a hash.")
        .read()
        .fast()
        .key(),
    hash(
        "hmget",
        -3,
        hmget,
        "Returns the values of multiple fields in a hash.",
    )
    .read()
    .fast()
    .key(),
    hash("hmset", -4, hmset, "Sets the values of multiple fields.")
        .write()
        .fast()
        .key(),
    hash(
        "hrandfield",
        -2,
        hrandfield,
        "Returns one or more random fields from a hash.",
    )
    .read()
    .long()
    .key(),
    hash(
        "hscan",
        -3,
        hscan,
        "Iterates over fields and values of a hash.",
    )
    .read()
    .long()
    .key(),
    hash(
        "hset",
        -4,
        hset,
        "Creates or modifies the values of fields in a hash.",
    )
    .write()
    .fast()
    .key(),
    hash(
        "hsetnx",
        4,
        hsetnx,
        "Sets the value of a field in a hash only when the field doesn't exist.",
    )
    .write()
    .fast()
    .key(),
    hash(
        "hstrlen",
        3,
        hstrlen,
        "Returns the length of the value of a field.",
    )
    .read()
    .fast()
    .key(),
    hash("hvals", 2, hvals, "Returns all values in a hash.")
        .read()
        .long()
        .key(),
];

const fn hash(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Hashes, name, arity, Run::Data(run), summary)
}

fn hget(call: &mut Call<'_, '_>) -> Outcome {
    call.reply
        .bulk_or_null(call.txn.hash_get(call.args[1], call.args[2])?.as_deref());
    Ok(())
}

fn hmget(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.array(call.args.len() - 2);
    for field in &call.args[2..] {
        call.reply
            .bulk_or_null(call.txn.hash_get(call.args[1], field)?.as_deref());
    }
    Ok(())
}

fn hset(call: &mut Call<'_, '_>) -> Outcome {
    let added = put(call, "hset")?;
    call.reply.count(added);
    Ok(())
}

fn hmset(call: &mut Call<'_, '_>) -> Outcome {
    put(call, "hmset")?;
    call.reply.ok();
    Ok(())
}

/// Writes the fields and says how many are new.
fn put(call: &mut Call<'_, '_>, command: &str) -> Result<usize, Failure> {
    let words = &call.args[2..];
    if !words.len().is_multiple_of(2) {
        return Err(Failure::arity(command));
    }
    if let [field, value] = *words {
        return Ok(call.txn.hash_put(call.args[1], &[(field, value)])?);
    }
    let pairs: Vec<(&[u8], &[u8])> = words
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    Ok(call.txn.hash_put(call.args[1], &pairs)?)
}

fn hsetnx(call: &mut Call<'_, '_>) -> Outcome {
    let (key, field, value) = (call.args[1], call.args[2], call.args[3]);
    let absent = call.txn.hash_get(key, field)?.is_none();
    if absent {
        call.txn.hash_put(key, &[(field, value)])?;
    }
    call.reply.flag(absent);
    Ok(())
}

fn hdel(call: &mut Call<'_, '_>) -> Outcome {
    let removed = call.txn.hash_remove(call.args[1], &call.args[2..])?;
    call.reply.count(removed);
    Ok(())
}

fn hlen(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.count(call.txn.hash_len(call.args[1])?);
    Ok(())
}

fn hexists(call: &mut Call<'_, '_>) -> Outcome {
    let found = call.txn.hash_get(call.args[1], call.args[2])?.is_some();
    call.reply.flag(found);
    Ok(())
}

fn hstrlen(call: &mut Call<'_, '_>) -> Outcome {
    let length = call
        .txn
        .hash_get(call.args[1], call.args[2])?
        .map_or(0, |value| value.len());
    call.reply.count(length);
    Ok(())
}

fn hgetall(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.map(call.txn.hash_len(call.args[1])?);
    let reply = &mut *call.reply;
    call.txn.hash_each(call.args[1], &mut |field, value| {
        reply.bulk(field);
        reply.bulk(value);
        ControlFlow::Continue(())
    })?;
    Ok(())
}

fn hkeys(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.array(call.txn.hash_len(call.args[1])?);
    let reply = &mut *call.reply;
    call.txn.hash_each(call.args[1], &mut |field, _| {
        reply.bulk(field);
        ControlFlow::Continue(())
    })?;
    Ok(())
}

fn hvals(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.array(call.txn.hash_len(call.args[1])?);
    let reply = &mut *call.reply;
    call.txn.hash_each(call.args[1], &mut |_, value| {
        reply.bulk(value);
        ControlFlow::Continue(())
    })?;
    Ok(())
}

fn hincrby(call: &mut Call<'_, '_>) -> Outcome {
    let by = integer(call.args[3])?;
    let sum = call
        .txn
        .hash_increment(call.args[1], call.args[2], by)
        .map_err(|error| match error {
            IncrementError::NotAnInteger => Failure::other("ERR hash value is not an integer"),
            other => other.into(),
        })?;
    call.reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(call: &mut Call<'_, '_>) -> Outcome {
    let (key, field) = (call.args[1], call.args[2]);
    let by = Number::parse(call.args[3]).ok_or(Failure::NotAFloat)?;
    if by.is_infinite() {
        return Err(Failure::other("ERR value is NaN or Infinity"));
    }
    let value = match call.txn.hash_get(key, field)? {
        Some(value) => {
            Number::parse(&value).ok_or_else(|| Failure::other("ERR hash value is not a float"))?
        }
        None => Number::Exact {
            mantissa: 0,
            scale: 0,
        },
    };
    let sum = value
        .add(by)
        .ok_or_else(|| Failure::other("ERR increment would produce NaN or Infinity"))?
        .to_text();
    call.txn.hash_put(key, &[(field, sum.as_bytes())])?;
    call.reply.text(sum);
    Ok(())
}
