//! Commands that Redis does not have: conflicts, keyspaces, and what a replica knows of the others.

use isles_clock::Stamp;
use isles_replica::{ConflictRecord, Contender, ContextError};
use isles_resolve::Strategy;

use super::config::help;
use crate::call::{Call, Inspection, integer, is};
use crate::engine::{Host, PeerInfo};
use crate::error::{Failure, Outcome, preview};
use crate::glob::{self, Case};
use crate::reply::Reply;
use crate::spec::{Family, Run, Spec};
use crate::token::{decode_token, encode_token};

pub(super) const COMMANDS: &[Spec] = &[
    inspect(
        "isles.conflicts",
        -1,
        conflicts,
        "Lists the newest conflicts.",
    )
    .read()
    .long(),
    inspect(
        "isles.digest",
        1,
        digest,
        "Returns what is applied and the digest of the content.",
    )
    .read(),
    data(
        "isles.keyspace",
        -2,
        keyspace,
        "Defines and shows the strategies of key prefixes.",
    )
    .subcommands(&[
        ("del", 3),
        ("get", 3),
        ("help", 2),
        ("list", 2),
        ("set", -4),
    ])
    .write(),
    data(
        "isles.set",
        -3,
        set,
        "Sets a string in the context of an earlier read.",
    )
    // The context holds for a whole entry.
    .no_script()
    .write()
    .key(),
    data(
        "isles.siblings",
        2,
        siblings,
        "Returns all concurrent values of a string, and their context.",
    )
    .read()
    .key(),
    inspect(
        "isles.status",
        1,
        status,
        "Returns how this node and its peers are.",
    )
    .read()
    .loading(),
];

const fn data(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Isles, name, arity, Run::Data(run), summary)
}

const fn inspect(
    name: &'static str,
    arity: i32,
    run: fn(&mut Inspection<'_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Isles, name, arity, Run::Inspect(run), summary).no_multi()
}

fn siblings(call: &mut Call<'_, '_>) -> Outcome {
    let key = call.args[1];
    // Also where the key holds another type, which is not the same as having no value.
    call.txn.string_len(key)?;
    let Some(siblings) = call.txn.siblings(key) else {
        call.reply.null();
        return Ok(());
    };
    let (reply, host) = (&mut *call.reply, call.surroundings.host);
    reply.map(4);
    reply.text("kind");
    reply.text(siblings.kind.name());
    reply.text("context");
    reply.text(encode_token(&siblings.context));
    reply.text("counter");
    match siblings.counter {
        Some(sum) => reply.integer(sum),
        None => reply.null(),
    }
    reply.text("siblings");
    reply.array(siblings.versions.len());
    for version in &siblings.versions {
        reply.map(6);
        reply.text("value");
        reply.bulk(&version.value);
        reply.text("dot");
        reply.text(version.dot.to_string());
        write_stamp(reply, version.stamp, host);
    }
    Ok(())
}

/// Four entries of a map: when and by whom. A replica that this node has not met since it started has no name here.
fn write_stamp(reply: &mut Reply, stamp: Stamp, host: &dyn Host) {
    reply.text("stamp_ms");
    reply.integer(i64::try_from(stamp.hlc.wall_ms()).unwrap_or(i64::MAX));
    reply.text("replica");
    reply.text(stamp.replica.to_string());
    let writer = host.writer(stamp.replica);
    let (node, region) = writer
        .as_ref()
        .map(|writer| (&writer.node, &writer.region))
        .unzip();
    for (name, value) in [("node", node), ("region", region)] {
        reply.text(name);
        reply.bulk_or_null(value.map(|text| text.as_bytes()));
    }
}

fn set(call: &mut Call<'_, '_>) -> Outcome {
    let [_, key, value, word, token] = *call.args else {
        return Err(Failure::Syntax);
    };
    if !is(word, "CONTEXT") {
        return Err(Failure::Syntax);
    }
    let context = decode_token(token).ok_or_else(|| Failure::other("ERR invalid context token"))?;
    call.txn
        .set_string_in_context(key, value, &context)
        .map_err(|error| match error {
            ContextError::WrongType => Failure::WrongType,
            ContextError::Ahead => Failure::other(format!("TRYAGAIN {error}")),
            other => Failure::other(format!("ERR {other}")),
        })?;
    call.reply.ok();
    Ok(())
}

fn keyspace(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    match *rest {
        [prefix, name] if is(subcommand, "SET") => {
            call.txn.keyspace_set(prefix, strategy(name)?);
            call.reply.ok();
        }
        [_, _, .., _] if is(subcommand, "SET") => {
            return Err(Failure::other(format!(
                "ERR a keyspace has one strategy, and {} were given",
                rest.len() - 1
            )));
        }
        [prefix] if is(subcommand, "DEL") => {
            let deleted = call.txn.keyspace_delete(prefix);
            call.reply.flag(deleted);
        }
        [] if is(subcommand, "LIST") => {
            let mut keyspaces = call.txn.keyspaces();
            keyspaces.sort_by(|one, other| one.0.cmp(&other.0));
            call.reply.array(keyspaces.len());
            keyspaces
                .iter()
                .for_each(|(prefix, strategy)| write_keyspace(call.reply, prefix, *strategy));
        }
        [key] if is(subcommand, "GET") => {
            let (prefix, strategy) = call.txn.keyspace_of(key);
            write_keyspace(call.reply, &prefix, strategy);
        }
        [] if is(subcommand, "HELP") => {
            help(
                call,
                "ISLES.KEYSPACE",
                &[
                    "DEL <prefix>",
                    "GET <key>",
                    "LIST",
                    "SET <prefix> <strategy>",
                ],
            );
        }
        _ => return Err(Failure::subcommand(subcommand, "ISLES.KEYSPACE")),
    }
    Ok(())
}

fn strategy(name: &[u8]) -> Result<Strategy, Failure> {
    let parsed = std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.to_ascii_lowercase().parse().ok());
    parsed.ok_or_else(|| {
        let known: Vec<&str> = Strategy::ALL
            .iter()
            .map(|strategy| strategy.name())
            .collect();
        Failure::other(format!(
            "ERR unknown strategy '{}', expected one of: {}",
            preview(name),
            known.join(", ")
        ))
    })
}

