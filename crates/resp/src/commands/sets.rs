//! Commands on one set.

use std::ops::ControlFlow;

use super::scan::sscan;
use super::set_algebra::{sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore};
use super::set_random::{spop, srandmember};
use crate::call::Call;
use crate::error::Outcome;
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    set(
        "sadd",
        -3,
        sadd,
        "Adds one or more members to a set. Creates the key if it doesn't exist.",
    )
    .write()
    .fast()
    .key(),
    set("scard", 2, scard, "Returns the number of members in a set.")
        .read()
        .fast()
        .key(),
    set(
        "sdiff",
        -2,
        sdiff,
        "Returns the difference of multiple sets.",
    )
    .read()
    .long()
    .keys(1, -1, 1),
    set(
        "sdiffstore",
        -3,
        sdiffstore,
        "Stores the difference of multiple sets in a key.",
    )
    .write()
    .long()
    .keys(1, -1, 1),
    set(
        "sinter",
        -2,
        sinter,
        "Returns the intersect of multiple sets.",
    )
    .read()
    .long()
    .keys(1, -1, 1),
    set(
        "sintercard",
        -3,
        sintercard,
        "Returns the number of members of the intersect of multiple sets.",
    )
    .read()
    .long()
    .counted_keys(1),
    set(
        "sinterstore",
        -3,
        sinterstore,
        "Stores the intersect of multiple sets in a key.",
    )
    .write()
    .long()
    .keys(1, -1, 1),
    set(
        "sismember",
        3,
        sismember,
        "Determines whether a member belongs to a set.",
    )
    .read()
    .fast()
    .key(),
    set("smembers", 2, smembers, "Returns all members of a set.")
        .read()
        .long()
        .key(),
    set(
        "smismember",
        -3,
        smismember,
        "Determines whether multiple members belong to a set.",
    )
    .read()
    .fast()
    .key(),
    set("smove", 4, smove, "Moves a member from one set to another.")
        .write()
        .fast()
        .many()
        .keys(1, 2, 1),
    set(
        "spop",
        -2,
        spop,
        "Returns one or more random members from a set after removing them.",
    )
    .write()
    .fast()
    .key(),
    set(
        "srandmember",
        -2,
        srandmember,
        "Get one or multiple random members from a set.",
    )
    .read()
    .key(),
    set("srem", -3, srem, "Removes one or more members from a set.")
        .write()
        .fast()
        .key(),
    set("sscan", -3, sscan, "Iterates over members of a set.")
        .read()
        .long()
        .key(),
    set("sunion", -2, sunion, "Returns the union of multiple sets.")
        .read()
        .long()
        .keys(1, -1, 1),
    set(
        "sunionstore",
        -3,
        sunionstore,
        "Stores the union of multiple sets in a key.",
    )
    .write()
    .long()
    .keys(1, -1, 1),
];

const fn set(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Sets, name, arity, Run::Data(run), summary)
}

fn sadd(call: &mut Call<'_, '_>) -> Outcome {
    let added = call.txn.set_add(call.args[1], &call.args[2..])?;
    call.reply.count(added);
    Ok(())
}

fn srem(call: &mut Call<'_, '_>) -> Outcome {
    let removed = call.txn.set_remove(call.args[1], &call.args[2..])?;
    call.reply.count(removed);
    Ok(())
}

fn scard(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.count(call.txn.set_len(call.args[1])?);
    Ok(())
}

fn sismember(call: &mut Call<'_, '_>) -> Outcome {
    let found = call.txn.set_contains(call.args[1], call.args[2])?;
    call.reply.flag(found);
    Ok(())
}

fn smismember(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.array(call.args.len() - 2);
    for member in &call.args[2..] {
        let found = call.txn.set_contains(call.args[1], member)?;
        call.reply.flag(found);
    }
    Ok(())
}

fn smembers(call: &mut Call<'_, '_>) -> Outcome {
    call.reply.set(call.txn.set_len(call.args[1])?);
    let reply = &mut *call.reply;
    call.txn.set_members(call.args[1], &mut |member| {
        reply.bulk(member);
        ControlFlow::Continue(())
    })?;
    Ok(())
}

fn smove(call: &mut Call<'_, '_>) -> Outcome {
    let (from, to, member) = (call.args[1], call.args[2], call.args[3]);
    let found = call.txn.set_contains(from, member)?;
    if call.txn.value_type(from).is_some() {
        // The type of the destination is checked before anything changes.
        call.txn.set_len(to)?;
    }
    if found && from != to {
        call.txn.set_remove(from, &[member])?;
        call.txn.set_add(to, &[member])?;
    }
    call.reply.flag(found);
    Ok(())
}
