//! Bounded counters: never below zero, though every region decrements without asking another one.
//!
//! Who increments holds the rights to decrement as much; rights can be handed to another region.

use isles_clock::ReplicaId;
use isles_replica::EscrowError;

use crate::call::{Call, integer};
use crate::engine::Host;
use crate::error::{Failure, Outcome, preview};
use crate::spec::{Family, Run, Spec};

pub(super) const COMMANDS: &[Spec] = &[
    counter(
        "isles.bcounter.create",
        3,
        create,
        "Creates a bounded counter; this region holds the rights to all of it.",
    )
    .write()
    .fast()
    .key(),
    counter(
        "isles.bcounter.decr",
        -2,
        decr,
        "Decrements a bounded counter by rights that this region holds.",
    )
    .write()
    .fast()
    .key(),
    counter(
        "isles.bcounter.get",
        2,
        get,
        "Returns the value of a bounded counter as known here.",
    )
    .read()
    .fast()
    .key(),
    counter(
        "isles.bcounter.incr",
        -2,
        incr,
        "Increments a bounded counter. Creates the key if it doesn't exist.",
    )
    .write()
    .fast()
    .key(),
    counter(
        "isles.bcounter.rights",
        2,
        rights,
        "Returns who holds how many rights to decrement a bounded counter.",
    )
    .read()
    .fast()
    .key(),
    counter(
        "isles.bcounter.transfer",
        4,
        transfer,
        "Hands rights to decrement a bounded counter to another region.",
    )
    .write()
    .fast()
    .key(),
];

const fn counter(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Isles, name, arity, Run::Data(run), summary)
}

/// Holders that an error names.
const HOLDERS_SHOWN: usize = 4;

fn create(call: &mut Call<'_, '_>) -> Outcome {
    let (key, value) = (call.args[1], amount(call.args[2], 0)?);
    if call.txn.value_type(key).is_some() {
        return Err(Failure::other("BUSYKEY Target key name already exists."));
    }
    call.txn
        .bounded_increment(key, value)
        .map_err(|error| refusal(call, error))?;
    call.reply.ok();
    Ok(())
}

fn get(call: &mut Call<'_, '_>) -> Outcome {
    match call.txn.bounded(call.args[1])? {
        Some(value) => call.reply.integer(value),
        None => call.reply.null(),
    }
    Ok(())
}

fn incr(call: &mut Call<'_, '_>) -> Outcome {
    let by = by(call)?;
    let value = call.txn.bounded_increment(call.args[1], by);
    let value = value.map_err(|error| refusal(call, error))?;
    call.reply.integer(value);
    Ok(())
}

fn decr(call: &mut Call<'_, '_>) -> Outcome {
    let by = by(call)?;
    let value = call.txn.bounded_decrement(call.args[1], by);
    let value = value.map_err(|error| refusal(call, error))?;
    call.reply.integer(value);
    Ok(())
}

fn by(call: &Call<'_, '_>) -> Result<u64, Failure> {
    match call.args[2..] {
        [] => Ok(1),
        [by] => amount(by, 1),
        _ => Err(Failure::Syntax),
    }
}

/// An amount of at least so much.
fn amount(text: &[u8], least: i64) -> Result<u64, Failure> {
    let amount = integer(text)?;
    u64::try_from(amount)
        .ok()
        .filter(|_| amount >= least)
        .ok_or(Failure::NotPositive)
}

fn transfer(call: &mut Call<'_, '_>) -> Outcome {
    let (key, count) = (call.args[1], amount(call.args[2], 1)?);
    let to = replica_named(call, call.args[3])?;
    let moved = call.txn.bounded_transfer(key, count, to);
    moved.map_err(|error| refusal(call, error))?;
    call.reply.ok();
    Ok(())
}

/// The replica that a node, a region with one node, or an id names.
fn replica_named(call: &Call<'_, '_>, name: &[u8]) -> Result<ReplicaId, Failure> {
    let text = std::str::from_utf8(name).unwrap_or_default();
    if let Ok(replica) = text.parse() {
        return Ok(replica);
    }
    let writers = call.surroundings.host.writers();
    let named = |by: fn(&crate::engine::Writer) -> &str| {
        let matching = writers.iter().filter(|(_, writer)| by(writer) == text);
        matching.map(|(replica, _)| *replica).collect::<Vec<_>>()
    };
    let nodes = named(|writer| &writer.node);
    let found = match nodes.is_empty() {
        true => named(|writer| &writer.region),
        false => nodes,
    };
    match found[..] {
        [only] => Ok(only),
        [] => Err(Failure::other(format!(
            "ERR no node or region '{}' is known here; give its name as ISLES.STATUS shows it, or a replica id",
            preview(name)
        ))),
        _ => Err(Failure::other(format!(
            "ERR several replicas are known as '{}'; give the id of one as ISLES.BCOUNTER.RIGHTS shows it",
            preview(name)
        ))),
    }
}

fn rights(call: &mut Call<'_, '_>) -> Outcome {
    let Some(all) = call.txn.bounded_rights(call.args[1])? else {
        call.reply.null();
        return Ok(());
    };
    let host = call.surroundings.host;
    call.reply.array(all.len());
    for (replica, count) in all {
        let writer = host.writer(replica);
        call.reply.map(4);
        call.reply.text("replica");
        call.reply.text(replica.to_string());
        for (label, value) in [
            ("node", writer.as_ref().map(|writer| &writer.node)),
            ("region", writer.as_ref().map(|writer| &writer.region)),
        ] {
            call.reply.text(label);
            call.reply.bulk_or_null(value.map(|text| text.as_bytes()));
        }
        call.reply.text("rights");
        call.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }
    Ok(())
}

fn refusal(call: &Call<'_, '_>, error: EscrowError) -> Failure {
    match error {
        EscrowError::WrongType => Failure::WrongType,
        EscrowError::Absent => Failure::NoSuchKey,
        EscrowError::Overflow => Failure::Overflow,
        EscrowError::NotEnoughRights { held, holders } => {
            let shown = holders.iter().take(HOLDERS_SHOWN).map(|(replica, rights)| {
                format!("{} {rights}", name_of(call.surroundings.host, *replica))
            });
            let shown: Vec<String> = shown.collect();
            let holders = match shown.is_empty() {
                true => "nobody holds any".to_owned(),
                false => format!("known holders: {}", shown.join(", ")),
            };
            Failure::other(format!(
                "NORIGHTS this node holds {held} rights to decrement this counter; {holders}. Have some handed over with \
                 ISLES.BCOUNTER.TRANSFER on a node that holds them"
            ))
        }
        other => Failure::other(format!("ERR {other}")),
    }
}

fn name_of(host: &dyn Host, replica: ReplicaId) -> String {
    match host.writer(replica) {
        Some(writer) => format!("{} ({})", writer.node, writer.region),
        None => replica.to_string(),
    }
}