fn write_keyspace(reply: &mut Reply, prefix: &[u8], strategy: Strategy) {
    reply.map(2);
    reply.text("prefix");
    reply.bulk(prefix);
    reply.text("strategy");
    reply.text(strategy.name());
}

/// Records that one answer lists unless told otherwise.
const CONFLICTS_DEFAULT: usize = 10;
/// Records that one answer lists at most.
const CONFLICTS_MAX: usize = 10_000;

fn conflicts(inspection: &mut Inspection<'_>) -> Outcome {
    match inspection.args {
        [_, word] if is(word, "HOT") => return hot_keys(inspection, CONFLICTS_DEFAULT),
        [_, word, count, number] if is(word, "HOT") && is(count, "COUNT") => {
            let limit = usize::try_from(integer(number)?).map_err(|_| Failure::NotPositive)?;
            return hot_keys(inspection, limit);
        }
        _ => {}
    }
    let mut count = CONFLICTS_DEFAULT;
    let mut pattern: &[u8] = b"*";
    for option in inspection.args[1..].chunks(2) {
        match *option {
            [word, number] if is(word, "COUNT") => {
                count = usize::try_from(integer(number)?)
                    .map_err(|_| Failure::NotPositive)?
                    .min(CONFLICTS_MAX);
            }
            [word, glob] if is(word, "KEY") => pattern = glob,
            _ => return Err(Failure::Syntax),
        }
    }
    let mark = inspection.reply.mark();
    let records = inspection.replica.conflicts().iter().rev();
    let shown = records
        .filter(|record| glob::matches(pattern, &record.key, Case::Sensitive))
        .take(count);
    let (mut written, host) = (0, inspection.surroundings.host);
    for record in shown {
        write_conflict(inspection.reply, record, host);
        written += 1;
    }
    inspection.reply.array_at(mark, written);
    Ok(())
}

