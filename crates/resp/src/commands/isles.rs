//! Commands that Redis does not have: what a node is, what it holds, and what it knows of the others.

use isles_clock::Stamp;

use crate::call::{Call, Inspection};
use crate::engine::{Host, PeerInfo};
use crate::error::Outcome;
use crate::reply::Reply;
use crate::spec::{Family, Run, Spec};
use crate::token::encode_token;

pub(super) const COMMANDS: &[Spec] = &[
    inspect(
        "isles.digest",
        1,
        digest,
        "Returns what is applied and the digest of the content.",
    )
    .read(),
    inspect(
        "isles.status",
        1,
        status,
        "Returns how this node and its peers are.",
    )
    .read()
    .loading(),
];

pub(super) const fn data(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Isles, name, arity, Run::Data(run), summary)
}

pub(super) const fn inspect(
    name: &'static str,
    arity: i32,
    run: fn(&mut Inspection<'_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::Isles, name, arity, Run::Inspect(run), summary).no_multi()
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

/// Four entries of a map: when and by whom. A replica that this node has not met since it started has no name here.
pub(super) fn write_stamp(reply: &mut Reply, stamp: Stamp, host: &dyn Host) {
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
