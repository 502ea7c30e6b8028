//! Commands on keys of any type.

use isles_replica::{BUCKETS, ValueType};

use super::expiry::{
    expire, expireat, expiretime, persist, pexpire, pexpireat, pexpiretime, pttl, ttl,
};
use super::object::{MEMORY, OBJECT, memory, object};
use super::scan::{keys, scan};
use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    key("copy", -3, copy, "Copies the value of a key to a new key.")
        .write()
        .many()
        .keys(1, 2, 1),
    key(
        "dbsize",
        1,
        dbsize,
        "Returns the number of keys in the database.",
    )
    .read()
    .fast(),
    key("del", -2, del, "Deletes one or more keys.")
        .write()
        .many()
        .keys(1, -1, 1),
    key(
        "exists",
        -2,
        exists,
        "Determines whether one or more keys exist.",
    )
    .read()
    .fast()
    .keys(1, -1, 1),
    key(
        "expire",
        -3,
        expire,
        "Sets the expiration time of a key in seconds.",
    )
    .write()
    .fast()
    .key(),
    key(
        "expireat",
        -3,
        expireat,
        "Sets the expiration time of a key to a Unix timestamp.",
    )
    .write()
    .fast()
    .key(),
    key(
        "expiretime",
        2,
        expiretime,
        "Returns the expiration time of a key as a Unix timestamp.",
    )
    .read()
    .fast()
    .key(),
    key(
        "keys",
        2,
        keys,
        "Returns all key names that match a pattern.",
    )
    .read()
    .long(),
    key("memory", -2, memory, "Estimates the memory usage of a key.")
        .subcommands(MEMORY)
        .keys(2, 2, 1),
    key(
        "object",
        -2,
        object,
        "Inspects the representation of a value.",
    )
    .subcommands(OBJECT)
    .keys(2, 2, 1),
    key(
        "persist",
        2,
        persist,
        "Removes the expiration time of a key.",
    )
    .write()
    .fast()
    .key(),
    key(
        "pexpire",
        -3,
        pexpire,
        "Sets the expiration time of a key in milliseconds.",
    )
    .write()
    .fast()
    .key(),
    key(
        "pexpireat",
        -3,
        pexpireat,
        "Sets the expiration time of a key to a Unix milliseconds timestamp.",
    )
    .write()
    .fast()
    .key(),
    key(
        "pexpiretime",
        2,
        pexpiretime,
        "Returns the expiration time of a key as a Unix milliseconds timestamp.",
    )
    .read()
    .fast()
    .key(),
    key(
        "pttl",
        2,
        pttl,
        "Returns the expiration time in milliseconds of a key.",
    )
    .read()
    .fast()
    .key(),
    key(
        "randomkey",
        1,
        randomkey,
        "Returns a random key name from the database.",
    )
    .read(),
    key(
        "rename",
        3,
        rename,
        "Renames a key and overwrites the destination.",
    )
    .write()
    .many()
    .long()
    .keys(1, 2, 1),
    key(
        "renamenx",
        3,
        renamenx,
        "Renames a key only when the target key name doesn't exist.",
    )
    .write()
    .many()
    .long()
    .keys(1, 2, 1),
    key(
        "scan",
        -2,
        scan,
        "Iterates over the key names in the database.",
    )
    .read()
    .long(),
    key(
        "touch",
        -2,
        touch,
        "Returns the number of existing keys out of those specified.",
    )
    .read()
    .fast()
    .keys(1, -1, 1),
    key(
        "ttl",
        2,
        ttl,
        "Returns the expiration time in seconds of a key.",
    )
    .read()
    .fast()
    .key(),
    key(
        "type",
        2,
        kind,
        "Determines the type of value stored at a key.",
    )
    .read()
    .fast()
    .key(),
    key("unlink", -2, del, "Deletes one or more keys.")
        .write()
        .fast()
        .many()
        .keys(1, -1, 1),
];

const fn key(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Keys, name, arity, Run::Data(run), summary)
}

fn del(call: &mut Call<'_, '_>) -> Outcome {
    let deleted = call.args[1..]
        .iter()
        .filter(|key| call.txn.delete(key))
        .count();
    call.reply.count(deleted);
    Ok(())
}