/// The keys that were in conflict most often since start.
fn hot_keys(inspection: &mut Inspection<'_>, limit: usize) -> Outcome {
    let top = inspection.replica.conflicts().hot_keys().top(limit);
    inspection.reply.array(top.len());
    for hot in top {
        inspection.reply.map(3);
        inspection.reply.text("key");
        inspection.reply.bulk(&hot.key);
        for (name, count) in [
            ("conflicts", hot.conflicts),
            ("at_least", hot.conflicts - hot.error),
        ] {
            inspection.reply.text(name);
            inspection
                .reply
                .integer(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    Ok(())
}

fn write_conflict(reply: &mut Reply, record: &ConflictRecord, host: &dyn Host) {
    reply.map(11);
    reply.text("id");
    reply.text(format!("{:032x}", record.id));
    reply.text("key");
    reply.bulk(&record.key);
    reply.text("field");
    reply.bulk_or_null(record.field.as_deref());
    reply.text("keyspace");
    reply.bulk(&record.keyspace);
    reply.text("component");
    reply.text(record.component.name());
    reply.text("kind");
    reply.text(record.kind.name());
    reply.text("strategy");
    reply.text(record.strategy.name());
    reply.text("kept");
    reply.boolean(record.kept);
    reply.text("detected_ms");
    reply.integer(i64::try_from(record.detected_ms).unwrap_or(i64::MAX));
    reply.text("winner");
    write_contender(reply, &record.winner, host);
    reply.text("loser");
    write_contender(reply, &record.loser, host);
}

fn write_contender(reply: &mut Reply, contender: &Contender, host: &dyn Host) {
    reply.map(7);
    reply.text("value");
    reply.bulk_or_null(contender.value.as_deref());
    reply.text("value_bytes");
    reply.integer(i64::try_from(contender.value_bytes).unwrap_or(i64::MAX));
    reply.text("dot");
    reply.text(contender.dot.to_string());
    write_stamp(reply, contender.stamp, host);
}

fn digest(inspection: &mut Inspection<'_>) -> Outcome {
    let reply = &mut *inspection.reply;
    reply.map(3);
    reply.text("applied");
    reply.text(inspection.replica.applied().to_string());
    reply.text("context");
    reply.text(encode_token(inspection.replica.applied()));
    reply.text("digest");
    reply.text(format!("{:032x}", inspection.replica.digest()));
    Ok(())
}

fn status(inspection: &mut Inspection<'_>) -> Outcome {
    let node = inspection.surroundings.host.info();
    let (replica, reply) = (&*inspection.replica, &mut *inspection.reply);
    let texts = [
        ("node", node.node),
        ("region", node.region),
        ("cluster", node.cluster),
        ("role", node.role),
        ("version", node.version),
        ("replica", replica.id().to_string()),
        ("durability", node.durability),
        ("applied", replica.applied().to_string()),
        ("position", replica.position().to_string()),
        ("durable", inspection.surroundings.durable.to_string()),
        ("digest", format!("{:032x}", replica.digest())),
    ];
    let numbers = [
        ("keys", replica.visible_keys() as u64),
        ("conflicts", replica.conflicts().total()),
        ("log_bytes", node.log_bytes),
        ("uptime_seconds", node.uptime.as_secs()),
    ];
    reply.map(texts.len() + numbers.len() + 2);
    for (name, value) in texts {
        reply.text(name);
        reply.text(value);
    }
    for (name, value) in numbers {
        reply.text(name);
        reply.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }
    reply.text("convergence_watermark_ms");
    match node.watermark_ms {
        Some(ms) => reply.integer(i64::try_from(ms).unwrap_or(i64::MAX)),
        None => reply.null(),
    }
    reply.text("peers");
    reply.array(node.peers.len());
    node.peers.iter().for_each(|peer| write_peer(reply, peer));
    Ok(())
}

fn write_peer(reply: &mut Reply, peer: &PeerInfo) {
    reply.map(7);
    for (name, value) in [
        ("node", &peer.node),
        ("region", &peer.region),
        ("address", &peer.address),
    ] {
        reply.text(name);
        reply.text(value);
    }
    reply.text("connected");
    reply.boolean(peer.connected);
    for (name, time) in [("lag_ms", peer.lag), ("round_trip_ms", peer.round_trip)] {
        reply.text(name);
        match time {
            Some(time) => reply.double(time.as_secs_f64() * 1000.0),
            None => reply.null(),
        }
    }
    reply.text("backlog_bytes");
    reply.integer(i64::try_from(peer.backlog_bytes).unwrap_or(i64::MAX));
}
