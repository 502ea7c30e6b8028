//! How a record looks.

use std::sync::Arc;

use isles_clock::{Dot, Hlc};
use isles_replica::{Contender, Journal, JournalRecord, Origin, Settled};

use super::Reading;
use crate::reply::Reply;

/// Of a value an answer with many records shows this many bytes.
pub(super) const LISTED_VALUE_BYTES: usize = 1024;
/// An answer that is longer takes no further record in.
pub(super) const ANSWER_BYTES_MAX: usize = 8 << 20;

pub(super) fn write_record(
    reply: &mut Reply,
    record: &JournalRecord,
    reading: &Reading<'_>,
    value_bytes: usize,
) {
    reply.map(13);
    reply.text("id");
    reply.text(format!("{:032x}", record.id));
    reply.text("key");
    reply.bulk(&record.key);
    reply.text("field");
    reply.bulk_or_null(record.field.as_deref());
    reply.text("keyspace");
    reply.bulk(&record.keyspace);
    reply.text("component");
    reply.text(record.component_name());
    reply.text("kind");
    reply.text(record.kind.name());
    reply.text("strategy");
    reply.text(record.strategy.name());
    reply.text("kept");
    reply.boolean(record.kept);
    write_number(reply, "detected_ms", record.detected_ms);
    write_number(reply, "sequence", record.sequence);
    reply.text("winner");
    write_contender(reply, &record.winner, reading, value_bytes);
    reply.text("loser");
    write_contender(reply, &record.loser, reading, value_bytes);
    reply.text("resolved");
    match record.settled() {
        Some(settled) => write_settled(reply, settled, reading),
        None => reply.null(),
    }
}

fn write_contender(
    reply: &mut Reply,
    contender: &Contender,
    reading: &Reading<'_>,
    value_bytes: usize,
) {
    reply.map(9);
    reply.text("value");
    let value = contender.value.as_deref();
    reply.bulk_or_null(value.map(|value| &value[..value.len().min(value_bytes)]));
    write_number(reply, "value_bytes", contender.value_bytes);
    write_number(reply, "kept_bytes", contender.kept_bytes() as u64);
    let origin = contender.origin.as_ref();
    reply.text("ahead_ms");
    match origin.and_then(|origin| origin.ahead_ms) {
        Some(ahead_ms) => reply.integer(ahead_ms),
        None => reply.null(),
    }
    write_writer(reply, contender.dot, contender.stamp.hlc, origin, reading);
}

pub(super) fn write_settled(reply: &mut Reply, settled: Settled, reading: &Reading<'_>) {
    reply.map(6);
    reply.text("how");
    reply.text(settled.how.name());
    write_writer(reply, settled.dot, settled.hlc, None, reading);
}

/// Five entries of a map: which entry, when, and by whom.
fn write_writer(
    reply: &mut Reply,
    dot: Dot,
    hlc: Hlc,
    origin: Option<&Arc<Origin>>,
    reading: &Reading<'_>,
) {
    reply.text("dot");
    reply.text(dot.to_string());
    write_number(reply, "stamp_ms", hlc.wall_ms());
    reply.text("replica");
    reply.text(dot.replica.to_string());
    let then = origin.map(|origin| (origin.node.clone(), origin.region.clone()));
    let writer = then.or_else(|| {
        let now = reading.writer(dot.replica)?;
        Some((now.node, now.region))
    });
    let (node, region) = writer.unzip();
    for (name, value) in [("node", node), ("region", region)] {
        reply.text(name);
        reply.bulk_or_null(value.as_ref().map(|text| text.as_bytes()));
    }
}

/// An entry of a map.
pub(super) fn write_number(reply: &mut Reply, name: &str, number: u64) {
    reply.text(name);
    reply.integer(i64::try_from(number).unwrap_or(i64::MAX));
}

/// An entry of a map: what the journal has forgotten.
pub(super) fn write_dropped(reply: &mut Reply, journal: &Journal) {
    let dropped = journal.dropped();
    reply.text("dropped");
    reply.map(3);
    write_number(reply, "records", dropped.records);
    write_number(reply, "first_ms", dropped.first_ms);
    write_number(reply, "last_ms", dropped.last_ms);
}

pub(super) fn write_hot_keys(reply: &mut Reply, journal: &Journal, limit: usize) {
    let top = journal.hot_keys().top(limit);
    reply.array(top.len());
    for hot in top {
        reply.map(3);
        reply.text("key");
        reply.bulk(&hot.key);
        write_number(reply, "conflicts", hot.conflicts);
        write_number(reply, "at_least", hot.conflicts - hot.error);
    }
}