fn exists(call: &mut Call<'_, '_>) -> Outcome {
    let found = call.args[1..]
        .iter()
        .filter(|key| call.txn.value_type(key).is_some())
        .count();
    call.reply.count(found);
    Ok(())
}

fn touch(call: &mut Call<'_, '_>) -> Outcome {
    // Also for a client whose other commands do not count.
    let before = call.txn.set_unnoticed(false);
    let keys = call.args[1..].iter();
    let found = keys.filter(|key| call.txn.touch(key)).count();
    call.txn.set_unnoticed(before);
    call.reply.count(found);
    Ok(())
}

fn kind(call: &mut Call<'_, '_>) -> Outcome {
    call.reply
        .simple(call.txn.value_type(call.args[1]).map_or("none", type_name));
    Ok(())
}

/// What TYPE answers.
pub(super) fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::String => "string",
        ValueType::Hash => "hash",
        ValueType::Set => "set",
        ValueType::SortedSet => "zset",
        ValueType::List => "list",
        ValueType::Stream => "stream",
        // As in Redis.
        ValueType::HyperLogLog => "string",
        ValueType::Flag => "flag",
        ValueType::BoundedCounter => "bcounter",
        _ => "unknown",
    }
}

fn dbsize(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.count(call.txn.len());
    Ok(())
}

fn randomkey(call: &mut Call<'_, '_>) -> Outcome {
    let mut random = call.session.random.next();
    let listing = &call.session.errands.given.listing;
    if let Some(bucket) = listing.first_bucket() {
        random = random - random % BUCKETS as u64 + bucket;
    }
    let key = call.txn.random_key(random, listing);
    call.reply.bulk_or_null(key.as_deref());
    Ok(())
}

fn copy(call: &mut Call<'_, '_>) -> Outcome {
    let (from, to) = (call.args[1], call.args[2]);
    let replace = copy_options(call)?;
    if from == to {
        return Err(Failure::other(
            "ERR source and destination objects are the same",
        ));
    }
    let free = replace || call.txn.value_type(to).is_none();
    let copied = free && call.txn.copy(from, to);
    call.reply.flag(copied);
    Ok(())
}

/// Whether the destination may be overwritten.
fn copy_options(call: &Call<'_, '_>) -> Result<bool, Failure> {
    let mut replace = false;
    let mut rest = call.args[3..].iter();
    while let Some(word) = rest.next() {
        if is(word, "REPLACE") {
            replace = true;
        } else if is(word, "DB") {
            check_database(rest.next().ok_or(Failure::Syntax)?, call)?;
        } else {
            return Err(Failure::Syntax);
        }
    }
    Ok(replace)
}

fn check_database(index: &[u8], call: &Call<'_, '_>) -> Outcome {
    let last = if call.surroundings.server.options.select_any {
        15
    } else {
        0
    };
    if (0..=last).contains(&integer(index)?) {
        Ok(())
    } else {
        Err(Failure::DatabaseIndex)
    }
}

fn rename(call: &mut Call<'_, '_>) -> Outcome {
    let (from, to) = (call.args[1], call.args[2]);
    if call.txn.value_type(from).is_none() {
        return Err(Failure::NoSuchKey);
    }
    move_key(call, from, to)?;
    call.reply.ok();
    Ok(())
}

fn renamenx(call: &mut Call<'_, '_>) -> Outcome {
    let (from, to) = (call.args[1], call.args[2]);
    if call.txn.value_type(from).is_none() {
        return Err(Failure::NoSuchKey);
    }
    let free = call.txn.value_type(to).is_none();
    if free {
        move_key(call, from, to)?;
    }
    call.reply.flag(free);
    Ok(())
}

fn move_key(call: &mut Call<'_, '_>, from: &[u8], to: &[u8]) -> Outcome {
    if from == to {
        return Ok(());
    }
    // What they spend meanwhile would be there once more under the new name.
    if call
        .txn
        .bounded_rights_elsewhere(from)
        .is_ok_and(|rights| rights > 0)
    {
        return Err(Failure::other(
            "ERR other nodes hold rights of this bounded counter and may be spending them: ISLES.BCOUNTER.RIGHTS shows \
             whose; have them transferred here, or create another counter",
        ));
    }
    call.txn.copy(from, to);
    call.txn.delete(from);
    Ok(())
}
